"""Held-out heads: of the right subjects, with and without patterns, and as they were acquired."""

import pytest
import torch

from counterpart.calibration.domain import scan_domain
from counterpart.cohort import Cohort
from counterpart.held_out.heads import MIN_PATTERN_ML, cohort_heads, drawn_head, validation_heads
from counterpart.slices import from_slices
from counterpart.template import CANVAS
from counterpart.training.examples import ExampleConfig, ExampleMaker, Examples

SLICES = (80, 1, 80, 96)


def heads_of(cohort: Cohort, *contrasts: str, subjects: int, patterned: bool) -> list[Examples]:
    device = torch.device("cpu")
    return validation_heads(cohort, contrasts, subjects, patterned=patterned, device=device)


@pytest.fixture(scope="module")
def healthy_heads(a_cohort: Cohort) -> list[Examples]:
    """The two subjects of the part validate in T1, then in T2."""
    return heads_of(a_cohort, "T1", "T2", subjects=9, patterned=False)


def overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    both = (one > 0.5) & (other > 0.5)
    return 2 * float(both.sum()) / float((one > 0.5).sum() + (other > 0.5).sum())


def correlation(one: torch.Tensor, other: torch.Tensor, brain: torch.Tensor) -> float:
    inside = brain > 0.5
    return float(torch.corrcoef(torch.stack((one[inside], other[inside])))[0, 1])


def test_heads_are_those_of_validate_contrast_by_contrast(
    a_cohort: Cohort, healthy_heads: list[Examples]
) -> None:
    assert len(healthy_heads) == 4
    for head, row in zip(healthy_heads, [3, 4, 3, 4], strict=True):
        assert head.shown.shape == head.brain.shape == SLICES
        overlaps = [overlap(head.brain[:, 0], brain) for brain in a_cohort.brain]
        assert overlaps.index(max(overlaps)) == row
        assert overlaps[row] > 0.99


def test_a_t1_head_looks_like_the_subject_s_scan_and_a_t2_head_does_not(
    a_cohort: Cohort, healthy_heads: list[Examples]
) -> None:
    t1, _, t2, _ = healthy_heads
    scan = a_cohort.scan[3][:, None].float()
    assert correlation(t1.shown, scan, t1.brain) > 0.8
    assert correlation(t2.shown, scan, t2.brain) < -0.5


def test_healthy_heads_have_no_pattern(healthy_heads: list[Examples]) -> None:
    for head in healthy_heads:
        assert not head.departure.any()
        torch.testing.assert_close(head.shown, head.clean)
        assert not head.shown[head.brain < 0.5].any()


def test_no_more_heads_than_asked_for(a_cohort: Cohort, healthy_heads: list[Examples]) -> None:
    (alone,) = heads_of(a_cohort, "T1", subjects=1, patterned=False)
    torch.testing.assert_close(alone.shown, healthy_heads[0].shown, rtol=0, atol=0)


def test_patterned_heads_have_a_pattern_that_is_large_enough(a_cohort: Cohort) -> None:
    (head,) = heads_of(a_cohort, "FLAIR", subjects=1, patterned=True)
    inside = head.departure > 0.5
    assert float(inside.sum()) * CANVAS.voxel_volume_ml >= MIN_PATTERN_ML
    changed = (head.shown - head.clean).abs()
    assert float(changed[inside].mean()) > 10 * float(changed[head.departure < 0.01].mean())


def test_heads_as_acquired_are_the_stored_scans_in_spreads(a_cohort: Cohort) -> None:
    part = a_cohort.part("calibrate")
    heads = list(cohort_heads(part))
    assert len(heads) == 3
    for row, (head, subject) in enumerate(zip(heads, part.subjects, strict=True)):
        assert head.shown.shape == head.brain.shape == SLICES
        inside = part.brain[row] > 0
        expected = subject.low + subject.step * part.scan[row][inside].double()
        torch.testing.assert_close(head.shown[:, 0][inside].double(), expected, atol=1e-5, rtol=0)
        assert not head.shown[:, 0][~inside].any()
        assert torch.equal(head.brain[:, 0] > 0, inside)
        assert head.pose_overlap == subject.pose_overlap


def test_the_domain_of_a_head_is_that_of_its_scan(a_cohort: Cohort) -> None:
    head = next(cohort_heads(a_cohort))
    brain = from_slices(head.brain) > 0.5
    expected = scan_domain(from_slices(head.shown), brain, thick=False, pose_overlap=0.95)
    assert head.domain() == expected
    noise = 0.3 * torch.randn(head.shown.shape, generator=torch.Generator().manual_seed(0))
    noisier = type(head)(head.shown + noise * head.brain, head.brain, head.pose_overlap)
    assert noisier.domain().noise > 5 * head.domain().noise


def test_drawn_heads_are_of_one_subject_with_patterns_of_their_own(a_cohort: Cohort) -> None:
    maker = ExampleMaker(a_cohort.part("calibrate"), ExampleConfig(), device=torch.device("cpu"))
    healthy = drawn_head(maker, 0, "T1", None)
    one, other = (drawn_head(maker, 0, "T1", draw) for draw in (0, 1))
    again = drawn_head(maker, 0, "T1", 0)
    assert float(healthy.departure.max()) == 0.0
    assert torch.equal(one.shown, again.shown)
    assert not torch.equal(one.departure, other.departure)
    assert float(one.departure.max()) > 0.5 and float(other.departure.max()) > 0.5


def test_every_second_head_has_wider_ventricles(
    a_cohort: Cohort, healthy_heads: list[Examples]
) -> None:
    maker = ExampleMaker(a_cohort.part("validate"), ExampleConfig(), device=torch.device("cpu"))
    as_it_is = [maker.head(80_000_001, row, "T1", families=None) for row in (0, 1)]
    assert torch.equal(healthy_heads[0].shown, as_it_is[0].shown)
    middle = (slice(None), slice(None), slice(25, 55), slice(30, 66))
    bulk = as_it_is[1].shown[as_it_is[1].brain > 0.5].quantile(0.05)
    fluid = [float((head.shown[middle] < bulk).sum()) for head in (as_it_is[1], healthy_heads[1])]
    assert 0 < 1.05 * fluid[0] < fluid[1]
