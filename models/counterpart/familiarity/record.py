"""The record of the healthy cohort in a model, and what it says of a scan.

A scan is compared with the healthy heads of its contrast. Beyond what one healthy head in twenty
reaches in anything it is answered with a *warning*. It is *refused* if two of its traits (code,
histogram, information, texture, size) lie beyond what one healthy head in a thousand reaches in
anything, compared with the heads of every contrast: one strange trait alone may be a disease or a
scanner. Each rate is shared evenly among all amounts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from counterpart.calibration.record import SIMULATION
from counterpart.errors import ModelError, UnfamiliarScanError
from counterpart.familiarity.limits import HealthyAmount
from counterpart.familiarity.looks import CODE, HISTOGRAM, SIDES, TOGETHER, HealthyLook
from counterpart.familiarity.traits import BrainSize, ScanTraits
from counterpart.grid import FloatArray

WARNING_RATE = 0.05
REFUSAL_RATE = 0.001
SIZES = ("volume_ml", "proportion", "misfit")
REFUSING_TRAITS = 2
_TRAITS = (
    (CODE,),
    (HISTOGRAM,),
    ("information",),
    ("noise", "sharpness"),
    ("volume_ml", "proportion", "misfit"),
)
_KEYS = {"population", "weights_sha256", "looks", "sizes", "check"}
_CHECK = ("heads", "warned", "refused")
# An amount's words and their number.
_WORDS = {
    CODE: ("a distance of {} in the encoder's space", "{:.3f}"),
    HISTOGRAM: ("a histogram that differs by {} spreads", "{:.2f}"),
    "information": ("a mutual information with the template of {} nats", "{:.3f}"),
    "noise": ("noise of {} spreads", "{:.3f}"),
    "sharpness": ("edges of {} spreads/mm", "{:.3f}"),
    TOGETHER: ("in all of its picture {} times as strange as usual", "{:.1f}"),
    "volume_ml": ("a brain of {} ml", "{:.0f}"),
    "proportion": ("a brain stretched {} times as much one way as another", "{:.2f}"),
    "misfit": ("a share of {} that does not overlap the template", "{:.3f}"),
}
_SIDES = {**SIDES, "volume_ml": (1, -1), "proportion": (1,), "misfit": (1,)}
_TESTS = sum(len(sides) for sides in _SIDES.values())
_SEPARATOR = "; "


@dataclass(frozen=True)
class Excess:
    """How far an amount of a scan lies from healthy heads.

    Args:
        name: Of the amount.
        value: Of the scan.
        healthy: What healthy heads have.
    """

    name: str
    value: float
    healthy: HealthyAmount

    def share(self, rate: float) -> float:
        """Of the way to the limit that all amounts together pass at this rate in health."""
        sides = _SIDES[self.name]
        score = self.healthy.score(self.value)
        return max(side * score for side in sides) / self.healthy.reach(rate / _TESTS)

    def words(self, rate: float) -> str:
        """The value beside the limits."""
        sides, (words, form) = _SIDES[self.name], _WORDS[self.name]
        low, high = (
            form.format(self.healthy.limit(rate / _TESTS, below=side < 0)) for side in (-1, 1)
        )
        one_sided = {1: f"at most {high}", -1: f"at least {low}"}
        within = one_sided[sides[0]] if len(sides) == 1 else f"{low} to {high}"
        return f"{words.format(form.format(self.value))} (healthy heads: {within})"


@dataclass(frozen=True)
class Verdict:
    """What is said of a scan that was not refused.

    Args:
        reason: Whether anything is unusual, or why that cannot be told, as a sentence.
        warnings: Full sentences for the reader; none or one.
        amounts: What was measured.
    """

    reason: str
    warnings: tuple[str, ...] = ()
    amounts: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the provenance."""
        return {"reason": self.reason, "amounts": dict(self.amounts)}


@dataclass(frozen=True)
class Familiarity:
    """What healthy heads have, and how many of them would be warned of or refused.

    Args:
        population: Whose heads, in words.
        weights_sha256: Of the weights whose encoder made the codes.
        looks: By contrast, as acquired and as rendered.
        sizes: What healthy heads have of each of `SIZES`; may lack some.
        check: Number of ``heads`` of the part *calibrate* that were tried, and how many of them
            would be ``warned`` of or ``refused``.
    """

    population: str
    weights_sha256: str
    looks: tuple[HealthyLook, ...]
    sizes: Mapping[str, HealthyAmount] = field(default_factory=dict)
    check: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(_CHECK, 0))

    def __post_init__(self) -> None:
        keys = [look.key for look in self.looks]
        if not keys or len(set(keys)) < len(keys):
            raise ModelError(f"the healthy cohort: expected one look per contrast, got {keys}.")
        wrong = sorted(set(self.sizes) - set(SIZES)) + sorted(set(self.check) ^ set(_CHECK))
        if wrong:
            raise ModelError(f"the healthy cohort: unexpected or missing key {wrong[0]!r}.")

    @property
    def sentence(self) -> str:
        """Limits and their price, for the card and the screen."""
        heads, warned, refused = (self.check[name] for name in _CHECK)
        looks = ", ".join(f"{look.contrast} ({look.heads}, {look.kind})" for look in self.looks)
        tried = (
            f"of {heads} healthy heads that made no limit {warned} would be warned of and "
            f"{refused} refused"
            if heads
            else "no heads were left to try the limits on"
        )
        return (
            f"Scans unlike the healthy heads of {self.population} are warned of (one healthy head "
            f"in {1 / WARNING_RATE:.0f} by design) or refused (one in {1 / REFUSAL_RATE:.0f}); "
            f"{tried}. Heads: {looks}."
        )

    def judge(
        self,
        traits: ScanTraits,
        size: BrainSize | None,
        contrast: str,
        *,
        guessed: bool = False,
    ) -> Verdict:
        """Warn of a scan that differs from healthy heads, refuse one that differs far.

        Args:
            traits: Of the scan in its frame.
            size: Of its brain, if that is known.
            contrast: One of `counterpart.contrast.CONTRASTS`.
            guessed: Whether the contrast is known from tissue means alone.

        Raises:
            UnfamiliarScanError: It lies far outside; the message says in what and how far.
        """
        sizes = self._sizes(traits, size)
        far = min((_far(look, traits, sizes) for look in self.looks), key=len)
        if len(far) >= REFUSING_TRAITS:
            raise UnfamiliarScanError(
                "the scan lies far outside the healthy heads that the model knows "
                f"({self.population}): {_SEPARATOR.join(far)}. Check that it is the MRI of a "
                "head, and the voxel size in its header. If it is, its scanner or sequence needs "
                "a model that is trained on its own healthy scans."
            )
        own = self._own_looks(contrast)
        found = [*sizes, *_nearest(own or self.looks, traits)]
        unusual = _beyond(found, WARNING_RATE)
        amounts = {one.name: round(one.value, 4) for one in found}
        if not own:
            heads = ", ".join(sorted({look.contrast for look in self.looks}))
            unusual.append(f"no healthy heads of contrast {contrast} are known, but of {heads}")
        elif guessed and all(look.kind == SIMULATION for look in own):
            unusual.append(
                f"that it is {contrast} is guessed from tissue means, and of {contrast} rendered "
                "heads alone are known"
            )
        if not unusual:
            return Verdict(f"The scan is like {self.population}.", (), amounts)
        words = (
            f"The scan is unlike the healthy heads that the model knows: "
            f"{_SEPARATOR.join(unusual)}. Trust its maps less; check sequence, quality and header."
        )
        return Verdict(words, (words,), amounts)

    def _own_looks(self, contrast: str) -> tuple[HealthyLook, ...]:
        """Of the scan's contrast; an agent brightens lesions and vessels, hardly the brain."""
        name = "T1" if contrast == "T1c" else contrast
        return tuple(look for look in self.looks if look.contrast == name)

    def _sizes(self, traits: ScanTraits, size: BrainSize | None) -> list[Excess]:
        values = {"misfit": 1.0 - traits.overlap}
        if size is not None:
            values |= {"volume_ml": size.volume_ml, "proportion": size.proportion}
        known = self.sizes
        return [
            Excess(name, values[name], known[name])
            for name in SIZES
            if name in known and math.isfinite(values.get(name, math.nan))
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays, as plain values."""
        return {
            "population": self.population,
            "weights_sha256": self.weights_sha256,
            "looks": [look.to_json() for look in self.looks],
            "sizes": {name: amount.to_json() for name, amount in self.sizes.items()},
            "check": dict(self.check),
        }

    def to_arrays(self) -> dict[str, FloatArray]:
        """The arrays by ``CONTRAST/kind/name``."""
        return {
            f"{look.key}/{name}": array
            for look in self.looks
            for name, array in look.to_arrays().items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> Familiarity:
        """Read what `to_json` and `to_arrays` wrote.

        Raises:
            ModelError: A key or array is missing, unknown, or of the wrong kind.
        """
        wrong = sorted(set(values) ^ _KEYS)
        if wrong:
            raise ModelError(f"the healthy cohort: unexpected or missing key {wrong[0]!r}.")
        rest = dict(arrays)
        try:
            looks = []
            for one in values["looks"]:
                prefix = f"{one.get('contrast')}/{one.get('kind')}/"
                own = [name for name in rest if name.startswith(prefix)]
                known = {name.removeprefix(prefix): rest.pop(name) for name in own}
                looks.append(HealthyLook.from_json(one, known))
            sizes = {
                str(name): HealthyAmount.from_json(dict(amount))
                for name, amount in values["sizes"].items()
            }
            check = {str(name): int(count) for name, count in values["check"].items()}
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"the healthy cohort: a value has the wrong kind ({error})."
            ) from error
        if rest:
            raise ModelError(f"the healthy cohort: the array {sorted(rest)[0]!r} belongs to none.")
        return cls(
            str(values["population"]), str(values["weights_sha256"]), tuple(looks), sizes, check
        )


def _nearest(looks: tuple[HealthyLook, ...], traits: ScanTraits) -> list[Excess]:
    """For each amount of a scan the look to which it lies nearest."""
    measured = [(look, look.measured(traits)) for look in looks]
    nearest: list[Excess] = []
    for name in SIDES:
        found = [
            Excess(name, own[name], look.amounts[name]) for look, own in measured if name in own
        ]
        nearest += sorted(found, key=lambda one: one.share(WARNING_RATE))[:1]
    return nearest


def _far(look: HealthyLook, traits: ScanTraits, sizes: list[Excess]) -> list[str]:
    """Of each trait that lies beyond the limits of refusal its strangest amount, in words."""
    measured = look.measured(traits)
    found = [Excess(name, value, look.amounts[name]) for name, value in measured.items()]
    far = []
    for names in _TRAITS:
        amounts = [one for one in (*found, *sizes) if one.name in names]
        strangest = sorted(amounts, key=lambda one: -one.share(REFUSAL_RATE))[:1]
        far += _beyond(strangest, REFUSAL_RATE)
    return far


def _beyond(found: list[Excess], rate: float) -> list[str]:
    return [one.words(rate) for one in found if one.share(rate) > 1.0]
