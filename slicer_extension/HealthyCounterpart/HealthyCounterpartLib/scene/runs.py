"""The runs of a scene, found by their nodes' attributes, whatever the reader did with the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.translation import _


@dataclass(frozen=True)
class Run:
    """One healthy counterpart of one scan. A node that the reader removed is None.

    Args:
        id: Names it, within the scene and after loading it.
        name: For the reader.
        scan: The scan.
        counterpart: Its healthy counterpart.
        residual: How far the scan is from it, in spreads.
        anomaly: The anomaly map.
        segmentation: One segment for each finding.
        table: One row for each finding.
        provenance: Text node with all that is known of the run.
        reference: Healthy reference that lies beside the scan; None as long as none was asked for.
    """

    id: str
    name: str
    scan: Optional[Any] = None
    counterpart: Optional[Any] = None
    residual: Optional[Any] = None
    anomaly: Optional[Any] = None
    segmentation: Optional[Any] = None
    table: Optional[Any] = None
    provenance: Optional[Any] = None
    reference: Optional[Any] = None

    @property
    def nodes(self) -> tuple[Any, ...]:
        """The nodes that are left, without the scan and the reference."""
        every = (getattr(self, role) for role in marks.ROLES)
        return tuple(node for node in every if node is not None)


def runs_of(scene: Any) -> list[Run]:
    """The runs of a scene, newest first.

    Args:
        scene: Where to look.
    """
    found: dict[str, dict[str, Any]] = {}
    for node in every_node(scene):
        role = marks.role_of(node)
        # Of copies that the reader made, the first counts.
        if role in (*marks.ROLES, marks.REFERENCE):
            found.setdefault(marks.run_of(node), {}).setdefault(role, node)
    left = [(number, nodes) for number, nodes in found.items() if set(nodes) & set(marks.ROLES)]
    return [_run(number, nodes) for number, nodes in reversed(left)]


def new_name(scene: Any, scan: Any, when: str) -> str:
    """What a new run is called: as no other run of the scene is.

    Args:
        scene: Where it will be.
        scan: Its scan.
        when: Time, in words.
    """
    name = _("{scan}: healthy counterpart, {when}").format(scan=scan.GetName(), when=when)
    name, taken = marks.plain(name, marks.LONGEST - 10), {run.name for run in runs_of(scene)}
    numbered = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def every_node(scene: Any, kind: str = "") -> Iterator[Any]:
    """The nodes of a scene, in their order.

    Args:
        scene: Where to look.
        kind: Class of which they are; empty for any.
    """
    nodes = scene.GetNodesByClass(kind or "vtkMRMLNode")
    nodes.UnRegister(None)
    nodes.InitTraversal()
    node = nodes.GetNextItemAsObject()
    while node is not None:
        yield node
        node = nodes.GetNextItemAsObject()


def _run(number: str, nodes: dict[str, Any]) -> Run:
    scans = (marks.source_scan(node) for node in nodes.values())
    scan = next((one for one in scans if one is not None), None)
    named = next(node for role, node in nodes.items() if role in marks.ROLES)
    return Run(number, named.GetAttribute(marks.NAME) or number, scan, **nodes)
