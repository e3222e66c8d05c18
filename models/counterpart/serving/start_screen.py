"""What the administrator sees once the server answers: one screen with all that matters."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from counterpart import __version__
from counterpart.contrast import CONTRASTS, contrast_from_name
from counterpart.results import DISCLAIMER
from counterpart.serving.address import ANY_HOST, is_loopback
from counterpart.serving.people import Person
from counterpart.serving.plan import ServerPlan
from counterpart.serving.state_folder import APP, LOG, is_address

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
_SIMULATION = "simulation"
_MAY = {
    "admin": "everything",
    "reviewer": "ask and label",
    "annotator": "ask and label",
    "user": "ask and label",
}


def show_start(console: Console, plan: ServerPlan, info: Mapping[str, Any], seconds: float) -> None:
    """Say what was started.

    Args:
        console: Where to.
        plan: What was asked for.
        info: The server's own words, from ``/counterpart/info``.
        seconds: Until it was ready.
    """
    model = info.get("model") or {}
    lines = (
        ("Address", _addresses(plan)),
        ("Studies", f"{plan.studies}: {_scans(plan.studies, info.get('images'))}"),
        (
            "Model",
            f"{model.get('name')} {model.get('version')}, weights "
            f"{str(model.get('weights_sha256'))[:12]}",
        ),
        ("Device", str(info.get("device"))),
        ("Calibrated", _calibrated(info.get("calibrations") or [])),
        ("Who may", who_may(plan)),
        ("State", str(plan.state)),
        ("Logs", f"{plan.state / LOG}, {plan.state / APP / 'logs'}, {plan.state / 'audit.log'}"),
        ("All routes", f"{plan.address.url}/docs"),
    )
    console.print(f"[bold]Counterpart {__version__}[/bold]. {DISCLAIMER}.", highlight=False)
    for name, text in lines:
        line = f"  [cyan]{name:<11}[/cyan]{escape(text)}"
        console.print(line, soft_wrap=True, highlight=False)
    console.print(f"Ready after {seconds:.1f} s. Ctrl-C ends it.", highlight=False)


def _addresses(plan: ServerPlan) -> str:
    """Where clients on this machine and, if they may, on others ask."""
    own = plan.address
    if is_loopback(plan.host):
        return f"{own.url}  (for 3D Slicer, OHIF, curl)"
    name = socket.gethostname() if plan.host in ANY_HOST else plan.host
    return f"{own.url}, from other machines {replace(own, host=name).url}"


def who_may(plan: ServerPlan) -> str:
    """Who may do what, in words."""
    if plan.people:
        return "; ".join(f"{names}: {_MAY[role]}" for role, names in _by_role(plan.people))
    if plan.open_to_all:
        return "everybody: ask and label; this machine: everything but uploading weights"
    if is_loopback(plan.host):
        return "this machine only, as administrator (without a token)"
    return "this machine only"


def _by_role(people: Sequence[Person]) -> list[tuple[str, str]]:
    roles = sorted({person.role for person in people})
    return [
        (role, f"{', '.join(one.name for one in people if one.role == role)} ({role})")
        for role in roles
    ]


def _scans(studies: str, told: object) -> str:
    """How many scans, by contrast as their names tell it."""
    if is_address(studies):
        return f"{told} series so far"
    names = [path.name for path in Path(studies).iterdir() if path.name.endswith(ENDINGS)]
    found = (contrast_from_name(name) for name in names)
    counted = Counter("unknown" if one is None else one.name for one in found)
    parts = [f"{counted[name]} {name}" for name in CONTRASTS if counted[name]]
    number = told if isinstance(told, int) else len(names)
    by_name = f" ({', '.join(parts)}, by their names)" if parts else ""
    return f"{number} scan{'s' * (number != 1)}{by_name}"


def _calibrated(calibrations: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for name in dict.fromkeys(str(one.get("contrast")) for one in calibrations):
        of_name = [one for one in calibrations if one.get("contrast") == name]
        real = [one for one in of_name if one.get("kind") != _SIMULATION]
        known = f"{real[0].get('scans')} healthy scans" if real else "simulated"
        parts.append(f"{name} ({known})")
    return ", ".join(parts) or "nothing"
