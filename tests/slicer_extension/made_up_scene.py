"""A scene outside the application, with the nodes and the reader that the application gives it."""

from pathlib import Path
from typing import Any


def make_scene(folder: Path) -> Any:
    """A scene that knows the modules' nodes and can read bundles.

    Args:
        folder: Where bundles are unpacked.
    """
    import slicer

    scene = slicer.vtkMRMLScene()
    for kind in ("vtkMRMLColorLegendDisplayNode", "vtkMRMLSequenceBrowserNode"):
        scene.RegisterNodeClass(getattr(slicer, kind)())
    scene.colours = slicer.vtkMRMLColorLogic()  # its tables go when it goes
    scene.colours.SetMRMLScene(scene)
    cache = slicer.vtkCacheManager()
    (folder / "cache").mkdir(parents=True, exist_ok=True)
    cache.SetRemoteCacheDirectory(str(folder / "cache"))
    files = slicer.vtkDataIOManager()
    files.SetCacheManager(cache)
    scene.SetDataIOManager(files)
    return scene


def close_scene(scene: Any) -> None:
    """Empty a scene, and let what the application gave it go.

    Args:
        scene: From `make_scene`.
    """
    scene.colours.SetMRMLScene(None)
    scene.Clear(True)
    scene.SetDataIOManager(None)
    scene.colours = None
