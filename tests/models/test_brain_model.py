"""The bundle of the brain network: what loads, and what the released one finds and refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.brain import largest_component
from counterpart.brain_extraction import (
    STRIPPED,
    BrainModel,
    BrainSettings,
    find_brain,
    load_brain_model,
)
from counterpart.brain_network import BrainNetwork, BrainNetworkConfig
from counterpart.bundle import SETTINGS, WEIGHTS, Model, load_model, write_bundle, write_manifest
from counterpart.errors import BrainError, ModelError, PoseError
from counterpart.generate import generate_counterpart
from counterpart.grid import Grid, canonical_orientation
from counterpart.package_data import package_data
from counterpart.pose_checks import TURNS
from counterpart.scans import Scan, read_mask, read_scan

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Change = Callable[[dict[str, Any]], object]
TINY = BrainNetworkConfig(channels=8, blocks_down=(1, 1, 1, 1), blocks_up=(1, 1, 1))
SETTINGS_OF_TINY = BrainSettings(TINY, 0.4)


@pytest.fixture
def a_bundle(tmp_path: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = BrainNetwork(TINY).state_dict()
    folder = tmp_path / "tiny"
    write_bundle(folder, weights, SETTINGS_OF_TINY, {"version": "0.0.1"}, "# Tiny\n")
    return folder


def test_a_bundle_comes_back_as_it_was_written(a_bundle: Path) -> None:
    model = load_brain_model(a_bundle)
    assert (model.name, model.version, len(model.weights_sha256)) == ("tiny", "0.0.1", 64)
    assert model.settings == SETTINGS_OF_TINY
    assert model.network.config == TINY
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


def change_json(path: Path, change: Change) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(thresholds={}), "expected the keys 'network' and 'threshold'"),
        (lambda s: s.pop("network"), "expected the keys 'network' and 'threshold'"),
        (lambda s: s.pop("threshold"), "expected the keys 'network' and 'threshold'"),
        (lambda s: s.update(network=3), "expected the keys 'network' and 'threshold'"),
        (lambda s: s.update(threshold=1.5), r"threshold lies in \(0, 1\), got 1.5"),
        (lambda s: s.update(threshold="high"), "wrong kind"),
        (lambda s: s["network"].update(depth=3), "unknown BrainNetworkConfig setting 'depth'"),
        (lambda s: s["network"].update(channels=16), "the weights do not fit"),
    ],
)
def test_settings_of_another_form_are_refused(a_bundle: Path, change: Change, message: str) -> None:
    change_json(a_bundle / SETTINGS, change)
    write_manifest(a_bundle)
    with pytest.raises(ModelError, match=message):
        load_brain_model(a_bundle)


@pytest.mark.parametrize("name", [WEIGHTS, SETTINGS])
def test_a_changed_file_is_refused(a_bundle: Path, name: str) -> None:
    content = bytearray((a_bundle / name).read_bytes())
    content[-1] ^= 1
    (a_bundle / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name}: missing or changed since the model was written"):
        load_brain_model(a_bundle)


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model bundle"):
        load_brain_model(tmp_path / "gone")


def test_the_bundle_of_the_denoiser_is_refused() -> None:
    with pytest.raises(ModelError, match="of a brain network"):
        load_brain_model("healthy-brain")


def test_the_bundle_of_the_brain_network_is_no_denoiser(a_bundle: Path) -> None:
    with pytest.raises(ModelError, match="unexpected or missing key"):
        load_model(a_bundle)


@pytest.fixture(scope="module")
def the_brain_model() -> BrainModel:
    return load_brain_model()


@pytest.fixture(scope="module")
def the_model() -> Model:
    return load_model()


@pytest.fixture(scope="module")
def the_samples() -> Path:
    return package_data("sample_data")


def dice(one: Mask, other: Mask) -> float:
    return float(2.0 * (one & other).sum() / (one.sum() + other.sum()))


def found_in(scan: Scan, model: BrainModel) -> tuple[Mask, str, tuple[str, ...]]:
    turn = canonical_orientation(scan.grid)
    found = find_brain(turn.forward(scan.values), turn.canonical, model=model)
    return turn.backward(found.mask), found.source, found.warnings


@pytest.mark.parametrize(
    "name",
    [
        "patients/sample-01_T1",
        "patients/sample-01_T2",
        "patients/sample-01_FLAIR",
        "patients/sample-02_FLAIR",
        "healthy/healthy-03_T1",
    ],
)
def test_the_brain_of_a_sample_head_is_found(
    name: str, the_brain_model: BrainModel, the_samples: Path
) -> None:
    scan = read_scan(the_samples / f"{name}.nii.gz")
    drawn = read_mask(the_samples / f"{name.rsplit('_', 1)[0]}_brain.nii.gz", scan.grid)
    brain, source, warnings = found_in(scan, the_brain_model)
    assert dice(brain, drawn) > 0.93
    assert source.startswith("network brain-extraction ")
    assert warnings == ()


@pytest.mark.parametrize("name", ["sample-01", "sample-02"])
def test_a_sample_lesion_stays_within_the_brain(
    name: str, the_brain_model: BrainModel, the_samples: Path
) -> None:
    scan = read_scan(the_samples / "patients" / f"{name}_FLAIR.nii.gz")
    lesion = read_mask(the_samples / "patients" / f"{name}_lesion.nii.gz", scan.grid)
    brain, _, _ = found_in(scan, the_brain_model)
    assert (lesion & ~brain).sum() <= 0.02 * lesion.sum()


@pytest.mark.parametrize("background", [0.0, -1024.0, 60.0])
@pytest.mark.parametrize("contrast", ["T1", "T2", "FLAIR"])
def test_a_stripped_sample_is_recognised(
    contrast: str, background: float, the_brain_model: BrainModel, the_samples: Path
) -> None:
    scan = read_scan(the_samples / "patients" / f"sample-01_{contrast}.nii.gz")
    drawn = read_mask(the_samples / "patients" / "sample-01_brain.nii.gz", scan.grid)
    stripped = np.where(drawn, scan.values, background).astype(np.float32)
    brain, source, _ = found_in(replace(scan, values=stripped), the_brain_model)
    assert source == STRIPPED
    assert dice(brain, drawn) > 0.999


@pytest.mark.parametrize("contrast", ["T1", "T2", "FLAIR"])
def test_a_stripped_sample_standardised_over_the_brain_is_recognised(
    contrast: str, the_brain_model: BrainModel, the_samples: Path
) -> None:
    scan = read_scan(the_samples / "patients" / f"sample-01_{contrast}.nii.gz")
    drawn = read_mask(the_samples / "patients" / "sample-01_brain.nii.gz", scan.grid)
    inside = scan.values[drawn]
    scaled = (scan.values - inside.mean()) / inside.std()
    values = np.where(drawn, scaled, 0.0).astype(np.float32)
    brain, source, _ = found_in(replace(scan, values=values), the_brain_model)
    assert source == STRIPPED
    assert dice(brain, drawn) > 0.99


GRID = Grid(
    (80, 90, 80), np.array([[2.5, 0, 0, -99], [0, 2.5, 0, -112], [0, 0, 2.5, -99], [0, 0, 0, 1]])
)


def away_mm() -> NDArray[np.float64]:
    return np.asarray(GRID.world(np.moveaxis(np.indices(GRID.shape), 0, -1)))


def ellipsoid(half: tuple[float, float, float]) -> Mask:
    inside: Mask = ((away_mm() / np.array(half)) ** 2).sum(axis=-1) <= 1.0
    return inside


def noise() -> Array:
    return np.zeros(GRID.shape, np.float32)


def a_sphere() -> Array:
    return 800.0 * ellipsoid((75, 75, 75)).astype(np.float32)


def a_bottle() -> Array:
    """Water in a plastic cylinder that lies along the bore."""
    points = away_mm()
    across = np.hypot(points[..., 0], points[..., 1])
    inside = (across < 60) & (np.abs(points[..., 2]) < 85)
    return np.where(inside, 1000.0 - 3.0 * across, 0.0).astype(np.float32)


def a_uniform_head() -> Array:
    """Skin, skull, and the same grey within."""
    skin, skull, within = (ellipsoid(h) for h in ((82, 100, 86), (76, 94, 80), (70, 88, 74)))
    return (900.0 * skin - 800.0 * skull + 400.0 * within).astype(np.float32)


@pytest.mark.parametrize("thing", [noise, a_sphere, a_bottle, a_uniform_head])
def test_what_is_no_head_is_refused(
    thing: Callable[[], Array], the_model: Model, the_brain_model: BrainModel
) -> None:
    rician = np.abs(thing() + np.random.default_rng(0).normal(0.0, 20.0, GRID.shape))
    scan = Scan(rician.astype(np.float32), GRID, "thing_T1")
    with pytest.raises((BrainError, PoseError)):
        generate_counterpart(scan, the_model, brain_model=the_brain_model)


@pytest.mark.parametrize("contrast", ["T1", "T2", "FLAIR"])
@pytest.mark.parametrize("filling", ["air", "jelly"])
def test_a_head_without_a_brain_in_it_is_refused(
    contrast: str, filling: str, the_model: Model, the_brain_model: BrainModel, the_samples: Path
) -> None:
    scan = read_scan(the_samples / "patients" / f"sample-01_{contrast}.nii.gz")
    brain = read_mask(the_samples / "patients" / "sample-01_brain.nii.gz", scan.grid)
    level = np.percentile(scan.values[brain], 60) if filling == "jelly" else 0.0
    rng = np.random.default_rng(0)
    inside = np.abs(rng.normal(level, 0.02 * scan.values.max(), scan.grid.shape))
    hollow = np.where(brain, inside, scan.values).astype(np.float32)
    with pytest.raises((BrainError, PoseError)):
        generate_counterpart(replace(scan, values=hollow), the_model, brain_model=the_brain_model)


@pytest.mark.slow
@pytest.mark.parametrize("words", TURNS)
def test_a_whole_head_that_lies_the_wrong_way_is_refused(
    words: str, the_model: Model, the_brain_model: BrainModel, the_samples: Path
) -> None:
    scan = read_scan(the_samples / "patients" / "sample-01_FLAIR.nii.gz")
    affine = np.diag([*TURNS[words], 1.0]) @ scan.grid.affine
    turned = replace(scan, grid=replace(scan.grid, affine=affine), header=None)
    with pytest.raises((BrainError, PoseError)):
        generate_counterpart(turned, the_model, brain_model=the_brain_model)


@pytest.mark.real_data
@pytest.mark.parametrize("subject", ["IXI015-HH-1258", "IXI083-HH-1357"])
def test_the_brain_of_a_held_out_subject_is_found(
    subject: str, the_brain_model: BrainModel, the_real_data: Path
) -> None:
    folder = the_real_data / "healthy_t1"
    scan = read_scan(folder / f"{subject}_T1.nii.gz")
    labels = read_scan(folder / f"{subject}_labels.nii.gz").values > 0
    closed = ndimage.binary_closing(np.pad(labels, 4), iterations=2)[4:-4, 4:-4, 4:-4]
    brain, _, warnings = found_in(scan, the_brain_model)
    assert dice(brain, largest_component(closed)) >= 0.95
    assert warnings == ()


@pytest.mark.real_data
@pytest.mark.parametrize("contrast", ["FLAIR", "T1"])
@pytest.mark.parametrize("patient", ["lgg_CS_4942", "lgg_DU_7010"])
def test_a_patient_s_tumour_stays_within_the_brain(
    patient: str, contrast: str, the_brain_model: BrainModel, the_real_data: Path
) -> None:
    scan = read_scan(the_real_data / "patients" / f"{patient}_{contrast}.nii.gz")
    lesion = read_mask(the_real_data / "patients" / f"{patient}_mask.nii.gz", scan.grid)
    brain, source, _ = found_in(scan, the_brain_model)
    assert source.startswith("network ")
    assert (lesion & ~brain).sum() <= 0.02 * lesion.sum()


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name",
    [
        "brats2013_0001_FLAIR",
        "brats2013_0002_T1c",
        "brats2013_0003_FLAIR",
        "mslub19_T1",
        "mslub19_T2",
        "mslub19_FLAIR",
        "wmh2516038876_FLAIR",
        "wmh2516041494_FLAIR",
    ],
)
def test_a_stripped_patient_is_recognised(
    name: str, the_brain_model: BrainModel, the_real_data: Path
) -> None:
    scan = read_scan(the_real_data / "patients" / f"{name}.nii.gz")
    brain, source, _ = found_in(scan, the_brain_model)
    assert source == STRIPPED
    assert brain[scan.values != scan.values[0, 0, 0]].mean() > 0.99
