"""What a benchmark leaves: its figures as JSON and, if asked for, a section of a document."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpart.benchmarking.machine import Machine
from counterpart.benchmarking.sheets import Sheet
from counterpart.document_sections import check_section, replace_section
from counterpart.errors import CounterpartError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Destination:
    """Where figures go, beside the console.

    Args:
        out: JSON file.
        document: Markdown file with the section of the benchmark's name.
    """

    out: Path | None = None
    document: Path | None = None

    def check(self, name: str) -> None:
        """Refuse what cannot be written, before the work.

        Args:
            name: Of the benchmark, such as ``bench generate``.

        Raises:
            CounterpartError: There is no such folder, or the document lacks the section.
        """
        if self.out is not None and (self.out.is_dir() or not self.out.resolve().parent.is_dir()):
            raise CounterpartError(
                f"{self.out}: expected the name of a JSON file in a folder that exists."
            )
        if self.document is not None:
            check_section(self.document, name)


@dataclass(frozen=True)
class Record:
    """The figures of a benchmark with all that one has to know about them.

    Args:
        name: Such as ``bench generate``.
        command: That repeats it.
        machine: It ran on.
        figures: Of a dataclass of the benchmark's own.
        weights: Hash of the weights by the name and version of their model.
        created: Date and time.
    """

    name: str
    command: str
    machine: Machine
    figures: DataclassInstance
    weights: Mapping[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        versions = {
            "counterpart": self.machine.counterpart,
            "python": self.machine.python,
            "torch": self.machine.torch,
        }
        return {
            "benchmark": self.name,
            "command": self.command,
            "created": self.created.isoformat(timespec="seconds"),
            "figures": asdict(self.figures),
            "machine": self.machine.words(),
            "versions": {name: version for name, version in versions.items() if version},
            "weights_sha256": dict(self.weights),
        }

    def to_markdown(self, sheets: Sequence[Sheet]) -> str:
        """The section of a document: the command, the tables, the machine."""
        weights = "; ".join(f"{name}, weights {sha[:12]}" for name, sha in self.weights.items())
        told = f"Measured on {self.created:%Y-%m-%d}: {self.machine.words()}"
        told += f"; {weights}." if weights else "."
        tables = (sheet.to_markdown() for sheet in sheets)
        return "\n\n".join((f"```bash\n{self.command}\n```", told, *tables))


def keep(record: Record, sheets: Sequence[Sheet], destination: Destination) -> None:
    """Write the figures where they shall go.

    Raises:
        CounterpartError: The document lacks the section.
    """
    if destination.out is not None:
        text = json.dumps(record.to_json(), indent=1, sort_keys=True, ensure_ascii=False)
        part = destination.out.with_name(f"{destination.out.name}.part")
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, destination.out)
    if destination.document is not None:
        replace_section(destination.document, record.name, record.to_markdown(sheets))
