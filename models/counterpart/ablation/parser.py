"""The arguments of ``counterpart ablate``.

Like `counterpart.cli` it imports nothing heavy before the command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_ablate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "ablate", help="what each part of the method brings: rows trained equally long, a table"
    )
    parser.add_argument("--cohort", type=Path, required=True, help="from `counterpart prepare`")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the ablation's folder")
    parser.add_argument("--steps", type=int, help="optimiser steps of each row (600)")
    parser.add_argument("--encoder-steps", type=int, help="of each encoder (200)")
    parser.add_argument("--channels", type=int, nargs="+", help="widths of the networks (32 64 64)")
    parser.add_argument("--seed", type=int, help="of everything random (1)")
    parser.add_argument(
        "--row", action="append", default=[], metavar="NAME", help="only this row; may be repeated"
    )
    parser.add_argument(
        "--subjects", type=int, help="most held-out subjects that rows are measured on (all)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE",
        help="renew the section 'ablation' of this Markdown file",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on; rows that have been trained are kept"
    )
    parser.add_argument(
        "--no-training",
        action="store_true",
        help="measure what has been trained so far and write the table",
    )
    parser.add_argument(
        "--measure-again", action="store_true", help="also what has been measured already"
    )
    parser.set_defaults(run=_ablate)


def _ablate(options: argparse.Namespace) -> int:
    from counterpart.ablation.commands import ALL_SUBJECTS, AblateOptions, ablate
    from counterpart.training.machines import Machines

    chosen = AblateOptions(
        steps=options.steps,
        encoder_steps=options.encoder_steps,
        channels=None if options.channels is None else tuple(options.channels),
        seed=options.seed,
        rows=tuple(options.row),
        subjects=ALL_SUBJECTS if options.subjects is None else options.subjects,
        document=options.document,
        resume=options.resume,
        trains=not options.no_training,
        measures_again=options.measure_again,
        machines=Machines(device=options.device),
    )
    return ablate(options.cohort, options.out, chosen)
