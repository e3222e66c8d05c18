"""Prepares a folder of healthy scans once, so that training starts from posed, clean arrays.

Training takes T1. Scans of another contrast become a cohort for calibration alone: posed and
scaled, without tissue fractions. A folder holds ``NAME_T1.nii.gz`` (or any NIfTI), possibly with
``NAME_labels.nii.gz`` (DLMUSE label numbers) or ``NAME_brain.nii.gz`` (brain mask) beside it;
without them the brain network finds the brain, unless the scan is skull-stripped. A file
``split.csv`` (columns ``subject,part``) says who trains; without it subjects are dealt out by a
hash of their name, 60 / 15 / 25 %. For calibration alone one half validates and the other
calibrates; fewer than 20 subjects are cross-fitted by fold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart import __version__
from counterpart.brain import checked_brain, largest_component
from counterpart.brain_extraction import BrainModel, find_brain
from counterpart.cohort import TRAINED_ON, PreparedSubject, Subject, write_cohort
from counterpart.cohort_split import read_split as read_split
from counterpart.contrast import contrast_from_name
from counterpart.errors import CohortError, CounterpartError
from counterpart.grid import Orientation, canonical_orientation
from counterpart.heads import HeadEntry, PreparedHead, write_heads
from counterpart.pose import THICK_SLICE_MM, Frame
from counterpart.posed_scan import pose_scan
from counterpart.prepare_heads import head_of_scan, heads_of_label_maps
from counterpart.regions import ATLAS_FILE, RegionVotes, region_codes, write_atlas
from counterpart.scans import Scan, companion, is_nifti, read_mask, read_scan, scan_name
from counterpart.template import load_template
from counterpart.tissue import Anatomy, label_classes, template_anatomy, tissue_fractions

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
COMPANIONS = ("_labels", "_brain", "_mask", "_lesion")


@dataclass(frozen=True)
class Source:
    """One healthy scan with what lies beside it."""

    name: str
    scan: Path
    labels: Path | None
    brain: Path | None


@dataclass(frozen=True)
class Refusal:
    """A scan that was left out, and why."""

    name: str
    reason: str


def find_sources(folder: Path, contrast: str = TRAINED_ON) -> list[Source]:
    """The healthy scans of one contrast in a folder, sorted by name.

    A name that says no contrast is taken for T1.

    Raises:
        CohortError: The folder does not exist, holds no such scan, or two of one subject.
    """
    if not folder.is_dir():
        raise CohortError(f"{folder}: no such folder. Give the folder with the healthy scans.")
    scans = [path for path in sorted(folder.iterdir()) if is_nifti(path)]
    scans = [path for path in scans if not scan_name(path).endswith(COMPANIONS)]
    scans = [path for path in scans if _named_contrast(path) == contrast]
    if not scans:
        raise CohortError(
            f"{folder}: no NIfTI scan with {contrast} contrast (NAME_{contrast}.nii.gz) in it."
        )
    sources = []
    for path in scans:
        name = scan_subject(path)
        sources.append(
            Source(name, path, companion(path, name, "_labels"), companion(path, name, "_brain"))
        )
    names = [source.name for source in sources]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise CohortError(
            f"{folder}: more than one {contrast} scan of subject {twice[0]!r}; keep one."
        )
    return sources


def scan_subject(path: Path) -> str:
    """Whose scan it is by its name: what stands before the contrast (``NAME_FLAIR``)."""
    stem = scan_name(path)
    return stem.removesuffix(f"_{_named_contrast(path)}")


def _named_contrast(path: Path) -> str:
    """What a scan's name says of its contrast; T1 where it says nothing."""
    found = contrast_from_name(scan_name(path))
    return TRAINED_ON if found is None else found.name


def prepare_cohort(
    folder: Path,
    out: Path,
    *,
    contrast: str = TRAINED_ON,
    label_maps: Path | None = None,
    brain_model: BrainModel | None = None,
    progress: Progress | None = None,
) -> tuple[str, int, list[Refusal]]:
    """Prepare every scan of a folder: posed brains, regions, and heads for the brain network.

    Args:
        folder: Healthy scans.
        out: The cohort's folder; must not hold a cohort yet.
        contrast: Which scans of the folder; another than T1 makes a cohort for calibration alone.
        label_maps: Folder of label maps of whole heads (SynthSeg numbers), for training.
        brain_model: For whole heads without a brain mask.
        progress: Called with (done, total, name).

    Returns:
        Content hash, number of subjects prepared, and what was refused.

    Raises:
        CohortError: Nothing could be prepared, or ``out`` holds a cohort.
    """
    if (out / "cohort.json").exists():
        raise CohortError(f"{out}: holds a cohort already. Choose another folder or remove it.")
    maps = heads_of_label_maps(label_maps) if label_maps else ()
    sources = find_sources(folder, contrast)
    split = read_split(folder, [source.name for source in sources], contrast)
    trains = contrast == TRAINED_ON
    one_of = prepare_subject if trains else prepare_for_calibration
    refusals: list[Refusal] = []
    votes = RegionVotes()
    count = 0

    def prepared() -> Iterator[PreparedSubject]:
        nonlocal count
        for number, source in enumerate(sources):
            if progress:
                progress(number, len(sources), source.name)
            try:
                item = one_of(source, split[source.name], brain_model)
            except CounterpartError as error:
                logger.warning("left out %s: %s", source.name, error)
                refusals.append(Refusal(source.name, str(error)))
                continue
            count += 1
            if item.regions is not None and item.subject.part == "train":
                votes.add(item.regions)
            yield item

    facts: dict[str, object] = {"counterpart": __version__, "source": folder.name}
    facts |= {} if trains else {"contrast": contrast}
    digest = write_cohort(out, prepared(), facts)
    if (atlas := votes.atlas()) is not None:
        write_atlas(out / ATLAS_FILE, atlas)
    if not trains:
        return digest, count, refusals
    refused = {refusal.name for refusal in refusals}
    heads = prepared_heads([s for s in sources if s.name not in refused], split)
    write_heads(out, chain(heads, maps))
    return digest, count, refusals


def prepared_heads(sources: list[Source], split: dict[str, str]) -> Iterator[PreparedHead]:
    """The whole heads among the sources; what is kept for calibration is left alone."""
    for source in sources:
        if split[source.name] == "calibrate" or not (source.labels or source.brain):
            continue
        scan = read_scan(source.scan)
        turn = canonical_orientation(scan.grid)
        labels = _read_labels(source, scan, turn)
        brain = _brain_of(source, scan, turn, labels)
        entry = HeadEntry(source.name, split[source.name], has_image=True)
        head = head_of_scan(entry, turn.forward(scan.values), brain, labels, turn.canonical)
        if head is not None:
            yield head


def prepare_subject(
    source: Source, part: str, brain_model: BrainModel | None = None
) -> PreparedSubject:
    """Bring one healthy T1 into template pose and split it into tissues.

    Args:
        source: The scan.
        part: Of the split. What is held out stands for new patients: its brain is found by the
            network, as theirs will be, even where there are labels.
        brain_model: For a whole head without a brain mask.

    Raises:
        CounterpartError: The scan cannot be used.
    """
    scan, turn = _read_thin(source)
    labels = _read_labels(source, scan, turn)
    as_new = part != "train" and brain_model is not None and source.brain is None
    brain = _brain_of(source, scan, turn, None if as_new else labels, brain_model)
    posed = pose_scan(turn, turn.forward(scan.values), brain)
    anatomy = _posed_anatomy(labels, posed.frame, turn)
    tissue = tissue_fractions(posed.scaled, posed.inside, anatomy)
    arrays, low, step = _quantised(posed.scaled, posed.inside, tissue, anatomy)
    subject = Subject(source.name, part, low, step, round(posed.pose.overlap, 4))
    return PreparedSubject(subject, arrays, _posed_regions(labels, posed.frame, turn))


def prepare_for_calibration(
    source: Source, part: str, brain_model: BrainModel | None = None
) -> PreparedSubject:
    """Bring one healthy scan of any contrast into template pose, for calibration alone.

    Args:
        source: The scan; the brain is found as in a new patient's, unless a mask lies beside it.
        part: Of the split.
        brain_model: For a whole head without a brain mask.

    Raises:
        CounterpartError: The scan cannot be used.
    """
    scan, turn = _read_thin(source)
    brain = _brain_of(source, scan, turn, None, brain_model)
    posed = pose_scan(turn, turn.forward(scan.values), brain)
    low, step = _levels(posed.scaled, posed.inside)
    nothing = np.zeros(posed.scaled.shape, np.uint8)
    arrays = _as_bytes(
        {
            "scan": np.clip(np.rint((posed.scaled - low) / step), 0, 255) * posed.inside,
            "brain": posed.inside,
            "tissue": np.stack([nothing] * 4),
            "inward": nothing,
        }
    )
    return PreparedSubject(
        Subject(source.name, part, low, step, round(posed.pose.overlap, 4)), arrays
    )


def _read_thin(source: Source) -> tuple[Scan, Orientation]:
    """A scan with its turn to canonical axes, if its slices are thin enough for the canvas."""
    scan = read_scan(source.scan)
    turn = canonical_orientation(scan.grid)
    spacing_mm = turn.canonical.spacing[2]
    if spacing_mm > THICK_SLICE_MM:
        raise CohortError(
            f"{source.scan}: slices of {spacing_mm:.1f} mm; the cohort needs 3 mm or thinner."
        )
    return scan, turn


def _read_labels(source: Source, scan: Scan, turn: Orientation) -> NDArray[np.int_] | None:
    if source.labels is None:
        return None
    labels = read_scan(source.labels)
    same_place = np.allclose(labels.grid.affine, scan.grid.affine, atol=1e-3)
    if labels.grid.shape != scan.grid.shape or not same_place:
        raise CohortError(
            f"{source.labels}: the labels must lie on the scan's grid {scan.grid.shape}, but have "
            f"shape {labels.grid.shape}{' and another affine' if not same_place else ''}."
        )
    return turn.forward(np.rint(labels.values).astype(np.int_))


def _brain_of(
    source: Source,
    scan: Scan,
    turn: Orientation,
    labels: NDArray[np.int_] | None,
    brain_model: BrainModel | None = None,
) -> NDArray[np.bool_]:
    grid = turn.canonical
    if source.brain is not None:
        return checked_brain(turn.forward(read_mask(source.brain, scan.grid)), grid)
    if labels is not None:
        closed = ndimage.binary_closing(np.pad(labels > 0, 4), iterations=2)[4:-4, 4:-4, 4:-4]
        return checked_brain(largest_component(closed), grid)
    return find_brain(turn.forward(scan.values), grid, model=brain_model).mask


def _posed_anatomy(labels: NDArray[np.int_] | None, frame: Frame, turn: Orientation) -> Anatomy:
    if labels is None:
        return template_anatomy(load_template())
    posed = {
        name: frame.gather(mask, turn.canonical, order=1)
        for name, mask in label_classes(labels).items()
    }
    return Anatomy(**posed)


def _posed_regions(
    labels: NDArray[np.int_] | None, frame: Frame, turn: Orientation
) -> NDArray[np.uint8] | None:
    if labels is None:
        return None
    codes = region_codes(labels).astype(np.float32)
    return frame.gather(codes, turn.canonical, order=0).astype(np.uint8)


def _quantised(
    scaled: NDArray[np.float32],
    brain: NDArray[np.bool_],
    tissue: NDArray[np.float32],
    anatomy: Anatomy,
) -> tuple[dict[str, NDArray[np.uint8]], float, float]:
    low, step = _levels(scaled, brain)
    inward = 2.0 * ndimage.distance_transform_edt(anatomy.ventricles < 0.5)
    volumes = {
        "scan": np.clip(np.rint((scaled - low) / step), 0, 255) * brain,
        "brain": brain,
        "tissue": np.rint(255.0 * tissue),
        "inward": np.clip(np.rint(inward), 0, 255),
    }
    return _as_bytes(volumes), low, step


def _levels(scaled: NDArray[np.float32], brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Spreads of the stored value 0, and per stored grey level."""
    low, high = (float(value) for value in np.percentile(scaled[brain], [0.0, 99.99]))
    return low, (high - low) / 255.0


def _as_bytes(volumes: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.uint8]]:
    """Volumes (…, I, J, K) as bytes with the slices first (…, K, I, J)."""
    return {
        name: np.ascontiguousarray(np.moveaxis(array, -1, -3).astype(np.uint8))
        for name, array in volumes.items()
    }
