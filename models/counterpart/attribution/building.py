"""Makes the record of a model's healthy references, when a model is exported or retrained.

One index of the scans as acquired serves every contrast: the encoder gives a slice the same code
whatever its contrast (`counterpart attribution` measures it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from counterpart.attribution.domain_maps import LinearMap, level_whitening
from counterpart.attribution.flagged_slices import LEVELS_MM
from counterpart.attribution.pictures import cohort_secret
from counterpart.attribution.record import ReferenceRecord
from counterpart.attribution.reference_index import ReferenceIndex, pseudonym
from counterpart.attribution.rising import largest_similarity, rises
from counterpart.attribution.whole_heads import head_codes, healed_head
from counterpart.bundle import ModelSettings
from counterpart.calibration.record import HEALTHY_SCANS, Calibration
from counterpart.cohort import PARTS, Cohort
from counterpart.denoiser import Denoiser
from counterpart.held_out.heads import cohort_heads, drawn_head
from counterpart.training.examples import ExampleConfig, ExampleMaker

Progress = Callable[[str], None]
TRAINED, *HELD_OUT = PARTS
RIDGE = 0.01
WHITENING = "whitening of what slices differ in from the mean of their level"


@dataclass(frozen=True, eq=False)
class Working:
    """A model as it is before its bundle is written.

    Args:
        denoiser: Network with the encoder.
        settings: Noise levels and map.
        calibrations: Thresholds and scales.
        weights_sha256: Of the weights as they are written.
    """

    denoiser: Denoiser
    settings: ModelSettings
    calibrations: Sequence[Calibration]
    weights_sha256: str

    def by_contrast(self) -> dict[str, Calibration]:
        """One calibration for each contrast, of healthy scans where there is one."""
        ordered = sorted(self.calibrations, key=lambda one: one.kind == HEALTHY_SCANS)
        return {one.contrast: one for one in ordered}


def reference_record(
    model: Working,
    cohort: Cohort,
    folder: Path,
    *,
    subjects: int = 40,
    progress: Progress | None = None,
) -> ReferenceRecord | None:
    """Index every slice of the subjects that were trained on, and test held-out ones.

    Args:
        model: Whose references they are.
        cohort: That it was trained on.
        folder: Of the cohort: the key of the pseudonyms lies there.
        subjects: Most held-out subjects of each contrast that the p-value compares with.
        progress: Called with words; may raise to cancel.

    Returns:
        None for a model without an encoder, or a cohort that nothing is trained on.

    Raises:
        CohortError: The key of the pseudonyms cannot be written.
    """
    trained = [one for one in cohort.subjects if one.part == TRAINED]
    if model.denoiser.config.encoder is None or len(trained) < 2:
        return None
    tell = progress or (lambda words: None)
    tell("features of the healthy references")
    codes = np.stack(
        [head_codes(model.denoiser, head) for head in cohort_heads(cohort.part(TRAINED))]
    )
    whiten = level_whitening(codes, ridge=RIDGE)
    secret = cohort_secret(folder)
    index = ReferenceIndex.of([pseudonym(one.name, secret) for one in trained], whiten(codes))
    healthy = {
        contrast: tuple(
            sorted(largest_similarities(model, cohort, index, whiten, contrast, subjects, tell))
        )
        for contrast in sorted(model.by_contrast())
        if cohort.has_tissue
    }
    return ReferenceRecord(
        model.weights_sha256,
        LEVELS_MM,
        index,
        whiten,
        f"{WHITENING}, of {len(trained)} subjects",
        {contrast: values for contrast, values in healthy.items() if values},
    )


def largest_similarities(
    model: Working,
    cohort: Cohort,
    index: ReferenceIndex,
    whiten: LinearMap,
    contrast: str,
    subjects: int,
    progress: Progress,
) -> Iterator[float]:
    """The test's statistic for each held-out subject with a drawn pattern that is flagged.

    The patterns are of families that were never trained on.

    Args:
        model: That heals them.
        cohort: With the parts *validate* and *calibrate*.
        index: Of the subjects that were trained on.
        whiten: How features are mapped.
        contrast: As which the subjects are shown.
        subjects: Most of them, of both parts together.
        progress: Called with words.
    """
    calibration = model.by_contrast()[contrast]
    for number, (maker, row) in enumerate(islice(held_out_rows(model, cohort), subjects), start=1):
        progress(f"references, held-out subject {number}, {contrast}")
        head = drawn_head(maker, row, contrast, 0)
        found = healed_head(model.denoiser, head, model.settings, calibration)
        if found.levels.size:
            yield largest_similarity(*rises(index, whiten, found))


def held_out_rows(model: Working, cohort: Cohort) -> Iterator[tuple[ExampleMaker, int]]:
    """Every subject that was not trained on, with what draws its head."""
    for part in HELD_OUT:
        if any(one.part == part for one in cohort.subjects):
            device = model.denoiser.signal.device
            maker = ExampleMaker(cohort.part(part), ExampleConfig(), device=device)
            yield from ((maker, row) for row in range(maker.subjects))
