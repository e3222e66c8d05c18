"""Turns a run of the brain stage into a released bundle, measured on held-out subjects."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import torch
from rich.console import Console

from counterpart.brain_extraction import BrainSettings
from counterpart.brain_network import BrainNetwork, BrainNetworkConfig
from counterpart.bundle import write_bundle
from counterpart.bundle_files import read_json
from counterpart.bundle_metadata import bundle_metadata, image_format
from counterpart.cohort import source_of
from counterpart.denoiser import parameter_count
from counterpart.errors import ModelError
from counterpart.heads import Heads, read_heads
from counterpart.results import DISCLAIMER
from counterpart.training.brain_stage import VALIDATION_SEED, dice
from counterpart.training.head_examples import HeadExampleConfig, HeadExampleMaker
from counterpart.training.run import checkpoint_step, load_averaged_weights

DiceTable = dict[str, dict[float, list[float]]]
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)
TOLERANCE = 0.003
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
        table = held_out_dice(network, heads.part("validate"))
    threshold = choose_threshold(table)
    facts = {
        "name": out.name,
        "size": f"{parameter_count(network) / 1e6:.1f} million parameters, width {config.channels}",
        "training": f"{checkpoint_step(checkpoint)} steps of {settings['training']['batch_size']} "
        f"heads. {note}".strip(),
        "data": data or f"Healthy cohort '{source_of(cohort_folder)}'.",
    }
    card = brain_card(facts, heads, table, threshold)
    metadata = bundle_metadata(
        version,
        "Brain extraction",
        "Says for each voxel of a head how likely it belongs to the brain.",
        image=image_format(("head, 2 mm, RAS",), ("16*n",) * 3, (0, 1.5)),
        answer=image_format(("logit of brain",), ("16*n",) * 3, (-50, 50)),
    )
    write_bundle(out, weights, BrainSettings(config, threshold), metadata, card)
    console.print(f"Bundle: {out}", soft_wrap=True, highlight=False)
    return 0


def held_out_dice(network: BrainNetwork, heads: Heads) -> DiceTable:
    """Dice coefficient of every held-out head under each condition and threshold, at 2 mm."""
    table: DiceTable = {}
    for name, condition in _CONDITIONS.items():
        config = condition or HeadExampleConfig()
        maker = HeadExampleMaker(heads, config, device=torch.device("cpu"))
        scores: dict[float, list[float]] = {threshold: [] for threshold in THRESHOLDS}
        for row in maker.scans:
            if condition is None:
                examples = maker.plain([row])
            else:
                examples = maker.one_of(row, VALIDATION_SEED)
            with torch.inference_mode():
                answer = torch.sigmoid(network(examples.head))
            for threshold, found in scores.items():
                found.append(dice(answer > threshold, examples.brain > 0.5))
        table[name] = scores
    return table


def choose_threshold(table: DiceTable) -> float:
    """The lowest threshold that costs at most `TOLERANCE` of mean Dice under any condition.

    Lowest, because brain that the mask loses is never looked at, and a thin rim too much costs
    little.
    """
    best = {name: max(mean(found) for found in scores.values()) for name, scores in table.items()}
    good = [
        threshold
        for threshold in THRESHOLDS
        if all(mean(scores[threshold]) >= best[name] - TOLERANCE for name, scores in table.items())
    ]
    return min(good, default=0.5)


def brain_card(facts: dict[str, str], heads: Heads, table: DiceTable, threshold: float) -> str:
    """The model card as Markdown.

    Args:
        facts: ``name``, ``size``, ``training`` and ``data``, in words.
        heads: Trained on and held out.
        table: From `held_out_dice`.
        threshold: From `choose_threshold`.
    """
    count = {part: sum(e.part == part for e in heads.entries) for part in ("train", "validate")}
    chosen = {name: scores[threshold] for name, scores in table.items()}
    lines = [
        f"# {facts['name']}: finds the brain in a head MRI of any contrast",
        "",
        f"**{DISCLAIMER}. Not for clinical use.**",
        "",
        f"{facts['size']}, float16, averaged (EMA). {facts['training']}",
        "",
        "## Data",
        "",
        f"{facts['data']} {count['train']} heads and label maps were trained on, "
        f"{count['validate']} heads held out. Contrasts other than T1 were rendered. No disease "
        "was seen: the patterns that stand for it are drawn by the program.",
        "",
        "## How good it is",
        "",
        f"Dice coefficient on the {count['validate']} held-out heads at 2 mm. A voxel belongs to "
        f"the brain from a probability of {threshold:g} on: the lowest of "
        f"{', '.join(f'{t:g}' for t in THRESHOLDS)} that costs at most {TOLERANCE:g} of Dice under "
        "every condition.",
        "",
        "| heads | mean | lowest |",
        "|---|---|---|",
        *(f"| {name} | {mean(d):.3f} | {min(d):.3f} |" for name, d in chosen.items()),
        "",
    ]
    return "\n".join(lines)
