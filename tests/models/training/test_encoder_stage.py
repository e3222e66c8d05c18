"""The encoder stage: a tiny run learns to tell subjects apart, logs its figures, and replays."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from counterpart.cohort import Cohort
from counterpart.contrastive import epsilon_info_nce
from counterpart.denoiser import soft_limit
from counterpart.encoder import Encoder, EncoderConfig
from counterpart.errors import CohortError
from counterpart.targets import HELD_OUT_FAMILIES, TRAINING_FAMILIES
from counterpart.training.encoder_stage import EncoderModule, EncoderTraining, pair_figures
from counterpart.training.examples import ExampleConfig
from counterpart.training.machines import Machines
from counterpart.training.masked_reconstruction import hidden_error, kept_patches
from counterpart.training.run import load_averaged_weights
from counterpart.training.stages import train_encoder
from counterpart.training.views import ViewMaker, Views

NETWORK = EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 8), code_size=8, norm_groups=4, cells=2)
TRAINING = EncoderTraining(
    steps=12,
    batch_size=3,
    learning_rate=3e-3,
    warmup_steps=1,
    validate_every=12,
    ema_decay=0.5,
)
EXAMPLES = ExampleConfig(contrasts=(1.0, 0.0, 0.0, 0.0), thick_share=0.0)


def train(cohort: Path, run: Path, training: EncoderTraining) -> Path:
    return train_encoder(
        cohort,
        run,
        network=NETWORK,
        training=training,
        examples=EXAMPLES,
        machines=Machines(device="cpu", precision="float32"),
    )


@pytest.fixture(scope="module")
def a_run(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("encoder")
    assert train(a_cohort_folder, run, TRAINING) == run / "checkpoints" / "last.ckpt"
    return run


@pytest.fixture(scope="module")
def a_masked_run(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("masked")
    train(a_cohort_folder, run, replace(TRAINING, steps=2, kept_patches=3))
    return run


def loss_of(encoder: Encoder, pairs: list[Views]) -> float:
    with torch.no_grad():
        losses = [
            epsilon_info_nce(encoder(soft_limit(views.clean)), encoder(soft_limit(views.patterned)))
            for views in pairs
        ]
    return float(torch.stack(losses).mean())


def untrained() -> Encoder:
    """The encoder as a run of seed 1 begins."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        return Encoder(NETWORK)


def figures_of(run: Path) -> list[dict[str, str]]:
    (table,) = run.rglob("metrics.csv")
    with table.open() as lines:
        return list(csv.DictReader(lines))


@pytest.mark.slow
def test_a_run_lowers_the_loss(a_run: Path, a_cohort: Cohort) -> None:
    maker = ViewMaker(a_cohort.part("train"), EXAMPLES, device=torch.device("cpu"))
    pairs = [maker.make_views(TRAINING.seed, step, range(3)) for step in range(4)]
    trained = untrained()
    before = loss_of(trained, pairs)
    weights = load_averaged_weights(a_run / "checkpoints" / "last.ckpt", prefix="encoder.")
    trained.load_state_dict(weights, strict=True)
    assert loss_of(trained, pairs) < before - 0.1


@pytest.mark.slow
def test_a_run_says_how_it_was_made(a_run: Path, a_cohort_folder: Path) -> None:
    settings = json.loads((a_run / "settings.json").read_text())
    index = json.loads((a_cohort_folder / "cohort.json").read_text())
    assert settings["stage"] == "encoder"
    assert settings["cohort"] == index["content_hash"]
    assert EncoderConfig.from_json(settings["network"]) == NETWORK
    assert settings["training"]["margin"] == 0.5
    assert settings["training"]["temperature"] == 0.07


@pytest.mark.slow
def test_a_run_logs_how_well_it_tells_held_out_subjects_apart(a_run: Path) -> None:
    rows = figures_of(a_run)
    (figures,) = [row for row in rows if row["val_recall_at_1"]]
    assert 0.0 <= float(figures["val_recall_at_1"]) <= 1.0
    assert -1.0 <= float(figures["val_other_similarity"]) <= 1.0
    own = float(figures["val_own_similarity"])
    assert float(figures["val_alignment"]) == pytest.approx(2.0 - 2.0 * own, abs=1e-4)
    assert -8.0 <= float(figures["val_uniformity"]) <= 0.0
    assert any(row["loss"] for row in rows)


@pytest.mark.slow
def test_a_run_with_hidden_patches_trains_the_decoder_too(a_masked_run: Path) -> None:
    checkpoint = a_masked_run / "checkpoints" / "last.ckpt"
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        module = EncoderModule(
            NETWORK,
            replace(TRAINING, kept_patches=3),
            EXAMPLES,
            cohort=None,  # type: ignore[arg-type]
        )
    for prefix, part in (("encoder.", module.encoder), ("decoder.", module.decoder)):
        assert part is not None
        start = part.state_dict()
        found = load_averaged_weights(checkpoint, prefix=prefix)
        assert set(found) == set(start)
        moved = [name for name in start if not torch.allclose(start[name], found[name], atol=1e-5)]
        assert len(moved) > len(start) / 2, prefix
    loss = next(float(row["loss"]) for row in figures_of(a_masked_run) if row["loss"])
    assert loss > 0


class Alone(EncoderModule):
    """The first step of a lone process that keeps no log."""

    trainer = SimpleNamespace(world_size=1)  # type: ignore[assignment]
    global_step = 0  # type: ignore[assignment]

    def log(self, *arguments: object, **options: object) -> None:  # type: ignore[override]
        pass


def test_both_views_are_hidden_under_the_same_patches(a_cohort: Cohort) -> None:
    """The loss is that of filling in, plus the contrast of what is pooled under the mask."""
    training = replace(TRAINING, kept_patches=3)
    module = Alone(NETWORK, training, EXAMPLES, a_cohort)
    seen: list[torch.Tensor] = []
    module.encoder.net.conv1.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        loss = module.training_step(torch.arange(3), 0)
        views = module.maker("train").make_views(training.seed, 0, range(3))
        kept = kept_patches(training.seed, 0, range(3), 3)
        hidden = [soft_limit(view) * kept for view in (views.clean, views.patterned)]
        torch.testing.assert_close(seen[0], torch.cat(hidden))
        assert module.decoder is not None
        filled, pooled = [], []
        for view, slices in zip(hidden, (views.clean, views.patterned), strict=True):
            found = module.encoder.feature_map(view)
            filled.append(hidden_error(module.decoder(found), soft_limit(slices), kept))
            pooled.append(module.encoder.pooled(found))
        expected = torch.stack(filled).mean() + epsilon_info_nce(*pooled)
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-4)


def test_the_loss_is_the_contrast_of_the_codes(a_cohort: Cohort) -> None:
    training = replace(TRAINING, temperature=0.4, margin=1.5)
    module = Alone(NETWORK, training, EXAMPLES, a_cohort)
    with torch.no_grad():
        loss = module.training_step(torch.arange(3), 0)
        views = module.maker("train").make_views(training.seed, 0, range(3))
        expected = epsilon_info_nce(*module.codes(views), temperature=0.4, margin=1.5)
    torch.testing.assert_close(loss, expected)


def test_without_hidden_patches_there_is_no_decoder(a_cohort: Cohort) -> None:
    module = EncoderModule(NETWORK, TRAINING, EXAMPLES, a_cohort)
    assert module.decoder is None
    assert all(name.startswith("encoder.") for name in module.state_dict())


def test_training_and_validation_see_other_families_and_other_people(a_cohort: Cohort) -> None:
    module = EncoderModule(NETWORK, TRAINING, EXAMPLES, a_cohort)
    train_maker, validate = module.maker("train"), module.maker("validate")
    assert train_maker.config.families == TRAINING_FAMILIES
    assert validate.config.families == HELD_OUT_FAMILIES
    assert validate.config.pattern_share == 1.0
    assert (train_maker.subjects, validate.subjects) == (3, 2)
    assert module.maker("train") is train_maker


def test_codes_are_of_the_softly_limited_views(a_cohort: Cohort) -> None:
    module = EncoderModule(NETWORK, TRAINING, EXAMPLES, a_cohort)
    clean, patterned = 30 * torch.randn(
        (2, 3, 1, 80, 96), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        found = module.codes(Views(clean, patterned, torch.zeros_like(clean)))
        for view, codes in zip((clean, patterned), found, strict=True):
            expected = module.encoder(soft_limit(view))
            torch.testing.assert_close(codes, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kept", [0, 10, -1])
def test_an_impossible_number_of_patches_is_refused(kept: int) -> None:
    with pytest.raises(CohortError, match=f"1 to 9 of 9 patches, got {kept}"):
        EncoderTraining(kept_patches=kept)


def test_the_figures_of_perfect_orthogonal_codes() -> None:
    codes = torch.eye(4, 6)
    figures = {name: float(value) for name, value in pair_figures(codes, 3 * codes).items()}
    assert figures == pytest.approx(
        {
            "own_similarity": 1.0,
            "other_similarity": 0.0,
            "recall_at_1": 1.0,
            "alignment": 0.0,
            "uniformity": -4.0,
        },
        abs=1e-5,
    )


def test_the_figures_of_exchanged_subjects() -> None:
    """Two subjects are taken for each other; the third has its own opposite."""
    clean = torch.eye(3)
    patterned = torch.stack((clean[1], clean[0], -clean[2]))
    figures = pair_figures(clean, patterned)
    assert float(figures["own_similarity"]) == pytest.approx(-1 / 3)
    assert float(figures["other_similarity"]) == pytest.approx(2 / 6)
    assert float(figures["recall_at_1"]) == 0.0
    assert float(figures["alignment"]) == pytest.approx((2 + 2 + 4) / 3)


def test_recall_asks_for_the_clean_slice_of_a_patterned_one() -> None:
    clean = torch.tensor([[1.0, 0.0], [1.0, 0.1]])
    patterned = torch.tensor([[1.0, 0.0], [1.0, 0.04]])
    assert float(pair_figures(clean, patterned)["recall_at_1"]) == 0.5
    assert float(pair_figures(patterned, clean)["recall_at_1"]) == 1.0
