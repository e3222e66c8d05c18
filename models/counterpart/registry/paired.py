"""Measures candidate and serving model on the same held-out heads, each head once.

The heads are those of subjects of the part *calibrate*: training never saw them, settings are
chosen on *validate*, and so are residual scale and healthy threshold. Only the masses that p-values
compare with come from them too, and those enter no figure here. In a cohort that is cross-fitted by
fold there is no such part: there each head is mapped under the scale and the threshold of the other
folds, which is what the candidate's own calibration did.

Both models see the same heads with the same noise. If their weights and settings are the same, one
network's answer serves both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from counterpart.average_precision import average_precision
from counterpart.bundle import Model
from counterpart.calibration.cross_fitting import LEAST_SUBJECTS, cross_fit
from counterpart.calibration.healthy_threshold import HealthyMap, flagged_volume_ml
from counterpart.calibration.record import HEALTHY_SCANS, Calibration
from counterpart.cohort import CROSS_FIT, Cohort
from counterpart.held_out.answers import HeadAnswer, compared, head_map
from counterpart.held_out.heads import HealthyHead, cohort_heads, drawn_head
from counterpart.reconstruction import best_precision, reconstruct
from counterpart.rendering import CONTRASTS
from counterpart.slices import from_slices
from counterpart.training.examples import ExampleConfig, ExampleMaker, Examples

MAX_SUBJECTS = 20
PATTERNED_HEADS, MAX_PATTERNS = 24, 3
SAME_NETWORK_HEADS = 8
WORST_FLAGGED_ML = 10.0

Head = HealthyHead | Examples
WordsAndShare = Callable[[str, float], None]


@dataclass(frozen=True)
class Pairs:
    """Figures of one contrast, one for each subject and model, in the same order.

    Args:
        candidate: Of the candidate.
        serving: Of the serving model.
    """

    candidate: tuple[float, ...]
    serving: tuple[float, ...]


class PairedMeasures:
    """Figures of two models on a cohort's held-out heads; what was measured once is kept.

    Args:
        progress: Called before each head with words and the share of the contrast's heads that is
            done; may raise to cancel.
    """

    def __init__(self, progress: WordsAndShare | None = None) -> None:
        self._tell = progress or (lambda text, share: None)
        self._known: dict[str, tuple[Pairs, Pairs]] = {}

    def healthy_error(
        self, candidate: Model, serving: Model, cohort: Cohort, contrast: str
    ) -> Pairs:
        """Mean absolute error of the ungated reconstruction in the brain, spreads."""
        return self._healthy(candidate, serving, cohort, contrast)[0]

    def healthy_flagged(
        self, candidate: Model, serving: Model, cohort: Cohort, contrast: str
    ) -> Pairs:
        """What is flagged in vain at the model's own threshold, ml; at most 10 ml a scan.

        A scan with 10 ml flagged has failed; that another one has a hundred must not decide alone.
        """
        return self._healthy(candidate, serving, cohort, contrast)[1]

    def pattern_precision(
        self, candidate: Model, serving: Model, cohort: Cohort, contrast: str
    ) -> Pairs:
        """Voxel average precision of the anomaly map for drawn patterns, a subject's mean.

        Of few subjects each has several patterns, so that about 24 heads are looked at; 8 where
        both models have one network, for then only the residual scale differs.
        """
        maker = ExampleMaker(_held_out(cohort), ExampleConfig(), device=torch.device("cpu"))
        same = same_network(candidate, serving)
        heads = SAME_NETWORK_HEADS if same else PATTERNED_HEADS
        rows = range(min(maker.subjects, MAX_SUBJECTS, heads))
        draws = min(max(heads // len(rows), 1), MAX_PATTERNS)
        scales = [pattern_scale(model, contrast) for model in (candidate, serving)]
        found: list[tuple[float, float]] = []
        for row in rows:
            scores = []
            for draw in range(draws):
                done, total = row * draws + draw, len(rows) * draws
                self._tell(f"{contrast}, pattern {done + 1} of {total}", done / total)
                head = drawn_head(maker, row, contrast, draw)
                if bool((head.departure > 0.5).any()):
                    answers = _answers(head, candidate, serving)
                    scores.append(_precisions(head, answers, (candidate, serving), scales))
            if scores:
                one, other = np.mean(np.array(scores), axis=0)
                found.append((float(one), float(other)))
        return _pairs(found)

    def _healthy(
        self, candidate: Model, serving: Model, cohort: Cohort, contrast: str
    ) -> tuple[Pairs, Pairs]:
        key = "/".join([model_key(candidate), model_key(serving), cohort.content_hash, contrast])
        if key not in self._known:
            measure = self._cross_fitted if cohort.cross_fitted else self._held_out
            self._known[key] = measure(candidate, serving, cohort, contrast)
        return self._known[key]

    def _held_out(
        self, candidate: Model, serving: Model, cohort: Cohort, contrast: str
    ) -> tuple[Pairs, Pairs]:
        errors, flagged = [], []
        for head, answers in self._answered(candidate, serving, cohort, contrast):
            errors.append((_error(answers[0]), _error(answers[1])))
            pair = zip(answers, (candidate, serving), strict=True)
            one, other = (_flagged_ml(answer, model, contrast, head) for answer, model in pair)
            flagged.append((one, other))
        return _pairs(errors), _pairs(flagged)

    def _cross_fitted(
        self, candidate: Model, serving: Model, cohort: Cohort, contrast: str
    ) -> tuple[Pairs, Pairs]:
        """The candidate's maps under scale and threshold of the other folds."""
        rows = list(self._answered(candidate, serving, cohort, contrast))
        errors = [(_error(one), _error(other)) for _, (one, other) in rows]
        if not rows or len(rows) < LEAST_SUBJECTS:
            return _pairs(errors), _pairs([])
        fit = cross_fit(
            [answers[0] for _, answers in rows],
            candidate.settings.anomaly,
            progress=lambda text: self._tell(f"{contrast}, {text}", 1.0),
        )
        flagged = [
            (min(volume, WORST_FLAGGED_ML), _flagged_ml(answers[1], serving, contrast, head))
            for (_, volume), (head, answers) in zip(fit.flagged(), rows, strict=True)
        ]
        return _pairs(errors), _pairs(flagged)

    def _answered(
        self, candidate: Model, serving: Model, cohort: Cohort, contrast: str
    ) -> Iterator[tuple[Head, tuple[HeadAnswer, HeadAnswer]]]:
        total = min(len(_held_out(cohort).subjects), _most(cohort))
        for done, head in enumerate(healthy_heads(cohort, contrast)):
            self._tell(f"{contrast}, healthy scan {done + 1} of {total}", done / total)
            yield head, _answers(head, candidate, serving)


def measured_contrasts(cohort: Cohort) -> tuple[str, ...]:
    """The contrasts of which a cohort has scans, or tissue to render them from."""
    rendered = CONTRASTS if cohort.has_tissue else ()
    return tuple(dict.fromkeys((cohort.contrast, *rendered)))


def healthy_heads(cohort: Cohort, contrast: str) -> Iterator[Head]:
    """Healthy held-out heads: as acquired in the cohort's own contrast, else rendered."""
    part = _held_out(cohort)
    if contrast == cohort.contrast:
        for head, _ in zip(cohort_heads(part), range(_most(cohort)), strict=False):
            yield head
        return
    maker = ExampleMaker(part, ExampleConfig(), device=torch.device("cpu"))
    for row in range(min(maker.subjects, _most(cohort))):
        yield drawn_head(maker, row, contrast, None)


def same_network(one: Model, other: Model) -> bool:
    """Whether two models answer every slice alike: the same weights under the same settings."""
    return (
        one.weights_sha256 == other.weights_sha256
        and one.settings.network == other.settings.network
        and one.settings.reconstruction == other.settings.reconstruction
    )


def same_maps(one: Model, other: Model, contrast: str) -> bool:
    """Whether two models make the same maps and findings of a contrast."""
    return (
        same_network(one, other)
        and one.settings.anomaly == other.settings.anomaly
        and _calibration_key(one, contrast) == _calibration_key(other, contrast)
    )


def model_key(model: Model) -> str:
    """Says which model this is, its calibrations included."""
    settings = json.dumps(model.settings.to_json(), sort_keys=True)
    calibrations = [_calibration_key(model, contrast) for contrast in model.contrasts]
    return "|".join([model.weights_sha256, settings, *calibrations])


def pattern_scale(model: Model, contrast: str) -> Calibration | None:
    """The calibration whose scale a drawn head is mapped under: of healthy scans, if any is."""
    known = [one for one in model.calibrations if one.contrast == contrast]
    return min(known, key=lambda one: one.kind != HEALTHY_SCANS, default=None)


def _held_out(cohort: Cohort) -> Cohort:
    return cohort.part(CROSS_FIT if cohort.cross_fitted else "calibrate")


def _most(cohort: Cohort) -> int:
    return len(cohort.subjects) if cohort.cross_fitted else MAX_SUBJECTS


def _calibration_key(model: Model, contrast: str) -> str:
    parts = []
    for one in sorted(model.calibrations, key=lambda known: known.kind):
        if one.contrast == contrast:
            parts.append(json.dumps(one.to_json(), sort_keys=True))
            parts += [array.tobytes().hex() for _, array in sorted(one.to_arrays().items())]
    return ";".join(parts)


def _answers(head: Head, candidate: Model, serving: Model) -> tuple[HeadAnswer, HeadAnswer]:
    answer = _answer(head, candidate)
    return answer, answer if same_network(candidate, serving) else _answer(head, serving)


def _answer(head: Head, model: Model) -> HeadAnswer:
    found = reconstruct(
        model.denoiser,
        head.shown.cpu(),
        head.brain.cpu(),
        model.settings.reconstruction,
        seed=1,
        precision=best_precision(model.denoiser.signal.device),
    )
    return compared(head, found)


def _error(answer: HeadAnswer) -> float:
    return float(np.abs(answer.residual[answer.brain]).mean())


def _flagged_ml(answer: HeadAnswer, model: Model, contrast: str, head: Head) -> float:
    domain = head.domain() if isinstance(head, HealthyHead) else None
    calibration, _ = model.calibration(contrast, domain)
    values = head_map(answer, model.settings.anomaly, calibration.scale)
    if not np.isfinite(values).all():
        return float("nan")
    _, volume_ml = flagged_volume_ml(HealthyMap(values).cropped(), calibration.threshold)
    return min(volume_ml, WORST_FLAGGED_ML)


def _precisions(
    head: Examples,
    answers: tuple[HeadAnswer, HeadAnswer],
    models: tuple[Model, Model],
    scales: Sequence[Calibration | None],
) -> tuple[float, float]:
    truth = from_slices(head.departure.cpu()) > 0.5
    found = []
    for answer, model, known in zip(answers, models, scales, strict=True):
        scale = None if known is None else known.scale
        values = np.abs(head_map(answer, model.settings.anomaly, scale)[answer.brain])
        score, inside = torch.from_numpy(values), torch.from_numpy(truth[answer.brain])
        finite = bool(np.isfinite(values).all())
        found.append(float(average_precision(score, inside)) if finite else float("nan"))
    return found[0], found[1]


def _pairs(found: Sequence[tuple[float, float]]) -> Pairs:
    return Pairs(tuple(one for one, _ in found), tuple(other for _, other in found))
