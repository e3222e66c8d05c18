"""Pairs of views: what the two slices share, what each has of its own, and that they replay."""

from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
import torch

from counterpart.cohort import Cohort
from counterpart.rendering import CONTRASTS, Renderings
from counterpart.targets import Patterns
from counterpart.training.examples import Draws, ExampleConfig, Examples
from counterpart.training.views import ViewMaker, Views

CPU = torch.device("cpu")
ALWAYS = ExampleConfig(pattern_share=1.0, thick_share=0.0)


class Recording(ViewMaker):
    """Remembers what every batch of slices is composed of."""

    def __init__(self, cohort: Cohort, config: ExampleConfig) -> None:
        super().__init__(cohort, config, device=CPU)
        self.draws: list[Draws] = []
        self.patterns: list[Patterns] = []
        self.renderings: list[Renderings] = []
        self.levels: list[torch.Tensor] = []
        self.thick: list[bool] = []
        self.made: list[Examples] = []

    def compose(
        self,
        draws: Draws,
        patterns: Patterns,
        renderings: Renderings,
        level: torch.Tensor,
        thick: bool,
    ) -> Examples:
        self.draws.append(draws)
        self.patterns.append(patterns)
        self.renderings.append(renderings)
        self.levels.append(level)
        self.thick.append(thick)
        self.made.append(super().compose(draws, patterns, renderings, level, thick))
        return self.made[-1]


@pytest.fixture(scope="module")
def a_recorded_step(a_cohort: Cohort) -> tuple[Recording, Views]:
    """One step of three pairs: first its clean slices are made, then the patterned ones."""
    maker = Recording(a_cohort.part("train"), ALWAYS)
    return maker, maker.make_views(1, 4, range(3))


def steps_of(cohort: Cohort, config: ExampleConfig, steps: int) -> Iterator[Recording]:
    """Recordings whose slices are never made: what is drawn for one pair in each of some steps."""

    class Drawing(Recording):
        def _look_up(self, *arguments: object) -> None:  # type: ignore[override]
            raise InterruptedError

        def compose(self, *arguments: object) -> Examples:  # type: ignore[override]
            try:
                return super().compose(*arguments)  # type: ignore[arg-type]
            except InterruptedError:
                nothing = torch.zeros(1, 1, 1, 1)
                return Examples(*[nothing] * len(fields(Examples)))

    for step in range(steps):
        maker = Drawing(cohort, config)
        maker.make_views(1, step, [0])
        yield maker


def test_the_views_are_the_shown_slices(a_recorded_step: tuple[Recording, Views]) -> None:
    maker, views = a_recorded_step
    assert len(maker.made) == 2
    assert torch.equal(views.clean, maker.made[0].shown)
    assert torch.equal(views.patterned, maker.made[1].shown)
    assert torch.equal(views.departure, maker.made[1].departure)
    assert views.clean.shape == views.patterned.shape == views.departure.shape == (3, 1, 80, 96)


def test_a_pair_shares_subject_contrast_level_thickness_and_flip(
    a_recorded_step: tuple[Recording, Views],
) -> None:
    maker, _ = a_recorded_step
    clean, patterned = maker.draws
    assert torch.equal(clean.subject, patterned.subject)
    assert torch.equal(clean.uniform[:, 9], patterned.uniform[:, 9])
    assert len(clean.uniform[:, 9].unique()) == 1
    assert torch.equal(maker.renderings[0].contrast, maker.renderings[1].contrast)
    assert len(maker.renderings[0].contrast.unique()) == 1
    assert torch.equal(maker.levels[0], maker.levels[1])
    assert maker.thick == [False, False]


def test_the_pairs_of_a_step_are_of_different_subjects_at_nearly_one_level(
    a_recorded_step: tuple[Recording, Views],
) -> None:
    maker, _ = a_recorded_step
    assert sorted(maker.draws[0].subject.tolist()) == [0, 1, 2]
    level = maker.levels[0]
    assert 0.0 < float(level.max() - level.min()) <= 6.0


def test_each_view_has_its_own_rendering_pose_mask_and_noise(
    a_recorded_step: tuple[Recording, Views],
) -> None:
    maker, _ = a_recorded_step
    clean, patterned = maker.draws
    for name in ("noise", "grain", "rendering"):
        one, other = getattr(clean, name), getattr(patterned, name)
        assert not torch.isclose(one, other, atol=1e-4).any(dim=-1).all(), name
    jitter_and_mask = [0, 1, 5, 6, 7, 8, 10, 11, 12]
    assert not (clean.uniform - patterned.uniform)[:, jitter_and_mask].eq(0).any()
    for name in ("gamma", "bias", "blur", "noise", "offsets"):
        one, other = (getattr(drawn, name) for drawn in maker.renderings)
        assert not torch.isclose(one, other).any(), name


def test_the_clean_view_holds_the_mass_effect_but_no_paint(
    a_recorded_step: tuple[Recording, Views],
) -> None:
    maker, _ = a_recorded_step
    clean, patterned = maker.patterns
    same = {field.name for field in fields(Patterns)} - {"strength", "replacing"}
    for name in same:
        assert torch.equal(getattr(clean, name), getattr(patterned, name)), name
    assert not clean.strength.any() and not clean.replacing.any()
    assert patterned.strength.all()
    made = maker.made[0]
    assert float((made.shown - made.clean).abs().max()) < 1e-5
    pushed = replace(clean, push_mm=torch.full((3,), 5.0), centre=clean.centre + 9.0)
    drawn = (maker.draws[0], pushed, maker.renderings[0], maker.levels[0], False)
    moved = maker.compose(*drawn)
    assert float((moved.clean - made.clean).abs().max()) > 0.1
    assert float((moved.shown - moved.clean).abs().max()) < 1e-5


def test_a_patterned_view_departs_from_its_clean_answer_within_the_pattern_alone(
    a_cohort: Cohort,
) -> None:
    maker = Recording(a_cohort.part("train"), replace(ALWAYS, families=("box", "halo")))
    views = maker.make_views(2, 0, range(3), contrast="FLAIR", level_mm=10.0)
    made = maker.made[1]
    difference = (made.shown - made.clean).abs()
    assert float(difference[views.departure == 0].max()) < 1e-4
    assert float(difference[views.departure > 0.5].mean()) > 0.1
    assert float(views.departure.max()) > 0.5


def test_the_same_arguments_give_the_same_pairs_in_any_batch(
    a_recorded_step: tuple[Recording, Views], a_cohort: Cohort
) -> None:
    _, views = a_recorded_step
    again = ViewMaker(a_cohort.part("train"), ALWAYS, device=CPU)
    torch.manual_seed(99)
    alone = again.make_views(1, 4, [1])
    for field in fields(Views):
        one = getattr(alone, field.name)[0]
        torch.testing.assert_close(getattr(views, field.name)[1], one, atol=1e-3, rtol=0)
    for arguments in ((2, 4, [1]), (1, 5, [1]), (1, 4, [2])):
        other = again.make_views(*arguments)
        assert not torch.allclose(other.clean, alone.clean, atol=0.1)


def test_a_level_holds_examples_of_one_contrast_at_that_level(a_cohort: Cohort) -> None:
    maker = Recording(a_cohort.part("train"), ALWAYS)
    found = maker.make_level(3, 2, range(3), contrast="T2", level_mm=15.0)
    views = maker.make_views(3, 2, range(3), contrast="T2", level_mm=15.0)
    assert torch.equal(found.shown, views.patterned)
    assert torch.equal(found.departure, views.departure)
    assert bool((maker.levels[0] - 15.0).abs().le(3.0).all())
    assert maker.renderings[0].contrast.tolist() == [CONTRASTS.index("T2")] * 3


def test_patterns_lie_near_the_level(a_recorded_step: tuple[Recording, Views]) -> None:
    maker, _ = a_recorded_step
    away = (maker.patterns[0].centre[:, 2] - maker.levels[0]).abs()
    assert float(away.max()) < 8.0


def test_steps_differ_in_contrast_level_flip_and_thickness(a_cohort: Cohort) -> None:
    part = a_cohort.part("train")
    config = ExampleConfig(contrasts=(0.5, 0.0, 0.25, 0.25), thick_share=0.3, pattern_share=0.6)
    steps = list(steps_of(part, config, 80))
    contrast = torch.cat([maker.renderings[0].contrast for maker in steps]).bincount(minlength=4)
    assert (contrast / 80).tolist() == pytest.approx([0.5, 0.0, 0.25, 0.25], abs=0.12)
    assert sum(maker.thick[0] for maker in steps) / 80 == pytest.approx(0.3, abs=0.12)
    assert all(maker.thick[0] == maker.thick[1] for maker in steps)
    flip = torch.cat([maker.draws[0].uniform[:, 9] for maker in steps])
    assert float((flip < 0.5).float().mean()) == pytest.approx(0.5, abs=0.12)
    level = torch.cat([maker.levels[0] for maker in steps])
    assert float(level.min()) >= -48.0 and float(level.max()) <= 73.0
    assert float(level.mean()) == pytest.approx(12.5, abs=9.0)
    assert float(level.std()) == pytest.approx(115 / 12**0.5, abs=6.0)
    present = torch.cat([maker.patterns[1].present for maker in steps])
    assert float(present.mean()) == pytest.approx(0.6, abs=0.12)
