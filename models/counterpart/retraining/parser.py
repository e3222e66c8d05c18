"""The arguments of ``counterpart retrain``: a new version of a model for a site's own scans.

Like `counterpart.cli` it imports nothing heavy before the command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_retrain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "retrain", help="calibrate or train a model on a site's own healthy scans, and publish it"
    )
    parser.add_argument("scans", type=Path, metavar="SCANS_DIR", help="healthy scans")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="RUN", help="its folder")
    parser.add_argument(
        "--mode",
        choices=("auto", "calibrate", "train"),
        default="auto",
        help="auto calibrates below 40 subjects, and trains from there on (auto)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        choices=("released", "nothing"),
        default="released",
        help="fine-tune the model's weights, or begin with nothing (released)",
    )
    parser.add_argument("--model", default="healthy-brain", help="name or folder (healthy-brain)")
    parser.add_argument("--model-version", help="of the new one (<old version>.local.<n>)")
    parser.add_argument("--population", default="", help="whose scans these are, in words")
    parser.add_argument("--steps-encoder", type=int, metavar="N", help="optimiser steps (400)")
    parser.add_argument("--steps-denoiser", type=int, metavar="N", help="optimiser steps (10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the split and all else (1)")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--devices", default="1", help="per machine: a number, or auto for all (1)")
    parser.add_argument("--nodes", type=int, default=1, help="number of machines (1)")
    parser.add_argument("--no-publish", action="store_true", help="make the new version, no more")
    parser.add_argument(
        "--force",
        action="append",
        default=[],
        metavar="GATE",
        help="publish although this gate is not passed; needs --reason",
    )
    parser.add_argument("--reason", default="", help="why, for the history")
    parser.add_argument("--registry", type=Path, metavar="DIR", help="the registry's folder")
    parser.add_argument("--resume", action="store_true", help="go on with the plan that is there")
    parser.set_defaults(run=_retrain)


def _retrain(options: argparse.Namespace) -> int:
    from counterpart.retraining.commands import RetrainOptions, retrain

    chosen = RetrainOptions(
        mode=options.mode,
        start=options.start,
        model=options.model,
        version=options.model_version,
        population=options.population,
        steps_encoder=options.steps_encoder,
        steps_denoiser=options.steps_denoiser,
        seed=options.seed,
        device=options.device,
        devices=options.devices,
        nodes=options.nodes,
        publish=not options.no_publish,
        force=tuple(options.force),
        reason=options.reason,
        registry=options.registry,
        resume=options.resume,
    )
    return retrain(options.scans, options.out, chosen)
