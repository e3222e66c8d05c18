"""What keeps a server from being started, each said in one sentence, and what is handed on."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from serving_plans import PlanOf

from counterpart.cli import main
from counterpart.errors import CounterpartError, ServingError
from counterpart.serving.address import Address, free_port, is_loopback
from counterpart.serving.options import ServeOptions
from counterpart.serving.people import Person, known_people
from counterpart.serving.plan import plan_server

LONG = "0123456789abcdef"


def _token_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(mode)
    return path


def _refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence on stderr with which ``counterpart serve`` ends."""
    assert main(["serve", *(str(one) for one in arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("counterpart: ")
    assert said.err.count("\n") == 1
    return said.err


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the settings of this machine's own server out."""
    for name in [name for name in os.environ if name.startswith("COUNTERPART_")]:
        if name != "COUNTERPART_MODELS":
            monkeypatch.delenv(name)


def test_studies_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    assert f"make it with `mkdir -p {gone}`" in _refused(capsys, "--studies", gone)
    assert not gone.exists()
    gone.touch()
    assert f"{gone}: is a file" in _refused(capsys, "--studies", gone)
    # Which even root cannot write.
    assert "/proc: the studies folder cannot be written" in _refused(capsys, "--studies", "/proc")
    assert "expected an address such as" in _refused(capsys, "--studies", "http://")


def test_ports_and_hosts_that_cannot_be_listened_on_are_named(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = _refused(capsys, "--studies", studies, "--port", port)
        assert f"port {port} of 127.0.0.1 is in use" in said
        assert free_port("127.0.0.1", port) != port
    for number in (0, 65536, -1):
        assert "from 1 to 65535" in _refused(capsys, "--studies", studies, "--port", number)
    token = _token_file(studies.parent, LONG)
    said = _refused(capsys, "--studies", studies, "--token-file", token, "--host", "192.0.2.1")
    assert "--host 192.0.2.1: this machine cannot listen there" in said


def test_the_cohort_of_the_references_is_named_absolutely_for_the_server(
    studies: Path, tmp_path: Path, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "COUNTERPART_REFERENCES_COHORT"
    assert name not in plan_of().environment
    monkeypatch.chdir(tmp_path)
    chosen = plan_of(references_cohort=Path("cohort"), environment={name: "elsewhere"})
    assert chosen.environment[name] == str(tmp_path / "cohort")
    told = plan_of(environment={name: "elsewhere"})
    assert told.environment[name] == str(tmp_path / "elsewhere")


def test_other_machines_are_served_only_with_tokens_or_on_purpose(
    studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], plan_of: PlanOf
) -> None:
    said = _refused(capsys, "--studies", studies, "--host", "0.0.0.0")
    assert "give --token-file (or COUNTERPART_TOKEN), or --insecure" in said
    open_plan = plan_of(host="0.0.0.0", insecure=True)
    assert (open_plan.open_to_all, open_plan.environment["COUNTERPART_INSECURE"]) == (True, "1")
    kept = plan_of(host="0.0.0.0", environment={"COUNTERPART_TOKEN": LONG})
    assert (kept.open_to_all, kept.token, kept.unencrypted) == (False, LONG, True)
    assert "COUNTERPART_INSECURE" not in kept.environment
    assert kept.address == Address(False, "127.0.0.1", kept.port)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("", 0o600, "holds no token"),
        ("# only a comment\n", 0o600, "holds no token"),
        (LONG, 0o640, "others may read the tokens; run `chmod 600"),
        ("short\n", 0o600, "'admin' has fewer than 16 characters"),
        (f"ann admin {LONG}\nbob user short", 0o600, "'bob' has fewer than 16 characters"),
        (f"ann {LONG}", 0o600, "found 2 words on one"),
        (f"ann boss {LONG}", 0o600, "'boss' is no role"),
        (f"ann user {LONG}\nann admin {LONG}", 0o600, "two tokens for 'ann'"),
        ("\udcff", 0o600, "cannot be read"),
    ],
)
def test_token_files_that_help_nobody_are_refused(
    text: str, mode: int, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(text.encode(errors="surrogateescape"))
    path.chmod(mode)
    with pytest.raises(ServingError, match="[^\n]+") as refused:
        known_people(path, "")
    assert words in str(refused.value)
    assert LONG not in str(refused.value)


def test_people_are_read_and_their_tokens_stay_secret(tmp_path: Path) -> None:
    path = _token_file(tmp_path, f"# ours\nann admin {LONG}  # the boss\n\nbob user {LONG[::-1]}\n")
    people = known_people(path, LONG + "x")
    assert people == (
        Person("admin", "admin", LONG + "x"),
        Person("ann", "admin", LONG),
        Person("bob", "user", LONG[::-1]),
    )
    assert LONG not in repr(people)
    assert known_people(_token_file(tmp_path, f"{LONG}\n"), "")[0].role == "admin"
    with pytest.raises(ServingError, match="no such token file; `openssl rand"):
        known_people(tmp_path / "gone", "")


def test_a_full_disk_is_said_with_what_is_left(studies: Path, tmp_path: Path) -> None:
    asked: list[Path] = []

    def almost_full(path: Path) -> int:
        asked.append(path)
        return 999_000_000 if path == studies else 2 * 10**9

    options = ServeOptions(str(studies), state=tmp_path / "state", port=free_port("127.0.0.1", 0))
    with pytest.raises(ServingError, match=f"{studies}: only 999 MB are free"):
        plan_server(options, {}, free=almost_full)
    assert asked == [tmp_path / "state", studies]
    assert not (tmp_path / "state").exists()


def test_a_certificate_without_its_key_is_refused(tmp_path: Path, plan_of: PlanOf) -> None:
    from counterpart.serving.options import Encryption

    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=here"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    plan = plan_of(encryption=Encryption(key, certificate))
    assert plan.address.url == f"https://127.0.0.1:{plan.port}"
    with pytest.raises(ServingError, match="TLS needs both"):
        plan_of(encryption=Encryption(key, None))
    with pytest.raises(ServingError, match="not a certificate with its key"):
        plan_of(encryption=Encryption(certificate, certificate))
    locked = tmp_path / "locked.pem"
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:word"]
    subprocess.run([*command, "-in", key, "-out", locked], check=True, capture_output=True)
    with pytest.raises(ServingError, match="not a certificate with its key"):
        plan_of(encryption=Encryption(locked, certificate))
    assert plan_of(encryption=Encryption(locked, certificate, "word")).encryption.wanted


def test_what_is_said_comes_before_the_environment(
    tmp_path: Path, studies: Path, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    around = {
        "COUNTERPART_MODEL": "other",
        "COUNTERPART_CACHE_GB": "3",
        "COUNTERPART_DEVICE": "cuda",
        "COUNTERPART_MODELS": "registry",
        "MONAI_LABEL_DICOMWEB_SEARCH_FILTER": "{}",
        "PATH": "/bin",
    }
    plan = plan_of(environment=around, device="cpu", upload_mb=1.5, state=Path("s"))
    told = plan.environment
    assert (plan.model, plan.device) == ("other", "cpu")
    assert told["COUNTERPART_MODEL"] == "other"
    assert told["COUNTERPART_DEVICE"] == "cpu"
    assert told["COUNTERPART_CACHE_GB"] == "3"
    assert told["COUNTERPART_UPLOAD_MB"] == "1.5"
    assert "COUNTERPART_CACHE_DAYS" not in told
    assert told["COUNTERPART_STATE"] == str(tmp_path / "s") == str(plan.state)
    assert told["COUNTERPART_MODELS"] == str(tmp_path / "registry")
    assert told["MONAI_LABEL_TRACKING_ENABLED"] == "false"
    assert told["MONAI_LABEL_DICOMWEB_SEARCH_FILTER"] == "{}"
    assert told["MONAI_LABEL_SESSION_PATH"] == str(tmp_path / "s" / "sessions")
    assert told["PATH"] == "/bin"
    with pytest.raises(ServingError, match="--cache-gb: expected a positive number, got '-1'"):
        plan_of(cache_gb=-1)


def test_monai_label_gets_its_own_options(studies: Path, tmp_path: Path, plan_of: PlanOf) -> None:
    plan = plan_of(root_path="/mri")
    words = super(type(plan), plan).command()
    assert words[1:4] == ["-m", "monailabel.main", "start_server"]
    given = dict(zip(words[4::2], words[5::2], strict=True))
    assert given == {
        "--app": str(tmp_path / "state" / "app"),
        "--studies": str(studies),
        "--host": "127.0.0.1",
        "--port": str(plan.port),
        "--root_path": "/mri",
    }
    with pytest.raises(ServingError, match="--root-path mri: expected a path"):
        plan_of(root_path="mri")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("url", ["http://[::1]:8000", "https://host/app", "http://h"])
def test_addresses_survive_a_round_trip(url: str) -> None:
    assert Address.of(url).url == url
    assert Address.of(f"{url}/").url == url


def test_an_address_with_a_password_is_refused() -> None:
    with pytest.raises(CounterpartError, match="expected an address such as"):
        Address.of("http://ann:secret@host")
