"""Which images are marked as healthy: a word in the datastore's info of each."""

from __future__ import annotations

from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.contrast import contrast_from_name
from lib.datastore.studies import Studies
from lib.problems import Problem

KEY, SUBJECT_KEY, HEALTHY = "cohort", "subject", "healthy"


def marked_scans(studies: Studies) -> list[MarkedScan]:
    """The scans that an administrator has marked, by name; those whose file is gone are left out.

    The subject is what the image's info says under ``subject``, else its name without the contrast.
    """
    found = []
    for image in studies.images():
        info = studies.datastore.get_image_info(image)
        if str(info.get(KEY, "")).lower() != HEALTHY:
            continue
        try:
            path = studies.path(image)
        except Problem:
            continue
        told = contrast_from_name(image)
        contrast = told.name if told is not None else None
        subject = str(info.get(SUBJECT_KEY) or _subject(image, contrast))
        found.append(MarkedScan(subject, path, contrast))
    return found


def _subject(image: str, contrast: str | None) -> str:
    return image.removesuffix(f"_{contrast}") if contrast else image
