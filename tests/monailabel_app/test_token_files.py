"""Token files and log-ins: what is refused, how tokens are compared, how log-ins end."""

import hmac
import time
from pathlib import Path

import jwt
import pytest
from a_server import ServerOf
from people import write_token_file

from counterpart.errors import CounterpartError
from lib.security import tokens as tokens_module
from lib.security.tokens import Tokens
from lib.settings import ServerSettings, read_settings

KEY = bytes(range(32))
LONG = "0123456789abcdef"


def a_token_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def settings_with(path: Path | None = None, token: str = "") -> ServerSettings:
    return ServerSettings(state=Path("/nowhere"), token_file=path, token=token)


def test_one_word_alone_is_the_administrators(tmp_path: Path) -> None:
    path = a_token_file(tmp_path, f"# ours\n\n  {LONG}  # written by hand\n")
    known = Tokens(settings_with(path), KEY)
    found = known.identify(LONG)
    assert found is not None and (found.name, found.role) == ("admin", "admin")
    assert known.identify(LONG[:-1]) is None and known.identify("") is None


def test_a_token_may_have_a_hash_sign_within(tmp_path: Path) -> None:
    path = a_token_file(tmp_path, f"Ulla user {LONG}#{LONG}\n")
    known = Tokens(settings_with(path), KEY)
    assert known.identify(LONG) is None
    assert known.identify(f"{LONG}#{LONG}") is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no token"),
        ("# nothing\n\n", "holds no token"),
        ("short", "fewer than 16 characters"),
        (f"Ulla user {LONG[:-1]}", "fewer than 16 characters"),
        (f"Ulla king {LONG}", "'king' is no role"),
        (f"Ulla user {LONG} more", "found 4 words"),
        (f"Ulla user {LONG}\nUlla admin {LONG}x", "two tokens for 'Ulla'"),
        (f"Ulla user {LONG}é", "ASCII characters only"),
    ],
)
def test_a_token_file_with_a_mistake_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CounterpartError, match=said):
        Tokens(settings_with(a_token_file(tmp_path, text)), KEY)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_token_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = a_token_file(tmp_path, LONG, mode)
    with pytest.raises(CounterpartError, match="others may read"):
        Tokens(settings_with(path), KEY)


def test_a_token_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match="no such token file"):
        Tokens(settings_with(tmp_path / "none"), KEY)


def test_a_token_on_the_command_line_is_refused() -> None:
    """MONAI Label writes what it was started with into its log."""
    with pytest.raises(CounterpartError, match="command line"):
        read_settings("/studies", {"token": LONG}, {})
    assert read_settings("/studies", {}, {"COUNTERPART_TOKEN": LONG}).token == LONG


def test_a_server_with_an_open_token_file_does_not_start(server_of: ServerOf) -> None:
    server = server_of()
    write_token_file(server)
    (server.folder / "tokens").chmod(0o644)
    with pytest.raises(RuntimeError, match="the server ended"):
        server.start()
    assert server.process is not None and server.process.returncode == 2
    said = [line for line in server.log.splitlines() if line.startswith("counterpart:")]
    assert len(said) == 1 and "others may read the tokens" in said[0]
    assert "Traceback" not in server.log


# How tokens are compared, and how log-ins end.


@pytest.fixture
def some_tokens() -> Tokens:
    return Tokens(settings_with(token=LONG), KEY)


def test_the_comparison_that_takes_the_same_time_is_what_decides(
    some_tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in = some_tokens.log_in("admin", LONG)
    assert log_in is not None
    monkeypatch.setattr(tokens_module.hmac, "compare_digest", lambda a, b: False)
    assert some_tokens.identify(LONG) is None and some_tokens.identify(log_in) is None
    monkeypatch.setattr(tokens_module.hmac, "compare_digest", lambda a, b: True)
    assert some_tokens.identify("something else") is not None


def test_a_log_in_ends_by_itself(some_tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.time()
    ended = began - tokens_module.LOGIN_S - 60
    monkeypatch.setattr(tokens_module.time, "time", lambda: ended)
    old = some_tokens.log_in("admin", LONG)
    monkeypatch.setattr(tokens_module.time, "time", lambda: ended + 120)
    fresh = some_tokens.log_in("admin", LONG)
    assert old is not None and some_tokens.identify(old) is None
    assert fresh is not None and some_tokens.identify(fresh) is not None


def test_a_log_in_that_was_made_or_changed_by_others_is_none(some_tokens: Tokens) -> None:
    log_in = some_tokens.log_in("admin", LONG)
    assert log_in is not None
    head, claims, signature = log_in.split(".")
    said = jwt.decode(log_in, options={"verify_signature": False})
    digest = hmac.new(bytes(32), b"", "sha256").hexdigest()
    forged = [
        jwt.encode(said, bytes(32), algorithm="HS256"),
        jwt.encode(said, None, algorithm="none"),
        jwt.encode({**said, "tok": digest}, KEY, algorithm="HS256"),
        jwt.encode({**said, "sub": "nobody"}, KEY, algorithm="HS256"),
        jwt.encode({"sub": "admin", "tok": said["tok"]}, KEY, algorithm="HS256"),
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{claims}.",
        head,
    ]
    assert [some_tokens.identify(one) for one in forged] == [None] * len(forged)
    assert some_tokens.identify(log_in) is not None


def test_another_servers_log_in_is_none(some_tokens: Tokens) -> None:
    other = Tokens(settings_with(token=LONG), KEY[::-1])
    log_in = other.log_in("admin", LONG)
    assert log_in is not None and some_tokens.identify(log_in) is None
