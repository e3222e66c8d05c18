"""A text that lies over a slice view, at a place of the view and not of the patient."""

from __future__ import annotations

import vtk

MARGIN = 0.01  # of the view
LEFT, RIGHT = MARGIN, 1 - MARGIN
MIDDLE, TOP = 0.5, 1 - MARGIN
Colour = tuple[float, float, float]


def new_view_text(across: float, up: float, size: int, colour: Colour) -> vtk.vtkTextActor:
    """A text that begins or ends at an edge of the view, without words yet.

    Args:
        across: Place, share of the view's width: `LEFT` or `RIGHT`.
        up: Place, share of the view's height: `MIDDLE` or `TOP`.
        size: Of the letters.
        colour: Red, green, blue, 0 to 1.
    """
    actor = vtk.vtkTextActor()
    actor.SetTextScaleModeToNone()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(across, up)
    actor.PickableOff()
    style = actor.GetTextProperty()
    style.SetFontSize(size)
    style.SetColor(*colour)
    style.SetShadow(True)
    if across == RIGHT:
        style.SetJustificationToRight()
    else:
        style.SetJustificationToLeft()
    if up == TOP:
        style.SetVerticalJustificationToTop()
    else:
        style.SetVerticalJustificationToCentered()
    return actor
