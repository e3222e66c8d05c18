"""Checks what a job's findings, references and provenance say, before it reaches the scene."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Optional

from HealthyCounterpartLib.exchange import nonsense
from HealthyCounterpartLib.finding_row import BRIGHTER, DARKER
from HealthyCounterpartLib.problems import ArrivalProblem
from HealthyCounterpartLib.server_facts import ModelName
from HealthyCounterpartLib.translation import _


def check_findings(findings: Mapping[str, Any]) -> None:
    """Check the findings of a job.

    Args:
        findings: ``threshold``, ``evidence``, ``warnings`` and ``findings``.

    Raises:
        ServerProblem: They are not of the agreed shape (kind ``nonsense``).
    """
    try:
        _check_finite(findings)
        _expect(findings["threshold"] > 0, "threshold")
        evidence = findings["evidence"]
        _check_share(evidence["p_value"])
        _check_share(evidence["p_floor"])
        _expect(evidence["healthy_scans"] >= 0, "healthy_scans")
        _expect(isinstance(evidence["source"], str), "source")
        _expect(isinstance(evidence["reason"], str), "reason")
        _expect(_is_list(findings["warnings"], str), "warnings")
        _expect(_is_list(findings["findings"], dict), "findings")
        for number, one in enumerate(findings["findings"], start=1):
            _check_finding(one, number)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        why = _("its findings are not of the agreed form ({what})").format(what=error)
        raise nonsense(why) from error


def check_references(references: Mapping[str, Any]) -> None:
    """Check the most similar healthy references of a job.

    Args:
        references: ``references``, and what of ``p_value``, ``held_out``, ``withdrawn``, ``note``
            and ``viewable`` the server knows.

    Raises:
        ServerProblem: They are not of the agreed shape (kind ``nonsense``).
    """
    try:
        _check_finite(references)
        _expect(_is_list(references["references"], dict), "references")
        for one in references["references"]:
            _expect(isinstance(one["id"], str) and one["id"] != "", "id")
            for name in ("similarity", "rise"):
                _expect(isinstance(one.get(name, 0.0), (int, float)), name)
        _check_share(references.get("p_value"))
        for name in ("held_out", "withdrawn"):
            _expect(references.get(name, 0) >= 0, name)
        _expect(isinstance(references.get("note", ""), str), "note")
        _expect(isinstance(references.get("viewable", False), bool), "viewable")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        why = _("its references are not of the agreed form ({what})").format(what=error)
        raise nonsense(why) from error


def check_provenance(provenance: Mapping[str, Any], model: Optional[ModelName]) -> None:
    """Check where the results of a job come from.

    Args:
        provenance: As the server wrote it down.
        model: That did the job, as the job says.

    Raises:
        ServerProblem: It is not of the agreed shape (kind ``nonsense``).
        ArrivalProblem: It is of other weights than the job.
    """
    try:
        _check_finite(provenance)
        weights = provenance["weights_sha256"]
        _expect(isinstance(weights, str), "weights_sha256")
        _expect(isinstance(provenance["contrast"], str), "contrast")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        why = _("its provenance is not of the agreed form ({what})").format(what=error)
        raise nonsense(why) from error
    if model is None or weights != model.weights_sha256:
        raise ArrivalProblem(
            _("The results were made by another model than the server says."),
            _("Generate the counterpart again; if it happens again, tell the administrator."),
        )


def _check_finding(one: Mapping[str, Any], number: int) -> None:
    _expect(one["number"] == number, "number")
    _expect(one["direction"] in (BRIGHTER, DARKER), "direction")
    _expect(one["volume_ml"] > 0, "volume_ml")
    _expect(one["peak"] >= one["mean"] >= 0, "peak")
    _check_share(one["p_value"])
    _expect(isinstance(one["side"], str) and isinstance(one["region"], str), "side")
    centre = one["centre_ras_mm"]
    _expect(len(centre) == 3 and all(isinstance(x, (int, float)) for x in centre), "centre_ras_mm")


def _check_share(value: Optional[float]) -> None:
    _expect(value is None or 0 <= value <= 1, "p-value")


def _is_list(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(one, kind) for one in values)


def _check_finite(value: object) -> None:
    """Refuse numbers such as 1e999, which become infinite as they are read."""
    if isinstance(value, Mapping):
        for one in value.values():
            _check_finite(one)
    elif isinstance(value, list):
        for one in value:
            _check_finite(one)
    elif isinstance(value, float):
        _expect(math.isfinite(value), str(value))


def _expect(sound: bool, what: str) -> None:
    if not sound:
        raise ValueError(what)
