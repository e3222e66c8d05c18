"""Turns a training run into a released bundle: settings chosen on held-out subjects, and a card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from counterpart.attribution.adding import add_references
from counterpart.bundle import ModelSettings, released_weights, write_bundle
from counterpart.bundle_files import read_json
from counterpart.bundle_metadata import bundle_metadata, image_format
from counterpart.calibration.calibrating import calibrate
from counterpart.cohort import Cohort, read_cohort, source_of
from counterpart.denoiser import Denoiser, DenoiserConfig, parameter_count
from counterpart.errors import ModelError
from counterpart.familiarity.fitting import SeenHeads, cohort_sizes
from counterpart.held_out.selection import (
    choose_settings,
    compare_passes,
    compare_samplers,
    held_out,
)
from counterpart.model_card import CardFacts, Chosen, model_card
from counterpart.reconstruction import best_precision
from counterpart.regions import ATLAS_FILE, RegionAtlas, read_atlas
from counterpart.targets import HELD_OUT_FAMILIES
from counterpart.training.condition_effect import ConditionEffect, condition_effects
from counterpart.training.configurations import Configuration, configuration_named
from counterpart.training.examples import ExampleConfig
from counterpart.training.run import checkpoint_step, load_averaged_weights
from counterpart.training.slabs import SLICE_SHAPE
from counterpart.training.views import ViewMaker

SAMPLER_SUBJECTS = 2


def export_run(
    run: Path,
    cohort_folder: Path,
    out: Path,
    *,
    version: str,
    selection_subjects: int,
    threshold_subjects: int,
    note: str,
    data: str,
    population: str = "",
) -> int:
    """Choose settings on the cohort's part *validate* and write the bundle.

    Args:
        run: From ``counterpart train``.
        cohort_folder: The cohort of the run.
        out: The bundle's folder; its name is the model's.
        version: Of the model.
        selection_subjects: Held-out subjects on whom levels and exponents are chosen.
        threshold_subjects: Most rendered held-out subjects per contrast for its calibration.
        note: Hardware and duration, for the card.
        data: Source and licence of the scans, for the card.
        population: Whose scans these are, in a few words, for the reader of a report; ``data``
            without it.

    Raises:
        ModelError: The run or the atlas cannot be read, or the run is of another cohort.
    """
    console = Console()
    settings = read_json(run / "settings.json")
    cohort = read_cohort(cohort_folder)
    if settings["cohort"] != cohort.content_hash:
        raise ModelError(f"{run}: was trained on another cohort than {cohort_folder}.")
    regions = _regions(cohort_folder)
    checkpoint = run / "checkpoints" / "last.ckpt"
    weights = load_averaged_weights(checkpoint)
    denoiser = Denoiser(DenoiserConfig.from_json(settings["network"]))
    # What is chosen is chosen for the weights that are released: rounded to float16.
    denoiser.load_state_dict({key: value.half().float() for key, value in weights.items()})
    denoiser.eval().to(memory_format=torch.channels_last)
    fixed = configuration_named(str(settings.get("configuration", "ours")))
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    population = population or (data or source_of(cohort_folder)).rstrip(".")
    heads = SeenHeads(denoiser)
    with console.status("Choosing settings on held-out subjects") as status:
        chosen = _choose(
            denoiser,
            cohort,
            fixed,
            digest,
            subjects=(selection_subjects, threshold_subjects),
            population=population,
            heads=heads,
            progress=status.update,
        )
        status.update("sizes of healthy brains")
        sizes = cohort_sizes(cohort_folder)
    known = heads.familiarity(population, digest, sizes=sizes)
    facts = CardFacts(
        name=out.name,
        parameters=parameter_count(denoiser),
        training=_training_words(checkpoint, settings, note),
        data=f"{data.rstrip('.')}." if data else f"Healthy cohort '{source_of(cohort_folder)}'.",
        regions=regions is not None,
        deviations=fixed.deviations,
    )
    write_bundle(
        out,
        weights,
        chosen.settings,
        _metadata(version, denoiser.config),
        model_card(facts, replace(chosen, familiarity=known), cohort),
        calibrations=chosen.calibrations,
        regions=regions,
        familiarity=known,
    )
    _finish(console, out, cohort_folder)
    return 0


def _finish(console: Console, out: Path, cohort_folder: Path) -> None:
    """Add what is known of the subjects once the bundle is there, and say where it is."""
    with console.status("healthy references") as status:
        add_references(out, cohort_folder, progress=status.update)
    console.print(f"Bundle: {out}", soft_wrap=True, highlight=False)


def _choose(
    denoiser: Denoiser,
    cohort: Cohort,
    fixed: Configuration,
    weights_sha256: str,
    *,
    subjects: tuple[int, int],
    population: str,
    heads: SeenHeads,
    progress: Callable[[str], None],
) -> Chosen:
    groups = held_out(cohort, subjects[0], device=torch.device("cpu"))
    config, anomaly, table = choose_settings(denoiser, groups, progress=progress)
    config, anomaly = fixed.reconstruction or config, fixed.anomaly or anomaly
    few = [head for group in groups for head in group.patterned[:SAMPLER_SUBJECTS]]
    table += compare_samplers(denoiser, few, config, progress=progress)
    effects: list[ConditionEffect] = []
    if denoiser.config.encoder is not None:
        precision = best_precision(denoiser.signal.device)
        effects = condition_effects(
            denoiser, _effect_maker(cohort), precision=precision, progress=progress
        )
    calibrations, figures = calibrate(
        denoiser,
        cohort,
        config,
        anomaly,
        weights_sha256,
        population=population,
        simulated_subjects=subjects[1],
        progress=progress,
        seen=heads.add,
    )
    progress("second pass over flagged slices")
    passes = compare_passes(denoiser, groups, config, anomaly, calibrations)
    if fixed.reconstruction is None:
        config = replace(config, second_pass=passes[1].error < passes[0].error)
    settings = ModelSettings(denoiser.config, config, anomaly)
    return Chosen(settings, [*table, *passes], calibrations, figures, effects)


def _regions(cohort_folder: Path) -> RegionAtlas | None:
    atlas = cohort_folder / ATLAS_FILE
    return read_atlas(atlas) if atlas.exists() else None


def _training_words(checkpoint: Path, settings: dict[str, Any], note: str) -> str:
    batch = int(settings["healing"]["batch_size"])
    start = settings.get("start", {}).get("start_sha256")
    begun = f", begun with the weights {start[:12]}" if start else ""
    return f"{checkpoint_step(checkpoint)} steps of {batch} slices{begun}. {note}".strip()


def _effect_maker(cohort: Cohort) -> ViewMaker:
    config = ExampleConfig(pattern_share=1.0, thick_share=0.0, families=HELD_OUT_FAMILIES)
    return ViewMaker(cohort.part("validate"), config, device=torch.device("cpu"))


def _metadata(version: str, network: DenoiserConfig) -> dict[str, Any]:
    metadata = bundle_metadata(
        version,
        "Healthy counterpart of brain MR slices",
        "Diffusion denoiser that answers a slice as it would look in health.",
        image=image_format(("slice, spreads",), SLICE_SHAPE, (-8, 8)),
        answer=image_format(("clean slice, spreads", "logit of departure"), SLICE_SHAPE, (-8, 8)),
    )
    return {**metadata, "channels": list(network.channels)}
