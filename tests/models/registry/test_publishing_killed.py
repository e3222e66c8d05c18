"""Publications in processes of their own that are killed: what serves goes on serving."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpart.bundle import MANIFEST, load_model
from counterpart.errors import ModelError
from counterpart.registry.publishing import Terms, publish
from counterpart.registry.versions import entries

BundleOf = Callable[..., Path]

PUBLISHER = """
import os, signal, sys, time
from pathlib import Path
from counterpart.registry import publishing
from counterpart.registry import versions as registry
from counterpart.registry.publishing import Terms, publish

def wait(candidate, serving, cohort):
    print("in the gate", flush=True)
    time.sleep(600)

def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

where, bundle = sys.argv[1:]
if where == "pointer":
    publishing.write_serving = kill
publish(Path(bundle), terms=Terms(gates=(wait,) if where == "gate" else ()))
"""


def put(bundle: Path) -> None:
    publish(bundle, terms=Terms(gates=()))


def assert_serves(version: str, *published: str) -> None:
    """The version serves, loads, and nothing beyond the published versions is seen."""
    assert load_model("tiny").version == version
    assert [entry.version for entry in entries() if entry.name == "tiny"] == list(published)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in (folder / "tiny").glob(".*") if path.name != ".lock"]


def start(where: str, bundle: Path) -> "subprocess.Popen[str]":
    program = [sys.executable, "-c", PUBLISHER, where, str(bundle)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


@pytest.mark.slow
def test_a_process_killed_in_a_gate_leaves_the_old_version_serving(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    put(bundle_of("1.0.0"))
    with start("gate", bundle_of("2.0.0")) as process:
        try:
            assert process.stdout is not None
            assert "in the gate\n" in iter(process.stdout.readline, "")
            assert len(hidden(a_registry)) == 1
            assert_serves("1.0.0", "1.0.0")
            with pytest.raises(ModelError, match="another process is publishing"):
                put(bundle_of("3.0.0"))
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(hidden(a_registry)) == 1
    assert_serves("1.0.0", "1.0.0")
    put(bundle_of("3.0.0"))
    assert hidden(a_registry) == []
    assert_serves("3.0.0", "1.0.0", "3.0.0")


@pytest.mark.slow
def test_a_process_killed_before_the_last_rename_leaves_the_old_version_serving(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    put(bundle_of("1.0.0"))
    with start("pointer", bundle_of("2.0.0")) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (a_registry / "tiny" / "2.0.0" / MANIFEST).is_file()
    assert_serves("1.0.0", "1.0.0")
    put(bundle_of("2.0.0"))
    assert_serves("2.0.0", "1.0.0", "2.0.0")
