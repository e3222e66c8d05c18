"""What the server says of itself and of jobs, checked as it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, TypeVar

from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.translation import _

DONE, FAILED, CANCELLED, QUEUED, RUNNING = "done", "failed", "cancelled", "queued", "running"
ENDED = (DONE, FAILED, CANCELLED)
ADMINISTRATOR = "admin"
Value = TypeVar("Value")


@dataclass(frozen=True)
class ModelName:
    """Which weights serve, or did the work."""

    name: str
    version: str
    weights_sha256: str


@dataclass(frozen=True)
class Calibration:
    """What a contrast is calibrated on.

    Args:
        contrast: ``T1``, ``T1c``, ``T2`` or ``FLAIR``.
        scans: Number of scans behind the threshold.
        threshold: The healthy threshold of the anomaly map.
        p_floor: Least possible p-value; None where scores are no p-values.
    """

    contrast: str
    scans: int
    threshold: float
    p_floor: Optional[float]


@dataclass(frozen=True)
class ServerInfo:
    """What a server is.

    Args:
        version: Of the server.
        model: That serves.
        calibrations: One for each contrast.
        device: On which it computes.
        user: Name of who asks.
        role: ``user``, ``annotator``, ``reviewer`` or ``admin``.
        upload_mb: Largest scan that it takes.
    """

    version: str
    model: ModelName
    calibrations: tuple[Calibration, ...]
    device: str
    user: str
    role: str
    upload_mb: int

    @property
    def administers(self) -> bool:
        """Whether who asks may mark scans, train and choose versions."""
        return self.role == ADMINISTRATOR

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ServerInfo:
        """Read the answer of ``GET /counterpart/info``.

        Raises:
            ServerProblem: It is none (kind ``old_server``).
        """
        return _read(values, _server_info, "old_server")


@dataclass(frozen=True)
class JobStatus:
    """How far a job is.

    Args:
        id: Names it.
        state: ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``.
        stage: What is being done, in the server's words.
        fraction: Done of it, 0 to 1.
        seconds_left: Estimate; None where there is none.
        position: In the queue; 0 runs, None has ended.
        model: That does the work; None before it is known.
        error: Why it failed.
        hint: What to do about it.
        image: Id in the studies; empty for an upload.
        scan: Hash of an upload; empty for a study.
        results: Names of the results, once done.
    """

    id: str
    state: str
    stage: str = ""
    fraction: float = 0.0
    seconds_left: Optional[float] = None
    position: Optional[int] = None
    model: Optional[ModelName] = None
    error: str = ""
    hint: str = ""
    image: str = ""
    scan: str = ""
    results: tuple[str, ...] = field(default=())

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> JobStatus:
        """Read the answer of ``GET /counterpart/jobs/{id}``.

        Raises:
            ServerProblem: It is none (kind ``nonsense``).
        """
        return _read(values, _job_status, "nonsense")


def _server_info(values: Mapping[str, Any]) -> ServerInfo:
    if values["name"] != "Counterpart":
        raise ValueError(f"name {values['name']!r}")
    return ServerInfo(
        version=str(values["version"]),
        model=_model(values["model"]),
        calibrations=tuple(
            Calibration(
                str(one["contrast"]),
                int(one["scans"]),
                _finite(one["threshold"]),
                _optional(_finite, one["p_floor"]),
            )
            for one in values["calibrations"]
        ),
        device=str(values["device"]),
        user=str(values["user"]["name"]),
        role=str(values["user"]["role"]),
        upload_mb=int(values["limits"]["upload_mb"]),
    )


def _job_status(values: Mapping[str, Any]) -> JobStatus:
    state = str(values["state"])
    if state not in (QUEUED, RUNNING, *ENDED):
        raise ValueError(f"state {state!r}")
    return JobStatus(
        id=str(values["id"]),
        state=state,
        stage=str(values.get("stage") or ""),
        fraction=min(max(_finite(values.get("fraction") or 0.0), 0.0), 1.0),
        seconds_left=_optional(_finite, values.get("seconds_left")),
        position=_optional(int, values.get("position")),
        model=_optional(_model, values.get("model")),
        error=str(values.get("error") or ""),
        hint=str(values.get("hint") or ""),
        image=str(values.get("image") or ""),
        scan=str(values.get("scan") or ""),
        results=tuple(str(name) for name in values.get("results") or ()),
    )


def _model(values: Mapping[str, Any]) -> ModelName:
    return ModelName(str(values["name"]), str(values["version"]), str(values["weights_sha256"]))


def _read(
    values: Mapping[str, Any], reader: Callable[[Mapping[str, Any]], Value], kind: str
) -> Value:
    try:
        return reader(values)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ServerProblem(
            kind,
            _("The server answers in a way that this module does not understand ({why}).").format(
                why=error
            ),
            _("Ask its administrator to update the server, or update this extension."),
        ) from error


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not finite")
    return number


def _optional(reader: Callable[[Any], Value], value: Any) -> Optional[Value]:
    return None if value is None else reader(value)
