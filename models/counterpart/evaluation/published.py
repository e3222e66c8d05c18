"""Published figures of other methods, and why ours must not be subtracted from them."""

from __future__ import annotations

from dataclasses import dataclass

from counterpart.evaluation.markdown import number, table
from counterpart.evaluation.records import ModelEvaluation
from counterpart.evaluation.summary import by_set, summarise

WHY_OTHER = """\
None of these can be subtracted from ours, for the protocols differ: other and more patients, other
voxel sizes, a score over all voxels of a set or over slices where ours is the mean over scans,
other healthy scans to train on and often of the very contrast that is tested, another region that
counts, other smoothing and erosion. The share of lesion voxels, which is the AP of chance, differs
from set to set as well. A higher figure here is no proof of a better method and a lower one none of
a worse: only a run of all methods on the same scans would tell. The figures are quoted, not
measured again."""


@dataclass(frozen=True)
class Published:
    """A figure of another method.

    Args:
        method: Its name.
        source: Who published the figure.
        data: Patients and contrast that it was measured on.
        figure: What was measured.
        value: The figure.
        group: Our set that comes nearest.
        contrast: Its contrast.
    """

    method: str
    source: str
    data: str
    figure: str
    value: float
    group: str
    contrast: str


_COMPARISON = "comparison in Trivedi et al. 2024 (MCDDPM, arXiv 2409.19623)"
_IN_COMPARISON = (
    ("DDPM", 0.40, 0.074),
    ("pDDPM", 0.47, 0.074),
    ("cDDPM", 0.50, 0.054),
    ("MCDDPM", 0.58, 0.067),
)
PUBLISHED = (
    *(
        Published(name, _COMPARISON, "BraTS21 T2", "AUPRC", brats, "brats", "T2")
        for name, brats, _ in _IN_COMPARISON
    ),
    *(
        Published(name, _COMPARISON, "MSLUB T2", "AUPRC", mslub, "mslub", "T2")
        for name, _, mslub in _IN_COMPARISON
    ),
    Published("FAE", "Meissen et al., arXiv 2208.10992", "BraTS T1", "AP", 0.54, "brats", "T1"),
    Published(
        "DISYRE v2",
        "Naval Marimont et al. 2024, arXiv 2407.06635",
        "BraTS20 T2",
        "AP",
        0.81,
        "brats",
        "T2",
    ),
)


def published_parts(evaluation: ModelEvaluation) -> list[str]:
    """Heading, why protocols differ, and the table; ours beside a figure of like scans."""
    known = {(one.group, one.contrast): one for one in summarise(evaluation)}
    rows = []
    for one in PUBLISHED:
        ours = known.get((one.group, one.contrast))
        scans = len(by_set(evaluation.patients).get((one.group, one.contrast), []))
        own = "no such scans" if ours is None else f"{number(ours.map.ap)} ({scans})"
        value = f"{one.figure} {one.value:g}"
        rows.append([one.data, one.method, value, one.source, own])
    head = ["scans", "method", "published", "source", "ours, mean AP (scans)"]
    return ["### Published figures", WHY_OTHER, table(head, rows)]
