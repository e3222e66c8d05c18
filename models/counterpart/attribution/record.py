"""What a model knows of the healthy scans that it was trained on: kept in its bundle.

``configs/references.json`` holds names and figures, ``models/references.safetensors`` the features.
Names are pseudonyms; of the scans themselves nothing is kept but a code per slice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpart.attribution.domain_maps import LinearMap
from counterpart.attribution.flagged_slices import FlaggedCodes
from counterpart.attribution.reference_index import ReferenceIndex, unit
from counterpart.attribution.references import References
from counterpart.attribution.rising import rises, rising_references
from counterpart.errors import ModelError

FORMAT = 1
_FEATURES, _LEVELS, _DIGITS = 127.0, "levels_mm", 6


@dataclass(frozen=True, eq=False)
class ReferenceRecord:
    """The healthy references of a model.

    Args:
        weights_sha256: Of the weights whose encoder made the features.
        levels_mm: Template z of each level.
        index: Mapped features of the subjects that were trained on.
        linear_map: What is done to a scan's codes before they are compared.
        method: How it was found, in words.
        healthy: By contrast, the test's statistic of each subject that was never trained on.
    """

    weights_sha256: str
    levels_mm: tuple[float, ...]
    index: ReferenceIndex
    linear_map: LinearMap
    method: str
    healthy: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if len(self.levels_mm) != len(self.index.features):
            raise ModelError(
                f"healthy references: expected {len(self.levels_mm)} levels, got "
                f"{len(self.index.features)}."
            )

    def answer(self, flagged: FlaggedCodes, contrast: str) -> References:
        """The most similar healthy references of a scan.

        Args:
            flagged: Raw codes of its flagged slices, before and after healing.
            contrast: Of the scan; without subjects of it there is no p-value.
        """
        healthy = self.healthy.get(contrast, ())
        if not flagged.levels.size:
            note = "Nothing is flagged, so there is nothing to compare."
            if flagged.elsewhere:
                low, high = self.levels_mm[0], self.levels_mm[-1]
                note = (
                    "What is flagged lies in slices that no reference was indexed at (indexed: "
                    f"{low:g} to {high:g} mm of template space)."
                )
            return References((), None, None, len(healthy), self.index.withdrawn, note)
        if not self.index.names:
            note = "Every healthy reference was withdrawn."
            return References((), None, None, len(healthy), self.index.withdrawn, note)
        similarity, rise = rises(self.index, self.linear_map, flagged)
        found = rising_references(self.index, similarity, rise, healthy)
        if found.ranked:
            return found
        note = "No healthy reference is more similar to the counterpart than to the scan."
        return replace(found, note=note)

    def without(self, names: Collection[str]) -> ReferenceRecord:
        """The record without withdrawn subjects, as far as it has them."""
        index = self.index
        for name in sorted(set(names) & set(index.names)):
            index = index.without(name)
        return self if index is self.index else replace(self, index=index)

    def to_json(self) -> dict[str, Any]:
        """What is no array."""
        return {
            "format": FORMAT,
            "weights_sha256": self.weights_sha256,
            _LEVELS: list(self.levels_mm),
            "method": self.method,
            "healthy": {
                contrast: [round(value, _DIGITS) for value in values]
                for contrast, values in self.healthy.items()
            },
            **self.index.to_json(),
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Features in steps of 1/127 of the largest of their slice, and the map."""
        features = self.index.features.astype(np.float32)
        largest = np.abs(features).max(axis=-1, keepdims=True)
        steps = np.divide(features, largest, out=np.zeros_like(features), where=largest > 0)
        return {
            "features": np.rint(_FEATURES * steps).astype(np.int8),
            "mean": self.linear_map.mean,
            "matrix": self.linear_map.matrix,
        }

    @classmethod
    def read(cls, values: Mapping[str, Any], arrays: Mapping[str, Any]) -> ReferenceRecord:
        """Read what `to_json` and `to_arrays` wrote.

        Raises:
            ModelError: Something is missing, unknown or does not fit.
        """
        if values.get("format") != FORMAT:
            raise ModelError(
                f"healthy references: format {values.get('format')}, expected {FORMAT}."
            )
        try:
            stored = np.asarray(arrays["features"], np.float32)
            return cls(
                str(values["weights_sha256"]),
                tuple(float(level) for level in values[_LEVELS]),
                ReferenceIndex.read(values, unit(stored)),
                LinearMap(arrays["mean"], arrays["matrix"]),
                str(values["method"]),
                {str(key): tuple(map(float, some)) for key, some in values["healthy"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"healthy references: {error} is missing or damaged.") from error
