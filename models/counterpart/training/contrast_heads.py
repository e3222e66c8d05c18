"""Yields the heads that are compared: rendered ones, the cohort's real T1, and scans given."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.brain_extraction import BrainModel, find_brain
from counterpart.cohort import Cohort
from counterpart.contrast import contrast_from_name, contrast_from_tissue, tell_contrast
from counterpart.errors import CounterpartError, ScanError
from counterpart.grid import Orientation, box_around, canonical_orientation, resample
from counterpart.intensity import fit_normalisation
from counterpart.pose import Frame
from counterpart.posed_scan import PosedScan, pose_scan
from counterpart.scans import SCAN_SUFFIXES, Scan, companion, read_mask, read_scan, scan_name
from counterpart.seeding import derived_seed
from counterpart.template import CANVAS, SPACING_MM, load_template
from counterpart.tissue import DEEP, FLUID, WHITE, template_anatomy
from counterpart.training.contrast_figures import COHORT, GIVEN, RENDERED, Places
from counterpart.training.contrast_statistics import Mask, Numbers, Volume
from counterpart.training.examples import ExampleConfig, ExampleMaker

logger = logging.getLogger(__name__)

CONTRASTS = ("T1", "T2", "FLAIR")
RENDERINGS_PER_SUBJECT = 4
LESION_MARGIN_MM = 6.0
_COMPANIONS = ("_labels", "_brain", "_mask", "_lesion")
_SURE = 0.9


@dataclass(frozen=True, eq=False)
class ShownHead:
    """One head in one contrast, as the denoiser would be shown it.

    Args:
        name: Of the scan or subject.
        contrast: One of `CONTRASTS`.
        source: `RENDERED`, `COHORT` or `GIVEN`.
        values: (K, I, J) spreads, 0 outside the brain.
        inside: (K, I, J) brain without known lesions.
        places: Where tissues lie by the template.
        own: Where they lie by the head's own tissue fractions, if those are known.
        levels_mm: (K,) template z of the slices' middles.
        thick: Whether the slices are acquired ones of more than 3 mm.
        masked: Whether a lesion mask was left out.
    """

    name: str
    contrast: str
    source: str
    values: Volume
    inside: Mask
    places: Places
    own: Places | None
    levels_mm: Numbers
    thick: bool = False
    masked: bool = False


class TemplatePlaces:
    """Where tissues lie in template space: by the template, deep grey matter by a cohort."""

    def __init__(self, cohort: Cohort) -> None:
        total = cohort.tissue[:, DEEP].sum(dim=0, dtype=torch.int64).numpy()
        self.deep = np.moveaxis(total / (255.0 * len(cohort.subjects)), 0, -1).astype(np.float32)

    @cached_property
    def canvas(self) -> Places:
        """On the canvas."""
        return self.at(CANVAS.affine, CANVAS.shape)

    def at(self, template_from_frame: Numbers, shape: tuple[int, int, int]) -> Places:
        """In a frame (I, J, K) whose voxels lie at the given template positions; slices first."""
        template = load_template()
        ventricles = template_anatomy(template).ventricles
        inward = SPACING_MM * ndimage.distance_transform_edt(ventricles < 0.5)
        index_map = np.linalg.inv(CANVAS.affine) @ template_from_frame

        def seen(volume: Volume, fill: float = 0.0) -> Volume:
            moved = resample(volume, index_map, shape, fill=fill)
            return np.ascontiguousarray(np.moveaxis(moved, -1, 0))

        grey, white, deep = seen(template.grey), seen(template.white), seen(self.deep)
        tissues = np.stack(
            (
                seen(ventricles) > 0.8,
                (grey > 0.8) & (deep < 0.05),
                white > _SURE,
                deep > 0.8,
            )
        )
        steps = np.sqrt((template_from_frame[:3, :3] ** 2).sum(axis=0))
        spacing = (float(steps[2]), float(steps[0]), float(steps[1]))
        near = seen(inward.astype(np.float32), fill=255.0)
        return Places(tissues, (white > 0.5) & (deep < 0.05), near, spacing)


def rendered_heads(
    cohort: Cohort, contrast: str, subjects: int, places: TemplatePlaces, *, seed: int
) -> Iterator[ShownHead]:
    """Healthy heads of a cohort part, rendered at random several times each.

    Args:
        cohort: The part.
        contrast: One of `CONTRASTS`.
        subjects: How many of its subjects, at most all.
        places: Where tissues lie by the template.
        seed: Of the renderings.
    """
    maker = ExampleMaker(cohort, ExampleConfig(), device=torch.device("cpu"))
    number = CONTRASTS.index(contrast)
    for turn in range(RENDERINGS_PER_SUBJECT):
        for row in range(min(subjects, maker.subjects)):
            own_seed = derived_seed(seed, number, turn)
            head = maker.head(own_seed, row, contrast, families=None)
            yield ShownHead(
                name=f"{cohort.subjects[row].name}, rendering {turn + 1}",
                contrast=contrast,
                source=RENDERED,
                values=head.shown[:, 0].numpy(),
                inside=(head.brain[:, 0] > 0.5).numpy(),
                places=places.canvas,
                own=_own_places(cohort, row),
                levels_mm=_canvas_levels(),
            )


def cohort_heads(cohort: Cohort, subjects: int, places: TemplatePlaces) -> Iterator[ShownHead]:
    """The real T1 of a cohort part's subjects, as acquired and prepared."""
    for row, subject in enumerate(cohort.subjects[:subjects]):
        inside = cohort.brain[row].numpy() > 0
        values = subject.low + subject.step * cohort.scan[row].numpy().astype(np.float32)
        yield ShownHead(
            name=subject.name,
            contrast="T1",
            source=COHORT,
            values=np.where(inside, values, 0.0).astype(np.float32),
            inside=inside,
            places=places.canvas,
            own=_own_places(cohort, row),
            levels_mm=_canvas_levels(),
        )


def find_scans(folder: Path) -> list[Path]:
    """Scans of a folder whose file name says that they are T1, T2 or FLAIR.

    Raises:
        ScanError: There is no such folder, or no such scan in it.
    """
    if not folder.is_dir():
        raise ScanError(f"{folder}: no such folder.")
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(SCAN_SUFFIXES)
        and not scan_name(path).endswith(_COMPANIONS)
        and _named_contrast(path) in CONTRASTS
    ]
    if not found:
        raise ScanError(
            f"{folder}: expected scans that tell their contrast in the file name "
            "(NAME_T1.nii.gz, NAME_T2.nii.gz, NAME_FLAIR.nii.gz), found none."
        )
    return found


def given_heads(
    scans: Sequence[Path], brain_model: BrainModel, places: TemplatePlaces
) -> Iterator[ShownHead]:
    """Real scans through the library's front half; what cannot be used is logged and left out."""
    for path in scans:
        try:
            yield given_head(path, brain_model, places)
        except CounterpartError as error:
            logger.warning("left out %s: %s", path.name, error)


def given_head(path: Path, brain_model: BrainModel, places: TemplatePlaces) -> ShownHead:
    """Read a scan, find its brain, bring it into template pose and normalise what is healthy.

    Args:
        path: The scan; ``NAME_brain``, ``NAME_mask`` and ``NAME_lesion`` beside it are heeded.
        brain_model: The brain network.
        places: Where tissues lie by the template.

    Raises:
        CounterpartError: The scan cannot be used.
    """
    scan = read_scan(path)
    turn = canonical_orientation(scan.grid)
    values = turn.forward(scan.values)
    given = _beside(path, scan, turn, ("_brain",))
    found = find_brain(values, turn.canonical, given=given, model=brain_model)
    posed = pose_scan(turn, values, found.mask)
    tissue = contrast_from_tissue(posed.scaled, posed.inside, posed.frame)
    contrast, doubts = tell_contrast(None, scan.tags, scan.name, tissue)
    for doubt in doubts:
        logger.warning("%s: %s", scan.name, doubt)
    if contrast.name not in CONTRASTS:
        raise ScanError(f"expected one of {', '.join(CONTRASTS)}, got {contrast.name}.")
    lesion = _beside(path, scan, turn, ("_mask", "_lesion"))
    head = ShownHead(
        name=scan.name,
        contrast=contrast.name,
        source=GIVEN,
        values=_slices_first(posed.scaled),
        inside=_slices_first(posed.inside),
        places=places.at(posed.frame.template_from_frame, posed.frame.shape),
        own=None,
        levels_mm=_levels(posed.frame),
        thick=posed.frame.thick,
    )
    return head if lesion is None else _without_lesion(head, posed, values, lesion)


def _without_lesion(head: ShownHead, posed: PosedScan, values: Volume, lesion: Mask) -> ShownHead:
    """The head without its lesion and a margin around it, which have no say in its scale either."""
    grid = posed.turn.canonical
    margin = [int(np.ceil(LESION_MARGIN_MM / step)) + 1 for step in grid.spacing]
    box = box_around(lesion, margin)
    far = ndimage.distance_transform_edt(~lesion[box], sampling=grid.spacing)
    wide = np.zeros_like(lesion)
    wide[box] = far <= LESION_MARGIN_MM
    healthy = fit_normalisation(values[posed.brain & ~wide])
    left_out = _slices_first(posed.frame.gather(wide.astype(np.float32), grid, order=1)) > 0.01
    inside = head.inside & ~left_out
    scaled = healthy.apply(posed.normalisation.invert(head.values))
    return replace(
        head, values=np.where(head.inside, scaled, np.float32(0.0)), inside=inside, masked=True
    )


def _beside(path: Path, scan: Scan, turn: Orientation, kinds: Sequence[str]) -> Mask | None:
    """The first mask of the given kinds beside a scan, on its canonical grid."""
    stem = scan.name.rsplit("_", 1)[0]
    for kind in kinds:
        file = companion(path, stem, kind)
        if file is not None:
            mask: Mask = turn.forward(read_mask(file, scan.grid))
            return mask
    return None


def _named_contrast(path: Path) -> str | None:
    named = contrast_from_name(scan_name(path))
    return named.name if named else None


def _own_places(cohort: Cohort, row: int) -> Places:
    sure = cohort.tissue[row].numpy() > 255.0 * _SURE
    white = cohort.tissue[row, WHITE].numpy() > 127
    return Places(
        tissues=sure,
        white=white & ~sure[FLUID],
        distance_mm=cohort.inward[row].numpy().astype(np.float32),
        spacing_mm=(SPACING_MM,) * 3,
    )


def _slices_first(volume: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(volume, -1, 0))


def _levels(frame: Frame) -> Numbers:
    middle = np.array([(frame.shape[0] - 1) / 2.0, (frame.shape[1] - 1) / 2.0, 0.0, 1.0])
    start, step = frame.template_from_frame @ middle, frame.template_from_frame[:, 2]
    levels: Numbers = start[2] + step[2] * np.arange(frame.shape[2])
    return levels


def _canvas_levels() -> Numbers:
    levels: Numbers = CANVAS.affine[2, 3] + SPACING_MM * np.arange(CANVAS.shape[2])
    return levels
