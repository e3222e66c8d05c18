"""Healthy references for the tests: a small prepared cohort, and answers that name its subjects."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from counterpart.attribution.pictures import cohort_secret
from counterpart.attribution.reference_index import pseudonym
from counterpart.attribution.references import Reference, References
from counterpart.cohort import PreparedSubject, Subject, write_cohort
from counterpart.results import DISCLAIMER
from counterpart.template import CANVAS

NAMES = ("anna", "bela", "carl")
BLOCK = (slice(30, 50), slice(20, 60), slice(30, 60))  # (K, I, J): a brain with no symmetry
LEVELS = {"anna": 100, "bela": 150, "carl": 200}


def write_small_cohort(folder: Path) -> tuple[str, ...]:
    """Write a prepared cohort of three cuboids, with the key of its pseudonyms.

    Returns:
        The pseudonyms, in the order of `NAMES`.
    """
    write_cohort(folder, [_prepared(name) for name in NAMES], {"source": "made up"})
    return names_of(folder)


def names_of(folder: Path) -> tuple[str, ...]:
    """The pseudonyms of the cohort's subjects, in the order of `NAMES`."""
    secret = cohort_secret(folder)
    return tuple(pseudonym(name, secret) for name in NAMES)


def answer_of(*names: str) -> References:
    """The answer that names these."""
    ranked = tuple(Reference(one, 0.8 - 0.1 * at, 0.03) for at, one in enumerate(names))
    return References(ranked, 0.03, 0.21, 60, withdrawn=2)


def write_answer(maps: Path, answer: References) -> None:
    """Write an answer as `counterpart.output.write_findings` does."""
    told = {"disclaimer": DISCLAIMER, **answer.to_json()}
    (maps / "references.json").write_text(json.dumps(told, indent=1) + "\n")
    shutil.rmtree(maps.parent / "references", ignore_errors=True)  # made of the answer before


def maps_of(state: Path, job: str) -> Path:
    """The folder of a job's result on the server."""
    key = json.loads((state / "jobs" / f"{job}.json").read_text())["key"]
    return state / "results" / key / "maps"


def _prepared(name: str) -> PreparedSubject:
    shape = (CANVAS.shape[2], *CANVAS.shape[:2])
    scan, brain = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    brain[BLOCK], scan[BLOCK] = 1, LEVELS[name]
    scan[BLOCK[0], BLOCK[1], 30:35] = 10
    arrays: dict[str, Any] = {
        "scan": scan,
        "brain": brain,
        "tissue": np.zeros((4, *shape), np.uint8),
        "inward": np.zeros(shape, np.uint8),
    }
    return PreparedSubject(Subject(name, "train", -2.0, 0.05, 0.9), arrays)
