"""Where training starts: at a run's encoder, or at a bundle's weights, and what does not fit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stand_ins import TINY_NETWORK

from counterpart.bundle import load_model
from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.encoder import Encoder, EncoderConfig
from counterpart.errors import CohortError, ModelError
from counterpart.hashing import file_sha256
from counterpart.training.warm_start import Start, begin_with, encoder_of_run, model_weights

ENCODER = EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 8), code_size=6, norm_groups=4, cells=1)
PLAIN = TINY_NETWORK
EMBEDDED = replace(PLAIN, condition="embedding", encoder=ENCODER)
BundleOf = Callable[..., Path]


def encoder_of(seed: int) -> Encoder:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Encoder(ENCODER)


def denoiser_of(config: DenoiserConfig, seed: int = 5) -> Denoiser:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Denoiser(config).eval()


def a_run(folder: Path, *, stage: str = "encoder", seed: int = 1) -> Path:
    """What a run leaves: its settings, and a checkpoint with its averaged weights."""
    (folder / "checkpoints").mkdir(parents=True)
    settings = {"stage": stage, "network": ENCODER.to_json()}
    (folder / "settings.json").write_text(json.dumps(settings))
    weights = {f"encoder.{name}": value for name, value in encoder_of(seed).state_dict().items()}
    weights["decoder.net.0.weight"] = torch.zeros(2)  # of a run with hidden patches
    torch.save({"state_dict": weights}, folder / "checkpoints" / "last.ckpt")
    return folder


def some_slices() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    brain = torch.zeros(2, 1, 16, 24)
    brain[..., 3:13, 4:20] = 1.0
    noisy = torch.randn(brain.shape, generator=torch.Generator().manual_seed(0))
    return noisy * brain, brain, torch.tensor([100, 600])


def test_the_encoder_of_a_run_is_read_with_its_size(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    config, start = encoder_of_run(run)
    assert config == ENCODER
    assert start.facts == {"encoder_sha256": file_sha256(run / "checkpoints" / "last.ckpt")}
    expected = encoder_of(1).state_dict()
    assert set(start.weights) == {f"encoder.{name}" for name in expected}
    for name, value in expected.items():
        assert torch.equal(start.weights[f"encoder.{name}"], value), name


def test_a_denoiser_begins_with_the_encoder_of_a_run_and_keeps_the_rest(tmp_path: Path) -> None:
    _, start = encoder_of_run(a_run(tmp_path / "run"))
    denoiser = denoiser_of(EMBEDDED)
    before = {name: value.clone() for name, value in denoiser.state_dict().items()}
    begin_with(denoiser, (start,))
    slices, _, _ = some_slices()
    with torch.no_grad():
        codes = denoiser.codes(slices)
        assert codes is not None
        torch.testing.assert_close(codes, encoder_of(1)(slices))
    for name, value in denoiser.state_dict().items():
        assert torch.equal(value, before[name]) or name.startswith("encoder."), name


def test_a_run_of_another_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="stage 'denoiser', not of an encoder"):
        encoder_of_run(a_run(tmp_path / "run", stage="denoiser"))


def test_a_run_without_settings_or_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"settings\.json: not a readable"):
        encoder_of_run(tmp_path / "nowhere")
    run = a_run(tmp_path / "run")
    (run / "checkpoints" / "last.ckpt").unlink()
    with pytest.raises(CohortError, match=r"last\.ckpt: no such checkpoint"):
        encoder_of_run(run)


def test_a_start_from_a_bundle_without_a_condition_answers_like_the_bundle(
    bundle_of: BundleOf,
) -> None:
    folder = bundle_of("1.0", off=0.7)
    start = model_weights(str(folder))
    assert start.facts == {"start_sha256": file_sha256(folder / "models" / "model.safetensors")}
    denoiser = denoiser_of(EMBEDDED)
    begin_with(denoiser, (start,))
    bundle = load_model(folder).denoiser
    noisy, brain, step = some_slices()
    code = torch.randn((2, 6), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = bundle(noisy, brain, step)
        for given in (None, code):
            found = denoiser(noisy, brain, step, given)
            torch.testing.assert_close(found.clean, expected.clean)
            torch.testing.assert_close(found.departure, expected.departure)
        untouched = denoiser_of(EMBEDDED)(noisy, brain, step)
    assert float((untouched.clean - expected.clean).abs().max()) > 0.5


def test_later_starts_override_earlier_ones(tmp_path: Path, bundle_of: BundleOf) -> None:
    _, first = encoder_of_run(a_run(tmp_path / "one", seed=1))
    _, second = encoder_of_run(a_run(tmp_path / "two", seed=2))
    denoiser = denoiser_of(EMBEDDED)
    begin_with(denoiser, (model_weights(str(bundle_of("1.0", off=0.7))), first, second))
    assert torch.equal(denoiser.encoder.code.weight, encoder_of(2).code.weight)
    bias = denoiser.net.get_parameter("out.2.conv.bias")
    assert bias[:4].tolist() == pytest.approx([0.7] * 4, abs=1e-3)


def test_without_a_start_nothing_changes() -> None:
    denoiser = denoiser_of(EMBEDDED)
    begin_with(denoiser, ())
    for name, value in denoiser_of(EMBEDDED).state_dict().items():
        assert torch.equal(denoiser.state_dict()[name], value), name


def test_a_bundle_that_is_no_denoisers_is_refused(tmp_path: Path, bundle_of: BundleOf) -> None:
    with pytest.raises(ModelError):
        model_weights(str(tmp_path / "nowhere"))
    folder = bundle_of("1.0")
    path = folder / "configs" / "inference.json"
    settings = json.loads(path.read_text())
    del settings["reconstruction"]
    path.write_text(json.dumps(settings))
    digests = json.loads((folder / "manifest.json").read_text())
    digests["sha256"]["configs/inference.json"] = file_sha256(path)
    (folder / "manifest.json").write_text(json.dumps(digests))
    with pytest.raises(ModelError, match="not the bundle of a denoiser"):
        model_weights(str(folder))


def test_weights_of_another_size_are_refused_by_their_name(bundle_of: BundleOf) -> None:
    start = model_weights(str(bundle_of("1.0")))
    wider = replace(PLAIN, channels=(16, 16))
    with pytest.raises(
        ModelError, match=r"do not fit: size mismatch for net\.conv_in\.conv\.weight.*same size"
    ):
        begin_with(denoiser_of(wider), (start,))


def test_weights_that_lack_or_exceed_are_refused_by_their_name(bundle_of: BundleOf) -> None:
    start = model_weights(str(bundle_of("1.0")))
    attentive_above = replace(PLAIN, attention=(True, True))
    with pytest.raises(ModelError, match=r"they lack 'net\.down_blocks\.0\.attentions"):
        begin_with(denoiser_of(attentive_above), (start,))
    attentive = replace(PLAIN, condition="cross-attention", encoder=ENCODER)
    with pytest.raises(ModelError, match=r"they lack 'net\..*attention"):
        begin_with(denoiser_of(attentive), (start,))
    more = replace(start, weights={**start.weights, "net.horn.weight": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"hold the unknown 'net\.horn\.weight'"):
        begin_with(denoiser_of(PLAIN), (more,))


def test_a_conditioned_model_does_not_start_one_without_a_condition(tmp_path: Path) -> None:
    _, encoder = encoder_of_run(a_run(tmp_path / "run"))
    with pytest.raises(ModelError, match=r"hold the unknown 'encoder\."):
        begin_with(denoiser_of(PLAIN), (encoder,))
    half = Start({"encoder.code.weight": torch.zeros(6, 8)}, ("net.",), {})
    with pytest.raises(ModelError, match=r"they lack 'encoder\."):
        begin_with(denoiser_of(EMBEDDED), (half,))
