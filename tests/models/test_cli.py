"""The command line: what it offers, how fast it answers, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from counterpart import __version__, commands
from counterpart.cli import build_parser, main
from counterpart.results import DISCLAIMER

COMMANDS = (
    *("generate", "demo", "serve", "prepare", "train", "export", "calibrate", "evaluate"),
    *("patterns", "contrasts", "models", "bench", "ablate"),
)
HEAVY = (
    *("torch", "monai", "monailabel", "lightning", "nibabel", "SimpleITK", "matplotlib", "scipy"),
    *("sklearn", "numpy", "rich"),
)


def test_help_lists_every_command_and_the_disclaimer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    words = text.split()
    assert all(name in words for name in COMMANDS)
    assert DISCLAIMER in " ".join(words)


@pytest.mark.parametrize(
    "arguments",
    [
        *("--help", "generate --help", "models publish --help", "evaluate --help"),
        *("bench --help", "bench generate --help", "--version"),
        *("serve --help", "demo --help", "ablate --help"),
    ],
)
def test_help_loads_nothing_heavy(arguments: str) -> None:
    program = (
        "import sys\n"
        "from counterpart.cli import main\n"
        "try:\n"
        f"    main({arguments.split()!r})\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        f"print('loaded:', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_the_installed_command_answers_with_its_version() -> None:
    program = [sys.executable, "-m", "counterpart.cli", "--version"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, f"counterpart {__version__}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"counterpart {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["heal"],
        ["generate"],
        ["generate", "scan.nii"],
        ["generate", "scan.nii", "-o", "out", "--seed", "three"],
        ["generate", "scan.nii", "-o", "out", "--speed", "9"],
        ["train", "--cohort", "c", "-o", "r", "--stage", "decoder"],
        ["prepare", "-o", "out"],
        ["calibrate", "-o", "out"],
    ],
)
def test_wrong_usage_ends_with_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: counterpart" in capsys.readouterr().err


def test_options_that_are_not_given_have_their_documented_values() -> None:
    options = build_parser().parse_args(["generate", "a.nii", "b.nii", "-o", "out"])
    assert options.scans == [Path("a.nii"), Path("b.nii")]
    assert (options.model, options.device, options.seed) == ("healthy-brain", "cpu", 0)
    assert options.brain_mask is None
    assert options.overwrite is False


def test_calibrating_takes_the_released_model_and_its_version_unless_told() -> None:
    options = build_parser().parse_args(["calibrate", "--cohort", "c", "-o", "out"])
    assert (options.model, options.device) == ("healthy-brain", "cpu")
    assert (options.model_version, options.population) == (None, None)


def assert_one_sentence(captured: str, *words: str) -> None:
    assert captured.startswith("counterpart: ")
    assert captured.count("\n") == 1
    assert "Traceback" not in captured
    for word in words:
        assert word in captured


def test_a_missing_model_ends_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["generate", "scan.nii.gz", "-o", str(tmp_path / "out"), "--model", str(tmp_path)]
    assert main(arguments) == 1
    assert_one_sentence(capsys.readouterr().err, str(tmp_path), "no model bundle")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["prepare", "{here}/gone", "-o", "{here}/out"], "gone"),
        (["export", "{here}/gone", "--cohort", "{here}", "-o", "{here}/out"], "gone"),
        (["train", "--cohort", "{here}/gone", "-o", "{here}/out"], "gone"),
        (["calibrate", "--cohort", "{here}", "-o", "{here}/out", "--model", "{here}/gone"], "gone"),
        (["patterns", "--cohort", "{here}/gone", "-o", "{here}/page.png"], "gone"),
        (["patterns", "--cohort", "{here}/gone", "-o", "{here}/page.txt"], "page.txt"),
    ],
)
def test_a_missing_input_ends_with_a_sentence_that_names_it(
    tmp_path: Path, arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([text.format(here=tmp_path) for text in arguments]) == 1
    assert_one_sentence(capsys.readouterr().err, word)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "cancelled"),
        (OSError(28, "No space left on device"), 1, "No space left"),
    ],
)
def test_a_cancel_or_a_full_disk_ends_with_a_sentence(
    error: BaseException,
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*arguments: object, **options: object) -> int:
        raise error

    monkeypatch.setattr(commands, "prepare_cohort", stop)
    assert main(["prepare", str(tmp_path), "-o", str(tmp_path / "out")]) == status
    assert_one_sentence(capsys.readouterr().err, words)


def test_a_defect_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*arguments: object, **options: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "prepare_cohort", break_down)
    with pytest.raises(ZeroDivisionError):
        main(["prepare", str(tmp_path), "-o", str(tmp_path / "out")])
