"""Puts the nodes of a run into a folder of the subject hierarchy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer
import vtk

from HealthyCounterpartLib.scene import marks


def hierarchy_of(scene: Any) -> Any:
    """The scene's subject hierarchy."""
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def add_folder(scene: Any, name: str, run: str, scan: Any, nodes: Iterable[Any]) -> int:
    """Make a run's folder beside its scan.

    A scan that lies at the top moves into its first run's folder. One that lies in a patient's
    study, in a folder of the reader's, or in an earlier run's folder stays where it is.

    Args:
        scene: Where.
        name: Of the folder.
        run: Id of the run.
        scan: The scan.
        nodes: Results of the run.

    Returns:
        The folder's item.
    """
    hierarchy = hierarchy_of(scene)
    top = hierarchy.GetSceneItemID()
    item = _item(hierarchy, scan)
    parent = hierarchy.GetItemParent(item)
    beside = parent
    while hierarchy.GetItemAttribute(beside, marks.RUN):
        beside = hierarchy.GetItemParent(beside)
    folder = hierarchy.CreateFolderItem(beside or top, name)
    hierarchy.SetItemAttribute(folder, marks.RUN, run)
    if parent == top:
        hierarchy.SetItemParent(item, folder)
    for node in nodes:
        hierarchy.SetItemParent(_item(hierarchy, node), folder)
    return int(folder)


def move_into_folder(scene: Any, run: str, node: Any) -> None:
    """Put a node into a run's folder; where the reader removed it, the node stays at the top.

    Args:
        scene: Where.
        run: Id of the run.
        node: In the scene.
    """
    hierarchy = hierarchy_of(scene)
    item, folder = _item(hierarchy, node), folder_of(scene, run)
    if folder:
        hierarchy.SetItemParent(item, folder)


def remove_item(scene: Any, node: Any) -> None:
    """Take a node's item away; only in Slicer it goes with its node.

    Args:
        scene: Where.
        node: In the scene; it stays there.
    """
    hierarchy = hierarchy_of(scene)
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False, False)


def remove_folder(scene: Any, run: str, nodes: Iterable[Any]) -> None:
    """Take a run's folder away again, and move its scan back to where it was.

    Args:
        scene: Where.
        run: Id of the run.
        nodes: Results of the run, which will be removed.
    """
    hierarchy = hierarchy_of(scene)
    for node in nodes:
        remove_item(scene, node)
    folder = folder_of(scene, run)
    if folder:
        for child in _children(hierarchy, folder):
            hierarchy.SetItemParent(child, hierarchy.GetItemParent(folder))
        hierarchy.RemoveItem(folder, False, False)


def folder_of(scene: Any, run: str) -> int:
    """The folder's item; 0 where the reader removed it.

    Args:
        scene: Where.
        run: Id of the run.
    """
    hierarchy = hierarchy_of(scene)
    for item in _children(hierarchy, hierarchy.GetSceneItemID(), recursive=True):
        if hierarchy.GetItemAttribute(item, marks.RUN) == run:
            return int(item)
    return 0


def _children(hierarchy: Any, item: int, recursive: bool = False) -> list[int]:
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(item, found, recursive)
    return [found.GetId(index) for index in range(found.GetNumberOfIds())]


def _item(hierarchy: Any, node: Any) -> int:
    """A node's item; Slicer makes one by itself, other programs may not."""
    item = hierarchy.GetItemByDataNode(node)
    return int(item or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node))
