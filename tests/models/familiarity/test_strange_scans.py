"""What is no healthy head MRI of a known kind is refused or warned of, by the released models.

Made from a real head where there is one, and from the synthetic sample otherwise. The network that
repaints is not asked: a refusal comes before it, and a warning does not depend on it.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import strange_scans
import torch
from numpy.typing import NDArray
from strange_scans import upright, with_spacing

from counterpart import generate
from counterpart.brain_extraction import BrainModel, find_brain, load_brain_model
from counterpart.bundle import Model, load_model
from counterpart.contrast import Contrast, contrast_from_tissue
from counterpart.errors import CounterpartError, UnfamiliarScanError
from counterpart.familiarity.judging import CANNOT_TELL, judge_scan
from counterpart.familiarity.record import Verdict
from counterpart.generate import generate_counterpart
from counterpart.grid import canonical_orientation
from counterpart.package_data import package_data
from counterpart.posed_scan import PosedScan, pose_scan
from counterpart.reconstruction import Reconstruction
from counterpart.results import Result
from counterpart.scans import Scan, read_scan

Mask = NDArray[np.bool_]
Generated = Callable[..., Result]
REAL = "IXI012-HH-1211"  # of the part *calibrate*: no limit was made from it


@pytest.fixture(scope="module")
def the_model() -> Model:
    model = load_model()
    if model.familiarity is None:
        pytest.skip("the released model has no record of its healthy cohort yet")
    return model


@pytest.fixture(scope="module")
def the_brain_model() -> BrainModel:
    return load_brain_model()


@pytest.fixture
def generated(
    the_model: Model, the_brain_model: BrainModel, monkeypatch: pytest.MonkeyPatch
) -> Generated:
    """Everything but the repainting: the network's answer is the scan itself."""

    def as_it_is(posed: PosedScan, *known: object) -> Reconstruction:
        shown = generate.as_slices(posed.scaled)
        return Reconstruction(shown, torch.zeros_like(shown))

    settings = the_model.settings
    once = replace(settings, reconstruction=replace(settings.reconstruction, second_pass=False))
    model = replace(the_model, settings=once)

    def answer(scan: Scan, **options: object) -> Result:
        return generate_counterpart(scan, model, brain_model=the_brain_model, **options)

    monkeypatch.setattr(generate, "repaint", as_it_is)
    return answer


def head_of(path: Path, brain_model: BrainModel) -> tuple[Scan, Mask]:
    scan = upright(read_scan(path))
    return scan, find_brain(scan.values, scan.grid, model=brain_model).mask


@pytest.fixture(scope="module", params=["real", "synthetic"])
def a_head(request: pytest.FixtureRequest, the_brain_model: BrainModel) -> tuple[Scan, Mask]:
    """A healthy head in canonical axes with its brain: a real T1, and the sample's."""
    if request.param == "synthetic":
        path = package_data("sample_data") / "healthy" / "healthy-08_T1.nii.gz"
    else:
        folder: Path = request.getfixturevalue("the_real_data")
        path = folder / "healthy_t1" / f"{REAL}_T1.nii.gz"
        if not path.is_file():
            pytest.skip(f"no real T1 at {path}")
    return head_of(path, the_brain_model)


@pytest.fixture(scope="module")
def a_pose(a_head: tuple[Scan, Mask]) -> PosedScan:
    scan, brain = a_head
    return pose_scan(canonical_orientation(scan.grid), scan.values, brain)


@pytest.fixture(scope="module")
def a_real_head(the_real_data: Path, the_brain_model: BrainModel) -> tuple[Scan, Mask]:
    return head_of(the_real_data / "healthy_t1" / f"{REAL}_T1.nii.gz", the_brain_model)


def verdict_of(scan: Scan, like: PosedScan, model: Model, contrast: str | None = "T1") -> Verdict:
    """What is said of a scan whose brain and pose are those of another, by its name or tissue."""
    posed = pose_scan(like.turn, scan.values, like.brain, pose=like.pose)
    tissue = contrast_from_tissue(posed.scaled, posed.inside, posed.frame)
    return judge_scan(posed, model, Contrast(contrast, "user") if contrast else tissue)


def said_of(scan: Scan, like: PosedScan, model: Model, contrast: str | None = "T1") -> str:
    """The refusal, or the warning; empty where there is neither."""
    try:
        return " ".join(verdict_of(scan, like, model, contrast).warnings)
    except UnfamiliarScanError as error:
        return f"refused: {error}"


@pytest.mark.parametrize("contrast", ["T1", None])
@pytest.mark.parametrize(
    "strange",
    [
        strange_scans.ct_like,
        strange_scans.noise_in_a_brain,
        strange_scans.dwi_like,
        strange_scans.angiography_like,
        strange_scans.with_agent,
    ],
)
def test_an_unknown_contrast_is_refused_or_warned_of(
    strange: Callable[[Scan, Mask], Scan],
    contrast: str | None,
    a_head: tuple[Scan, Mask],
    a_pose: PosedScan,
    the_model: Model,
) -> None:
    words = said_of(strange(*a_head), a_pose, the_model, contrast)
    assert "healthy heads: " in words or "heads alone are known" in words


@pytest.mark.parametrize("contrast", ["T1", None])
def test_an_inverted_t1_is_warned_of_whatever_it_is_taken_for(
    contrast: str | None, generated: Generated, a_head: tuple[Scan, Mask]
) -> None:
    warnings = " ".join(generated(strange_scans.inverted(*a_head), contrast=contrast).warnings)
    assert "check the sequence" in warnings or "heads alone are known" in warnings


def test_strong_motion_is_refused_or_warned_of(
    a_head: tuple[Scan, Mask], a_pose: PosedScan, the_model: Model
) -> None:
    assert "healthy heads: " in said_of(strange_scans.moved(a_head[0], 2.0), a_pose, the_model)


@pytest.mark.parametrize("radius_mm", [20.0, 30.0, 38.0])
def test_a_large_tumour_is_answered(
    radius_mm: float, a_head: tuple[Scan, Mask], a_pose: PosedScan, the_model: Model
) -> None:
    sick = strange_scans.with_tumour(*a_head, radius_mm)
    assert verdict_of(sick, a_pose, the_model).amounts["volume_ml"] > 1000.0


def test_a_real_healthy_head_is_answered_without_a_word(
    a_real_head: tuple[Scan, Mask], the_model: Model
) -> None:
    scan, brain = a_real_head
    posed = pose_scan(canonical_orientation(scan.grid), scan.values, brain)
    assert judge_scan(posed, the_model, Contrast("T1", "file name")).warnings == ()


@pytest.mark.parametrize(
    "strange",
    [strange_scans.noise_only, strange_scans.phantom, strange_scans.spine],
)
def test_what_holds_no_brain_is_refused(
    strange: Callable[[Scan], Scan], generated: Generated, a_head: tuple[Scan, Mask]
) -> None:
    with pytest.raises(CounterpartError, match="no brain was found"):
        generated(strange(a_head[0]))


@pytest.mark.parametrize("factors", [(1.6, 1.6, 1.6), (0.5, 0.5, 0.5), (1.0, 1.0, 1.5)])
def test_a_lying_voxel_size_is_refused_or_warned_of(
    factors: tuple[float, float, float], generated: Generated, a_real_head: tuple[Scan, Mask]
) -> None:
    try:
        words = " ".join(generated(with_spacing(a_real_head[0], *factors)).warnings)
    except CounterpartError as error:
        words = str(error)
    assert re.search("voxel size|a brain (of|stretched)", words)


@pytest.mark.parametrize("part", [strange_scans.half_head, strange_scans.cut_above])
def test_half_a_head_is_refused_or_warned_of(
    part: Callable[[Scan, Mask], Scan], generated: Generated, a_real_head: tuple[Scan, Mask]
) -> None:
    try:
        words = " ".join(generated(part(*a_real_head)).warnings)
    except CounterpartError as error:
        words = str(error)
    assert words


def test_an_upside_down_head_with_a_lying_header_is_refused(
    generated: Generated, a_real_head: tuple[Scan, Mask]
) -> None:
    with pytest.raises(CounterpartError, match="upside down|no brain was found"):
        generated(strange_scans.upside_down(a_real_head[0]))


def test_warning_and_amounts_travel_with_the_result(
    generated: Generated, a_head: tuple[Scan, Mask]
) -> None:
    noisy = strange_scans.moved(a_head[0], 2.0)
    result = generated(noisy, contrast="T1")
    told = result.provenance["familiarity"]
    assert told["reason"] in result.warnings
    assert told["amounts"]["noise"] > 0.0
    assert json.loads(json.dumps(told)) == told


def test_a_model_without_the_record_says_that_it_cannot_tell(
    a_pose: PosedScan, the_model: Model
) -> None:
    t1 = Contrast("T1", "user")
    assert judge_scan(a_pose, replace(the_model, familiarity=None), t1).reason == CANNOT_TELL
    other = replace(the_model, weights_sha256="0" * 64)
    assert judge_scan(a_pose, other, t1).reason == CANNOT_TELL
