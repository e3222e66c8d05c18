"""The most similar healthy references of a counterpart, as a server tells and a run keeps them.

They are similar, and it is never said that they caused anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from HealthyCounterpartLib.translation import _

_LEAST_P = 0.001


@dataclass(frozen=True)
class Reference:
    """A healthy subject that the model was trained on.

    Args:
        id: Pseudonym.
        similarity: Mean cosine of the counterpart's flagged slices with the subject's; None where
            nobody told it.
        rise: By how much it is more than that of the scan; None where nobody told it.
    """

    id: str
    similarity: Optional[float] = None
    rise: Optional[float] = None


@dataclass(frozen=True)
class References:
    """What is known of a run's references.

    Args:
        ranked: The most similar first.
        p_value: Of one test for the whole scan; None where there is none.
        held_out: Healthy subjects who were never trained on, with whom it was tested.
        withdrawn: Subjects that the model was trained on and that are named no more.
        note: A full sentence where there can be no answer, else empty.
        viewable: Whether the server shows their scans.
    """

    ranked: tuple[Reference, ...] = ()
    p_value: Optional[float] = None
    held_out: int = 0
    withdrawn: int = 0
    note: str = ""
    viewable: bool = False


def read_references(told: Any) -> Optional[References]:
    """What a run keeps of its references; what makes no sense is left out.

    Args:
        told: The server's object; of a run from before there was one, the list within it.

    Returns:
        None where the server offers none.
    """
    kept = {"references": list(told)} if isinstance(told, (list, tuple)) else told
    if not isinstance(kept, Mapping) or not any(kept.values()):
        return None
    listed = kept.get("references")
    found = (_reference(one) for one in (listed if isinstance(listed, list) else ()))
    p_value = _number(kept.get("p_value"))
    return References(
        tuple(one for one in found if one is not None),
        p_value if p_value is not None and 0 <= p_value <= 1 else None,
        _count(kept.get("held_out")),
        _count(kept.get("withdrawn")),
        str(kept.get("note") or ""),
        kept.get("viewable") is True,
    )


def references_sentence(references: References) -> str:
    """What the references are worth, in plain words.

    Args:
        references: Of a run.
    """
    if references.note:
        said = [references.note]
    else:
        said = [_tested(references)]
        if references.ranked:
            said.append(_("Similar does not mean that they caused anything."))
        else:
            said.insert(0, _("No healthy reference is more similar to the counterpart."))
    if references.withdrawn == 1:
        said.append(_("1 subject that the model was trained on was withdrawn and is not named."))
    elif references.withdrawn:
        many = _("{n} subjects that the model was trained on were withdrawn and are not named.")
        said.append(many.format(n=references.withdrawn))
    return " ".join(said)


def _tested(references: References) -> str:
    if references.p_value is None:
        return _("There is no test for this scan, so there is no p-value.")
    small = references.p_value < _LEAST_P
    p_value = f"< {_LEAST_P}" if small else f"= {references.p_value:.2g}"
    said = _(
        "One test for the whole scan: p {p} against {n} healthy subjects who were never trained on."
    )
    return said.format(p=p_value, n=references.held_out)


def _reference(one: Any) -> Optional[Reference]:
    if not isinstance(one, Mapping) or not str(one.get("id") or ""):
        return None
    return Reference(str(one["id"]), _number(one.get("similarity")), _number(one.get("rise")))


def _number(value: Any) -> Optional[float]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
