"""Blur, noise and the given mask."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from counterpart.rendering import CONTRASTS, DRAWS, Renderings, draw_renderings
from counterpart.training.acquisition import acquire, given_mask
from counterpart.training.slabs import SLICE_SHAPE


def some_renderings(count: int = 2, *, blur: float, noise: float) -> Renderings:
    contrast = torch.full((count,), CONTRASTS.index("T2"))
    drawn = draw_renderings(torch.rand(count, DRAWS), contrast)
    return replace(drawn, blur=torch.full((count,), blur), noise=torch.full((count,), noise))


def some_images(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand((count, 3, *SLICE_SHAPE), generator=generator)


def some_grain(count: int = 2) -> torch.Tensor:
    return torch.randn((count, 1, *SLICE_SHAPE), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("blur", [0.3, 0.75])
def test_blur_is_a_gaussian_of_the_drawn_width(blur: float) -> None:
    images = some_images()
    found = acquire(images, some_renderings(blur=blur, noise=0.0), some_grain(), torch.ones(2))
    kernel = np.exp(-0.5 * (np.arange(-2, 3) / blur) ** 2)
    kernel /= kernel.sum()
    for sample in range(2):
        for channel in range(3):
            expected = images[sample, channel].double().numpy()
            for axis in (0, 1):
                expected = ndimage.correlate1d(expected, kernel, axis, mode="constant")
            np.testing.assert_allclose(found[sample, channel].numpy(), expected, atol=1e-5)


def test_without_blur_and_noise_the_images_stay() -> None:
    images = some_images()
    found = acquire(images, some_renderings(blur=0.0, noise=0.0), some_grain(), torch.ones(2))
    assert torch.allclose(found, images, atol=1e-6)


def test_sick_and_healthy_share_their_noise_and_the_membership_has_none() -> None:
    images = some_images()
    spread = torch.tensor([2.0, 5.0])
    found = acquire(images, some_renderings(blur=0.0, noise=0.1), some_grain(), spread)
    noise = found - images
    expected = 0.1 * spread[:, None, None] * some_grain()[:, 0]
    assert torch.allclose(noise[:, 0], expected, atol=1e-5)
    assert torch.allclose(noise[:, 1], expected, atol=1e-5)
    assert torch.allclose(noise[:, 2], torch.zeros(()), atol=1e-6)


def a_disc(radius: float) -> np.ndarray:
    i, j = np.indices(SLICE_SHAPE)
    return (i - 40) ** 2 + (j - 48) ** 2 <= radius**2


def masks(kind: float) -> np.ndarray:
    """The given mask of a disc of 30 voxels whose outer 3 voxels are fluid."""
    brain = torch.tensor(a_disc(30)).float().reshape(1, -1)
    tissue = torch.zeros(1, 4, brain.shape[1])
    tissue[0, 0] = torch.tensor(a_disc(30) & ~a_disc(27)).float().reshape(-1)
    uniform = torch.zeros(1, 16)
    uniform[0, 12] = kind
    return given_mask(brain, tissue, 1, uniform)[0, 0].numpy()


@pytest.mark.parametrize("kind", [0.0, 0.1, 0.34])
def test_the_mask_may_come_as_it_is(kind: float) -> None:
    np.testing.assert_array_equal(masks(kind), a_disc(30))


@pytest.mark.parametrize("kind", [0.83, 0.87, 0.9])
def test_the_mask_may_be_a_voxel_more(kind: float) -> None:
    expected = ndimage.binary_dilation(a_disc(30), np.ones((3, 3)))
    np.testing.assert_array_equal(masks(kind), expected)


@pytest.mark.parametrize(
    ("kind", "voxels"), [(0.36, 1), (0.4, 1), (0.49, 1), (0.92, 2), (0.95, 2), (0.999, 2)]
)
def test_the_mask_may_be_a_voxel_or_two_less(kind: float, voxels: int) -> None:
    square = np.ones((2 * voxels + 1,) * 2)
    np.testing.assert_array_equal(masks(kind), ndimage.binary_erosion(a_disc(30), square))


@pytest.mark.parametrize("kind", [0.51, 0.7, 0.81])
def test_the_mask_may_come_without_outer_fluid(kind: float) -> None:
    mask = masks(kind).astype(bool)
    assert not mask[~a_disc(27)].any()
    assert mask[a_disc(25)].all()


def test_the_mask_of_a_slab_is_where_most_of_its_slices_are_brain() -> None:
    brain = torch.stack([torch.tensor(a_disc(r)).float() for r in (10, 20, 30, 30)])
    tissue = torch.zeros(1, 4, brain.numel())
    mask = given_mask(brain.reshape(1, -1), tissue, 4, torch.zeros(1, 16))
    np.testing.assert_array_equal(mask[0, 0].numpy(), a_disc(20))
