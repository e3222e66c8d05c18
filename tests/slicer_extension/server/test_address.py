"""Addresses as people type them."""

import pytest

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.problems import ServerProblem


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("  localhost:9000/ ", "http://localhost:9000"),
        ("gpu-host", "http://gpu-host:8000"),
        ("gpu-host/brain", "http://gpu-host:8000/brain"),
        ("http://gpu-host", "http://gpu-host"),
        ("HTTP://GPU-Host:80/", "http://gpu-host"),
        ("https://h.example/base/", "https://h.example/base"),
        ("https://h.example:8443/two words".replace(" ", "%20"), "https://h.example:8443/two%20words"),
        ("::1", "http://[::1]:8000"),
        ("[::1]:8001", "http://[::1]:8001"),
        ("https://[fe80::1]/x", "https://[fe80::1]/x"),
        ("http://bücher.example/ü", "http://bücher.example/%C3%BC"),
    ],
)  # fmt: skip
def test_what_people_type_becomes_a_url(typed: str, url: str) -> None:
    address = ServerAddress.of(typed)
    assert address.url == url
    assert ServerAddress.of(address.url) == address


REFUSED = [
    ("", "No address", "http://127.0.0.1:8000"),
    ("0.0.0.0:8000", "where a server listens", "127.0.0.1"),
    ("http://0.0.0.0", "where a server listens", "127.0.0.1"),
    ("::", "where a server listens", "127.0.0.1"),
    ("http://[::]:8000", "where a server listens", "127.0.0.1"),
    ("[::ffff:0.0.0.0]:8000", "where a server listens", "127.0.0.1"),
    ("0:8000", "where a server listens", "127.0.0.1"),
    ("my server", "a space", "http://127.0.0.1:8000"),
    ("host\u200b:8000", "invisible", "http://127.0.0.1:8000"),
    ("host\r\nX: y", "a space", "http://127.0.0.1:8000"),
    ("http:\\\\host", "backslash", "Type /"),
    ("ftp://host", "not by ftp://", "http://127.0.0.1:8000"),
    ("file:///etc/passwd", "not by file://", "http://127.0.0.1:8000"),
    ("http:127.0.0.1:8000", "two slashes", "http://127.0.0.1:8000"),
    ("http:/127.0.0.1:8000", "two slashes", "http://127.0.0.1:8000"),
    ("host:99999", "port", "http://127.0.0.1:8000"),
    ("host:0", "port", "http://127.0.0.1:8000"),
    ("host:abc", "port", "http://127.0.0.1:8000"),
    ("http://", "no machine", "http://127.0.0.1:8000"),
    ("http://:8000", "no machine", "http://127.0.0.1:8000"),
    ("a..b", "no machine", "http://127.0.0.1:8000"),
    ("x" * 64 + ".example", "no machine", "http://127.0.0.1:8000"),
    ("http://[::1", "brackets", "http://127.0.0.1:8000"),
    ("http://me:geheim@host", "password", "token has a field"),
    ("host/?token=geheim", "behind a ?", "Leave out"),
    ("host/#/studies", "behind a ?", "Leave out"),
    ("h" * 1001, "too long", "http://127.0.0.1:8000"),
]


@pytest.mark.parametrize(("typed", "words", "cure"), REFUSED)
def test_what_is_no_address_has_a_sentence_and_a_cure(typed: str, words: str, cure: str) -> None:
    with pytest.raises(ServerProblem) as caught:
        ServerAddress.of(typed)
    assert caught.value.kind == "address"
    assert words in caught.value.sentence and caught.value.sentence.endswith(".")
    assert cure in caught.value.cure
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "local"),
    [
        ("127.0.0.1:8000", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("LOCALHOST.:8000", True),
        ("[::1]:8000", True),
        ("localhost.example", False),
        ("192.168.0.7", False),
        ("https://gpu-host", False),
        ("[fe80::1]", False),
    ],
)
def test_only_loopback_is_this_machine(typed: str, local: bool) -> None:
    assert ServerAddress.of(typed).local is local


def test_a_warning_is_given_where_scan_and_token_can_be_read_on_the_way() -> None:
    assert "unencrypted" in ServerAddress.of("gpu-host:8000").warns
    assert "gpu-host" in ServerAddress.of("gpu-host:8000").warns
    for safe in ("https://gpu-host", "localhost:8000", "127.0.0.1"):
        assert ServerAddress.of(safe).warns == ""
