"""The registry: where it lies, what a name means, and the way back to an earlier version."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpart.brain_extraction import load_brain_model
from counterpart.bundle import MANIFEST, SERVING, WEIGHTS, bundle_version, load_model
from counterpart.errors import ModelError
from counterpart.package_data import package_data
from counterpart.registry import versions as registry
from counterpart.registry.publishing import Terms, publish
from counterpart.registry.versions import (
    Entry,
    entries,
    history,
    locked,
    registry_folder,
    resolve,
    rollback,
)

BundleOf = Callable[..., Path]
UNGATED = Terms(gates=())
RELEASED = "healthy-brain"
RELEASED_VERSION = bundle_version(package_data("pretrained") / RELEASED)


def put(bundle: Path, name: str | None = None) -> Path:
    """Publish without gates."""
    return publish(bundle, name=name, terms=UNGATED).folder


def serving(name: str) -> str:
    return next(entry.version for entry in entries() if entry.name == name and entry.serving)


@pytest.fixture
def three_versions(bundle_of: BundleOf, a_registry: Path) -> Path:
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        put(bundle_of(version))
    return a_registry


def test_the_registry_is_where_it_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("COUNTERPART_MODELS", str(tmp_path / "models"))
    assert registry_folder(tmp_path / "chosen") == tmp_path / "chosen"
    assert registry_folder() == tmp_path / "models"
    monkeypatch.delenv("COUNTERPART_MODELS")
    assert registry_folder() == tmp_path / "data" / "counterpart" / "models"
    default = tmp_path / "home" / ".local" / "share" / "counterpart" / "models"
    for ignored in ("relative/data", ""):
        monkeypatch.setenv("XDG_DATA_HOME", ignored)
        assert registry_folder() == default
    monkeypatch.delenv("XDG_DATA_HOME")
    assert registry_folder() == default


def test_without_a_registry_there_are_the_released_models(a_registry: Path) -> None:
    found = [(entry.name, entry.version, entry.source, entry.serving) for entry in entries()]
    assert found == [
        ("brain-extraction", "0.1.0", "released", True),
        (RELEASED, RELEASED_VERSION, "released", True),
    ]
    assert not a_registry.exists()
    assert history(RELEASED) == ()


def test_the_list_has_every_version_and_says_which_serves(three_versions: Path) -> None:
    found = [entry for entry in entries() if entry.name == "tiny"]
    assert found == [
        Entry("tiny", version, three_versions / "tiny" / version, "registry", version == "2.0.0")
        for version in ("1.0.0", "1.1.0", "2.0.0")
    ]


def test_a_name_means_the_version_that_serves(three_versions: Path) -> None:
    assert resolve("tiny") == three_versions / "tiny" / "2.0.0"
    rollback("tiny")
    assert resolve("tiny") == three_versions / "tiny" / "1.1.0"


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "2.0.0"])
def test_a_name_with_a_version_means_that_version(three_versions: Path, version: str) -> None:
    assert resolve(f"tiny@{version}") == three_versions / "tiny" / version
    assert resolve("tiny", version) == three_versions / "tiny" / version
    model = load_model(f"tiny@{version}")
    assert (model.name, model.version) == ("tiny", version)


def test_an_unknown_version_is_refused_with_those_there_are(three_versions: Path) -> None:
    with pytest.raises(ModelError, match=r"tiny has no version 3, but 1\.0\.0, 1\.1\.0, 2\.0\.0"):
        resolve("tiny@3")
    with pytest.raises(ModelError, match=f"{RELEASED} has no version 9, but {RELEASED_VERSION}"):
        resolve(f"{RELEASED}@9")


@pytest.mark.parametrize("source", ["gone", "gone@1", "../gone", "", "@1", ".", "tiny@", "a@b@c"])
def test_what_is_no_model_is_refused(a_registry: Path, source: str) -> None:
    with pytest.raises(ModelError, match="no model bundle"):
        resolve(source)


def test_a_path_means_its_folder(three_versions: Path, bundle_of: BundleOf) -> None:
    bundle = bundle_of("5.0.0")
    assert resolve(bundle) == bundle
    assert resolve(str(bundle)) == bundle
    with pytest.raises(ModelError, match="no model bundle"):
        resolve(bundle, "1.0.0")


def test_a_plain_name_means_the_registry_before_a_folder_before_a_released_model(
    bundle_of: BundleOf, a_registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle_of("7.0.0")
    shutil.copytree(folder, folder.parent / RELEASED)
    monkeypatch.chdir(folder.parent)
    assert resolve(RELEASED) == Path(RELEASED)
    published = put(folder, RELEASED)
    assert resolve(RELEASED) == published
    assert resolve(f"./{RELEASED}").resolve() == folder.parent / RELEASED
    assert resolve(Path(RELEASED)) == Path(RELEASED)


def test_a_published_model_shadows_the_released_one_of_its_name(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    released = package_data("pretrained") / RELEASED
    assert resolve(RELEASED) == released
    published = put(bundle_of("9.0.0"), RELEASED)
    assert resolve(RELEASED) == published
    assert load_model(RELEASED).version == "9.0.0"
    assert resolve(f"{RELEASED}@{RELEASED_VERSION}") == released
    found = [(e.version, e.source, e.serving) for e in entries() if e.name == RELEASED]
    assert found == [("9.0.0", "registry", True), (RELEASED_VERSION, "released", False)]


def test_the_brain_network_is_looked_for_in_the_registry_too(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    put(bundle_of("1.0.0"), "brain-extraction")
    with pytest.raises(ModelError, match=r"brain-extraction/1\.0\.0/.* of a brain network"):
        load_brain_model()
    assert load_brain_model("brain-extraction@0.1.0").name == "brain-extraction"


def test_a_model_that_was_damaged_after_publication_is_refused(three_versions: Path) -> None:
    weights = three_versions / "tiny" / "2.0.0" / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=f"{WEIGHTS}: missing or changed"):
        load_model("tiny")


def test_a_rollback_lets_the_version_before_serve(three_versions: Path) -> None:
    entry = rollback("tiny", reason="misses small lesions")
    folder = three_versions / "tiny" / "1.1.0"
    assert entry == Entry("tiny", "1.1.0", folder, "registry", True)
    assert serving("tiny") == "1.1.0"
    assert load_model("tiny").version == "1.1.0"
    last = history("tiny")[-1]
    assert (last.kind, last.version, last.reason) == ("rollback", "1.1.0", "misses small lesions")
    assert last.weights_sha256 == load_model("tiny").weights_sha256
    assert last.by


def test_rollbacks_go_back_one_by_one_and_the_history_is_kept(three_versions: Path) -> None:
    rollback("tiny")
    assert rollback("tiny").version == "1.0.0"
    with pytest.raises(ModelError, match=r"no version served before 1\.0\.0"):
        rollback("tiny")
    found = [(event.kind, event.version) for event in history("tiny")]
    assert found == [
        ("publish", "1.0.0"),
        ("publish", "1.1.0"),
        ("publish", "2.0.0"),
        ("rollback", "1.1.0"),
        ("rollback", "1.0.0"),
    ]
    assert sorted(path.name for path in (three_versions / "tiny").iterdir()) == sorted(
        [".lock", SERVING, "1.0.0", "1.1.0", "2.0.0"]
    )


def test_a_rollback_to_a_named_version(three_versions: Path) -> None:
    assert rollback("tiny", "1.0.0").version == "1.0.0"
    assert rollback("tiny", "2.0.0").version == "2.0.0"
    assert serving("tiny") == "2.0.0"


def test_a_rollback_ends_at_the_released_version(bundle_of: BundleOf, a_registry: Path) -> None:
    put(bundle_of("9.0.0"), RELEASED)
    entry = rollback(RELEASED)
    assert (entry.version, entry.source) == (RELEASED_VERSION, "released")
    assert resolve(RELEASED) == package_data("pretrained") / RELEASED
    assert serving(RELEASED) == RELEASED_VERSION
    with pytest.raises(ModelError, match="no version served before"):
        rollback(RELEASED)
    put(bundle_of("9.1.0"), RELEASED)
    assert rollback(RELEASED).source == "released"


@pytest.mark.parametrize(
    ("name", "to", "words"),
    [
        ("tiny", "2.0.0", "serves already"),
        ("tiny", "7", r"no version 7, but 1\.0\.0"),
        ("gone", None, "no version of this model was published"),
        (RELEASED, None, "no version of this model was published"),
        ("../tiny", None, "cannot be the name"),
    ],
)
def test_a_rollback_to_nowhere_is_refused(
    three_versions: Path, name: str, to: str | None, words: str
) -> None:
    before = (three_versions / "tiny" / SERVING).read_bytes()
    with pytest.raises(ModelError, match=words):
        rollback(name, to)
    assert (three_versions / "tiny" / SERVING).read_bytes() == before
    assert [path.name for path in three_versions.iterdir()] == ["tiny"]


def test_a_rollback_to_a_damaged_version_is_refused(three_versions: Path) -> None:
    (three_versions / "tiny" / "1.1.0" / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=rf"1\.1\.0/{WEIGHTS}: missing"):
        rollback("tiny")
    assert serving("tiny") == "2.0.0"


def test_a_rollback_waits_for_no_one(three_versions: Path) -> None:
    with (
        locked(three_versions / "tiny"),
        pytest.raises(ModelError, match="another process is publishing"),
    ):
        rollback("tiny")
    assert rollback("tiny").version == "1.1.0"


def test_a_damaged_serving_file_is_no_reason_to_serve_the_released_model(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    put(bundle_of("9.0.0"), RELEASED)
    (a_registry / RELEASED / SERVING).write_text("{")
    for ask in (lambda: load_model(RELEASED), entries, lambda: rollback(RELEASED)):
        with pytest.raises(ModelError, match=SERVING):
            ask()


def test_folders_that_no_history_names_are_not_seen(three_versions: Path) -> None:
    shutil.copytree(three_versions / "tiny" / "2.0.0", three_versions / "tiny" / "3.0.0")
    shutil.copytree(three_versions / "tiny" / "2.0.0", three_versions / "other" / "1.0.0")
    assert [entry.version for entry in entries() if entry.name == "tiny"][-1] == "2.0.0"
    assert "other" not in {entry.name for entry in entries()}
    for source in ("tiny@3.0.0", "other", "other@1.0.0"):
        with pytest.raises(ModelError):
            resolve(source)


def test_an_account_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(registry.getpass, "getuser", nameless)
    monkeypatch.setattr(registry.os, "getuid", lambda: 4711)
    assert registry.account() == "uid 4711"


def test_the_manifest_of_a_published_version_is_that_of_the_bundle(
    bundle_of: BundleOf, a_registry: Path
) -> None:
    bundle = bundle_of("1.0.0")
    folder = put(bundle)
    assert json.loads((folder / MANIFEST).read_text()) == json.loads(
        (bundle / MANIFEST).read_text()
    )
