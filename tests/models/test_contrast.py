"""The sequence of a scan: read from names without false alarms, and from tissue means."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.contrast import CONTRASTS, contrast_from_name, contrast_from_tissue
from counterpart.pose import Frame, Pose, make_frame
from counterpart.template import CANVAS, load_template

FLUID_GREY_WHITE = {
    "T1": (-2.2, -0.5, 1.0),
    "T2": (3.0, 0.3, -0.5),
    "FLAIR": (-3.0, 0.4, -0.2),
    "unknown": (0.2, 0.0, 0.1),
}


def template_rendered(means: tuple[float, float, float]) -> NDArray[np.float32]:
    template = load_template()
    fluid = np.clip(1.0 - template.grey - template.white, 0.0, 1.0)
    value = means[0] * fluid + means[1] * template.grey + means[2] * template.white
    rendered: NDArray[np.float32] = (value * template.brain).astype(np.float32)
    return rendered


def the_canvas_frame() -> Frame:
    return make_frame(CANVAS, Pose(np.eye(4), 1.0))


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("sub-01_FLAIR", "FLAIR"),
        ("flair", "FLAIR"),
        ("lgg_012_FLAIR", "FLAIR"),
        ("T2_FLAIR", "FLAIR"),
        ("t2-flair-3d", "FLAIR"),
        ("IXI002-Guys-0828_T1", "T1"),
        ("sub-01_T1w", "T1"),
        ("T1", "T1"),
        ("sub_mprage_1", "T1"),
        ("brats_T1c", "T1c"),
        ("BraTS2021_00000_t1ce", "T1c"),
        ("head-T1Gd", "T1c"),
        ("head_t1post", "T1c"),
        ("kopf_T1km", "T1c"),
        ("patient_12_t2", "T2"),
        ("sub-01_T2w", "T2"),
        ("ax T2 tse", "T2"),
    ],
)
def test_a_name_tells_the_sequence(name: str, contrast: str) -> None:
    found = contrast_from_name(name)
    assert found is not None
    assert (found.name, found.source) == (contrast, "file name")
    assert found.name in CONTRASTS


@pytest.mark.parametrize(
    "name", ["cat1", "scan", "patient12", "t10", "t1234", "t21", "heat2", "visit2", "1", ""]
)
def test_a_name_that_tells_nothing_is_not_guessed_at(name: str) -> None:
    assert contrast_from_name(name) is None


@pytest.mark.parametrize("contrast", list(FLUID_GREY_WHITE))
def test_tissue_means_tell_the_sequence(contrast: str) -> None:
    scaled = template_rendered(FLUID_GREY_WHITE[contrast])
    found = contrast_from_tissue(scaled, load_template().brain, the_canvas_frame())
    assert (found.name, found.source) == (contrast, "tissue means")


def test_noise_does_not_hide_the_sequence() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(CANVAS.shape).astype(np.float32)
    for contrast, means in FLUID_GREY_WHITE.items():
        scaled = template_rendered(means) + noise
        found = contrast_from_tissue(scaled, load_template().brain, the_canvas_frame())
        assert found.name == contrast


def test_thick_slices_look_for_tissue_where_the_template_has_it() -> None:
    template = load_template()
    frame = the_canvas_frame()
    thick = Frame(
        (80, 96, 20),
        frame.scan_from_frame @ np.diag([1.0, 1.0, 4.0, 1.0]),
        frame.template_from_frame @ np.diag([1.0, 1.0, 4.0, 1.0]),
        thick=True,
    )
    scaled = template_rendered(FLUID_GREY_WHITE["T2"])[:, :, ::4]
    assert contrast_from_tissue(scaled, template.brain[:, :, ::4], thick).name == "T2"


def test_too_little_brain_leaves_the_sequence_unknown() -> None:
    scaled = template_rendered(FLUID_GREY_WHITE["T1"])
    brain = np.zeros(CANVAS.shape, bool)
    brain[30:36, 40:46, 40:46] = True
    assert contrast_from_tissue(scaled, brain, the_canvas_frame()).name == "unknown"
