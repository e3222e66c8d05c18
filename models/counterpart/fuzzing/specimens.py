"""Small valid scans of every format, for the fuzzer to damage."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.uid import RLELossless

from counterpart.formats.derived_series import write_dicom_series
from counterpart.grid import Grid
from counterpart.scans import Scan, write_map

SHAPE = (9, 10, 8)


@dataclass(frozen=True)
class Specimen:
    """A valid scan.

    Args:
        format: What the table of results calls it.
        entry: The file's name to read; empty for the folder itself.
        files: Name and content of each file.
        every: It takes part in one of so many rounds, because reading it takes longer.
    """

    format: str
    entry: str
    files: dict[str, bytes]
    every: int = 1


def make_specimens() -> list[Specimen]:
    """One specimen of each format: a rough picture of 9 x 10 x 8 voxels on an oblique grid."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_files(Path(folder)), *_series(Path(folder))]


def _scan() -> Scan:
    values = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.float32)
    turn, _ = np.linalg.qr(np.array([[1.0, 0.1, -0.2], [-0.1, 1.0, 0.1], [0.2, 0.0, 1.0]]))
    affine = np.eye(4)
    affine[:3, :3] = turn * (0.9, 1.1, 3.3)
    affine[:3, 3] = (-40.0, 70.0, -20.0)
    return Scan(values, Grid(SHAPE, affine), "scan")


def _files(folder: Path) -> list[Specimen]:
    scan = _scan()
    values = scan.values.astype(np.int16)
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
        write_map(folder / f"scan{suffix}", values, scan)
    image = sitk.ReadImage(str(folder / "scan.nrrd"))
    for name in ("raw.nrrd", "raw.mha", "apart.nhdr", "apart.mhd"):
        sitk.WriteImage(image, str(folder / name), useCompression=False)
    content = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return [
        Specimen(kind, names[0], {name: content[name] for name in names})
        for kind, *names in (
            ("NIfTI", "scan.nii"),
            ("NIfTI packed", "scan.nii.gz"),
            ("NRRD", "raw.nrrd"),
            ("NRRD packed", "scan.nrrd"),
            ("NRRD detached", "apart.nhdr", "apart.raw"),
            ("MetaImage", "raw.mha"),
            ("MetaImage packed", "scan.mha"),
            ("MetaImage detached", "apart.mhd", "apart.raw"),
        )
    ]


def _series(folder: Path) -> list[Specimen]:
    scan = _scan()
    plain = write_dicom_series(
        folder / "plain", scan.values.astype(np.int16), scan, description="Specimen"
    )
    packed = folder / "packed"
    packed.mkdir()
    for number, path in enumerate(plain):
        _pack(path, packed / path.name, ("RLE", "JPEG", "JPEG2000")[number % 3])
    return [
        Specimen(
            kind, "", {path.name: path.read_bytes() for path in sorted(source.iterdir())}, every
        )
        for kind, source, every in (("DICOM", folder / "plain", 1), ("DICOM packed", packed, 5))
    ]


def _pack(source: Path, target: Path, compressor: str) -> None:
    """One slice again, its voxels compressed without loss."""
    dataset = pydicom.dcmread(source)
    if compressor == "RLE":
        dataset.compress(RLELossless)
    else:
        dataset.PixelData, dataset.file_meta.TransferSyntaxUID = _packed_by_gdcm(
            dataset.pixel_array, target, compressor
        )
        dataset["PixelData"].is_undefined_length = True
    dataset.save_as(target, write_like_original=False)


def _packed_by_gdcm(
    plane: NDArray[np.int16], target: Path, compressor: str
) -> tuple[bytes, pydicom.uid.UID]:
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.SetFileName(str(target))
    writer.Execute(sitk.GetImageFromArray(plane))
    made = pydicom.dcmread(target)
    return made.PixelData, made.file_meta.TransferSyntaxUID
