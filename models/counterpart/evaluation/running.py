"""Measures many scans with many models: in parallel, resumable, one file for each scan.

What was measured is kept in ``OUT/models/NAME-VERSION-HASH/scans``: figures as JSON with the key of
all that they depend on, a strip of panels as PNG, one slice of all maps, the encoder's features. A
scan whose key has not changed is not measured again, so an evaluation that was stopped goes on
where it was.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from counterpart import __version__
from counterpart.benchmarking.machine import this_machine
from counterpart.brain_extraction import BrainModel, load_brain_model
from counterpart.bundle import (
    CALIBRATION_ARRAYS,
    CALIBRATIONS,
    REGIONS,
    SETTINGS,
    WEIGHTS,
    Model,
    bundle_folder,
    checked_digests,
    load_model,
)
from counterpart.bundle_files import read_json, write_json
from counterpart.calibration.record import HEALTHY_SCANS
from counterpart.errors import CounterpartError
from counterpart.evaluation.healthy import healthy_figures
from counterpart.evaluation.patients import patient_figures
from counterpart.evaluation.pictures import Picture
from counterpart.evaluation.probe import SliceFeatures, probe_figures, slice_features
from counterpart.evaluation.records import (
    HealthyFigures,
    ModelEvaluation,
    PatientFigures,
    Refusal,
)
from counterpart.evaluation.sources import HealthySource, PatientSource, Sources, subject_of
from counterpart.evaluation.strips import paint_strip
from counterpart.generate import generate_counterpart
from counterpart.hashing import file_sha256
from counterpart.output import write_result
from counterpart.results import Result
from counterpart.scans import Scan, read_mask, read_scan, scan_name
from counterpart.template import SPACING_MM

FIGURES_VERSION = 2  # raised when a figure changes its meaning
_STRIP, _PICTURE, _FEATURES = ".png", ".picture.npz", ".npz"

Source = PatientSource | HealthySource


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Args:
        model: Name or folder of the model.
        brain_model: Of the brain network, for whole heads.
        folder: Where this model's figures are kept.
        device: torch device.
        seed: Of the diffusion's noise.
        baselines: Whether plain baselines are measured too.
        reports: Whether maps and report of each scan are kept.
    """

    model: str
    brain_model: str
    folder: Path
    device: str = "cpu"
    seed: int = 0
    baselines: bool = True
    reports: bool = False


def evaluate(
    plan: Plan,
    sources: Sources,
    *,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
) -> ModelEvaluation:
    """Measure a model on all sources; what was measured before is taken from the folder.

    Args:
        plan: Which model, and how.
        sources: Patients and healthy scans.
        jobs: Scans at a time; each process takes its share of the cores.
        progress: Called with the name of each scan that is done.

    Returns:
        All figures; scans that are refused are listed with their reason.
    """
    tell = progress or (lambda name: None)
    every: list[Source] = [*sources.patients, *sources.healthy]
    (plan.folder / "scans").mkdir(parents=True, exist_ok=True)
    if jobs == 1:
        for source in every:
            measure(plan, source)
            tell(scan_name(source.scan))
    else:
        _in_parallel(plan, every, jobs, tell)
    return collect(plan, sources)


def collect(plan: Plan, sources: Sources) -> ModelEvaluation:
    """Read what was measured, and probe the encoder."""
    model, _ = _loaded(plan.model, plan.brain_model, plan.device)
    patients, healthy, refusals, slices = [], [], [], []
    machines: dict[str, None] = {}
    every: list[Source] = [*sources.patients, *sources.healthy]
    for source in every:
        kept = _kept_file(plan, source)
        values = read_json(kept)
        if "refused" in values:
            refusals.append(Refusal(scan_name(source.scan), values["refused"]))
            continue
        machines[values["machine"]] = None
        if isinstance(source, PatientSource):
            patients.append(PatientFigures.from_json(values["figures"]))
        else:
            healthy.append(HealthyFigures.from_json(values["figures"]))
        features = _read_features(kept.with_suffix(_FEATURES))
        slices += [] if features is None else [features]
    return ModelEvaluation(
        name=model.name,
        version=model.version,
        weights_sha256=model.weights_sha256,
        seed=plan.seed,
        aims=_thresholds(model),
        patients=tuple(patients),
        healthy=tuple(healthy),
        probe=tuple(probe_figures(slices)),
        refusals=tuple(refusals),
        machines=tuple(machines),
    )


def _thresholds(model: Model) -> dict[str, tuple[float, str]]:
    """Threshold and kind of each contrast; of two calibrations that of healthy scans."""
    preferred = sorted(model.calibrations, key=lambda one: one.kind == HEALTHY_SCANS)
    return {one.contrast: (one.threshold, one.kind) for one in preferred}


def strip_of(plan: Plan, scan: str) -> NDArray[np.uint8]:
    """The strip of panels (H, W, 3) of a scan that was measured."""
    with Image.open(plan.folder / "scans" / f"{scan}{_STRIP}") as picture:
        return np.asarray(picture.convert("RGB"))


def picture_of(plan: Plan, scan: str) -> Picture:
    """What the picture at full resolution shows of a scan that was measured."""
    return Picture.read(plan.folder / "scans" / f"{scan}{_PICTURE}")


def measure(plan: Plan, source: Source) -> None:
    """Measure one scan, unless it was measured before."""
    kept = _kept_file(plan, source)
    key = _key(plan, source)
    if kept.is_file() and _key_of(kept) == key:
        return
    try:
        figures = _measured(plan, source, kept)
    except CounterpartError as error:
        write_json(kept, {"key": key, "refused": str(error)})
        return
    told = {"key": key, "machine": this_machine(plan.device).words(), "figures": asdict(figures)}
    write_json(kept, told)  # last: it says that all is there


def _measured(plan: Plan, source: Source, kept: Path) -> PatientFigures | HealthyFigures:
    model, _ = _loaded(plan.model, plan.brain_model, plan.device)
    scan = read_scan(source.scan)
    if isinstance(source, HealthySource):
        result, seconds = _generated(plan, source, scan)
        _keep(plan, source, result, None, kept)
        return healthy_figures(result, source, model, baselines=plan.baselines, seconds=seconds)
    lesion = read_mask(source.mask, scan.grid)
    result, seconds = _generated(plan, source, scan)
    _keep(plan, source, result, lesion, kept)
    return patient_figures(
        result,
        lesion,
        baselines=plan.baselines,
        erosion_mm=SPACING_MM * model.settings.anomaly.erosion_voxels,
        seconds=seconds,
        atlas=model.regions,
    )


def _generated(plan: Plan, source: Source, scan: Scan) -> tuple[Result, float]:
    """The product's result, and the seconds that it took."""
    model, brain_model = _loaded(plan.model, plan.brain_model, plan.device)
    brain = read_mask(source.brain, scan.grid) if source.brain else None
    began = time.perf_counter()
    result = generate_counterpart(
        scan, model, brain_model=brain_model, brain_mask=brain, seed=plan.seed
    )
    return result, time.perf_counter() - began


def _keep(
    plan: Plan, source: Source, result: Result, lesion: NDArray[np.bool_] | None, kept: Path
) -> None:
    """Keep strip, slice, the encoder's features and, if asked for, all maps."""
    model, _ = _loaded(plan.model, plan.brain_model, plan.device)
    Image.fromarray(paint_strip(result, lesion)).save(kept.with_suffix(_STRIP))
    Picture.of(result, lesion).write(kept.with_suffix(_PICTURE))
    features = slice_features(result, lesion, model, subject_of(source.scan))
    _write_features(features, kept.with_suffix(_FEATURES))
    if plan.reports:
        write_result(result, plan.folder / "reports" / result.scan.name, overwrite=True)


@lru_cache(maxsize=2)
def _loaded(model: str, brain_model: str, device: str) -> tuple[Model, BrainModel]:
    return load_model(model, device=device), load_brain_model(brain_model, device=device)


def _in_parallel(
    plan: Plan, sources: Sequence[Source], jobs: int, tell: Callable[[str], None]
) -> None:
    """Measure in as many fresh processes; when one fails or the user stops, the rest is dropped."""
    threads = max(1, torch.get_num_threads() // jobs)
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_take_share,
        initargs=(threads,),
    ) as pool:
        waiting: dict[Future[None], Source] = {
            pool.submit(measure, plan, source): source for source in sources
        }
        try:
            for done in as_completed(waiting):
                done.result()
                tell(scan_name(waiting[done].scan))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _take_share(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def _kept_file(plan: Plan, source: Source) -> Path:
    return plan.folder / "scans" / f"{scan_name(source.scan)}.json"


def _key(plan: Plan, source: Source) -> dict[str, Any]:
    """All that the figures of a scan depend on."""
    return {
        "figures": FIGURES_VERSION,
        "counterpart": __version__,
        "model": _model_key(plan.model),
        "brain_model": _model_key(plan.brain_model),
        "seed": plan.seed,
        "baselines": plan.baselines,
        "reports": plan.reports,
        "files": [file_sha256(path) for path in source.files],
        "part": getattr(source, "part", ""),
        "age_years": getattr(source, "age_years", None),
    }


def weights_of(model: str) -> str:
    """sha256 of a model's weights."""
    return checked_digests(bundle_folder(model))[WEIGHTS]


@lru_cache(maxsize=4)
def _model_key(model: str) -> str:
    digests = checked_digests(bundle_folder(model))
    parts = (WEIGHTS, SETTINGS, CALIBRATIONS, CALIBRATION_ARRAYS, REGIONS)
    return "-".join(digests[name][:16] for name in parts if name in digests)


def _key_of(kept: Path) -> Any:
    try:
        return json.loads(kept.read_text()).get("key")
    except (OSError, ValueError, AttributeError):
        return None  # of a run that was killed while it wrote


def _write_features(found: SliceFeatures | None, path: Path) -> None:
    path.unlink(missing_ok=True)
    if found is not None:
        values = asdict(found)
        values["features"] = found.features.astype(np.float16)
        np.savez(path, **values)


def _read_features(path: Path) -> SliceFeatures | None:
    if not path.is_file():
        return None
    with np.load(path) as stored:
        return SliceFeatures(
            subject=str(stored["subject"]),
            contrast=str(stored["contrast"]),
            patient=bool(stored["patient"]),
            features=stored["features"].astype(np.float32),
            height_mm=stored["height_mm"],
            lesion=stored["lesion"],
        )
