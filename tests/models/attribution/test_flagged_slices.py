"""Which slices are compared: those with something flagged, at the levels that they lie on."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.attribution.flagged_slices import LEAST_FLAGGED_VOXELS, LEVELS_MM, flagged_codes
from counterpart.attribution.whole_heads import head_codes, repainted_head
from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser
from counterpart.held_out.heads import HealthyHead, cohort_heads
from counterpart.slices import from_slices
from counterpart.template import CANVAS

Array = NDArray[np.float32]


@pytest.fixture
def a_head(a_cohort: Cohort) -> HealthyHead:
    return next(iter(cohort_heads(a_cohort)))


def gate_at(levels_mm: list[float], inside: NDArray[np.bool_], voxels: int = 99) -> Array:
    gate = np.zeros(inside.shape, np.float32)
    for level in levels_mm:
        k = round((level - CANVAS.affine[2, 3]) / CANVAS.affine[2, 2])
        places = np.argwhere(inside[:, :, k])[:voxels]
        gate[places[:, 0], places[:, 1], k] = 1.0
    return gate


def test_only_flagged_levels_have_codes_and_they_are_those_of_the_whole_head(
    a_coded_denoiser: Denoiser, a_head: HealthyHead
) -> None:
    scaled, inside = from_slices(a_head.shown), from_slices(a_head.brain) > 0.5
    healed = np.where(inside, scaled[::-1], 0.0).astype(np.float32)
    found = flagged_codes(
        a_coded_denoiser, scaled, healed, inside, gate_at([0.0, 14.0], inside), CANVAS.affine
    )
    assert [LEVELS_MM[level] for level in found.levels] == [0.0, 14.0]
    assert np.flatnonzero(found.scan.any(axis=1)).tolist() == found.levels.tolist()
    whole = head_codes(a_coded_denoiser, a_head)
    np.testing.assert_allclose(found.scan[found.levels], whole[found.levels], atol=1e-4)
    assert not np.allclose(found.counterpart[found.levels], whole[found.levels], atol=1e-3)


def test_a_speck_is_no_flagged_slice_and_outside_the_brain_nothing_counts(
    a_coded_denoiser: Denoiser, a_head: HealthyHead
) -> None:
    scaled, inside = from_slices(a_head.shown), from_slices(a_head.brain) > 0.5
    speck = gate_at([0.0], inside, LEAST_FLAGGED_VOXELS - 1)
    for gate in (speck, np.where(inside, 0.0, 1.0).astype(np.float32)):
        found = flagged_codes(a_coded_denoiser, scaled, scaled, inside, gate, CANVAS.affine)
        assert not found.levels.size and not found.scan.any()
        assert not found.elsewhere
    enough = gate_at([0.0], inside, LEAST_FLAGGED_VOXELS)
    found = flagged_codes(a_coded_denoiser, scaled, scaled, inside, enough, CANVAS.affine)
    assert found.levels.size == 1


def test_repainting_again_gives_the_same_and_another_seed_something_else(
    a_coded_denoiser: Denoiser, a_head: HealthyHead
) -> None:
    one, same, other = (repainted_head(a_coded_denoiser, a_head, 900, seed=n) for n in (1, 1, 2))
    assert one.error == same.error > 0
    np.testing.assert_array_equal(one.codes, same.codes)
    assert other.error != one.error
    lengths = np.linalg.norm(one.codes, axis=1)
    assert set(np.round(lengths, 3)) <= {0.0, 1.0}


def test_something_flagged_below_the_lowest_level_is_elsewhere(
    a_coded_denoiser: Denoiser, a_head: HealthyHead
) -> None:
    scaled, inside = from_slices(a_head.shown), np.ones(CANVAS.shape, np.bool_)
    gate = gate_at([LEVELS_MM[0] - 6.0], inside)
    found = flagged_codes(a_coded_denoiser, scaled, scaled, inside, gate, CANVAS.affine)
    assert found.elsewhere and not found.levels.size
    both = np.maximum(gate, gate_at([0.0], inside))
    found = flagged_codes(a_coded_denoiser, scaled, scaled, inside, both, CANVAS.affine)
    assert found.elsewhere and found.levels.size == 1
