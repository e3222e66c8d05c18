"""Where training slices lie: voxel positions and the jitter of poses."""

import math

import numpy as np
import pytest
import torch

from counterpart.template import CANVAS
from counterpart.training.slabs import SLICE_SHAPE, canvas_world, pose_jitter, slab_points


def test_canvas_positions_are_those_of_the_canvas_grid() -> None:
    index = torch.tensor([[0, 0, 0], [79, 95, 79], [3, 50, 12]])
    expected = CANVAS.world(index.numpy())
    np.testing.assert_allclose(canvas_world(index).numpy(), expected)


def test_a_slice_at_a_canvas_level_shows_the_canvas_voxels() -> None:
    level = torch.tensor([canvas_world(torch.tensor([0, 0, 33]))[2], 11.5])
    points = slab_points(level, 1).reshape(2, *SLICE_SHAPE, 3)
    i, j = torch.meshgrid(torch.arange(80), torch.arange(96), indexing="ij")
    expected = canvas_world(torch.stack((i, j, torch.full_like(i, 33)), dim=-1))
    assert torch.equal(points[0], expected)
    assert torch.equal(points[1, ..., :2], expected[..., :2])
    assert bool((points[1, ..., 2] == 11.5).all())


def test_a_slab_of_four_lies_around_its_level() -> None:
    points = slab_points(torch.tensor([10.0]), 4).reshape(4, *SLICE_SHAPE, 3)
    assert points[:, 0, 0, 2].tolist() == [7.0, 9.0, 11.0, 13.0]
    assert torch.equal(points[0, ..., :2], points[3, ..., :2])


def test_without_jitter_the_pose_stays() -> None:
    matrix, shift = pose_jitter(torch.tensor([[0.0] * 6 + [0.5, 0.5, 0.5, 0.0, 0.5, 0.5]]).float())
    assert torch.equal(matrix, torch.eye(3)[None])
    assert not shift.any()


def test_jitter_is_a_small_turn_scale_and_shift_in_plane() -> None:
    uniform = torch.rand((2000, 16), generator=torch.Generator().manual_seed(0))
    matrix, shift = pose_jitter(uniform)
    assert torch.equal(matrix[:, 2], torch.tensor([[0.0, 0.0, 1.0]]).expand(2000, 3))
    assert not matrix[:, :2, 2].any()
    assert not shift[:, 2].any()
    assert float(shift.abs().max()) <= 4.0
    unflipped = matrix[:, :2, :2] * torch.where(uniform[:, 9] < 0.5, 1.0, -1.0)[
        :, None, None
    ] ** torch.tensor([[1.0], [0.0]])
    assert bool(((unflipped - torch.eye(2)).norm(dim=(1, 2)) < 0.35).all())
    scales = matrix[:, :2, :2].norm(dim=2)
    assert float(scales.min()) >= 0.94 and float(scales.max()) <= 1.06


def test_half_of_the_poses_are_mirrored() -> None:
    uniform = torch.rand((4000, 16), generator=torch.Generator().manual_seed(0))
    mirrored = torch.linalg.det(pose_jitter(uniform)[0]) < 0
    assert torch.equal(mirrored, uniform[:, 9] >= 0.5)


def test_the_largest_turn_is_that_of_the_formula() -> None:
    uniform = torch.tensor([[0.0] * 6 + [1.0, 0.5, 0.5, 0.0, 0.5, 0.5]])
    matrix = pose_jitter(uniform)[0][0]
    turned = matrix @ torch.tensor([1.0, 0.0, 0.0])
    assert math.atan2(float(turned[1]), float(turned[0])) == pytest.approx(0.15, abs=1e-6)
