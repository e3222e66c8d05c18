"""A job: one scan with its options, and how far it is."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
ResultName = Literal[
    "counterpart",
    "residual",
    "anomaly",
    "mask",
    "findings",
    "report",
    "provenance",
    "reconstruction",
    "brain",
    "references",
]
RESULTS: tuple[ResultName, ...] = get_args(ResultName)
REFERENCES: ResultName = "references"  # of models that know theirs alone
_SURE_FROM = 0.08


class JobOptions(BaseModel):
    """What may be chosen for a job."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    contrast: Literal["T1", "T1c", "T2", "FLAIR", "unknown"] | None = Field(
        default=None,
        description="The sequence; else from DICOM tags, the scan's name or the tissues.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Of the diffusion's noise.")
    threshold: float | None = Field(
        default=None, gt=0, le=1000, description="Of the anomaly map; else the healthy threshold."
    )
    minimum_ml: float | None = Field(
        default=None, gt=0, le=1000, description="Smaller places are no findings; else 0.1 ml."
    )


class JobRequest(BaseModel):
    """A scan of the server, or an uploaded one, and options."""

    model_config = ConfigDict(extra="forbid")

    image: str | None = Field(default=None, description="Id of an image of the studies.")
    scan: str | None = Field(
        default=None,
        description="Content hash of an upload.",
        json_schema_extra={"pattern": "^[0-9a-f]{64}$"},
    )
    options: JobOptions = JobOptions()


class ModelName(BaseModel):
    """Which weights did the work."""

    name: str
    version: str
    weights_sha256: str


class JobStatus(BaseModel):
    """How far a job is."""

    id: str
    state: State
    stage: str = Field(description="What is being done, in words.")
    fraction: float = Field(description="How much of it is done, 0 to 1.")
    seconds_left: float | None = Field(description="An estimate, once there is one.")
    position: int | None = Field(description="Place in the queue; 0 is running.")
    image: str | None
    scan: str | None
    options: JobOptions
    model: ModelName | None
    created: float = Field(description="Seconds since 1970.")
    started: float | None
    finished: float | None
    findings: int | None = Field(description="How many were found, once done.")
    error: str | None
    hint: str | None
    results: dict[str, str] = Field(description="Where the files are, once done.")
    disclaimer: str


@dataclass
class Job:
    """One job, as it is kept.

    Args:
        id: Of the job; the same request has the same.
        options: As asked for.
        image: Id in the studies; None for an upload.
        scan: Content hash of an upload; None for an image of the studies.
        content: Content hash of the scan.
        path: Of the scan's file or folder.
        state: One of `State`.
        stage: In words.
        fraction: 0 to 1.
        key: Of the computation, by which its results are found.
        model: Name, version and hash of the weights that did the work.
        findings: How many were found.
        references: Whether the model knows its healthy references.
        error: Why it failed.
        hint: What to do about it.
        status: HTTP status that says how it failed.
        created: Seconds since 1970.
        started: Seconds since 1970.
        finished: Seconds since 1970.
    """

    id: str
    options: dict[str, Any]
    image: str | None
    scan: str | None
    content: str
    path: str
    state: State = "queued"
    stage: str = "Waiting"
    fraction: float = 0.0
    key: str = ""
    model: dict[str, str] | None = None
    findings: int | None = None
    references: bool = False
    error: str | None = None
    hint: str | None = None
    status: int | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None

    @property
    def results(self) -> tuple[ResultName, ...]:
        """The names of its results; none before it is done."""
        if self.state != "done":
            return ()
        return tuple(name for name in RESULTS if name != REFERENCES or self.references)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def seconds_left(self, now: float) -> float | None:
        """By how long the part that is done took; None while that says little."""
        if self.state != "running" or self.started is None or self.fraction < _SURE_FROM:
            return None
        return round((now - self.started) / self.fraction * (1.0 - self.fraction), 1)

    def to_json(self) -> dict[str, Any]:
        """The job as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Job:
        """Read a job; unknown keys are left out.

        Raises:
            TypeError: A key is missing.
        """
        known = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
