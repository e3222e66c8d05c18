"""What the commands on scans do, with progress on the console."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from counterpart.bundle import Model, load_model
from counterpart.errors import CounterpartError
from counterpart.evaluation import evaluate, figures_table, find_patients
from counterpart.generate import generate_counterpart
from counterpart.output import check_output, write_result
from counterpart.package_data import package_data
from counterpart.prepare import prepare_cohort
from counterpart.results import DISCLAIMER, Result
from counterpart.scans import read_mask, read_scan, scan_name

DEMO_SCAN = "patients/sample-01_FLAIR.nii.gz"
DEMO_BRAIN = "patients/sample-01_brain.nii.gz"


def generate_scans(
    scans: Sequence[Path],
    out: Path,
    *,
    brain_mask: Path | None,
    model: str,
    device: str,
    seed: int,
    overwrite: bool,
) -> int:
    """Generate counterparts for many scans; one that fails leaves the others going.

    Returns:
        0, or 1 if a scan failed.
    """
    console = Console()
    _refuse_same_names(scans)
    failures: list[tuple[str, str]] = []
    with _progress(console) as progress:
        task = progress.add_task("Loading the model", total=len(scans))
        loaded = load_model(model, device=device)
        for number, path in enumerate(scans):
            try:
                result = _generate_one(
                    path, out, loaded, brain_mask, seed, overwrite, progress, task, number
                )
                console.print(_one_line(result, out), soft_wrap=True, highlight=False)
            except (CounterpartError, OSError) as error:
                failures.append((str(path), str(error)))
                line = f"[red]failed[/red] {escape(str(path))}"
                console.print(line, soft_wrap=True, highlight=False)
        progress.update(task, completed=len(scans), description="Done")
    _summary(console, len(scans), failures)
    return 1 if failures else 0


def run_demo(out: Path, *, model: str, device: str) -> int:
    """Run the chain on the sample patient and say which file to open."""
    console = Console()
    samples = package_data("sample_data")
    status = generate_scans(
        [samples / DEMO_SCAN],
        out,
        brain_mask=samples / DEMO_BRAIN,
        model=model,
        device=device,
        seed=0,
        overwrite=True,
    )
    if status == 0:
        report = (out / scan_name(Path(DEMO_SCAN)) / "report.png").resolve()
        console.print(f"Open [bold]{escape(str(report))}[/bold]", soft_wrap=True, highlight=False)
    return status


def prepare(folder: Path, out: Path, *, label_maps: Path | None = None) -> int:
    """Prepare a healthy cohort.

    Returns:
        0; 1 if scans were left out.
    """
    console = Console()
    with _progress(console) as progress:
        task = progress.add_task("Preparing", total=None)

        def tell(done: int, total: int, name: str) -> None:
            progress.update(task, completed=done, total=total, description=name)

        digest, count, refusals = prepare_cohort(folder, out, label_maps=label_maps, progress=tell)
    text = f"{count} subjects in {out}, content hash {digest[:12]}"
    console.print(text, soft_wrap=True, markup=False)
    for refusal in refusals:
        text = escape(f"{refusal.name}: {refusal.reason}")
        console.print(f"[yellow]left out[/yellow] {text}", soft_wrap=True)
    return 1 if refusals else 0


def evaluate_patients(
    scans: Sequence[Path], out: Path, *, model: str, device: str, seed: int
) -> int:
    """Measure the anomaly map on patients with lesion masks."""
    console = Console()
    pairs = find_patients(scans[0]) if scans[0].is_dir() else _pairs_of(scans)
    loaded = load_model(model, device=device)
    with _progress(console) as progress:
        task = progress.add_task("Evaluating", total=len(pairs))

        def tell(name: str) -> None:
            progress.update(task, advance=1, description=name)

        rows = evaluate(pairs, loaded, out, seed=seed, progress=tell)
    if not rows:
        raise CounterpartError("no scan could be evaluated.")
    console.print(figures_table(rows, loaded), soft_wrap=True, highlight=False, markup=False)
    return 0 if len(rows) == len(pairs) else 1


def _pairs_of(scans: Sequence[Path]) -> list[tuple[Path, Path]]:
    gone = [scan for scan in scans if not scan.is_file()]
    if gone:
        raise CounterpartError(f"{gone[0]}: no such file.")
    known = {
        scan: mask for folder in {s.parent for s in scans} for scan, mask in find_patients(folder)
    }
    missing = [scan for scan in scans if scan not in known]
    if missing:
        raise CounterpartError(f"{missing[0]}: no lesion mask (NAME_mask.nii.gz) beside it.")
    return [(scan, known[scan]) for scan in scans]


def _generate_one(
    path: Path,
    out: Path,
    model: Model,
    brain_mask: Path | None,
    seed: int,
    overwrite: bool,
    progress: Progress,
    task: object,
    number: int,
) -> Result:
    folder = out / scan_name(path)
    check_output(folder, overwrite=overwrite)

    def tell(text: str, share: float) -> None:
        progress.update(task, completed=number + share, description=f"{scan_name(path)}: {text}")  # type: ignore[arg-type]

    tell("Reading", 0.0)
    scan = read_scan(path)
    mask = read_mask(brain_mask, scan.grid) if brain_mask else None
    result = generate_counterpart(scan, model, brain_mask=mask, seed=seed, stage=tell)
    tell("Writing maps and report", 0.95)
    write_result(result, folder, overwrite=overwrite)
    return result


def _refuse_same_names(scans: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in scans:
        name = scan_name(path)
        if name in seen:
            raise CounterpartError(
                f"{path} and {seen[name]} would write to the same folder '{name}'. "
                "Give them in two runs with different output folders."
            )
        seen[name] = path


def _one_line(result: Result, out: Path) -> str:
    count = len(result.findings)
    volume = sum(finding.volume_ml for finding in result.findings)
    what = "no finding" if not count else f"{count} finding{'s' * (count > 1)}, {volume:.1f} ml"
    name, folder = escape(result.scan.name), escape(str(out / result.scan.name))
    return f"[green]done[/green] {name}: {what} → {folder}"


def _summary(console: Console, total: int, failures: list[tuple[str, str]]) -> None:
    console.print(f"{total - len(failures)} of {total} done. {DISCLAIMER}.", highlight=False)
    for path, reason in failures:
        text = reason if reason.startswith(path) else f"{path}: {reason}"
        console.print(f"[red]failed[/red] {escape(text)}", soft_wrap=True, highlight=False)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
    )
