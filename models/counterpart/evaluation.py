"""Measures the anomaly map on patients with lesion masks, beside the strongest plain baseline.

Per set of patients the plain baseline with the highest mean counts. Masks are used here and nowhere
else; nothing is chosen by them.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.average_precision import average_precision
from counterpart.baselines import baseline_scores
from counterpart.brain_extraction import STRIPPED, BrainModel
from counterpart.bundle import Model
from counterpart.errors import CounterpartError
from counterpart.generate import generate_counterpart
from counterpart.output import write_result
from counterpart.results import Result
from counterpart.scans import companion, is_nifti, read_mask, read_scan, scan_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PatientFigures:
    """Figures of one scan.

    Args:
        scan: Name of the scan.
        contrast: Its contrast.
        prevalence: Share of lesion voxels in the brain.
        ap: Voxel average precision of the absolute anomaly map.
        ap_residual: The same of the absolute ungated residual.
        baselines: Voxel average precision of each baseline.
        dice: Dice of the mask at the healthy threshold.
        lesion_ml: Lesion volume.
        flagged_ml: Volume of the mask.
    """

    scan: str
    contrast: str
    prevalence: float
    ap: float
    ap_residual: float
    baselines: dict[str, float]
    dice: float
    lesion_ml: float
    flagged_ml: float


def find_patients(folder: Path) -> list[tuple[Path, Path]]:
    """Scans of a folder with their lesion masks (``NAME_mask`` or ``NAME_lesion``)."""
    if not folder.is_dir():
        raise CounterpartError(f"{folder}: no such folder.")
    pairs = []
    for path in sorted(folder.iterdir()):
        name = scan_name(path)
        if not is_nifti(path) or name.endswith(("_mask", "_lesion", "_brain", "_labels")):
            continue
        stem = name.rsplit("_", 1)[0]
        mask = companion(path, stem, "_mask") or companion(path, stem, "_lesion")
        if mask is not None:
            pairs.append((path, mask))
    if not pairs:
        raise CounterpartError(
            f"{folder}: no scan with a lesion mask (NAME_mask.nii.gz) beside it."
        )
    return pairs


def evaluate(
    pairs: Iterable[tuple[Path, Path]],
    model: Model,
    out: Path,
    *,
    brain_model: BrainModel | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> list[PatientFigures]:
    """Generate counterparts for patients, measure them, write tables and reports.

    Args:
        pairs: Scan and lesion mask.
        model: The model.
        out: One folder per scan, ``figures.csv`` and ``figures.md``.
        brain_model: For whole heads without a brain mask beside them.
        seed: Of the diffusion's noise.
        progress: Called with the name of each scan.

    Returns:
        Figures per scan; scans that are refused are logged and left out.
    """
    rows = []
    for path, mask in pairs:
        if progress:
            progress(scan_name(path))
        try:
            rows.append(_evaluate_one(path, mask, model, brain_model, out, seed))
        except CounterpartError as error:
            logger.warning("left out %s: %s", scan_name(path), error)
    out.mkdir(parents=True, exist_ok=True)
    _write_csv(rows, out / "figures.csv")
    (out / "figures.md").write_text(figures_table(rows, model))
    return rows


def figures_table(rows: list[PatientFigures], model: Model) -> str:
    """The figures as Markdown: one row per set of patients, then one per scan."""
    lines = [
        f"Model {model.name} {model.version}, weights {model.weights_sha256[:12]}. "
        "Voxel average precision (AP), mean over scans.",
        "",
        "| set | scans | AP anomaly map | AP residual | strongest baseline | its AP | prevalence |",
        "|---|---|---|---|---|---|---|",
    ]
    for (group, contrast), members in _by_set(rows).items():
        name, ap = strongest_baseline(members)
        lines.append(
            f"| {group} {contrast} | {len(members)} | {mean(r.ap for r in members):.3f} | "
            f"{mean(r.ap_residual for r in members):.3f} | {name} | {ap:.3f} | "
            f"{mean(r.prevalence for r in members):.3f} |"
        )
    lines += [
        "",
        "| scan | AP | AP residual | Dice | lesion ml | flagged ml |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.scan} | {r.ap:.3f} | {r.ap_residual:.3f} | {r.dice:.3f} | {r.lesion_ml:.1f} | "
        f"{r.flagged_ml:.1f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def strongest_baseline(rows: list[PatientFigures]) -> tuple[str, float]:
    """Name and mean AP of the baseline that does best over the given scans."""
    means = {name: mean(row.baselines[name] for row in rows) for name in rows[0].baselines}
    best = max(means, key=lambda name: means[name])
    return best, means[best]


def _evaluate_one(
    path: Path,
    mask: Path,
    model: Model,
    brain_model: BrainModel | None,
    out: Path,
    seed: int,
) -> PatientFigures:
    scan = read_scan(path)
    lesion = read_mask(mask, scan.grid)
    brain_file = companion(path, scan.name.rsplit("_", 1)[0], "_brain")
    brain = read_mask(brain_file, scan.grid) if brain_file else None
    result = generate_counterpart(scan, model, brain_model=brain_model, brain_mask=brain, seed=seed)
    write_result(result, out / scan.name, overwrite=True)
    stripped = result.provenance["brain_source"] == STRIPPED
    return patient_figures(result, lesion, whole_head=not stripped)


def patient_figures(
    result: Result, lesion: NDArray[np.bool_], *, whole_head: bool = False
) -> PatientFigures:
    """Figures of one result, every score over the same region.

    The region is the foreground of a stripped scan; of a whole head the brain united with the
    lesion.
    """
    scan = result.scan
    foreground: NDArray[np.bool_] = scan.values != scan.values[0, 0, 0]
    region = (result.brain > 0) | lesion if whole_head else foreground
    truth = torch.from_numpy(lesion[region])

    def ap(score: NDArray[np.float32]) -> float:
        return float(average_precision(torch.from_numpy(score[region]), truth))

    flagged = result.mask > 0
    overlap = 2.0 * float((flagged & lesion).sum()) / max(float(flagged.sum() + lesion.sum()), 1.0)
    scores = baseline_scores(scan.values, region, scan.grid)
    volume = scan.grid.voxel_volume_ml
    return PatientFigures(
        scan=scan.name,
        contrast=result.contrast,
        prevalence=float(truth.float().mean()),
        ap=ap(np.abs(result.anomaly)),
        ap_residual=ap(np.abs(result.residual)),
        baselines={name: ap(score) for name, score in scores.items()},
        dice=overlap,
        lesion_ml=float(lesion.sum()) * volume,
        flagged_ml=float(flagged.sum()) * volume,
    )


def _by_set(rows: list[PatientFigures]) -> dict[tuple[str, str], list[PatientFigures]]:
    groups: dict[tuple[str, str], list[PatientFigures]] = {}
    for row in rows:
        group = row.scan.split("_")[0].rstrip("0123456789")
        groups.setdefault((group, row.contrast), []).append(row)
    return groups


def _write_csv(rows: list[PatientFigures], path: Path) -> None:
    flat = [{**asdict(row), **row.baselines} for row in rows]
    with path.open("w", newline="") as stream:
        names = [name for name in (flat[0] if flat else {}) if name != "baselines"]
        writer = csv.DictWriter(stream, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(flat)
