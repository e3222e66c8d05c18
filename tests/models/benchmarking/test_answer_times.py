"""Answer times of a real server: what is counted, what fails, and in what words."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from counterpart.benchmarking.answer_times import (
    Answer,
    ServerBench,
    Watched,
    answer_figures,
    read_token,
    watch_server,
)
from counterpart.benchmarking.server_jobs import Work
from counterpart.benchmarking.timing import percentile
from counterpart.cli import main
from counterpart.errors import CounterpartError

TOKEN = "open-sesame"
Spoken = Callable[[], str]


class Server(ThreadingHTTPServer):
    """Remembers what it was asked, and over how many connections."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.connections = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked[self.path] += 1
            number = self.server.asked[self.path]
        if self.path == "/secret/" and self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401)
        elif self.path == "/breaks/" and number > 1:
            self.close_connection = True
        elif self.path in ("/info/", "/secret/", "/app/info/", "/breaks/"):
            self._answer(200)
        else:
            self._answer(200 if self.path == "/tired/" and number == 1 else 503)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, content: object = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def a_server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def measure_server(bench: ServerBench, tell: Callable[[str], None]) -> Watched:
    return watch_server(bench, [], tell)


def _measured(server: Server, **options: object) -> tuple[ServerBench, list[str]]:
    given = {"url": server.url, "clients": 3, "seconds": 0.15, "pause_s": 0.01} | options
    return ServerBench(**given), []  # type: ignore[arg-type]


def test_every_answer_is_counted_and_connections_are_kept(a_server: Server) -> None:
    bench, told = _measured(a_server)
    figures = measure_server(bench, told.append)
    everything = figures.everything
    assert everything.failures == {}
    assert everything.requests >= bench.clients
    assert a_server.asked == {"/info/": everything.requests + 1}  # and the one before
    assert a_server.connections == bench.clients + 1
    assert everything.median is not None and everything.most is not None
    assert 0.0 < everything.median <= everything.most
    assert everything.per_second > 0.0
    assert (figures.during_works, figures.works) == (None, {})
    assert told == ["3 clients ask", "3 clients ask"]


def test_paths_are_asked_for_in_turn_below_the_address(a_server: Server) -> None:
    bench, told = _measured(a_server, paths=("/info/", "/app/info/"))
    measure_server(bench, told.append)
    assert set(a_server.asked) == {"/info/", "/app/info/"}
    assert abs(a_server.asked["/info/"] - a_server.asked["/app/info/"]) <= bench.clients
    below, _ = _measured(a_server, url=f"{a_server.url}/app/")
    before = a_server.asked["/app/info/"]
    assert measure_server(below, told.append).everything.requests > 0
    assert a_server.asked["/app/info/"] > before


def test_failures_are_counted_by_reason(a_server: Server) -> None:
    bench, told = _measured(a_server, paths=("/tired/", "/info/"), clients=2)
    everything = measure_server(bench, told.append).everything
    assert everything.failures == {"status 503": a_server.asked["/tired/"] - 1}
    assert everything.median is not None
    bench, _ = _measured(a_server, paths=("/breaks/",), clients=1)
    everything = measure_server(bench, told.append).everything
    assert everything.failures == {"the connection was closed": everything.requests}
    assert everything.median is None


def test_works_are_done_one_after_the_other_while_clients_ask(a_server: Server) -> None:
    bench, told = _measured(a_server, seconds=0.01)
    done: list[int] = []

    def work() -> None:
        before = a_server.asked["/info/"]
        while a_server.asked["/info/"] < before + 3:
            time.sleep(0.01)
        done.append(before)

    watched = watch_server(bench, [Work("one", work), Work("two", work)], told.append)
    assert len(done) == 2
    assert list(watched.works) == ["one", "two"]
    assert watched.during_works is not None
    assert 4 <= watched.during_works.requests <= watched.everything.requests
    assert told[1:3] == ["3 clients ask; one", "3 clients ask; two"]


def test_a_work_that_fails_ends_the_clients(a_server: Server) -> None:
    def fail() -> None:
        raise CounterpartError("no such image")

    bench, told = _measured(a_server)
    with pytest.raises(CounterpartError, match="no such image"):
        watch_server(bench, [Work("one", fail)], told.append)
    assert not [one for one in threading.enumerate() if one.name.startswith("client-")]


def test_a_token_is_asked_for_and_taken(a_server: Server, tmp_path: Path) -> None:
    bench, told = _measured(a_server, paths=("/secret/",))
    with pytest.raises(CounterpartError, match=r"a token is needed \(401\).*--token-file"):
        measure_server(bench, told.append)
    bench, _ = _measured(a_server, paths=("/secret/",), token="guess")
    with pytest.raises(CounterpartError, match=r"the token was refused \(401\)"):
        measure_server(bench, told.append)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    bench, _ = _measured(a_server, paths=("/secret/",), token=read_token(tmp_path / "token"))
    assert measure_server(bench, told.append).everything.failures == {}


def test_a_token_is_one_word_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match="the token cannot be read"):
        read_token(tmp_path / "none")
    (tmp_path / "token").write_text("two words")
    with pytest.raises(CounterpartError, match="expected one token, found 2 words"):
        read_token(tmp_path / "token")


def test_a_path_that_the_server_lacks_is_refused_before_the_clients_ask(a_server: Server) -> None:
    bench, told = _measured(a_server, paths=("/info/", "/none/"))
    with pytest.raises(CounterpartError, match="/none/: the server answers with status 503"):
        measure_server(bench, told.append)
    assert (a_server.asked.total(), told) == (2, [])


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://host", "http://", "http://host:port", "http://host/?q=1", ""]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CounterpartError, match=r"expected an address such as http://127\.0\.0\.1"):
        measure_server(ServerBench(url=url), str)


def test_where_nobody_answers_it_is_said(a_server: Server) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}"
    with pytest.raises(CounterpartError, match=f"no connection to {url}: Connection refused"):
        measure_server(ServerBench(url=url), str)


@pytest.mark.parametrize("wrong", [{"clients": 0}, {"seconds": 0.0}, {"paths": ()}])
def test_nobody_and_no_time_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CounterpartError, match="expected at least one client, one path"):
        ServerBench(**wrong)  # type: ignore[arg-type]


def test_figures_of_known_answers() -> None:
    answers = [Answer(0.0, 0.001 * number) for number in range(1, 101)]
    answers += [Answer(0.0, 9.0, "status 503")] * 2 + [Answer(0.0, 9.0, "no answer in time")]
    figures = answer_figures(answers, 10.0)
    assert (figures.requests, figures.per_second) == (103, 10.3)
    found = (figures.median, figures.percentile_95, figures.percentile_99, figures.most)
    assert found == pytest.approx((50.0, 95.0, 99.0, 100.0))
    assert figures.failures == {"status 503": 2, "no answer in time": 1}
    assert figures.most == 1e3 * percentile([one.seconds for one in answers[:100]], 1.0)


def test_the_command_prints_and_keeps_its_figures(
    a_server: Server, tmp_path: Path, spoken: Spoken
) -> None:
    out = tmp_path / "server.json"
    arguments = ["bench", "server", "--url", a_server.url, "--clients", "2", "--seconds", "0.1"]
    arguments += ["--pause", "0.01", "--path", "/info/", "-o", str(out)]
    assert main(arguments) == 0
    kept = json.loads(out.read_text())
    assert "Answer times of the server" in spoken()
    assert kept["figures"]["everything"]["requests"] == a_server.asked["/info/"] - 1
    assert "torch" not in kept["versions"]
    assert main([*arguments, "--path", "/tired/"]) == 1
    assert "× status 503" in spoken()
