"""What the commands on scans do, with progress on the console."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from counterpart.attribution.pictures import ReferencePictures
from counterpart.brain_exporting import export_brain
from counterpart.brain_extraction import DEFAULT_BRAIN_MODEL, BrainModel, load_brain_model
from counterpart.brain_sheet import draw_brain_sheet
from counterpart.bundle import DEFAULT_MODEL, Model, load_model
from counterpart.bundle_files import read_json
from counterpart.errors import CounterpartError
from counterpart.exporting import export_run
from counterpart.generate import generate_counterpart
from counterpart.output import check_output, write_result
from counterpart.prepare import prepare_cohort
from counterpart.report.references import reference_line
from counterpart.results import DISCLAIMER, Result
from counterpart.scans import read_mask, read_scan, refuse_same_names, scan_name


@dataclass(frozen=True)
class GenerateOptions:
    """How counterparts are generated.

    Args:
        model: Name or folder of the bundle.
        brain_model: Name or folder of the brain network's bundle.
        brain_mask: Brain mask on the scans' grid; then no brain network is needed.
        contrast: The sequence, if the user says it.
        device: torch device.
        seed: Of the diffusion's noise.
        overwrite: Replace earlier results.
        image_format: Of the maps, one of `counterpart.output.FORMATS`.
        references: Prepared cohort whose scans may be seen in the report, if any.
    """

    model: str = DEFAULT_MODEL
    brain_model: str = DEFAULT_BRAIN_MODEL
    brain_mask: Path | None = None
    contrast: str | None = None
    device: str = "cpu"
    seed: int = 0
    overwrite: bool = False
    image_format: str = "nii.gz"
    references: Path | None = None


def generate_scans(scans: Sequence[Path], out: Path, options: GenerateOptions) -> int:
    """Generate counterparts for many scans; one that fails leaves the others going.

    Returns:
        0, or 1 if a scan failed.
    """
    console = Console()
    refuse_same_names(scans)
    failures: list[tuple[str, str]] = []
    pictures = ReferencePictures(options.references) if options.references else None
    with _progress(console) as progress:
        task = progress.add_task("Loading the model", total=len(scans))
        model = load_model(options.model, device=options.device)
        brain_model = None
        if options.brain_mask is None:
            brain_model = load_brain_model(options.brain_model, device=options.device)
        for number, path in enumerate(scans):

            def tell(text: str, share: float, path: Path = path, number: int = number) -> None:
                text = f"{scan_name(path)}: {text}"
                progress.update(task, completed=number + share, description=text)

            try:
                result = _generate_one(path, out, model, brain_model, options, pictures, tell)
                console.print(_one_line(result, out), soft_wrap=True, highlight=False)
                if result.references is not None and result.findings:
                    told = reference_line(result.references)
                    console.print(told, soft_wrap=True, highlight=False, markup=False)
                for warning in result.warnings:
                    line = f"[yellow]note[/yellow] {escape(warning)}"
                    console.print(line, soft_wrap=True, highlight=False)
            except (CounterpartError, OSError) as error:
                failures.append((str(path), str(error)))
                line = f"[red]failed[/red] {escape(str(path))}"
                console.print(line, soft_wrap=True, highlight=False)
        progress.update(task, completed=len(scans), description="Done")
    _summary(console, len(scans), failures)
    return 1 if failures else 0


def prepare(
    folder: Path, out: Path, *, contrast: str = "T1", label_maps: Path | None = None
) -> int:
    """Prepare a healthy cohort.

    Returns:
        0; 1 if scans were left out.
    """
    console = Console()
    with _progress(console) as progress:
        task = progress.add_task("Preparing", total=None)

        def tell(done: int, total: int, name: str) -> None:
            progress.update(task, completed=done, total=total, description=name)

        digest, count, refusals = prepare_cohort(
            folder,
            out,
            contrast=contrast,
            label_maps=label_maps,
            brain_model=load_brain_model(),
            progress=tell,
        )
    text = f"{count} subjects in {out}, content hash {digest[:12]}"
    console.print(text, soft_wrap=True, markup=False)
    for refusal in refusals:
        text = escape(f"{refusal.name}: {refusal.reason}")
        console.print(f"[yellow]left out[/yellow] {text}", soft_wrap=True)
    return 1 if refusals else 0


def export(
    run: Path,
    cohort: Path,
    out: Path,
    *,
    version: str,
    selection_subjects: int,
    threshold_subjects: int,
    note: str,
    data: str,
    population: str = "",
) -> int:
    """Write the bundle of a run, of whichever stage it is."""
    if read_json(run / "settings.json").get("stage") == "brain":
        return export_brain(run, cohort, out, version=version, note=note, data=data)
    return export_run(
        run,
        cohort,
        out,
        version=version,
        selection_subjects=selection_subjects,
        threshold_subjects=threshold_subjects,
        note=note,
        data=data,
        population=population,
    )


def draw_brains(scans: Sequence[Path], out: Path, *, brain_model: str, device: str) -> int:
    """Draw a sheet with the brain masks of scans and say how they do.

    Returns:
        0; 1 if a scan was refused.
    """
    if out.suffix.lower() != ".png":
        raise CounterpartError(f"{out}: expected a file name that ends in .png.")
    console = Console()
    model = load_brain_model(brain_model, device=device)
    with _progress(console) as progress:
        task = progress.add_task("Finding brains", total=len(scans))

        def tell(name: str) -> None:
            progress.update(task, advance=1, description=name)

        rows = draw_brain_sheet(scans, model, out, progress=tell)
    found = [row for row in rows if row.volume_ml > 0]
    missed = [row.lesion_outside for row in found if row.lesion_outside is not None]
    text = f"{len(found)} of {len(rows)} brains found; open {out}"
    if missed:
        over = sum(share > 0.02 for share in missed)
        text += (
            f"\nlesion voxels outside: mean {100 * sum(missed) / len(missed):.2f} % over "
            f"{len(missed)} scans, more than 2 % in {over}, most {100 * max(missed):.1f} %"
        )
    console.print(text, soft_wrap=True, highlight=False, markup=False)
    return 0 if len(found) == len(rows) else 1


def _generate_one(
    path: Path,
    out: Path,
    model: Model,
    brain_model: BrainModel | None,
    options: GenerateOptions,
    pictures: ReferencePictures | None,
    tell: Callable[[str, float], None],
) -> Result:
    folder = out / scan_name(path)
    check_output(folder, overwrite=options.overwrite)
    tell("Reading", 0.0)
    scan = read_scan(path)
    mask = read_mask(options.brain_mask, scan.grid) if options.brain_mask else None
    result = generate_counterpart(
        scan,
        model,
        brain_model=brain_model,
        brain_mask=mask,
        contrast=options.contrast,
        seed=options.seed,
        stage=tell,
    )
    tell("Writing maps and report", 0.95)
    write_result(
        result,
        folder,
        overwrite=options.overwrite,
        image_format=options.image_format,
        pictures=pictures,
    )
    return result


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
