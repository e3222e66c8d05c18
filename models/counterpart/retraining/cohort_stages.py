"""The first stages: what the cohort is worth, what is to be done with it, and preparing it."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from counterpart import __version__
from counterpart.brain_extraction import BrainModel, load_brain_model
from counterpart.bundle import Model, bundle_name, load_model
from counterpart.calibration.cross_fitting import LEAST_SUBJECTS
from counterpart.cohort import (
    CROSS_FIT,
    TRAINED_ON,
    PreparedSubject,
    read_cohort,
    write_cohort,
)
from counterpart.cohort_checks.overview import CohortOverview, cohort_overview
from counterpart.cohort_checks.seen_scan import UNKNOWN
from counterpart.errors import CounterpartError
from counterpart.prepare import Source, prepare_for_calibration, prepare_subject
from counterpart.registry.versions import checked_name, entries, resolve
from counterpart.retraining.job import Job
from counterpart.retraining.marks import Decided, Prepared, Refused
from counterpart.retraining.plan import Plan
from counterpart.retraining.split import SMALL_COHORT, deal_parts, refuse_few
from counterpart.scans import companion, scan_name

logger = logging.getLogger(__name__)

LOCAL = ".local."
Preparing = Callable[[Source, str, BrainModel | None], PreparedSubject]
_CONTRAST_ENDING = re.compile(r"[_-](T1|T1c|T1ce|T2|FLAIR)$", re.IGNORECASE)


def decide(job: Job) -> Decided:
    """Check the cohort, and decide what to do with it.

    Raises:
        CohortError: There is nothing that it suffices for.
        ModelError: The model to begin with cannot be read.
    """
    plan = job.plan
    folder = resolve(plan.model, root=plan.registry)
    model = load_model(folder, device=job.device)
    name = bundle_name(folder)
    overview = _looked_at(job, model)
    contrast = chosen_contrast(overview.subjects, plan.mode)
    used, refused = _taken(plan, overview, contrast)
    subjects = {plan.scans[place].subject for place in used}
    mode = plan.mode
    if mode == "auto":
        mode = advised(contrast, len(subjects))
    deal_parts(subjects, train=mode == "train", seed=plan.seed)  # refuses too few
    return Decided(
        mode=mode,
        contrast=contrast,
        model=name,
        folder=str(folder.resolve()),
        begun_with=model.version,
        version=plan.version or next_version(name, model.version, plan.registry),
        used=used,
        refused=refused,
        warnings=overview.warnings,
    )


def chosen_contrast(subjects: Mapping[str, int], mode: str) -> str:
    """The contrast that a run is of: T1 where it is trained on or suffices, else the most frequent.

    Args:
        subjects: How many there are of each contrast, the most first.
        mode: Of the plan.
    """
    if mode == "train" or subjects.get(TRAINED_ON, 0) >= LEAST_SUBJECTS:
        return TRAINED_ON
    known = (name for name in subjects if name != UNKNOWN)
    return next(known, TRAINED_ON)


def advised(contrast: str, subjects: int) -> str:
    """What ``auto`` means for so many subjects of a contrast: only many T1 are trained on."""
    return "train" if contrast == TRAINED_ON and subjects >= SMALL_COHORT else "calibrate"


def next_version(name: str, version: str, registry: Path | None) -> str:
    """``<version>.local.<n>``, with a number that no version in the registry has yet."""
    base = version.split(LOCAL)[0]
    pattern = re.compile(re.escape(base + LOCAL) + r"(\d+)")
    taken = [pattern.fullmatch(one.version) for one in entries(registry) if one.name == name]
    numbers = [int(found.group(1)) for found in taken if found]
    return checked_name(f"{base}{LOCAL}{max(numbers, default=0) + 1}", "version")


def _looked_at(job: Job, model: Model) -> CohortOverview:
    brain_model = load_brain_model(device=job.device)
    return cohort_overview(
        job.plan.scans, brain_model=brain_model, model=model, progress=job.tell.say
    )


def _taken(
    plan: Plan, overview: CohortOverview, contrast: str
) -> tuple[tuple[int, ...], tuple[Refused, ...]]:
    """Places of the scans of a contrast, one for each subject, and what is left out."""
    refused = [Refused(one.scan, one.reason) for one in overview.refused]
    used: list[int] = []
    taken: set[str] = set()
    for one in overview.seen:
        reason = ""
        if one.contrast != contrast:
            reason = f"A scan of contrast {one.contrast}; this run is of {contrast} alone."
        elif one.scan.subject in taken:
            reason = f"Another scan of subject {one.scan.subject} is taken; one each."
        if reason:
            refused.append(Refused(one.label, reason))
            continue
        taken.add(one.scan.subject)
        used.append(plan.scans.index(one.scan))
    return tuple(used), tuple(refused)


def prepare(job: Job) -> Prepared:
    """Bring the cohort's scans into template pose, and deal them into parts.

    Raises:
        CohortError: Too few could be prepared.
    """
    decided = job.decided
    scans = [job.plan.scans[place] for place in decided.used]
    train = decided.mode == "train"
    parts = deal_parts((scan.subject for scan in scans), train=train, seed=job.plan.seed)
    refused: list[Refused] = []
    shutil.rmtree(job.cohort_folder, ignore_errors=True)  # a preparation that did not end
    brain_model = load_brain_model(device=job.device)
    one_of = prepare_subject if decided.contrast == TRAINED_ON else prepare_for_calibration

    def prepared() -> Iterator[PreparedSubject]:
        for number, scan in enumerate(scans):
            words = f"scan {number + 1} of {len(scans)}"
            job.tell.share(number / len(scans), message=f"preparing {words}")
            source = Source(scan.subject, scan.path, None, _mask_beside(scan.path))
            one = _prepared(one_of, source, parts[scan.subject], brain_model, refused)
            if one is not None:
                yield one

    facts: dict[str, object] = {"counterpart": __version__}
    facts["source"] = job.plan.population or "local healthy cohort"
    if decided.contrast != TRAINED_ON:
        facts["contrast"] = decided.contrast
    digest = write_cohort(job.cohort_folder, prepared(), facts)
    found = {one.name: one.part for one in read_cohort(job.cohort_folder).subjects}
    refuse_few(found, train=train)
    return Prepared(digest, found, tuple(refused), CROSS_FIT in found.values())


def _mask_beside(path: Path) -> Path | None:
    return companion(path, _CONTRAST_ENDING.sub("", scan_name(path)), "_brain")


def _prepared(
    one_of: Preparing, source: Source, part: str, brain: BrainModel, refused: list[Refused]
) -> PreparedSubject | None:
    """One subject; None, and the reason among the refused, if its scan cannot be used."""
    try:
        return one_of(source, part, brain)
    except CounterpartError as error:
        logger.warning("left out %s: %s", source.scan.name, error)
        refused.append(Refused(source.scan.name, str(error).removeprefix(f"{source.scan}: ")))
        return None
