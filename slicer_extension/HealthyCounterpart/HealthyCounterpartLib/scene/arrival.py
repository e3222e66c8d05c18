"""Brings what arrived into the scene: all of it, or, where something is wrong, nothing."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from HealthyCounterpartLib.finding_row import FindingRow
from HealthyCounterpartLib.problems import ArrivalProblem
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.arrived_volumes import read_map, read_mask, read_volume
from HealthyCounterpartLib.scene.findings_table import new_table, rows_from_json
from HealthyCounterpartLib.scene.folders import add_folder, remove_folder
from HealthyCounterpartLib.scene.map_display import add_display, add_map_display
from HealthyCounterpartLib.scene.provenance import attributes_of, new_provenance
from HealthyCounterpartLib.scene.reach import largest_value
from HealthyCounterpartLib.scene.review import draw_outlines
from HealthyCounterpartLib.scene.runs import new_name
from HealthyCounterpartLib.scene.segmentation import new_segmentation
from HealthyCounterpartLib.scene.voxels import voxels
from HealthyCounterpartLib.translation import _

if TYPE_CHECKING:
    from HealthyCounterpartLib.jobs import Delivery


def add_run(scene: Any, scan: Any, delivery: Delivery, when: str, url: str = "") -> str:
    """Put the results of a job into the scene.

    Args:
        scene: Where.
        scan: Volume node they belong to.
        delivery: What arrived.
        when: Time, in words.
        url: Of the server.

    Returns:
        Id of the run.

    Raises:
        ArrivalProblem: Something does not fit the scan; the scene is as it was.
    """
    run = uuid.uuid4().hex
    nodes = _new_nodes(scan, delivery, when)
    attributes = {marks.NAME: new_name(scene, scan, when), **attributes_of(delivery, when, url)}
    arrival = _Arrival(scene, scan, run)
    try:
        arrival.add(nodes, attributes)
    except Exception:
        arrival.undo()
        raise
    return run


def add_study(scene: Any, path: Path, name: str) -> Any:
    """Put a study that was fetched from the server into the scene.

    Args:
        scene: Where.
        path: Its file.
        name: Its id on the server.

    Raises:
        ArrivalProblem: It cannot be read.
    """
    volume = read_volume(Path(path))
    volume.SetName(scene.GenerateUniqueName(marks.node_name(name) or "scan"))
    scene.AddNode(volume)
    volume.CreateDefaultDisplayNodes()
    return volume


def _new_nodes(scan: Any, delivery: Delivery, when: str) -> dict[str, Any]:
    """The nodes of a run by their role, checked, none in the scene yet."""
    rows = _rows(delivery)
    files = {name: Path(path) for name, path in delivery.files.items()}
    missing = [name for name in (*marks.SYNTHESISED, "mask") if name not in files]
    if missing:
        raise ArrivalProblem(
            _("The server sent no {names}.").format(names=", ".join(missing)), _("Generate again.")
        )
    nodes = {role: read_map(files[role], scan) for role in marks.SYNTHESISED}
    mask = read_mask(files["mask"], scan)
    name = marks.node_name(scan.GetName() or "") or _("scan")
    titles = {
        marks.COUNTERPART: _("{scan} healthy counterpart"),
        marks.RESIDUAL: _("{scan} residual"),
        marks.ANOMALY: _("{scan} anomaly map"),
    }
    for role, title in titles.items():
        # Not translated: the words by which people and programs know such a volume.
        nodes[role].SetName(f"{title.format(scan=name)} ({marks.DISCLAIMER})")
    nodes[marks.SEGMENTATION] = new_segmentation(
        mask, nodes[marks.ANOMALY], rows, _("{scan} findings").format(scan=name)
    )
    nodes[marks.TABLE] = new_table(rows, _("{scan} table of findings").format(scan=name))
    nodes[marks.PROVENANCE] = new_provenance(
        delivery, when, _("{scan} provenance").format(scan=name)
    )
    return nodes


def _rows(delivery: Delivery) -> tuple[FindingRow, ...]:
    try:
        return rows_from_json(delivery.findings)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArrivalProblem(
            _("The findings arrived in a form that this module does not understand."),
            _("Ask the server's administrator to update the server, or update this extension."),
        ) from error


class _Arrival:
    """Adds nodes, and remembers them so that they can be taken away again."""

    def __init__(self, scene: Any, scan: Any, run: str) -> None:
        self._scene = scene
        self._scan = scan
        self._run = run
        self._added: list[Any] = []

    def add(self, nodes: dict[str, Any], attributes: dict[str, str]) -> None:
        for role, node in nodes.items():
            marks.mark(node, {marks.RUN: self._run, marks.ROLE: role, **attributes})
            node.SetName(self._scene.GenerateUniqueName(node.GetName()))
            self._remember(self._scene.AddNode(node))
            node.SetNodeReferenceID(marks.SCAN, self._scan.GetID())
        self._show(nodes)
        transform = self._scan.GetTransformNodeID()
        for role in (*marks.SYNTHESISED, marks.SEGMENTATION):
            nodes[role].SetAndObserveTransformNodeID(transform)
        name = attributes[marks.NAME]
        add_folder(self._scene, name, self._run, self._scan, nodes.values())

    def undo(self) -> None:
        there = [node for node in reversed(self._added) if self._scene.IsNodePresent(node)]
        remove_folder(self._scene, self._run, there)
        for node in there:
            self._scene.RemoveNode(node)

    def _show(self, nodes: dict[str, Any]) -> None:
        self._remember(add_display(self._scene, nodes[marks.COUNTERPART]))
        match_window(self._scan, nodes[marks.COUNTERPART])
        for role in (marks.RESIDUAL, marks.ANOMALY):
            add_map_display(self._scene, nodes[role], self._remember)
            largest = largest_value(voxels(nodes[role]))
            nodes[role].SetAttribute(marks.LARGEST, repr(largest))
        segmentation = nodes[marks.SEGMENTATION]
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self._scan)
        segmentation.CreateDefaultDisplayNodes()
        self._remember(segmentation.GetDisplayNode())
        draw_outlines(segmentation, nodes[marks.TABLE], None)

    def _remember(self, node: Any) -> None:
        self._added.append(node)


def match_window(scan: Any, counterpart: Any) -> None:
    """Show a counterpart in the greys of its scan.

    Args:
        scan: Volume node.
        counterpart: Volume node.
    """
    shown, display = scan.GetDisplayNode(), counterpart.GetDisplayNode()
    if display is None:
        return
    if shown is None or not shown.IsA("vtkMRMLScalarVolumeDisplayNode"):
        display.SetAutoWindowLevel(1)
        return
    display.SetAutoWindowLevel(0)
    display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())
    display.SetInterpolate(shown.GetInterpolate())
