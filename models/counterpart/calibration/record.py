"""What was learned on healthy scans of one contrast: residual scale, threshold and p-values.

Residual scale and healthy threshold come from subjects of the part *validate*, the masses that
p-values compare with from *calibrate* alone; no subject serves both, unless a cohort is so small
that it is cross-fitted by fold (`counterpart.calibration.cross_fitting`). A calibration names
contrast, population, number of scans and the weights it was made with, and stands only for scans of
its kind. Without healthy scans of a contrast, a calibration comes from rendered subjects: then it
has a threshold and no p-value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpart.calibration.conformal import conformal_p, p_floor
from counterpart.calibration.domain import DomainRange, ScanDomain
from counterpart.calibration.residual_scale import ResidualScale
from counterpart.contrast import CONTRASTS
from counterpart.errors import ModelError

HEALTHY_SCANS = "healthy scans"
SIMULATION = "simulation"
NO_P_VALUE = "from simulation, no p-value"

_JSON_KEYS = {
    *("contrast", "population", "kind", "n", "n_scale", "weights_sha256", "threshold"),
    *("threshold_source", "masses", "scale", "domain"),
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of one contrast.

    Args:
        contrast: One of `counterpart.contrast.CONTRASTS`.
        population: Whose scans, in words.
        kind: ``healthy scans``, or ``simulation`` where subjects were rendered.
        n_scale: Number of subjects behind residual scale and threshold.
        weights_sha256: Of the weights it was made with.
        threshold: Healthy threshold of the anomaly map, positive.
        threshold_source: In words: how it was found, on how many scans.
        masses: Largest finding mass of each calibration scan at the threshold, rising; empty from
            simulation.
        scale: Standardises the residual, if the anomaly map does.
        domain: The kind of scans that it stands for; None from simulation.
    """

    contrast: str
    population: str
    kind: str
    n_scale: int
    weights_sha256: str
    threshold: float
    threshold_source: str
    masses: tuple[float, ...] = ()
    scale: ResidualScale | None = None
    domain: DomainRange | None = None

    def __post_init__(self) -> None:
        where = f"calibration of {self.contrast}"
        if self.contrast not in CONTRASTS:
            raise ModelError(
                f"a calibration's contrast must be one of {', '.join(CONTRASTS)}, got "
                f"{self.contrast!r}."
            )
        if self.kind not in (HEALTHY_SCANS, SIMULATION):
            raise ModelError(
                f"{where}: 'kind' must be {HEALTHY_SCANS!r} or {SIMULATION!r}, got {self.kind!r}."
            )
        if not (math.isfinite(self.threshold) and self.threshold > 0):
            raise ModelError(f"{where}: 'threshold' must be positive, got {self.threshold}.")
        if not all(math.isfinite(mass) and mass >= 0 for mass in self.masses):
            raise ModelError(f"{where}: 'masses' must be finite and not negative.")
        if list(self.masses) != sorted(self.masses):
            raise ModelError(f"{where}: 'masses' must rise.")
        if self.kind == SIMULATION and self.masses:
            raise ModelError(f"{where}: rendered subjects give no p-value, so no 'masses'.")
        if self.kind == HEALTHY_SCANS and self.domain is None:
            raise ModelError(f"{where}: 'domain' is missing; calibrate again.")

    @property
    def n(self) -> int:
        """Number of healthy scans behind the p-values."""
        return len(self.masses)

    @property
    def p_floor(self) -> float | None:
        """The least p-value that can come out; None where there is none at all."""
        return p_floor(self.n) if self.n else None

    def p_value(self, mass: float) -> float | None:
        """p-value of a finding of this mass; None from simulation or without calibration scans."""
        return conformal_p(mass, self.masses) if self.n else None

    def applies_to(
        self, contrast: str, weights_sha256: str, domain: ScanDomain | None
    ) -> tuple[bool, str]:
        """Whether this calibration stands for a scan, and why (not), as a sentence.

        Args:
            contrast: Of the scan.
            weights_sha256: Of the weights that repainted it.
            domain: What kind of scan it is; None if that is not known.
        """
        if contrast != self.contrast:
            return False, f"The calibration is of {self.contrast}, the scan is {contrast}."
        if weights_sha256 != self.weights_sha256:
            return False, (
                f"The calibration was made with other weights ({self.weights_sha256[:12]}, these "
                f"are {weights_sha256[:12]}). Calibrate again."
            )
        if self.domain is None:
            return True, f"The threshold is {NO_P_VALUE}."
        if domain is None:
            return False, "Nothing is known of the scan's noise, sharpness and pose."
        agrees, reason = self.domain.agrees(domain)
        if not agrees:
            return False, f"The scan is not of the calibrated kind: {reason}."
        return True, f"Calibrated on {self.population} ({self.n} healthy scans)."

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays, as plain values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **values,
            "n": self.n,
            "masses": list(self.masses),
            "scale": None if self.scale is None else self.scale.to_json(),
            "domain": None if self.domain is None else self.domain.to_json(),
        }

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """The arrays of the residual scale by name; none without it."""
        return {} if self.scale is None else self.scale.to_arrays()

    @classmethod
    def from_json(
        cls, values: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float32]]
    ) -> Calibration:
        """Read what `to_json` and `to_arrays` wrote.

        Raises:
            ModelError: A key is unknown or missing, a value is of the wrong kind, or the parts
                contradict each other.
        """
        wrong = sorted(set(values) ^ _JSON_KEYS)
        if wrong:
            raise ModelError(
                f"calibration: unexpected or missing key {wrong[0]!r}; calibrate again."
            )
        if values["scale"] is None and arrays:
            raise ModelError(
                f"calibration: unexpected array {sorted(arrays)[0]!r} without a residual scale."
            )
        known = {key: value for key, value in values.items() if key != "n"}
        try:
            known["masses"] = tuple(float(mass) for mass in values["masses"])
            known["threshold"] = float(values["threshold"])
            known["n_scale"] = int(values["n_scale"])
            if values["domain"] is not None:
                known["domain"] = DomainRange.from_json(values["domain"])
            if values["scale"] is not None:
                known["scale"] = ResidualScale.from_arrays(arrays, values["scale"])
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"calibration: a value has the wrong kind ({error}).") from error
        found = cls(**known)
        if found.n != values["n"]:
            raise ModelError(
                f"calibration of {found.contrast}: 'n' is {values['n']}, but there are {found.n} "
                "'masses'; calibrate again."
            )
        return found


def pack_calibrations(
    calibrations: Sequence[Calibration],
) -> tuple[list[dict[str, Any]], dict[str, NDArray[np.float32]]]:
    """Calibrations as a JSON list and one dictionary of arrays, named ``CONTRAST/array``.

    Raises:
        ModelError: Two calibrations are of one contrast and kind.
    """
    arrays: dict[str, NDArray[np.float32]] = {}
    keys = [_key(one.contrast, one.kind) for one in calibrations]
    if len(set(keys)) < len(keys):
        raise ModelError(f"expected one calibration per contrast and kind, got {keys}.")
    for key, one in zip(keys, calibrations, strict=True):
        arrays.update({f"{key}/{name}": array for name, array in one.to_arrays().items()})
    return [one.to_json() for one in calibrations], arrays


def unpack_calibrations(
    values: Sequence[Mapping[str, Any]], arrays: Mapping[str, NDArray[np.float32]]
) -> list[Calibration]:
    """Read what `pack_calibrations` wrote.

    Raises:
        ModelError: An array belongs to no calibration, or one of them cannot be read.
    """
    calibrations = []
    rest = dict(arrays)
    for one in values:
        prefix = _key(str(one.get("contrast")), str(one.get("kind"))) + "/"
        own = {name: rest.pop(name) for name in list(rest) if name.startswith(prefix)}
        own = {name.removeprefix(prefix): array for name, array in own.items()}
        calibrations.append(Calibration.from_json(one, own))
    if rest:
        raise ModelError(f"calibration: the array {sorted(rest)[0]!r} belongs to none.")
    return calibrations


def choose_calibration(
    calibrations: Sequence[Calibration],
    contrast: str,
    weights_sha256: str,
    domain: ScanDomain | None,
) -> tuple[Calibration | None, str]:
    """The calibration for a scan: one of healthy scans if it applies, else one from simulation.

    Returns:
        The calibration, or None, and the reason as a sentence; where one of healthy scans had to be
        passed over, the reason says why.
    """
    reasons: list[str] = []
    for one in sorted(calibrations, key=lambda known: known.kind == SIMULATION):
        applies, reason = one.applies_to(contrast, weights_sha256, domain)
        if applies:
            return one, " ".join([*reasons, reason])
        if one.contrast == contrast:
            reasons.append(reason)
    return None, " ".join(reasons) or f"There is no calibration of {contrast}."


def _key(contrast: str, kind: str) -> str:
    return f"{contrast}/{kind}"
