"""Finds or makes the picture of a healthy reference, where the administrator lets it be seen."""

from __future__ import annotations

from lib.inference.messages import Task
from lib.jobs.files import ResultFile, file_name, maps_of
from lib.jobs.job import Job
from lib.jobs.references import named_references
from lib.problems import Problem, not_found
from lib.server import Server

_KIND = "nii.gz"


def picture_file(server: Server, job: Job, reference: str) -> ResultFile:
    """The picture of a reference that a job's answer names; blocks while it is made.

    Args:
        server: The server.
        job: The job.
        reference: Pseudonym.

    Raises:
        Problem: The server shows none, the answer names no such reference, or has no results.
    """
    cohort = server.settings.references_cohort
    if cohort is None:
        raise Problem(
            403,
            "This server names healthy references by id and similarity alone.",
            "The administrator lets them be seen by naming the folder of the prepared cohort in "
            "COUNTERPART_REFERENCES_COHORT.",
        )
    maps = maps_of(server, job)
    if reference not in named_references(maps):  # so that nobody walks through the cohort
        hint = "Ask for one of those that the result 'references' lists."
        raise not_found("A reference of this name in the job's answer", hint)
    digest = server.state.keyed("picture", job.key, str(cohort), reference)
    path = server.cache.references(job.key) / f"{digest}.{_KIND}"
    if not path.is_file():
        arguments = {"cohort": str(cohort), "name": reference, "result": str(maps)}
        server.desk.ask(Task("reference", {**arguments, "out": str(path)}))
    return ResultFile(path, file_name(job, reference, _KIND), "application/gzip", f'"{digest}"')
