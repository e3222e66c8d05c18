"""Turns a training run into a released bundle: settings chosen on held-out subjects, and a card."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from counterpart import __version__
from counterpart.bundle import ModelSettings, read_json, write_bundle
from counterpart.cohort import read_cohort, source_of
from counterpart.denoiser import Denoiser, DenoiserConfig, parameter_count
from counterpart.errors import ModelError
from counterpart.model_card import CardFacts, model_card
from counterpart.regions import ATLAS_FILE, read_atlas
from counterpart.results import DISCLAIMER
from counterpart.selection import choose_settings, choose_thresholds, validation_heads
from counterpart.training.run import checkpoint_step, load_averaged_weights

SELECTION_CONTRASTS = ("T1", "FLAIR")


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
) -> int:
    """Choose settings on the cohort's part *validate* and write the bundle.

    Args:
        run: From ``counterpart train``.
        cohort_folder: The cohort of the run.
        out: The bundle's folder; its name is the model's.
        version: Of the model.
        selection_subjects: Held-out subjects on whom levels and exponents are chosen.
        threshold_subjects: Rendered held-out subjects per contrast for its healthy threshold.
        note: Hardware and duration, for the card.
        data: Source and licence of the scans, for the card.

    Raises:
        ModelError: The run or the atlas cannot be read, or the run is of another cohort.
    """
    console = Console()
    settings = read_json(run / "settings.json")
    cohort = read_cohort(cohort_folder)
    if settings["cohort"] != cohort.content_hash:
        raise ModelError(f"{run}: was trained on another cohort than {cohort_folder}.")
    atlas = cohort_folder / ATLAS_FILE
    regions = read_atlas(atlas) if atlas.exists() else None
    network = DenoiserConfig.from_json(settings["network"])
    checkpoint = run / "checkpoints" / "last.ckpt"
    weights = load_averaged_weights(checkpoint)
    denoiser = Denoiser(network)
    # What is chosen is chosen for the weights that are released: rounded to float16.
    denoiser.load_state_dict({key: value.half().float() for key, value in weights.items()})
    denoiser.eval().to(memory_format=torch.channels_last)
    with console.status("Choosing settings on held-out subjects") as status:
        heads = validation_heads(
            cohort,
            SELECTION_CONTRASTS,
            selection_subjects,
            patterned=True,
            device=torch.device("cpu"),
        )
        config, anomaly, table = choose_settings(denoiser, heads, progress=status.update)
        thresholds = choose_thresholds(
            denoiser,
            cohort,
            config,
            anomaly,
            simulated_subjects=threshold_subjects,
            progress=status.update,
        )
    chosen = ModelSettings(network, config, anomaly, thresholds)
    step = checkpoint_step(checkpoint)
    batch = int(settings["healing"]["batch_size"])
    facts = CardFacts(
        name=out.name,
        parameters=parameter_count(denoiser),
        training=f"{step} steps of {batch} slices. {note}".strip(),
        data=data or f"Healthy cohort '{source_of(cohort_folder)}'.",
        regions=regions is not None,
    )
    card = model_card(facts, chosen, table, cohort)
    write_bundle(out, weights, chosen, _metadata(version, network), card, regions=regions)
    console.print(f"Bundle: {out}", soft_wrap=True, highlight=False)
    return 0


def _metadata(version: str, network: DenoiserConfig) -> dict[str, Any]:
    channel = {"0": "slice, spreads"}
    shape = {"type": "image", "format": "magnitude", "modality": "MR", "num_channels": 1}
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/"
        "0.8.1/meta_schema_20240725.json",
        "version": version,
        "changelog": {version: "first weights"},
        "monai_version": version_of("monai"),
        "pytorch_version": version_of("torch").split("+")[0],
        "numpy_version": version_of("numpy"),
        "required_packages_version": {"healthy-counterpart": __version__},
        "task": "Healthy counterpart of brain MR slices",
        "description": "Diffusion denoiser that answers a slice as it would look in health.",
        "authors": "The Counterpart developers",
        "copyright": "The Counterpart developers",
        "intended_use": f"{DISCLAIMER}; not for clinical use",
        "network_data_format": {
            "inputs": {
                "image": {
                    **shape,
                    "spatial_shape": [80, 96],
                    "dtype": "float32",
                    "value_range": [-8, 8],
                    "is_patch_data": False,
                    "channel_def": channel,
                }
            },
            "outputs": {
                "pred": {
                    **shape,
                    "spatial_shape": [80, 96],
                    "dtype": "float32",
                    "value_range": [-8, 8],
                    "is_patch_data": False,
                    "channel_def": {"0": "clean slice, spreads", "1": "logit of departure"},
                    "num_channels": 2,
                }
            },
        },
        "channels": list(network.channels),
    }
