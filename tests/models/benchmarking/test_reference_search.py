"""The benchmark of the search among references, with and without something beside it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from counterpart.benchmarking import reference_search
from counterpart.benchmarking.reference_search import FLAGGED, measure_search, search_sheet
from counterpart.cli import main


class FlatIndex:
    """What the benchmark asks of faiss' exhaustive index."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.known = np.zeros((0, size), np.float32)

    def add(self, known: np.ndarray) -> None:  # type: ignore[type-arg]
        assert known.shape[1] == self.size and known.dtype == np.float32
        self.known = known

    def search(self, asked: np.ndarray, most: int) -> np.ndarray:  # type: ignore[type-arg]
        found: np.ndarray = np.argsort(-(self.known @ asked[0]))[:most]  # type: ignore[type-arg]
        return found


def test_alone_it_says_so_and_rows_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_search, "_faiss", lambda: None)
    told: list[str] = []
    figures = measure_search([30, 7], 2, told.append)
    assert [row.subjects for row in figures.rows] == [7, 30]
    assert told == ["7 references", "30 references"]
    assert figures.rows[1].megabytes == pytest.approx(30 * FLAGGED * 128 * 4 / 1e6)
    sheet = search_sheet(figures)
    assert "faiss is not installed" in sheet.notes[0]
    assert len(sheet.headings) == len(sheet.rows[0]) == 4


def test_faiss_stands_beside_it_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = SimpleNamespace(IndexFlatIP=FlatIndex, __version__="9.9")
    monkeypatch.setattr(reference_search, "_faiss", lambda: flat)
    figures = measure_search([7, 30], 1, lambda words: None)
    sheet = search_sheet(figures)
    assert figures.faiss == "9.9"
    assert "ours by faiss" in sheet.headings
    assert all(len(row) == len(sheet.headings) for row in sheet.rows)


def test_the_command_writes_figures_and_a_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference_search, "_faiss", lambda: None)
    page, out = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text("<!-- bench references: begin -->\n<!-- bench references: end -->\n")
    words = ["bench", "references", "--subjects", "5", "9", "--repeats", "1"]
    assert main([*words, "-o", str(out), "--document", str(page)]) == 0
    assert [row["subjects"] for row in json.loads(out.read_text())["figures"]["rows"]] == [5, 9]
    assert "--subjects 5 9 --repeats 1" in page.read_text()
    assert main([*words[:3], "0"]) == 1
    assert "expected numbers of 1 or more" in capsys.readouterr().err
