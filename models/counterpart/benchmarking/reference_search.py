"""How the search for healthy references grows with their number, beside faiss where it is there.

Every flagged slice is compared with that of every reference at its level: exact, and linear in the
number of references. faiss' exhaustive index does the same sum over one long vector per reference.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from counterpart.attribution.reference_index import Array, ReferenceIndex
from counterpart.benchmarking.sheets import Sheet, seconds
from counterpart.benchmarking.timing import Seconds, in_turn

CODE_SIZE, FLAGGED = 128, 12
OURS, FAISS = "exact search", "faiss, exhaustive"


@dataclass(frozen=True)
class SearchTime:
    """What one search takes.

    Args:
        subjects: Number of references.
        seconds: By name of the search.
        megabytes: That the features of the searched levels take.
    """

    subjects: int
    seconds: dict[str, Seconds]
    megabytes: float


@dataclass(frozen=True)
class SearchFigures:
    """The scaling.

    Args:
        flagged: Slices that are compared in each search.
        faiss: Its version; empty where it is not installed.
        rows: By rising number of references.
    """

    flagged: int
    faiss: str
    rows: tuple[SearchTime, ...]


def measure_search(
    subjects: Sequence[int], repeats: int, say: Callable[[str], None]
) -> SearchFigures:
    """Take the time of the search among made-up references.

    Args:
        subjects: Numbers of references.
        repeats: Of each search.
        say: Told what is being done.
    """
    faiss = _faiss()
    rows = []
    for count in sorted(subjects):
        say(f"{count} references")
        index, query = _made_up(count)
        works: dict[str, Callable[[], object]] = {OURS: partial(index.similarity, query)}
        if faiss is not None:
            works[FAISS] = _faiss_work(faiss, index, query)
        times = in_turn(works, repeats, torch.device("cpu"))
        rows.append(SearchTime(count, times, index.features.nbytes / 1e6))
    version = "" if faiss is None else str(faiss.__version__)
    return SearchFigures(FLAGGED, version, tuple(rows))


def search_sheet(figures: SearchFigures) -> Sheet:
    """Seconds by number of references, and ratios to the search before."""
    names = [OURS, *([FAISS] if figures.faiss else [])]
    rows = []
    for number, row in enumerate(figures.rows):
        before = figures.rows[number - 1] if number else None
        growth = "–" if before is None else f"{_ratio(row, before):.1f}"
        cells = [seconds(row.seconds[name].median) for name in names]
        gain = (
            [f"{row.seconds[OURS].median / row.seconds[FAISS].median:.1f}"] if figures.faiss else []
        )
        rows.append((f"{row.subjects:,}", *cells, *gain, growth, f"{row.megabytes:.0f}"))
    heads = ("references", *names, *(["ours by faiss"] if figures.faiss else []))
    note = "" if figures.faiss else " faiss is not installed, so there is nothing beside it."
    return Sheet(
        f"Searching the healthy references for {figures.flagged} flagged slices",
        (*heads, "times the row above", "MB"),
        tuple(rows),
        (f"Median seconds of one answer; made-up features of {CODE_SIZE} numbers.{note}",),
    )


def _ratio(row: SearchTime, before: SearchTime) -> float:
    return row.seconds[OURS].median / before.seconds[OURS].median


def _made_up(count: int) -> tuple[ReferenceIndex, Array]:
    rng = np.random.default_rng(count)
    features = rng.standard_normal((FLAGGED, count, CODE_SIZE), dtype=np.float32)
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    names = tuple(f"reference-{number}" for number in range(count))
    query = rng.standard_normal((FLAGGED, CODE_SIZE), dtype=np.float32)
    return ReferenceIndex(names, features), query


def _faiss() -> Any:
    try:
        return importlib.import_module("faiss")
    except ImportError:
        return None


def _faiss_work(faiss: Any, index: ReferenceIndex, query: Array) -> Callable[[], object]:
    """All references, best first, as our search could be asked for."""
    whole = np.ascontiguousarray(np.moveaxis(index.features, 0, 1).astype(np.float32))
    flat = faiss.IndexFlatIP(FLAGGED * CODE_SIZE)
    flat.add(whole.reshape(len(whole), -1))
    asked = np.ascontiguousarray(query.reshape(1, -1))
    return lambda: flat.search(asked, 5)
