"""The arguments of ``counterpart references``: which healthy scans a counterpart rests upon.

Like `counterpart.cli` it imports nothing heavy before a command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_references(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its own subcommands."""
    parser = commands.add_parser(
        "references", help="a model's healthy references: list, add, withdraw, measure"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_list(actions)
    _add_add(actions)
    _add_withdraw(actions)
    _add_measure(actions)


def _add_list(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser("list", help="the pseudonyms that a model knows")
    parser.add_argument("model", metavar="MODEL", help="name, name@version, or a bundle's folder")
    parser.set_defaults(run=_list)


def _add_add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "add", help="index the scans that a bundle was trained on, if it has no references yet"
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a folder that is no version")
    _add_cohort(parser)
    parser.add_argument(
        "--subjects", type=int, default=40, help="most held-out ones of each contrast (40)"
    )
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")
    parser.set_defaults(run=_add)


def _add_withdraw(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "withdraw", help="name a subject no more, in no version of a model (withdrawn consent)"
    )
    parser.add_argument("model", metavar="NAME", help="of the model")
    parser.add_argument("reference", nargs="?", metavar="REFERENCE", help="the pseudonym")
    parser.add_argument("--subject", metavar="NAME", help="its name in the cohort, instead")
    parser.add_argument("--cohort", type=Path, metavar="DIR", help="the prepared cohort, for that")
    parser.add_argument("--reason", default="", help="why, for the list")
    parser.add_argument(
        "--registry",
        type=Path,
        metavar="DIR",
        help="the registry's folder (COUNTERPART_MODELS, else ~/.local/share/counterpart/models)",
    )
    parser.set_defaults(run=_withdraw)


def _add_measure(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "measure", help="does it work: known subjects, known exemplars, and memorisation"
    )
    parser.add_argument("model", metavar="MODEL", help="name, name@version, or a bundle's folder")
    _add_cohort(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, help="file for the figures, JSON")
    parser.add_argument("--subjects", type=int, default=40, help="of each kind (40)")
    parser.add_argument("--exemplars", type=int, default=20, help="to train a copy on (20)")
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE",
        help="renew the section 'references measure' of this Markdown file",
    )
    parser.set_defaults(run=_measure)


def _add_cohort(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cohort", type=Path, required=True, metavar="DIR", help="that it was trained on, prepared"
    )


def _list(options: argparse.Namespace) -> int:
    from counterpart.attribution.commands import list_references

    return list_references(options.model)


def _add(options: argparse.Namespace) -> int:
    from counterpart.attribution.commands import add_to_bundle

    return add_to_bundle(
        options.bundle, options.cohort, subjects=options.subjects, device=options.device
    )


def _withdraw(options: argparse.Namespace) -> int:
    from counterpart.attribution.commands import withdraw_reference

    return withdraw_reference(
        options.model,
        options.reference,
        subject=options.subject,
        cohort=options.cohort,
        reason=options.reason,
        root=options.registry,
    )


def _measure(options: argparse.Namespace) -> int:
    from counterpart.attribution.commands import MeasureOptions, measure_references

    return measure_references(
        MeasureOptions(
            model=options.model,
            cohort=options.cohort,
            out=options.out,
            subjects=options.subjects,
            exemplars=options.exemplars,
            device=options.device,
            document=options.document,
        )
    )
