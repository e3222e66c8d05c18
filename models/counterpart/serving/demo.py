"""What ``counterpart demo`` does: the server on the sample patients, and one of them repainted."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from counterpart.errors import CounterpartError
from counterpart.package_data import package_data
from counterpart.serving.address import free_port
from counterpart.serving.client import CounterpartClient, Job
from counterpart.serving.commands import EXIT_OK, unstarted
from counterpart.serving.options import ServeOptions
from counterpart.serving.plan import plan_server
from counterpart.serving.server_process import ServerProcess, stops_are_interrupts

DEMO_IMAGE = "sample-01_FLAIR"
PATIENTS = "patients"
HOST = "127.0.0.1"
REFERENCES = "references"  # where the model knows them
# File, result of the server, and the format to ask for: what `counterpart generate` writes.
RESULTS = (
    *(
        (f"{name}.nii.gz", name, "nii.gz")
        for name in ("reconstruction", "counterpart", "residual", "anomaly", "mask", "brain")
    ),
    ("findings.json", "findings", "json"),
    ("references.json", REFERENCES, "json"),
    ("provenance.json", "provenance", None),
    ("report.html", "report", "html"),
    ("report.png", "report", "png"),
)
_PATIENCE_S = 600.0  # drawing the report takes seconds, and minutes where others are at work
_MASKS = ("_brain.nii.gz", "_lesion.nii.gz")


def run_demo(out: Path, *, model: str, device: str, port: int, once: bool) -> int:
    """Serve the sample patients, have one repainted, write the report, and go on serving.

    Args:
        out: Becomes ``studies``, ``server`` (the state) and the sample's results.
        model: Name or folder of a bundle.
        device: torch device.
        port: To listen on; another if it is taken.
        once: End after the report.

    Returns:
        0; 2 where there is no server.

    Raises:
        CounterpartError: The job fails, or the results cannot be written.
    """
    console = Console()
    with stops_are_interrupts():
        folder = out / DEMO_IMAGE
        _check_results(folder)
        try:
            studies = _copy_patients(out / "studies")
            options = ServeOptions(
                str(studies),
                HOST,
                free_port(HOST, port),
                model=model,
                device=device,
                state=out / "server",
            )
            process = ServerProcess(plan_server(options, os.environ))
        except CounterpartError as error:
            return unstarted(error)
        with process:
            status = _show(console, process, folder)
            if status == EXIT_OK and not once:
                return _stay(console, process)
            return status


def _show(console: Console, process: ServerProcess, folder: Path) -> int:
    """Wait for the server, have it repaint the sample, write what it gives."""
    # It loads numpy and more; the server needs longer.
    from counterpart.serving.start_screen import show_start

    try:
        with console.status("Starting the server"):
            seconds = process.wait_until_ready()
    except CounterpartError as error:
        return unstarted(error)
    client = process.client(_PATIENCE_S)
    show_start(console, process.plan, client.info(), seconds)
    job = _repaint(console, client)
    _write(client, job, folder)
    count = "no" if not job.findings else str(job.findings)
    said = f"{count} finding{'s' * (job.findings != 1)}"
    console.print(f"[green]done[/green] {DEMO_IMAGE}: {said} → {escape(str(folder))}")
    report = (folder / "report.html").resolve()
    console.print(f"Open [bold]{escape(str(report))}[/bold]", soft_wrap=True, highlight=False)
    return EXIT_OK


def _stay(console: Console, process: ServerProcess) -> int:
    console.print(
        f"For 3D Slicer: [bold]{process.plan.address.url}[/bold]. It goes on; Ctrl-C ends it.",
        soft_wrap=True,
        highlight=False,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        return EXIT_OK


def _repaint(console: Console, client: CounterpartClient) -> Job:
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[left]}"),
        console=console,
    )
    with progress:
        task = progress.add_task(f"{DEMO_IMAGE}: asked", total=1.0, left="")
        return client.wait(
            client.submit(image=DEMO_IMAGE).id, tell=lambda job: _tell(progress, task, job)
        )


def _tell(progress: Progress, task: TaskID, job: Job) -> None:
    left = "" if job.seconds_left is None else f"{max(0.0, job.seconds_left):.0f} s left"
    text = f"{DEMO_IMAGE}: {job.stage or job.state}"
    progress.update(task, completed=job.fraction, description=text, left=left)


def _copy_patients(studies: Path) -> Path:
    """Copy the patients' scans, not the masks, which the server never sees."""
    studies.mkdir(parents=True, exist_ok=True)
    for scan in sorted((package_data("sample_data") / PATIENTS).glob("*.nii.gz")):
        copy = studies / scan.name
        known = copy.exists() and filecmp.cmp(scan, copy, shallow=False)
        if not (scan.name.endswith(_MASKS) or known):
            shutil.copyfile(scan, copy)
    return studies


def _check_results(folder: Path) -> None:
    """Refuse a place where something else lies than an earlier demo's results.

    Raises:
        CounterpartError: Something does.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CounterpartError(f"{folder}: is a file; choose another output folder with -o.")
    known = {name for name, _, _ in RESULTS}
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if foreign:
        raise CounterpartError(
            f"{folder}: holds {foreign[0]!r}, which is not ours to replace; move it away, or "
            "choose another output folder with -o."
        )


def _write(client: CounterpartClient, job: Job, folder: Path) -> None:
    """Fetch every result beside the folder, and put all of them there by one rename."""
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, result, kind in RESULTS:
            if result == REFERENCES and result not in job.results:
                continue
            client.fetch(job.id, result, work / name, kind=kind)
        work.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        work.rename(folder)
    finally:
        if work.exists():
            shutil.rmtree(work)
