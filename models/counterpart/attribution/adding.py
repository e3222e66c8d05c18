"""Puts the healthy references into a bundle, and leaves all else but its card alone."""

from __future__ import annotations

import logging
from pathlib import Path

from counterpart.attribution.building import Progress, Working, reference_record
from counterpart.attribution.card import references_section
from counterpart.attribution.memorised import SUBJECTS, Memorisation, measure_memorisation
from counterpart.attribution.record import ReferenceRecord
from counterpart.bundle import (
    CARD,
    Model,
    bundle_folder,
    load_model,
    write_manifest,
    write_references,
)
from counterpart.cohort import Cohort, read_cohort
from counterpart.errors import CohortError
from counterpart.model_card import with_section

logger = logging.getLogger(__name__)


def add_references(
    bundle: Path | str,
    cohort_folder: Path,
    *,
    subjects: int = SUBJECTS,
    device: str = "cpu",
    progress: Progress | None = None,
) -> ReferenceRecord | None:
    """Index the scans that a model was trained on, and say so in its card.

    Args:
        bundle: Name or folder; a folder that may be written to.
        cohort_folder: The cohort that it was trained on.
        subjects: Most held-out subjects of each contrast that the p-value compares with, and most
            of each kind by whom memorisation is looked for.
        device: torch device.
        progress: Called with words; may raise to cancel.

    Returns:
        None, and the bundle is left as it is, for a model without an encoder and for a cohort with
        fewer than two subjects in the part *train*.

    Raises:
        ModelError: The bundle cannot be read.
        CohortError: The cohort cannot be read, or its key cannot be written.
    """
    folder = bundle_folder(bundle)
    model = load_model(folder, device=device)
    cohort = read_cohort(cohort_folder)
    working = Working(model.denoiser, model.settings, model.calibrations, model.weights_sha256)
    found = reference_record(working, cohort, cohort_folder, subjects=subjects, progress=progress)
    if found is None:
        return None
    write_references(folder, found)
    section = references_section(found, _kept(model, cohort, subjects, progress))
    (folder / CARD).write_text(with_section((folder / CARD).read_text(), section))
    write_manifest(folder)
    return found


def _kept(
    model: Model, cohort: Cohort, subjects: int, progress: Progress | None
) -> Memorisation | None:
    """What the model has kept of its subjects; None where there are too few to tell."""
    try:
        return measure_memorisation(model.denoiser, cohort, subjects=subjects, progress=progress)
    except CohortError as error:
        logger.info("memorisation is not looked for: %s", error)
        return None
