"""The rows of the ablation: each differs from another in the stated fields and in no other."""

import pytest

from counterpart.ablation.rows import (
    AUTOENCODER,
    BASELINE,
    CALIBRATED,
    CONDITION,
    CROSS_ATTENTION,
    DEPARTURE,
    EVEN_LEVELS,
    HEALING,
    PAPER_CODE,
    PAPER_TEXT,
    RENDERED,
    SECOND_PASS,
    SIMPLEX,
    Method,
    Row,
    Sizes,
    ablation_rows,
    changed_fields,
    chosen_rows,
    folder_name,
)
from counterpart.errors import CounterpartError
from counterpart.training.configurations import configuration_named
from counterpart.training.schedule import Schedule

ROWS = {row.name: row for row in ablation_rows(Sizes())}
ENCODER = {"condition", "encoder", "code_dropout", "encoder_training", "pairs"}


def method(name: str) -> Method:
    found = ROWS[name].method
    assert found is not None
    return found


def changed(name: str, before: str) -> set[str]:
    """Names of the fields, those of an encoder's settings as one."""
    fields = changed_fields(method(name), method(before))
    short = {"network.encoder": "encoder", "encoder_training": "encoder_training", "pairs": "pairs"}
    return {
        next((new for old, new in short.items() if field.startswith(old)), field.split(".")[-1])
        for field in fields
    }


def test_there_are_ten_rows_and_three_choices_in_the_stated_order() -> None:
    assert list(ROWS) == [
        *(PAPER_CODE, PAPER_TEXT, HEALING, RENDERED, CONDITION, DEPARTURE),
        *(CALIBRATED, SECOND_PASS, AUTOENCODER, BASELINE),
        *(CROSS_ATTENTION, SIMPLEX, EVEN_LEVELS),
    ]


def test_each_choice_differs_from_the_trained_whole_in_that_alone() -> None:
    assert changed(CROSS_ATTENTION, DEPARTURE) == {"condition"}
    assert changed(SIMPLEX, DEPARTURE) == {"noise"}
    assert set(changed_fields(method(SIMPLEX), method(DEPARTURE))) == {
        *("healing.noise", "reconstruction.noise")
    }
    assert changed(EVEN_LEVELS, DEPARTURE) == {"low_noise"}
    for name in (CROSS_ATTENTION, SIMPLEX, EVEN_LEVELS):
        assert ROWS[name].encoder_of == CONDITION
        assert ROWS[name].compared_with == DEPARTURE
        assert not ROWS[name].reversed


def test_each_part_changes_its_own_fields_and_no_other() -> None:
    assert changed(RENDERED, HEALING) == {"contrasts", "thick_share"}
    assert changed(CONDITION, RENDERED) == ENCODER
    assert changed(DEPARTURE, CONDITION) == {"departure", "departure_weight", "departure_power"}
    assert changed(CALIBRATED, DEPARTURE) == {"calibrated"}
    assert changed(SECOND_PASS, CALIBRATED) == {"second_pass"}


def test_the_two_published_rows_differ_as_text_and_code_do() -> None:
    assert changed(PAPER_TEXT, PAPER_CODE) == {
        *("encoder_learns", "noise", "encoder_training", "pairs"),
        *("median_voxels", "size_first", "erosion_voxels"),
    }
    fields = changed_fields(method(PAPER_TEXT), method(PAPER_CODE))
    assert fields["healing.noise"] == ("simplex", "gaussian")
    assert fields["encoder_training.kept_patches"] == (3, 9)
    assert fields["pairs.pattern_share"] == (0.0, 1.0)


def test_healing_replaces_the_published_objective() -> None:
    found = changed(HEALING, PAPER_TEXT) - ENCODER
    assert {"shows_brain", "adds_to_noisy", "signal_scale", "pattern_share"} <= found
    assert {"lowest_step", "highest_step", "pattern_weight", "levels", "median_voxels"} <= found
    assert not found & {"contrasts", "thick_share", "departure", "departure_weight", "channels"}
    assert method(HEALING).examples.contrasts == (1.0, 0.0, 0.0, 0.0)
    assert method(HEALING).examples.pattern_share > 0.5


@pytest.mark.parametrize("name", [PAPER_CODE, PAPER_TEXT])
def test_the_published_rows_keep_levels_noise_and_map(name: str) -> None:
    known = configuration_named(name)
    row = method(name)
    assert row.reconstruction == known.reconstruction
    assert row.reconstruction.levels == (250, 500, 750)
    assert row.anomaly == known.anomaly
    assert row.examples == known.examples
    assert row.healing.encoder_learns == known.healing.encoder_learns
    assert row.network.signal_scale == known.denoiser.signal_scale
    assert not row.network.departure


def test_all_rows_are_trained_equally_long_and_are_equally_large() -> None:
    sizes = Sizes(channels=(16, 32), steps=70, encoder_steps=30, batch_size=4, seed=9)
    methods = [row.method for row in ablation_rows(sizes) if row.method is not None]
    shared = set(Schedule.__dataclass_fields__)
    schedules = [{name: getattr(one.healing, name) for name in shared} for one in methods]
    assert all(schedule == schedules[0] for schedule in schedules)
    assert (schedules[0]["steps"], schedules[0]["batch_size"], schedules[0]["seed"]) == (70, 4, 9)
    encoders = [one.encoder_training for one in methods if one.encoder_training is not None]
    assert {(one.steps, one.batch_size, one.seed) for one in encoders} == {(30, 4, 9)}
    widths = {
        (one.network.channels, one.network.fold, one.network.residual_blocks) for one in methods
    }
    assert widths == {((16, 32), 2, 2)}


def test_rows_that_train_nothing_use_the_network_before_them() -> None:
    assert [row.name for row in ROWS.values() if row.trains] == [
        *(PAPER_CODE, PAPER_TEXT, HEALING, RENDERED, CONDITION, DEPARTURE, AUTOENCODER),
        *(CROSS_ATTENTION, SIMPLEX, EVEN_LEVELS),
    ]
    for name in (CALIBRATED, SECOND_PASS):
        assert ROWS[name].network_of == DEPARTURE
        assert method(name).network == method(DEPARTURE).network
        assert method(name).healing == method(DEPARTURE).healing
    assert ROWS[DEPARTURE].encoder_of == CONDITION
    assert method(DEPARTURE).encoder_training == method(CONDITION).encoder_training
    assert method(DEPARTURE).pairs == method(CONDITION).pairs


def test_the_autoencoder_sees_the_same_contrasts_in_health_alone() -> None:
    found, rendered = method(AUTOENCODER), method(RENDERED)
    assert found.examples.contrasts == rendered.examples.contrasts
    assert found.examples.pattern_share == 0.0
    assert found.healing.pattern_weight == 0.0
    assert found.anomaly == rendered.anomaly
    assert found.anomaly.median_voxels == 3


def test_what_is_compared_with_what() -> None:
    names = list(ROWS)
    for number, row in enumerate(list(ROWS.values())[:10]):
        before = names[number - 1] if 0 < number < 8 else None
        expected = SECOND_PASS if number >= 8 else before
        assert row.compared_with == expected, row.name
        assert row.reversed == (number >= 8)


def test_a_chosen_row_brings_the_row_whose_network_it_uses() -> None:
    assert [row.name for row in chosen_rows((CALIBRATED,), Sizes())] == [DEPARTURE, CALIBRATED]
    assert [row.name for row in chosen_rows((), Sizes())] == list(ROWS)
    with pytest.raises(CounterpartError, match="expected a row of 'paper-code'.*got 'healing'"):
        chosen_rows(("healing",), Sizes())


def test_folders_of_rows_are_all_different_and_plain() -> None:
    folders = [folder_name(name) for name in ROWS]
    assert len(set(folders)) == len(folders)
    assert folder_name("+ second output channel") == "second-output-channel"


def test_changed_fields_tell_before_and_now() -> None:
    sizes = Sizes()
    one: Row = ablation_rows(sizes)[3]
    assert one.method is not None
    assert changed_fields(one.method, one.method) == {}
    fields = changed_fields(method(RENDERED), method(HEALING))
    assert fields["examples.contrasts"][0] == (1.0, 0.0, 0.0, 0.0)
