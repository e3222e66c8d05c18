"""The systemd unit and the Dockerfile: what keeps them safe, and that their command exists."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from counterpart.cli import build_parser

HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "RestrictNamespaces": "yes",
    "CapabilityBoundingSet": "",
    "KillMode": "mixed",
}


@pytest.fixture
def the_folder(the_repository: Path) -> Path:
    return the_repository / "monailabel_app" / "deploy"


def _instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Each instruction with its arguments, comments and continued lines resolved."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    parts = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, rest) for name, rest in parts]


def test_the_unit_is_hardened_and_starts_a_command_that_exists(the_folder: Path) -> None:
    unit = configparser.RawConfigParser(strict=False, delimiters="=", comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(the_folder / "counterpart.service")
    service = dict(unit["Service"])
    assert {key: service.get(key) for key in HARDENED} == HARDENED
    assert service["User"] not in ("", "root")
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "counterpart"
    options = build_parser().parse_args(words)
    assert options.command == "serve"
    assert options.host == "127.0.0.1"
    assert options.token_file is not None
    written = {f"/var/lib/{name}" for name in service["StateDirectory"].split()}
    assert options.studies in written
    assert service["RestartPreventExitStatus"] == "2"


def test_systemd_finds_nothing_wrong_with_the_unit(the_folder: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (the_folder / "counterpart.service").read_text()
    # An account and a program that every machine has.
    text = re.sub(r"^(User|Group)=.*$", r"\1=root", text, flags=re.MULTILINE)
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text, flags=re.MULTILINE)
    (tmp_path / "counterpart.service").write_text(text)
    command = ["systemd-analyze", "verify", str(tmp_path / "counterpart.service")]
    done = subprocess.run(command, capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "counterpart.service" in line]
    assert (done.returncode, said) == (0, [])


def test_the_image_runs_the_server_as_nobody_special(the_folder: Path) -> None:
    steps = _instructions(the_folder / "Dockerfile")
    names = [name for name, _ in steps]
    last = dict(steps)
    assert last["FROM"] == "python:3.11-slim"
    assert last["USER"].split(":")[0] not in ("0", "root")
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert last["EXPOSE"] == "8000"
    check = json.loads(last["HEALTHCHECK"].split("CMD ", 1)[1])
    compile(check[-1], "healthcheck", "exec")
    assert ":8000/counterpart/health" in check[-1]
    program, *words = json.loads(last["ENTRYPOINT"])
    options = build_parser().parse_args(words)
    assert (program, options.command, options.port) == ("counterpart", "serve", 8000)
    assert not options.insecure
    assert not any("TOKEN" in rest for _, rest in steps)


def test_what_the_image_is_made_of_is_what_the_wheel_needs(
    the_folder: Path, the_repository: Path
) -> None:
    lines = (the_folder / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert kept == {
        *("pyproject.toml", "README.md", "LICENSE.txt", "models", "monailabel_app", "sample_data")
    }
    assert all((the_repository / name).exists() for name in kept)
