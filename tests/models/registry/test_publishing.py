"""Publication: nothing half done is ever seen, and what serves goes on serving till the end."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from counterpart.bundle import (
    CALIBRATIONS,
    CARD,
    MANIFEST,
    METADATA,
    SERVING,
    SETTINGS,
    WEIGHTS,
    Model,
    load_model,
    write_manifest,
)
from counterpart.cohort import Cohort
from counterpart.errors import ModelError
from counterpart.hashing import file_sha256
from counterpart.package_data import package_data
from counterpart.registry import publishing
from counterpart.registry import versions as registry
from counterpart.registry.publishing import Publication, Terms, publish
from counterpart.registry.verdict import Verdict
from counterpart.registry.versions import entries, history, resolve, rollback

BundleOf = Callable[..., Path]
UNGATED = Terms(gates=())


class Killed(BaseException):
    """Stands for whatever ends a process in the middle."""


def strict(candidate: Model, serving: Model | None, cohort: Cohort | None) -> Verdict:
    return Verdict("strict", False, "it is never good enough.", {"worth": 0.0})


def killing(candidate: Model, serving: Model | None, cohort: Cohort | None) -> Verdict:
    raise Killed


def put(bundle: Path) -> Publication:
    return publish(bundle, terms=UNGATED)


def assert_serves(version: str, *published: str) -> None:
    """The version serves, loads, and nothing beyond the published versions is seen."""
    assert load_model("tiny").version == version
    assert [entry.version for entry in entries() if entry.name == "tiny"] == list(published)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in (folder / "tiny").glob(".*") if path.name != ".lock"]


def test_what_is_published_serves_and_is_the_bundle(bundle_of: BundleOf, a_registry: Path) -> None:
    bundle = bundle_of("1.0.0")
    done = publish(bundle, terms=Terms(gates=(), reason="the first"))
    assert done.published and done.serving
    assert done.folder == a_registry / "tiny" / "1.0.0" == resolve("tiny")
    for name in (WEIGHTS, METADATA, SETTINGS, CARD, CALIBRATIONS, MANIFEST):
        assert file_sha256(done.folder / name) == file_sha256(bundle / name)
    (event,) = history("tiny")
    assert (event.kind, event.version, event.reason) == ("publish", "1.0.0", "the first")
    assert event.weights_sha256 == file_sha256(bundle / WEIGHTS)
    assert [verdict.gate for verdict in event.verdicts] == ["sound_bundle"]
    assert hidden(a_registry) == []


def test_published_files_cannot_be_written_by_accident(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    folder = put(bundle_of("1.0.0")).folder
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 7
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_the_bundle_may_go_once_it_is_published(bundle_of: BundleOf, a_registry: Path) -> None:
    bundle = bundle_of("1.0.0")
    put(bundle)
    shutil.rmtree(bundle)
    assert_serves("1.0.0", "1.0.0")


def test_publishing_the_same_again_changes_nothing(bundle_of: BundleOf, a_registry: Path) -> None:
    put(bundle_of("1.0.0"))
    before = (a_registry / "tiny" / SERVING).read_bytes()
    again = publish(bundle_of("1.0.0"), terms=Terms(gates=(strict,)))
    assert again.published and again.serving and again.verdicts == ()
    assert (a_registry / "tiny" / SERVING).read_bytes() == before
    assert hidden(a_registry) == []


def test_publishing_a_version_that_was_rolled_back_does_not_bring_it_back(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    put(bundle_of("1.0.0"))
    put(bundle_of("2.0.0"))
    rollback("tiny")
    again = put(bundle_of("2.0.0"))
    assert again.published and not again.serving
    assert_serves("1.0.0", "1.0.0", "2.0.0")


def test_a_published_version_is_never_changed(bundle_of: BundleOf, a_registry: Path) -> None:
    folder = put(bundle_of("1.0.0")).folder
    before = file_sha256(folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"1\.0\.0: this version was published with another"):
        put(bundle_of("1.0.0", off=0.5))
    assert file_sha256(folder / WEIGHTS) == before
    assert_serves("1.0.0", "1.0.0")


def test_a_failed_gate_leaves_the_old_version_serving(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    put(bundle_of("1.0.0"))
    done = publish(bundle_of("2.0.0"), terms=Terms(gates=(strict,)))
    assert not done.published and not done.serving
    assert [(verdict.gate, verdict.passed) for verdict in done.verdicts] == [
        ("sound_bundle", True),
        ("strict", False),
    ]
    assert_serves("1.0.0", "1.0.0")
    assert sorted(path.name for path in (a_registry / "tiny").iterdir()) == [
        ".lock",
        "1.0.0",
        SERVING,
    ]


def test_an_overruled_gate_is_in_the_history_with_the_reason(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    terms = Terms(gates=(strict,), force=("strict",), reason="the trial needs it")
    assert publish(bundle_of("1.0.0"), terms=terms).published
    (event,) = history("tiny")
    assert (event.forced, event.reason) == (("strict",), "the trial needs it")
    assert event.verdicts[1] == strict(None, None, None)  # type: ignore[arg-type]


def test_overruling_needs_a_reason_and_a_gate() -> None:
    with pytest.raises(ModelError, match="reason"):
        Terms(gates=(strict,), force=("strict",), reason="  ")
    for name in ("gone", "sound_bundle"):
        with pytest.raises(ModelError, match=f"'{name}' is no gate .* strict"):
            Terms(gates=(strict,), force=(name,), reason="because")


def test_gates_see_the_candidate_and_what_serves(
    bundle_of: BundleOf, a_registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = bundle_of("0.5.0").parent
    seen = []

    def watch(candidate: Model, serving: Model | None, cohort: Cohort | None) -> Verdict:
        found = serving and (serving.name, serving.version)
        seen.append((candidate.name, candidate.version, found, cohort))
        return Verdict("watch", True, "seen.")

    terms = Terms(gates=(watch,))
    publish(bundle_of("1.0.0"), terms=terms)
    publish(bundle_of("2.0.0"), terms=terms)
    rollback("tiny")
    publish(bundle_of("3.0.0"), terms=terms)
    shutil.rmtree(a_registry)
    monkeypatch.setattr(registry, "package_data", lambda kind: released)
    publish(bundle_of("4.0.0"), terms=terms)
    assert seen == [
        ("tiny", "1.0.0", None, None),
        ("tiny", "2.0.0", ("tiny", "1.0.0"), None),
        ("tiny", "3.0.0", ("tiny", "1.0.0"), None),
        ("tiny", "4.0.0", ("tiny", "0.5.0"), None),
    ]


def test_a_damaged_serving_version_can_be_replaced(
    bundle_of: BundleOf, a_registry: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (put(bundle_of("1.0.0")).folder / WEIGHTS).unlink()
    assert put(bundle_of("2.0.0")).serving
    assert "nothing is compared" in caplog.text
    assert load_model("tiny").version == "2.0.0"


@pytest.mark.parametrize("name", [WEIGHTS, METADATA, SETTINGS, CARD, CALIBRATIONS])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_candidate_is_refused_with_the_file_named(
    bundle_of: BundleOf, a_registry: Path, name: str, damage: str
) -> None:
    put(bundle_of("1.0.0"))
    bundle = bundle_of("2.0.0")
    if damage == "changed":
        (bundle / name).write_bytes((bundle / name).read_bytes() + b" ")
    else:
        (bundle / name).unlink()
    with pytest.raises(ModelError, match=rf"{bundle}/{name}: missing or changed"):
        put(bundle)
    assert_serves("1.0.0", "1.0.0")
    assert hidden(a_registry) == []


def test_a_file_beyond_the_manifest_is_named(bundle_of: BundleOf, a_registry: Path) -> None:
    bundle = bundle_of("1.0.0")
    (bundle / "models" / "more.pt").write_bytes(b"\x80")
    with pytest.raises(ModelError, match=r"models/more\.pt: is not in the manifest"):
        put(bundle)
    assert not a_registry.exists()


def test_a_manifest_may_not_list_files_elsewhere(bundle_of: BundleOf, a_registry: Path) -> None:
    bundle = bundle_of("1.0.0")
    outside = bundle.parent / "secret"
    outside.write_text("s")
    text = (bundle / MANIFEST).read_text()
    entry = f'"../secret": "{file_sha256(outside)}",\n  "{METADATA}"'
    (bundle / MANIFEST).write_text(text.replace(f'"{METADATA}"', entry))
    with pytest.raises(ModelError, match=r"\.\./secret: is not within the bundle"):
        put(bundle)


def test_a_bundle_without_a_card_is_refused(bundle_of: BundleOf, a_registry: Path) -> None:
    bundle = bundle_of("1.0.0")
    (bundle / CARD).unlink()
    write_manifest(bundle)
    with pytest.raises(ModelError, match=f"{CARD}: the model card is missing"):
        put(bundle)


def test_weights_that_do_not_fit_are_refused_by_the_name_of_the_bundle(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    bundle = bundle_of("1.0.0")
    save_file({**load_file(bundle / WEIGHTS), "net.more": torch.zeros(1)}, bundle / WEIGHTS)
    write_manifest(bundle)
    with pytest.raises(ModelError, match=rf"{bundle}: the weights do not fit"):
        put(bundle)
    assert entries_of_tiny() == []
    assert hidden(a_registry) == []


def entries_of_tiny() -> list[str]:
    return [entry.version for entry in entries() if entry.name == "tiny"]


def test_metadata_that_monai_refuses_stop_the_publication(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    bundle = bundle_of("1.0.0")
    path = bundle / METADATA
    path.write_text(path.read_text().replace('"authors"', '"author"'))
    write_manifest(bundle)
    done = publish(bundle, terms=Terms(gates=(strict,), force=("strict",), reason="why not"))
    assert not done.published
    (verdict,) = done.verdicts
    assert (verdict.gate, verdict.passed) == ("sound_bundle", False)
    assert "'authors' is a required property" in verdict.reason
    assert entries_of_tiny() == []


@pytest.mark.parametrize("version", ["", "../1", "1/2", ".hidden", "1 2"])
def test_a_version_that_cannot_be_a_folder_is_refused(
    bundle_of: BundleOf, a_registry: Path, version: str
) -> None:
    bundle = bundle_of("1.0.0")
    path = bundle / METADATA
    path.write_text(path.read_text().replace('"version": "1.0.0"', f'"version": "{version}"'))
    write_manifest(bundle)
    with pytest.raises(ModelError, match="cannot be the version"):
        put(bundle)


def test_the_brain_network_is_not_published_as_a_denoiser(a_registry: Path) -> None:
    bundle = package_data("pretrained") / "brain-extraction"
    with pytest.raises(ModelError, match=rf"{bundle}: .*unexpected or missing key"):
        put(bundle)


def test_a_publication_that_is_broken_off_in_a_gate_leaves_nothing(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    put(bundle_of("1.0.0"))
    with pytest.raises(Killed):
        publish(bundle_of("2.0.0"), terms=Terms(gates=(killing,)))
    assert_serves("1.0.0", "1.0.0")
    assert hidden(a_registry) == []


def test_a_full_disk_leaves_the_old_version_serving(
    bundle_of: BundleOf, a_registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bundle_of("1.0.0"))

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        put(bundle_of("2.0.0"))
    assert_serves("1.0.0", "1.0.0")
    assert hidden(a_registry) == []


def test_a_version_whose_publication_ended_before_the_history_can_be_published_again(
    bundle_of: BundleOf, a_registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bundle_of("1.0.0"))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(publishing, "write_serving", killing_write)
        put(bundle_of("2.0.0"))
    assert (a_registry / "tiny" / "2.0.0").is_dir()
    assert_serves("1.0.0", "1.0.0")
    put(bundle_of("2.0.0", off=0.25))
    assert_serves("2.0.0", "1.0.0", "2.0.0")
    weights = file_sha256(bundle_of("2.0.0", off=0.25) / WEIGHTS)
    assert load_model("tiny").weights_sha256 == weights


def killing_write(*arguments: object) -> None:
    raise Killed


def test_two_publications_at_once_are_refused(bundle_of: BundleOf, a_registry: Path) -> None:
    other = bundle_of("3.0.0")
    errors = []

    def meanwhile(candidate: Model, serving: Model | None, cohort: Cohort | None) -> Verdict:
        with pytest.raises(ModelError) as error:
            put(other)
        errors.append(str(error.value))
        publish(other, name="another", terms=UNGATED)
        return Verdict("meanwhile", True, "the other one had to wait.")

    assert publish(bundle_of("2.0.0"), terms=Terms(gates=(meanwhile,))).published
    assert len(errors) == 1 and "another process is publishing" in errors[0]
    assert entries_of_tiny() == ["2.0.0"]
    assert resolve("another").name == "3.0.0"
    put(other)
    assert entries_of_tiny() == ["2.0.0", "3.0.0"]
