"""Makes the sample studies: `python sample_data/generate.py -o sample_data`."""

import argparse
import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from anatomy import Anatomy, build_head
from contrast import CONTRASTS, acquire, block_mean
from lesions import Lesion, grow_tumour, lesion_mask, scatter_lesions
from studies import Study, all_studies
from template import Atlas, load_atlas, template_hashes

Levels = npt.NDArray[np.uint8]
SCANNER_ANATOMICAL = 1
# One stream of random numbers per purpose, so that adding a sequence leaves the others as they are.
STREAMS = {"anatomy": 10, "lesion": 11, "T1": 20, "T2": 21, "FLAIR": 22}


def nifti_bytes(levels: Levels, study: Study, *, slope: float | None = None) -> bytes:
    """A `.nii.gz` file in memory, the same bytes on every run.

    Args:
        levels: stored values (I, J, K).
        study: gives the affine.
        slope: factor from stored values to the scan's units; none for masks.

    Returns:
        Compressed file with no time and no name in the gzip header.
    """
    image = nib.nifti1.Nifti1Image(levels, study.grid.affine, dtype=np.uint8)
    image.set_qform(study.grid.affine, code=SCANNER_ANATOMICAL)
    image.set_sform(study.grid.affine, code=SCANNER_ANATOMICAL)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"synthetic, Counterpart sample data"
    raw = bytearray(image.to_bytes())
    if slope is not None:
        # nibabel drops the slope of integer data on writing; bytes 112 to 119 hold it.
        raw[112:120] = np.array([slope, 0.0], dtype="<f4").tobytes()
    return gzip.compress(bytes(raw), compresslevel=9, mtime=0)


def stream(study: Study, purpose: str) -> np.random.Generator:
    """Random numbers of one study for one purpose."""
    return np.random.default_rng([study.seed, STREAMS[purpose]])


def draw_lesion(study: Study, anatomy: Anatomy) -> Lesion | None:
    """The study's disease on the supersampled grid, or nothing."""
    generator = stream(study, "lesion")
    if study.tumour is not None:
        return grow_tumour(anatomy, study.tumour, generator)
    if study.white_matter is not None:
        return scatter_lesions(anatomy, study.white_matter, generator)
    return None


def make_study(study: Study, atlas: Atlas) -> dict[str, bytes]:
    """All files of one study.

    Args:
        study: who is scanned and how.
        atlas: the template's maps.

    Returns:
        Contents by path below the output folder.
    """
    anatomy = build_head(
        atlas, study.grid, study.shape, stream(study, "anatomy"), bulge=study.bulge
    )
    lesion = draw_lesion(study, anatomy)
    brain = (block_mean(anatomy.brain) >= 0.5).astype(np.uint8)
    files = {}
    for name in study.contrasts:
        levels = acquire(
            anatomy, CONTRASTS[name], study.acquisition, stream(study, name), lesion=lesion
        )
        files[name] = nifti_bytes(levels, study, slope=study.acquisition.slope)
    files["brain"] = nifti_bytes(brain, study)
    if lesion is not None:
        files["lesion"] = nifti_bytes(lesion_mask(lesion, brain), study)
    return {f"{study.folder}/{study.name}_{key}.nii.gz": data for key, data in files.items()}


def study_parameters(study: Study) -> dict[str, Any]:
    """The study as plain JSON values, without what only says where files go."""
    parameters = asdict(study)
    parameters["grid"]["affine"] = study.grid.affine.tolist()
    for key in ("name", "folder", "seed"):
        del parameters[key]
    return {key: value for key, value in parameters.items() if value is not None}


def provenance_entry(study: Study, data: bytes) -> dict[str, Any]:
    """What PROVENANCE.json says of one file."""
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "voxels_sha256": hashlib.sha256(gzip.decompress(data)).hexdigest(),
        "bytes": len(data),
        "shape": list(study.grid.shape),
        "seed": study.seed,
        "study": study.name,
    }


def split_table(studies: Sequence[Study]) -> str:
    """`split.csv` of the healthy cohort: five to train on, two to validate, one to calibrate."""
    names = [study.name for study in studies if study.folder == "healthy"]
    parts = ["train"] * 5 + ["validate"] * 2 + ["calibrate"]
    rows = [f"{name},{part}" for name, part in zip(names, parts, strict=True)]
    return "\n".join(["subject,part", *rows]) + "\n"


def generate(output: Path, only: Sequence[str] = ()) -> None:
    """Write the studies and PROVENANCE.json.

    Args:
        output: folder for `patients/`, `healthy/` and PROVENANCE.json.
        only: names of the studies to make; all if empty. PROVENANCE.json then lists only these.

    Raises:
        SystemExit: if a name in `only` is unknown.
    """
    studies = all_studies()
    unknown = sorted(set(only) - {study.name for study in studies})
    if unknown:
        names = ", ".join(study.name for study in studies)
        raise SystemExit(f"No study named {', '.join(unknown)}; choose from {names}.")
    chosen = [study for study in studies if not only or study.name in only]
    atlas = load_atlas()
    entries: dict[str, Any] = {}
    for study in chosen:
        for path, data in make_study(study, atlas).items():
            target = output / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            entries[path] = provenance_entry(study, data)
    if not only:
        (output / "healthy" / "split.csv").write_text(split_table(studies))
    record = {
        "generator": "sample_data/generate.py",
        "template": template_hashes(),
        "studies": {study.name: study_parameters(study) for study in chosen},
        "files": entries,
    }
    (output / "PROVENANCE.json").write_text(json.dumps(record, indent=1) + "\n")


def main() -> None:
    """Read the command line and generate."""
    parser = argparse.ArgumentParser(description="Make the synthetic sample studies.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--only", nargs="*", default=[], help="names of the studies to make")
    arguments = parser.parse_args()
    generate(arguments.output, arguments.only)


if __name__ == "__main__":
    main()
