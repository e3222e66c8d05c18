"""The commands on cohorts: what they print and what they hand on."""

from dataclasses import replace
from pathlib import Path

import pytest

from counterpart.bundle import DEFAULT_MODEL, load_model
from counterpart.denoiser import DenoiserConfig
from counterpart.errors import CounterpartError, ModelError
from counterpart.training.commands import TrainOptions, network_of, train
from counterpart.training.configurations import CONFIGURATIONS
from counterpart.training.healing import HealingConfig
from counterpart.training.machines import Machines

RUN = Path("encoder-run")


@pytest.mark.parametrize("channels", [[16, 32, 64], [16, 32, 64, 64], [16, 32]])
def test_lowest_level_alone_has_attention(channels: list[int]) -> None:
    network = network_of(TrainOptions(channels=channels))
    assert network.attention == (False,) * (len(channels) - 1) + (True,)
    assert network.channels == tuple(channels)


def test_without_an_encoder_there_is_no_condition() -> None:
    network = network_of(TrainOptions())
    assert (network.condition, network.encoder) == ("none", None)
    assert network == DenoiserConfig()


def test_with_an_encoder_the_condition_is_the_configurations_own() -> None:
    for name, configuration in CONFIGURATIONS.items():
        network = network_of(TrainOptions(configuration=name, encoder_run=RUN))
        assert network == configuration.denoiser
        assert network.condition == "embedding"


@pytest.mark.parametrize("condition", ["embedding", "cross-attention"])
def test_a_condition_without_an_encoder_is_refused(condition: str) -> None:
    with pytest.raises(CounterpartError, match=f"'{condition}' needs an encoder.*--encoder"):
        network_of(TrainOptions(condition=condition))


def test_the_condition_can_be_chosen() -> None:
    network = network_of(TrainOptions(encoder_run=RUN, condition="cross-attention"))
    assert network.condition == "cross-attention"
    assert network.encoder is not None
    network = network_of(TrainOptions(condition="none"))
    assert (network.condition, network.encoder) == ("none", None)
    with pytest.raises(CounterpartError, match="--encoder has no use with --condition none"):
        network_of(TrainOptions(encoder_run=RUN, condition="none"))


def test_an_unknown_condition_or_configuration_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="got 'sum'"):
        network_of(TrainOptions(encoder_run=RUN, condition="sum"))
    with pytest.raises(CounterpartError, match="ours, paper-text, paper-code, got 'theirs'"):
        network_of(TrainOptions(configuration="theirs"))


def test_a_paper_without_its_encoder_keeps_its_form() -> None:
    network = network_of(TrainOptions(configuration="paper-code", channels=[32, 64, 64]))
    assert network.channels == (32, 64, 64)
    assert network.attention == (False, False, False)
    assert (network.fold, network.departure, network.condition) == (1, False, "none")


def test_what_is_not_given_is_the_schedules_own() -> None:
    default = HealingConfig(steps=77, batch_size=5, learning_rate=3e-4)
    assert TrainOptions(seed=4).schedule(default) == replace(default, seed=4)
    given = TrainOptions(steps=9, batch_size=2, seed=1, learning_rate=1e-4).schedule(default)
    assert given == replace(default, steps=9, batch_size=2, seed=1, learning_rate=1e-4)


def test_a_model_to_start_from_brings_its_own_size_and_condition() -> None:
    started = network_of(TrainOptions(start_from=DEFAULT_MODEL))
    assert started == load_model(DEFAULT_MODEL).denoiser.config
    assert started.condition == "embedding" and started.encoder is not None
    other = network_of(TrainOptions(start_from=DEFAULT_MODEL, channels=[16, 32]))
    assert (other.channels, other.condition) == ((16, 32), "none")
    without = network_of(TrainOptions(start_from=DEFAULT_MODEL, condition="none"))
    assert without == replace(started, condition="none", encoder=None)


def test_the_size_of_what_is_no_denoiser_is_refused() -> None:
    with pytest.raises(ModelError, match="not the bundle of a denoiser"):
        network_of(TrainOptions(start_from="brain-extraction"))


@pytest.mark.slow
def test_train_leaves_a_checkpoint_and_names_it(
    a_cohort_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = TrainOptions(
        channels=[16, 32], steps=2, batch_size=2, machines=Machines(device="cpu")
    )
    status = train("denoiser", a_cohort_folder, tmp_path / "run", options)
    assert status == 0
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert "last.ckpt" in capsys.readouterr().out.replace("\n", "")
