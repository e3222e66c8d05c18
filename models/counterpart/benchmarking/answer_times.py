"""How quickly a server answers many clients, also while it is at work for one of them."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

from counterpart.benchmarking.timing import percentile
from counterpart.errors import CounterpartError

MODEL = "healthy_counterpart"
INFERENCES = ("first (cold)", "second (warm)")
_TIMEOUT_S = 30.0
_INFERENCE_TIMEOUT_S = 900.0
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
        image: Identifier of an image in the server's datastore, on which inference runs twice.
        token: Sent as ``Authorization: Bearer``.
    """

    url: str = "http://127.0.0.1:8000"
    paths: tuple[str, ...] = ("/info/",)
    clients: int = 8
    seconds: float = 20.0
    pause_s: float = 0.1
    image: str | None = None
    token: str | None = None

    def __post_init__(self) -> None:
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
class ServerFigures:
    """All that was measured.

    Args:
        url: Of the server.
        paths: That were asked for.
        clients: That asked at once.
        pause_s: Of a client between two requests.
        everything: All requests.
        during_inference: Those that were made while an inference ran; None without one.
        inferences: Seconds of the first (cold) and the second (warm), by these words.
    """

    url: str
    paths: tuple[str, ...]
    clients: int
    pause_s: float
    everything: AnswerFigures
    during_inference: AnswerFigures | None
    inferences: dict[str, float]


class Connection:
    """A kept connection to a server.

    Args:
        bench: The server, and the token for it.
        timeout_s: For an answer.
    """

    def __init__(self, bench: ServerBench, timeout_s: float = _TIMEOUT_S) -> None:
        kind, host, port, self._base = _parts(bench.url)
        self._headers = {} if bench.token is None else {"Authorization": f"Bearer {bench.token}"}
        self._connection = kind(host, port, timeout=timeout_s)

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


def measure_server(bench: ServerBench, progress: Callable[[str], None]) -> ServerFigures:
    """Let clients ask a server, and perhaps an inference run meanwhile.

    Args:
        bench: What is asked.
        progress: Called with what is being done.

    Raises:
        CounterpartError: The address is none, nobody answers, the server wants another token, a
            path does not exist, or the inference fails.
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
        for name in INFERENCES if bench.image is not None else ():
            progress(f"{bench.clients} clients ask, inference: {name}")
            spans.append(_infer(bench))
        progress(f"{bench.clients} clients ask")
        time.sleep(max(0.0, start + bench.seconds - time.perf_counter()))
    finally:
        stop.set()
        for client in clients:
            client.join()
    made = [answer for of_client in answers for answer in of_client]
    during = [one for one in made if any(low <= one.start < high for low, high in spans)]
    asleep = sum(high - low for low, high in spans)
    return ServerFigures(
        bench.url,
        bench.paths,
        bench.clients,
        bench.pause_s,
        answer_figures(made, time.perf_counter() - start),
        answer_figures(during, asleep) if spans else None,
        {name: high - low for name, (low, high) in zip(INFERENCES, spans, strict=False)},
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


def _infer(bench: ServerBench) -> tuple[float, float]:
    """Run an inference the stock MONAI Label way; when it began and when it had ended."""
    connection = Connection(bench, _INFERENCE_TIMEOUT_S)
    path = f"/infer/{MODEL}?image={quote(bench.image or '', safe='')}"
    start = time.perf_counter()
    try:
        status, body = connection.ask("POST", path)
    except (OSError, http.client.HTTPException) as error:
        raise CounterpartError(f"the inference broke off: {_reason(error)}.") from error
    finally:
        connection.close()
    _refuse_status(status, f"{bench.url}{path}: {_detail(body)}", bench)
    return start, time.perf_counter()


def _detail(body: bytes) -> str:
    """What a failed request says of itself, as FastAPI has it; nothing where it says nothing."""
    try:
        return str(json.loads(body)["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return "inference"


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


def _parts(url: str) -> tuple[type[http.client.HTTPConnection], str, int | None, str]:
    """The kind of connection, host, port and base path of an address.

    Raises:
        CounterpartError: It is none.
    """
    hint = f"expected an address such as http://127.0.0.1:8000, got {url!r}."
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError as error:
        raise CounterpartError(hint) from error
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if split.scheme not in kinds or not split.hostname or split.query or split.fragment:
        raise CounterpartError(hint)
    return kinds[split.scheme], split.hostname, port, split.path.rstrip("/")
