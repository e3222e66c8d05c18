"""The template space: the MNI152 head that nilearn ships, on the canvas that the networks see.

Template space is MNI152 (ICBM 2009a nonlinear symmetric), RAS+, mm. The *canvas* is the 2 mm grid
of 80 x 96 x 80 voxels on which slices are presented to the networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ModelError
from counterpart.grid import Grid, resample

SPACING_MM = 2.0
CANVAS = Grid(
    (80, 96, 80),
    np.array([[2.0, 0, 0, -79], [0, 2.0, 0, -112], [0, 0, 2.0, -74], [0, 0, 0, 1]]),
)
_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True, eq=False)
class Template:
    """The template brain on the canvas.

    Args:
        t1: (80, 96, 80) float32 skull-stripped T1, 0 to 255.
        grey: Grey matter probability, 0 to 1.
        white: White matter probability, 0 to 1.
        brain: Brain mask.
    """

    t1: NDArray[np.float32]
    grey: NDArray[np.float32]
    white: NDArray[np.float32]
    brain: NDArray[np.bool_]


def _load(kind: str) -> NDArray[np.float32]:
    source = files("nilearn") / "datasets" / "data" / _FILE.format(kind)
    if not source.is_file():
        raise ModelError(
            "the MNI152 template was not found inside the installed nilearn package; "
            "reinstall nilearn 0.10 or newer."
        )
    with as_file(source) as path:
        image = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32)  # type: ignore[attr-defined]
        affine = np.asarray(image.affine, dtype=np.float64)  # type: ignore[attr-defined]
    return resample(values, np.linalg.inv(affine) @ CANVAS.affine, CANVAS.shape)


@cache
def load_template() -> Template:
    """Read the template once; the arrays are shared and must not be written to."""
    t1 = _load("t1")
    brain = t1 > 20.0
    return Template(t1, _load("gm") / 255.0, _load("wm") / 255.0, brain)
