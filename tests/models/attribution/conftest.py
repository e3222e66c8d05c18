"""A small denoiser with an encoder, its bundle, and a cohort that a key may be written to."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch

from counterpart.attribution.adding import add_references
from counterpart.attribution.record import ReferenceRecord
from counterpart.bundle import ModelSettings, read_references, released_weights, write_bundle
from counterpart.bundle_metadata import bundle_metadata, image_format
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.encoder import EncoderConfig
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig

CODED = DenoiserConfig(
    channels=(8, 16),
    attention=(False, True),
    residual_blocks=1,
    head_channels=8,
    norm_groups=8,
    condition="embedding",
    encoder=EncoderConfig(layers=(1, 1, 1, 1), channels=(8, 8, 16, 16), code_size=16),
)
SETTINGS = ModelSettings(
    CODED, ReconstructionConfig((20,), (1.0,), (1.0,)), AnomalyConfig(3, 0.0, 1.0)
)


@pytest.fixture(scope="session")
def a_coded_denoiser() -> Denoiser:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        denoiser = Denoiser(CODED)
    return denoiser.requires_grad_(False).eval()


def write_coded_bundle(denoiser: Denoiser, folder: Path) -> Path:
    """Its network answers nothing of use, so much of a head is flagged at so low a threshold."""
    weights = denoiser.state_dict()
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    calibrations = [
        Calibration(name, "nobody", SIMULATION, 2, digest, 0.02, "made up")
        for name in ("FLAIR", "T1")
    ]
    image = image_format(("slice, spreads",), (80, 96), (-8, 8))
    metadata = bundle_metadata("1.0.0", "Test", "A test.", image=image, answer=image)
    write_bundle(folder, weights, SETTINGS, metadata, "# Coded\n", calibrations=calibrations)
    return folder


@pytest.fixture(scope="session")
def a_cohort_of_its_own(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "cohort"
    shutil.copytree(a_cohort_folder, folder)
    return folder


@pytest.fixture(scope="session")
def the_referenced_bundle(
    a_coded_denoiser: Denoiser, a_cohort_of_its_own: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = write_coded_bundle(a_coded_denoiser, tmp_path_factory.mktemp("made") / "coded")
    assert add_references(folder, a_cohort_of_its_own, subjects=2) is not None
    return folder


@pytest.fixture
def a_coded_bundle(the_referenced_bundle: Path, tmp_path: Path) -> Path:
    """With references; a copy that may be changed."""
    folder = tmp_path / "made" / "coded"
    shutil.copytree(the_referenced_bundle, folder)
    return folder


@pytest.fixture
def references(a_coded_bundle: Path) -> ReferenceRecord:
    return read_references(a_coded_bundle)
