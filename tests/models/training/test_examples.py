"""Training examples: replayable, alike outside the pattern, scaled by the patterned scan."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from counterpart.cohort import Cohort
from counterpart.intensity import robust_location_and_spread
from counterpart.rendering import CONTRASTS
from counterpart.targets import HELD_OUT_FAMILIES, TRAINING_FAMILIES
from counterpart.training.examples import ExampleConfig, ExampleMaker, Examples

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def a_maker(a_cohort: Cohort) -> ExampleMaker:
    return ExampleMaker(a_cohort.part("train"), ExampleConfig(), device=CPU)


def maker_of(a_cohort: Cohort, **settings: object) -> ExampleMaker:
    config = replace(ExampleConfig(), **settings)  # type: ignore[arg-type]
    return ExampleMaker(a_cohort.part("train"), config, device=CPU)


def same(one: Examples, other: Examples, *, atol: float = 0.0) -> bool:
    return all(
        torch.allclose(getattr(one, field.name), getattr(other, field.name), rtol=0.0, atol=atol)
        for field in fields(Examples)
    )


def picked(examples: Examples, rows: slice) -> Examples:
    return Examples(*(getattr(examples, field.name)[rows] for field in fields(Examples)))


def test_the_same_arguments_give_the_same_examples(a_maker: ExampleMaker, a_cohort: Cohort) -> None:
    again = ExampleMaker(a_cohort.part("train"), ExampleConfig(), device=CPU)
    assert same(a_maker.make(1, 7, range(4)), again.make(1, 7, range(4)))


@pytest.mark.parametrize("step", [3, 5, 8])
def test_a_sample_does_not_depend_on_the_others_in_its_batch(
    a_maker: ExampleMaker, step: int
) -> None:
    together = a_maker.make(1, step, [0, 1, 2, 3])
    assert same(picked(together, slice(2, 3)), a_maker.make(1, step, [2]), atol=1e-3)
    assert same(picked(together, slice(1, 3)), a_maker.make(1, step, [1, 2]), atol=1e-3)


def test_global_randomness_has_no_influence(a_maker: ExampleMaker) -> None:
    torch.manual_seed(1)
    first = a_maker.make(1, 2, [0])
    torch.manual_seed(2)
    assert same(first, a_maker.make(1, 2, [0]))


@pytest.mark.parametrize("arguments", [(2, 7, [0]), (1, 8, [0]), (1, 7, [1])])
def test_seed_step_and_sample_each_change_the_example(
    a_maker: ExampleMaker, arguments: tuple[int, int, list[int]]
) -> None:
    first, other = a_maker.make(1, 7, [0]), a_maker.make(*arguments)
    assert not torch.allclose(first.noise, other.noise)
    assert not torch.allclose(first.shown, other.shown)


@pytest.mark.parametrize("thick", [0.0, 1.0])
@pytest.mark.parametrize("contrast", CONTRASTS)
def test_shown_and_clean_differ_within_the_pattern_alone(
    a_cohort: Cohort, contrast: str, thick: float
) -> None:
    shares = tuple(float(name == contrast) for name in CONTRASTS)
    maker = maker_of(a_cohort, contrasts=shares, pattern_share=1.0, thick_share=thick)
    examples = maker.make(1, 0, range(8))
    difference = (examples.shown - examples.clean).abs()
    untouched = examples.departure == 0
    assert float(difference[untouched].max()) < 1e-4
    assert float(difference[examples.departure > 0.5].mean()) > 0.1
    assert 0.3 < float(untouched.float().mean()) < 1.0


@pytest.mark.parametrize("thick", [0.0, 1.0])
def test_everything_is_zero_outside_the_brain(a_cohort: Cohort, thick: float) -> None:
    examples = maker_of(a_cohort, thick_share=thick).make(1, 0, range(8))
    outside = examples.brain == 0
    assert set(examples.brain.unique().tolist()) == {0.0, 1.0}
    for image in (examples.shown, examples.clean, examples.departure):
        assert not image[outside].any()
        assert bool(image.isfinite().all())
    inside_share = examples.brain.mean(dim=(1, 2, 3))
    assert 0.02 < float(inside_share.mean()) < 0.8


def test_shapes_and_ranges(a_maker: ExampleMaker) -> None:
    examples = a_maker.make(1, 4, range(6))
    for field in fields(Examples):
        value = getattr(examples, field.name)
        one_each = field.name in ("time", "chance")
        assert value.shape == ((6,) if one_each else (6, 1, 80, 96)), field.name
        assert value.dtype == torch.float32
    assert float(examples.departure.min()) >= 0 and float(examples.departure.max()) <= 1.0001
    for uniform in (examples.time, examples.chance):
        assert float(uniform.min()) >= 0 and float(uniform.max()) < 1
        assert len(uniform.unique()) == 6
    assert not torch.allclose(examples.time, examples.chance)
    assert float(examples.noise.std()) == pytest.approx(1.0, abs=0.02)


def test_without_patterns_shown_is_clean(a_cohort: Cohort) -> None:
    examples = maker_of(a_cohort, pattern_share=0.0).make(1, 0, range(6))
    assert torch.equal(examples.shown, examples.clean)
    assert not examples.departure.any()


def test_the_share_of_patterns_is_kept(a_cohort: Cohort) -> None:
    maker = maker_of(a_cohort, pattern_share=0.5, families=("blob",), thick_share=0.0)
    examples = maker.make(1, 0, range(60))
    touched = (examples.departure.amax(dim=(1, 2, 3)) > 0).float()
    # A small blob may lie under the given mask's border, or its rough shape miss the slice.
    assert 0.3 < float(touched.mean()) < 0.65


def test_the_patterned_slice_runs_through_the_pattern(a_cohort: Cohort) -> None:
    maker = maker_of(a_cohort, pattern_share=1.0, families=("blob", "ring"), thick_share=0.0)
    examples = maker.make(1, 0, range(40))
    assert float((examples.departure.amax(dim=(1, 2, 3)) > 0.5).float().mean()) > 0.7


def test_a_head_holds_every_slice_of_the_canvas_in_pose(
    a_maker: ExampleMaker, a_cohort: Cohort
) -> None:
    head = a_maker.head(3, 1, "T1", families=None)
    brain = a_cohort.part("train").brain[1].float()
    assert head.shown.shape == (80, 1, 80, 96)
    assert torch.equal(head.brain[:, 0], brain)
    assert torch.equal(head.shown, head.clean)
    t1 = a_cohort.part("train").scan[1].float()[brain > 0]
    shown = head.shown[:, 0][brain > 0]
    assert np.corrcoef(t1, shown)[0, 1] > 0.9


@pytest.mark.parametrize(("contrast", "sign"), [("T1", -1), ("T2", 1), ("FLAIR", -1)])
def test_fluid_is_bright_on_t2_and_dark_on_t1_and_flair(
    a_maker: ExampleMaker, a_cohort: Cohort, contrast: str, sign: int
) -> None:
    tissue = a_cohort.part("train").tissue[0]
    head = a_maker.head(3, 0, contrast, families=None)
    fluid = head.clean[:, 0][tissue[0] > 250].mean()
    white = head.clean[:, 0][tissue[2] > 250].mean()
    assert sign * float(fluid - white) > 0.5


def test_a_healthy_head_is_scaled_by_its_own_bulk(a_maker: ExampleMaker) -> None:
    head = a_maker.head(3, 0, "T1", families=None)
    location, spread = robust_location_and_spread(head.shown[head.brain > 0][None])
    assert float(location) == pytest.approx(0.0, abs=0.15)
    assert float(spread) == pytest.approx(1.0, abs=0.15)


def test_both_answers_are_scaled_by_the_patterned_scan(a_maker: ExampleMaker) -> None:
    """The clean answer beside a pattern is the healthy head on another affine scale.

    A box displaces nothing, so both heads show the same tissue: a straight line leads from one to
    the other, and it is the one that leads from the healthy to the patterned scan's statistics.
    These come from 2,048 scattered points: each may be off by two standard errors of their mean,
    all together by hardly anything.
    """
    moved, missed = [], []
    for seed in (9, 10, 11, 12, 14, 16):
        healthy = a_maker.head(seed, 0, "T1", families=None)
        patterned = a_maker.head(seed, 0, "T1", families=("box",))
        brain = healthy.brain > 0
        before, after = healthy.clean[brain].double(), patterned.clean[brain].double()
        gain, offset = np.polyfit(after.numpy(), before.numpy(), 1)
        assert torch.allclose(gain * after + offset, before, atol=1e-3)
        sick = gain * patterned.shown[brain].double() + offset
        location, spread = robust_location_and_spread(torch.stack((before, sick)))
        moved.append(abs(offset))
        missed.append(
            (offset - float(location[1] - location[0]), gain - float(spread[1] / spread[0]))
        )
    assert max(moved) > 0.3  # a pattern large enough to move the scale
    assert np.abs(missed).max() < 2.0 / np.sqrt(2048)
    assert np.abs(np.mean(missed, axis=0)).max() < 0.01


def test_only_the_chosen_families_are_drawn(a_cohort: Cohort) -> None:
    trained = maker_of(a_cohort, families=TRAINING_FAMILIES).make(1, 0, [0, 1])
    held_out = maker_of(a_cohort, families=HELD_OUT_FAMILIES).make(1, 0, [0, 1])
    assert not torch.allclose(trained.departure, held_out.departure)


def test_small_cohorts_repeat_their_subjects(a_maker: ExampleMaker) -> None:
    assert a_maker.subjects == 3
    assert a_maker.make(1, 0, range(7)).shown.shape[0] == 7
