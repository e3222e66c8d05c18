"""What may be seen of a server from outside: its files, its log, and the words that it uses."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from a_server import Answer, AServer

# What a person cannot be expected to read: paths, types, errors, and frames of Python.
_NOT_FOR_PEOPLE = re.compile(
    r"Traceback|/tmp/|/home/|/root/|/opt/|/usr/|site-packages|\.py\b|Errno|\bNone\b|NoneType|dictionary"
    r"|Error\b|Exception|<class|object at 0x|\bnull\b|pydantic|nibabel|utf-8' codec|invalid literal"
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def files_of(server: AServer) -> dict[str, object]:
    """Every file of the studies and the state, but for logs: size, and when it changed."""
    left_out = {server.state / "logs", server.state / "audit.log", server.studies / ".lock"}
    listing = server.studies / "datastore_v2.json"  # is written again when a file comes or goes
    found: dict[str, object] = {}
    for root in (server.studies, server.state):
        for path in root.rglob("*"):
            if path not in left_out and not left_out & set(path.parents):
                facts = path.lstat()
                key = str(path.relative_to(server.folder))
                if path.is_dir():  # of which it counts that it is there
                    found[key] = None
                elif path == listing:
                    found[key] = path.read_text()
                else:
                    found[key] = (facts.st_size, facts.st_mtime_ns)
    return found


@contextmanager
def nothing_written(server: AServer) -> Iterator[None]:
    before = files_of(server)
    yield
    deadline = time.monotonic() + 2
    while files_of(server) != before and time.monotonic() < deadline:
        time.sleep(0.05)  # MONAI Label may be writing down what an earlier test has done
    assert files_of(server) == before


def check_words(answer: Answer, statuses: tuple[int, ...] = ()) -> None:
    """That an answer is an error of the client's, in sentences for a person."""
    assert 400 <= answer.status < 500, (answer.status, answer.body[:300])
    assert not statuses or answer.status in statuses, (answer.status, answer.body[:300])
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"error", "hint"}
    for said in answer.json.values():
        assert said.endswith((".", "?")) and len(said) < 600, said
        ours = _QUOTED.sub("", said)  # without what the client itself had said
        assert not _NOT_FOR_PEOPLE.search(ours) and "pytest-of" not in said, said
        assert ours.count("(") == ours.count(")"), said


def printed(server: AServer) -> str:
    """All that the server and its processes have printed and logged until now."""
    files = [server.folder / "server.log", server.state / "audit.log"]
    files += [*(server.state / "logs").glob("*"), *(server.app / "logs").glob("*")]
    return "\n".join(path.read_text(errors="replace") for path in files if path.is_file())


def next_line(server: AServer, since: int, words: str) -> str:
    """The line of the log that has these words, written after the answer was sent."""
    path: Path = server.folder / "server.log"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in path.read_text(errors="replace")[since:].splitlines():
            if words in line:
                return line
        time.sleep(0.02)
    raise AssertionError(f"the log has no line with {words!r}")
