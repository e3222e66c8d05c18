"""What all routes share: settings, state, who is known, the studies, the jobs and the processes."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from counterpart.attribution.pictures import ReferencePictures
from counterpart.bundle import (
    bundle_folder,
    bundle_name,
    bundle_version,
    checked_digests,
)
from counterpart.registry.serving_models import ServingModels
from lib.datastore.names import checked_hash, checked_id
from lib.datastore.studies import Studies
from lib.datastore.uploads import UploadStore
from lib.inference.link import ProcessLink
from lib.jobs.cache import ResultCache
from lib.jobs.job import Job, JobOptions
from lib.jobs.queue import JobQueue
from lib.jobs.store import JobStore
from lib.problems import conflict, not_found
from lib.security.audit import AuditLog
from lib.security.tokens import Tokens
from lib.settings import ServerSettings
from lib.state import StateFolder, open_state

logger = logging.getLogger("counterpart.server")

_HOUSEKEEPING_S = 600.0
_STOP_S = 30.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Server:
    """The parts of a running server.

    Args:
        app: Folder of the app.
        settings: What the administrator has chosen.
        state: The server's folders.
        tokens: Who is known.
        audit: What is written down of requests.
        studies: The images.
        uploads: The scans that clients sent.
        compute: The process with the networks.
        desk: The process without.
        store: All jobs.
        cache: All results.
        queue: Does the jobs.
        serving: A digest of what serves at this moment.
    """

    app: Path
    settings: ServerSettings
    state: StateFolder
    tokens: Tokens
    audit: AuditLog
    studies: Studies
    uploads: UploadStore
    compute: ProcessLink
    desk: ProcessLink
    store: JobStore
    cache: ResultCache
    queue: JobQueue
    serving: Callable[[], str]

    def submit_image(self, image: str, options: JobOptions) -> Job:
        """Ask for the counterpart of an image of the studies; blocks while the file is read.

        Raises:
            Problem: There is no such image.
        """
        path = self.studies.path(image)
        return self._submit(path, self.studies.content(path), options, image=image)

    def submit_upload(self, content: str, options: JobOptions) -> Job:
        """Ask for the counterpart of an upload.

        Raises:
            Problem: There is no such upload.
        """
        upload = self.uploads.find(checked_hash(content))
        return self._submit(upload.path, upload.content, options, scan=content)

    def _submit(
        self,
        path: Path,
        content: str,
        options: JobOptions,
        *,
        image: str | None = None,
        scan: str | None = None,
    ) -> Job:
        words = (image or "", scan or "", content, options.model_dump_json(), self.fingerprint())
        job = Job(
            self.state.keyed("job", *words),
            options.model_dump(),
            image=image,
            scan=scan,
            content=content,
            path=str(path),
        )
        return self.queue.submit(job)

    def job(self, job_id: str) -> Job:
        """A job by its id.

        Raises:
            Problem: There is none.
        """
        job = self.store.find(checked_id(job_id))
        if job is None:
            hint = "Ask for it again with POST /counterpart/jobs; jobs are kept for a while only."
            raise not_found("A job with this id", hint)
        return job

    def purge(self, content: str) -> int:
        """Remove an upload, what was computed of it and its jobs; how many things went.

        Raises:
            Problem: A job on it does not stop.
        """
        scan = self.state.keyed("scan", content)
        jobs = [job for job in self.store.all() if job.content == content]
        for job in jobs:
            self.queue.cancel(job)
        until = time.monotonic() + _STOP_S
        while any(self.queue.position(job) is not None for job in jobs):
            if time.monotonic() > until:
                error = "A job on this scan does not stop, so nothing was removed yet."
                raise conflict(error, "Ask again in a minute.")
            time.sleep(_POLL_S)
        for key in self.cache.keys_of(scan) | {job.key for job in jobs if job.key}:
            self.cache.remove(key)
        self.store.forget(jobs)
        labels = self.studies.remove_made_labels(scan)
        return len(jobs) + labels + int(self.uploads.purge(content))

    def fingerprint(self) -> str:
        """What serves at this moment: changes when another version is published."""
        return self.serving()

    def note(self, request: Request, job: Job | None = None, content: str = "") -> None:
        """Have the audit say of a request which scan and which model it was about."""
        if job is not None or content:
            request.state.audit_scan = self.state.keyed("scan", job.content if job else content)
        if job is not None:
            request.state.audit_model = self._model_of(job)

    def _model_of(self, job: Job) -> str:
        """The model that did a job; of one that is not done, the model that serves."""
        if job.model is not None:
            return f"{job.model['name']} {job.model['version']}"
        folder = bundle_folder(self.settings.model)
        return f"{bundle_name(folder)} {bundle_version(folder)}"

    def start(self) -> None:
        """Start the processes, the queue and the housekeeping."""
        for left in self.state.incoming.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        self.compute.start()
        self.queue.start()
        threading.Thread(target=self._keep_house, name="housekeeping", daemon=True).start()

    def _keep_house(self) -> None:
        """Start the desk when the networks are ready, then clean up now and then; a thread."""
        wait = threading.Event()
        self.compute.ready.wait(60.0)
        self.desk.start()
        while True:
            try:
                self.cache.evict()
                self.store.forget_old()
                self.uploads.purge_old()
            except OSError as error:
                logger.error("the housekeeping failed: %s", error)
            wait.wait(_HOUSEKEEPING_S)


class _Fingerprint:
    """What serves at this moment; asked by several threads."""

    def __init__(self, model: str) -> None:
        self._models = ServingModels(model)  # nothing is loaded as long as only this is asked
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            self._models.reload_if_changed()
            return self._models.fingerprint()


def make_server(app: Path, settings: ServerSettings, studies: Studies) -> Server:
    """Put the parts together; nothing is started yet.

    Raises:
        CounterpartError: The tokens, the model or the cohort of references cannot be used.
        OSError: The state's folder cannot be made.
    """
    state = open_state(settings.state)
    checked_digests(bundle_folder(settings.model))  # damaged weights are said before the start
    if settings.references_cohort is not None:
        ReferencePictures(settings.references_cohort)  # so is a folder that is no cohort
    logs = state.root / "logs"
    logs.mkdir(exist_ok=True)
    options = ("--model", settings.model, "--device", settings.device)
    compute = ProcessLink("compute", app, logs / "compute.log", options)
    desk = ProcessLink("desk", app, logs / "desk.log")
    store = JobStore(state, settings.cache_s)
    cache = ResultCache(state, settings.cache_bytes, settings.cache_s)
    serving = _Fingerprint(settings.model)
    queue = JobQueue(state, store, cache, compute, desk, serving)
    return Server(
        app=app,
        settings=settings,
        state=state,
        tokens=Tokens(settings, state.key),
        audit=AuditLog(state.root / "audit.log"),
        studies=studies,
        uploads=UploadStore(state, desk, settings.upload_bytes, settings.upload_s),
        compute=compute,
        desk=desk,
        store=store,
        cache=cache,
        queue=queue,
        serving=serving,
    )
