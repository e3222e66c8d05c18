"""Brings a scan with its brain mask into the frame, normalised."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterpart.brain import fill_outside
from counterpart.grid import Orientation, box_around
from counterpart.intensity import Normalisation, fit_normalisation
from counterpart.pose import Frame, Pose, make_frame, register

_MARGIN = 6
_MIN_FLAGGED = 0.05
_MAX_FLAGGED = 0.6
_MIN_MOVE_SPREADS = 0.03


@dataclass(frozen=True, eq=False)
class PosedScan:
    """A scan in its frame, ready for the network.

    Args:
        turn: Between the stored and the canonical orientation.
        brain: (I, J, K) brain mask on the canonical grid.
        pose: Of the brain.
        frame: What the network is shown.
        normalisation: Scan units to spreads.
        scaled: Normalised scan in the frame, 0 outside the brain.
        inside: Brain mask in the frame.
    """

    turn: Orientation
    brain: NDArray[np.bool_]
    pose: Pose
    frame: Frame
    normalisation: Normalisation
    scaled: NDArray[np.float32]
    inside: NDArray[np.bool_]


def pose_scan(
    turn: Orientation,
    values: NDArray[np.float32],
    brain: NDArray[np.bool_],
    *,
    pose: Pose | None = None,
) -> PosedScan:
    """Find pose, frame and intensity scale of a scan.

    Args:
        turn: Of the scan's grid.
        values: (I, J, K) the scan on the canonical grid.
        brain: (I, J, K) brain mask on the canonical grid.
        pose: If it is known already.

    Raises:
        PoseError: The brain cannot be brought into template pose.
        ScanError: The brain shows nothing.
    """
    grid = turn.canonical
    pose = register(values, brain, grid) if pose is None else pose
    frame = make_frame(grid, pose)
    normalisation = fit_normalisation(values[brain])
    box = box_around(brain, _MARGIN)  # what lies far from the brain only costs time
    near, part = brain[box], grid.cropped(box)
    filled = fill_outside(normalisation.apply(values[box]), near)
    scaled = frame.gather(filled, part)
    inside = frame.gather(near.astype(np.float32), part, order=1) > 0.5
    return PosedScan(turn, brain, pose, frame, normalisation, scaled * inside, inside)


def rescaled(posed: PosedScan, flagged: NDArray[np.bool_]) -> PosedScan | None:
    """The scan on an intensity scale of its own that what is flagged has no part in.

    A large lesion moves location and spread of the brain's bulk. Once it is known where it lies,
    they are taken from the rest of the brain.

    Args:
        posed: The scan on the scale of its whole brain.
        flagged: (I, J, K) in the frame, what to leave out.

    Returns:
        The rescaled scan; None where less than a twentieth or more than three fifths of the brain
        is flagged, or the scale would stay as it is.

    Raises:
        ScanError: The rest of the brain shows nothing.
    """
    share = float((flagged & posed.inside).sum()) / max(int(posed.inside.sum()), 1)
    if not _MIN_FLAGGED <= share <= _MAX_FLAGGED:
        return None
    again = fit_normalisation(posed.scaled[posed.inside & ~flagged])
    if max(abs(again.location), abs(again.spread - 1.0)) < _MIN_MOVE_SPREADS:
        return None
    first = posed.normalisation
    normalisation = Normalisation(
        first.location + again.location * first.spread, first.spread * again.spread
    )
    return replace(
        posed,
        normalisation=normalisation,
        scaled=again.apply(posed.scaled) * posed.inside,
    )
