"""The command that calibrates a model on a site's own healthy scans."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from counterpart.bundle import (
    CALIBRATION_ARRAYS,
    CALIBRATIONS,
    CARD,
    METADATA,
    Model,
    bundle_folder,
    load_model,
    write_calibrations,
    write_familiarity,
    write_manifest,
)
from counterpart.bundle_files import read_json, write_json
from counterpart.calibration.calibrating import CalibrationFigures, calibrate
from counterpart.calibration.conformal import LevelShare, split_check
from counterpart.calibration.record import Calibration
from counterpart.cohort import read_cohort, source_of
from counterpart.errors import ModelError
from counterpart.familiarity.fitting import SeenHeads, cohort_sizes
from counterpart.familiarity.record import Familiarity
from counterpart.model_card import calibration_section, with_section

_SPLIT = (30, 10)
_SEED = 20260101


def calibrate_model(
    source: str,
    cohort_folder: Path,
    out: Path,
    *,
    version: str | None = None,
    population: str | None = None,
    device: str = "cpu",
) -> int:
    """Calibrate a model on a cohort's held-out scans and write it with the new calibrations.

    The weights stay as they are, and so does every calibration of another contrast.

    Args:
        source: Name or folder of the bundle.
        cohort_folder: From ``counterpart prepare``.
        out: The new bundle's folder; must not exist.
        version: Of the new bundle; without it ``.calibrated`` is added to the old one.
        population: Whose scans these are, in words.
        device: torch device.

    Raises:
        ModelError: The model cannot be read, or ``out`` exists.
        CohortError: The cohort cannot be read, or lacks a part.
    """
    if out.exists():
        raise ModelError(f"{out}: exists already. Choose another folder.")
    console = Console()
    model = load_model(source, device=device)
    cohort = read_cohort(cohort_folder)
    settings = model.settings
    heads = SeenHeads(model.denoiser)
    with console.status("Calibrating on held-out healthy scans") as status:
        found, figures = calibrate(
            model.denoiser,
            cohort,
            settings.reconstruction,
            settings.anomaly,
            model.weights_sha256,
            population=population or source_of(cohort_folder),
            progress=_steps(status.update),
            seen=heads.add,
        )
        familiarity = heads.familiarity(
            population or source_of(cohort_folder),
            model.weights_sha256,
            sizes=cohort_sizes(cohort_folder, model.familiarity),
            known=model.familiarity,
        )
    _write(bundle_folder(source), out, _merged(model, found), figures, version, familiarity)
    _print(console, found, figures)
    if familiarity is not None:
        console.print(familiarity.sentence, soft_wrap=True, highlight=False)
    console.print(f"Bundle: {out}", soft_wrap=True, highlight=False)
    return 0


def _steps(update: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: update(f"Calibrating: {text}")


def _merged(model: Model, found: Sequence[Calibration]) -> list[Calibration]:
    """The new calibrations, and of the old ones those of other contrasts or kinds."""
    new = {(one.contrast, one.kind) for one in found}
    return [*found, *(o for o in model.calibrations if (o.contrast, o.kind) not in new)]


def _write(
    source: Path,
    out: Path,
    calibrations: Sequence[Calibration],
    figures: Sequence[CalibrationFigures],
    version: str | None,
    familiarity: Familiarity | None,
) -> None:
    """Write the bundle beside its place, then move it there, so that no half of it is seen."""
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        _write_draft(source, draft, calibrations, figures, version, familiarity)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_draft(
    source: Path,
    draft: Path,
    calibrations: Sequence[Calibration],
    figures: Sequence[CalibrationFigures],
    version: str | None,
    familiarity: Familiarity | None,
) -> None:
    ignored = shutil.ignore_patterns(Path(CALIBRATIONS).name, Path(CALIBRATION_ARRAYS).name)
    shutil.copytree(source, draft, ignore=ignored)
    write_calibrations(draft, calibrations)
    if familiarity is not None:
        write_familiarity(draft, familiarity)
    metadata = read_json(draft / METADATA)
    new_version = version or f"{metadata['version']}.calibrated"
    changes = {**metadata.get("changelog", {}), new_version: "calibrated anew"}
    write_json(draft / METADATA, {**metadata, "version": new_version, "changelog": changes})
    section = calibration_section(calibrations, figures, familiarity)
    (draft / CARD).write_text(with_section((draft / CARD).read_text(), section))
    write_manifest(draft)


def _print(
    console: Console, found: Sequence[Calibration], figures: Sequence[CalibrationFigures]
) -> None:
    table = Table("contrast", "from", "threshold", "scans", "findings", "ml flagged", "least p")
    for one, row in zip(found, figures, strict=True):
        table.add_row(
            one.contrast,
            one.kind,
            f"{one.threshold:g}",
            str(row.scans),
            f"{row.findings:.2f}",
            f"{row.flagged_ml:.2f}",
            "no p-value" if one.p_floor is None else f"{one.p_floor:.3f}",
        )
    console.print(table)
    for one in found:
        if one.n >= sum(_SPLIT):
            shares = split_check(
                one.masses,
                calibration=_SPLIT[0],
                test=_SPLIT[1],
                generator=np.random.default_rng(_SEED),
            )
            for share in shares:
                console.print(_split_line(one, share), soft_wrap=True, highlight=False)


def _split_line(one: Calibration, share: LevelShare) -> str:
    verdict = "as it should" if share.holds else "MORE OFTEN THAN IT SHOULD"
    return (
        f"{one.contrast}, split 1000 times into {_SPLIT[0]} and {_SPLIT[1]}: p ≤ {share.level:g} "
        f"in {share.share:.3f} of healthy scans (at most {share.attainable:.3f} expected, 99 % "
        f"from {share.low:.3f} to {share.high:.3f}), {verdict}"
    )
