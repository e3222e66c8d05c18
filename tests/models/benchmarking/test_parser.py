"""The arguments of ``counterpart bench``: light to load, and with the benchmarks' own defaults."""

import subprocess
import sys
from pathlib import Path

import pytest

from counterpart.benchmarking import commands
from counterpart.benchmarking.answer_times import ServerBench
from counterpart.benchmarking.generating import GenerateBench
from counterpart.benchmarking.parser import STAGES
from counterpart.benchmarking.record import Destination
from counterpart.benchmarking.training_steps import STAGES as TRAINED_STAGES
from counterpart.benchmarking.training_steps import TrainBench
from counterpart.cli import main


def test_a_benchmark_of_a_server_needs_no_torch() -> None:
    program = "import sys, counterpart.benchmarking.commands; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, Destination]]:
    """What the commands are asked to do, instead of doing it."""
    given: list[tuple[object, Destination]] = []

    def take(bench: object, destination: Destination) -> int:
        given.append((bench, destination))
        return 0

    for name in ("bench_generate", "bench_train", "bench_server"):
        monkeypatch.setattr(commands, name, take)
    return given


def test_without_options_the_defaults_are_the_benchmarks_own(
    asked: list[tuple[object, Destination]],
) -> None:
    for arguments in ("generate", "train --cohort c", "server"):
        assert main(["bench", *arguments.split()]) == 0
    nowhere = Destination()
    assert asked == [
        (GenerateBench(), nowhere),
        (TrainBench(Path("c")), nowhere),
        (ServerBench(), nowhere),
    ]
    assert set(STAGES) == set(TRAINED_STAGES)


def test_options_reach_the_benchmarks(
    asked: list[tuple[object, Destination]], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("word\n")
    generate = "generate --repeats 2 --shape 9 10 11 --threads 1 --device cuda -o a.json"
    server = f"server --url http://h --path /a --path /b --token-file {tmp_path}/token"
    assert main(["bench", *generate.split()]) == 0
    server += " --image x --image y --crowd 3"
    assert main(["bench", *server.split(), "--document", "d.md"]) == 0
    assert asked == [
        (
            GenerateBench(repeats=2, shape=(9, 10, 11), threads=1, device="cuda"),
            Destination(Path("a.json")),
        ),
        (
            ServerBench("http://h", ("/a", "/b"), images=("x", "y"), token="word", crowd=3),
            Destination(document=Path("d.md")),
        ),
    ]


def test_a_shape_is_that_of_the_sample_head_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "generate", "scan.nii", "--shape", "9", "9", "9"]) == 1
    assert "--shape is that of the sample head" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--repeats", "--threads"])
def test_no_repeats_and_no_threads_are_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "generate", option, "0"]) == 1
    assert "at least one repeat and one thread" in capsys.readouterr().err
