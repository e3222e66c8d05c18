"""What many tests share: small real bundles that differ as a test needs it, and what was said."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from stand_ins import TINY_NETWORK

from counterpart.bundle import ModelSettings, released_weights, write_bundle
from counterpart.bundle_metadata import bundle_metadata, image_format
from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.denoiser import Denoiser
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig

BundleOf = Callable[..., Path]


@pytest.fixture
def bundle_of(tmp_path: Path) -> BundleOf:
    """Writes the bundle ``tiny`` of a version.

    Its network answers what it is shown, plus ``off`` everywhere in the brain. Its calibrations
    are bound to its weights, or to others.
    """

    def write(
        version: str,
        *,
        off: float = 0.0,
        level: int = 0,
        anomaly: AnomalyConfig | None = None,
        contrasts: tuple[str, ...] = ("T1",),
        bound_to: str | None = None,
    ) -> Path:
        folder = tmp_path / "made" / version / "tiny"
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            weights = Denoiser(TINY_NETWORK).state_dict()
        weights["net.out.2.conv.bias"][:4] = off
        settings = ModelSettings(
            TINY_NETWORK,
            ReconstructionConfig((level,), (1.0,), (1.0,)),
            anomaly or AnomalyConfig(3, 0.0, 1.0),
        )
        digest = bound_to or hashlib.sha256(released_weights(weights)).hexdigest()
        calibrations = [
            Calibration(name, "nobody", SIMULATION, 2, digest, 0.5, "made up") for name in contrasts
        ]
        image = image_format(("slice, spreads",), (80, 96), (-8, 8))
        metadata = bundle_metadata(version, "Test", "A test.", image=image, answer=image)
        card = f"# Tiny {version}\n"
        write_bundle(folder, weights, settings, metadata, card, calibrations=calibrations)
        return folder

    return write


@pytest.fixture
def a_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry that does not exist yet and that all commands use."""
    folder = tmp_path / "registry"
    monkeypatch.setenv("COUNTERPART_MODELS", str(folder))
    return folder


@pytest.fixture
def spoken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """What the command printed, on long lines and without colours."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    return lambda: capsys.readouterr().out
