"""What ``counterpart evaluate`` does: measures, then writes tables, plots and a gallery."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from counterpart.brain_extraction import DEFAULT_BRAIN_MODEL
from counterpart.bundle import DEFAULT_MODEL, bundle_folder, bundle_name, bundle_version
from counterpart.bundle_files import write_json
from counterpart.document_sections import append_to_section, check_section, replace_section
from counterpart.errors import CounterpartError
from counterpart.evaluation.cases import best_and_worst, most_and_least_healed, what_stands_out
from counterpart.evaluation.gallery import (
    draw_gallery,
    gallery_item,
    healthy_item,
    most_flagged,
)
from counterpart.evaluation.goals import outcomes
from counterpart.evaluation.keeping_text import keeping_by_set
from counterpart.evaluation.pictures import draw_picture
from counterpart.evaluation.plots import draw_plots
from counterpart.evaluation.records import HealthyFigures, ModelEvaluation, PatientFigures
from counterpart.evaluation.running import Plan, evaluate, picture_of, strip_of, weights_of
from counterpart.evaluation.sources import Sources, find_sources
from counterpart.evaluation.summary import by_set, strongest_baseline, summarise
from counterpart.evaluation.text import evaluation_text
from counterpart.evaluation.weaknesses import weaknesses
from counterpart.results import DISCLAIMER

SECTION, LOG = "evaluate", "looks"
FIGURES = "figures.json"
GALLERY_SCANS = 10
HEALTHY_PICTURES = 4


@dataclass(frozen=True)
class EvaluateOptions:
    """How models are evaluated.

    Args:
        models: Names or folders of bundles, set side by side; none is the released one.
        brain_model: Of the brain network.
        healthy: Further folders of healthy scans.
        baselines: Whether plain baselines are measured too.
        jobs: Scans at a time.
        device: torch device.
        seed: Of the diffusion's noise.
        reports: Whether maps and report of every scan are kept.
        document: Markdown file whose section is renewed.
        reason: Why these scans are looked at, for the document's log.
    """

    models: tuple[str, ...] = ()
    brain_model: str = DEFAULT_BRAIN_MODEL
    healthy: tuple[Path, ...] = ()
    baselines: bool = True
    jobs: int = 1
    device: str = "cpu"
    seed: int = 0
    reports: bool = False
    document: Path | None = None
    reason: str = ""


def evaluate_models(data: Sequence[Path], out: Path, options: EvaluateOptions) -> int:
    """Evaluate models on the scans of some folders.

    Args:
        data: Folders with patients and healthy scans (`counterpart.evaluation.sources`).
        out: The evaluation's folder; what it holds of an earlier run is not measured again.
        options: How.

    Returns:
        0; 1 if a scan was refused.

    Raises:
        CounterpartError: Nothing can be measured, or an option is wrong.
    """
    if options.jobs < 1:
        raise CounterpartError(f"--jobs must be at least 1, got {options.jobs}.")
    if not data and not options.healthy:
        raise CounterpartError(
            "name a folder of patients (--data) or of healthy scans (--healthy)."
        )
    if options.document is not None:
        for name in (SECTION, LOG):
            check_section(options.document, name)
    sources = find_sources(data, options.healthy)
    plans = _plans(out, options)
    console = Console()
    evaluations = [_evaluated(plan, sources, options.jobs, console) for plan in plans]
    if not any(one.patients or one.healthy for one in evaluations):
        reasons = "; ".join(f"{r.scan}: {r.reason}" for r in evaluations[0].refusals[:3])
        raise CounterpartError(f"no scan could be evaluated ({reasons}).")
    seen = _seen_before(evaluations[0], out / FIGURES)
    text = write_evaluation(evaluations, plans, out)
    if options.document is not None:
        replace_section(options.document, SECTION, text)
        if not seen:
            _log_look(options.document, options.reason, evaluations[0])
    _say(console, evaluations, out)
    return 1 if any(one.refusals for one in evaluations) else 0


def write_evaluation(
    evaluations: Sequence[ModelEvaluation], plans: Sequence[Plan], out: Path
) -> str:
    """Write tables, plots and galleries.

    Args:
        evaluations: One for each plan.
        plans: They say where the strips are.
        out: ``figures.json``, ``figures.md``, ``patients.csv``, ``healthy.csv``, ``sets.csv``,
            ``keeping.csv``, ``plots``, ``gallery`` and ``keeping``.

    Returns:
        The Markdown.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = evaluation_text(evaluations, command=command_line())
    (out / "figures.md").write_text(f"# Evaluation\n\n{DISCLAIMER}.\n\n{text}")
    write_json(out / FIGURES, {"disclaimer": DISCLAIMER, "models": _plain(evaluations)})
    _write_csv(out / "patients.csv", [_patient_row(m, r) for m in evaluations for r in m.patients])
    _write_csv(out / "healthy.csv", [_healthy_row(m, r) for m in evaluations for r in m.healthy])
    _write_csv(out / "sets.csv", [row for one in evaluations for row in _set_rows(one)])
    _write_csv(out / "keeping.csv", [row for one in evaluations for row in _keeping_rows(one)])
    draw_plots(evaluations, out / "plots")
    draw_galleries(evaluations[0], plans[0], out / "gallery")
    draw_pictures(evaluations[0], plans[0], out / "keeping")
    return text


def draw_galleries(evaluation: ModelEvaluation, plan: Plan, folder: Path) -> list[Path]:
    """Draw the ten best and the ten worst scans of patients, of all and of each contrast.

    And the ten healthy scans with most flagged; galleries of an earlier run are removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    contrasts = sorted({row.contrast for row in evaluation.patients})
    strongest = {key: strongest_baseline(rows) for key, rows in by_set(evaluation.patients).items()}
    written = []
    for label in ("all", *(contrasts if len(contrasts) > 1 else ())):
        rows = [row for row in evaluation.patients if label in ("all", row.contrast)]
        best, worst = best_and_worst(rows, GALLERY_SCANS)
        for title, chosen in (("best", best), ("worst", worst)):
            if not chosen:
                continue
            items = [
                gallery_item(row, strip_of(plan, row.scan), strongest[row.group, row.contrast])
                for row in chosen
            ]
            path = folder / f"{label}_{title}.png"
            draw_gallery(items, path, f"{evaluation.label}, {label}: the {len(items)} {title}")
            written.append(path)
    flagged = most_flagged(evaluation.healthy, GALLERY_SCANS)
    if flagged:
        items = [healthy_item(row, strip_of(plan, row.scan)) for row in flagged]
        written.append(folder / "healthy_most_flagged.png")
        draw_gallery(items, written[-1], f"{evaluation.label}, healthy: most flagged")
    return written


def draw_pictures(evaluation: ModelEvaluation, plan: Plan, folder: Path) -> list[Path]:
    """Draw the pictures at full resolution that show how well counterparts keep the patient.

    Of the ten patients' scans with least and the ten with most of the lesion's edge left, and of
    the four healthy scans with most altered; those of an earlier run are removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    best, worst = most_and_least_healed(evaluation.patients, GALLERY_SCANS)
    altered = sorted(
        evaluation.healthy, key=lambda row: (-(row.keeping.altered_healthy or 0.0), row.scan)
    )
    written = []
    chosen: list[tuple[str, Sequence[PatientFigures | HealthyFigures]]] = [
        ("best", best),
        ("worst", worst),
        ("healthy", altered[:HEALTHY_PICTURES]),
    ]
    for title, rows in chosen:
        for number, row in enumerate(rows, start=1):
            path = folder / f"{title}_{number:02d}_{row.case.replace(' ', '_')}.png"
            draw_picture(picture_of(plan, row.scan), path)
            written.append(path)
    return written


def command_line() -> str:
    """The command that runs, as one would type it, folders by their last name alone."""
    words = ["counterpart"]
    for word in sys.argv[1:]:
        option, sign, value = word.rpartition("=")
        path = Path(value)
        words.append(f"{option}{sign}{path.name}" if "/" in value and path.exists() else word)
    return shlex.join(words)


def _plans(out: Path, options: EvaluateOptions) -> list[Plan]:
    plans = []
    for model in options.models or (DEFAULT_MODEL,):
        folder = bundle_folder(model)
        label = f"{bundle_name(folder)}-{bundle_version(folder)}-{weights_of(model)[:12]}"
        plans.append(
            Plan(
                model=model,
                brain_model=options.brain_model,
                folder=out / "models" / label,
                device=options.device,
                seed=options.seed,
                baselines=options.baselines,
                reports=options.reports,
            )
        )
    if len({plan.folder for plan in plans}) < len(plans):
        raise CounterpartError("two of the models are the same; name each once.")
    return plans


def _evaluated(plan: Plan, sources: Sources, jobs: int, console: Console) -> ModelEvaluation:
    count = len(sources.patients) + len(sources.healthy)
    with Progress(console=console) as progress:
        task = progress.add_task(f"Measuring {plan.folder.name}", total=count)
        return evaluate(
            plan, sources, jobs=jobs, progress=lambda name: progress.update(task, advance=1)
        )


def _seen_before(evaluation: ModelEvaluation, path: Path) -> bool:
    """Whether an earlier evaluation in the same folder wrote the very same figures of patients."""
    try:
        known = json.loads(path.read_text())["models"][0]["patients"]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return False
    return bool(known == json.loads(json.dumps(evaluation.to_json()["patients"])))


def _log_look(document: Path, reason: str, evaluation: ModelEvaluation) -> None:
    """Say in the document that these scans were looked at, when, with which weights and why."""
    said = " ".join(reason.replace("|", "/").split()) or "not said"
    row = f"| {date.today().isoformat()} | {evaluation.label} | {said} |"
    append_to_section(document, LOG, row)


def _say(console: Console, evaluations: Sequence[ModelEvaluation], out: Path) -> None:
    for evaluation in evaluations:
        console.print(f"[bold]{evaluation.label}[/bold]", highlight=False)
        for one in summarise(evaluation):
            plain = "" if one.baseline is None else f", {one.baseline.name} {one.baseline.ap:.3f}"
            console.print(
                f"  {one.group} {one.contrast}, {one.scans} scans: AP {one.map.ap:.3f}{plain}",
                highlight=False,
                markup=False,
            )
        for sentence in weaknesses(evaluation):
            console.print(f"  - {sentence}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Open {out / 'figures.md'}. {DISCLAIMER}.", soft_wrap=True, highlight=False)


def _plain(evaluations: Sequence[ModelEvaluation]) -> list[dict[str, Any]]:
    return [
        {
            **one.to_json(),
            "sets": [asdict(summary) for summary in summarise(one)],
            "keeping_by_set": {
                name: {figure: value and asdict(value) for figure, value in known.items()}
                for name, known in keeping_by_set(one).items()
            },
            "goals": [{**asdict(goal), "reached": goal.verdict} for goal in outcomes(one)],
            "stands_out": {row.scan: what_stands_out(row, one.aims) for row in one.patients},
            "weak_points": weaknesses(one),
        }
        for one in evaluations
    ]


def _patient_row(evaluation: ModelEvaluation, row: PatientFigures) -> dict[str, Any]:
    values = asdict(replace(row, scores={}))
    for nested in ("scores", "at_threshold", "keeping", "traits"):
        del values[nested]
    values["warnings"] = " ".join(row.warnings)
    flat = {"model": evaluation.label, "case": row.case, **values}
    flat |= _named("keeping", asdict(row.keeping)) | _named("traits", asdict(row.traits))
    flat["stands out"] = "; ".join(what_stands_out(row, evaluation.aims))
    flat["found"] = row.at_threshold.found
    flat["false_positives"] = row.at_threshold.false_positives
    for name, score in row.scores.items():
        for figure in ("ap", "best_dice", "dice", "slice_auroc", "scan_score"):
            flat[f"{name}: {figure}"] = getattr(score, figure)
    return flat


def _healthy_row(evaluation: ModelEvaluation, row: HealthyFigures) -> dict[str, Any]:
    values = asdict(row)
    for nested in ("region_errors", "region_findings", "scan_scores", "keeping"):
        values |= _named(nested, values.pop(nested))
    values["warnings"] = " ".join(row.warnings)
    return {"model": evaluation.label, "case": row.case, **values}


def _keeping_rows(evaluation: ModelEvaluation) -> list[dict[str, Any]]:
    rows = []
    for name, known in keeping_by_set(evaluation).items():
        for figure, found in known.items():
            row: dict[str, Any] = {"model": evaluation.label, "set": name, "figure": figure}
            if found is not None:
                interval = {} if found.interval is None else asdict(found.interval)
                row |= {"scans": found.scans, "mean": found.value}
                row |= {end: interval.get(end) for end in ("low", "high")}
            rows.append(row)
    return rows


def _named(nested: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{nested}: {name}": value for name, value in values.items()}


def _set_rows(evaluation: ModelEvaluation) -> list[dict[str, Any]]:
    rows = []
    for one in summarise(evaluation):
        flat: dict[str, Any] = {"model": evaluation.label}
        for key, value in asdict(one).items():
            if isinstance(value, dict):
                flat |= _named(key, value)
            else:
                flat[key] = value
        rows.append(flat)
    return rows


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows whose columns may differ; without rows there is no file."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
