"""What a server costs: start-up, jobs, answers meanwhile, memory, and many clients at once."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from counterpart.benchmarking.answer_times import AnswerFigures, ServerBench, watch_server
from counterpart.benchmarking.process_memory import PeakMemory
from counterpart.benchmarking.server_jobs import CrowdFigures, crowd, works_of
from counterpart.errors import CounterpartError
from counterpart.serving.address import free_port
from counterpart.serving.client import CounterpartClient
from counterpart.serving.options import ServeOptions
from counterpart.serving.plan import plan_server
from counterpart.serving.server_process import ServerProcess

HOST = "127.0.0.1"
ANSWERS, WARMED = "until it answers", "until the model is warm"
_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
_WARM_WITHIN_S = 300.0
_PATIENCE_S = 300.0
# Which would have our own server ask for a token, or be another.
_NOT_OURS = ("COUNTERPART_TOKEN", "COUNTERPART_TOKEN_FILE", "COUNTERPART_STATE")


@dataclass(frozen=True)
class ServerFigures:
    """All that was measured.

    Args:
        paths: That clients asked for; the status of the first job comes to them.
        clients: That asked at once.
        pause_s: Of a client between two requests.
        everything: All their requests.
        during_works: Those that were made while something was computed; None without a scan.
        works: Seconds of each thing that was asked for meanwhile, by its name.
        start_up: Seconds, by their names, of a server that was started for this.
        peak_mib: The most memory of that server and its processes.
        crowd: What came of many clients at once; None without a scan.
        model: Name, version and hash of the weights; empty where nothing was computed.
        device: Of the server.
    """

    paths: tuple[str, ...]
    clients: int
    pause_s: float
    everything: AnswerFigures
    during_works: AnswerFigures | None
    works: dict[str, float]
    start_up: dict[str, float]
    peak_mib: float | None
    crowd: CrowdFigures | None
    model: dict[str, str]
    device: str | None

    @property
    def good(self) -> bool:
        """Whether every request was answered and no client of the crowd lost anything."""
        return not self.everything.failures and (self.crowd is None or self.crowd.nothing_lost)


def measure_server(bench: ServerBench, progress: Callable[[str], None]) -> ServerFigures:
    """Measure a server, one that runs or one that is started for it.

    Raises:
        CounterpartError: There is no server, or something that is asked of it fails.
    """
    with ExitStack() as stack:
        start_up: dict[str, float] = {}
        peak = None
        if bench.studies is not None:
            progress("Starting a server")
            process = stack.enter_context(_own_server(bench, bench.studies))
            peak = stack.enter_context(PeakMemory(process.pid))
            start_up = _start_up(process)
            bench = replace(
                bench, url=process.plan.address.url, images=bench.images or _images(bench.studies)
            )
        client = CounterpartClient(bench.url, token=bench.token, timeout_s=_PATIENCE_S)
        return _measure(bench, client, start_up, peak, progress)


def _measure(
    bench: ServerBench,
    client: CounterpartClient,
    start_up: dict[str, float],
    peak: PeakMemory | None,
    progress: Callable[[str], None],
) -> ServerFigures:
    seed = int(time.time()) % 10**9  # that no earlier benchmark left in the cache
    works, many, model, device = [], None, {}, None
    if bench.images:
        info = client.info()
        device = str(info["device"])
        model = {key: str(value) for key, value in dict(info["model"]).items()}
        cold = client.submit(image=bench.images[0], options={"seed": seed}).id
        works = works_of(client, bench.images[0], seed, cold)
        bench = replace(bench, paths=(*bench.paths, f"/counterpart/jobs/{cold}"))
    watched = watch_server(bench, works, progress)
    if bench.images and bench.crowd:
        progress(f"{bench.crowd} clients ask for counterparts at once")
        many = crowd(client, bench.images, bench.crowd, seed + 3)
    return ServerFigures(
        bench.paths[: len(bench.paths) - bool(works)],
        bench.clients,
        bench.pause_s,
        watched.everything,
        watched.during_works,
        watched.works,
        start_up,
        None if peak is None else peak.mib,
        many,
        model,
        device,
    )


@contextmanager
def _own_server(bench: ServerBench, studies: Path) -> Iterator[ServerProcess]:
    """A server on a free port, with a state of its own that is gone afterwards."""
    environment = {key: value for key, value in os.environ.items() if key not in _NOT_OURS}
    with tempfile.TemporaryDirectory(prefix="counterpart-bench-") as state:
        options = ServeOptions(
            str(studies),
            HOST,
            free_port(HOST, 0),
            model=bench.model,
            device=bench.device,
            state=Path(state),
        )
        with ServerProcess(plan_server(options, environment)) as process:
            yield process


def _start_up(process: ServerProcess) -> dict[str, float]:
    """Seconds until the server answers, and until its model is warm.

    Raises:
        CounterpartError: It does neither in time.
    """
    answers = process.wait_until_ready()
    client = process.client()
    while client.health().get("state") != "ready":
        if time.monotonic() - process.began > _WARM_WITHIN_S:
            raise CounterpartError(f"the server was not warm within {_WARM_WITHIN_S:g} s.")
        time.sleep(0.05)
    return {ANSWERS: answers, WARMED: time.monotonic() - process.began}


def _images(studies: Path) -> tuple[str, ...]:
    """The identifiers that MONAI Label gives the scans of a folder.

    Raises:
        CounterpartError: There are none.
    """
    names = sorted(path.name for path in studies.iterdir() if path.name.endswith(_ENDINGS))
    if not names:
        raise CounterpartError(f"{studies}: holds no scan; a server needs one to be measured.")
    ends = [next(end for end in _ENDINGS if name.endswith(end)) for name in names]
    return tuple(name.removesuffix(end) for name, end in zip(names, ends, strict=True))
