"""What a retraining is asked for: ``plan.json``, read strictly before anything is written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.contrast import CONTRASTS
from counterpart.errors import CounterpartError
from counterpart.whole_file import write_whole

PLAN = "plan.json"
FORMAT = 1
MODES = ("auto", "calibrate", "train")
STARTS = ("released", "nothing")
DEVICES = ("auto", "cpu", "gpu")


class PlanError(CounterpartError):
    """A plan that cannot be carried out as it stands."""


@dataclass(frozen=True)
class Steps:
    """Optimiser steps of both stages of training; an encoder of 0 steps stays as it is."""

    encoder: int
    denoiser: int


@dataclass(frozen=True)
class Plan:
    """What a retraining is asked for.

    Args:
        scans: The healthy scans.
        model: Name or folder of the model; a new version of it is made.
        registry: Folder of the registry; see `counterpart.registry.versions.registry_folder`.
        version: Of the new model; without it ``<old version>.local.<n>``.
        mode: One of `MODES`; ``auto`` calibrates a small cohort and trains on a large one.
        start: One of `STARTS`: fine-tune the model's weights, or begin without.
        population: Whose scans these are, in words.
        device: One of `DEVICES`.
        devices: Devices per machine: a number, or ``auto``.
        nodes: Number of machines.
        seed: Of the split and of everything random.
        steps: Of both stages; without them those of `counterpart.retraining.pace`.
        batch_size: Slices per step; without it the stage's own.
        force: Names of gates that need not be passed.
        reason: Why; needed where a gate is overruled.
        publish: Whether the new model shall serve if it passes the gates.
        by: Who asked, for the history.
    """

    scans: tuple[MarkedScan, ...]
    model: str = "healthy-brain"
    registry: Path | None = None
    version: str | None = None
    mode: str = "auto"
    start: str = "released"
    population: str = ""
    device: str = "auto"
    devices: str = "1"
    nodes: int = 1
    seed: int = 1
    steps: Steps | None = None
    batch_size: int | None = None
    force: tuple[str, ...] = ()
    reason: str = ""
    publish: bool = True
    by: str = ""

    def __post_init__(self) -> None:
        for name, known in (("mode", MODES), ("start", STARTS), ("device", DEVICES)):
            if getattr(self, name) not in known:
                _refuse(name, f"one of {', '.join(known)}", getattr(self, name))
        if not self.scans:
            raise PlanError("the plan names no scan: 'scans' is empty.")
        if self.devices != "auto" and not (self.devices.isdecimal() and int(self.devices)):
            _refuse("devices", "a number of at least 1, or 'auto'", self.devices)
        for name, least in (("nodes", 1), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                _refuse(name, f"at least {least}", value)
        if self.steps is not None and (self.steps.denoiser < 1 or self.steps.encoder < 0):
            _refuse("steps", "at least 1 for the denoiser and 0 for the encoder", self.steps)
        if self.force and not self.reason.strip():
            raise PlanError("a gate is overruled for a reason only: give 'reason' with 'force'.")

    def to_json(self) -> dict[str, Any]:
        """The plan as it stands in ``plan.json``."""
        return {
            "format": FORMAT,
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "registry": None if self.registry is None else str(self.registry),
            "steps": None if self.steps is None else vars(self.steps),
            "force": list(self.force),
            "scans": [_scan_to_json(scan) for scan in self.scans],
        }

    @classmethod
    def from_json(cls, values: object) -> Plan:
        """Read a plan.

        Raises:
            PlanError: A key is unknown, missing, or its value of the wrong kind; it is named.
        """
        found = _object(values, "the plan", {"format", *_KINDS})
        if found.get("format") != FORMAT:
            _refuse("format", str(FORMAT), found.get("format"))
        if "scans" not in found:
            raise PlanError("the key 'scans' is missing.")
        for key, (is_kind, words) in _KINDS.items():
            if key in found and not is_kind(found[key]):
                _refuse(key, words, found[key])
        known: dict[str, Any] = {key: value for key, value in found.items() if key != "format"}
        if known.get("registry") is not None:
            known["registry"] = Path(known["registry"])
        if known.get("steps") is not None:
            known["steps"] = _steps(known["steps"])
        known["force"] = tuple(known.get("force", ()))
        known["scans"] = tuple(
            _scan_from_json(entry, number) for number, entry in enumerate(found["scans"])
        )
        return cls(**known)

    def missing_scan(self) -> Path | None:
        """The first scan that is not there."""
        return next((scan.path for scan in self.scans if not scan.path.exists()), None)


def read_plan(run: Path) -> Plan:
    """Read the plan of a run's folder.

    Raises:
        PlanError: There is none, or it cannot be carried out.
    """
    path = run / PLAN
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"{path}: not a readable plan ({error}).") from error
    try:
        return Plan.from_json(values)
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error


def write_plan(run: Path, plan: Plan) -> None:
    """Write the plan of a run; its folder is made if need be."""
    content = json.dumps(plan.to_json(), indent=1, ensure_ascii=False) + "\n"
    write_whole(run / PLAN, lambda file: file.write(content.encode()))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count_or_none(value: object) -> bool:
    return value is None or _is_count(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_object_or_none(value: object) -> bool:
    return value is None or isinstance(value, dict)


_Kind = tuple[Callable[[object], bool], str]
_TEXT: _Kind = (_is_text, "a text")
_COUNT: _Kind = (_is_count, "a whole number")
_KINDS: dict[str, _Kind] = {
    **dict.fromkeys(("model", "mode", "start", "population", "reason", "by"), _TEXT),
    **dict.fromkeys(("device", "devices"), _TEXT),
    **dict.fromkeys(("registry", "version"), (_is_text_or_none, "a text or null")),
    **dict.fromkeys(("nodes", "seed"), _COUNT),
    "batch_size": (_is_count_or_none, "a whole number or null"),
    "steps": (_is_object_or_none, "an object or null"),
    "force": (_is_texts, "a list of names of gates"),
    "publish": (_is_flag, "true or false"),
    "scans": (_is_list, "a list"),
}


def _object(values: object, what: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise PlanError(f"{what} must be an object, got {_shown(values)}.")
    unknown = sorted(set(values) - keys)
    if unknown:
        raise PlanError(f"{what} has the unknown key {unknown[0]!r}; known are {sorted(keys)}.")
    return values


def _steps(values: object) -> Steps:
    found = _object(values, "'steps'", {"encoder", "denoiser"})
    for key in ("encoder", "denoiser"):
        if not _is_count(found.get(key)):
            _refuse(f"steps.{key}", "a whole number", found.get(key))
    return Steps(found["encoder"], found["denoiser"])


def _scan_from_json(values: object, number: int) -> MarkedScan:
    where = f"scans[{number}]"
    found = _object(values, where, {"subject", "path", "contrast"})
    for key in ("subject", "path"):
        if not isinstance(found.get(key), str) or not found[key].strip():
            _refuse(f"{where}.{key}", "a text", found.get(key))
    contrast = found.get("contrast")
    if contrast is not None and contrast not in CONTRASTS:
        _refuse(f"{where}.contrast", f"null or one of {', '.join(CONTRASTS)}", contrast)
    path = Path(found["path"])
    if not path.is_absolute():
        _refuse(f"{where}.path", "an absolute path", found["path"])
    return MarkedScan(found["subject"], path, contrast)


def _scan_to_json(scan: MarkedScan) -> dict[str, str | None]:
    return {"subject": scan.subject, "path": str(scan.path), "contrast": scan.contrast}


def _refuse(key: str, expected: str, got: object) -> None:
    raise PlanError(f"{key!r} must be {expected}, got {_shown(got)}.")


def _shown(value: object) -> str:
    words = repr(value)
    return words if len(words) <= 60 else f"{words[:57]}…"


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number; got {math.nan}")
