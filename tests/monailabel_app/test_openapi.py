"""The server keeps what its own page of routes promises, whatever is asked; and the page itself."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from a_server import AServer, from_network
from watching import check_words

METHODS = ("get", "put", "post", "delete")
HERE = Path(__file__).parent


def test_every_route_answers_as_it_is_described(an_open_server: AServer, tmp_path: Path) -> None:
    """What is asked, and what is not expected of which route, says `schemathesis.toml`."""
    address = f"{an_open_server.url}/openapi.json"
    words = ["--config-file", str(HERE / "schemathesis.toml"), "run", address, "--no-color"]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    routes = len(list(operations(an_open_server.ask("GET", "/openapi.json").json)))
    assert f"Tested: {routes}\n" in done.stdout
    asked, passed = re.findall(r"(\d+) generated, (\d+) passed", done.stdout)[0]
    assert asked == passed and int(asked) > 500


def test_nothing_was_started_and_nothing_broke(an_open_server: AServer) -> None:
    """Runs after the requests above; alone, it sees a server that was asked nothing."""
    assert "defect" not in an_open_server.log and "Traceback" not in an_open_server.log
    assert an_open_server.ask("GET", "/counterpart/jobs").json == {"jobs": []}
    assert an_open_server.ask("GET", "/counterpart/training").json["state"] == "none"
    assert not list((an_open_server.state / "incoming").iterdir())
    assert an_open_server.ask("GET", "/counterpart/info").json["images"] == 0


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield method, path, methods[method]


def test_every_route_is_described_for_people(an_open_server: AServer) -> None:
    document = an_open_server.ask("GET", "/openapi.json").json
    found = list(operations(document))
    assert len(found) > 40
    for method, path, operation in found:
        assert operation.get("summary") and operation.get("tags"), (method, path)
        answers = operation["responses"]
        error = answers["4XX"]["content"]["application/json"]["schema"]["$ref"]
        assert error.endswith("/ErrorBody") and "422" not in answers, (method, path)
    assert "research use only" in document["info"]["description"]


class Links(HTMLParser):
    """What a page would load, and where it would lead."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        wanted = ("src", "href", "srcset", "action", "data", "poster")
        self.loaded += [value or "" for name, value in attrs if name in wanted]


@pytest.mark.parametrize("address", ["/", "/docs"])
def test_the_page_of_routes_loads_nothing(an_open_server: AServer, address: str) -> None:
    answer = an_open_server.ask("GET", address)
    page = answer.body.decode()
    links = Links()
    links.feed(page)
    assert links.loaded == ["openapi.json"]
    assert not links.tags & {"script", "link", "img", "iframe", "object", "base", "meta http-equiv"}
    assert not re.search(r"url\(|@import|https?://", page)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for _, path, operation in operations(an_open_server.ask("GET", "/openapi.json").json):
        assert path in page and operation["summary"].replace("'", "&#x27;") in page


def test_an_address_says_which_methods_it_answers_to(an_open_server: AServer) -> None:
    answer = an_open_server.ask("PATCH", "/datastore/image")
    check_words(answer, (405,))
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}


def test_this_machine_administers_an_open_server_and_others_use_it(
    an_open_server: AServer,
) -> None:
    person = an_open_server.ask("GET", "/counterpart/info").json["user"]
    assert person == {"name": "this machine", "role": "admin"}
    other = from_network(an_open_server, "GET", "/counterpart/info").json["user"]
    assert other == {"name": "anybody", "role": "user"}
    for method, path in (("POST", "/reload"), ("GET", "/logs/"), ("DELETE", "/train/")):
        check_words(from_network(an_open_server, method, path), (403,))
