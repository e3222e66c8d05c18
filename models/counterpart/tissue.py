"""Splits a healthy T1 brain into tissue fractions, from which other contrasts are rendered.

Fractions of fluid, grey, white and deep grey matter add up to 1 inside the brain. They follow the
T1 intensity between the tissues' means (so the cortex keeps its partial volume), and anatomy where
it is known: deep inside white matter the fraction is white even where ageing has made it dark on
T1, and the ventricles are fluid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.template import Template

FLUID, GREY, WHITE, DEEP = range(4)

# DLMUSE label numbers.
_WHITE_LABELS = (40, 41, 44, 45, 61, 62, *range(81, 95))
_VENTRICLE_LABELS = (4, 11, 49, 50, 51, 52)
_DEEP_LABELS = (23, 30, 36, 37, 55, 56, 57, 58, 59, 60)
_CORTICAL_FLUID_LABELS = (1,)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Coarse tissue classes of one brain on the canvas, each a probability from 0 to 1.

    Args:
        white: White matter.
        deep: Deep grey nuclei.
        ventricles: Ventricles.
        fluid: Fluid outside the ventricles.
    """

    white: NDArray[np.float32]
    deep: NDArray[np.float32]
    ventricles: NDArray[np.float32]
    fluid: NDArray[np.float32]


def label_classes(labels: NDArray[np.int_]) -> dict[str, NDArray[np.float32]]:
    """The masks of `Anatomy` from a DLMUSE label map (I, J, K), as 0 and 1."""
    groups = {
        "white": _WHITE_LABELS,
        "deep": _DEEP_LABELS,
        "ventricles": _VENTRICLE_LABELS,
        "fluid": _CORTICAL_FLUID_LABELS,
    }
    return {name: np.isin(labels, group).astype(np.float32) for name, group in groups.items()}


def template_anatomy(template: Template) -> Anatomy:
    """The anatomy of the template, for subjects that come without labels.

    The ventricles are the fluid in a box around the template's centre.
    """
    brain = template.brain.astype(np.float32)
    fluid: NDArray[np.float32] = np.clip(brain - template.grey - template.white, 0.0, 1.0)
    central = np.zeros(fluid.shape, np.float32)
    central[26:54, 30:72, 30:56] = 1.0
    return Anatomy(template.white, np.zeros_like(fluid), fluid * central, fluid * (1 - central))


def tissue_fractions(
    scaled: NDArray[np.float32], brain: NDArray[np.bool_], anatomy: Anatomy
) -> NDArray[np.float32]:
    """Fractions of fluid, grey, white and deep grey matter.

    Args:
        scaled: (I, J, K) normalised T1.
        brain: (I, J, K) brain mask.
        anatomy: Coarse classes on the same grid.

    Returns:
        (4, I, J, K) fractions that add up to 1 inside the brain and are 0 outside.
    """
    fluid_mean, grey_mean, white_mean = _tissue_means(scaled, brain, anatomy)
    below = np.clip((grey_mean - scaled) / (grey_mean - fluid_mean), 0.0, 1.0)
    above = np.clip((scaled - grey_mean) / (white_mean - grey_mean), 0.0, 1.0)
    fractions = np.stack([below, 1.0 - below - above, above, np.zeros_like(above)])
    inside_white = _soft_interior(anatomy.white, brain)
    inside_ventricles = np.clip(1.6 * anatomy.ventricles - 0.3, 0.0, 1.0)
    deep = np.clip(1.4 * anatomy.deep - 0.2, 0.0, 1.0)
    for weight, tissue in ((deep, DEEP), (inside_white, WHITE), (inside_ventricles, FLUID)):
        fractions = fractions * (1 - weight) + _one_hot(tissue) * weight
    fractions *= brain
    result: NDArray[np.float32] = fractions.astype(np.float32)
    return result


def _one_hot(tissue: int) -> NDArray[np.float32]:
    hot = np.zeros((4, 1, 1, 1), np.float32)
    hot[tissue] = 1.0
    return hot


def _soft_interior(white: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """1 well inside white matter, falling to 0 at its border over about two voxels."""
    depth = ndimage.distance_transform_edt((white > 0.5) & brain)
    interior: NDArray[np.float32] = np.clip(depth - 1.0, 0.0, 1.0).astype(np.float32)
    return interior


def _tissue_means(
    scaled: NDArray[np.float32], brain: NDArray[np.bool_], anatomy: Anatomy
) -> tuple[float, float, float]:
    """Means of fluid, grey and white: from the anatomy's cores, made plausible by order."""
    sure_white = ndimage.binary_erosion(anatomy.white > 0.7) & brain
    sure_fluid = (ndimage.binary_erosion(anatomy.ventricles > 0.7)) & brain
    rest = anatomy.white + anatomy.deep + anatomy.ventricles + anatomy.fluid
    sure_grey = (rest < 0.1) & brain
    white = float(np.median(scaled[sure_white])) if sure_white.sum() > 50 else 1.0
    fluid = float(np.median(scaled[sure_fluid])) if sure_fluid.sum() > 50 else -2.2
    grey = float(np.median(scaled[sure_grey])) if sure_grey.sum() > 50 else -0.5
    grey = min(max(grey, fluid + 0.3 * (white - fluid)), fluid + 0.8 * (white - fluid))
    return fluid, grey, white
