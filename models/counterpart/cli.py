"""The command line: reads arguments, shows progress, leaves the work to the library.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from counterpart import __version__
from counterpart.ablation.parser import add_ablate
from counterpart.attribution.parser import add_references
from counterpart.benchmarking.parser import add_bench
from counterpart.cohort_checks.parser import add_cohort_commands
from counterpart.errors import CounterpartError
from counterpart.evaluation.parser import add_evaluate
from counterpart.registry.parser import add_models
from counterpart.retraining.parser import add_retrain
from counterpart.serving.parser import add_demo, add_serve

STAGES = ("brain", "encoder", "denoiser", "calibrate")
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    parser = argparse.ArgumentParser(
        prog="counterpart",
        description="Shows where a brain MRI differs from how the same brain would look in health. "
        "AI-generated, research use only; not for clinical use.",
    )
    parser.add_argument("--version", action="version", version=f"counterpart {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_generate(commands)
    add_demo(commands)
    add_serve(commands)
    _add_prepare(commands)
    _add_train(commands)
    _add_export(commands)
    _add_calibrate(commands)
    add_retrain(commands)
    add_evaluate(commands)
    add_ablate(commands)
    _add_patterns(commands)
    _add_contrasts(commands)
    _add_brains(commands)
    _add_fuzz(commands)
    add_models(commands)
    add_references(commands)
    add_cohort_commands(commands)
    add_bench(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 if all went well, 1 if something failed, 2 for wrong usage, 130 when interrupted.
    """
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        status: int = options.run(options)
        return status
    except (CounterpartError, OSError) as error:
        print(f"counterpart: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("counterpart: cancelled.", file=sys.stderr)
        return EXIT_INTERRUPTED


def _add_generate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "generate", help="healthy counterpart, maps, findings and a picture for each scan"
    )
    parser.add_argument(
        "scans",
        nargs="+",
        type=Path,
        metavar="SCAN",
        help="NIfTI (.nii, .nii.gz), NRRD, MHA, or a folder with one DICOM series",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="output folder")
    parser.add_argument(
        "--contrast",
        choices=("T1", "T1c", "T2", "FLAIR", "unknown"),
        help="the sequence (else from DICOM tags, the file's name or the tissues)",
    )
    parser.add_argument(
        "--brain-mask", type=Path, help="brain mask on the scans' grid, instead of the network's"
    )
    parser.add_argument(
        "--format",
        choices=("nii.gz", "nii", "nrrd", "mha", "dicom"),
        default="nii.gz",
        help="of the maps; nii is unpacked, and written at once (nii.gz)",
    )
    _add_model_options(parser)
    parser.add_argument(
        "--brain-model", default="brain-extraction", help="bundle of the brain network"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the diffusion's noise (0)")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results")
    parser.add_argument(
        "--references",
        type=Path,
        metavar="COHORT",
        help="show the healthy references' slices in the report, from the prepared cohort",
    )
    parser.set_defaults(run=_generate)


def _add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("prepare", help="prepare healthy T1 scans for training, once")
    parser.add_argument("folder", type=Path, metavar="DIR", help="healthy scans")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the cohort's folder")
    parser.add_argument(
        "--label-maps", type=Path, help="folder of label maps of whole heads (SynthSeg numbers)"
    )
    parser.add_argument(
        "--contrast",
        choices=("T1", "T1c", "T2", "FLAIR"),
        default="T1",
        help="of the scans; another than T1 serves calibration alone (T1)",
    )
    parser.set_defaults(run=_prepare)


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("train", help="train on a prepared cohort")
    parser.add_argument("--cohort", type=Path, required=True, help="from `counterpart prepare`")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the run's folder")
    parser.add_argument(
        "--stage", choices=("brain", "encoder", "denoiser", "calibrate"), default="denoiser"
    )
    parser.add_argument(
        "--configuration",
        choices=("ours", "paper-text", "paper-code"),
        default="ours",
        help="ours, or that of the paper's text or released code (ours)",
    )
    parser.add_argument(
        "--encoder", type=Path, metavar="RUN", help="run of the stage encoder, for the denoiser"
    )
    parser.add_argument(
        "--condition",
        choices=("none", "embedding", "cross-attention"),
        help="how the encoder's code enters the denoiser (embedding, if there is an encoder)",
    )
    parser.add_argument(
        "--start-from", metavar="MODEL", help="begin with the weights of this bundle's denoiser"
    )
    parser.add_argument("--steps", type=int, help="optimiser steps (the stage's own)")
    parser.add_argument("--batch-size", type=int, help="slices (16) or heads (2) per step")
    parser.add_argument("--learning-rate", type=float, help="after the warm-up (the stage's own)")
    parser.add_argument(
        "--channels", type=int, nargs="+", help="widths of the denoiser (64 96 128), brain (16)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--devices", default="1", help="per machine: a number, or auto for all (1)")
    parser.add_argument("--nodes", type=int, default=1, help="number of machines (1)")
    parser.add_argument("--strategy", default="auto", help="Lightning's name: auto, ddp, … (auto)")
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="auto is bfloat16 where the machine has it; float32 resumes exactly (auto)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.set_defaults(run=_train)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "export", help="choose noise levels and thresholds on held-out subjects, write a bundle"
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="from `counterpart train`")
    parser.add_argument("--cohort", type=Path, required=True, help="the cohort of the run")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--version", default="0.1.0", dest="model_version")
    parser.add_argument("--selection-subjects", type=int, default=8)
    parser.add_argument("--threshold-subjects", type=int, default=20)
    parser.add_argument("--training-note", default="", help="hardware and duration, for the card")
    parser.add_argument("--data-note", default="", help="source and licence, for the card")
    parser.add_argument("--population", default="", help="whose scans these are, in a few words")
    parser.set_defaults(run=_export)


def _add_calibrate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "calibrate", help="learn thresholds and p-values from a site's own healthy scans"
    )
    parser.add_argument("--cohort", type=Path, required=True, help="from `counterpart prepare`")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the new bundle's folder")
    _add_model_options(parser)
    parser.add_argument("--model-version", help="of the new bundle (the old one's.calibrated)")
    parser.add_argument("--population", help="whose scans these are, in words")
    parser.set_defaults(run=_calibrate)


def _add_patterns(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("patterns", help="a page of fifty target patterns")
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--seed", type=int, default=1)
    parser.set_defaults(run=_patterns)


def _add_contrasts(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("contrasts", help="a page of real and rendered contrasts")
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True, help="PNG file; a CSV beside it")
    parser.add_argument(
        "--real",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder with real scans (NAME_FLAIR, …), lesion masks beside them; may be repeated",
    )
    parser.add_argument("--subjects", type=int, default=8, help="subjects rendered (8)")
    parser.add_argument("--seed", type=int, default=1)
    parser.set_defaults(run=_contrasts)


def _add_brains(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("brains", help="a sheet with the brain mask of many scans")
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN")
    parser.add_argument("-o", "--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--brain-model", default="brain-extraction", help="name or folder")
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")
    parser.set_defaults(run=_brains)


def _add_fuzz(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("fuzz", help="read thousands of damaged scans; none may do harm")
    parser.add_argument("--count", type=int, default=10_000, help="damaged scans (10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="for what fails")
    parser.set_defaults(run=_fuzz)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="healthy-brain", help="name or folder of a bundle")
    parser.add_argument("--device", default="cpu", help="torch device: cpu, cuda, cuda:1, … (cpu)")


def _generate(options: argparse.Namespace) -> int:
    from counterpart.commands import GenerateOptions, generate_scans

    chosen = GenerateOptions(
        model=options.model,
        brain_model=options.brain_model,
        brain_mask=options.brain_mask,
        contrast=options.contrast,
        device=options.device,
        seed=options.seed,
        overwrite=options.overwrite,
        image_format=options.format,
        references=options.references,
    )
    return generate_scans(options.scans, options.out, chosen)


def _prepare(options: argparse.Namespace) -> int:
    from counterpart.commands import prepare

    return prepare(
        options.folder, options.out, contrast=options.contrast, label_maps=options.label_maps
    )


def _train(options: argparse.Namespace) -> int:
    from counterpart.training.commands import TrainOptions, train
    from counterpart.training.machines import Machines

    chosen = TrainOptions(
        configuration=options.configuration,
        channels=options.channels,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        encoder_run=options.encoder,
        condition=options.condition,
        start_from=options.start_from,
        machines=Machines(
            device=options.device,
            devices=options.devices,
            nodes=options.nodes,
            strategy=options.strategy,
            precision=options.precision,
        ),
        resume=options.resume,
    )
    return train(options.stage, options.cohort, options.out, chosen)


def _export(options: argparse.Namespace) -> int:
    from counterpart.commands import export

    return export(
        options.run_folder,
        options.cohort,
        options.out,
        version=options.model_version,
        selection_subjects=options.selection_subjects,
        threshold_subjects=options.threshold_subjects,
        note=options.training_note,
        data=options.data_note,
        population=options.population,
    )


def _calibrate(options: argparse.Namespace) -> int:
    from counterpart.calibration.commands import calibrate_model

    return calibrate_model(
        options.model,
        options.cohort,
        options.out,
        version=options.model_version,
        population=options.population,
        device=options.device,
    )


def _patterns(options: argparse.Namespace) -> int:
    from counterpart.training.commands import draw_pattern_page

    return draw_pattern_page(options.cohort, options.out, seed=options.seed)


def _contrasts(options: argparse.Namespace) -> int:
    from counterpart.training.commands import draw_contrast_page

    return draw_contrast_page(
        options.cohort,
        options.out,
        real=options.real,
        subjects=options.subjects,
        seed=options.seed,
    )


def _brains(options: argparse.Namespace) -> int:
    from counterpart.commands import draw_brains

    return draw_brains(
        options.scans, options.out, brain_model=options.brain_model, device=options.device
    )


def _fuzz(options: argparse.Namespace) -> int:
    from counterpart.fuzzing.campaign import run_campaign

    return run_campaign(options.count, options.seed, options.keep)


if __name__ == "__main__":
    sys.exit(main())
