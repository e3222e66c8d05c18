"""The list of studies: every seed and every parameter of the sample data stands here."""

from dataclasses import dataclass, field

import numpy as np
from anatomy import Bulge, Grid, HeadShape, rotation
from contrast import Acquisition
from lesions import Tumour, WhiteMatterLesions

HEALTHY_COUNT = 8
HEALTHY_SEED = 7100
HEALTHY_SIZES_MM = (2.6, 2.6, 2.6)
HEALTHY_SHAPE = (68, 86, 76)
CENTRE_MM = (0.0, -5.0, 1.0)
TUMOUR_CENTRE_MM = (35.0, 4.0, 32.0)


@dataclass(frozen=True)
class Study:
    """One synthetic person and how that person is scanned.

    Attributes:
        name: beginning of the file names.
        folder: where the files go, below the output folder.
        seed: of everything random in this study.
        grid: the scan's grid.
        shape: the head.
        contrasts: sequences to scan, in this order.
        acquisition: bias, noise and scale.
        tumour, white_matter: the disease, if any.
        bulge: mass effect of the tumour.
    """

    name: str
    folder: str
    seed: int
    grid: Grid
    shape: HeadShape
    contrasts: tuple[str, ...]
    acquisition: Acquisition = field(default_factory=Acquisition)
    tumour: Tumour | None = None
    white_matter: WhiteMatterLesions | None = None
    bulge: Bulge | None = None


def grid_around(
    shape: tuple[int, int, int],
    sizes_mm: tuple[float, float, float],
    *,
    signs: tuple[int, int, int] = (1, 1, 1),
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Grid:
    """Grid of a given size whose middle lies on the middle of the head.

    Args:
        shape: voxels along each axis.
        sizes_mm: voxel size.
        signs: direction of each axis; (-1, -1, 1) stores left to right as L, P, S.
        tilt_deg: rotations of the grid about x, y and z.

    Returns:
        The grid.
    """
    affine = rotation(tilt_deg) @ np.diag(
        [sign * size for sign, size in zip(signs, sizes_mm, strict=True)] + [1.0]
    )
    middle = (np.asarray(shape) - 1) / 2
    affine[:3, 3] = np.asarray(CENTRE_MM) - affine[:3, :3] @ middle
    return Grid(shape, np.round(affine, 6))


def patients() -> list[Study]:
    """The two patients: a tumour, and white-matter lesions stored on an oblique LPS grid."""
    return [
        Study(
            name="sample-01",
            folder="patients",
            seed=4101,
            grid=grid_around((72, 92, 80), (2.4, 2.4, 2.4)),
            shape=HeadShape(
                tilt_deg=(3.0, -2.0, 2.5), shift_mm=(1.0, 2.0, -1.0), size=(0.91, 0.90, 0.91),
                sulci=0.1,
            ),
            contrasts=("T1", "T2", "FLAIR"),
            tumour=Tumour(centre_mm=TUMOUR_CENTRE_MM, volume_ml=25.0),
            bulge=Bulge(centre_mm=TUMOUR_CENTRE_MM, radius_mm=15.0, shift_mm=3.5),
        ),
        Study(
            name="sample-02",
            folder="patients",
            seed=4202,
            grid=grid_around(
                (77, 95, 67), (2.3, 2.3, 2.9), signs=(-1, -1, 1), tilt_deg=(10.0, 0.0, 4.0)
            ),
            shape=HeadShape(
                tilt_deg=(6.0, 1.5, -2.0), size=(0.88, 0.90, 0.91), ventricles_mm=3.5, sulci=0.7,
                csf_mm=3.4, skull_mm=6.5, scalp_mm=5.5,
            ),
            contrasts=("FLAIR",),
            acquisition=Acquisition(bias=0.08, noise=0.025, slope=5.0),
            white_matter=WhiteMatterLesions(count=26, volume_ml=8.8),
        ),
    ]  # fmt: skip


def healthy_study(number: int) -> Study:
    """One healthy head, its shape drawn from the seed of its number (1, 2, ...)."""
    seed = HEALTHY_SEED + number
    draw = np.random.default_rng([seed, 1])
    tilt = draw.uniform(-7, 7, 3) * (1.0, 0.6, 0.8)
    shift = draw.uniform(-5, 5, 3) * (0.6, 1.0, 0.8)
    # The template is larger than most heads.
    size = draw.uniform(0.88, 0.95) * draw.uniform(0.975, 1.025, 3)
    ventricles, sulci = draw.uniform(-1.5, 4.5), draw.uniform(-0.6, 0.9)
    coarse, fine = draw.uniform(2.4, 3.6), draw.uniform(1.0, 1.5)
    csf, skull, scalp = draw.uniform(1.8, 3.4), draw.uniform(4.8, 7.5), draw.uniform(4.5, 8.0)
    bias, noise, slope = draw.uniform(0.04, 0.11), draw.uniform(0.018, 0.028), draw.uniform(3, 12)
    return Study(
        name=f"healthy-{number:02d}",
        folder="healthy",
        seed=seed,
        grid=grid_around(HEALTHY_SHAPE, HEALTHY_SIZES_MM),
        shape=HeadShape(
            tilt_deg=_rounded(tilt),
            shift_mm=_rounded(shift),
            size=_rounded(size),
            ventricles_mm=round(ventricles, 3),
            sulci=round(sulci, 3),
            bend_mm=(round(coarse, 3), round(fine, 3)),
            csf_mm=round(csf, 3),
            skull_mm=round(skull, 3),
            scalp_mm=round(scalp, 3),
        ),
        contrasts=("T1",),
        acquisition=Acquisition(round(bias, 3), round(noise, 4), round(slope, 2)),
    )


def _rounded(values: np.ndarray) -> tuple[float, float, float]:  # type: ignore[type-arg]
    x, y, z = (round(float(value), 3) for value in values)
    return x, y, z


def all_studies() -> list[Study]:
    """Patients first, then the healthy cohort."""
    return patients() + [healthy_study(number) for number in range(1, HEALTHY_COUNT + 1)]
