"""Which scan a counterpart is wanted of: one of the scene, a study of the server, a known job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

import numpy as np


@dataclass(frozen=True, eq=False)
class SceneScan:
    """A scan of the scene, as it is sent.

    Args:
        values: (K, J, I) view of the voxels, not a copy.
        ijk_to_ras: (4, 4) voxel to RAS mm, float64, without any parent transform.
        name: File name without suffix that the server shall know it by; says the contrast where
            the scan's name does, and nothing else of the patient.
        owner: Keeps the memory of ``values`` alive.
    """

    values: np.ndarray
    ijk_to_ras: np.ndarray
    name: str
    owner: Any = None


@dataclass(frozen=True)
class StudyScan:
    """A study of the server.

    Args:
        image: Its id.
    """

    image: str


@dataclass(frozen=True)
class KnownJob:
    """A job that was asked for earlier.

    Args:
        id: Of the job.
    """

    id: str


Source = Union[SceneScan, StudyScan, KnownJob]
