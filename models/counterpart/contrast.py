"""Tells which MR sequence a scan is: from the user, DICOM tags, its file name, or tissue means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ScanError
from counterpart.grid import resample
from counterpart.pose import Frame
from counterpart.template import CANVAS, load_template

CONTRASTS = ("T1", "T1c", "T2", "FLAIR", "unknown")
_AGENT = r"(gd|gad[a-z]*|km|ce|contrast|kontrast[a-z]*|c\+|\+c)"
_T1 = r"t1w?(?![a-z0-9])|mp2?-?rage|f?spgr(?![a-z0-9])|bravo(?![a-z0-9])"
_NAMES = (
    ("T1", r"t1w?[-_ ]*flair"),  # T1-weighted, in spite of its name
    ("FLAIR", r"flair|dark[-_ ]?fluid|da-fl(?![a-z0-9])"),
    ("T1c", r"t1w?(c|[-_ ]?(ce|gd|post|km|\+[-_ ]?c))(?![a-z0-9])"),
    ("T1", _T1),
    ("T2", r"t2w?(?![a-z0-9*]|[-_ ]?(\*|star))"),
)
_WITH_AGENT = rf"(?<![a-z0-9]){_AGENT}(?![a-z0-9])|(?<![a-z0-9])post[-_ ]?{_AGENT}"
_WITHOUT_AGENT = (
    r"(?<![a-z0-9])(pre|non|no|without|w/o|ohne|nativ)[-_ ]*" + _AGENT + r"?(?![a-z0-9])"
)
_POST = r"t1.*(?<![a-z0-9])post(?![a-z0-9]|[-_ ]?op)"
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "SequenceName")
_NO_AGENT = ("", "none", "no", "n", "0", "without", "nativ")
FLAIR_INVERSION_MS = 1500.0
LONG_ECHO_MS, SHORT_ECHO_MS = 70.0, 30.0
LONG_REPETITION_MS, SHORT_REPETITION_MS = 2000.0, 1000.0
MPRAGE_INVERSION_MS = (400.0, 1300.0)
GRADIENT_T1_ECHO_MS = 12.0


@dataclass(frozen=True)
class Contrast:
    """The sequence and how it is known.

    Args:
        name: One of `CONTRASTS`.
        source: ``user``, ``DICOM tags``, ``file name`` or ``tissue means``.
    """

    name: str
    source: str


def tell_contrast(
    chosen: str | None, tags: Mapping[str, str], name: str, tissue: Contrast
) -> tuple[Contrast, tuple[str, ...]]:
    """The sequence from the best source there is, and a warning where the tissue contradicts.

    Args:
        chosen: What the user says, if anything; one of `CONTRASTS` in any case.
        tags: `counterpart.scans.Scan.tags`.
        name: The scan's name.
        tissue: From `contrast_from_tissue`; the last resort, and the check of the others.

    Returns:
        The sequence and its source, and full sentences for the reader.

    Raises:
        ScanError: The user's word is no sequence.
    """
    known = contrast_from_user(chosen) if chosen is not None else None
    used = known or contrast_from_tags(tags) or contrast_from_name(name) or tissue
    weightings = (_weighting(used.name), _weighting(tissue.name))
    if "unknown" in weightings or weightings[0] == weightings[1]:
        return used, ()
    return used, (
        f"The scan is taken for {used.name} ({used.source}), but its tissue means look like "
        f"{tissue.name}; check the sequence, since the threshold depends on it.",
    )


def contrast_from_user(chosen: str) -> Contrast:
    """The sequence that the user names.

    Raises:
        ScanError: The word is no sequence.
    """
    for contrast in CONTRASTS:
        if chosen.strip().lower() == contrast.lower():
            return Contrast(contrast, "user")
    raise ScanError(
        f"contrast: expected one of {', '.join(CONTRASTS)}, got {chosen!r}. Give one of these."
    )


def contrast_from_tags(tags: Mapping[str, str]) -> Contrast | None:
    """The sequence that DICOM tags tell: by the words of its description, else by its times.

    An inversion time above 1500 ms with a long echo is FLAIR, a long echo and repetition T2, a
    short echo with a short repetition, or with the inversion of an MPRAGE, T1. A T1 with a contrast
    agent in its tags is T1c.

    Args:
        tags: `counterpart.scans.Scan.tags`; times in ms.
    """
    words = (_by_words(tags.get(name, "")) for name in _DESCRIPTIONS)
    found = next(filter(None, words), None) or _by_times(tags)
    if found is None:
        return None
    given = tags.get("ContrastBolusAgent", "").strip().lower() not in _NO_AGENT
    return Contrast("T1c" if found == "T1" and given else found, "DICOM tags")


def contrast_from_name(name: str) -> Contrast | None:
    """The sequence that a file's name tells, if it does."""
    found = _by_words(name)
    return Contrast(found, "file name") if found else None


def _by_words(text: str) -> str | None:
    low = text.lower()
    for contrast, pattern in _NAMES:
        if re.search(rf"(?<![a-z0-9])({pattern})", low):
            return "T1c" if contrast == "T1" and _says_agent(low) else contrast
    return None


def _says_agent(low: str) -> bool:
    if re.search(_WITHOUT_AGENT, low):
        return False
    return bool(re.search(_WITH_AGENT, low) or re.search(_POST, low))


def _by_times(tags: Mapping[str, str]) -> str | None:
    echo, repetition = _milliseconds(tags, "EchoTime"), _milliseconds(tags, "RepetitionTime")
    inversion = _milliseconds(tags, "InversionTime") or 0.0
    if echo is None:
        return None
    if inversion >= FLAIR_INVERSION_MS:
        return "FLAIR" if echo >= LONG_ECHO_MS else None
    gradient = "GR" in tags.get("ScanningSequence", "").upper().split("\\")
    if gradient and echo > GRADIENT_T1_ECHO_MS:
        return None  # susceptibility weighting, whatever its times
    if echo >= LONG_ECHO_MS and repetition is not None and repetition >= LONG_REPETITION_MS:
        return "T2"
    low, high = MPRAGE_INVERSION_MS
    short = repetition is not None and repetition <= SHORT_REPETITION_MS
    return "T1" if echo <= SHORT_ECHO_MS and (short or low <= inversion <= high) else None


def _milliseconds(tags: Mapping[str, str], name: str) -> float | None:
    try:
        number = float(tags.get(name, ""))
    except ValueError:
        return None
    return number if np.isfinite(number) and number > 0.0 else None


def _weighting(name: str) -> str:
    """What tissue means can tell: an agent brightens the tumour, not the tissue."""
    return "T1" if name == "T1c" else name


def contrast_from_tissue(
    scaled: NDArray[np.float32], brain: NDArray[np.bool_], frame: Frame
) -> Contrast:
    """The sequence that the means of fluid, grey and white matter suggest.

    Fluid brightest: T2. White brighter than grey by half a spread: T1. Fluid darkest and grey not
    darker than white: FLAIR.

    Args:
        scaled: (I, J, K) normalised scan in its frame.
        brain: (I, J, K) brain mask in the frame.
        frame: Says where the template's tissues lie.
    """
    template = load_template()
    index_map = np.linalg.inv(CANVAS.affine) @ frame.template_from_frame
    grey = resample(template.grey, index_map, frame.shape)
    white = resample(template.white, index_map, frame.shape)
    inside = resample(template.brain.astype(np.float32), index_map, frame.shape)
    places = (
        brain & (inside > 0.95) & (grey + white < 0.2),
        brain & (grey > 0.8),
        brain & (white > 0.9),
    )
    if min(int(place.sum()) for place in places) < 20:
        return Contrast("unknown", "tissue means")
    fluid, grey_mean, white_mean = (float(np.median(scaled[place])) for place in places)
    if fluid > max(grey_mean, white_mean) + 0.5:
        return Contrast("T2", "tissue means")
    if white_mean > grey_mean + 0.5 > fluid:
        return Contrast("T1", "tissue means")
    if fluid < min(grey_mean, white_mean) - 0.5:
        return Contrast("FLAIR", "tissue means")
    return Contrast("unknown", "tissue means")
