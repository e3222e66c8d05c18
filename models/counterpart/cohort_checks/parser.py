"""The arguments of ``counterpart cohort``: add healthy scans to the studies, show what they are.

Like `counterpart.cli` it imports nothing heavy before a command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_cohort_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its own subcommands."""
    parser = commands.add_parser("cohort", help="the healthy scans of a server: add, show")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="copy or link a folder's scans in, marked as healthy")
    add.add_argument("folder", type=Path, metavar="DIR", help="healthy scans (NAME_T1.nii.gz, …)")
    _add_studies(add)
    add.add_argument("--link", action="store_true", help="make links instead of copies")
    add.set_defaults(run=_add)
    show = actions.add_parser("show", help="subjects, contrasts, what is refused, what is advised")
    _add_studies(show)
    show.add_argument(
        "--read",
        action="store_true",
        help="read every scan and have the model look at it, as before a training (minutes)",
    )
    show.add_argument("--model", default="healthy-brain", help="name or folder of a bundle")
    show.add_argument("--device", default="cpu", help="torch device (cpu)")
    show.set_defaults(run=_show)


def _add_studies(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--studies", type=Path, required=True, metavar="STUDIES", help="the server's studies"
    )


def _add(options: argparse.Namespace) -> int:
    from counterpart.cohort_checks.commands import add_scans

    return add_scans(options.folder, options.studies, link=options.link)


def _show(options: argparse.Namespace) -> int:
    from counterpart.cohort_checks.commands import show_cohort

    return show_cohort(
        options.studies, read=options.read, model=options.model, device=options.device
    )
