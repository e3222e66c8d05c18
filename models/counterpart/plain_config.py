"""Configurations as plain JSON values, read strictly: an unknown key is an error that names it."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, TypeVar

from counterpart.errors import ModelError

Config = TypeVar("Config", bound="PlainConfig")


class PlainConfig:
    """Base of the frozen dataclasses that are stored in a model's JSON."""

    @classmethod
    def from_json(cls: type[Config], values: dict[str, Any]) -> Config:
        """Read a configuration; lists become tuples.

        Raises:
            ModelError: A key is unknown.
        """
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"unknown {cls.__name__} setting {unknown[0]!r}.")
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**tuples)

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]
