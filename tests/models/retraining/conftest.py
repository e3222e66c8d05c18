"""What the tests of retraining share: a tiny model that serves, a prepared run, real processes."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from retraining_runs import FORKS
from stand_ins import TINY_NETWORK

from counterpart.bundle import ModelSettings, released_weights, write_bundle
from counterpart.bundle_metadata import bundle_metadata, image_format
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.cohort import read_cohort
from counterpart.denoiser import Denoiser
from counterpart.encoder import EncoderConfig
from counterpart.package_data import package_data
from counterpart.reconstruction import ReconstructionConfig
from counterpart.registry.publishing import Terms, publish
from counterpart.residual import AnomalyConfig
from counterpart.retraining.marks import Decided, Prepared, write_mark

ENCODER = EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 8), code_size=8, norm_groups=4, cells=1)
NETWORK = replace(TINY_NETWORK, attention=(False, False), condition="embedding", encoder=ENCODER)
STEPS = {"encoder": 6, "denoiser": 10}


@pytest.fixture(scope="session", autouse=True)
def one_thread_each() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        FORKS.set_forkserver_preload(["counterpart.retraining.pipeline"])
        yield


@pytest.fixture(scope="session")
def a_tiny_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry in which version 0.1.0 of the model ``tiny`` serves."""
    folder = tmp_path_factory.mktemp("tiny")
    bundle, root = folder / "tiny", folder / "registry"
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        weights = Denoiser(NETWORK).state_dict()
    settings = ModelSettings(
        NETWORK, ReconstructionConfig((250,), (1.0,), (1.0,)), AnomalyConfig(3, 0.0, 1.0)
    )
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    calibrations = [
        Calibration(name, "nobody", SIMULATION, 2, digest, 0.5, "made up") for name in ("T1",)
    ]
    image = image_format(("slice, spreads",), (80, 96), (-8, 8))
    metadata = bundle_metadata("0.1.0", "Test", "A test.", image=image, answer=image)
    write_bundle(bundle, weights, settings, metadata, "# Tiny\n", calibrations=calibrations)
    assert publish(bundle, root=root, terms=Terms(gates=())).published
    return root


Write = Callable[..., Path]


def write_run(folder: Path, serving: Path, name: str, changes: dict[str, Any]) -> Path:
    """Write the plan of a run on the sample heads, beside a registry of its own."""
    samples = package_data("sample_data") / "healthy"
    names = [f"healthy-{number:02d}" for number in range(1, 6)]
    scans = [
        {"subject": one, "path": str(samples / f"{one}_T1.nii.gz"), "contrast": "T1"}
        for one in names
    ]
    registry = Path(shutil.copytree(serving, folder / f"registry-of-{name}"))
    plan = {
        "format": 1,
        "model": "tiny",
        "registry": str(registry),
        "device": "cpu",
        "scans": scans,
        "steps": STEPS,
        "batch_size": 2,
    }
    run = folder / name
    run.mkdir()
    (run / "plan.json").write_text(json.dumps(plan | changes))
    return run


def write_prepared_run(
    folder: Path, serving: Path, cohort: Path, name: str, changes: dict[str, Any]
) -> Path:
    """The same, as a run is after its cohort of eight synthetic heads was prepared."""
    changes = {"mode": "train", **changes}
    run = write_run(folder, serving, name, changes)
    begun = folder / f"registry-of-{name}" / "tiny" / "0.1.0"
    decided = Decided(
        changes["mode"], "T1", "tiny", str(begun), "0.1.0", "0.1.0.local.1", (0, 1), (), ()
    )
    write_mark(run, "checks", decided)
    shutil.copytree(cohort, run / "cohort")
    read = read_cohort(run / "cohort")
    parts = {one.name: one.part for one in read.subjects}
    write_mark(run, "prepare", Prepared(read.content_hash, parts, (), True))
    return run


@pytest.fixture
def run_of(a_tiny_registry: Path, tmp_path: Path) -> Write:
    """Writes the plan of a run on the sample heads; what is given replaces what the plan says."""
    return lambda name="run", **changes: write_run(tmp_path, a_tiny_registry, name, changes)


@pytest.fixture
def prepared_run_of(a_tiny_registry: Path, a_cohort_folder: Path, tmp_path: Path) -> Write:
    """The same, as a run is after its cohort was prepared."""
    return lambda name="run", **changes: write_prepared_run(
        tmp_path, a_tiny_registry, a_cohort_folder, name, changes
    )


@pytest.fixture(scope="module")
def module_run_of(
    a_tiny_registry: Path, a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Write:
    """The same, for runs that several tests of a module look at."""
    folder = tmp_path_factory.mktemp("runs")
    return lambda name, **changes: write_prepared_run(
        folder, a_tiny_registry, a_cohort_folder, name, changes
    )
