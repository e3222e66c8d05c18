"""What a gate says of a model before it is published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What one gate found.

    Args:
        gate: Name of the gate, that of its function.
        passed: Whether the candidate may be published as far as this gate goes.
        reason: A full sentence.
        figures: What was measured, by name.
        checked: False where the gate had nothing to check by; it then passes and says so.
    """

    gate: str
    passed: bool
    reason: str
    figures: dict[str, float] = field(default_factory=dict)
    checked: bool = True

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain values; a figure that is not finite becomes null."""
        figures = {key: v if math.isfinite(v) else None for key, v in self.figures.items()}
        return {
            "gate": self.gate,
            "passed": self.passed,
            "checked": self.checked,
            "reason": self.reason,
            "figures": figures,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Verdict:
        """Read a verdict.

        Raises:
            KeyError: A key is missing.
        """
        figures = {
            str(key): math.nan if value is None else float(value)
            for key, value in values["figures"].items()
        }
        return cls(
            str(values["gate"]),
            bool(values["passed"]),
            str(values["reason"]),
            figures,
            bool(values["checked"]),
        )
