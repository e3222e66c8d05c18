"""Where a run comes from: a text node that holds it all, and the facts that are shown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import slicer

from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.server_facts import ModelName

if TYPE_CHECKING:
    from HealthyCounterpartLib.jobs import Delivery

UNKNOWN = ModelName("", "", "")


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run.

    Args:
        threshold: Healthy threshold of the score.
        evidence: What the findings are worth beside healthy scans, as the server tells it.
        contrast: Sequence of the scan.
        warnings: What is doubtful about this scan.
        model: That did the work.
        references: Most similar healthy references, as the server told them; of an older run a
            list of them; empty where it offered none. See `healthy_references`.
        job: Id on the server.
        server: At which the job was asked for.
        when: Time of the run, in words.
        findings: The findings as the server tells them.
        provenance: All that the server tells of how it was made.
    """

    threshold: float = 1.0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    contrast: str = ""
    warnings: tuple[str, ...] = ()
    model: ModelName = UNKNOWN
    references: Any = None
    job: str = ""
    server: str = ""
    when: str = ""
    findings: tuple[Mapping[str, Any], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def new_provenance(delivery: Delivery, when: str, name: str) -> Any:
    """A text node with everything that is known of a run, not in the scene yet.

    Args:
        delivery: What arrived.
        when: Time of the run, in words.
        name: Of the node.
    """
    job = delivery.job
    told = {
        "disclaimer": marks.DISCLAIMER,
        "when": when,
        "job": {"id": job.id, "image": job.image, "scan_sha256": delivery.scan_sha256},
        "provenance": delivery.provenance,
        "findings": delivery.findings,
        "references": dict(delivery.references),
    }
    node = slicer.vtkMRMLTextNode()
    node.SetName(name)
    node.SetText(json.dumps(told, indent=1, ensure_ascii=True, default=str))
    return node


def attributes_of(delivery: Delivery, when: str, url: str) -> dict[str, str]:
    """What each node of a run says of where it comes from.

    Args:
        delivery: What arrived.
        when: Time of the run, in words.
        url: Of the server.
    """
    told = delivery.provenance
    return {
        marks.WHEN: when,
        marks.SERVER: url,
        marks.JOB: delivery.job.id,
        marks.MODEL: told.get("model", ""),
        marks.VERSION: told.get("version", ""),
        marks.WEIGHTS: told.get("weights_sha256", ""),
        marks.CONTRAST: told.get("contrast", ""),
        marks.THRESHOLD: repr(float(delivery.findings["threshold"])),
    }


def facts_of(text: Any, marked: Any) -> RunFacts:
    """The facts of a run.

    Args:
        text: Its text node, or None where the reader removed it.
        marked: Any node of the run: its attributes stand in for what the text does not tell.
    """
    told = _told(text)
    findings, provenance = _mapping(told, "findings"), _mapping(told, "provenance")
    return RunFacts(
        threshold=_threshold(findings.get("threshold", marked.GetAttribute(marks.THRESHOLD))),
        evidence=_mapping(findings, "evidence"),
        contrast=marked.GetAttribute(marks.CONTRAST) or "",
        warnings=tuple(str(one) for one in _list(findings, "warnings")),
        model=ModelName(
            marked.GetAttribute(marks.MODEL) or "",
            marked.GetAttribute(marks.VERSION) or "",
            marked.GetAttribute(marks.WEIGHTS) or "",
        ),
        references=told.get("references"),
        job=marked.GetAttribute(marks.JOB) or "",
        server=marked.GetAttribute(marks.SERVER) or "",
        when=marked.GetAttribute(marks.WHEN) or "",
        findings=tuple(one for one in _list(findings, "findings") if isinstance(one, dict)),
        provenance=provenance,
    )


def _told(text: Any) -> dict[str, Any]:
    try:
        told = json.loads(text.GetText() or "") if text is not None else {}
    except ValueError:  # the reader edited it
        told = {}
    return told if isinstance(told, dict) else {}


def _mapping(told: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _list(told: Mapping[str, Any], name: str) -> list[Any]:
    value = told.get(name)
    return value if isinstance(value, list) else []


def _threshold(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 1.0
    return number if math.isfinite(number) and number > 0 else 1.0
