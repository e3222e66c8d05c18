"""Says which version of a model serves each contrast.

A new version is not always calibrated on what the one before was: a site that retrains on its T1
scans has no healthy FLAIR. So a contrast is served by the newest version on the trail that is
calibrated on it by healthy scans; else by the version that serves, if it has any calibration of it;
else by the newest one that has. The trail is that of rollbacks (`counterpart.registry.serving`),
before it the released model of the name; what was rolled back is not on it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from counterpart.bundle import CALIBRATIONS, MANIFEST, WEIGHTS
from counterpart.bundle_files import read_json
from counterpart.calibration.record import HEALTHY_SCANS
from counterpart.errors import ModelError
from counterpart.registry.serving import RELEASED, read_serving
from counterpart.registry.versions import Entry, checked_name, entries, registry_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Calibrated:
    """The contrasts of a version: of healthy scans, and any."""

    healthy: frozenset[str]
    all: frozenset[str]


def serving_by_contrast(name: str, root: Path | None = None) -> dict[str, Entry]:
    """The version that serves each contrast that any version on the trail is calibrated on.

    Args:
        name: Of the model.
        root: The registry; see `counterpart.registry.versions.registry_folder`.

    Returns:
        By contrast, sorted; a contrast that is not in it is the serving version's.

    Raises:
        ModelError: There is no such model, or the file that says which version serves is damaged.
    """
    newest_first = list(reversed(trail_entries(name, root)))
    known = [(entry, _calibrated(entry.folder)) for entry in newest_first]
    contrasts = sorted({contrast for _, found in known for contrast in found.all})
    serving: dict[str, Entry] = {}
    for contrast in contrasts:
        healthy = (entry for entry, found in known if contrast in found.healthy)
        any_kind = (entry for entry, found in known if contrast in found.all)
        serving[contrast] = next(healthy, None) or next(any_kind)
    return serving


def trail_entries(name: str, root: Path | None = None) -> list[Entry]:
    """The versions on the trail of a name, the one that serves last.

    Raises:
        ModelError: There is no such model.
    """
    found = [entry for entry in entries(root) if entry.name == checked_name(name)]
    if not found:
        raise ModelError(f"{name}: no model of this name.")
    state = read_serving(registry_folder(root) / name)
    trail = state.trail() if state else []
    by_place = {(entry.version, entry.source): entry for entry in found}
    released = [place for place in by_place if place[1] == RELEASED and place not in trail]
    return [by_place[place] for place in (*released, *trail) if place in by_place]


def _calibrated(folder: Path) -> _Calibrated:
    """The contrasts of a bundle whose calibrations are of its weights; a damaged one has none."""
    try:
        if not (folder / CALIBRATIONS).is_file():
            return _Calibrated(frozenset(), frozenset())
        weights = read_json(folder / MANIFEST)["sha256"][WEIGHTS]
        rows = read_json(folder / CALIBRATIONS)["calibrations"]
        bound = [row for row in rows if row["weights_sha256"] == weights]
        healthy = frozenset(row["contrast"] for row in bound if row["kind"] == HEALTHY_SCANS)
        return _Calibrated(healthy, frozenset(row["contrast"] for row in bound))
    except (ModelError, KeyError, TypeError) as error:
        logger.warning("a version is passed over: %s: %s", folder, error)
        return _Calibrated(frozenset(), frozenset())
