"""What clients are told of a job."""

from __future__ import annotations

import time

from counterpart.results import DISCLAIMER
from lib.jobs.job import Job, JobOptions, JobStatus, ModelName
from lib.jobs.queue import JobQueue


def status_of(job: Job, queue: JobQueue, root: str = "") -> JobStatus:
    """How far a job is, as clients see it.

    Args:
        job: The job.
        queue: Knows its place.
        root: Path below which the server lives.
    """
    base = f"{root}/counterpart/jobs/{job.id}/results"
    return JobStatus(
        id=job.id,
        state=job.state,
        stage=job.stage,
        fraction=round(job.fraction, 4),
        seconds_left=job.seconds_left(time.time()),
        position=None if job.ended else queue.position(job),
        image=job.image,
        scan=job.scan,
        options=JobOptions(**job.options),
        model=ModelName(**job.model) if job.model else None,
        created=job.created,
        started=job.started,
        finished=job.finished,
        findings=job.findings if job.state == "done" else None,
        error=job.error if job.state == "failed" else None,
        hint=job.hint if job.state == "failed" else None,
        results={name: f"{base}/{name}" for name in job.results},
        disclaimer=DISCLAIMER,
    )
