"""Fetches the picture of a healthy reference, and reads it; runs in a thread of the worker."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from HealthyCounterpartLib.generation import FOLDER_PREFIX
from HealthyCounterpartLib.problems import ArrivalProblem
from HealthyCounterpartLib.scene.nifti import read_grey_volume
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.worker import Stopped

if TYPE_CHECKING:
    from HealthyCounterpartLib.client import ServerClient
    from HealthyCounterpartLib.worker import Work

MOST_BYTES = 512 << 20
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class ReferencePicture:
    """The prepared scan of a healthy reference, where the patient's brain lies.

    Args:
        id: Pseudonym.
        values: (K, J, I) float32 greys.
        ijk_to_ras: (4, 4) voxel to RAS mm, in the patient's scan's own coordinates.
    """

    id: str
    values: np.ndarray
    ijk_to_ras: np.ndarray


def fetch_picture(client: ServerClient, job: str, reference: str, work: Work) -> ReferencePicture:
    """Fetch the picture of a reference that a job names.

    Args:
        client: Of the server.
        job: Id of the job.
        reference: Pseudonym.
        work: Is told the fraction that is there.

    Raises:
        CounterpartProblem: It cannot be had.
        Stopped: ``work.stop`` was set.
    """
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
        packed, path = Path(folder) / "reference.nii.gz", Path(folder) / "reference.nii"
        client.fetch_reference(job, reference, packed, work.tell, work.stop, most_bytes=MOST_BYTES)
        _unpack(packed, path, work)
        return ReferencePicture(reference, *read_grey_volume(path))


def _unpack(packed: Path, path: Path, work: Work) -> None:
    left = MOST_BYTES
    try:
        with gzip.open(packed) as source, path.open("wb") as target:
            while left > 0 and (block := source.read(min(_BLOCK_BYTES, left))):
                if work.stop.is_set():
                    raise Stopped
                target.write(block)
                left -= len(block)
            longer = bool(left <= 0 and source.read(1))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged() from error
    if longer:
        raise _damaged()


def _damaged() -> ArrivalProblem:
    return ArrivalProblem(
        _("The picture of the reference arrived damaged."),
        _("Choose it again; if it happens again, tell the server's administrator."),
    )
