"""The denoiser beside the published size: figures that follow from each other."""

from dataclasses import replace

import pytest

from counterpart.benchmarking.network_calls import NetworkCalls
from counterpart.benchmarking.published import (
    CONFIGURATION,
    LEVELS,
    NetworkSpeed,
    SpeedFigures,
    compare_speeds,
)
from counterpart.denoiser import Denoiser, DenoiserConfig, parameter_count
from counterpart.training.configurations import configuration_named

SLICES = 7


@pytest.fixture
def some_speeds(
    a_tiny_denoiser: Denoiser, some_calls: tuple[NetworkCalls, NetworkCalls]
) -> SpeedFigures:
    calls, codes = some_calls
    theirs = replace(a_tiny_denoiser.config, fold=1, shows_brain=False, departure=False)
    return compare_speeds(a_tiny_denoiser, calls, codes, SLICES, 2, theirs=theirs, size=32)


def test_the_published_size_is_that_of_the_released_code() -> None:
    configuration = configuration_named(CONFIGURATION)
    assert configuration.denoiser.channels == (128, 256, 256)
    assert configuration.reconstruction is not None
    assert configuration.reconstruction.levels == LEVELS


def test_ours_is_evaluated_as_it_was_overheard(
    some_speeds: SpeedFigures, a_tiny_denoiser: Denoiser
) -> None:
    ours = some_speeds.ours
    assert (ours.precision, ours.batch) == ("bfloat16", 3)
    assert (ours.evaluations_per_scan, ours.codes_per_scan) == (6, 3)
    assert ours.parameters == parameter_count(a_tiny_denoiser)


def test_theirs_repaints_every_slice_from_the_published_levels_in_float32(
    some_speeds: SpeedFigures,
) -> None:
    theirs = some_speeds.published
    assert (theirs.precision, theirs.batch) == ("float32", 2)
    assert theirs.evaluations_per_scan == SLICES * len(LEVELS)
    assert theirs.codes_per_scan == SLICES


def test_seconds_per_scan_are_multiples_of_what_was_timed(some_speeds: SpeedFigures) -> None:
    def expected(speed: NetworkSpeed) -> float:
        assert speed.coding is not None
        rows = speed.evaluation.median * speed.evaluations_per_scan / speed.batch
        return rows + speed.coding.median * speed.codes_per_scan / speed.batch

    ours, theirs = some_speeds.ours, some_speeds.published
    assert ours.seconds_per_scan == pytest.approx(expected(ours))
    assert theirs.seconds_per_scan == pytest.approx(expected(theirs))
    assert some_speeds.ratio == pytest.approx(theirs.seconds_per_scan / ours.seconds_per_scan)


def test_rates_are_operations_over_seconds(some_speeds: SpeedFigures) -> None:
    ours = some_speeds.ours
    assert ours.rate * ours.evaluation.median == pytest.approx(3 * ours.operations_per_slice)
    assert [product.precision for product in some_speeds.products] == ["bfloat16", "float32"]
    for product in some_speeds.products:
        assert product.rate * product.product.median == pytest.approx(2 * 32**3)
        assert product.share == pytest.approx(ours.rate / product.rate)
    assert some_speeds.tensor_float_32 is False


def test_a_denoiser_without_encoder_codes_nothing(
    a_tiny_denoiser: Denoiser, some_calls: tuple[NetworkCalls, NetworkCalls]
) -> None:
    theirs = DenoiserConfig((8, 16), (False, True), 1, head_channels=8, norm_groups=8)
    calls, codes = some_calls
    found = compare_speeds(a_tiny_denoiser, calls, codes, 1, 1, theirs=theirs, size=8).published
    assert (found.coding, found.codes_per_scan) == (None, 0)
    assert found.seconds_per_scan == pytest.approx(3 * found.seconds_per_slice_and_level)
