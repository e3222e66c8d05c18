"""Duplicates: what is the same, who is kept, and that two people are never one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.brain_extraction import find_brain, load_brain_model
from counterpart.cohort_checks.duplicates import (
    SAME_BRAIN,
    SAME_BYTES,
    SAME_VOXELS,
    find_duplicates,
)
from counterpart.cohort_checks.fingerprint import SAME_HEAD, detail, head_fingerprint, likeness
from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.cohort_checks.seen_scan import SeenScan
from counterpart.grid import canonical_orientation
from counterpart.posed_scan import pose_scan
from counterpart.scans import read_scan
from counterpart.template import CANVAS, load_template

Array = NDArray[np.float32]


def head(seed: int) -> Array:
    """A brain with folds of its own on the anatomy that all share."""
    rng = np.random.default_rng(seed)
    folds = ndimage.gaussian_filter(rng.standard_normal(CANVAS.shape), 1.5)
    shared = (load_template().t1 - 130.0) / 60.0
    return np.asarray(shared + 1.0 * folds / folds.std(), np.float32)


def print_of(values: Array) -> Array:
    return detail(values, load_template().brain)


def seen(subject: str, **known: object) -> SeenScan:
    scan = MarkedScan(subject, Path(f"{subject}_T1.nii.gz"))
    return SeenScan(scan, f"{subject}_T1", "T1", (1.0, 1.0, 1.0), **known)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def one() -> Array:
    return head(1)


def test_gain_offset_field_noise_and_a_voxel_s_fraction_leave_a_head_the_same(one: Array) -> None:
    rng = np.random.default_rng(5)
    field = 1.0 + 0.15 * np.linspace(-1.0, 1.0, CANVAS.shape[0])[:, None, None]
    changed = {
        "gain": 0.8 * one + 0.3,
        "field": one * field,
        "noise": one + 0.3 * rng.standard_normal(one.shape),
        "moved": ndimage.shift(one, (0.4, -0.3, 0.3), order=1, mode="nearest"),
    }
    own = print_of(one)
    assert likeness(own, own) == pytest.approx(1.0, abs=1e-5)
    for what, values in changed.items():
        assert likeness(own, print_of(values.astype(np.float32))) > SAME_HEAD + 0.05, what


def test_other_folds_are_another_head_in_spite_of_what_brains_share(one: Array) -> None:
    for seed in (2, 3, 4):
        assert likeness(print_of(one), print_of(head(seed))) < SAME_HEAD - 0.1


def test_a_bright_lesion_does_not_make_two_heads_one(one: Array) -> None:
    other = head(2)
    for values in (one := one.copy(), other):
        values[30:45, 40:60, 40:50] = 30.0
    assert likeness(print_of(one), print_of(other)) < SAME_HEAD


def test_the_surest_reason_is_given_and_the_first_is_kept(one: Array) -> None:
    mark = print_of(one)
    scans = [
        seen("a", content="x", voxels="v", fingerprint=mark),
        seen("b", content="x", voxels="v", fingerprint=mark),
        seen("c", content="y", voxels="v", fingerprint=mark),
        seen("d", content="z", voxels="w", fingerprint=mark),
        seen("e", content="u", voxels="t", fingerprint=print_of(head(2))),
    ]
    found = [(d.first.scan.subject, d.second.scan.subject, d.what) for d in find_duplicates(scans)]
    assert found == [
        ("a", "b", SAME_BYTES),
        ("a", "c", SAME_VOXELS),
        ("a", "d", SAME_BRAIN),
    ]


def test_a_subject_scanned_twice_is_no_duplicate_but_the_same_file_is(one: Array) -> None:
    mark = print_of(one)
    twice = [seen("a", voxels="v", fingerprint=mark), seen("a", voxels="w", fingerprint=mark)]
    assert find_duplicates(twice) == []
    (same,) = find_duplicates([seen("a", content="x"), seen("a", content="x")])
    assert not same.two_names


def test_headers_alone_compare_nothing_that_is_not_known() -> None:
    assert find_duplicates([seen("a"), seen("b")]) == []


@pytest.fixture(scope="module")
def real_prints(the_real_data: Path) -> dict[str, Array]:
    return dict(_real_prints(the_real_data / "healthy_t1"))


def _real_prints(folder: Path) -> Iterator[tuple[str, Array]]:
    model = load_brain_model()
    rng = np.random.default_rng(0)
    for path in sorted(folder.glob("*_T1.nii.gz"))[:4]:
        scan = read_scan(path)
        turn = canonical_orientation(scan.grid)
        values = turn.forward(scan.values)
        versions = {path.name: values}
        if len(path.name) and path.name.startswith("IXI012"):
            noise = rng.normal(0.0, 0.1 * float(values.std()), values.shape)
            versions["again"] = (1.5 * values + noise).astype(np.float32)
        for name, shown in versions.items():
            brain = find_brain(shown, turn.canonical, model=model).mask
            found = head_fingerprint(pose_scan(turn, shown, brain))
            assert found is not None
            yield name, found


@pytest.mark.real_data
@pytest.mark.slow
def test_real_heads_are_told_apart_and_one_saved_anew_is_found(
    real_prints: dict[str, Array],
) -> None:
    names = [name for name in real_prints if name != "again"]
    assert len(names) == 4
    for place, name in enumerate(names):
        for other in names[:place]:
            assert likeness(real_prints[name], real_prints[other]) < SAME_HEAD - 0.1
    assert likeness(real_prints[names[0]], real_prints["again"]) > SAME_HEAD + 0.1
