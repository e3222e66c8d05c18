"""An export never lands on a file about which nobody was asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from HealthyCounterpartLib.dialogs import asker


def dialogs(chosen: Any) -> Any:
    """Qt whose dialogs answer at once."""
    answer = staticmethod(lambda *question: chosen)
    return SimpleNamespace(
        QFileDialog=SimpleNamespace(getSaveFileName=answer, getExistingDirectory=answer)
    )


@pytest.mark.parametrize(
    ("kind", "typed", "path"),
    [
        ("table", "a.csv", "a.csv"),
        ("table", "a.CSV", "a.CSV"),
        ("table", "a", "a.csv"),
        ("report", "a.csv", "a.csv.html"),
        ("segmentation", "a", "a.seg.nrrd"),
        ("segmentation", "a.seg.nrrd", "a.seg.nrrd"),
    ],
)
def test_the_suffix_is_added_where_it_is_missing(
    kind: str, typed: str, path: str, tmp_path: Path
) -> None:
    ask = asker(dialogs(str(tmp_path / typed)))
    assert ask(kind) == str(tmp_path / path)


def test_an_added_suffix_does_not_hit_another_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    ask = asker(dialogs(str(tmp_path / "a")))
    assert ask("table") == str(tmp_path / "a-2.csv")


def test_maps_get_a_folder_of_their_own(tmp_path: Path) -> None:
    ask = asker(dialogs(str(tmp_path)))
    first = Path(ask("maps"))
    assert first.parent == tmp_path and not first.exists()
    first.mkdir()
    assert ask("maps") == f"{first}-2"


@pytest.mark.parametrize("kind", ["segmentation", "maps", "table", "report"])
@pytest.mark.parametrize("nothing", ["", None])
def test_thinking_better_of_it_gives_nothing(kind: str, nothing: Any) -> None:
    assert asker(dialogs(nothing))(kind) == ""


def test_the_answer_of_pyside_is_understood(tmp_path: Path) -> None:
    ask = asker(dialogs((str(tmp_path / "a.csv"), "*.csv")))
    assert ask("table") == str(tmp_path / "a.csv")
