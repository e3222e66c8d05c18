"""``counterpart models``: what it prints and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpart.bundle import (
    CARD,
    METADATA,
    SERVING,
    WEIGHTS,
    Model,
    bundle_version,
    load_model,
    write_manifest,
)
from counterpart.cli import main
from counterpart.cohort import Cohort
from counterpart.registry import commands as registry_commands
from counterpart.registry import paired
from counterpart.registry.commands import bundle_facts
from counterpart.registry.gates import GATES, gate_name
from counterpart.registry.verdict import Verdict
from counterpart.registry.versions import entries, history, resolve

BundleOf = Callable[..., Path]
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    a_registry: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs ``counterpart models`` on a wide console; gives exit code and all that is printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: object) -> tuple[int, str]:
        status = main(["models", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return command


def rows(text: str, name: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.split()[:1] == [name]]


def test_publish_prints_each_verdict_and_lets_the_model_serve(
    run: Run, bundle_of: BundleOf, a_registry: Path
) -> None:
    status, text = run("publish", bundle_of("1.0.0"), "--reason", "the first")
    assert status == 0
    for gate in ("sound_bundle", *map(gate_name, GATES)):
        assert f"passed {gate}: " in text
    assert text.count("not checked: no cohort given.") == 4
    assert f"published tiny 1.0.0 serves from {a_registry / 'tiny' / '1.0.0'}" in text
    assert [event.reason for event in history("tiny")] == ["the first"]


def test_list_shows_what_serves_and_what_for(run: Run, bundle_of: BundleOf) -> None:
    run("publish", bundle_of("1.0.0"))
    run("publish", bundle_of("1.1.0", off=0.5, contrasts=("T1", "FLAIR")))
    status, text = run("list")
    assert status == 0
    hashes = [load_model(f"tiny@{version}").weights_sha256[:12] for version in ("1.0.0", "1.1.0")]
    assert hashes[0] != hashes[1]
    old, new = rows(text, "tiny")
    assert old[:-1] == ["tiny", "1.0.0", "registry", "T1", "(simulated)", hashes[0]]
    assert new[:5] == ["tiny", "1.1.0", "yes", "registry", "FLAIR"]
    assert new[-2] == hashes[1]
    size = sum(path.stat().st_size for path in resolve("tiny").rglob("*") if path.is_file())
    assert new[-1] == f"{size / 1e6:.1f}"
    version = bundle_version(resolve("healthy-brain"))
    assert rows(text, "healthy-brain")[0][1:4] == [version, "yes", "released"]


def test_the_registry_of_the_option_is_used(
    run: Run, bundle_of: BundleOf, tmp_path: Path, a_registry: Path
) -> None:
    other = tmp_path / "other"
    assert run("publish", bundle_of("1.0.0"), "--registry", other)[0] == 0
    assert run("publish", bundle_of("1.1.0"), "--registry", other)[0] == 0
    assert not a_registry.exists()
    assert len(rows(run("list", "--registry", other)[1], "tiny")) == 2
    assert "history" in run("show", "tiny@1.0.0", "--registry", other)[1]
    assert run("rollback", "tiny", "--registry", other)[0] == 0
    assert resolve("tiny", root=other).name == "1.0.0"


def test_a_damaged_version_does_not_hide_the_others(run: Run, bundle_of: BundleOf) -> None:
    run("publish", bundle_of("1.0.0"))
    run("publish", bundle_of("1.1.0"))
    (resolve("tiny@1.0.0") / WEIGHTS).unlink()
    status, text = run("list")
    assert status == 1
    assert "damaged" in rows(text, "tiny")[0]
    assert "damaged" not in rows(text, "tiny")[1]
    assert f"1.0.0/{WEIGHTS}: missing or changed" in text
    assert run("show", "tiny@1.0.0")[0] == 1


def test_calibrations_of_other_weights_serve_nothing(bundle_of: BundleOf) -> None:
    facts = bundle_facts(bundle_of("1.0.0", bound_to="ab" * 32))
    assert (facts.contrasts, facts.state) == ((), "intact")


def test_show_tells_everything_of_a_version(
    run: Run, bundle_of: BundleOf, a_registry: Path
) -> None:
    run("publish", bundle_of("1.0.0"), "--reason", "the first [sic]")
    run("publish", bundle_of("1.1.0"))
    status, text = run("show", "tiny@1.0.0")
    folder = a_registry / "tiny" / "1.0.0"
    assert status == 0
    assert "tiny 1.0.0, registry, does not serve" in text
    assert f"card {folder / CARD}" in text
    assert "manifest intact" in text
    assert load_model(folder).weights_sha256 in text
    assert json.loads((folder / METADATA).read_text())["schema"] in text
    assert '"levels"' in text
    assert "publish 1.0.0 (registry) by " in text and ": the first [sic]" in text
    assert "publish 1.1.0 (registry) by " in text
    assert "passed finite_answers" in text


def test_show_takes_a_folder_too(run: Run, bundle_of: BundleOf) -> None:
    status, text = run("show", bundle_of("1.0.0"))
    assert status == 0
    assert "of a folder outside the registry" in text and "history" not in text


def test_a_failed_gate_ends_with_1_and_nothing_is_published(run: Run, bundle_of: BundleOf) -> None:
    status, text = run("publish", bundle_of("1.0.0", contrasts=()))
    assert status == 1
    assert "failed bound_calibration: the model has no healthy threshold." in text
    assert "not published tiny 1.0.0" in text
    assert "tiny" not in {entry.name for entry in entries()}


def test_a_gate_is_overruled_with_a_reason_that_is_kept(run: Run, bundle_of: BundleOf) -> None:
    bundle = bundle_of("1.0.0", contrasts=())
    force = ("--force-gate", "bound_calibration", "--force-gate", "finite_answers")
    status, text = run("publish", bundle, *force)
    assert status == 1 and "for a reason only" in text
    status, text = run("publish", bundle, *force, "--reason", "calibrated tomorrow")
    assert status == 0
    assert "overruled bound_calibration" in text and "passed finite_answers" in text
    (event,) = history("tiny")
    assert (event.forced, event.reason) == (("bound_calibration",), "calibrated tomorrow")
    text = run("show", "tiny")[1]
    assert "overruled bound_calibration" in text and "calibrated tomorrow" in text


def test_a_gate_that_is_not_there_cannot_be_overruled(run: Run, bundle_of: BundleOf) -> None:
    status, text = run("publish", bundle_of("1.0.0"), "--force-gate", "taste", "--reason", "x")
    assert status == 1
    assert all(word in text for word in ("'taste'", *map(gate_name, GATES)))


def test_metadata_that_monai_refuses_are_named(run: Run, bundle_of: BundleOf) -> None:
    bundle = bundle_of("1.0.0")
    path = bundle / METADATA
    path.write_text(path.read_text().replace('"task"', '"tusk"'))
    write_manifest(bundle)
    status, text = run("publish", bundle)
    assert status == 1
    assert "failed sound_bundle" in text and "'task' is a required property" in text


def test_publishing_again_says_what_is_the_case(run: Run, bundle_of: BundleOf) -> None:
    run("publish", bundle_of("1.0.0"))
    status, text = run("publish", bundle_of("1.0.0"))
    assert status == 0 and "with the same content before, and serves" in text
    run("publish", bundle_of("1.1.0"))
    status, text = run("publish", bundle_of("1.0.0"))
    assert status == 0
    assert "does not serve; `counterpart models rollback tiny --to 1.0.0` lets it" in text
    status, text = run("publish", bundle_of("1.0.0", off=0.5))
    assert status == 1 and "published with another content" in text


def test_the_cohort_reaches_the_gates_and_the_history(
    run: Run,
    bundle_of: BundleOf,
    a_cohort_folder: Path,
    a_cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def watch(candidate: Model, serving: Model | None, cohort: Cohort | None) -> Verdict:
        seen.append((cohort and cohort.content_hash, serving and serving.version))
        return Verdict("watch", True, "seen.")

    def terms(**options: object) -> registry_commands.Terms:
        return publishing_terms(gates=(watch,), **options)

    publishing_terms: Callable[..., registry_commands.Terms] = registry_commands.Terms
    monkeypatch.setattr(registry_commands, "Terms", terms)
    run("publish", bundle_of("1.0.0"), "--cohort", a_cohort_folder)
    run("publish", bundle_of("1.1.0"), "--name", "tiny", "--cohort", a_cohort_folder)
    assert seen == [(a_cohort.content_hash, None), (a_cohort.content_hash, "1.0.0")]
    assert [event.cohort for event in history("tiny")] == [a_cohort.content_hash] * 2


def test_a_worse_model_is_kept_out_by_the_cohort(
    run: Run,
    bundle_of: BundleOf,
    a_registry: Path,
    a_cohort_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paired, "PATTERNED_HEADS", 1)
    run("publish", bundle_of("1.0.0", off=0.1))
    before = (a_registry / "tiny" / SERVING).read_bytes()
    worse = bundle_of("2.0.0", off=0.6)
    status, text = run("publish", worse, "--cohort", a_cohort_folder)
    assert status == 1
    assert "failed healthy_error" in text and "on T1 (serving model 0.1" in text
    assert "inconclusive, so not passed" in text and "3 subjects" in text
    assert (a_registry / "tiny" / SERVING).read_bytes() == before
    assert load_model("tiny").version == "1.0.0"


def test_rollback_says_what_serves(run: Run, bundle_of: BundleOf, a_registry: Path) -> None:
    run("publish", bundle_of("1.0.0"))
    run("publish", bundle_of("1.1.0"))
    status, text = run("rollback", "tiny", "--reason", "too coarse")
    assert status == 0
    assert f"tiny 1.0.0 (registry) serves from {a_registry / 'tiny' / '1.0.0'}" in text
    assert history("tiny")[-1].reason == "too coarse"
    assert run("rollback", "tiny", "--to", "1.1.0")[0] == 0
    assert resolve("tiny").name == "1.1.0"
    status, text = run("rollback", "tiny", "--to", "9")
    assert status == 1 and "no version 9, but 1.0.0, 1.1.0" in text


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("show", "gone"), "gone: no model bundle"),
        (("show", "healthy-brain@9"), "no version 9"),
        (("publish", "gone"), "gone/manifest.json"),
        (("publish", "gone", "--cohort", "nowhere"), "nowhere"),
        (("rollback", "gone"), "gone"),
    ],
)
def test_what_is_not_there_ends_with_a_sentence(
    run: Run, arguments: tuple[str, ...], word: str
) -> None:
    status, text = run(*arguments)
    assert status == 1
    assert text.startswith("counterpart: ") and word in text and text.count("\n") == 1


@pytest.mark.parametrize("action", ["list", "show", "publish", "rollback"])
def test_every_action_explains_itself(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["models", action, "--help"])
    assert end.value.code == 0
    assert "--registry" in capsys.readouterr().out
