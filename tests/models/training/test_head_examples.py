"""Examples of heads: the same for the same numbers, and head and brain always belong together."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from counterpart.heads import (
    BRAIN_TISSUES,
    FIRST_OUTSIDE,
    GREY,
    OUTER_FLUID,
    VENTRICLE,
    WHITE,
    Heads,
)
from counterpart.training.brain_stage import dice
from counterpart.training.head_examples import (
    CANVAS_SHAPE,
    HeadExampleConfig,
    HeadExampleMaker,
    HeadExamples,
    PosedHead,
    add_pattern,
    random_pose,
    render_head,
)

CPU = torch.device("cpu")
PLAIN = HeadExampleConfig(
    label_map_share=0.0,
    render_share=0.0,
    pattern_share=0.0,
    thick_share=0.0,
    cut_share=0.0,
    stripped_share=0.0,
    empty_share=0.0,
)
SMALL = (48, 52, 44)


def a_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picked(heads: Heads, *names: str) -> Heads:
    """The heads of these names alone."""
    rows = [row for row, entry in enumerate(heads.entries) if entry.name in names]
    entries = tuple(heads.entries[row] for row in rows)
    return Heads(entries, heads.image[rows], heads.tissue[rows], heads.content_hash)


def maker(heads: Heads, config: HeadExampleConfig = PLAIN) -> HeadExampleMaker:
    return HeadExampleMaker(heads, config, device=CPU)


def check(examples: HeadExamples, count: int) -> None:
    assert examples.head.shape == examples.brain.shape == (count, 1, *CANVAS_SHAPE)
    assert examples.head.dtype == examples.brain.dtype == torch.float32
    assert bool(examples.head.isfinite().all())
    assert 0.0 <= float(examples.head.min()) <= float(examples.head.max()) <= 1.5
    assert set(examples.brain.unique().tolist()) <= {0.0, 1.0}


def a_posed_head(with_image: bool = True) -> PosedHead:
    """Small nested balls of white matter, grey matter, fluid and skin."""
    axes = [torch.arange(n) - (n - 1) / 2 for n in SMALL]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    away = (x**2 + y**2 + z**2).sqrt()
    tissue = torch.zeros(SMALL, dtype=torch.long)
    for code, radius in (
        *((FIRST_OUTSIDE + 2, 21), (OUTER_FLUID, 18), (GREY, 17), (WHITE, 13), (VENTRICLE, 4)),
    ):
        tissue[away <= radius] = code
    levels = torch.zeros(64)
    levels[[OUTER_FLUID, GREY, WHITE, VENTRICLE, FIRST_OUTSIDE + 2]] = torch.tensor(
        [0.15, 0.45, 0.7, 0.1, 0.9]
    )
    brain = (tissue >= BRAIN_TISSUES[0]) & (tissue <= BRAIN_TISSUES[-1])
    return PosedHead(levels[tissue] * with_image, tissue, brain)


@pytest.fixture(scope="module")
def a_batch(some_heads: Heads) -> HeadExamples:
    return maker(some_heads.part("train"), HeadExampleConfig()).make(7, 3, [0, 1, 2])


def test_examples_are_scaled_heads_with_their_masks(a_batch: HeadExamples) -> None:
    check(a_batch, 3)


def test_a_sample_is_the_same_again_whatever_its_company(
    some_heads: Heads, a_batch: HeadExamples
) -> None:
    turned = maker(some_heads.part("train"), HeadExampleConfig()).make(7, 3, [2, 0])
    assert torch.equal(turned.head, a_batch.head[[2, 0]])
    assert torch.equal(turned.brain, a_batch.brain[[2, 0]])


def test_another_sample_step_or_seed_is_another_example(
    some_heads: Heads, a_batch: HeadExamples
) -> None:
    made = maker(some_heads.part("train"), HeadExampleConfig())
    heads = [*a_batch.head[:2], made.make(7, 4, [0]).head[0], made.make(8, 3, [0]).head[0]]
    for first in range(len(heads)):
        for second in range(first):
            assert not torch.allclose(heads[first], heads[second], atol=0.05)


def test_global_random_numbers_are_neither_used_nor_touched(
    some_heads: Heads, a_batch: HeadExamples
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(99)
        before = torch.random.get_rng_state()
        again = maker(some_heads.part("train"), HeadExampleConfig()).make(7, 3, [1])
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(again.head[0], a_batch.head[1])


@pytest.mark.parametrize("name", ["train", "map"])
def test_scans_alone_and_label_maps_alone_will_do(some_heads: Heads, name: str) -> None:
    made = maker(picked(some_heads, name), replace(PLAIN, label_map_share=0.5)).make(1, 1, [0, 1])
    check(made, 2)
    for head, brain in zip(made.head, made.brain, strict=True):
        assert brain.sum() > 50_000
        assert head.std() > 0.05


def test_a_head_with_a_brain_mask_alone_can_be_rendered(some_heads: Heads) -> None:
    heads = picked(some_heads, "train")
    inside = (heads.tissue >= BRAIN_TISSUES[0]) & (heads.tissue <= BRAIN_TISSUES[-1])
    masked = replace(heads, tissue=(GREY * inside).to(torch.uint8))
    made = maker(masked, replace(PLAIN, render_share=1.0)).make(1, 1, [0])
    check(made, 1)
    assert float(made.head[made.brain > 0].mean()) > 0.0


def test_an_example_of_one_head_shows_that_head_and_is_the_same_again(some_heads: Heads) -> None:
    only = torch.zeros_like(some_heads.tissue)
    only[1] = some_heads.tissue[1]  # the label map; the scans have no brain left
    made = maker(replace(some_heads, tissue=only))
    first, again, other = (made.one_of(1, seed) for seed in (3, 3, 4))
    check(first, 1)
    assert first.brain.any()
    assert torch.equal(first.head, again.head)
    assert not torch.equal(first.head, other.head)
    assert not made.one_of(0, 3).brain.any()


def test_a_plain_head_is_the_stored_one_in_the_middle(some_heads: Heads) -> None:
    made = maker(some_heads).plain([0])
    check(made, 1)
    height, width = some_heads.tissue.shape[2:]
    rows = slice((height - CANVAS_SHAPE[1]) // 2, (height + CANVAS_SHAPE[1]) // 2)
    columns = slice((width - CANVAS_SHAPE[2]) // 2, (width + CANVAS_SHAPE[2]) // 2)
    tissue = some_heads.tissue[0, :, rows, columns]
    inside = (tissue >= BRAIN_TISSUES[0]) & (tissue <= BRAIN_TISSUES[-1])
    assert torch.equal(made.brain[0, 0], inside.float())
    image = some_heads.image[0, :, rows, columns].float()
    limited = made.head[0, 0] < 1.5
    both = torch.stack([image[limited], made.head[0, 0][limited]])
    assert float(torch.corrcoef(both)[0, 1]) > 0.999


def test_head_and_brain_move_together(some_heads: Heads) -> None:
    heads = picked(some_heads, "train")
    inside = (heads.tissue >= BRAIN_TISSUES[0]) & (heads.tissue <= BRAIN_TISSUES[-1])
    shown = replace(heads, image=(255 * inside).to(torch.uint8))
    made = maker(shown).make(5, 0, [0, 1, 2])
    for head, brain in zip(made.head, made.brain, strict=True):
        assert dice(head > 0.45, brain > 0.5) > 0.96
    assert dice(made.brain[0] > 0.5, made.brain[1] > 0.5) < 0.95


def test_the_middle_of_all_draws_is_no_pose_at_all() -> None:
    matrix, shift = random_pose(torch.full((14,), 0.5))
    assert torch.equal(matrix, torch.eye(3))
    assert not shift.any()


def test_poses_swap_sides_and_stay_within_their_reach() -> None:
    generator = a_generator()
    poses = [random_pose(torch.rand(14, generator=generator)) for _ in range(400)]
    swapped = sum(float(torch.linalg.det(matrix)) < 0 for matrix, _ in poses)
    assert 150 < swapped < 250
    sizes = torch.stack([1 / torch.linalg.svdvals(matrix) for matrix, _ in poses])
    assert 0.6 < float(sizes.min()) < 0.85
    assert 1.2 < float(sizes.max()) < 1.6
    shifts = torch.stack([shift for _, shift in poses]).abs().amax(dim=0)
    assert bool((shifts <= torch.tensor([8.0, 12.0, 15.0])).all())
    assert bool((shifts > torch.tensor([7.0, 11.0, 14.0])).all())


def test_one_head_in_ten_turns_further() -> None:
    u = torch.full((14,), 0.5)
    u[1] = 1.0
    turned, _ = random_pose(u)
    u[0] = 0.05
    further, _ = random_pose(u)
    angles = [float(torch.rad2deg(torch.acos(m[1, 1]))) for m in (turned, further)]
    assert angles == pytest.approx([15.0, 45.0], abs=0.01)


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        (0.1, (VENTRICLE, GREY, WHITE)),
        (0.3, (VENTRICLE, WHITE, GREY)),
        (0.6, (WHITE, GREY, VENTRICLE)),
    ],
    ids=["T1", "FLAIR", "T2"],
)
@pytest.mark.parametrize("with_image", [True, False], ids=["scan", "label map"])
def test_contrasts_have_the_order_of_their_tissues(
    kind: float, order: tuple[int, ...], with_image: bool
) -> None:
    posed = a_posed_head(with_image)
    for seed in range(5):
        value = render_head(posed, torch.tensor([kind, 0.2]), a_generator(seed))
        means = [float(value[posed.tissue == code].mean()) for code in order]
        assert means == sorted(means)


def test_other_contrasts_come_in_any_order() -> None:
    posed = a_posed_head()
    brighter = [
        bool(value[posed.tissue == WHITE].mean() > value[posed.tissue == GREY].mean())
        for value in (
            render_head(posed, torch.tensor([0.9, 0.2]), a_generator(seed)) for seed in range(12)
        )
    ]
    assert 0 < sum(brighter) < 12


def test_a_rendered_scan_keeps_air_dark_and_finite() -> None:
    posed = a_posed_head()
    for seed in range(8):
        value = render_head(posed, torch.tensor([0.9, 0.9]), a_generator(seed))
        assert bool(value.isfinite().all())
        assert float(value[:3, :3, :3].abs().max()) < 0.06


def patterned(seed: int, posed: PosedHead) -> torch.Tensor:
    return add_pattern(posed.image, posed, a_generator(seed)) - posed.image


def test_patterns_stay_inside_the_brain_and_reach_its_rim() -> None:
    posed = a_posed_head()
    brain = posed.brain.float()[None, None]
    inner = -functional.max_pool3d(-brain, 3, stride=1, padding=1)[0, 0] > 0
    rim = posed.brain & ~inner
    seen = reached = deep = 0
    for seed in range(30):
        change = patterned(seed, posed)
        assert bool(change.isfinite().all())
        assert not change[~posed.brain].any()
        assert bool((posed.image + change >= 0).all())
        changed = change.abs() > 0.05
        seen += bool(changed.any())
        reached += bool(changed[rim].any())
        deep += bool(changed[inner].any())
    assert seen >= 20
    assert reached >= 8
    assert deep >= 15


def test_a_pattern_is_the_same_again() -> None:
    posed = a_posed_head()
    assert torch.equal(patterned(4, posed), patterned(4, posed))


def test_what_is_left_of_a_tiny_brain_has_no_pattern() -> None:
    posed = a_posed_head()
    sliver = torch.zeros_like(posed.brain)
    sliver[24, 20:40, 20:24] = True
    for seed in range(5):
        assert not patterned(seed, replace(posed, brain=sliver)).any()


def test_an_empty_example_has_an_empty_mask(some_heads: Heads) -> None:
    config = replace(PLAIN, empty_share=1.0, cut_share=1.0, thick_share=1.0)
    made = maker(some_heads.part("train"), config).make(2, 0, [0, 1, 2])
    check(made, 3)
    assert not made.brain.any()
    assert bool((made.head.flatten(1).std(dim=1) > 0.01).all())


def test_a_stripped_example_shows_the_brain_alone(some_heads: Heads) -> None:
    config = replace(PLAIN, stripped_share=1.0)
    whole = maker(picked(some_heads, "train"), PLAIN).make(2, 0, [0])
    made = maker(picked(some_heads, "train"), config).make(2, 0, [0])
    assert torch.equal(made.brain, whole.brain)
    grown = functional.max_pool3d(made.brain, 5, stride=1, padding=2) > 0
    bright = [float((examples.head[~grown] > 0.4).float().mean()) for examples in (made, whole)]
    assert bright[0] < 0.001
    assert bright[1] > 0.05
    assert float(made.head[made.brain > 0].mean()) > 0.4


def test_coverage_cuts_head_and_brain_alike(some_heads: Heads) -> None:
    whole = maker(picked(some_heads, "train"), PLAIN).make(3, 0, [0, 1, 2, 3])
    cut = maker(picked(some_heads, "train"), replace(PLAIN, cut_share=1.0)).make(3, 0, [0, 1, 2, 3])
    lost = 0
    for sample in range(4):
        head, brain = cut.head[sample, 0], cut.brain[sample, 0]
        dark = head.flatten(0, 1).amax(dim=0) == 0.0
        assert not brain[:, :, dark].any()
        assert torch.equal(brain[:, :, ~dark], whole.brain[sample, 0][:, :, ~dark])
        lost += int(whole.brain[sample, 0][:, :, dark].sum())
    assert lost > 0
