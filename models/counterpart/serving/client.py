"""A client of the server for scripts and the demo: streams from and to disk, and needs no torch.

::

    client = CounterpartClient("http://127.0.0.1:8000", token=None)
    job = client.wait(client.submit(image="head_FLAIR").id)
    client.fetch(job.id, "anomaly", Path("anomaly.nii.gz"), kind="nii.gz")
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from counterpart.errors import ServingError
from counterpart.serving.address import Address

DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
_STATES = ("queued", "running", *ENDED)
_BLOCK = 1 << 20
_ANSWER_BYTES = 16 << 20
_LOST_FOR_S = 30.0
_UNAUTHORISED = 401


@dataclass(frozen=True)
class Job:
    """What the server says of a job.

    Args:
        id: Names it.
        state: ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``.
        stage: What is being done, in words.
        fraction: Done of it, 0 to 1.
        seconds_left: Estimate; None where there is none.
        position: In the queue; 0 runs, None has ended.
        error: Why it failed.
        hint: What to do about it.
        findings: Their number; None before the end.
        model: Name, version and hash of the weights.
        results: What can be fetched of it, once it is done.
    """

    id: str
    state: str
    stage: str = ""
    fraction: float = 0.0
    seconds_left: float | None = None
    position: int | None = None
    error: str = ""
    hint: str = ""
    findings: int | None = None
    model: Mapping[str, str] = field(default_factory=dict)
    results: frozenset[str] = frozenset()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Job:
        """Read a job.

        Raises:
            ServingError: It is none.
        """
        try:
            job = cls(
                str(values["id"]),
                str(values["state"]),
                str(values.get("stage") or ""),
                float(values.get("fraction") or 0.0),
                _optional(float, values.get("seconds_left")),
                _optional(int, values.get("position")),
                str(values.get("error") or ""),
                str(values.get("hint") or ""),
                _optional(int, values.get("findings")),
                {str(key): str(value) for key, value in (values.get("model") or {}).items()},
                frozenset(map(str, values.get("results") or ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ServingError(
                f"the server describes a job in an unknown way ({error})."
            ) from error
        if job.state not in _STATES:
            raise ServingError(f"the server names an unknown state of a job: {job.state!r}.")
        return job


class CounterpartClient:
    """Asks a server; every failure is a `ServingError` of one sentence with what to do.

    Args:
        url: Of the server, such as ``http://127.0.0.1:8000``.
        token: For it, if it wants one.
        timeout_s: For each wait.
        context: For TLS; without it the system's certificates decide whom to trust.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_s: float = 30.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.address = Address.of(url)
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._timeout_s = timeout_s
        self._context = context

    def health(self) -> dict[str, Any]:
        """Whether the server is ready, and its version."""
        return self._json("GET", "/counterpart/health")

    def info(self) -> dict[str, Any]:
        """Model, calibrations, device, who asks, limits."""
        return self._json("GET", "/counterpart/info")

    def upload(self, path: Path, name: str | None = None) -> dict[str, Any]:
        """Send a scan, which is read from the disk block by block.

        Args:
            path: The file.
            name: That the server shall know it by; the file's own without it.

        Returns:
            ``scan`` (its hash), ``name``, ``shape``, ``spacing_mm``, ``bytes``.
        """
        query = urlencode({"name": name or path.name})
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            return self._json("PUT", f"/counterpart/scans?{query}", stream, headers)

    def submit(
        self,
        *,
        image: str | None = None,
        scan: str | None = None,
        options: Mapping[str, object] | None = None,
    ) -> Job:
        """Ask for a counterpart.

        Args:
            image: Identifier of a scan in the studies, or else
            scan: hash of one that was uploaded.
            options: ``contrast``, ``seed``, ``threshold``, ``minimum_ml``.

        Raises:
            ServingError: The server refuses, or neither or both scans were given.
        """
        if (image is None) == (scan is None):
            raise ServingError("name either an image of the studies or an uploaded scan.")
        of = {"image": image} if scan is None else {"scan": scan}
        return Job.from_json(
            self._json_body("POST", "/counterpart/jobs", {**of, "options": dict(options or {})})
        )

    def job(self, job_id: str) -> Job:
        """How a job is getting on."""
        return Job.from_json(self._json("GET", _job_path(job_id)))

    def cancel(self, job_id: str) -> Job:
        """Stop a job."""
        return Job.from_json(self._json("DELETE", _job_path(job_id)))

    def wait(
        self,
        job_id: str,
        *,
        tell: Callable[[Job], None] | None = None,
        timeout_s: float | None = None,
        pause_s: float = 0.25,
    ) -> Job:
        """Wait until a job is done; a server that is away for half a minute is waited for.

        Args:
            job_id: Of the job.
            tell: Called with every answer.
            timeout_s: After which it is given up; the job itself goes on.
            pause_s: Between two questions.

        Returns:
            The job, done.

        Raises:
            ServingError: It failed or was cancelled, time is over, or the server is gone.
        """
        start = heard = time.monotonic()
        while True:
            try:
                job = self.job(job_id)
                heard = time.monotonic()
            except _UnreachableError:
                if time.monotonic() - heard > _LOST_FOR_S:
                    raise
            else:
                if tell is not None:
                    tell(job)
                if job.state in ENDED:
                    return _done(job)
            if timeout_s is not None and time.monotonic() - start > timeout_s:
                raise ServingError(
                    f"the job {job_id} has not ended within {timeout_s:g} s; ask again later."
                )
            time.sleep(pause_s)

    def fetch(self, job_id: str, name: str, path: Path, *, kind: str | None = None) -> None:
        """Write one result of a job to a file, which appears once it is complete.

        Args:
            job_id: Of a job that is done.
            name: ``counterpart``, ``residual``, ``anomaly``, ``mask``, ``findings``, ``report``,
                ``provenance``, ``reconstruction`` or ``brain``.
            path: The file; it is replaced.
            kind: ``nii``, ``nii.gz`` or ``nrrd`` for images, ``html`` or ``png`` for the report,
                ``json`` or ``csv`` for the findings.

        Raises:
            ServingError: There is no such result, or it breaks off.
        """
        query = f"?{urlencode({'format': kind})}" if kind else ""
        part = path.with_name(f".{path.name}.part")
        try:
            with (
                self._answer("GET", f"{_job_path(job_id)}/results/{quote(name)}{query}") as answer,
                part.open("wb") as stream,
            ):
                expected = answer.length
                while block := self._read(answer, _BLOCK):
                    stream.write(block)
                if expected is not None and stream.tell() != expected:
                    raise _UnreachableError(f"the result {name!r} broke off; fetch it again.")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def _json_body(self, method: str, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        return self._json(
            method, path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )

    def _json(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        with self._answer(method, path, body, headers) as answer:
            content = self._read(answer, _ANSWER_BYTES)
        try:
            values = json.loads(content)
        except ValueError as error:
            raise ServingError(f"{self._what(path)}: the answer is no JSON; {_OTHER}.") from error
        if not isinstance(values, dict):
            raise ServingError(f"{self._what(path)}: the answer is no JSON object; {_OTHER}.")
        return values

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to a request, if it is a good one; the connection ends with it."""
        connection = self.address.connection(self._timeout_s, self._context)
        with contextlib.closing(connection):
            with self._reached():
                # A server that refuses an upload answers before it has read all of it.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(
                        method,
                        self.address.base + path,
                        body,
                        headers={**self.headers, **(headers or {})},
                    )
                answer = connection.getresponse()
            if not 200 <= answer.status < 300:
                raise ServingError(self._refusal(answer, path))
            yield answer

    def _read(self, answer: http.client.HTTPResponse, most: int) -> bytes:
        with self._reached():
            return answer.read(most)

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        """Turns what may happen to a connection into a sentence; files are not its business."""
        try:
            yield
        except TimeoutError as error:
            raise _UnreachableError(
                f"{self.address.url} does not answer within {self._timeout_s:g} s; it may be busy, "
                "so try again later."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _UnreachableError(
                f"no answer from {self.address.url} ({_reason(error)}); start the server with "
                "`counterpart serve`, or correct the address."
            ) from error

    def _refusal(self, answer: http.client.HTTPResponse, path: str) -> str:
        """What a server says of why it refuses, in one sentence."""
        try:
            said = json.loads(self._read(answer, _ANSWER_BYTES))
            text = " ".join(str(said[key]) for key in ("error", "hint") if said.get(key))
            text = text or str(said.get("detail") or "")
        except (ValueError, AttributeError):
            text = ""
        if not text and answer.status == _UNAUTHORISED:
            text = "the server wants a token, or does not know the one it got; ask who runs it."
        return text or f"{self._what(path)}: status {answer.status}; {_OTHER}."

    def _what(self, path: str) -> str:
        return f"{self.address.url}{path.split('?')[0]}"


_OTHER = "is this a Counterpart server, and of this version?"


class _UnreachableError(ServingError):
    """Nobody answered, or an answer broke off; it may be better later."""


def unverified() -> ssl.SSLContext:
    """For TLS to a server of whose process one knows otherwise that it is the right one."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _done(job: Job) -> Job:
    if job.state == CANCELLED:
        raise ServingError(
            f"the job {job.id} was cancelled; submit it again if that was a mistake."
        )
    if job.state == FAILED:
        raise ServingError(" ".join(filter(None, (job.error, job.hint))) or "the job failed.")
    return job


def _job_path(job_id: str) -> str:
    return f"/counterpart/jobs/{quote(job_id, safe='')}"


def _optional(kind: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else kind(value)


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed"
    text = error.strerror if isinstance(error, OSError) else ""
    return text or str(error) or type(error).__name__
