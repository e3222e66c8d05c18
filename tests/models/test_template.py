"""The template on the canvas: where it lies, and that it is a brain."""

from importlib.resources import files

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from counterpart.template import CANVAS, SPACING_MM, load_template


def test_the_canvas_is_symmetric_about_the_middle_of_the_head() -> None:
    corners = CANVAS.world(np.array([[0, 0, 0], [79, 95, 79]]))
    assert corners[0, 0] == -corners[1, 0]
    assert CANVAS.spacing == (SPACING_MM,) * 3


def test_the_template_is_read_once() -> None:
    assert load_template() is load_template()


def test_the_brain_has_a_plausible_volume_and_leaves_a_margin() -> None:
    brain = load_template().brain
    assert 1500 < brain.sum() * CANVAS.voxel_volume_ml < 2100
    index = np.argwhere(brain)
    assert (index.min(axis=0) >= 1).all()
    assert (index.max(axis=0) <= np.array(CANVAS.shape) - 2).all()


def test_left_and_right_of_the_symmetric_template_mirror_each_other() -> None:
    brain = load_template().brain
    both = (brain & brain[::-1]).sum()
    assert both / brain.sum() > 0.99


def test_tissue_probabilities_lie_between_0_and_1_and_within_the_head() -> None:
    template = load_template()
    total = template.grey + template.white
    assert template.grey.min() >= 0 and template.white.min() >= 0
    assert total.max() < 1.02
    assert total[~ndimage.binary_dilation(template.brain, iterations=2)].max() < 0.1


def test_white_matter_is_brighter_than_grey_on_t1() -> None:
    template = load_template()
    white = template.t1[template.white > 0.95].mean()
    grey = template.t1[(template.grey > 0.95) & template.brain].mean()
    assert white > 1.15 * grey


@pytest.mark.parametrize("place", [(0.0, -18.0, 8.0), (-40.0, 20.0, 30.0), (25.0, -60.0, -10.0)])
def test_values_lie_where_the_file_says(place: tuple[float, float, float]) -> None:
    name = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    image = nib.nifti1.load(files("nilearn") / "datasets" / "data" / name)  # type: ignore[arg-type]
    blurred = ndimage.gaussian_filter(image.get_fdata(), 3.0 / 2)
    at = np.linalg.inv(image.affine) @ np.array([*place, 1.0])
    expected = ndimage.map_coordinates(blurred, at[:3, None], order=1)[0]
    on_canvas = np.linalg.inv(CANVAS.affine) @ np.array([*place, 1.0])
    shown = ndimage.gaussian_filter(load_template().t1, 2.6 / 4)
    found = ndimage.map_coordinates(shown, on_canvas[:3, None], order=1)[0]
    assert found == pytest.approx(expected, abs=12.0)
