"""`counterpart evaluate` as a user runs it: files, the document's section and log, refusals."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from made_up_figures import evaluation, patient

from counterpart.cli import build_parser, main
from counterpart.evaluation import commands
from counterpart.evaluation.commands import command_line
from counterpart.evaluation.records import MAP, RESIDUAL, case_name
from counterpart.evaluation.sources import Sources
from counterpart.results import DISCLAIMER

Spoken = Callable[[], str]
LOOKS = "| date | weights | why |\n|---|---|---|\n"
DOCUMENT = f"""# Benchmark

<!-- evaluate: begin -->
old figures
<!-- evaluate: end -->

Said by hand.

<!-- looks: begin -->
{LOOKS}| 2026-01-01 | none | earlier |
<!-- looks: end -->
"""


@pytest.fixture
def a_bundle(bundle_of: Callable[..., Path]) -> Path:
    return bundle_of("1.0.0", off=0.7, contrasts=("FLAIR", "T1"))


@pytest.fixture
def a_document(tmp_path: Path) -> Path:
    path = tmp_path / "benchmark.md"
    path.write_text(DOCUMENT)
    return path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves plots and galleries out, which take a second and have tests of their own."""
    for name in ("draw_plots", "draw_galleries", "draw_pictures"):
        monkeypatch.setattr(commands, name, lambda *others: [])


def command(data: Path, out: Path, bundle: Path, *others: str) -> list[str]:
    return ["evaluate", "--data", str(data), "-o", str(out), "--model", str(bundle), *others]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_two_real_scans_become_tables_plots_gallery_and_a_document(
    tiny_scans: Callable[[], Path],
    a_bundle: Path,
    a_document: Path,
    tmp_path: Path,
    spoken: Spoken,
) -> None:
    out = tmp_path / "out"
    more = ("--document", str(a_document), "--reason", "a rehearsal")
    assert main(command(tiny_scans(), out, a_bundle, *more)) == 0
    told = json.loads((out / "figures.json").read_text())
    (model,) = told["models"]
    assert told["disclaimer"] == DISCLAIMER
    assert [row["scan"] for row in model["patients"]] == ["sample-01_FLAIR"]
    assert [row["scan"] for row in model["healthy"]] == ["healthy-08_T1"]
    assert (model["sets"][0]["group"], model["sets"][0]["contrast"]) == ("sample", "FLAIR")
    assert len(model["weak_points"]) > 2
    text = (out / "figures.md").read_text()
    (row,) = rows_of(out / "patients.csv")
    assert float(row[f"{MAP}: ap"]) == model["patients"][0]["scores"][MAP]["ap"]
    (control,) = rows_of(out / "healthy.csv")
    assert float(control["error"]) == model["healthy"][0]["error"] > 0
    assert [one["contrast"] for one in rows_of(out / "sets.csv")] == ["FLAIR"]
    assert list((out / "plots").glob("*.png"))
    pictures = {path.name for path in (out / "keeping").iterdir()}
    case, healthy = (model[kind][0]["scan"] for kind in ("patients", "healthy"))
    case = case_name("sample", "FLAIR", case).replace(" ", "_")
    healthy = case_name("healthy", "T1", healthy).replace(" ", "_")
    assert pictures == {f"best_01_{case}.png", f"healthy_01_{healthy}.png"}
    kept = rows_of(out / "keeping.csv")
    assert {row["set"] for row in kept} == {"sample FLAIR", "healthy T1"}
    (edge,) = (row for row in kept if (row["set"], row["figure"]) == ("sample FLAIR", "edge_left"))
    assert float(edge["mean"]) == model["patients"][0]["keeping"]["edge_left"]
    assert {goal["reached"] for goal in model["goals"]} >= {"not measured", "no"}
    assert row["case"] in text
    drawn = {path.name for path in (out / "gallery").iterdir()}
    assert drawn == {"all_best.png", "healthy_most_flagged.png"}
    document = a_document.read_text()
    assert "old figures" not in document
    assert text.split(f"{DISCLAIMER}.\n\n")[1].strip() in document
    look = f"| {date.today().isoformat()} | tiny 1.0.0 ({model['weights_sha256'][:12]}) |"
    assert f"{LOOKS}| 2026-01-01 | none | earlier |\n{look} a rehearsal |\n" in document
    assert "Said by hand." in document
    said = spoken()
    assert "sample FLAIR, 1 scans: AP" in said
    assert str(out / "figures.md") in said
    assert DISCLAIMER in said


@pytest.mark.usefixtures("generated", "undrawn")
def test_it_ends_with_one_if_a_scan_was_refused_and_says_which(
    a_data_folder: Path, a_bundle: Path, tmp_path: Path, spoken: Spoken
) -> None:
    assert main(command(a_data_folder, tmp_path / "out", a_bundle)) == 1
    text = (tmp_path / "out" / "figures.md").read_text()
    assert "- broken_T1: " in text
    assert "| ms T1 | 2 |" in text
    assert "broken_T1" in spoken()
    names = [row["scan"] for row in rows_of(tmp_path / "out" / "patients.csv")]
    assert names == ["ms-1_T1", "ms-2_T1"]


@pytest.mark.usefixtures("generated", "undrawn")
def test_without_baselines_none_is_written(
    a_data_folder: Path, a_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    main(command(a_data_folder, out, a_bundle, "--no-baselines"))
    (model,) = json.loads((out / "figures.json").read_text())["models"]
    assert set(model["patients"][0]["scores"]) == {MAP, RESIDUAL}
    assert model["sets"][0]["baseline"] is None
    assert not any("intensity" in name for name in rows_of(out / "patients.csv")[0])
    main(command(a_data_folder, out, a_bundle))
    assert any("intensity" in name for name in rows_of(out / "patients.csv")[0])


@pytest.mark.usefixtures("generated", "undrawn")
def test_models_are_set_side_by_side(
    a_data_folder: Path, bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    one, other = bundle_of("1.0.0"), bundle_of("2.0.0", off=0.5)
    main(command(a_data_folder, tmp_path / "out", one, "--model", str(other)))
    text = (tmp_path / "out" / "figures.md").read_text()
    assert "### Models side by side" in text
    models = json.loads((tmp_path / "out" / "figures.json").read_text())["models"]
    assert [model["version"] for model in models] == ["1.0.0", "2.0.0"]
    assert len(rows_of(tmp_path / "out" / "patients.csv")) == 4
    assert len(list((tmp_path / "out" / "models").iterdir())) == 2


@pytest.mark.usefixtures("undrawn")
def test_a_second_run_writes_the_same_figures_without_measuring(
    a_data_folder: Path, a_bundle: Path, tmp_path: Path, generated: list[str]
) -> None:
    arguments = command(a_data_folder, tmp_path / "out", a_bundle)
    main(arguments)
    first = (tmp_path / "out" / "figures.json").read_bytes()
    generated.clear()
    (tmp_path / "out" / "figures.json").unlink()
    main(arguments)
    assert generated == []
    assert (tmp_path / "out" / "figures.json").read_bytes() == first


@pytest.mark.parametrize("missing", ["evaluate: begin", "looks: end"])
def test_a_document_without_marks_is_refused_before_any_work(
    missing: str,
    a_data_folder: Path,
    a_bundle: Path,
    a_document: Path,
    tmp_path: Path,
    generated: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    a_document.write_text(DOCUMENT.replace(f"<!-- {missing} -->", ""))
    before = a_document.read_bytes()
    arguments = command(a_data_folder, tmp_path / "out", a_bundle, "--document", str(a_document))
    assert main(arguments) == 1
    assert f"<!-- {missing} -->" in capsys.readouterr().err
    assert generated == []
    assert not (tmp_path / "out").exists()
    assert a_document.read_bytes() == before


@pytest.mark.usefixtures("generated", "undrawn")
def test_each_look_is_logged_once_and_one_without_a_reason_as_such(
    a_data_folder: Path, a_bundle: Path, a_document: Path, tmp_path: Path
) -> None:
    def look(out: str, *more: str) -> None:
        more = ("--document", str(a_document), *more)
        main(command(a_data_folder, tmp_path / out, a_bundle, *more))

    look("one")
    look("one", "--reason", "the very same figures")
    (tmp_path / "one" / "figures.json").write_text("damaged")
    look("one", "--reason", "a | b\nc")
    look("two", "--reason", "elsewhere")
    log = a_document.read_text().split("looks: begin -->")[1].split("<!--")[0]
    reasons = [line.split("|")[3].strip() for line in log.strip().splitlines()[3:]]
    assert reasons == ["not said", "a / b c", "elsewhere"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "name a folder of patients (--data)"),
        (["--data", "{here}/gone"], "gone: no such folder"),
        (["--data", "{here}", "--healthy", "{here}/gone"], "gone: no such folder"),
        (["--data", "{here}"], "no scan with a lesion mask"),
        (["--data", "{data}", "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["--data", "{data}", "--model", "{here}"], "no model bundle"),
        (["--data", "{data}", "--document", "{here}/gone.md"], "gone.md: no such file"),
        (["--data", "{data}", "--model", "{bundle}", "--model", "{bundle}"], "name each once"),
    ],
)
def test_what_cannot_be_evaluated_ends_with_one_sentence(
    arguments: list[str],
    word: str,
    a_data_folder: Path,
    a_bundle: Path,
    tmp_path: Path,
    generated: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = tmp_path / "empty"
    here.mkdir()
    (here / "nomask_T1.nii.gz").touch()
    words = [one.format(here=here, data=a_data_folder, bundle=a_bundle) for one in arguments]
    assert main(["evaluate", *words, "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("counterpart: ")
    assert said.count("\n") == 1
    assert word in said
    assert generated == []
    assert not (tmp_path / "out").exists()


def test_a_folder_whose_scans_are_all_refused_is_an_error(
    a_data_folder: Path, a_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (a_data_folder / "patients").glob("ms*"):
        path.unlink()
    assert main(command(a_data_folder / "patients", tmp_path / "out", a_bundle)) == 1
    assert "no scan could be evaluated (broken_T1: " in capsys.readouterr().err
    assert not (tmp_path / "out" / "figures.md").exists()


def test_the_released_model_is_evaluated_unless_told() -> None:
    options = build_parser().parse_args(["evaluate", "--data", "a", "--data", "b", "-o", "out"])
    assert options.data == [Path("a"), Path("b")]
    assert (options.model, options.brain_model) == ([], "brain-extraction")
    assert (options.baselines, options.jobs, options.device, options.seed) == (True, 1, "cpu", 0)
    assert commands.EvaluateOptions().models == ()


def test_the_command_is_told_without_the_folders_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my patients"
    folder.mkdir()
    reason = ["--reason", "T1/T2 looked odd"]
    arguments = ["counterpart", "evaluate", "--data", str(folder), f"--healthy={tmp_path}"]
    monkeypatch.setattr("sys.argv", [*arguments, *reason])
    assert command_line() == (
        f"counterpart evaluate --data 'my patients' --healthy={tmp_path.name} "
        "--reason 'T1/T2 looked odd'"
    )


def test_names_with_brackets_are_printed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoken: Spoken, a_bundle: Path
) -> None:
    found = evaluation([replace(patient("odd[left]_1_T1"), group="odd[left]")])
    monkeypatch.setattr(commands, "evaluate", lambda *others, **named: found)
    monkeypatch.setattr(commands, "write_evaluation", lambda *others: "")
    monkeypatch.setattr(commands, "find_sources", lambda *others: Sources((), ()))
    assert main(command(tmp_path, tmp_path / "out", a_bundle)) == 0
    assert "odd[left] T1, 1 scans" in spoken()
