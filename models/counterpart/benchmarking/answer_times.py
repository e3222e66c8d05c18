"""How quickly a server answers many clients, also while it is at work for one of them."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from counterpart.benchmarking.server_jobs import Work
from counterpart.benchmarking.timing import percentile
from counterpart.errors import CounterpartError
from counterpart.serving.address import Address

_TIMEOUT_S = 30.0
_PAUSE_AFTER_FAILURE_S = 0.2
_UNAUTHORISED = 401


@dataclass(frozen=True)
class ServerBench:
    """What is asked, by how many, for how long.

    Args:
        url: Of the server: ``http://host:port``, perhaps with a path below which it lives.
        paths: That the clients ask for in turn.
        clients: How many ask at once, each over a connection of its own that is kept.
        seconds: For which they ask; longer, if an inference takes longer.
        pause_s: Of a client between two requests; 0 asks as fast as answers come.
        images: Identifiers of images in the studies; the first is repainted while clients ask, all
            of them by a crowd. Without one nothing is computed.
        token: Sent as ``Authorization: Bearer``.
        crowd: Clients that ask for images at once; 0 leaves that out.
        studies: Folder on which a server of this machine's own is started, and stopped at the end.
        model: Of that server.
        device: Of that server.
    """

    url: str = "http://127.0.0.1:8000"
    paths: tuple[str, ...] = ("/info/",)
    clients: int = 8
    seconds: float = 20.0
    pause_s: float = 0.1
    images: tuple[str, ...] = ()
    token: str | None = None
    crowd: int = 32
    studies: Path | None = None
    model: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.crowd < 0:
            raise CounterpartError(f"expected no negative number of clients, got {self.crowd}.")
        if self.clients < 1 or self.seconds <= 0 or self.pause_s < 0 or not self.paths:
            raise CounterpartError(
                "expected at least one client, one path, a positive number of seconds and no "
                f"negative pause, got {self.clients}, {list(self.paths)}, {self.seconds} and "
                f"{self.pause_s}."
            )


@dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        start: Of the request, seconds on the clock of `time.perf_counter`.
        seconds: Until the answer was read to its end.
        failure: Why it is none, in words; empty if it is one.
    """

    start: float
    seconds: float
    failure: str = ""


@dataclass(frozen=True)
class AnswerFigures:
    """Answer times of some requests, ms; None where nothing was answered.

    Args:
        requests: That were made.
        per_second: Requests.
        median: Of the answers.
        percentile_95: Of the answers.
        percentile_99: Of the answers.
        most: Of the answers.
        failures: How many, by reason.
    """

    requests: int
    per_second: float
    median: float | None
    percentile_95: float | None
    percentile_99: float | None
    most: float | None
    failures: dict[str, int]


@dataclass(frozen=True)
class Watched:
    """What clients saw while works were done.

    Args:
        everything: All requests.
        during_works: Those that were made while a work was done; None without one.
        works: Seconds of each, by its name.
    """

    everything: AnswerFigures
    during_works: AnswerFigures | None
    works: dict[str, float]


class Connection:
    """A kept connection to a server.

    Args:
        bench: The server, and the token for it.
        timeout_s: For an answer.
    """

    def __init__(self, bench: ServerBench, timeout_s: float = _TIMEOUT_S) -> None:
        address = Address.of(bench.url)
        self._base = address.base
        self._headers = {} if bench.token is None else {"Authorization": f"Bearer {bench.token}"}
        self._connection = address.connection(timeout_s)

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        """The status and the body of an answer.

        Raises:
            OSError: There is no connection, or it breaks.
            http.client.HTTPException: What comes is not HTTP.
        """
        try:
            self._connection.request(method, self._base + path, headers=self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens another
            raise

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def watch_server(
    bench: ServerBench, works: Sequence[Work], progress: Callable[[str], None]
) -> Watched:
    """Let clients ask a server, and works be done meanwhile, one after the other.

    Args:
        bench: What is asked.
        works: What else is asked, and timed.
        progress: Called with what is being done.

    Raises:
        CounterpartError: The address is none, nobody answers, the server wants another token, a
            path does not exist, or a work fails.
    """
    for path in bench.paths:
        check_path(bench, path)
    stop = threading.Event()
    answers: list[list[Answer]] = [[] for _ in range(bench.clients)]
    clients = [
        threading.Thread(
            target=_poll, args=(bench, number, of_client, stop), name=f"client-{number}"
        )
        for number, of_client in enumerate(answers)
    ]
    start = time.perf_counter()
    for client in clients:
        client.start()
    spans: list[tuple[float, float]] = []
    try:
        progress(f"{bench.clients} clients ask")
        for work in works:
            progress(f"{bench.clients} clients ask; {work.name}")
            begun = time.perf_counter()
            work.do()
            spans.append((begun, time.perf_counter()))
        progress(f"{bench.clients} clients ask")
        time.sleep(max(0.0, start + bench.seconds - time.perf_counter()))
    finally:
        stop.set()
        for client in clients:
            client.join()
    made = [answer for of_client in answers for answer in of_client]
    during = [one for one in made if any(low <= one.start < high for low, high in spans)]
    return Watched(
        answer_figures(made, time.perf_counter() - start),
        answer_figures(during, sum(high - low for low, high in spans)) if spans else None,
        {work.name: high - low for work, (low, high) in zip(works, spans, strict=True)},
    )


def answer_figures(answers: Sequence[Answer], seconds: float) -> AnswerFigures:
    """The figures of some answers that were asked for within so many seconds."""
    times = [1e3 * answer.seconds for answer in answers if not answer.failure]
    failures = Counter(answer.failure for answer in answers if answer.failure)
    median, most95, most99, most = (
        percentile(times, share) if times else None for share in (0.5, 0.95, 0.99, 1.0)
    )
    rate = len(answers) / seconds
    return AnswerFigures(
        len(answers), rate, median, most95, most99, most, dict(failures.most_common())
    )


def read_token(path: Path) -> str:
    """The token of a file, without the line's end.

    Raises:
        CounterpartError: The file is missing, empty, or holds more than one word.
    """
    try:
        words = path.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise CounterpartError(f"{path}: the token cannot be read ({error}).") from error
    if len(words) != 1:
        raise CounterpartError(f"{path}: expected one token, found {len(words)} words.")
    return words[0]


def check_path(bench: ServerBench, path: str) -> None:
    """Ask once for a path, so that what is wrong with all requests is said at once.

    Raises:
        CounterpartError: Nobody answers, the token is refused, or there is no such path.
    """
    connection = Connection(bench)
    try:
        status, _ = connection.ask("GET", path)
    except (OSError, http.client.HTTPException) as error:
        raise CounterpartError(
            f"no connection to {bench.url}: {_reason(error)}. Start the server, or say where it is "
            "with --url."
        ) from error
    finally:
        connection.close()
    _refuse_status(status, f"{bench.url}{path}", bench)


def _refuse_status(status: int, what: str, bench: ServerBench) -> None:
    if status == _UNAUTHORISED:
        given = "the token was refused" if bench.token else "a token is needed"
        raise CounterpartError(f"{what}: {given} (401). Give a file with one by --token-file.")
    if not 200 <= status < 300:
        raise CounterpartError(f"{what}: the server answers with status {status}, expected 200.")


def _poll(bench: ServerBench, number: int, answers: list[Answer], stop: threading.Event) -> None:
    """One client, which asks at least once; they begin one after the other within a pause."""
    stop.wait(bench.pause_s * number / bench.clients)
    connection = Connection(bench)
    for turn in count(number):
        answer = _asked(connection, bench.paths[turn % len(bench.paths)])
        answers.append(answer)
        if stop.wait(max(bench.pause_s, _PAUSE_AFTER_FAILURE_S if answer.failure else 0.0)):
            break
    connection.close()


def _asked(connection: Connection, path: str) -> Answer:
    start = time.perf_counter()
    try:
        status, _ = connection.ask("GET", path)
        failure = "" if 200 <= status < 300 else f"status {status}"
    except (OSError, http.client.HTTPException) as error:
        failure = _reason(error)
    return Answer(start, time.perf_counter() - start, failure)


def _reason(error: Exception) -> str:
    """The kind of an error in words that do not differ from one request to the next."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed"
    text = error.strerror if isinstance(error, OSError) else ""
    return text or type(error).__name__
