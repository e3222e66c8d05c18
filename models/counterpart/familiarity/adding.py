"""Puts a record of the healthy cohort into a bundle that has none, and leaves all else as it is."""

from __future__ import annotations

from pathlib import Path

from counterpart.bundle import bundle_folder, load_model, write_familiarity, write_manifest
from counterpart.calibration.calibrating import Progress
from counterpart.calibration.record import HEALTHY_SCANS
from counterpart.cohort import read_cohort, source_of
from counterpart.errors import CohortError
from counterpart.familiarity.fitting import cohort_sizes, measured_cohort
from counterpart.familiarity.record import Familiarity


def add_familiarity(
    bundle: Path | str,
    cohort_folder: Path,
    *,
    population: str | None = None,
    simulated_subjects: int = 20,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Familiarity:
    """Measure a cohort's held-out heads and write the record and the manifest of a bundle.

    Neither weights nor settings nor calibrations are touched, so nothing is chosen again.

    Args:
        bundle: Name or folder; a folder that may be written to.
        cohort_folder: The cohort whose held-out heads the model was calibrated on.
        population: Whose heads, in words; without it the words of the model's calibration.
        simulated_subjects: Most rendered subjects per contrast.
        device: torch device.
        progress: Called with words; may raise to cancel.

    Raises:
        ModelError: The bundle cannot be read.
        CohortError: The cohort cannot be read, or has too few held-out heads.
    """
    folder = bundle_folder(bundle)
    model = load_model(folder, device=device)
    cohort = read_cohort(cohort_folder)
    calibrated = [one.population for one in model.calibrations if one.kind == HEALTHY_SCANS]
    heads = measured_cohort(
        model.denoiser, cohort, simulated_subjects=simulated_subjects, progress=progress
    )
    found = heads.familiarity(
        population or (calibrated or [source_of(cohort_folder)])[0],
        model.weights_sha256,
        sizes=cohort_sizes(cohort_folder, model.familiarity),
        known=model.familiarity,
    )
    if found is None:
        raise CohortError(
            f"{cohort_folder}: has too few held-out heads to set limits by. Prepare a cohort with "
            "at least five in the parts 'validate' and 'calibrate'."
        )
    write_familiarity(folder, found)
    write_manifest(folder)
    return found
