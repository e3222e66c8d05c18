"""Linear probes: what they must tell, what they must not, and which slices they are shown."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_up_results import Array, Mask, box, result_of, stored_as
from numpy.typing import NDArray
from stand_ins import TINY_NETWORK

from counterpart.bundle import Model, ModelSettings
from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.encoder import EncoderConfig
from counterpart.evaluation import probe
from counterpart.evaluation.probe import (
    DISEASE,
    SCANNER,
    WITHIN,
    SliceFeatures,
    probe_figures,
    slice_features,
)
from counterpart.evaluation.records import ProbeFigures
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.results import Result
from counterpart.template import CANVAS, load_template

SIZE, SLICES = 6, 12
ENCODER = EncoderConfig(layers=(1, 1, 1, 1), channels=(8, 8, 8, 8), code_size=4, cells=1)
HEIGHT = CANVAS.affine[2, 3] + CANVAS.affine[2, 2] * np.arange(CANVAS.shape[2])


def features_of(
    subject: str, *, patient: bool, seed: int, contrast: str = "T1", size: int = SIZE
) -> SliceFeatures:
    """A scan of twelve slices that says nothing; a patient's middle four hold lesion."""
    lesion = np.zeros(SLICES, np.bool_)
    lesion[4:8] = patient
    return SliceFeatures(
        subject=subject,
        contrast=contrast,
        patient=patient,
        features=np.random.default_rng(seed).standard_normal((SLICES, size)).astype(np.float32),
        height_mm=np.linspace(-30.0, 60.0, SLICES),
        lesion=lesion,
    )


def scans_of(patients: int = 12, healthy: int = 12, *, draw: int = 0) -> list[SliceFeatures]:
    first = 1000 * draw
    ones = [features_of(f"p-{n}", patient=True, seed=first + n) for n in range(patients)]
    others = [features_of(f"h-{n}", patient=False, seed=first + 500 + n) for n in range(healthy)]
    return ones + others


def shifted(scan: SliceFeatures, by: NDArray[Any]) -> SliceFeatures:
    """The first feature of each slice moved by (S,) numbers."""
    moved = scan.features.copy()
    moved[:, 0] += by
    return replace(scan, features=moved)


def four_times(scan: SliceFeatures) -> SliceFeatures:
    return replace(
        scan,
        features=np.tile(scan.features, (4, 1)),
        height_mm=np.tile(scan.height_mm, 4),
        lesion=np.tile(scan.lesion, 4),
    )


def by_question(scans: list[SliceFeatures]) -> dict[str, ProbeFigures]:
    return {one.question: one for one in probe_figures(scans)}


def test_features_that_mark_the_lesion_are_told() -> None:
    found = by_question([shifted(scan, 4.0 * scan.lesion) for scan in scans_of()])
    for question in (DISEASE, WITHIN):
        assert found[question].auroc > 0.97, question
        assert found[question].low > 0.93, question
    assert found[SCANNER].auroc < 0.65


def test_features_that_say_nothing_are_worth_a_coin() -> None:
    found = [one for draw in range(2) for one in probe_figures(scans_of(draw=draw))]
    assert np.mean([one.auroc for one in found]) == pytest.approx(0.5, abs=0.05)
    assert all(one.low <= one.auroc <= one.high for one in found)
    assert np.mean([one.low for one in found]) < 0.5 < np.mean([one.high for one in found])


def test_features_of_the_scanner_are_told_without_lesion_but_not_within_patients() -> None:
    found = by_question([shifted(scan, np.full(SLICES, 4.0 * scan.patient)) for scan in scans_of()])
    assert found[SCANNER].auroc > 0.97
    assert found[DISEASE].auroc > 0.97
    assert found[WITHIN].auroc < 0.65


def test_subjects_are_held_out_whole() -> None:
    """Features that name the subject let a probe remember whose slices are whose, no more."""
    scans = []
    for n, scan in enumerate(scans_of()):
        named = np.zeros((SLICES, 24), np.float32)
        named[:, n] = 30.0
        scans.append(replace(scan, features=named))
    found = by_question(scans)
    assert found[DISEASE].auroc < 0.6
    assert found[SCANNER].auroc < 0.6


def test_within_patients_both_kinds_are_the_same_subjects() -> None:
    found = by_question(scans_of(patients=7))
    assert found[WITHIN].subjects == (7, 7)
    assert found[WITHIN].slices == (28, 56)
    assert found[DISEASE].subjects == (7, 12)
    assert found[DISEASE].slices == (28, 144)
    assert found[SCANNER].slices == (56, 144)


def test_more_slices_of_the_same_subjects_tell_nothing_more() -> None:
    scans = [shifted(scan, 1.5 * scan.lesion) for scan in scans_of()]
    once = by_question(scans)[DISEASE]
    again = by_question([four_times(scan) for scan in scans])[DISEASE]
    assert again.slices == (4 * once.slices[0], 4 * once.slices[1])
    assert again.auroc == pytest.approx(once.auroc, abs=0.02)
    assert again.high - again.low == pytest.approx(once.high - once.low, rel=0.2)


@pytest.mark.parametrize(
    ("patients", "healthy", "questions"),
    [
        (5, 5, [DISEASE, SCANNER, WITHIN]),
        (4, 12, []),
        (12, 4, [WITHIN]),
        (12, 0, [WITHIN]),
        (0, 12, []),
    ],
)
def test_with_too_few_subjects_there_is_no_figure(
    patients: int, healthy: int, questions: list[str]
) -> None:
    assert [one.question for one in probe_figures(scans_of(patients, healthy))] == questions


def test_patients_whose_slices_all_hold_lesion_have_no_other_kind() -> None:
    scans = [replace(one, lesion=np.full(SLICES, one.patient)) for one in scans_of()]
    assert [one.question for one in probe_figures(scans)] == [DISEASE]


def test_contrasts_are_probed_apart() -> None:
    flair = [replace(shifted(one, 6.0 * one.lesion), contrast="FLAIR") for one in scans_of(6, 0)]
    found = probe_figures([*scans_of(6, 0), *flair])
    assert [(one.contrast, one.question) for one in found] == [("FLAIR", WITHIN), ("T1", WITHIN)]
    assert found[0].auroc > 0.9
    assert found[1].auroc < 0.65


def test_what_height_alone_tells_is_said() -> None:
    """The lesions lie in the middle, so their height tells them from slices of the same scan."""
    found = by_question(scans_of())
    assert found[WITHIN].by_place > 0.97
    assert found[WITHIN].auroc < 0.7


def test_a_few_patients_among_many_healthy_are_spread_over_the_folds() -> None:
    """Dealt at random, these five would be in one fold, and the rest would show no lesion."""
    scans = [
        replace(
            one, features=one.features[3:5], height_mm=one.height_mm[3:5], lesion=one.lesion[3:5]
        )
        for one in scans_of(5, 539)
    ]
    assert by_question(scans)[DISEASE].subjects == (5, 539)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are rougher, and the tests quick."""
    monkeypatch.setattr(probe, "RESAMPLES", 25)


@pytest.fixture(scope="module")
def a_model() -> Model:
    network = replace(TINY_NETWORK, condition="embedding", encoder=ENCODER)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        denoiser = Denoiser(network).eval()
    settings = ModelSettings(network, ReconstructionConfig((0,), (1.0,), (1.0,)), AnomalyConfig())
    return Model("tiny", "1.0.0", "f" * 64, settings, denoiser, ())


def a_head() -> Array:
    """Something different in every slice of the template's brain."""
    values = np.random.default_rng(0).standard_normal(CANVAS.shape) + np.arange(CANVAS.shape[2])
    return np.where(load_template().brain, 100.0 + values, 0.0).astype(np.float32)


def a_result() -> Result:
    return result_of(
        np.zeros(CANVAS.shape, np.float32),
        brain=load_template().brain,
        values=a_head(),
        grid=CANVAS,
        name="p-1_T1",
    )


def a_lesion() -> Mask:
    """In the middle of the brain, in slices 40 to 44."""
    return box((36, 44), (44, 52), (40, 45), shape=CANVAS.shape)


def test_a_model_without_encoder_has_no_features(a_model: Model) -> None:
    settings = replace(a_model.settings, network=DenoiserConfig())
    plain = Denoiser(replace(a_model.denoiser.config, condition="none", encoder=None))
    model = replace(a_model, settings=settings, denoiser=plain)
    assert slice_features(a_result(), None, model, "p-1") is None


def test_slices_with_lesion_are_marked_and_those_beside_them_left_out(a_model: Model) -> None:
    found = slice_features(a_result(), a_lesion(), a_model, "p-1")
    healthy = slice_features(a_result(), None, a_model, "h-1")
    assert found is not None
    assert healthy is not None
    assert (found.subject, found.contrast, found.patient) == ("p-1", "T1", True)
    assert not healthy.patient
    assert not healthy.lesion.any()
    np.testing.assert_allclose(found.height_mm[found.lesion], HEIGHT[40:45])
    left_out = set(healthy.height_mm.round(3)) - set(found.height_mm.round(3))
    assert left_out == set(HEIGHT[[37, 38, 39, 45, 46, 47]].round(3))


def test_slices_with_hardly_any_brain_are_left_out(a_model: Model) -> None:
    found = slice_features(a_result(), None, a_model, "h-1")
    assert found is not None
    enough = load_template().brain.sum(axis=(0, 1)) >= 400
    np.testing.assert_allclose(found.height_mm, HEIGHT[enough])
    assert len(np.unique(found.features, axis=0)) == enough.sum() > 40
    assert found.features.shape == (enough.sum(), ENCODER.features)


def test_a_scan_without_a_usable_slice_has_no_features(a_model: Model) -> None:
    small = box((36, 44), (44, 52), (40, 48), shape=CANVAS.shape)
    result = replace(a_result(), brain=small.astype(np.uint8))
    assert slice_features(result, None, a_model, "h-1") is None


@pytest.mark.parametrize("codes", ["LPS", "SRA"])
def test_features_do_not_depend_on_how_the_scan_is_stored(a_model: Model, codes: str) -> None:
    here = slice_features(a_result(), a_lesion(), a_model, "p-1")
    values, grid = stored_as(a_head(), CANVAS, codes)
    brain = stored_as(load_template().brain, CANVAS, codes)[0]
    turned = result_of(
        np.zeros(grid.shape, np.float32), brain=brain, values=values, grid=grid, name="p-1_T1"
    )
    lesion = stored_as(a_lesion(), CANVAS, codes)[0]
    there = slice_features(turned, lesion, a_model, "p-1")
    assert here is not None
    assert there is not None
    np.testing.assert_allclose(there.height_mm, here.height_mm, atol=1e-4)
    np.testing.assert_array_equal(there.lesion, here.lesion)
    np.testing.assert_allclose(there.features, here.features, atol=1e-3)


def test_the_pose_of_the_result_is_taken_over(a_model: Model) -> None:
    """A scan that lies 10 mm higher in its own world lies where it did in the template's."""
    moved = CANVAS.affine.copy()
    moved[2, 3] += 10.0
    back = np.eye(4)
    back[2, 3] = -10.0
    result = a_result()
    grid = replace(result.scan.grid, affine=moved)
    other = replace(result, scan=replace(result.scan, grid=grid), template_from_world=back)
    here, there = (slice_features(one, None, a_model, "h-1") for one in (result, other))
    assert here is not None
    assert there is not None
    np.testing.assert_allclose(there.height_mm, here.height_mm, atol=1e-4)
    np.testing.assert_allclose(there.features, here.features, atol=1e-3)
