"""What the tests of the benchmarks share: a tiny denoiser, its bundle, and what is asked of it."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stand_ins import TINY_NETWORK
from torch import nn

from counterpart.benchmarking.network_calls import NetworkCalls, overheard
from counterpart.bundle import ModelSettings, released_weights, write_bundle
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.denoiser import Denoiser
from counterpart.encoder import EncoderConfig
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig

TINY = replace(
    TINY_NETWORK,
    condition="embedding",
    encoder=EncoderConfig(layers=(1, 1, 1, 1), channels=(8, 8, 8, 8), cells=1),
)
Spoken = Callable[[], str]


@pytest.fixture(scope="session")
def a_tiny_denoiser() -> Denoiser:
    """Random weights; what it answers means nothing."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        denoiser = Denoiser(TINY)
        for parameter in denoiser.parameters():
            nn.init.normal_(parameter, std=0.05)
    return denoiser.eval()


@pytest.fixture(scope="session")
def a_tiny_bundle(a_tiny_denoiser: Denoiser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    weights = a_tiny_denoiser.state_dict()
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    known = [Calibration("FLAIR", "nobody", SIMULATION, 2, digest, 1.0, "made up")]
    settings = ModelSettings(
        TINY, ReconstructionConfig((100, 200), (1.0, 1.0), (1.0, 1.0)), AnomalyConfig()
    )
    metadata = {"version": "0.0.1"}
    write_bundle(folder, weights, settings, metadata, "# Tiny\n", calibrations=known)
    return folder


@pytest.fixture
def some_calls(a_tiny_denoiser: Denoiser) -> tuple[NetworkCalls, NetworkCalls]:
    """What was overheard of the tiny denoiser and its encoder: three slices at two levels."""
    slices, brain = torch.randn(3, 1, 16, 24), torch.ones(3, 1, 16, 24)
    with ExitStack() as stack:
        calls = stack.enter_context(overheard(a_tiny_denoiser, lambda: "first"))
        codes = stack.enter_context(overheard(a_tiny_denoiser.encoder, str))
        stack.enter_context(torch.inference_mode())
        stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        code = a_tiny_denoiser.codes(slices)
        for level in (100, 200):
            a_tiny_denoiser(slices, brain, torch.full((3,), level), code)
    return calls, codes
