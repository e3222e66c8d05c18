"""Which version serves which contrast, and how the models come to be in memory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from counterpart.bundle import MANIFEST, WEIGHTS, load_model, write_calibrations, write_manifest
from counterpart.calibration.domain import DomainRange
from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION, Calibration
from counterpart.errors import ModelError
from counterpart.registry import serving_models
from counterpart.registry import versions as registry
from counterpart.registry.by_contrast import serving_by_contrast
from counterpart.registry.publishing import Terms, publish
from counterpart.registry.serving_models import ServingModels
from counterpart.registry.versions import rollback

BundleOf = Callable[..., Path]
Put = Callable[..., Path]
ANY = DomainRange(False, (0.0, 9.0), (0.0, 9.0), (-1.0, 1.0), (0.0, 1.0))
UNGATED = Terms(gates=())


@pytest.fixture
def bundle(bundle_of: BundleOf) -> Put:
    """A bundle with calibrations from simulation and of healthy scans."""

    def make(version: str, simulated: tuple[str, ...] = (), healthy: tuple[str, ...] = ()) -> Path:
        folder = bundle_of(version, contrasts=simulated or ("T1",))
        digest = load_model(folder).weights_sha256
        kinds = [*((one, SIMULATION) for one in simulated), *((h, HEALTHY_SCANS) for h in healthy)]
        rows = [
            Calibration(
                one, "us", kind, 2, digest, 0.5, "x", domain=ANY if kind == HEALTHY_SCANS else None
            )
            for one, kind in kinds
        ]
        write_calibrations(folder, rows)
        write_manifest(folder)
        return folder

    return make


@pytest.fixture
def put(bundle: Put, a_registry: Path) -> Put:
    def do(*arguments: object, **options: object) -> Path:
        return publish(bundle(*arguments, **options), terms=UNGATED).folder

    return do


def versions(name: str = "tiny") -> dict[str, str]:
    return {contrast: one.version for contrast, one in serving_by_contrast(name).items()}


def test_a_contrast_stays_with_the_newest_version_that_knows_healthy_scans_of_it(put: Put) -> None:
    put("1.0.0", ("T1", "T2"), ("FLAIR",))
    put("1.1.0", ("T1",), ("FLAIR",))
    put("1.2.0", ("FLAIR", "T1"), ("T1",))
    assert versions() == {"FLAIR": "1.1.0", "T1": "1.2.0", "T2": "1.0.0"}


def test_without_healthy_scans_the_serving_version_comes_first(put: Put) -> None:
    put("1.0.0", ("T1", "FLAIR"))
    put("1.1.0", ("T1", "FLAIR"))
    assert versions() == {"FLAIR": "1.1.0", "T1": "1.1.0"}


def test_what_was_rolled_back_serves_nothing(put: Put) -> None:
    put("1.0.0", ("T1",))
    put("1.1.0", ("T1",), ("FLAIR",))
    assert versions() == {"FLAIR": "1.1.0", "T1": "1.1.0"}
    rollback("tiny")
    assert versions() == {"T1": "1.0.0"}


def test_the_released_model_lies_before_the_first_published_one(
    put: Put, bundle: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = bundle("0.5.0", ("T2",), ("T1",)).parent
    monkeypatch.setattr(registry, "package_data", lambda kind: released)
    assert versions() == {"T1": "0.5.0", "T2": "0.5.0"}
    put("1.0.0", ("T1",), ("FLAIR",))
    assert versions() == {"FLAIR": "1.0.0", "T1": "0.5.0", "T2": "0.5.0"}


def test_calibrations_of_other_weights_and_damaged_versions_are_passed_over(
    put: Put, bundle_of: BundleOf, caplog: pytest.LogCaptureFixture
) -> None:
    put("1.0.0", ("T1", "FLAIR"))
    publish(bundle_of("1.1.0", contrasts=("FLAIR",), bound_to="ab" * 32), terms=UNGATED)
    folder = put("1.2.0", ("T1",))
    assert versions() == {"FLAIR": "1.0.0", "T1": "1.2.0"}
    (folder / MANIFEST).unlink()
    assert versions() == {"FLAIR": "1.0.0", "T1": "1.0.0"}
    assert "passed over" in caplog.text


def test_a_name_that_is_none_is_refused(a_registry: Path) -> None:
    with pytest.raises(ModelError, match="no model of this name"):
        serving_by_contrast("gone")


def test_models_are_loaded_when_they_are_asked_for_and_once(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("1.0.0", ("T1",), ("FLAIR",))
    put("1.1.0", ("T1",), ("T1",))
    loaded: list[str] = []

    def load(folder: Path, *, device: str) -> object:
        loaded.append(folder.name)
        return load_model(folder, device=device)

    monkeypatch.setattr(serving_models, "load_model", load)
    models = ServingModels("tiny")
    assert loaded == []
    assert models.for_contrast("FLAIR").version == "1.0.0"
    assert models.for_contrast("FLAIR") is models.for_contrast("FLAIR")
    assert models.for_contrast("T1") is models.serving is models.for_contrast("unknown")
    assert (models.serving.name, models.serving.version) == ("tiny", "1.1.0")
    assert loaded == ["1.0.0", "1.1.0"]


def test_what_serves_changes_when_asked_to_and_the_fingerprint_tells(put: Put) -> None:
    put("1.0.0", ("T1",), ("FLAIR",))
    models = ServingModels("tiny")
    old, first = models.for_contrast("FLAIR"), models.fingerprint()
    assert not models.reload_if_changed() and models.fingerprint() == first
    put("1.1.0", ("T1",), ("T1",))
    assert models.fingerprint() != first
    assert models.serving.version == "1.0.0", "a scan is done by one version to its end"
    assert models.reload_if_changed()
    assert models.serving.version == "1.1.0"
    assert models.for_contrast("FLAIR") is old
    rollback("tiny")
    assert models.reload_if_changed()
    assert models.fingerprint() == first == ServingModels("tiny").fingerprint()


def test_a_folder_or_a_version_serves_every_contrast_alone(put: Put, bundle: Put) -> None:
    put("1.0.0", ("T1",), ("FLAIR",))
    put("1.1.0", ("T1",))
    for name in (str(bundle("5.0.0", ("T1",))), "tiny@1.1.0"):
        models = ServingModels(name)
        assert models.for_contrast("FLAIR") is models.serving
        assert not models.reload_if_changed()


def test_a_damaged_version_is_an_error_only_where_it_is_needed(put: Put) -> None:
    folder = put("1.0.0", ("T1",), ("FLAIR",))
    put("1.1.0", ("T1",))
    (folder / WEIGHTS).unlink()
    models = ServingModels("tiny")
    assert models.for_contrast("T1").version == "1.1.0"
    with pytest.raises(ModelError, match="missing or changed"):
        models.for_contrast("FLAIR")
