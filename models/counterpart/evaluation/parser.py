"""The arguments of ``counterpart evaluate``.

Like `counterpart.cli` it imports nothing heavy before the command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate", help="figures on patients with masks and on healthy scans, beside baselines"
    )
    _add_sources(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, help="the evaluation's folder")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="MODEL",
        help="name or folder of a bundle; several are set side by side (healthy-brain)",
    )
    parser.add_argument("--brain-model", default="brain-extraction", help="name or folder")
    parser.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure the plain baselines too",
    )
    parser.add_argument("--jobs", type=int, default=1, help="scans at a time (1)")
    parser.add_argument("--device", default="cpu", help="torch device: cpu, cuda, … (cpu)")
    parser.add_argument("--seed", type=int, default=0, help="of the diffusion's noise (0)")
    parser.add_argument(
        "--reports", action="store_true", help="keep maps and report of every scan too"
    )
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE",
        help="renew the section 'evaluate' of this Markdown file",
    )
    parser.add_argument(
        "--reason", default="", help="why these scans are looked at, for the document's log"
    )
    parser.set_defaults(run=_evaluate)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder with scans and lesion masks (NAME_mask), or with such folders and healthy "
        "ones (with a split.csv or participants.csv) in it; may be repeated",
    )
    parser.add_argument(
        "--healthy",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of healthy scans that no model was trained on; may be repeated",
    )


def _evaluate(options: argparse.Namespace) -> int:
    from counterpart.evaluation.commands import EvaluateOptions, evaluate_models

    chosen = EvaluateOptions(
        models=tuple(options.model),
        brain_model=options.brain_model,
        healthy=tuple(options.healthy),
        baselines=options.baselines,
        jobs=options.jobs,
        device=options.device,
        seed=options.seed,
        reports=options.reports,
        document=options.document,
        reason=options.reason,
    )
    return evaluate_models(options.data, options.out, chosen)
