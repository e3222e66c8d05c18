"""What the tests of the Slicer extension share."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer_core", reason="needs slicer-core: pip install -e '.[test,slicer]'")

from made_up_runs import Phantom
from made_up_scene import close_scene, make_scene
from slicer_core import vtkITK

sys.modules.setdefault("vtkITK", vtkITK)  # where Slicer has it


@pytest.fixture
def new_scene(tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Makes scenes as the application has them, but without views."""
    made: list[Any] = []

    def make() -> Any:
        made.append(make_scene(tmp_path))
        return made[-1]

    yield make
    for scene in made:
        close_scene(scene)


@pytest.fixture
def a_scene(new_scene: Callable[[], Any]) -> Any:
    return new_scene()


@pytest.fixture
def a_phantom() -> Phantom:
    """An oblique, anisotropic head with two findings, brighter and darker."""
    return Phantom()


@pytest.fixture
def a_scan(a_scene: Any, a_phantom: Phantom) -> Any:
    return a_phantom.scan(a_scene)


@pytest.fixture
def the_counterparts(a_scene: Any) -> Any:
    """What the controller talks to."""
    from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene

    return CounterpartScene(a_scene)


@pytest.fixture
def a_run(the_counterparts: Any, a_scan: Any, a_phantom: Phantom, tmp_path: Path) -> Any:
    delivery = a_phantom.delivery(tmp_path / "delivery")
    return the_counterparts.add_run(a_scan, delivery, "2026-03-01 10:00:00")


@pytest.fixture
def some_views(a_scene: Any) -> Iterator[Any]:
    """The slice views of the scene: what their logics compute, without windows."""
    from slice_pictures import SliceViews

    views = SliceViews(a_scene)
    yield views
    views.close()
