"""Letters at the edges of a slice view: which side of the patient is there."""

from __future__ import annotations

from typing import Any

import vtk

from HealthyCounterpartLib.view_text import LEFT, MIDDLE, RIGHT, new_view_text

# The ends of RAS's axes, as Slicer names directions.
POSITIVE, NEGATIVE = ("R", "A", "S"), ("L", "P", "I")
FONT_SIZE = 18
_WHITE = (1.0, 1.0, 1.0)


def edge_letters(slice_node: Any) -> tuple[str, str]:
    """The patient's directions at the left and the right edge of a view.

    Args:
        slice_node: Of the view.

    Returns:
        Letters such as ``("R", "L")``: the axis that the edge is nearest to.
    """
    matrix = slice_node.GetSliceToRAS()
    across = [matrix.GetElement(row, 0) for row in range(3)]
    axis = max(range(3), key=lambda row: abs(across[row]))
    ends = (NEGATIVE[axis], POSITIVE[axis])
    return ends if across[axis] > 0 else (ends[1], ends[0])


def new_letters() -> tuple[vtk.vtkTextActor, vtk.vtkTextActor]:
    """Texts for the middle of the left and of the right edge, without a letter yet."""
    return (
        new_view_text(LEFT, MIDDLE, FONT_SIZE, _WHITE),
        new_view_text(RIGHT, MIDDLE, FONT_SIZE, _WHITE),
    )
