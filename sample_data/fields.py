"""Smooth random fields: every irregularity of the synthetic heads is drawn here."""

import numpy as np
import numpy.typing as npt

Volume = npt.NDArray[np.float32]


def bspline_basis(size: int, knot_spacing: float) -> npt.NDArray[np.float64]:
    """Cubic B-spline weights of evenly spaced knots at the points 0, 1, ..., size - 1.

    With s = x / knot_spacing and the fractional part t of s, a point x is reached by four knots
    with the weights (1-t)³/6, (3t³-6t²+4)/6, (-3t³+3t²+3t+1)/6 and t³/6.

    Args:
        size: number of points along the axis.
        knot_spacing: distance between knots, in points.

    Returns:
        Matrix of shape (size, number of knots); each row sums to one.
    """
    position = np.arange(size) / knot_spacing
    first = np.floor(position).astype(np.int64)
    t = position - first
    weights = np.stack(
        [
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        ]
    )
    basis = np.zeros((size, int(first[-1]) + 4))
    rows = np.arange(size)
    for offset in range(4):
        basis[rows, first + offset] = weights[offset]
    return basis


def smooth_field(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    knot_mm: float,
    generator: np.random.Generator,
) -> Volume:
    """Smooth random field with mean near zero and a standard deviation near one.

    Args:
        shape: voxels along each axis.
        spacing: voxel size in mm along each axis.
        knot_mm: distance between the knots of the spline, about the size of a bump.
        generator: source of the Gaussian knot values.

    Returns:
        Field of the given shape.
    """
    bases = [bspline_basis(n, knot_mm / step) for n, step in zip(shape, spacing, strict=True)]
    field = generator.standard_normal([basis.shape[1] for basis in bases])
    for basis in bases:
        # Contracting axis 0 moves the new axis to the end, so three rounds restore the order.
        field = np.tensordot(field, basis, axes=(0, 1))
    # A cubic B-spline of white noise has variance (151/315)³; 151/315 is the mean squared weight.
    scaled: Volume = (field / (151 / 315) ** 1.5).astype(np.float32)
    return scaled
