"""Tables of figures that look alike on the console and in Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Sheet:
    """A table; the first column names the rows, the others hold figures.

    Args:
        title: One line.
        headings: Of the columns.
        rows: Cells, as many as there are headings.
        notes: Sentences below the table.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table(box=SIMPLE, pad_edge=False)
        for number, heading in enumerate(self.headings):
            table.add_column(escape(heading), justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(escape(cell) for cell in row))
        console.print(f"[bold]{escape(self.title)}[/bold]", highlight=False)
        if self.rows:
            console.print(table)
        for note in self.notes:
            console.print(note, markup=False, highlight=False)

    def to_markdown(self) -> str:
        """For a document."""
        rule = ("---", *("---:" for _ in self.headings[1:]))
        rows = (self.headings, rule, *self.rows)
        lines = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
        table = ("\n".join(lines),) if self.rows else ()
        return "\n\n".join((f"**{self.title}**", *table, *self.notes))


def seconds(value: float) -> str:
    """Seconds with three decimals, as a cell."""
    return f"{value:.3f}"


def mib(value: float | None) -> str:
    """Mebibytes as a cell; a dash where they are not known."""
    return "–" if value is None else f"{value:.0f} MiB"


def giga(rate: float) -> str:
    """Operations per second as billions of them, as a cell; a dash where none were counted."""
    return f"{rate / 1e9:.1f}" if rate else "–"
