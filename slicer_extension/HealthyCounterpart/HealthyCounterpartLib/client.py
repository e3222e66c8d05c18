"""Asks a Counterpart server over HTTP: files are streamed, and every failure has its sentence.

Redirects are not followed, names that a server gives to files are not used, certificates are always
verified, and the token goes to the given address alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Callable, Optional
from urllib.parse import quote, urlencode

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.exchange import Answer, Exchange, Request, nonsense
from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.refusals import not_counterpart, old_server, without_app
from HealthyCounterpartLib.server_facts import JobStatus, ServerInfo
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.worker import Stopped

Tell = Callable[[float], None]
SCAN_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
MOST_FILE_BYTES = 4 << 30
_MOST_JSON_BYTES = 16 << 20
_BLOCK_BYTES = 256 << 10
_PATIENT_S = 120.0  # while a server reads a scan, hashes weights, or starts a process
_STRANGE = ("nonsense", "refusal", "server")  # as those answer, too, who know nothing of us
_NO_SUCH_ROUTE = (404, 410)
_OCTETS = "application/octet-stream"
_FORM = "application/x-www-form-urlencoded"


class ServerClient:
    """Asks one server. Every method may raise a `ServerProblem`.

    Args:
        address: Of the server.
        token: For it; empty for none.
        timeout_s: Longest wait for a connection, and for the next bytes.
        context: For TLS; without it the system's certificates decide whom to trust.

    Raises:
        ServerProblem: The token has letters that no token has (kind ``token``).
    """

    def __init__(
        self,
        address: ServerAddress,
        token: str = "",
        *,
        timeout_s: float = 10.0,
        context: Optional[ssl.SSLContext] = None,
    ) -> None:
        self.address = address
        self._exchange = Exchange(address, token, timeout_s, context)

    def info(self) -> ServerInfo:
        """What the server is; where it is none of ours, the problem says what it is."""
        try:
            values = self._json(Request("GET", "/counterpart/info"))
        except ServerProblem as problem:
            if problem.kind in _STRANGE or problem.status in _NO_SUCH_ROUTE:
                raise self._stranger(problem) from problem
            raise
        if values.get("name") != "Counterpart":
            raise not_counterpart(self.address)
        return ServerInfo.from_json(values)

    def studies(self) -> tuple[str, ...]:
        """The ids of the server's studies, sorted."""
        objects = self._json(Request("GET", "/datastore/?output=all")).get("objects")
        if not isinstance(objects, dict):
            raise nonsense(_("it lists no studies"))
        return tuple(sorted(objects))

    def download_study(self, image: str, folder: Path, tell: Tell, stop: threading.Event) -> Path:
        """Fetch a study's file into a folder.

        Args:
            image: Id of the study.
            folder: An existing folder.
            tell: Is told the fraction that is there.
            stop: Ends it.

        Returns:
            The file, ``study`` with the suffix of its format.
        """
        path = f"/datastore/image?{urlencode({'image': image})}"
        request = Request("GET", path, wait_s=_PATIENT_S, whole_s=None)
        with self._exchange.answer(request, stop) as answer:
            file = folder / f"study{_suffix(answer)}"
            _save(answer, file, tell, stop, MOST_FILE_BYTES)
        return file

    def knows_scan(self, sha256: str) -> bool:
        """Whether a scan with this hash was sent before and is still kept."""
        try:
            self._json(Request("GET", f"/counterpart/scans/{_quoted(sha256)}"))
        except ServerProblem as problem:
            if problem.kind == "gone":
                return False
            raise
        return True

    def upload(self, path: Path, name: str, tell: Tell, stop: threading.Event) -> str:
        """Send a scan, which is read from the disk block by block.

        Args:
            path: The file.
            name: That the server shall know it by, with the suffix of its format.
            tell: Is told the fraction that is sent.
            stop: Ends it.

        Returns:
            The sha256 that the server found.

        Raises:
            Stopped: ``stop`` was set.
        """
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            request = Request(
                "PUT",
                f"/counterpart/scans?{urlencode({'name': name})}",
                _told(iter(lambda: stream.read(_BLOCK_BYTES), b""), size, tell, stop),
                size,
                _OCTETS,
                wait_s=_PATIENT_S,
                whole_s=None,
            )
            return str(self._json(request, stop).get("scan"))

    def submit(
        self, *, image: str = "", scan: str = "", options: Mapping[str, object]
    ) -> JobStatus:
        """Ask for a counterpart; the same request has the same job.

        Args:
            image: Id of a study, or else
            scan: the hash of a scan that was sent.
            options: ``contrast``, ``seed``, ``threshold``, ``minimum_ml``.
        """
        of = {"image": image} if image else {"scan": scan}
        return JobStatus.from_json(
            self._json_sent("POST", "/counterpart/jobs", {**of, "options": dict(options)})
        )

    def job(self, id: str, stop: Optional[threading.Event] = None) -> JobStatus:
        """How far a job is."""
        return JobStatus.from_json(self._json(Request("GET", _job_path(id)), stop))

    def cancel(self, id: str) -> JobStatus:
        """Stop a job; one that runs stops a little later."""
        return JobStatus.from_json(self._json(Request("DELETE", _job_path(id))))

    def fetch(
        self,
        job_id: str,
        name: str,
        kind: str,
        path: Path,
        tell: Tell,
        stop: threading.Event,
        *,
        most_bytes: int = MOST_FILE_BYTES,
    ) -> None:
        """Write one result of a job to a file, which appears once it is complete.

        Args:
            job_id: Of a job that is done.
            name: ``counterpart``, ``residual``, ``anomaly``, ``mask``, ``findings``, ``report``, …
            kind: ``nii``, ``nii.gz``, ``nrrd``; ``html``, ``png``; ``json``, ``csv``.
            path: The file; it is replaced.
            tell: Is told the fraction that is there.
            stop: Ends it.
            most_bytes: A longer file is refused.

        Raises:
            Stopped: ``stop`` was set.
        """
        query = urlencode({"format": kind})
        address = f"{_result_path(job_id, name)}?{query}"  # a report is drawn when first asked for
        request = Request("GET", address, wait_s=_PATIENT_S, whole_s=None)
        with self._exchange.answer(request, stop) as answer:
            _save(answer, path, tell, stop, most_bytes)

    def fetch_reference(
        self,
        job_id: str,
        reference: str,
        path: Path,
        tell: Tell,
        stop: threading.Event,
        *,
        most_bytes: int = MOST_FILE_BYTES,
    ) -> None:
        """Write the picture of a healthy reference to a file, which appears once it is complete.

        Args:
            job_id: Of the job that names it.
            reference: Its pseudonym.
            path: The file, ``.nii.gz``; it is replaced.
            tell: Is told the fraction that is there.
            stop: Ends it.
            most_bytes: A longer file is refused.

        Raises:
            Stopped: ``stop`` was set.
        """
        address = f"{_job_path(job_id)}/references/{_quoted(reference)}"
        request = Request("GET", address, wait_s=_PATIENT_S, whole_s=None)
        with self._exchange.answer(request, stop) as answer:
            _save(answer, path, tell, stop, most_bytes)

    def fetch_json(
        self, job_id: str, name: str, stop: Optional[threading.Event] = None
    ) -> dict[str, Any]:
        """One result of a job that is JSON: ``findings``, ``provenance``, ``references``."""
        return self._json(Request("GET", _result_path(job_id, name)), stop)

    def mark_healthy(self, image: str, healthy: bool) -> None:
        """Take a study into the healthy cohort, or out of it; an administrator may."""
        said = json.dumps({"cohort": "healthy" if healthy else ""})
        body = urlencode({"info": said}).encode()
        path = f"/datastore/image/info?{urlencode({'image': image})}"
        self._json(Request("PUT", path, (body,), len(body), _FORM))

    def cohort(self) -> dict[str, Any]:
        """The scans that are marked as healthy, and what speaks against them."""
        return self._json(Request("GET", "/counterpart/cohort", wait_s=_PATIENT_S))

    def training(self) -> dict[str, Any]:
        """How far the last training is."""
        return self._json(Request("GET", "/counterpart/training"))

    def start_training(self, parameters: Mapping[str, object]) -> dict[str, Any]:
        """Begin to calibrate or to retrain; an administrator may."""
        return self._json_sent("POST", "/counterpart/training", parameters)

    def stop_training(self) -> dict[str, Any]:
        """Stop the training; its last checkpoint stays."""
        return self._json(Request("DELETE", "/counterpart/training", wait_s=_PATIENT_S))

    def models(self) -> dict[str, Any]:
        """Every version of the model, and which one serves."""
        return self._json(Request("GET", "/counterpart/models", wait_s=_PATIENT_S))

    def roll_back(self, version: str, reason: str) -> dict[str, Any]:
        """Let an earlier version serve again; an administrator may."""
        wanted = {"to": version, "reason": reason}
        return self._json_sent("POST", "/counterpart/models/rollback", wanted)

    def _stranger(self, problem: ServerProblem) -> ServerProblem:
        """Who it is that does not answer as Counterpart does."""
        request = Request("GET", "/info/", anonymous=True, whole_s=self._exchange.timeout_s)
        try:
            values = self._json(request)
        except ServerProblem:
            return problem if problem.kind == "server" else not_counterpart(self.address)
        if values.get("name") == "Counterpart":
            return problem if problem.kind == "server" else old_server(self.address)
        if {"models", "trainers", "datastore"} <= set(values):
            return without_app(self.address)
        return not_counterpart(self.address)

    def _json_sent(self, method: str, path: str, values: Mapping[str, object]) -> dict[str, Any]:
        body = json.dumps(dict(values)).encode()
        return self._json(Request(method, path, (body,), len(body), wait_s=_PATIENT_S))

    def _json(self, request: Request, stop: Optional[threading.Event] = None) -> dict[str, Any]:
        """The object that is answered; what is no plain JSON object is refused."""
        with self._exchange.answer(request, stop) as answer:
            content = answer.content(_MOST_JSON_BYTES)
        try:
            values = json.loads(content, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise nonsense(_("it is no JSON")) from error
        if not isinstance(values, dict):
            raise nonsense(_("it is no JSON object"))
        return values


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _job_path(id: str) -> str:
    return f"/counterpart/jobs/{_quoted(id)}"


def _result_path(job_id: str, name: str) -> str:
    return f"{_job_path(job_id)}/results/{_quoted(name)}"


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _suffix(answer: Answer) -> str:
    """The suffix of a format that is known; nothing else of the server's file name is used."""
    said = answer.headers.get("Content-Disposition") or ""
    found = re.search(r"filename\*?=[^;]*?(\.nii\.gz|\.nii|\.nrrd|\.mha)\"?\s*(;|$)", said, re.I)
    if found is None:
        raise nonsense(_("it does not say which format the study has"))
    return found[1].lower()


def _told(
    blocks: Iterator[bytes], size: Optional[int], tell: Tell, stop: threading.Event
) -> Iterator[bytes]:
    """Hand blocks on, until a stop is set; each whole percent of them is told."""
    passed, told = 0, -1
    for block in blocks:
        if stop.is_set():
            raise Stopped
        yield block
        passed += len(block)
        percent = 100 * passed // size if size else 0
        if percent > told:
            told = percent
            tell(min(percent / 100, 1.0))


def _save(answer: Answer, path: Path, tell: Tell, stop: threading.Event, most_bytes: int) -> None:
    """Stream an answer into a file, which appears once it is complete."""
    chunked = "chunked" in (answer.headers.get("Transfer-Encoding") or "").lower()
    if answer.length is None and not chunked:
        raise nonsense(_("it does not say how long a file is"))
    if (answer.headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise nonsense(_("a file is packed that should not be"))
    if (answer.length or 0) > most_bytes:
        raise nonsense(_("a file is longer than it can be"))
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as stream:
            for block in _told(answer.blocks(most_bytes), answer.length, tell, stop):
                stream.write(block)
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
