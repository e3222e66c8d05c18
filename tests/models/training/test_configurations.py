"""Every configuration trains and repaints in its form, survives JSON, and says where it errs."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
import torch

from counterpart.denoiser import Denoiser, DenoiserConfig, parameter_count
from counterpart.encoder import EncoderConfig
from counterpart.errors import CounterpartError
from counterpart.reconstruction import Reconstruction, ReconstructionConfig, reconstruct
from counterpart.residual import AnomalyConfig
from counterpart.training.configurations import (
    CONFIGURATIONS,
    Configuration,
    configuration_named,
)
from counterpart.training.machines import Machines
from counterpart.training.run import load_averaged_weights
from counterpart.training.slabs import SLICE_SHAPE
from counterpart.training.stages import train_denoiser, train_encoder

EVERY = pytest.mark.parametrize("name", list(CONFIGURATIONS))
ONE_PROCESS = Machines(device="cpu", precision="float32")


def tiny(configuration: Configuration) -> Configuration:
    """The same form with a few channels, and few steps of two samples.

    In five steps of healing first the output moves, then the residual blocks, then the code's
    embedding, which all begin at nought, and then the encoder.
    """
    encoder = replace(
        configuration.encoder,
        layers=(1, 1, 1, 1),
        channels=(8, 8, 8, 8),
        norm_groups=4,
        code_size=6,
    )
    levels = len(configuration.denoiser.channels)
    once = {"steps": 1, "batch_size": 2, "validate_every": 2}  # that is, never
    a_few = {"steps": 5, "batch_size": 2, "validate_every": 5}
    return replace(
        configuration,
        encoder=encoder,
        encoder_training=replace(configuration.encoder_training, **once),
        denoiser=replace(
            configuration.denoiser,
            channels=(8,) * levels,
            residual_blocks=1,
            head_channels=8,
            norm_groups=4,
            encoder=encoder,
        ),
        healing=replace(configuration.healing, **a_few, warmup_steps=0, learning_rate=1e-2),
    )


@dataclass(frozen=True)
class Trained:
    """What became of a tiny configuration."""

    configuration: Configuration
    encoder: dict[str, torch.Tensor]
    settings: dict[str, object]
    denoiser: Denoiser
    answer: Reconstruction


@pytest.fixture(scope="module", params=list(CONFIGURATIONS))
def a_trained_configuration(
    request: pytest.FixtureRequest, a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    configuration = tiny(CONFIGURATIONS[request.param])
    folder = tmp_path_factory.mktemp(request.param)
    last = train_encoder(
        a_cohort_folder,
        folder / "encoder",
        network=configuration.encoder,
        training=configuration.encoder_training,
        examples=configuration.pairs,
        machines=ONE_PROCESS,
    )
    weights = load_averaged_weights(last, prefix="encoder.")
    last = train_denoiser(
        a_cohort_folder,
        folder / "denoiser",
        network=configuration.denoiser,
        healing=configuration.healing,
        examples=configuration.examples,
        encoder_run=folder / "encoder",
        configuration=request.param,
        machines=ONE_PROCESS,
    )
    denoiser = Denoiser(configuration.denoiser).eval()
    denoiser.load_state_dict(load_averaged_weights(last), strict=True)
    answer = repainted(denoiser, configuration)
    settings = json.loads((folder / "denoiser" / "settings.json").read_text())
    return Trained(configuration, weights, settings, denoiser, answer)


def some_slices() -> tuple[torch.Tensor, torch.Tensor]:
    brain = torch.zeros(2, 1, *SLICE_SHAPE)
    brain[..., 20:60, 20:70] = 1.0
    return torch.randn(brain.shape, generator=torch.Generator().manual_seed(0)) * brain, brain


def repainted(denoiser: Denoiser, configuration: Configuration) -> Reconstruction:
    slices, brain = some_slices()
    return reconstruct(
        denoiser, slices, brain, configuration.reconstruction or ReconstructionConfig()
    )


@pytest.mark.slow
def test_it_trains_and_repaints(a_trained_configuration: Trained) -> None:
    trained = a_trained_configuration
    _, brain = some_slices()
    clean, departure = trained.answer.clean, trained.answer.departure
    assert bool(clean.isfinite().all()) and clean[brain > 0].any()
    assert not clean[brain == 0].any()
    if not trained.configuration.denoiser.departure:
        assert torch.equal(departure, 0.5 * brain)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(trained.configuration.healing.seed)
        start = Denoiser(trained.configuration.denoiser).state_dict()
    found = trained.denoiser.state_dict()
    moved = [name for name in found if not torch.equal(found[name], start[name])]
    assert "net.out.2.conv.weight" in moved


@pytest.mark.slow
def test_its_encoder_is_the_runs_and_learns_on_only_where_it_may(
    a_trained_configuration: Trained,
) -> None:
    trained = a_trained_configuration
    found = trained.denoiser.encoder.state_dict()
    assert set(found) == set(trained.encoder)
    same = [torch.allclose(found[name], trained.encoder[name], atol=1e-6) for name in found]
    assert all(same) == (not trained.configuration.healing.encoder_learns)


@pytest.mark.slow
def test_its_run_says_what_it_was_trained_as(a_trained_configuration: Trained) -> None:
    trained = a_trained_configuration
    settings = trained.settings
    assert CONFIGURATIONS[str(settings["configuration"])].deviations == (
        trained.configuration.deviations
    )
    network = DenoiserConfig.from_json(settings["network"])  # type: ignore[arg-type]
    assert network == trained.configuration.denoiser
    assert settings["healing"] == json.loads(json.dumps(asdict(trained.configuration.healing)))
    assert list(settings["start"]) == ["encoder_sha256"]  # type: ignore[call-overload]


@EVERY
def test_it_survives_json(name: str) -> None:
    configuration = CONFIGURATIONS[name]
    for part, form in (
        (configuration.encoder, EncoderConfig),
        (configuration.denoiser, DenoiserConfig),
        (configuration.reconstruction, ReconstructionConfig),
        (configuration.anomaly, AnomalyConfig),
    ):
        if part is not None:
            assert form.from_json(json.loads(json.dumps(part.to_json()))) == part


@EVERY
def test_its_denoiser_has_its_encoder(name: str) -> None:
    configuration = configuration_named(name)
    assert configuration.denoiser.encoder == configuration.encoder


@EVERY
def test_what_follows_a_paper_lists_its_deviations(name: str) -> None:
    deviations = configuration_named(name).deviations
    assert bool(deviations) == (name != "ours")
    assert len(set(deviations)) == len(deviations)
    for sentence in deviations:
        assert sentence[0].isupper() and sentence.endswith("."), sentence


def test_ours_leaves_levels_and_map_to_be_chosen() -> None:
    ours = configuration_named("ours")
    assert (ours.reconstruction, ours.anomaly) == (None, None)
    assert ours.denoiser.condition == "embedding"
    assert not ours.healing.encoder_learns


@pytest.mark.parametrize("name", ["paper-text", "paper-code"])
def test_a_paper_repaints_from_three_levels_of_equal_weight(name: str) -> None:
    levels = configuration_named(name).reconstruction
    assert levels is not None
    assert levels.levels == (250, 500, 750)
    assert len(set(levels.weights)) == 1 and levels.weights[0] > 0
    assert (levels.draws, levels.ddim_steps, levels.second_pass) == (1, 1, False)


@pytest.mark.parametrize("name", ["paper-text", "paper-code"])
def test_a_paper_conditions_a_plain_denoiser_of_healthy_slices(name: str) -> None:
    paper = configuration_named(name)
    network, healing = paper.denoiser, paper.healing
    assert network.condition == "embedding"
    assert not (network.shows_brain or network.departure or network.adds_to_noisy)
    assert (healing.lowest_step, healing.highest_step) == (0, 999)
    assert healing.pattern_weight == healing.departure_weight == healing.code_dropout == 0
    assert paper.examples.pattern_share == 0
    assert paper.anomaly is not None
    assert paper.anomaly.departure_power == 0


def test_the_papers_text_pairs_a_slice_with_its_patterned_self_and_freezes_the_encoder() -> None:
    text = configuration_named("paper-text")
    assert text.pairs.pattern_share == 1.0
    assert not text.healing.encoder_learns
    assert text.encoder_training.kept_patches == 9
    assert text.healing.noise == "gaussian"
    assert text.reconstruction is not None and text.reconstruction.noise == "gaussian"


def test_the_papers_code_is_a_resnet_50_under_hidden_patches_with_simplex_noise() -> None:
    code = configuration_named("paper-code")
    assert (code.encoder.block, code.encoder.layers) == ("bottleneck", (3, 4, 6, 3))
    assert code.encoder.channels == (64, 128, 256, 512)
    assert (code.encoder.features, code.encoder.code_size) == (2048, 128)
    assert code.encoder_training.kept_patches == 3
    assert code.pairs.pattern_share == 0
    assert code.healing.encoder_learns
    assert code.healing.noise == "simplex"
    assert code.reconstruction is not None and code.reconstruction.noise == "simplex"
    assert (code.healing.batch_size, code.healing.steps) == (32, 14_400)
    assert code.healing.ema_decay == 0.0
    assert code.anomaly == AnomalyConfig(5, 0.0, 1.0, size_first=True, erosion_voxels=3)


def test_the_papers_unet_has_as_many_parameters_as_is_said() -> None:
    code = configuration_named("paper-code")
    assert code.denoiser.channels == (128, 256, 256)
    assert code.denoiser.residual_blocks == 3
    denoiser = Denoiser(code.denoiser)
    millions = parameter_count(denoiser.net) / 1e6
    assert any(f"{millions:.0f} million" in sentence for sentence in code.deviations)
    assert 22e6 < parameter_count(denoiser.encoder) < 26e6  # a ResNet-50 without its last layer


def test_an_unknown_configuration_is_refused_by_name() -> None:
    with pytest.raises(CounterpartError, match="ours, paper-text, paper-code, got 'theirs'"):
        configuration_named("theirs")
