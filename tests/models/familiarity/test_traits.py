"""Traits: measured alike in thin and thick frames, on slices of the same levels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import TINY_NETWORK, StandInDenoiser

from counterpart.encoder import EncoderConfig
from counterpart.familiarity.traits import LEVELS_MM, SHARES, brain_size, frame_traits, level_codes
from counterpart.grid import Grid
from counterpart.pose_checks import mutual_information
from counterpart.template import CANVAS, load_template

ENCODER = EncoderConfig(code_size=2)


class Noting(StandInDenoiser):
    """Codes each slice by its mean and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__(replace(TINY_NETWORK, condition="embedding", encoder=ENCODER))
        self.shown: list[torch.Tensor] = []

    def codes(self, shown: torch.Tensor) -> torch.Tensor:
        self.shown.append(shown)
        mean = shown.mean(dim=(1, 2, 3))
        return torch.stack((mean, torch.ones_like(mean)), dim=1)


@pytest.fixture(scope="module")
def a_head() -> np.ndarray:
    """The template's T1 as a normalised scan."""
    template = load_template()
    inside = template.brain
    scaled = (template.t1 - template.t1[inside].mean()) / template.t1[inside].std()
    return (scaled * inside).astype(np.float32)


def test_slices_of_the_levels_are_coded_and_no_others(a_head: np.ndarray) -> None:
    denoiser = Noting()
    codes = level_codes(denoiser, a_head, load_template().brain, CANVAS.affine)
    (shown,) = denoiser.shown
    rows = [round((z - CANVAS.affine[2, 3]) / 2.0) for z in LEVELS_MM]
    assert shown.shape == (len(LEVELS_MM), 1, *CANVAS.shape[:2])
    expected = np.moveaxis(a_head[:, :, rows], -1, 0)[:, None]
    near = np.abs(expected) <= 4.0  # beyond, the network's input is softly limited
    np.testing.assert_allclose(shown.numpy()[near], expected[near], atol=1e-6)
    mean = shown.mean(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(codes[:, 0], mean / np.hypot(mean, 1.0), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize(("every", "least"), [(4, 9), (5, 8)])
def test_of_thick_slices_those_near_a_level_are_coded(
    a_head: np.ndarray, every: int, least: int
) -> None:
    thick = np.ascontiguousarray(a_head[:, :, ::every])
    matrix = CANVAS.affine @ np.diag([1.0, 1.0, every, 1.0])
    denoiser = Noting()
    codes = level_codes(denoiser, thick, load_template().brain[:, :, ::every], matrix)
    coded = np.flatnonzero(codes.any(axis=1))
    assert least <= len(coded) == len(denoiser.shown[0])
    whole = level_codes(Noting(), a_head, load_template().brain, CANVAS.affine)
    np.testing.assert_allclose(codes[coded], whole[coded], atol=0.1)


def test_without_an_encoder_there_is_no_code(a_head: np.ndarray) -> None:
    blind = StandInDenoiser(TINY_NETWORK)
    codes = level_codes(blind, a_head, load_template().brain, CANVAS.affine)
    assert codes.shape == (len(LEVELS_MM), 0)


def test_levels_with_little_brain_have_no_code(a_head: np.ndarray) -> None:
    inside = load_template().brain.copy()
    inside[:, :, :40] = False
    codes = level_codes(Noting(), a_head, inside, CANVAS.affine)
    below = np.array(LEVELS_MM) < CANVAS.affine[2, 3] + 80.0
    assert below.any()
    assert not codes[below].any()
    assert codes[~below].any(axis=1).all()


def test_histogram_and_information_are_those_of_the_brain(a_head: np.ndarray) -> None:
    inside = load_template().brain
    found = frame_traits(Noting(), a_head, inside, CANVAS.affine, thick=False, overlap=0.97)
    np.testing.assert_allclose(found.quantiles, np.quantile(a_head[inside], SHARES), rtol=1e-6)
    own = mutual_information(a_head, inside, CANVAS, np.eye(4))
    assert found.information == own > 1.0
    assert found.overlap == 0.97


def test_a_brain_s_size_follows_the_header() -> None:
    brain = np.zeros((20, 20, 20), bool)
    brain[5:15, 5:15, 5:15] = True
    grid = Grid((20, 20, 20), np.diag([2.0, 3.0, 4.0, 1.0]))
    pose = np.diag([1.2, 1.0, 0.8, 1.0])
    size = brain_size(brain, grid, pose)
    assert size.volume_ml == pytest.approx(24.0)
    assert size.proportion == pytest.approx(1.5)
