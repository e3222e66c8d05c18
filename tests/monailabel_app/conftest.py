"""Servers for the tests: one that all may use, and new ones for those that change theirs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from a_server import AServer, ServerOf
from bad_scans import write_bad_images
from people import GUARDED, TOKENS, write_token_file


@pytest.fixture(scope="session")
def the_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AServer]:
    """A running server without tokens, which other machines can reach but not use."""
    server = AServer(tmp_path_factory.mktemp("server"), host="0.0.0.0")
    server.prepare()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def a_done_job(the_server: AServer) -> dict[str, Any]:
    """A job on the first sample scan that is done."""
    status = the_server.wait(the_server.submit()["id"])
    if status["state"] != "done":
        raise RuntimeError(f"{status}")
    return dict(status)


@pytest.fixture(scope="session")
def a_guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AServer]:
    """A running server with four people, open to the network; asks as the administrator."""
    server = AServer(
        tmp_path_factory.mktemp("guarded"), dict(GUARDED), host="0.0.0.0", token=TOKENS["admin"]
    )
    server.prepare()
    write_bad_images(server.studies)
    write_token_file(server)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def a_guarded_job(a_guarded_server: AServer) -> dict[str, Any]:
    """A job of the guarded server that is done."""
    status = a_guarded_server.wait(a_guarded_server.submit("sample-01_T1")["id"])
    if status["state"] != "done":
        raise RuntimeError(f"{status}")
    return dict(status)


@pytest.fixture(scope="session")
def an_open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AServer]:
    """A running server without tokens that serves everybody, and has no images."""
    server = AServer(tmp_path_factory.mktemp("open"), {"COUNTERPART_INSECURE": "1"}, host="0.0.0.0")
    server.prepare(scans=())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server_of(tmp_path: Path) -> Iterator[ServerOf]:
    """Makes servers of their own, not started yet; all are ended afterwards."""
    made: list[AServer] = []

    def make(name: str = "own", **options: Any) -> AServer:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        server = AServer(folder, **options)
        server.prepare()
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop(9)
