"""The sequence of a scan: read from names without false alarms, and from tissue means."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.contrast import (
    CONTRASTS,
    Contrast,
    contrast_from_name,
    contrast_from_tags,
    contrast_from_tissue,
    tell_contrast,
)
from counterpart.errors import ScanError
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
        ("AX T1 POST GD", "T1c"),
        ("SAG T1 MPRAGE +C", "T1c"),
        ("AX T1+C", "T1c"),
        ("t1_mprage_sag_p2_iso_KM", "T1c"),
        ("sub-01_ce-gadolinium_T1w", "T1c"),
        ("AX T1 FLAIR POST", "T1c"),
        ("T1 FLAIR", "T1"),
        ("T1 pre contrast", "T1"),
        ("T1 without contrast", "T1"),
        ("t1_postop", "T1"),
        ("sub-01_ses-post_T1w", "T1"),
        ("3D BRAVO", "T1"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("FLAIR post GD", "FLAIR"),
    ],
)
def test_a_name_tells_the_sequence(name: str, contrast: str) -> None:
    found = contrast_from_name(name)
    assert found is not None
    assert (found.name, found.source) == (contrast, "file name")
    assert found.name in CONTRASTS


@pytest.mark.parametrize(
    "name",
    [
        "cat1",
        "scan",
        "patient12",
        "t10",
        "t1234",
        "t21",
        "heat2",
        "visit2",
        "1",
        "",
        "T2*",
        "t2_star",
    ],
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


def times(echo: str, repetition: str, inversion: str = "", kind: str = "SE") -> dict[str, str]:
    return {
        "EchoTime": echo,
        "RepetitionTime": repetition,
        "InversionTime": inversion,
        "ScanningSequence": kind,
    }


@pytest.mark.parametrize(
    ("tags", "contrast"),
    [
        ({"SeriesDescription": "t2_tirm_tra_dark-fluid"}, "FLAIR"),
        ({"SeriesDescription": "AX", "ProtocolName": "T2 TSE"}, "T2"),
        ({"SeriesDescription": "AX T1", "ContrastBolusAgent": "Gadovist"}, "T1c"),
        ({"SeriesDescription": "AX T1", "ContrastBolusAgent": "NONE"}, "T1"),
        ({"SeriesDescription": "AX T2", "ContrastBolusAgent": "Gadovist"}, "T2"),
        ({"SeriesDescription": "AX T1 POST"}, "T1c"),
        (times("120", "9000", "2500"), "FLAIR"),
        (times("85.0", "4000"), "T2"),
        (times("12", "550"), "T1"),
        (times("2.98", "2300", "900", "GR"), "T1"),
        ({**times("12", "550"), "ContrastBolusAgent": "Dotarem"}, "T1c"),
    ],
)
def test_tags_tell_the_sequence(tags: dict[str, str], contrast: str) -> None:
    assert contrast_from_tags(tags) == Contrast(contrast, "DICOM tags")


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"Modality": "MR", "SeriesDescription": "brain"},
        times("12", "9000"),
        times("20", "700", kind="GR"),
        times("10", "3000", "2000"),
        times("", "500"),
        times("nan", "x"),
        {"ContrastBolusAgent": "Gadovist"},
    ],
    ids=["none", "no sequence", "density", "T2*", "inversion", "no echo", "damaged", "agent alone"],
)
def test_tags_that_tell_nothing_are_not_guessed_at(tags: dict[str, str]) -> None:
    assert contrast_from_tags(tags) is None


FLAIR_TAGS = {"SeriesDescription": "flair"}
TISSUE = Contrast("T2", "tissue means")


@pytest.mark.parametrize(
    ("chosen", "tags", "name", "expected"),
    [
        ("t1C", FLAIR_TAGS, "a_T2", Contrast("T1c", "user")),
        ("unknown", FLAIR_TAGS, "a_T2", Contrast("unknown", "user")),
        (None, FLAIR_TAGS, "a_T1", Contrast("FLAIR", "DICOM tags")),
        (None, {}, "a_T1", Contrast("T1", "file name")),
        (None, {}, "a", TISSUE),
    ],
)
def test_the_nearest_source_is_asked_first(
    chosen: str | None, tags: dict[str, str], name: str, expected: Contrast
) -> None:
    assert tell_contrast(chosen, tags, name, TISSUE)[0] == expected


def test_tissue_that_contradicts_is_a_warning() -> None:
    _, warnings = tell_contrast(None, FLAIR_TAGS, "a", TISSUE)
    assert len(warnings) == 1
    assert "taken for FLAIR (DICOM tags), but its tissue means look like T2" in warnings[0]


@pytest.mark.parametrize(
    ("chosen", "tissue"), [("T1c", "T1"), ("T2", "T2"), ("FLAIR", "unknown"), ("unknown", "T1")]
)
def test_tissue_that_agrees_or_is_unsure_is_no_warning(chosen: str, tissue: str) -> None:
    assert tell_contrast(chosen, {}, "a", Contrast(tissue, "tissue means"))[1] == ()


def test_a_word_that_is_no_sequence_is_refused() -> None:
    with pytest.raises(ScanError, match="one of T1, T1c, T2, FLAIR, unknown, got 'PD'. Give one"):
        tell_contrast("PD", {}, "a", TISSUE)
