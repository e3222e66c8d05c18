"""Unpacks compressed DICOM frames in a process of its own, which may crash without harm.

Run as ``python -m counterpart.formats.frame_unpacking FOLDER``: numbers of frames come in by
standard input, ``NUMBER.dcm`` becomes ``NUMBER.npy``, and each number that is done goes out. It
ends at the first frame on which a decoder complains.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def main() -> int:
    """Unpack frames; 0 if all went well."""
    folder = Path(sys.argv[1])
    answers, complaints = os.fdopen(os.dup(1), "w", buffering=1), os.dup(2)
    with tempfile.TemporaryFile() as console:
        os.dup2(console.fileno(), 1)
        os.dup2(console.fileno(), 2)
        for number in sys.stdin.read().split():
            _unpack(folder / f"{number}.dcm")
            sys.stderr.flush()
            if os.fstat(console.fileno()).st_size:
                os.write(complaints, os.pread(console.fileno(), 1000, 0))
                return 1
            answers.write(f"{number}\n")
    return 0


def _unpack(path: Path) -> None:
    try:
        image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
    except RuntimeError as error:
        print(str(error).strip().splitlines()[-1], file=sys.stderr)
        return
    array = sitk.GetArrayFromImage(image)
    np.save(path.with_suffix(".npy"), array[0] if array.ndim == 3 else array)


if __name__ == "__main__":
    raise SystemExit(main())
