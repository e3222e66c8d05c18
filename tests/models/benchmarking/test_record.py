"""What a benchmark leaves: JSON with machine and versions, and a section of a document."""

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from counterpart.benchmarking.machine import Machine
from counterpart.benchmarking.record import Destination, Record, keep
from counterpart.benchmarking.sheets import Sheet, giga, mib
from counterpart.benchmarking.timing import Seconds
from counterpart.errors import CounterpartError

MACHINE = Machine("CPU X", (), 2, None, "Y", "3.12", "0.1", "2.8", 2)
SHEET = Sheet("A | title", ("", "b"), (("a|c", "1"),), ("A note.",))


@dataclass(frozen=True)
class Figures:
    taken: Seconds
    name: str


@pytest.fixture
def a_record() -> Record:
    return Record(
        "bench train",
        "counterpart bench train",
        MACHINE,
        Figures(Seconds(1.0, 0.5, 2.0, 3), "ä"),
        {"model 1.0": "0123456789abcdef"},
        datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
    )


def test_everything_is_in_the_file_sorted_and_indented(a_record: Record, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    keep(a_record, [SHEET], Destination(out))
    text = out.read_text(encoding="utf-8")
    kept = json.loads(text)
    assert kept == {
        "benchmark": "bench train",
        "command": "counterpart bench train",
        "created": "2024-05-06T07:08:09+00:00",
        "figures": {
            "name": "ä",
            "taken": {"median": 1.0, "least": 0.5, "most": 2.0, "times": 3},
        },
        "machine": MACHINE.words(),
        "versions": {"counterpart": "0.1", "python": "3.12", "torch": "2.8"},
        "weights_sha256": {"model 1.0": "0123456789abcdef"},
    }
    assert text == json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_the_document_has_command_date_machine_weights_and_tables(
    a_record: Record, tmp_path: Path
) -> None:
    document = tmp_path / "page.md"
    document.write_text("<!-- bench train: begin -->x<!-- bench train: end -->")
    keep(a_record, [SHEET], Destination(document=document))
    lines = document.read_text().splitlines()
    assert lines[2:5] == ["```bash", "counterpart bench train", "```"]
    told = f"Measured on 2024-05-06: {MACHINE.words()}; model 1.0, weights 0123456789ab."
    assert lines[6] == told
    assert lines[8:14] == ["**A | title**", "", "|  | b |", "| --- | ---: |", "| a/c | 1 |", ""]
    assert lines[14] == "A note."


def test_a_destination_is_checked_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match="expected the name of a JSON file"):
        Destination(tmp_path / "none" / "figures.json").check("bench train")
    with pytest.raises(CounterpartError, match="expected the name of a JSON file"):
        Destination(tmp_path).check("bench train")
    (tmp_path / "page.md").write_text("no marks")
    with pytest.raises(CounterpartError, match="expected the mark"):
        Destination(document=tmp_path / "page.md").check("bench train")
    Destination(tmp_path / "figures.json").check("bench train")
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_a_table_without_rows_is_its_title_and_notes() -> None:
    assert Sheet("Nothing", ("a",), (), ("None.",)).to_markdown() == "**Nothing**\n\nNone."


def test_cells_of_what_is_not_known_are_dashes() -> None:
    assert (mib(None), mib(12.4), giga(0.0), giga(2.5e9)) == ("–", "12 MiB", "–", "2.5")
