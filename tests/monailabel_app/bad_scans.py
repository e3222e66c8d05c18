"""Small files that are no brain scans, each in one way."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
from a_server import SAMPLES

# Nobody's name; whatever the server writes must not hold it.
NAME = "Mustermann_Erika_19470101"
_GOOD = SAMPLES / "sample-01_T1.nii.gz"


def a_nifti(values: np.ndarray) -> bytes:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return nib.Nifti1Image(values.astype(np.float32), affine).to_bytes()


def a_volume(shape: tuple[int, ...] = (16, 16, 16)) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 100, shape)


def a_ct() -> np.ndarray:
    values = np.full((20, 20, 20), -1000.0)
    values[5:15, 5:15, 5:15] = np.random.default_rng(2).uniform(0, 80, (10, 10, 10))
    return values


def with_hole(value: float) -> np.ndarray:
    values = a_volume()
    values[3, 4, 5] = value
    return values


def a_flat_nifti() -> bytes:
    content = bytearray(a_nifti(a_volume()))
    content[312:328] = bytes(16)  # the third row of the affine
    return bytes(content)


def a_corrupt_file() -> bytes:
    content = bytearray(_GOOD.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    return bytes(content)


def ten_million_slices(kind: str) -> bytes:
    if kind == "nrrd":
        head = "NRRD0004\ntype: float\ndimension: 3\nsizes: 64 64 10000000\nencoding: raw\n"
        space = "endian: little\nspace: left-posterior-superior\nspace origin: (0,0,0)\n"
        return (head + space + "space directions: (1,0,0) (0,1,0) (0,0,1)\n\n").encode() + bytes(64)
    if kind == "mha":
        lines = ("ObjectType = Image", "NDims = 3", "BinaryData = True", "ElementSpacing = 1 1 1")
        last = ("DimSize = 64 64 10000000", "ElementType = MET_FLOAT", "ElementDataFile = LOCAL")
        return "\n".join((*lines, *last)).encode() + b"\n" + bytes(64)
    image = nib.Nifti2Image(a_volume().astype(np.float32), np.eye(4))
    content = bytearray(image.to_bytes())
    struct.pack_into("<q", content, 16 + 3 * 8, 10_000_000)  # dim[3] of NIfTI-2
    return bytes(content)


def a_zip(files: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def a_damaged_zip(kind: int) -> bytes:
    content = bytearray(a_zip({"a.dcm": np.random.default_rng(3).bytes(4000)}, kind))
    content[60:160] = b"\xff" * 100
    return bytes(content)


def a_locked_zip() -> bytes:
    content = bytearray(a_zip({"a.dcm": b"x" * 50}))
    content[6] |= 1  # in the file's own header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the table of contents
    return bytes(content)


def a_zip_with_a_long_table() -> bytes:
    """Sixty thousand names of files that are not there."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 4) + bytes(16) + b"a.bc"
    table = entry * 60_000
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 60_000, 60_000, len(table), 0, 0)
    return table + end


def bad_files() -> dict[str, tuple[str, bytes]]:
    """By what is wrong: the suffix, and the content."""
    return {
        "truncated": (".nii.gz", _GOOD.read_bytes()[: _GOOD.stat().st_size // 2]),
        "truncated, not packed": (".nii", gzip.decompress(_GOOD.read_bytes())[:-1000]),
        "corrupt": (".nii.gz", a_corrupt_file()),
        "text as NIfTI": (".nii.gz", b"this is no image"),
        "text, packed": (".nii.gz", gzip.compress(b"this is no image " * 30)),
        "text as NRRD": (".nrrd", b"this is no image"),
        "text as MetaImage": (".mha", b"this is no image"),
        "a header that points to another file": (
            ".mha",
            b"NDims = 3\nDimSize = 16 16 16\nElementType = MET_UCHAR\n"
            b"ElementDataFile = /etc/passwd\n",
        ),
        "an NRRD header that points to another file": (
            ".nrrd",
            b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 16 16 16\nencoding: raw\n"
            b"space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
            b"space origin: (0,0,0)\ndata file: /etc/passwd\n\n",
        ),
        "a picture": (".nii", b"\x89PNG\r\n\x1a\n" + bytes(400)),
        "CT": (".nii.gz", gzip.compress(a_nifti(a_ct()))),
        "a series of volumes": (".nii.gz", gzip.compress(a_nifti(a_volume((16, 16, 16, 4))))),
        "not a number": (".nii", a_nifti(with_hole(np.nan))),
        "infinite": (".nii", a_nifti(with_hole(np.inf))),
        "constant": (".nii", a_nifti(np.full((16, 16, 16), 7.0))),
        "one slice": (".nii", a_nifti(a_volume((64, 64, 1)))),
        "a flat affine": (".nii", a_flat_nifti()),
        "ten million slices, NIfTI": (".nii", ten_million_slices("nii")),
        "ten million slices, NRRD": (".nrrd", ten_million_slices("nrrd")),
        "ten million slices, MetaImage": (".mha", ten_million_slices("mha")),
    }


def bad_archives() -> dict[str, tuple[str, bytes]]:
    return {
        "text as ZIP": (".zip", b"this is no archive"),
        "an empty archive": (".zip", a_zip({})),
        "a damaged archive": (".zip", a_damaged_zip(zipfile.ZIP_DEFLATED)),
        "a damaged archive, bz2": (".zip", a_damaged_zip(zipfile.ZIP_BZIP2)),
        "a damaged archive, lzma": (".zip", a_damaged_zip(zipfile.ZIP_LZMA)),
        "a locked archive": (".zip", a_locked_zip()),
        "an archive of text": (".zip", a_zip({"a.dcm": b"no image", "b.dcm": b"none either"})),
        "an archive that leads elsewhere": (".zip", a_zip({"../../../up.dcm": b"no image"})),
    }


def write_bad_images(folder: Path) -> None:
    """What an administrator might have copied among the studies."""
    for what in ("truncated", "CT", "not a number", "one slice"):
        suffix, content = bad_files()[what]
        (folder / f"{what.replace(' ', '-')}{suffix}").write_bytes(content)
