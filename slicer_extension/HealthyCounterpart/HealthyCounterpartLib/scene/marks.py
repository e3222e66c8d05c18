"""Attributes by which the nodes of a run are known, also after the scene was saved and loaded."""

from __future__ import annotations

from typing import Any

RUN = "HealthyCounterpart.Run"
ROLE = "HealthyCounterpart.Role"
NAME = "HealthyCounterpart.Name"
WHEN = "HealthyCounterpart.When"
JOB = "HealthyCounterpart.Job"
MODEL = "HealthyCounterpart.Model"
VERSION = "HealthyCounterpart.ModelVersion"
WEIGHTS = "HealthyCounterpart.WeightsSHA256"
CONTRAST = "HealthyCounterpart.Contrast"
THRESHOLD = "HealthyCounterpart.Threshold"
COLOURS = "HealthyCounterpart.Colours"  # of a colour table that is ours to change
LARGEST = "HealthyCounterpart.Largest"
STUDY = "HealthyCounterpart.Study"  # of a scan that came from a server: its id there
SERVER = "HealthyCounterpart.Server"
REFERENCE_ID = "HealthyCounterpart.Reference"  # pseudonym of a healthy reference
VOXELS = "HealthyCounterpart.Voxels"  # hash of a study's voxels as they were fetched
SCAN = "healthyCounterpartScan"  # reference from each node of a run to its scan

COUNTERPART, RESIDUAL, ANOMALY = "counterpart", "residual", "anomaly"
SEGMENTATION, TABLE, PROVENANCE = "segmentation", "table", "provenance"
SYNTHESISED = (COUNTERPART, RESIDUAL, ANOMALY)
ROLES = (*SYNTHESISED, SEGMENTATION, TABLE, PROVENANCE)
REFERENCE = "reference"  # another person's scan, fetched when a reader wants to see it
DISCLAIMER = "AI-generated, research use only"
LONGEST = 200  # characters of a server's word that are kept in an attribute


def mark(node: Any, marks: dict[str, str]) -> None:
    """Write attributes, fit for the scene's XML.

    Args:
        node: Gets them.
        marks: Value of each attribute.
    """
    for name, value in marks.items():
        node.SetAttribute(name, plain(value, LONGEST))


def plain(text: str, longest: int) -> str:
    """A text on one line, without characters that XML cannot hold.

    Args:
        text: Anything, also from a server.
        longest: Number of characters that are kept.
    """
    shown = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return " ".join(shown.split())[:longest]


def node_name(text: str) -> str:
    """A text as the name of a node, which names its file in a saved scene.

    MRML writes ``&`` in the names of files as it is, and cannot read such a scene again.

    Args:
        text: Anything, also from a server.
    """
    return plain(text, LONGEST).replace("&", "+")


def role_of(node: Any) -> str:
    """What a node is within its run; empty where it belongs to none."""
    return (node.GetAttribute(ROLE) or "") if node is not None and run_of(node) else ""


def run_of(node: Any) -> str:
    """Id of the run that a node belongs to; empty for none."""
    return node.GetAttribute(RUN) or ""


def is_synthesised(node: Any) -> bool:
    """Whether a volume was made by the model."""
    return role_of(node) in SYNTHESISED


def is_reference(node: Any) -> bool:
    """Whether a volume is a healthy reference, and so another person's."""
    return role_of(node) == REFERENCE


def source_scan(node: Any) -> Any:
    """The scan that a node of a run was made of; None where it is gone."""
    return node.GetNodeReference(SCAN)
