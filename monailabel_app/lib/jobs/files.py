"""Finds or makes the file that a client asks for of a finished job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from counterpart.errors import ModelError
from lib.inference.messages import Task, problem_of
from lib.jobs.job import REFERENCES, RESULTS, Job
from lib.jobs.queue import view_arguments, view_of
from lib.jobs.references import names_withdrawn, read_references
from lib.problems import Problem, bad_request, conflict, not_found
from lib.server import Server
from lib.state import write_json

FORMATS = {
    "findings": ("json", "csv"),
    "report": ("html", "png"),
    "provenance": ("json",),
    "references": ("json",),
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
    maps = maps_of(server, job)
    if name == REFERENCES:
        return _references(server, job, maps)
    view = view_of(job, server.state)
    of_view = bool(view) and name in _OF_VIEW
    folder = server.cache.view(job.key, view) if of_view else maps
    path = folder / f"{name}.{kind}"
    if not path.is_file():
        _make(server, job, maps, folder, name, kind)
    digest = server.state.keyed("file", job.key, view if of_view else "", name, kind)
    return ResultFile(path, file_name(job, name, kind), _MEDIA[kind], f'"{digest}"')


def file_name(job: Job, name: str, kind: str) -> str:
    """A name for whoever saves a file of a job."""
    scan = (job.image or "scan").replace("/", "-")
    return f"{scan}_{name}.{kind}"


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


def maps_of(server: Server, job: Job) -> Path:
    """The folder of a job's result; one that names a reference who was withdrawn is removed.

    Raises:
        Problem: The job has no results, or no longer; or nobody knows who was withdrawn.
    """
    if job.state == "failed":
        raise Problem(job.status or 422, job.error or "The job failed.", job.hint or "Ask again.")
    if job.state != "done":
        error = f"The job is {job.state}, so there is no result."
        raise conflict(error, "Wait until its state is 'done'.")
    maps = server.cache.find(job.key)
    try:
        if maps is not None and names_withdrawn(maps, job.model["name"] if job.model else ""):
            server.cache.remove(job.key)
            maps = None
    except ModelError as damaged:
        raise problem_of(damaged) from damaged
    if maps is None:
        error = "The results are no longer kept."
        raise Problem(410, error, "Ask for them again with POST /counterpart/jobs.")
    return maps


def _references(server: Server, job: Job, maps: Path) -> ResultFile:
    """What the result says of its healthy references, and whether this server shows them."""
    told = read_references(maps)
    if not told:
        error = "The model knows no healthy references."
        hint = "Ask the administrator for a model that does; the other results are there."
        raise Problem(404, error, hint)
    viewable = server.settings.references_cohort is not None
    path = server.cache.references(job.key) / ("viewable.json" if viewable else "named.json")
    if not path.is_file():
        write_json(path, {**told, "viewable": viewable})
    digest = server.state.keyed("file", job.key, REFERENCES, path.name)
    return ResultFile(path, file_name(job, REFERENCES, "json"), _MEDIA["json"], f'"{digest}"')


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
