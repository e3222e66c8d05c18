"""Keeps what has been measured, so that only what is new or has changed is measured.

A row's figures in one contrast lie in ``FOLDER/rows/ROW/figures-CONTRAST.json``, with the digest
of the network, of the heads and of the settings that they were measured with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from counterpart.ablation.measuring import (
    NetworkAnswers,
    baseline_figures,
    network_answers,
    row_figures,
)
from counterpart.ablation.records import HeadFigures
from counterpart.ablation.rows import Row, folder_name
from counterpart.ablation.training import (
    Tell,
    read_mark,
    row_folder,
    trained_network,
    write_json_whole,
)
from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser
from counterpart.errors import CounterpartError
from counterpart.held_out.heads import validation_heads
from counterpart.held_out.selection import SELECTION_CONTRASTS, HeldOut

Figures = Mapping[str, Sequence[HeadFigures]]


def measure_rows(
    folder: Path, cohort: Cohort, rows: Sequence[Row], *, subjects: int, again: bool, tell: Tell
) -> Figures:
    """The figures of all rows whose networks have been trained, by name of the row.

    Args:
        folder: Of the ablation.
        cohort: Its part *validate* is measured on.
        rows: In the order of the table.
        subjects: Most subjects.
        again: Whether figures that are known are measured again.
        tell: Called with words before each measurement.

    Raises:
        CounterpartError: No row has been trained.
    """
    ready = [row for row in rows if row.network_of is None or read_mark(row_folder(folder, row))]
    if all(row.network_of is None for row in ready) and len(ready) < len(rows):
        raise CounterpartError(f"{folder}: no row has been trained yet, so there is no table.")
    found: dict[str, list[HeadFigures]] = {row.name: [] for row in ready}
    for contrast in SELECTION_CONTRASTS:
        tell(f"{contrast}: rendering heads")
        heads = _heads(cohort, contrast, subjects)
        digest = heads_digest(heads)
        answers: tuple[str, Denoiser, NetworkAnswers] | None = None
        for row in ready:
            key = _key(folder, row, digest)
            path = figures_path(folder, row, contrast)
            known = None if again else known_figures(path, key)
            if known is None and row.method is None:
                known = baseline_figures(contrast, heads)
            elif known is None and row.method is not None:
                tell(f"{contrast}: {row.name}")
                if answers is None or answers[0] != row.network_of:  # rows may share a network
                    denoiser = trained_network(folder, row)
                    asked = network_answers(denoiser, contrast, heads, row.method)
                    answers = str(row.network_of), denoiser, asked
                known = row_figures(answers[1], answers[2], row.method)
            if known is not None:
                write_json_whole(path, {"key": key, "figures": [asdict(one) for one in known]})
                found[row.name] += known
    return found


def figures_path(folder: Path, row: Row, contrast: str) -> Path:
    """Where the figures of a row in a contrast are kept."""
    return folder / "rows" / folder_name(row.name) / f"figures-{contrast}.json"


def known_figures(path: Path, key: dict[str, Any]) -> list[HeadFigures] | None:
    """The figures that are kept, if they were measured with the same; else None."""
    if not path.is_file():
        return None
    kept = json.loads(path.read_text())
    return [HeadFigures(**one) for one in kept["figures"]] if kept["key"] == key else None


def heads_digest(heads: HeldOut) -> str:
    """sha256 of what is shown, what is asked for, and where the patterns are."""
    digest = hashlib.sha256()
    for head in (*heads.patterned, *heads.healthy):
        for part in (head.shown, head.clean, head.brain, head.departure):
            digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _heads(cohort: Cohort, contrast: str, subjects: int) -> HeldOut:
    patterned, healthy = (
        validation_heads(
            cohort, (contrast,), subjects, patterned=wanted, device=torch.device("cpu")
        )
        for wanted in (True, False)
    )
    return HeldOut(patterned, healthy)


def _key(folder: Path, row: Row, heads: str) -> dict[str, Any]:
    if row.method is None:
        return {"heads": heads}
    mark = read_mark(row_folder(folder, row))
    how = {
        "reconstruction": row.method.reconstruction.to_json(),
        "anomaly": row.method.anomaly.to_json(),
        "calibrated": row.method.calibrated,
        "second_pass": row.method.second_pass,
    }
    weights = None if mark is None else mark.checkpoint_sha256
    plain: dict[str, Any] = json.loads(json.dumps({"heads": heads, "weights": weights, **how}))
    return plain
