"""Turns a run of the brain stage into a released bundle, measured on held-out subjects."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import torch
from rich.console import Console

from counterpart.brain_extraction import BrainSettings
from counterpart.brain_network import BrainNetwork, BrainNetworkConfig
from counterpart.bundle import read_json, write_bundle
from counterpart.bundle_metadata import bundle_metadata, image_format
from counterpart.cohort import source_of
from counterpart.denoiser import parameter_count
from counterpart.errors import ModelError
from counterpart.heads import Heads, read_heads
from counterpart.results import DISCLAIMER
from counterpart.training.brain_stage import VALIDATION_SEED, dice
from counterpart.training.head_examples import HeadExampleConfig, HeadExampleMaker
from counterpart.training.run import checkpoint_step, load_averaged_weights

_CONDITIONS = {
    "T1 as acquired": None,
    "rendered contrasts": HeadExampleConfig(0, 1, 0, 0, 0, 0, 0),
    "the same with target patterns": HeadExampleConfig(0, 1, 1, 0, 0, 0, 0),
    "the same with thick slices": HeadExampleConfig(0, 1, 1, 1, 0, 0, 0),
    "the same, cut above or below": HeadExampleConfig(0, 1, 1, 1, 1, 0, 0),
}


def export_brain(
    run: Path, cohort_folder: Path, out: Path, *, version: str, note: str, data: str
) -> int:
    """Measure a brain network on the cohort's part *validate* and write its bundle.

    Args:
        run: From ``counterpart train --stage brain``.
        cohort_folder: The cohort of the run.
        out: The bundle's folder; its name is the model's.
        version: Of the model.
        note: Hardware and duration, for the card.
        data: Source and licence of the scans, for the card.

    Raises:
        ModelError: The run cannot be read, or was trained on another cohort.
    """
    console = Console()
    settings = read_json(run / "settings.json")
    heads = read_heads(cohort_folder)
    if settings["cohort"] != heads.content_hash:
        raise ModelError(f"{run}: was trained on another cohort than {cohort_folder}.")
    config = BrainNetworkConfig.from_json(settings["network"])
    checkpoint = run / "checkpoints" / "last.ckpt"
    weights = load_averaged_weights(checkpoint, "network.")
    network = BrainNetwork(config)
    network.load_state_dict({key: value.half().float() for key, value in weights.items()})
    network.eval().requires_grad_(False)
    with console.status("Measuring on held-out heads"):
        scores = held_out_dice(network, heads.part("validate"))
    count = {part: sum(e.part == part for e in heads.entries) for part in ("train", "validate")}
    batch = int(settings["training"]["batch_size"])
    lines = [
        f"# {out.name}: finds the brain in a head MRI of any contrast",
        "",
        f"**{DISCLAIMER}. Not for clinical use.**",
        "",
        f"{parameter_count(network) / 1e6:.1f} million parameters, width {config.channels}, "
        f"float16, averaged (EMA). {checkpoint_step(checkpoint)} steps of {batch} heads. {note}",
        "",
        "## Data",
        "",
        data or f"Healthy cohort '{source_of(cohort_folder)}'.",
        f"{count['train']} heads and label maps were trained on, {count['validate']} heads held "
        "out. Contrasts other than T1 were rendered. No disease was seen: the patterns that stand "
        "for it are drawn by the program.",
        "",
        "## How good it is",
        "",
        f"Dice coefficient on the {count['validate']} held-out heads at 2 mm, mean and lowest:",
        "",
        "| heads | mean | lowest |",
        "|---|---|---|",
        *(f"| {name} | {mean(d):.3f} | {min(d):.3f} |" for name, d in scores.items()),
        "",
    ]
    metadata = bundle_metadata(
        version,
        "Brain extraction",
        "Says for each voxel of a head how likely it belongs to the brain.",
        image=image_format(("head, 2 mm, RAS",), ("16*n",) * 3, (0, 1.5)),
        answer=image_format(("logit of brain",), ("16*n",) * 3, (-50, 50)),
    )
    write_bundle(out, weights, BrainSettings(config), metadata, "\n".join(lines))
    console.print(f"Bundle: {out}", soft_wrap=True, highlight=False)
    return 0


def held_out_dice(network: BrainNetwork, heads: Heads) -> dict[str, list[float]]:
    """Dice coefficient of every held-out head under each condition, at 2 mm."""
    scores: dict[str, list[float]] = {}
    for name, condition in _CONDITIONS.items():
        config = condition or HeadExampleConfig()
        maker = HeadExampleMaker(heads, config, device=torch.device("cpu"))
        found = []
        for row in maker.scans:
            if condition is None:
                examples = maker.plain([row])
            else:
                examples = maker.one_of(row, VALIDATION_SEED)
            with torch.inference_mode():
                answer = network(examples.head) > 0
            found.append(dice(answer, examples.brain > 0.5))
        scores[name] = found
    return scores
