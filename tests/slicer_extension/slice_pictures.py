"""Draws slice views as Slicer does, offscreen: the logics' pixels, and what lies over them.

The picture of the volumes is what Slicer's slice logic computes. Legend, outlines, ruler and
orientation marker are drawn by Slicer's own displayable managers. Only the widget round them, with
its slider and its coloured bar, is Qt's, and is not drawn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)
ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class SlicePicture:
    """One slice view: its logic, and a window of its own that nobody sees.

    Args:
        views: Whose application it belongs to.
        name: Of the view, as in the layout.
        size: Width and height, pixels.
        drawn: Whether there is a window; without it there are only the logic's pixels.
    """

    def __init__(self, views: SliceViews, name: str, size: tuple[int, int], drawn: bool) -> None:
        self.size = size
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(views.application)
        self.logic.SetMRMLScene(views.scene)
        self.node = views.scene.GetNodeByID(f"vtkMRMLSliceNode{name}")
        if self.node is None:
            self.node = self.logic.AddSliceNode(name)
        else:  # the layout has made it
            self.logic.SetSliceNode(self.node)
        views.logics.AddItem(self.logic)
        self.node.SetOrientation(ORIENTATIONS.get(name, "Axial"))
        self.logic.ResizeSliceNode(*size)
        self.renderer = vtk.vtkRenderer()
        self._window = None
        if drawn:
            self._open_window(views)

    def pixels(self) -> np.ndarray:
        """What the slice logic computes: (height, width, 3) uint8, upper row first.

        It is transparent where no volume is; there it is black here, as in Slicer.
        """
        self.logic.UpdatePipeline()
        connection = self.logic.GetImageDataConnection()
        if connection is None:
            return np.zeros((self.size[1], self.size[0], 3), np.uint8)
        connection.GetProducer().Update()
        image = connection.GetProducer().GetOutputDataObject(connection.GetIndex())
        values = vtk_to_numpy(image.GetPointData().GetScalars())
        values = values.reshape(self.size[1], self.size[0], -1)[::-1]
        return np.where(values[..., 3:] > 0, values[..., :3], 0).astype(np.uint8)

    def pixel_at(self, ras: Sequence[float]) -> np.ndarray:
        """RGB of the pixel where a place of the world is seen."""
        across, up = self.place_in_picture(ras)
        return self.pixels()[self.size[1] - 1 - up, across]

    def place_in_picture(self, ras: Sequence[float]) -> tuple[int, int]:
        """Pixel of a place of the world: from the left, from below."""
        inverse = vtk.vtkMatrix4x4()
        inverse.DeepCopy(self.node.GetXYToRAS())
        inverse.Invert()
        across, up = inverse.MultiplyPoint((*ras, 1.0))[:2]
        return round(across), round(up)

    def picture(self) -> np.ndarray:
        """The view with all that lies over it: (height, width, 3) uint8, upper row first."""
        self._take_pixels()
        self._window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._window)
        grabber.SetInputBufferTypeToRGB()
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _depth = image.GetDimensions()
        values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
        return values[::-1].copy()

    def close(self) -> None:
        """Let the window and the managers go."""
        if self._window is not None:
            self._managers.SetMRMLDisplayableNode(None)
            self._window.Finalize()
            self._window = None
        self.logic.SetMRMLScene(None)

    def _open_window(self, views: SliceViews) -> None:
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(*self.size)
        self._window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._shown = vtk.vtkImageData()
        self._shown.SetDimensions(*self.size, 1)
        self._shown.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
        mapper = vtk.vtkImageMapper()
        mapper.SetInputData(self._shown)
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)
        self.node.SetInteractionNode(views.application.GetInteractionNode())
        self._managers = views.factory.InstantiateDisplayableManagers(self.renderer)
        self._managers.SetMRMLDisplayableNode(self.node)

    def _take_pixels(self) -> None:
        values = vtk_to_numpy(self._shown.GetPointData().GetScalars())
        values[:] = self.pixels()[::-1].reshape(-1, 3)
        self._shown.GetPointData().GetScalars().Modified()
        self._shown.Modified()


class SliceViews:
    """The slice views of a scene, with the logics that the application would have.

    Args:
        scene: MRML scene.
        size: Width and height of each, pixels.
        drawn: Whether there are windows; without them there are only the logics' pixels.
    """

    def __init__(
        self,
        scene: Any,
        size: tuple[int, int] = (200, 200),
        drawn: bool = False,
    ) -> None:
        self.scene = scene
        self.application = slicer.vtkMRMLApplicationLogic()
        self.application.SetMRMLScene(scene)
        self.layout = slicer.vtkMRMLLayoutLogic()
        self.layout.SetMRMLApplicationLogic(self.application)
        self.layout.SetMRMLScene(scene)
        if drawn and scene.GetFirstNodeByClass("vtkMRMLCrosshairNode") is None:
            scene.AddNode(slicer.vtkMRMLCrosshairNode())
        self.factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        if drawn:
            self.factory.SetMRMLApplicationLogic(self.application)
        for manager in MANAGERS if drawn else ():
            if not self.factory.IsDisplayableManagerRegistered(manager):
                self.factory.RegisterDisplayableManager(manager)
        self.logics = vtk.vtkCollection()
        self.application.SetSliceLogics(self.logics)
        self._size, self._drawn = size, drawn
        self.views: dict[str, SlicePicture] = {}
        self._layout_node = node = self.layout.GetLayoutNode()
        self._layout_tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._open_views)
        if not node.GetViewArrangement():
            node.SetViewArrangement(node.SlicerLayoutFourUpView)
        self._open_views()

    def _open_views(self, *_event: Any) -> None:
        """Open the slice views of the layout that are not open yet, as Slicer does at once."""
        text = self.layout.GetLayoutNode().GetCurrentLayoutDescription() or ""
        names = re.findall(r'vtkMRMLSliceNode" singletontag="([^"]+)"', text)
        for name in (name for name in names if name not in self.views):
            self.views[name] = SlicePicture(self, name, self._size, self._drawn)

    def __getitem__(self, name: str) -> SlicePicture:
        return self.views[name]

    def renderer_of(self, name: str) -> Any:
        """Renderer of a view, as `CornerNotes` asks for it."""
        return self.views[name].renderer if name in self.views else None

    def row(self, names: Sequence[str], gap: int = 4) -> np.ndarray:
        """Pictures side by side."""
        return _joined([self.views[name].picture() for name in names], 1, gap)

    def four_up(self, gap: int = 4) -> np.ndarray:
        """Axial, an empty 3D view, coronal and sagittal, as Slicer arranges them."""
        red = self.views["Red"].picture()
        empty = np.full_like(red, (140, 146, 190))
        upper = _joined([red, empty], 1, gap)
        lower = _joined([self.views["Green"].picture(), self.views["Yellow"].picture()], 1, gap)
        return _joined([upper, lower], 0, gap)

    def close(self) -> None:
        """Let windows and logics go, in the order in which they need each other."""
        if self._layout_node is None:
            return
        self._layout_node.RemoveObserver(self._layout_tag)
        self._layout_node = None
        for view in self.views.values():
            view.close()
        self.views.clear()
        self.logics.RemoveAllItems()
        self.application.SetSliceLogics(None)
        if self._drawn:
            self.factory.SetMRMLApplicationLogic(None)
        self.layout.SetMRMLScene(None)
        self.application.SetMRMLScene(None)


def write_png(picture: np.ndarray, path: Any) -> None:
    """Write a (height, width, 3) uint8 picture."""
    from vtk.util.numpy_support import numpy_to_vtk

    image = vtk.vtkImageData()
    image.SetDimensions(picture.shape[1], picture.shape[0], 1)
    values = numpy_to_vtk(np.ascontiguousarray(picture[::-1]).reshape(-1, 3), deep=1)
    image.GetPointData().SetScalars(values)
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()


def _joined(pictures: list[np.ndarray], axis: int, gap: int) -> np.ndarray:
    between = list(pictures[0].shape)
    between[axis] = gap
    parts = [part for one in pictures for part in (one, np.full(between, 40, np.uint8))]
    return np.concatenate(parts[:-1], axis=axis)
