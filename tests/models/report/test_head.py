"""A result in canonical axes: where things lie, in millimetres, whatever the scan's own axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.grid import canonical_orientation
from counterpart.report.head import (
    axial_view,
    canonical_head,
    coronal_view,
    crop_box,
    label_findings,
    sagittal_view,
)
from counterpart.results import Result


@pytest.mark.parametrize("turned", [False, True])
def test_right_anterior_marker_appears_at_the_upper_left(
    turned: bool, make_result: Callable[..., Result], an_oblique_affine: NDArray[np.float64]
) -> None:
    usual = make_result([]).scan.grid
    affine = an_oblique_affine if turned else usual.affine @ np.diag([-1.0, -1.0, 1.0, 1.0])
    shape = (usual.shape[1], usual.shape[2], usual.shape[0]) if turned else usual.shape
    if not turned:
        affine[:2, 3] *= -1
    result = make_result([((40.0, 45.0, 10.0), 8.0)], affine, shape)
    head = canonical_head(result)
    i, j, k = np.unravel_index(int(head.scan.argmax()), head.scan.shape)
    axial = axial_view(head.anomaly, int(k))
    row, column = np.unravel_index(int(axial.argmax()), axial.shape)
    assert axial.shape == (head.grid.shape[1], head.grid.shape[0])
    assert row < axial.shape[0] / 3
    assert column < axial.shape[1] / 3
    coronal = coronal_view(head.anomaly, int(j))
    assert np.unravel_index(int(coronal.argmax()), coronal.shape)[1] < coronal.shape[1] / 3
    sagittal = sagittal_view(head.anomaly, int(i))
    row, column = np.unravel_index(int(sagittal.argmax()), sagittal.shape)
    assert column < sagittal.shape[1] / 3
    assert row < sagittal.shape[0] / 2


def test_cropped_grid_still_tells_where_voxels_lie(
    make_result: Callable[..., Result], an_oblique_affine: NDArray[np.float64]
) -> None:
    result = make_result([((40.0, 45.0, 10.0), 8.0)], an_oblique_affine, (36, 28, 30))
    head = canonical_head(result)
    peak = np.array(np.unravel_index(int(head.anomaly.argmax()), head.anomaly.shape), np.float64)
    stored = np.array(
        np.unravel_index(int(result.anomaly.argmax()), result.anomaly.shape), np.float64
    )
    np.testing.assert_allclose(head.grid.world(peak), result.scan.grid.world(stored), atol=1e-9)
    assert head.labels[tuple(peak.astype(int))] == 1
    assert head.slice_count == canonical_orientation(result.scan.grid).canonical.shape[2]
    assert head.grid.shape < canonical_orientation(result.scan.grid).canonical.shape


def test_labels_are_found_again_from_a_mask_of_ones(make_result: Callable[..., Result]) -> None:
    result = make_result(
        [((-30.0, 0.0, 0.0), 8.0), ((30.0, 0.0, 0.0), -6.0), ((0.0, 50.0, 0.0), 4.0)]
    )
    labels = label_findings(result.findings, result.mask > 0, result.anomaly, result.scan.grid)
    assert len(result.findings) == 3
    np.testing.assert_array_equal(labels, result.mask)


def test_crop_keeps_a_margin_in_millimetres_within_the_array() -> None:
    inside = np.zeros((40, 40, 10), np.bool_)
    inside[10:20, 15:35, 4:6] = True
    cut = crop_box(inside, (1.0, 2.0, 8.0), margin_mm=10.0)
    assert cut == (slice(0, 30), slice(10, 40), slice(2, 8))
    assert crop_box(np.zeros((3, 4, 5), np.bool_), (1.0, 1.0, 1.0)) == (
        slice(0, 3),
        slice(0, 4),
        slice(0, 5),
    )


@pytest.mark.parametrize("turned", [False, True])
def test_baseline_flags_as_many_voxels_as_the_mask(
    make_result: Callable[..., Result], an_oblique_affine: NDArray[np.float64], turned: bool
) -> None:
    blobs = [((40.0, 5.0, 10.0), 8.0), ((-30.0, -20.0, 0.0), -6.0)]
    result = make_result(blobs, an_oblique_affine, (36, 28, 30)) if turned else make_result(blobs)
    head = canonical_head(result)
    assert int(head.baseline.sum()) == int((result.mask > 0).sum()) > 0
    assert not head.baseline[~head.brain].any()
    assert head.scan[head.baseline].min() > np.median(head.scan[head.brain])


def test_without_a_finding_the_baseline_flags_nothing(make_result: Callable[..., Result]) -> None:
    assert not canonical_head(make_result([])).baseline.any()


def test_slices_know_their_number_and_height(make_result: Callable[..., Result]) -> None:
    result = make_result([((40.0, 5.0, 9.0), 8.0)])
    head = canonical_head(result)
    k = int(head.centre(result.findings)[2])
    assert head.height_mm(k) == pytest.approx(9.0)
    assert head.slice_number(k) == 16
    assert head.size_mm == tuple(6.0 * n for n in head.grid.shape)
    assert head.depth_mm(head.grid.shape[2] - 1) == pytest.approx(3.0)
    inside = np.flatnonzero(head.brain.any(axis=(0, 1)))
    assert list(head.brain_slices()) == list(range(inside[0], inside[-1] + 1))
