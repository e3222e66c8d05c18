"""What ``counterpart models import-generative`` does, with its words on the console."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from counterpart.generative_import.conversion import import_generative


def run_import(source: Path, out: Path, *, config: Path | None = None) -> int:
    """Import a network and say what was read, assumed and compared.

    Args:
        source: File with the weights.
        out: Folder to make.
        config: Arguments of the network, if given.

    Returns:
        0.
    """
    console = Console()
    with console.status("Reading and comparing"):
        imported = import_generative(source, out, config=config)
    widths = "–".join(map(str, imported.size.num_channels))
    lines = [
        f"{imported.source}: {imported.size.spatial_dims}-D, channels {widths}, "
        f"{imported.parameters / 1e6:.1f} million parameters",
        imported.verdict,
        f"Network: {out}",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if imported.note:
        note = f"[yellow]note[/yellow] {escape(imported.note)}"
        console.print(note, soft_wrap=True, highlight=False)
    return 0
