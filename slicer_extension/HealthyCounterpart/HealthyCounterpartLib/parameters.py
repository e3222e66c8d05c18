"""What of the module is kept in the scene: the chosen scan, and how maps are shown.

Slicer's `parameterNodeWrapper` keeps these fields in the module's parameter node; the shell applies
it, so that this file needs the scene's classes alone.
"""

from slicer import vtkMRMLScalarVolumeNode

from HealthyCounterpartLib.overlay import BOTH, FOUR_UP, SCORE


class ParameterFields:
    """Fields of the parameter node.

    Args:
        scan: Volume of which a counterpart is wanted.
        contrast: ``T1``, ``T1c``, ``T2``, ``FLAIR``; empty leaves it to the server.
        shownMap: ``score`` or ``residual``.
        sign: ``both``, ``brighter`` or ``darker``.
        hideBelow: Absolute values below are transparent.
        saturateAbove: Absolute values from here have the strongest colour.
        opacity: Of the map, 0 to 1.
        layout: ``four-up``, ``row``, ``single`` or ``beside``.
        run: Name of the shown run; empty for none.
    """

    scan: vtkMRMLScalarVolumeNode
    contrast: str = ""
    shownMap: str = SCORE
    sign: str = BOTH
    hideBelow: float = 1.0
    saturateAbove: float = 10.0
    opacity: float = 0.8
    layout: str = FOUR_UP
    run: str = ""
