"""Finds or makes the file that a client asks for of a finished job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib.inference.messages import Task
from lib.jobs.job import RESULTS, Job
from lib.jobs.queue import view_arguments, view_of
from lib.problems import Problem, bad_request, conflict, not_found
from lib.server import Server

FORMATS = {
    "findings": ("json", "csv"),
    "report": ("html", "png"),
    "provenance": ("json",),
}
MAP_FORMATS = ("nii", "nii.gz", "nrrd")
_OF_VIEW = ("mask", "findings", "report", "provenance")
_MEDIA = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "png": "image/png",
    "nii": "application/octet-stream",
    "nii.gz": "application/gzip",
    "nrrd": "application/octet-stream",
}


@dataclass(frozen=True)
class ResultFile:
    """One file of a result.

    Args:
        path: On the server.
        name: For whoever saves it.
        media_type: Of the answer.
        etag: The same as long as the content is.
    """

    path: Path
    name: str
    media_type: str
    etag: str


def result_file(server: Server, job: Job, name: str, wanted: str | None) -> ResultFile:
    """The file of a result; blocks while it is packed or drawn, the first time.

    Args:
        server: The server.
        job: The job.
        name: One of `RESULTS`.
        wanted: The format; None for the first that there is.

    Raises:
        Problem: The job has no results, or there is no such format.
    """
    kind = _format(name, wanted)
    maps = _maps(server, job)
    view = view_of(job, server.state)
    of_view = bool(view) and name in _OF_VIEW
    folder = server.cache.view(job.key, view) if of_view else maps
    path = folder / f"{name}.{kind}"
    if not path.is_file():
        _make(server, job, maps, folder, name, kind)
    scan = (job.image or "scan").replace("/", "-")
    digest = server.state.keyed("file", job.key, view if of_view else "", name, kind)
    return ResultFile(path, f"{scan}_{name}.{kind}", _MEDIA[kind], f'"{digest}"')


def _format(name: str, wanted: str | None) -> str:
    if name not in RESULTS:
        raise not_found("A result of this name", f"There are {', '.join(RESULTS)}.")
    known = FORMATS.get(name, MAP_FORMATS)
    if wanted is None:
        return known[0]
    if wanted not in known:
        error = f"{wanted!r} is no format of {name}."
        raise bad_request(error, f"There are {', '.join(known)}.")
    return wanted


def _maps(server: Server, job: Job) -> Path:
    if job.state == "failed":
        raise Problem(job.status or 422, job.error or "The job failed.", job.hint or "Ask again.")
    if job.state != "done":
        error = f"The job is {job.state}, so there is no result."
        raise conflict(error, "Wait until its state is 'done'.")
    maps = server.cache.find(job.key)
    if maps is None:
        error = "The results are no longer kept."
        raise Problem(410, error, "Ask for them again with POST /counterpart/jobs.")
    return maps


def _make(server: Server, job: Job, maps: Path, folder: Path, name: str, kind: str) -> None:
    """Have the file made by the process that needs no network."""
    out = {"out": str(folder)}
    if kind == "csv":
        task = Task("table", out)
    elif name == "report":
        _check_unchanged(server, job)
        view = view_arguments(job)
        task = Task("report", {**out, "scan": job.path, "result": str(maps), **view})
    else:
        _check_unchanged(server, job)
        source = str(folder / f"{name}.nii")
        task = Task(
            "pack", {"map": source, "out": str(folder / f"{name}.{kind}"), "scan": job.path}
        )
    server.desk.ask(task)


def _check_unchanged(server: Server, job: Job) -> None:
    """Refuse to draw results over a scan that is no longer the one they are of."""
    path = Path(job.path)
    if not path.exists() or (job.image and server.studies.content(path) != job.content):
        error = "The scan was removed or changed since the job was done."
        raise Problem(410, error, "Ask for its counterpart again.")
