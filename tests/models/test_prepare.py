"""A folder of healthy scans becomes a cohort; what cannot be used is left out and named."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.brain_extraction import load_brain_model
from counterpart.cohort import PARTS, read_cohort
from counterpart.errors import CohortError
from counterpart.heads import read_heads
from counterpart.prepare import (
    Source,
    find_sources,
    prepare_cohort,
    prepare_subject,
    read_split,
)
from counterpart.regions import ATLAS_FILE, REGIONS, read_atlas
from counterpart.scans import read_mask, read_scan
from counterpart.template import CANVAS, load_template


def save(path: Path, values: NDArray[Any], affine: NDArray[np.float64] = CANVAS.affine) -> Path:
    nib.save(nib.nifti1.Nifti1Image(values, affine), path)
    return path


def template_scan() -> NDArray[np.float32]:
    """The skull-stripped template, background exactly 0."""
    template = load_template()
    return np.where(template.brain, template.t1, 0.0).astype(np.float32)


def template_labels() -> NDArray[np.uint8]:
    """DLMUSE numbers of white matter, grey matter and a block of ventricle."""
    template = load_template()
    labels = np.where(template.brain, np.where(template.white > 0.5, 44, 100), 0)
    labels[36:44, 44:60, 38:46] = 51
    return labels.astype(np.uint8)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_scans_are_found_with_what_lies_beside_them(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("b_T1.nii.gz", "b_labels.nii.gz", "a_T1.nii", "a_brain.nii", "c.nii.gz"),
        *("b_mask.nii.gz", "b_lesion.nii.gz", "notes.txt", "split.csv"),
    )
    assert find_sources(tmp_path) == [
        Source("a", tmp_path / "a_T1.nii", None, tmp_path / "a_brain.nii"),
        Source("b", tmp_path / "b_T1.nii.gz", tmp_path / "b_labels.nii.gz", None),
        Source("c", tmp_path / "c.nii.gz", None, None),
    ]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="gone: no such folder"):
        find_sources(tmp_path / "gone")


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a_labels.nii.gz", "notes.txt")
    with pytest.raises(CohortError, match="no NIfTI scan"):
        find_sources(tmp_path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_split_file_says_who_trains(tmp_path: Path, mark: str) -> None:
    rows = mark + "subject,age,part\na,30,train\nb,40,calibrate\nz,50,validate\n"
    (tmp_path / "split.csv").write_text(rows, encoding="utf-8")
    split = read_split(tmp_path, ["a", "b"])
    assert (split["a"], split["b"]) == ("train", "calibrate")


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("subject,part\na,train\nb,test\n")
    with pytest.raises(CohortError, match=r"expected the parts train.*got 'test'"):
        read_split(tmp_path, ["a", "b"])


def test_a_subject_without_a_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("subject,part\na,train\n")
    with pytest.raises(CohortError, match=r"no part for subject b \(and 1 more\)"):
        read_split(tmp_path, ["a", "b", "c"])


def test_a_split_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("name;part\na;train\n")
    with pytest.raises(CohortError, match=r"columns subject and part, got \['name;part'\]"):
        read_split(tmp_path, ["a"])


def test_without_a_split_file_the_name_alone_decides(tmp_path: Path) -> None:
    names = [f"subject-{number}" for number in range(2000)]
    split = read_split(tmp_path, names)
    assert read_split(tmp_path, names[:1:-1])["subject-1999"] == split["subject-1999"]
    shares = [sum(part == name for part in split.values()) / 2000 for name in PARTS]
    assert shares == pytest.approx([0.60, 0.15, 0.25], abs=0.04)


@pytest.fixture(scope="module")
def a_stripped_subject(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("stripped")
    path = save(folder / "template_T1.nii.gz", template_scan())
    return prepare_subject(Source("template", path, None, None), "train")


def test_arrays_are_bytes_with_slices_first(a_stripped_subject: Any) -> None:
    shapes = {name: array.shape for name, array in a_stripped_subject.arrays.items()}
    slices = (80, 80, 96)
    assert shapes == {
        "scan": slices,
        "brain": slices,
        "tissue": (4, *slices),
        "inward": slices,
    }
    assert all(array.dtype == np.uint8 for array in a_stripped_subject.arrays.values())


def test_a_template_scan_stays_in_its_pose(a_stripped_subject: Any) -> None:
    brain = np.moveaxis(a_stripped_subject.arrays["brain"], 0, -1) > 0
    reference = load_template().brain
    overlap = 2 * (brain & reference).sum() / (brain.sum() + reference.sum())
    assert overlap > 0.98
    assert a_stripped_subject.subject.pose_overlap > 0.98


def test_bytes_decode_to_spreads_of_the_scan(a_stripped_subject: Any) -> None:
    subject, arrays = a_stripped_subject.subject, a_stripped_subject.arrays
    brain = arrays["brain"] > 0
    scaled = subject.low + subject.step * arrays["scan"][brain]
    assert np.median(scaled) == pytest.approx(0.0, abs=0.3)
    template = np.moveaxis(load_template().t1, -1, 0)[brain]
    assert np.corrcoef(scaled, template)[0, 1] > 0.97
    assert not arrays["scan"][~brain].any()


def test_fractions_add_up_within_rounding(a_stripped_subject: Any) -> None:
    arrays = a_stripped_subject.arrays
    total = arrays["tissue"].astype(int).sum(axis=0)
    assert np.abs(total - 255 * arrays["brain"].astype(int)).max() <= 2


def test_the_distance_to_the_ventricles_grows_outwards(a_stripped_subject: Any) -> None:
    inward = a_stripped_subject.arrays["inward"].astype(int)
    assert inward.min() == 0
    assert inward[40, 0, 48] > inward[40, 20, 48] > inward[40, 38, 48]
    steps = np.abs(np.diff(inward, axis=1))
    assert steps.max() <= 3  # 2 mm per voxel, rounded


def test_labels_give_brain_and_anatomy(tmp_path: Path) -> None:
    head = template_scan() + np.float32(5.0)
    head += np.random.default_rng(0).random(head.shape, dtype=np.float32)
    scan = save(tmp_path / "a_T1.nii.gz", head)
    labels = save(tmp_path / "a_labels.nii.gz", template_labels())
    item = prepare_subject(Source("a", scan, labels, None), "train")
    ventricle = (slice(40, 44), slice(38, 42), slice(48, 56))
    assert item.subject.pose_overlap > 0.95
    assert (item.arrays["inward"][ventricle] == 0).all()
    assert (item.arrays["tissue"][(0, *ventricle)] > 250).all()


@pytest.mark.slow
@pytest.mark.parametrize(("part", "filled"), [("train", 0.0), ("calibrate", 1.0)])
def test_the_brain_of_who_is_held_out_is_found_by_the_network_despite_labels(
    the_repository: Path, tmp_path: Path, part: str, filled: float
) -> None:
    """The labels leave out a bay of 4 cm on the right, which the network does not."""
    samples = the_repository / "sample_data" / "healthy"
    scan = read_scan(samples / "healthy-01_T1.nii.gz")
    brain = read_mask(samples / "healthy-01_brain.nii.gz", scan.grid)
    points = scan.grid.world(np.moveaxis(np.indices(brain.shape), 0, -1))
    away = points - points[brain].mean(axis=0)
    bay = (away[..., 0] > 20) & (np.abs(away[..., 1:]) < 20).all(axis=-1)
    labels = save(tmp_path / "a_labels.nii.gz", np.uint8(41) * (brain & ~bay), scan.grid.affine)
    source = Source("a", samples / "healthy-01_T1.nii.gz", labels, None)
    item = prepare_subject(source, part, load_brain_model())
    found = np.moveaxis(item.arrays["brain"], 0, -1) > 0
    point = CANVAS.world(np.moveaxis(np.indices(CANVAS.shape), 0, -1)) - [0.0, -16.0, 5.0]
    place = (point[..., 0] > 35) & (point[..., 0] < 50) & (np.abs(point[..., 1:]) < 8).all(axis=-1)
    assert found[place].mean() == pytest.approx(filled)


def test_labels_on_another_grid_are_refused(tmp_path: Path) -> None:
    scan = save(tmp_path / "a_T1.nii.gz", template_scan())
    elsewhere = CANVAS.affine.copy()
    elsewhere[1, 3] += 10
    moved = save(tmp_path / "moved_labels.nii.gz", template_labels(), elsewhere)
    with pytest.raises(CohortError, match="and another affine"):
        prepare_subject(Source("a", scan, moved, None), "train")
    short = save(tmp_path / "short_labels.nii.gz", template_labels()[:-1])
    with pytest.raises(CohortError, match=r"\(80, 96, 80\), but have shape \(79, 96, 80\)"):
        prepare_subject(Source("a", scan, short, None), "train")


def test_thick_slices_are_refused(tmp_path: Path) -> None:
    affine = CANVAS.affine @ np.diag([1.0, 1.0, 2.0, 1.0])
    scan = save(tmp_path / "a_T1.nii.gz", template_scan()[:, :, ::2], affine)
    with pytest.raises(CohortError, match=r"slices of 4\.0 mm; the cohort needs 3 mm"):
        prepare_subject(Source("a", scan, None, None), "train")


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory: pytest.TempPathFactory, the_repository: Path) -> Path:
    """Two of the synthetic healthy samples, and a third that is cut short."""
    folder = tmp_path_factory.mktemp("healthy")
    samples = the_repository / "sample_data" / "healthy"
    for number in (1, 2, 3):
        for kind in ("T1", "brain"):
            name = f"healthy-0{number}_{kind}.nii.gz"
            shutil.copy(samples / name, folder / name)
    cut = folder / "healthy-03_T1.nii.gz"
    cut.write_bytes(cut.read_bytes()[:5000])
    (folder / "split.csv").write_text(
        "subject,part\nhealthy-01,train\nhealthy-02,validate\nhealthy-03,train\n"
    )
    return folder


@pytest.mark.slow
def test_a_folder_becomes_a_cohort_without_its_broken_scan(a_folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    digest, count, refusals = prepare_cohort(
        a_folder, tmp_path / "cohort", progress=lambda *at: seen.append(at)
    )
    cohort = read_cohort(tmp_path / "cohort")
    assert (cohort.content_hash, count) == (digest, 2)
    assert [(s.name, s.part) for s in cohort.subjects] == [
        ("healthy-01", "train"),
        ("healthy-02", "validate"),
    ]
    assert min(s.pose_overlap for s in cohort.subjects) > 0.85
    assert [refusal.name for refusal in refusals] == ["healthy-03"]
    assert "ends early or is damaged" in refusals[0].reason
    assert [name for _, total, name in seen if total == 3] == [
        "healthy-01",
        "healthy-02",
        "healthy-03",
    ]
    index = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert index["source"] == a_folder.name
    volume_ml = cohort.brain.sum(dim=(1, 2, 3)).float() * CANVAS.voxel_volume_ml
    assert bool(((volume_ml > 1500) & (volume_ml < 2400)).all())
    assert not torch.equal(cohort.scan[0], cohort.scan[1])


def test_a_folder_that_holds_a_cohort_is_not_overwritten(tmp_path: Path) -> None:
    touch(tmp_path, "a_T1.nii.gz", "cohort.json")
    with pytest.raises(CohortError, match="holds a cohort already"):
        prepare_cohort(tmp_path, tmp_path)


def test_when_every_scan_is_broken_there_is_no_cohort(tmp_path: Path) -> None:
    touch(tmp_path, "a_T1.nii.gz", "b_T1.nii.gz")
    with pytest.raises(CohortError, match="no scan could be prepared"):
        prepare_cohort(tmp_path, tmp_path / "cohort")


@pytest.mark.slow
@pytest.mark.real_data
def test_a_real_whole_head_is_prepared_with_plausible_tissues(the_real_data: Path) -> None:
    folder = the_real_data / "healthy_t1"
    source = find_sources(folder)[1]
    item = prepare_subject(source, read_split(folder, [source.name])[source.name])
    assert item.subject.pose_overlap > 0.92
    brain_ml = item.arrays["brain"].sum() * CANVAS.voxel_volume_ml
    assert 1400 < brain_ml < 2200  # in template pose: about the template's volume
    shares = item.arrays["tissue"].sum(axis=(1, 2, 3)) / item.arrays["tissue"].sum()
    fluid, grey, white, deep = shares
    assert 0.05 < fluid < 0.35
    assert 0.25 < grey < 0.6
    assert 0.25 < white < 0.5
    assert 0.005 < deep < 0.06


def test_other_contrasts_are_no_subjects_and_one_subject_has_one_t1(tmp_path: Path) -> None:
    for name in ("a_T1.nii.gz", "a_FLAIR.nii.gz", "a_T2.nii.gz", "b.nii"):
        (tmp_path / name).touch()
    assert [source.name for source in find_sources(tmp_path)] == ["a", "b"]
    (tmp_path / "b_T1.nii.gz").touch()
    with pytest.raises(CohortError, match="more than one T1 scan of subject 'b'"):
        find_sources(tmp_path)


def whole_head() -> NDArray[np.float32]:
    """The template's brain in a bright shell, as a scan that was never stripped."""
    brain = load_template().brain
    away = ndimage.distance_transform_edt(~brain)
    noise = np.random.default_rng(0).random(brain.shape, dtype=np.float32)
    shell = np.where((away > 2) & (away < 7), np.float32(150.0), np.float32(2.0))
    return np.asarray(np.where(brain, load_template().t1, shell) + noise, np.float32)


def save_labels(folder: Path, name: str, white: int, grey: int) -> None:
    template = load_template()
    labels = np.where(template.brain, np.where(template.white > 0.5, white, grey), 0)
    save(folder / f"{name}_labels.nii.gz", labels.astype(np.uint8))


@pytest.fixture(scope="module")
def a_prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole heads: two to train with temporal labels, others to validate and calibrate.

    One is to train with a brain mask alone, one is stripped with labels, one stripped without.
    """
    folder = tmp_path_factory.mktemp("whole")
    parts = {"a": "train", "b": "train", "c": "validate", "d": "calibrate", "mask": "train"}
    parts |= {"stripped": "validate", "bare": "train"}
    for name in parts:
        head = template_scan() if name in ("stripped", "bare") else whole_head()
        save(folder / f"{name}_T1.nii.gz", head)
    for name in ("a", "b"):
        save_labels(folder, name, 87, 122)
    for name in ("c", "d", "stripped"):
        save_labels(folder, name, 81, 104)
    save(folder / "mask_brain.nii.gz", load_template().brain.astype(np.uint8))
    rows = [f"{name},{part}" for name, part in parts.items()]
    (folder / "split.csv").write_text("\n".join(["subject,part", *rows]) + "\n")
    _, count, refusals = prepare_cohort(folder, folder / "cohort")
    assert (count, refusals) == (7, [])
    return folder / "cohort"


@pytest.mark.slow
def test_the_labels_of_those_who_train_become_the_atlas(a_prepared_folder: Path) -> None:
    atlas = read_atlas(a_prepared_folder / ATLAS_FILE)
    temporal = next(region.code for region in REGIONS if region.name == "temporal lobe")
    assert set(np.unique(atlas.codes).tolist()) == {0, temporal}
    assert (atlas.codes[load_template().brain] == temporal).all()


@pytest.mark.slow
def test_heads_are_those_with_skull_labels_or_mask_and_never_to_calibrate(
    a_prepared_folder: Path,
) -> None:
    heads = read_heads(a_prepared_folder)
    assert [(entry.name, entry.part, entry.has_image) for entry in heads.entries] == [
        ("a", "train", True),
        ("b", "train", True),
        ("c", "validate", True),
        ("mask", "train", True),
    ]


@pytest.mark.slow
def test_without_labels_there_is_neither_an_atlas_nor_a_head(tmp_path: Path) -> None:
    save(tmp_path / "a_T1.nii.gz", template_scan())
    prepare_cohort(tmp_path, tmp_path / "cohort")
    assert sorted(path.name for path in (tmp_path / "cohort").iterdir()) == [
        "cohort.json",
        "part-000.safetensors",
    ]


def test_regions_follow_the_labels_onto_the_canvas(tmp_path: Path) -> None:
    head = template_scan() + np.float32(5.0)
    head += np.random.default_rng(0).random(head.shape, dtype=np.float32)
    scan = save(tmp_path / "a_T1.nii.gz", head[::-1].copy(), FLIPPED)
    labels = save(tmp_path / "a_labels.nii.gz", template_labels()[::-1].copy(), FLIPPED)
    regions = prepare_subject(Source("a", scan, labels, None), "train").regions
    assert regions is not None
    assert regions.dtype == np.uint8
    assert regions.shape == CANVAS.shape
    names = {region.code: region.name for region in REGIONS}
    assert names[int(regions[40, 52, 42])] == "lateral ventricle"
    grey = load_template().grey > 0.8
    assert (regions[grey] == 6).mean() > 0.8  # 100 is the anterior cingulate gyrus


FLIPPED = CANVAS.affine @ np.array(
    [[-1.0, 0, 0, CANVAS.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
)


def test_a_scan_without_labels_has_no_regions(a_stripped_subject: Any) -> None:
    assert a_stripped_subject.regions is None


def test_a_folder_without_label_maps_is_refused_before_any_work(tmp_path: Path) -> None:
    save(tmp_path / "a_T1.nii.gz", template_scan())
    (tmp_path / "maps").mkdir()
    with pytest.raises(CohortError, match="no label map"):
        prepare_cohort(tmp_path, tmp_path / "cohort", label_maps=tmp_path / "maps")
    assert not (tmp_path / "cohort").exists()
