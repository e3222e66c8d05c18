"""The arguments of ``counterpart models``: which versions there are, and which one serves.

Like `counterpart.cli` it imports nothing heavy before a command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its own subcommands."""
    parser = commands.add_parser("models", help="the registry of models: list, show, publish, …")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_list(actions)
    _add_show(actions)
    _add_publish(actions)
    _add_rollback(actions)
    _add_import_generative(actions)


def _add_list(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser("list", help="all versions, published and released")
    _add_registry(parser)
    parser.set_defaults(run=_list)


def _add_show(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser("show", help="card, metadata, settings and history of a version")
    parser.add_argument("model", metavar="NAME", help="name, name@version, or a bundle's folder")
    _add_registry(parser)
    parser.set_defaults(run=_show)


def _add_publish(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser("publish", help="let a bundle serve if it passes the gates")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="from `counterpart export`")
    parser.add_argument("--name", help="of the model (that of the bundle's folder)")
    parser.add_argument(
        "--cohort", type=Path, help="compare with the serving model on its part 'validate'"
    )
    parser.add_argument(
        "--force-gate",
        action="append",
        default=[],
        metavar="GATE",
        help="publish although this gate is not passed; needs --reason",
    )
    parser.add_argument("--reason", default="", help="why, for the history")
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")
    _add_registry(parser)
    parser.set_defaults(run=_publish)


def _add_rollback(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser("rollback", help="let the version before serve again")
    parser.add_argument("name", metavar="NAME", help="of the model")
    parser.add_argument("--to", metavar="VERSION", help="let this version serve")
    parser.add_argument("--reason", default="", help="why, for the history")
    _add_registry(parser)
    parser.set_defaults(run=_rollback)


def _add_import_generative(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "import-generative", help="read a DiffusionModelUNet of MONAI Generative Models"
    )
    parser.add_argument(
        "weights", type=Path, metavar="FILE", help=".safetensors, .pt, .pth or .ckpt (no pickles)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="JSON", help="the network's arguments, under its own names"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.set_defaults(run=_import_generative)


def _add_registry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--registry",
        type=Path,
        metavar="DIR",
        help="the registry's folder (COUNTERPART_MODELS, else ~/.local/share/counterpart/models)",
    )


def _list(options: argparse.Namespace) -> int:
    from counterpart.registry.commands import list_models

    return list_models(options.registry)


def _show(options: argparse.Namespace) -> int:
    from counterpart.registry.commands import show_model

    return show_model(options.model, options.registry)


def _publish(options: argparse.Namespace) -> int:
    from counterpart.registry.commands import publish_model

    return publish_model(
        options.bundle,
        name=options.name,
        cohort=options.cohort,
        force=options.force_gate,
        reason=options.reason,
        device=options.device,
        root=options.registry,
    )


def _rollback(options: argparse.Namespace) -> int:
    from counterpart.registry.commands import roll_back

    return roll_back(options.name, options.to, reason=options.reason, root=options.registry)


def _import_generative(options: argparse.Namespace) -> int:
    from counterpart.generative_import.commands import run_import

    return run_import(options.weights, options.out, config=options.config)
