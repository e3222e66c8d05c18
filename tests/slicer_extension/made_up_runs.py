"""Results of a made-up scan with findings at known voxels, as a server would deliver them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from HealthyCounterpartLib.server_facts import JobStatus, ModelName

WEIGHTS = "c1" * 32
OBLIQUE = np.array(
    [
        [1.9319, -0.2588, 0.0, -20.0],
        [0.5176, 0.9659, 0.0, -15.0],
        [0.0, 0.0, 3.0, -30.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@dataclass(frozen=True)
class Place:
    """A cuboid of constant score: voxels from ``first`` to ``last``, both within it."""

    first: tuple[int, int, int]
    last: tuple[int, int, int]
    score: float

    @property
    def box(self) -> tuple[slice, ...]:
        return tuple(slice(a, b + 1) for a, b in zip(self.first, self.last, strict=True))

    @property
    def centre(self) -> tuple[int, ...]:
        return tuple((a + b) // 2 for a, b in zip(self.first, self.last, strict=True))


@dataclass(frozen=True)
class Phantom:
    """A scan with known findings, and what a server would answer.

    Args:
        shape: Voxels along I, J, K.
        affine: Voxel to RAS mm.
        places: Findings, in their order.
        threshold: Healthy threshold.
        name: Of the scan.
        contrast: Of the scan.
    """

    shape: tuple[int, int, int] = (20, 24, 16)
    affine: np.ndarray = field(default_factory=lambda: orthonormal(OBLIQUE))
    places: tuple[Place, ...] = (
        Place((12, 8, 5), (16, 13, 9), 50.0),
        Place((3, 14, 6), (6, 18, 9), -30.0),
    )
    threshold: float = 12.9
    name: str = "Mustermann FLAIR"
    contrast: str = "FLAIR"

    def values(self) -> np.ndarray:
        """(I, J, K) greys, each different from its neighbours."""
        i, j, k = np.indices(self.shape)
        return (100 + 5 * i + 3 * j + 2 * k).astype(np.int16)

    def anomaly(self) -> np.ndarray:
        """(I, J, K) score: 0 in the margin, 5 within, which is below the threshold."""
        score = np.zeros(self.shape, np.float32)
        score[2:-2, 2:-2, 2:-2] = 5.0
        score[2:-2, 2 : self.shape[1] // 2, 2:-2] = -5.0
        for place in self.places:
            score[place.box] = place.score
        return score

    def mask(self) -> np.ndarray:
        return (np.abs(self.anomaly()) >= self.threshold).astype(np.uint8)

    def scan(self, scene: Any) -> Any:
        """The scan as a volume of the scene."""
        import slicer
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        from HealthyCounterpartLib.scene.voxels import set_ijk_to_ras

        image = vtk.vtkImageData()
        image.SetDimensions(self.shape)
        image.AllocateScalars(vtk.VTK_SHORT, 1)
        vtk_to_numpy(image.GetPointData().GetScalars())[:] = self.values().ravel(order="F")
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetName(self.name)
        volume.SetAndObserveImageData(image)
        set_ijk_to_ras(volume, self.affine)
        scene.AddNode(volume)
        volume.CreateDefaultDisplayNodes()
        volume.GetDisplayNode().SetAutoWindowLevel(0)
        volume.GetDisplayNode().SetWindowLevel(255.0, 127.5)  # a voxel's value is its grey
        volume.GetDisplayNode().SetInterpolate(0)
        return volume

    def findings(self) -> dict[str, Any]:
        size = float(np.abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0
        return {
            "disclaimer": "AI-generated, research use only",
            "threshold": self.threshold,
            "evidence": {"p_value": 0.04, "p_floor": 0.01, "healthy_scans": 99, "reason": "ok"},
            "warnings": ["thick slices"],
            "findings": [
                {
                    "number": number,
                    "direction": "brighter" if place.score > 0 else "darker",
                    "volume_ml": round(float(np.ones(self.shape)[place.box].sum()) * size, 3),
                    "peak": abs(place.score),
                    "mean": abs(place.score),
                    "centre_ras_mm": [round(float(x), 1) for x in self.world(place.centre)],
                    "side": "left",
                    "region": "frontal lobe",
                    "p_value": 0.04,
                }
                for number, place in enumerate(self.places, start=1)
            ],
        }

    def world(self, ijk: tuple[int, ...]) -> np.ndarray:
        """Place of a voxel, RAS mm."""
        return np.asarray((self.affine @ [*ijk, 1.0])[:3])

    def files(self, folder: Path) -> dict[str, Path]:
        """The maps on the scan's grid, as NIfTI files."""
        import nibabel

        folder.mkdir(parents=True, exist_ok=True)
        anomaly = self.anomaly()
        maps = {
            "counterpart": self.values().astype(np.float32) - 20 * np.sign(anomaly),
            "residual": anomaly / 10,
            "anomaly": anomaly,
            "mask": self.mask(),
        }
        for name, values in maps.items():
            kind = np.uint8 if name == "mask" else np.float32
            image = nibabel.Nifti1Image(values.astype(kind), self.affine)
            nibabel.save(image, folder / f"{name}.nii")
        return {name: folder / f"{name}.nii" for name in maps}

    def delivery(self, folder: Path, job: str = "job-1") -> Any:
        """What arrives, with the attributes of `HealthyCounterpartLib.jobs.Delivery`."""
        model = ModelName("healthy-brain", "0.2.0", WEIGHTS)
        return SimpleNamespace(
            job=JobStatus(job, "done", model=model, scan="ab" * 32),
            files=self.files(folder),
            findings=self.findings(),
            provenance={
                "model": model.name,
                "version": model.version,
                "weights_sha256": model.weights_sha256,
                "contrast": self.contrast,
                "seed": 2**40,
            },
            references={},
            scan_sha256="ab" * 32,
        )


def stored_delivery(folder: Path, job: str = "job-1") -> Any:
    """What the command line wrote into a folder, as if a server had delivered it."""
    provenance = json.loads((folder / "provenance.json").read_text())
    names = ("counterpart", "residual", "anomaly", "mask")
    return SimpleNamespace(
        job=JobStatus(job, "done", scan="ab" * 32),
        files={name: folder / f"{name}.nii" for name in names},
        findings=json.loads((folder / "findings.json").read_text()),
        provenance=provenance,
        references={},
        scan_sha256="ab" * 32,
    )


def orthonormal(affine: np.ndarray) -> np.ndarray:
    """The affine with its axes exactly at right angles."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    u, _s, v = np.linalg.svd(affine[:3, :3] / lengths)
    straight = affine.copy()
    straight[:3, :3] = (u @ v) * lengths
    return straight
