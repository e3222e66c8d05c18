"""Regions: votes of label maps become an atlas, and an atlas names where points lie."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.bundle import load_model
from counterpart.errors import ModelError
from counterpart.prepare import find_sources, prepare_subject, read_split
from counterpart.regions import (
    REGIONS,
    RegionAtlas,
    RegionVotes,
    read_atlas,
    region_codes,
    write_atlas,
)
from counterpart.template import CANVAS, load_template

CODE = {region.name: region.code for region in REGIONS}
FRONTAL, PARIETAL, INSULA = CODE["frontal lobe"], CODE["parietal lobe"], CODE["insula"]


def empty() -> NDArray[np.uint8]:
    return np.zeros(CANVAS.shape, np.uint8)


def points(*index: tuple[float, float, float]) -> NDArray[np.float64]:
    """Template points of canvas indices."""
    return np.asarray(CANVAS.world(np.array(index, np.float64)))


@pytest.fixture
def an_atlas() -> RegionAtlas:
    """Frontal in front, parietal behind, nothing below and none outside."""
    codes = empty()
    codes[20:60, 50:70, 30:60] = FRONTAL
    codes[20:60, 30:50, 30:60] = PARIETAL
    return RegionAtlas(codes)


@pytest.fixture(scope="module")
def the_released_atlas() -> RegionAtlas:
    atlas = load_model().regions
    assert atlas is not None
    return atlas


def test_no_label_belongs_to_two_regions_and_no_code_to_two_names() -> None:
    labels = [label for region in REGIONS for label in region.labels]
    assert len(labels) == len(set(labels))
    assert [region.code for region in REGIONS] == list(range(1, len(REGIONS) + 1))
    assert len({region.name for region in REGIONS}) == len(REGIONS)


def test_both_sides_of_a_cortical_label_share_a_region() -> None:
    pairs = np.array([label for region in REGIONS for label in region.labels if label >= 100])
    np.testing.assert_array_equal(region_codes(pairs), region_codes(pairs ^ 1))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *((81, "frontal lobe"), (183, "frontal lobe"), (175, "parietal lobe")),
        *((87, "temporal lobe"), (171, "temporal lobe"), (108, "occipital lobe")),
        *((173, "insula"), (100, "cingulate gyrus"), (47, "hippocampus and amygdala")),
        *((23, "basal ganglia"), (60, "thalamus"), (95, "corpus callosum and fornix")),
        *((52, "lateral ventricle"), (4, "third ventricle"), (11, "fourth ventricle")),
        *((39, "cerebellum"), (72, "cerebellum"), (35, "brainstem")),
    ],
)
def test_labels_join_the_region_that_a_report_would_name(label: int, name: str) -> None:
    assert region_codes(np.array([label]))[0] == CODE[name]


def test_labels_of_no_region_have_code_0() -> None:
    labels = np.array([[-1, 0, 1, 46], [69, 255, 256, 70_000]])
    codes = region_codes(labels)
    assert codes.dtype == np.uint8
    assert codes.shape == labels.shape
    assert not codes.any()


def test_the_region_with_most_votes_wins() -> None:
    votes = RegionVotes()
    for code in (PARIETAL, FRONTAL, INSULA, INSULA, FRONTAL, INSULA):
        codes = empty()
        codes[40, 40, 40] = code
        votes.add(codes)
    atlas = votes.atlas()
    assert atlas is not None
    assert atlas.codes[40, 40, 40] == INSULA


def test_a_tie_goes_to_the_lower_code_whoever_came_first() -> None:
    for order in ((PARIETAL, FRONTAL), (FRONTAL, PARIETAL)):
        votes = RegionVotes()
        for code in order:
            codes = empty()
            codes[40, 40, 40] = code
            votes.add(codes)
        atlas = votes.atlas()
        assert atlas is not None
        assert atlas.codes[40, 40, 40] == FRONTAL


def test_subjects_without_a_region_somewhere_do_not_outvote_those_with_one() -> None:
    votes = RegionVotes()
    labelled = empty()
    labelled[40, 40, 40] = INSULA
    for codes in (labelled, empty(), empty(), empty()):
        votes.add(codes)
    atlas = votes.atlas()
    assert atlas is not None
    assert votes.subjects == 4
    assert atlas.codes[40, 40, 40] == INSULA


@pytest.mark.parametrize(("subjects", "kept"), [(20, True), (21, False)])
def test_one_stray_vote_counts_up_to_twenty_subjects(subjects: int, kept: bool) -> None:
    brain = empty()
    brain[40, 40, 40] = FRONTAL
    stray = brain.copy()
    stray[40, 70, 40] = INSULA
    votes = RegionVotes()
    for number in range(subjects):
        votes.add(stray if number == 0 else brain)
    atlas = votes.atlas()
    assert atlas is not None
    assert bool(atlas.codes[40, 70, 40] == INSULA) is kept


def test_gaps_take_the_nearest_region_within_six_millimetres() -> None:
    codes = empty()
    codes[40, 40, 40], codes[40, 45, 40] = FRONTAL, PARIETAL
    votes = RegionVotes()
    votes.add(codes)
    atlas = votes.atlas()
    assert atlas is not None
    along = atlas.codes[40, 35:51, 40].tolist()
    assert along == [0, 0, *[FRONTAL] * 6, *[PARIETAL] * 6, 0, 0]
    away = 2.0 * np.linalg.norm(np.argwhere(atlas.codes == FRONTAL) - (40, 40, 40), axis=1)
    assert away.max() <= 6.0


def test_without_votes_there_is_no_atlas() -> None:
    votes = RegionVotes()
    assert votes.atlas() is None
    votes.add(empty())
    assert votes.atlas() is None


def test_the_majority_of_the_points_names_the_region(an_atlas: RegionAtlas) -> None:
    front, back = [(40, 60, 40), (41, 60, 40)], [(40, 40, 40), (41, 40, 40), (42, 40, 40)]
    assert an_atlas.region(points(*front, *back)) == "parietal lobe"
    assert an_atlas.region(points(*front, *back[:1])) == "frontal lobe"
    assert an_atlas.region(points(*front, *back[:2])) == "frontal lobe"  # a tie: the lower code


def test_a_point_belongs_to_the_nearest_voxel(an_atlas: RegionAtlas) -> None:
    assert an_atlas.region(points((40, 49.6, 40))) == "frontal lobe"
    assert an_atlas.region(points((40, 49.4, 40))) == "parietal lobe"


def test_points_have_the_code_of_their_voxel_and_none_beyond_the_atlas(
    an_atlas: RegionAtlas,
) -> None:
    places = [(40, 49.6, 40), (40, 49.4, 40), (40, 60, 10), (40, 60, 59.4), (-30, 200, 5)]
    codes = an_atlas.codes_at(points(*places, (-0.6, 60, 40), (40, 60, 1e6)))
    assert codes.dtype == np.uint8
    assert codes.tolist() == [FRONTAL, PARIETAL, 0, FRONTAL, 0, 0, 0]


def test_the_last_voxel_of_the_atlas_belongs_to_it() -> None:
    codes = empty()
    codes[0, 0, 0], codes[79, 95, 79] = INSULA, FRONTAL
    atlas = RegionAtlas(codes)
    assert atlas.codes_at(points((0, 0, 0), (79, 95, 79), (80, 95, 79))).tolist() == [
        *(INSULA, FRONTAL, 0),
    ]
    assert atlas.codes_at(np.empty((0, 3))).shape == (0,)


def test_points_without_a_region_count_only_when_alone(an_atlas: RegionAtlas) -> None:
    unknown = [(40, 60, number) for number in range(10, 20)] + [(-30, 200, 5)]
    assert an_atlas.region(points(*unknown, (40, 40, 40))) == "parietal lobe"
    assert an_atlas.region(points(*unknown)) == "frontal lobe"


@pytest.mark.parametrize(
    ("index", "name"),
    [
        ((40, 75, 45), "frontal lobe"),  # on the canvas
        ((40, 40, 200), "parietal lobe"),  # above it
        ((-50, 31, 40), "parietal lobe"),  # left of it
        ((80, 40, 80), "parietal lobe"),  # just beyond its last voxel
        ((-1, 60, -1), "frontal lobe"),
        ((300, 300, 300), "frontal lobe"),
    ],
)
def test_beyond_the_atlas_the_nearest_region_is_named(
    an_atlas: RegionAtlas, index: tuple[int, int, int], name: str
) -> None:
    assert an_atlas.region(points(index)) == name


def test_beyond_the_atlas_the_point_that_comes_nearest_decides(an_atlas: RegionAtlas) -> None:
    far_in_front = [(40, 90, number) for number in range(62, 72)]
    assert an_atlas.region(points((40, 27, 40), *far_in_front)) == "parietal lobe"
    assert an_atlas.region(points((40, 2, 40), (40, 72, 40))) == "frontal lobe"


def test_an_atlas_survives_the_round_trip(an_atlas: RegionAtlas, tmp_path: Path) -> None:
    write_atlas(tmp_path / "regions.nii.gz", an_atlas)
    np.testing.assert_array_equal(read_atlas(tmp_path / "regions.nii.gz").codes, an_atlas.codes)
    image = nib.load(tmp_path / "regions.nii.gz")
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(image.affine, CANVAS.affine)


def test_the_same_atlas_is_the_same_file(an_atlas: RegionAtlas, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_atlas(tmp_path / name / "regions.nii.gz", an_atlas)
    first, second = ((tmp_path / name / "regions.nii.gz").read_bytes() for name in ("a", "b"))
    assert first == second


def damaged(path: Path, codes: NDArray[np.generic], affine: NDArray[np.float64]) -> Path:
    nib.save(nib.nifti1.Nifti1Image(codes, affine), path)
    return path


MOVED = CANVAS.affine + np.outer((0, 1, 0, 0), (0, 0, 0, 0.5))


@pytest.mark.parametrize(
    ("codes", "affine", "message"),
    [
        (np.ones((80, 96, 79), np.uint8), CANVAS.affine, r"expected an atlas of \(80, 96, 80\)"),
        (np.ones((80, 96, 80, 1), np.uint8), CANVAS.affine, r"got \(80, 96, 80, 1\)"),
        (np.ones(CANVAS.shape, np.uint8), MOVED, "affine of the canvas"),
        (np.ones(CANVAS.shape, np.int16), CANVAS.affine, "expected bytes"),
        (np.full(CANVAS.shape, 99, np.uint8), CANVAS.affine, "region code 99 is unknown"),
        (np.zeros(CANVAS.shape, np.uint8), CANVAS.affine, "no region at all"),
    ],
)
def test_an_atlas_of_another_form_is_refused(
    codes: NDArray[np.generic], affine: NDArray[np.float64], message: str, tmp_path: Path
) -> None:
    path = damaged(tmp_path / "regions.nii.gz", codes, affine)
    with pytest.raises(ModelError, match=message) as error:
        read_atlas(path)
    assert str(path) in str(error.value)


def test_an_atlas_with_a_scale_is_refused(an_atlas: RegionAtlas, tmp_path: Path) -> None:
    image = nib.nifti1.Nifti1Image(an_atlas.codes, CANVAS.affine)
    image.header.set_slope_inter(2.0, 0.0)
    path = tmp_path / "regions.nii"
    nib.save(image, path)
    content = bytearray(path.read_bytes())
    content[112:116] = np.float32(2.0).tobytes()  # scl_slope
    path.write_bytes(content)
    with pytest.raises(ModelError, match="expected bytes"):
        read_atlas(path)


@pytest.mark.parametrize("keep", [0, 20, 400])
def test_a_file_that_ends_early_is_refused(
    an_atlas: RegionAtlas, tmp_path: Path, keep: int
) -> None:
    path = tmp_path / "regions.nii.gz"
    write_atlas(path, an_atlas)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match="not a readable atlas"):
        read_atlas(path)


def test_a_file_that_is_no_image_or_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "regions.nii.gz"
    with pytest.raises(ModelError, match="not a readable atlas"):
        read_atlas(path)
    path.write_bytes(b"regions")
    with pytest.raises(ModelError, match="not a readable atlas"):
        read_atlas(path)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((30, 45, 25), "frontal lobe"),
        ((-45, -55, 45), "parietal lobe"),
        ((55, -25, -15), "temporal lobe"),
        ((-12, -90, 5), "occipital lobe"),
        ((-38, 5, 0), "insula"),
        ((4, 30, 20), "cingulate gyrus"),
        ((-27, -22, -14), "hippocampus and amygdala"),
        ((27, 2, 2), "basal ganglia"),
        ((-11, -19, 8), "thalamus"),
        ((1, 15, 18), "corpus callosum and fornix"),
        ((0, -46, -32), "fourth ventricle"),
        ((30, -65, -45), "cerebellum"),
        ((-1, -28, -30), "brainstem"),
    ],
)
def test_the_released_atlas_names_well_known_places(
    the_released_atlas: RegionAtlas, place: tuple[float, float, float], name: str
) -> None:
    assert the_released_atlas.region(np.array([place], np.float64)) == name


def test_the_released_atlas_names_the_whole_brain_alike_on_both_sides(
    the_released_atlas: RegionAtlas,
) -> None:
    codes = the_released_atlas.codes
    assert (codes[load_template().brain] > 0).all()
    assert set(np.unique(codes).tolist()) == {0, *CODE.values()}
    mirrored = codes[::-1]  # the canvas is symmetric about the midplane
    both = (codes > 0) & (mirrored > 0)
    assert (codes == mirrored)[both].mean() > 0.9


@pytest.mark.slow
@pytest.mark.real_data
def test_a_held_out_subjects_labels_agree_with_the_released_atlas(
    the_real_data: Path, the_released_atlas: RegionAtlas
) -> None:
    folder = the_real_data / "healthy_t1"
    sources = find_sources(folder)
    split = read_split(folder, [source.name for source in sources])
    source = next(source for source in sources if split[source.name] == "validate")
    codes = prepare_subject(source, "validate").regions
    assert codes is not None
    inside = codes > 0
    assert (codes == the_released_atlas.codes)[inside].mean() > 0.75
    for name in ("cerebellum", "brainstem", "thalamus", "occipital lobe"):
        theirs = codes == CODE[name]
        ours = the_released_atlas.codes == CODE[name]
        assert (theirs & ours).sum() / theirs.sum() > 0.7, name
        assert the_released_atlas.region(np.asarray(CANVAS.world(np.argwhere(theirs)))) == name
