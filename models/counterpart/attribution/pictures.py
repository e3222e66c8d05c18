"""The healthy scans behind pseudonyms, for a site that lets them be seen.

Who a pseudonym stands for is known to nobody but the holder of the prepared cohort: the key lies in
its folder alone. Shown is the scan as it was prepared: without face and skull, in template pose.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from counterpart.attribution.reference_index import Array, pseudonym
from counterpart.cohort import read_index
from counterpart.errors import CohortError
from counterpart.results import DISCLAIMER
from counterpart.template import CANVAS

KEY = "pseudonyms.json"
_SECRET_BYTES = 24


def cohort_secret(folder: Path) -> str:
    """The key of a cohort's pseudonyms; drawn and kept in its folder when first asked for.

    Raises:
        CohortError: The key is damaged, or cannot be written.
    """
    path = folder / KEY
    try:
        if not path.is_file():
            drawn = json.dumps({"secret": secrets.token_hex(_SECRET_BYTES)})
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(drawn + "\n")
        return str(json.loads(path.read_text())["secret"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CohortError(
            f"{path}: the key of the pseudonyms cannot be read or written ({error})."
        ) from error


class ReferencePictures:
    """The prepared scans of a cohort, by pseudonym.

    Args:
        folder: Of the prepared cohort that the model was trained on.

    Raises:
        CohortError: The folder is no cohort, or has no pseudonyms.
    """

    def __init__(self, folder: Path) -> None:
        index = read_index(folder)
        if not (folder / KEY).is_file():
            raise CohortError(
                f"{folder}: no model's references were made from this cohort ({KEY} is missing)."
            )
        secret = cohort_secret(folder)
        self._folder = folder
        self._places: dict[str, tuple[str, int, float, float]] = {}
        subjects = iter(index["subjects"])
        for shard in index["shards"]:
            for row in range(int(shard["subjects"])):
                one: dict[str, Any] = next(subjects)
                place = (str(shard["file"]), row, float(one["low"]), float(one["step"]))
                self._places[pseudonym(str(one["name"]), secret)] = place

    def __contains__(self, name: str) -> bool:
        """Whether there is a picture of this reference."""
        return name in self._places

    def volume(self, name: str) -> Array:
        """The normalised scan (I, J, K) on the canvas, spreads; the least value outside the brain.

        Raises:
            CohortError: There is no such reference, or its file is damaged.
        """
        if name not in self._places:
            raise CohortError(f"{name}: no such reference in the cohort {self._folder.name}.")
        file, row, low, step = self._places[name]
        try:
            with safe_open(self._folder / file, framework="numpy") as shard:
                scan, brain = (shard.get_slice(part)[row] for part in ("scan", "brain"))
        except (OSError, SafetensorError, IndexError) as error:
            raise CohortError(f"{self._folder / file}: is damaged ({error}).") from error
        values = low + step * scan.astype(np.float32)
        least = float(values[brain > 0].min()) if brain.any() else 0.0
        shown = np.where(brain > 0, values - least, 0.0).astype(np.float32)
        return np.ascontiguousarray(np.moveaxis(shown, 0, -1))

    def write(self, name: str, path: Path, template_from_world: NDArray[np.float64]) -> None:
        """Write a reference as NIfTI where the patient's brain lies.

        Args:
            name: Pseudonym.
            path: Ends in ``.nii`` or ``.nii.gz``.
            template_from_world: (4, 4) pose of the patient's scan, mm.

        Raises:
            CohortError: There is no such reference, or its file is damaged.
        """
        affine = np.linalg.inv(template_from_world) @ CANVAS.affine
        image = nib.nifti1.Nifti1Image(self.volume(name), affine)
        image.header.set_xyzt_units("mm")
        image.header["descrip"] = DISCLAIMER[:79].encode()
        nib.nifti1.save(image, path)
