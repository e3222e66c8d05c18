"""The healthy references of one scan's counterpart, as every place that shows them knows them.

Said of them is that they are the *most similar healthy references*, never that they caused it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADING = "Most similar healthy references"


@dataclass(frozen=True)
class Reference:
    """A healthy subject that the model was trained on.

    Args:
        name: Pseudonym.
        similarity: Mean cosine of the counterpart's flagged slices with the subject's.
        rise: By how much it is more than that of the scan.
    """

    name: str
    similarity: float
    rise: float


@dataclass(frozen=True)
class References:
    """The answer for one scan.

    Args:
        ranked: The subjects whose similarity rises, most similar first.
        largest_similarity: Of them; the statistic of the test. None where there are none.
        p_value: How often subjects who were never trained on reach as much; None where unknown.
        held_out: How many such subjects there are.
        withdrawn: Subjects that the model was trained on and that are named no more.
        note: A full sentence where there can be no answer, else empty.
    """

    ranked: tuple[Reference, ...]
    largest_similarity: float | None
    p_value: float | None
    held_out: int
    withdrawn: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the server's results, which can be removed; never for the provenance."""
        largest = self.largest_similarity
        return {
            "heading": HEADING,
            "references": [
                {"id": one.name, "similarity": round(one.similarity, 4), "rise": round(one.rise, 4)}
                for one in self.ranked
            ],
            "largest_similarity": None if largest is None else round(largest, 4),
            "p_value": self.p_value,
            "held_out": self.held_out,
            "withdrawn": self.withdrawn,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> References:
        """Read what `to_json` wrote.

        Raises:
            KeyError: A key is missing.
            TypeError: A value is of another kind.
            ValueError: A number is none.
        """
        ranked = tuple(
            Reference(str(one["id"]), float(one["similarity"]), float(one["rise"]))
            for one in values["references"]
        )
        largest, p_value = values["largest_similarity"], values["p_value"]
        return cls(
            ranked,
            None if largest is None else float(largest),
            None if p_value is None else float(p_value),
            int(values["held_out"]),
            int(values["withdrawn"]),
            str(values["note"]),
        )
