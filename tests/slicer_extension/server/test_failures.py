"""Every way in which a server cannot be had, provoked with real sockets, and its own sentence."""

import contextlib
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from a_server import free_port
from small_server import Reply, html_reply, json_reply, raw_server, small_server

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.problems import ServerProblem

SECRET = "secret-token-0123456789"
TALK = Callable[[socket.socket], None]


def problem_at(url: str, *, timeout_s: float = 2.0, **options: object) -> ServerProblem:
    client = ServerClient(ServerAddress.of(url), SECRET, timeout_s=timeout_s, **options)
    with pytest.raises(ServerProblem) as caught:
        client.info()
    problem = caught.value
    assert problem.sentence.endswith(".") and problem.cure.endswith(".")
    assert SECRET not in str(problem) and SECRET not in repr(problem.__cause__)
    return problem


def check(problem: ServerProblem, kind: str, words: str, cure: str) -> None:
    assert problem.kind == kind, str(problem)
    assert words in problem.sentence, problem.sentence
    assert cure in problem.cure, problem.cure


# Nobody is reached.


def test_a_port_at_which_nobody_listens() -> None:
    problem = problem_at(f"127.0.0.1:{free_port()}")
    check(problem, "refused", "nobody listens", "counterpart serve")
    assert problem.passes


def test_a_name_that_nobody_has() -> None:
    # Longer than a name may be, so that no name server is asked.
    check(problem_at("a." * 120 + "example"), "unknown_host", "No machine", "VPN")


def test_a_network_to_which_there_is_no_way() -> None:
    check(problem_at("224.0.0.1:8000"), "no_route", "no way to 224.0.0.1", "VPN")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse where Linux waits")
def test_a_machine_that_does_not_take_connections() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        contextlib.ExitStack() as all,
    ):
        for _ in range(4):  # fill the queue of those who wait to be let in
            waiting = all.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        time.sleep(0.05)
        problem = problem_at(f"127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.3)
    check(problem, "timeout", "Nobody answers", "firewall")


# Somebody is reached, but does not talk as a server does.


def silence(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    time.sleep(1.5)


def dripping(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")


def broken_off(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"name":')


def hung_up(connection: socket.socket) -> None:
    connection.recv(1 << 16)


def another_protocol(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    connection.recv(1 << 16)
    time.sleep(0.1)


@pytest.mark.parametrize(
    ("talk", "kind", "words", "cure"),
    [
        (silence, "timeout", "takes the request, but does not answer", "busy"),
        (broken_off, "lost", "broke off", "network"),
        (hung_up, "lost", "broke off", "network"),
        (another_protocol, "not_counterpart", "no web server", "port"),
    ],
)
def test_a_port_at_which_something_else_listens(
    talk: TALK, kind: str, words: str, cure: str
) -> None:
    with raw_server(talk) as port:
        check(problem_at(f"127.0.0.1:{port}", timeout_s=0.4), kind, words, cure)


# TLS, in both directions.


@pytest.fixture
def a_trusting_context(some_certificates: dict[str, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(some_certificates["authority"]))


FACTS = {
    "name": "Counterpart",
    "version": "0.1.0",
    "model": {"name": "m", "version": "1", "weights_sha256": "0" * 64},
    "calibrations": [],
    "device": "cpu",
    "user": {"name": "Ulla", "role": "user"},
    "limits": {"upload_mb": 10},
    "images": 0,
}


def test_a_good_certificate_is_taken(
    some_certificates: dict[str, Path], a_trusting_context: ssl.SSLContext
) -> None:
    replies = {"/counterpart/info": json_reply(FACTS)}
    with small_server(replies, certificate=some_certificates["good"]) as server:
        for host in ("127.0.0.1", "localhost"):
            address = ServerAddress.of(f"https://{host}:{server.port}")
            client = ServerClient(address, SECRET, context=a_trusting_context)
            assert client.info().user == "Ulla"


@pytest.mark.parametrize(
    ("certificate", "words", "cure"),
    [
        ("expired", "has expired", "renew"),
        ("not_yet", "not valid yet", "clock"),
        ("wrong_name", "for another name", "name that the certificate is for"),
        ("self_signed", "by itself", "SSL_CERT_FILE"),
    ],
)
def test_a_certificate_that_is_not_good_is_refused(
    some_certificates: dict[str, Path],
    a_trusting_context: ssl.SSLContext,
    certificate: str,
    words: str,
    cure: str,
) -> None:
    with small_server(certificate=some_certificates[certificate]) as server:
        problem = problem_at(f"https://127.0.0.1:{server.port}", context=a_trusting_context)
        assert server.seen == [], "nothing was asked of it"
    check(problem, "tls", words, cure)


def test_without_a_context_the_systems_authorities_decide(
    some_certificates: dict[str, Path],
) -> None:
    with small_server(certificate=some_certificates["good"]) as server:
        problem = problem_at(f"https://127.0.0.1:{server.port}")
        assert server.seen == []
    check(problem, "tls", "this machine does not know", "SSL_CERT_FILE")


def test_a_context_that_trusts_everybody_is_not_taken() -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    for mode in (ssl.CERT_REQUIRED, ssl.CERT_NONE):
        trusting.verify_mode = mode
        with pytest.raises(ValueError, match="verifies"):
            ServerClient(ServerAddress.of("https://127.0.0.1"), context=trusting)


def test_plain_http_to_a_server_that_wants_tls(some_certificates: dict[str, Path]) -> None:
    with small_server(certificate=some_certificates["good"]) as server:
        problem = problem_at(f"http://127.0.0.1:{server.port}")
    check(problem, "tls", "wants TLS", "https://")


@pytest.mark.parametrize("talk", [dripping, silence])
def test_tls_to_a_port_that_does_not_speak_it(talk: TALK) -> None:
    with raw_server(talk) as port:
        problem = problem_at(f"https://127.0.0.1:{port}", timeout_s=0.4)
    if talk is dripping:
        check(problem, "tls", "speaks plain HTTP", "http://")
    else:
        check(problem, "timeout", "does not begin TLS", "address")


def test_tls_to_a_web_server_that_waits_for_the_end_of_a_line() -> None:
    with small_server() as server:
        problem = problem_at(f"https://127.0.0.1:{server.port}", timeout_s=0.4)
        assert all("Authorization" not in headers for *_, headers in server.seen)
    check(problem, "tls", "speaks plain HTTP", "http://")


def test_a_server_that_wants_a_certificate_of_the_client(
    some_certificates: dict[str, Path], a_trusting_context: ssl.SSLContext
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(some_certificates["good"])
    context.load_verify_locations(some_certificates["authority"])
    context.verify_mode = ssl.CERT_REQUIRED

    def talk(connection: socket.socket) -> None:
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with secured:
            with contextlib.suppress(ssl.SSLError):
                secured.do_handshake()
            time.sleep(0.3)  # so that the client reads why

    with raw_server(talk) as port:
        problem = problem_at(f"https://127.0.0.1:{port}", context=a_trusting_context)
    check(problem, "tls", "certificate required", "certificate of you")


# A web server answers, but not ours.

MONAI_LABEL = json_reply({"name": "Radiology", "models": {}, "trainers": {}, "datastore": {}})
NOT_FOUND = json_reply({"detail": "Not Found"}, 404)
OLDER = json_reply({"name": "Counterpart", "models": {}, "trainers": {}, "datastore": {}})
OURS_LATER = {**FACTS, "model": "healthy-brain 9"}


@pytest.mark.parametrize(
    ("info", "stock_info", "kind", "words", "cure"),
    [
        (NOT_FOUND, MONAI_LABEL, "not_counterpart", "without the Counterpart app", "app"),
        (NOT_FOUND, OLDER, "old_server", "too old", "update"),
        (NOT_FOUND, NOT_FOUND, "not_counterpart", "no Counterpart server", "port"),
        (html_reply("no", 404), html_reply("no", 404), "not_counterpart", "no Counter", "port"),
        (html_reply("yes"), html_reply("yes"), "not_counterpart", "no Counterpart", "port"),
        (json_reply([1]), NOT_FOUND, "not_counterpart", "no Counterpart server", "port"),
        (json_reply({"name": "x"}), NOT_FOUND, "not_counterpart", "no Counterpart", "port"),
        (json_reply(OURS_LATER), OLDER, "old_server", "does not understand", "update"),
        (json_reply({"name": "Counterpart"}), OLDER, "old_server", "not understand", "update"),
        (json_reply({}, 405), NOT_FOUND, "not_counterpart", "no Counterpart server", "port"),
        (html_reply("x", 500), html_reply("x", 500), "server", "status 500", "log"),
        (json_reply({}, 500), OLDER, "server", "problem of its own", "log"),
        (json_reply({}, 503), OLDER, "busy", "busy", "minute"),
        (html_reply("Bad Gateway", 502), OLDER, "busy", "busy", "minute"),
        (json_reply({}, 429), OLDER, "busy", "busy", "minute"),
        (json_reply({}, 401), OLDER, "token", "does not know the token", "Copy"),
        (html_reply("no", 403), OLDER, "role", "does not allow", "administrator"),
    ],
)
def test_a_web_server_that_is_not_ours_or_not_as_ours_should_be(
    info: Reply, stock_info: Reply, kind: str, words: str, cure: str
) -> None:
    with small_server({"/counterpart/info": info, "/info/": stock_info}) as server:
        check(problem_at(f"127.0.0.1:{server.port}"), kind, words, cure)
        for _, path, headers in server.seen:
            assert ("Authorization" in headers) == (path == "/counterpart/info")


def test_a_path_behind_the_address_is_named_as_what_may_be_wrong() -> None:
    with small_server() as server:
        problem = problem_at(f"127.0.0.1:{server.port}/docs")
    check(problem, "not_counterpart", "/docs", "Leave out what follows")


def test_a_redirect_is_not_followed_and_gets_neither_token_nor_scan(tmp_path: Path) -> None:
    with small_server() as other:
        there = {"Location": f"http://127.0.0.1:{other.port}/counterpart/info"}
        with small_server(otherwise=(307, there, b"")) as server:
            problem = problem_at(f"127.0.0.1:{server.port}")
        assert other.seen == []
    check(problem, "not_counterpart", "not followed", "its own address")
    assert f"http://127.0.0.1:{other.port}" in problem.sentence


def test_a_redirect_to_tls_says_what_to_type() -> None:
    with small_server(otherwise=(301, {"Location": "https://127.0.0.1/x"}, b"")) as server:
        check(problem_at(f"127.0.0.1:{server.port}"), "tls", "wants TLS", "https://")


@pytest.mark.parametrize("location", ["", "http://[", "/elsewhere", "\x00\x1b[31m", "//a b"])
def test_a_redirect_to_nonsense_is_a_sentence_too(location: str) -> None:
    with small_server(otherwise=(302, {"Location": location}, b"")) as server:
        problem = problem_at(f"127.0.0.1:{server.port}")
    assert problem.kind == "not_counterpart" and problem.sentence.isprintable()


# Answers that are not what was agreed.


def studies_problem(reply: Reply) -> ServerProblem:
    with small_server({"/datastore/": reply}) as server:
        client = ServerClient(ServerAddress.of(f"127.0.0.1:{server.port}"))
        with pytest.raises(ServerProblem) as caught:
            client.studies()
    return caught.value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"objects": NaN}', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[1, 2]", "no JSON object"),
        (b'{"objects": [1]}', "lists no studies"),
        (b" " * (17 << 20), "longer than it can be"),
    ],
)
def test_an_answer_that_cannot_be_used(content: bytes, words: str) -> None:
    problem = studies_problem((200, {}, content))
    assert problem.kind == "nonsense" and words in problem.sentence


def test_what_a_server_says_is_shown_as_one_plain_line() -> None:
    said = {"error": "A\nlong\x1b[31m\tsentence.", "hint": "h" * 5000}
    problem = studies_problem(json_reply(said, 422))
    assert problem.kind == "refusal" and problem.status == 422
    assert problem.sentence == "A long[31m sentence." and len(problem.cure) == 500


def test_a_wrong_token_is_a_sentence_before_anything_is_sent() -> None:
    for token in ("geheim\r\nX-Evil: 1", "gehéim", "geheim zwei"):
        with pytest.raises(ServerProblem) as caught:
            ServerClient(ServerAddress.of("127.0.0.1"), token)
        assert caught.value.kind == "token" and "geh" not in str(caught.value)


# Nothing waits for ever.


@contextlib.contextmanager
def a_dripping_server() -> Iterator[int]:
    def talk(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    with raw_server(talk) as port:
        yield port


def test_a_server_that_sends_a_byte_now_and_then_is_not_waited_for_for_ever() -> None:
    from HealthyCounterpartLib.exchange import Exchange, Request

    with a_dripping_server() as port:
        exchange = Exchange(ServerAddress.of(f"127.0.0.1:{port}"))
        request = Request("GET", "/", whole_s=0.3)
        with pytest.raises(ServerProblem) as caught, exchange.answer(request) as answer:
            answer.content(1 << 20)
    assert caught.value.kind == "timeout" and "0.3 s" in caught.value.sentence
