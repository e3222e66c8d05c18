"""What the tests of the Slicer extension share."""

import sys

import pytest

pytest.importorskip("slicer_core", reason="needs slicer-core: pip install -e '.[test,slicer]'")

from slicer_core import vtkITK

sys.modules.setdefault("vtkITK", vtkITK)  # where Slicer has it
