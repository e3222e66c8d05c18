"""What a reader asks for, and the work in the background that brings it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from HealthyCounterpartLib.jobs import Delivery, JobProgress, generate
from HealthyCounterpartLib.problems import ScanProblem
from HealthyCounterpartLib.scan_files import write_scan
from HealthyCounterpartLib.scan_source import KnownJob, SceneScan, Source
from HealthyCounterpartLib.translation import _

if TYPE_CHECKING:
    from HealthyCounterpartLib.client import ServerClient
    from HealthyCounterpartLib.worker import Work


@dataclass(frozen=True, eq=False)
class Wanted:
    """What was asked for.

    Args:
        source: The scan.
        volume: Of the scene; None for a study that is not there yet.
        study: Id of the study; empty for a scan of the scene.
        contrast: As chosen; empty leaves it to the server.
        job: A job that exists already; empty for a new one.
    """

    source: Source
    volume: Any
    study: str = ""
    contrast: str = ""
    job: str = ""


@dataclass(frozen=True, eq=False)
class Arrived:
    """What the background work brings.

    Args:
        delivery: The job with its files.
        study_file: The study itself, where it had to be fetched.
    """

    delivery: Delivery
    study_file: Optional[Path] = None


def bring(client: ServerClient, wanted: Wanted, folder: Path, work: Work) -> Arrived:
    """Have a counterpart made and fetch it; runs in a thread of its own.

    Args:
        client: Of the server.
        wanted: What is asked for.
        folder: An empty one, for this job alone.
        work: Is told of the progress, and says when to stop.

    Raises:
        CounterpartProblem: It cannot be had.
    """
    study_file = None
    if wanted.study and wanted.volume is None:
        study_file = _fetch_study(client, wanted.study, folder, work)
    source = wanted.source
    if wanted.job and isinstance(source, SceneScan):
        _check_same_scan(client, wanted.job, source, folder, work)
        source = KnownJob(wanted.job)
    options = {"contrast": wanted.contrast} if wanted.contrast else {}
    return Arrived(generate(client, source, options, folder, work), study_file)


def _fetch_study(client: ServerClient, study: str, folder: Path, work: Work) -> Path:
    place = folder / "study"
    place.mkdir()

    def tell(fraction: Optional[float]) -> None:
        work.tell(JobProgress("fetching", fraction))

    return client.download_study(study, place, tell, work.stop)


def _check_same_scan(
    client: ServerClient, job: str, scan: SceneScan, folder: Path, work: Work
) -> None:
    """A job's maps belong to the scan that it was asked for, and to no other on the same grid."""
    work.tell(JobProgress("writing", None))
    path = folder / "compared.nrrd"
    content = write_scan(scan, path, work.stop)
    path.unlink()
    if client.job(job).scan != content:
        raise ScanProblem(
            _("The chosen scan is not the one that this counterpart was asked for."),
            _("Choose that scan, or press Generate for this one."),
        )
