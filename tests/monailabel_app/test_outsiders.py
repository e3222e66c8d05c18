"""Who may ask at all: other people's web pages, other machines, and what lines may say."""

import socket
import stat
import time

import pytest
from a_server import AServer, from_network
from people import TOKENS, VIEWER
from watching import check_words, files_of

EVIL = "https://evil.example"


# Other people's web pages, and other machines.


def test_a_foreign_page_is_refused(a_guarded_server: AServer, the_server: AServer) -> None:
    for server in (a_guarded_server, the_server):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            for origin in (EVIL, "null", f"http://127.0.0.1:{server.port + 1}", "http://"):
                headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
                answer = server.ask(method, "/info/", headers=headers)
                check_words(answer, (403,))
                assert "access-control-allow-origin" not in answer.headers


def test_a_picture_or_a_frame_of_a_foreign_page_is_refused(the_server: AServer) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    check_words(the_server.ask("GET", "/datastore/dataset", headers=headers), (403,))
    followed = {**headers, "Sec-Fetch-Mode": "navigate"}
    assert the_server.ask("GET", "/docs", headers=followed).status == 200


def test_a_page_that_the_administrator_allows_may_ask(a_guarded_server: AServer) -> None:
    server = a_guarded_server
    answer = server.ask("GET", "/info/", headers={"Origin": VIEWER})
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == VIEWER
    assert "access-control-allow-credentials" not in answer.headers
    wrong = server.ask("GET", "/info/", headers={"Origin": VIEWER}, token="wrong" * 4)
    assert wrong.status == 401 and wrong.headers["access-control-allow-origin"] == VIEWER
    preflight = {"Origin": VIEWER, "Access-Control-Request-Method": "PUT"}
    preflight["Access-Control-Request-Headers"] = "authorization,content-type"
    allowed = server.ask("OPTIONS", "/counterpart/scans", headers=preflight, token="")
    assert allowed.status == 200 and allowed.headers["access-control-allow-origin"] == VIEWER
    own = server.ask("GET", "/info/", headers={"Origin": server.url})
    assert own.status == 200, "the server's own pages may"


FOREIGN_NAMES = (
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:80",
    "0.0.0.0",
    "[",
    "",
)


@pytest.mark.parametrize("host", FOREIGN_NAMES)
def test_a_foreign_name_for_this_machine_opens_nothing(the_server: AServer, host: str) -> None:
    check_words(the_server.ask("GET", "/info/", headers={"Host": host}), (400, 403))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:8000"])
def test_this_machine_may_use_its_own_names(the_server: AServer, host: str) -> None:
    assert the_server.ask("GET", "/info/", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "Via", "X-Forwarded-Host"],
)
def test_what_a_proxy_hands_on_does_not_come_from_this_machine(
    the_server: AServer, header: str
) -> None:
    check_words(the_server.ask("GET", "/info/", headers={header: "127.0.0.1"}), (403,))


def test_a_proxy_that_says_nothing_is_known_by_its_version(the_server: AServer) -> None:
    """What nginx sends if nothing but `proxy_pass` is written."""
    answer = raw(the_server, b"GET /info/ HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.") and b" 403 " in answer.splitlines()[0]


def test_without_tokens_other_machines_get_nothing(the_server: AServer) -> None:
    for method, path in (("GET", "/info/"), ("GET", "/docs"), ("POST", "/reload")):
        check_words(from_network(the_server, method, path), (403,))
    assert from_network(the_server, "GET", "/counterpart/health").status in (200, 403)


def test_with_tokens_other_machines_need_one(a_guarded_server: AServer) -> None:
    check_words(from_network(a_guarded_server, "GET", "/info/"), (401,))
    assert from_network(a_guarded_server, "GET", "/info/", TOKENS["user"]).status == 200


# Names of temporary files.


def test_an_upload_waits_in_a_folder_that_nobody_can_guess_or_enter(
    a_guarded_server: AServer,
) -> None:
    server, seen = a_guarded_server, []
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
            connection.sendall(
                b"PUT /counterpart/scans?name=slow_T1.nii.gz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Authorization: Bearer " + server.token.encode() + b"\r\n"
                b"Content-Length: 1000000\r\n\r\n" + bytes(1000)
            )
            deadline = time.monotonic() + 20
            while not (found := list((server.state / "incoming").iterdir())):
                assert time.monotonic() < deadline, "no folder was made"
                time.sleep(0.02)
            seen += [path.name for path in found]
            assert [stat.S_IMODE(path.stat().st_mode) for path in found] == [0o700]
        while list((server.state / "incoming").iterdir()):
            assert time.monotonic() < deadline, "what broke off was not removed"
            time.sleep(0.02)
    assert len(set(seen)) == 2 and not any("slow" in name for name in seen)


def test_others_on_the_machine_cannot_look_into_the_state(a_guarded_server: AServer) -> None:
    state = a_guarded_server.state
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (state, state / "secret.key", state / "audit.log")
    }
    assert [mode & 0o077 for mode in modes.values()] == [0, 0, 0]


# What the line itself may say.


def raw(server: AServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"X: y\r\n Z: folded\r\nContent-Length: five\r\n",
    ],
)
def test_a_request_that_could_be_read_in_two_ways_is_refused(
    the_server: AServer, lines: bytes
) -> None:
    smuggled = b"0\r\n\r\nGET /counterpart/info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    head = b"POST /counterpart/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    answer = raw(the_server, head + lines + b"\r\n" + smuggled)
    assert b" 4" in answer.splitlines()[0][:14]
    assert b'"limits"' not in answer, "the second request was not answered"


@pytest.mark.parametrize(
    "path",
    ["/logs//", "//logs/", "/./logs/", "/logs/.", "/x/../logs/", "/LOGS/", "/logs/%2e", "/logs%2f"],
)
def test_no_spelling_of_an_address_goes_round_its_role(
    a_guarded_server: AServer, path: str
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    request += f"Authorization: Bearer {TOKENS['user']}\r\n\r\n"
    answer = raw(a_guarded_server, request.encode())
    assert int(answer.split()[1]) in (307, 400, 403, 404), answer[:100]


def test_other_words_for_the_method_change_nothing(a_guarded_server: AServer) -> None:
    before = files_of(a_guarded_server)
    headers = {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/datastore/image"}
    a_guarded_server.ask(
        "GET", "/datastore/image?image=sample-01_T1&id=sample-01_T1", None, headers
    )
    assert files_of(a_guarded_server) == before
