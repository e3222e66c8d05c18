"""The page that lets a person judge the target patterns."""

from pathlib import Path

import pytest
from matplotlib.image import imread

from counterpart.cohort import Cohort
from counterpart.errors import CounterpartError
from counterpart.training import pattern_page
from counterpart.training.commands import draw_pattern_page


@pytest.mark.slow
def test_page_shows_every_pattern_in_a_picture(
    a_cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern_page, "COUNT", 4)
    monkeypatch.setattr(pattern_page, "_COLUMNS", 2)
    monkeypatch.setattr(pattern_page, "_TRIES", 1)
    pattern_page.draw_page(a_cohort, tmp_path / "page.png", seed=1)
    pixels = imread(tmp_path / "page.png")
    height, width = pixels.shape[:2]
    for row in range(2):
        for column in range(2):
            panel = pixels[
                row * height // 2 : (row + 1) * height // 2,
                column * width // 2 : (column + 1) * width // 2,
            ]
            assert panel[..., :3].std() > 0.05


def test_same_seed_draws_the_same_page(
    a_cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pattern_page, "COUNT", 1)
    monkeypatch.setattr(pattern_page, "_COLUMNS", 1)
    monkeypatch.setattr(pattern_page, "_TRIES", 1)
    for name in ("one.png", "two.png"):
        pattern_page.draw_page(a_cohort, tmp_path / name, seed=3)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_page_wants_a_png_name(a_cohort_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match="page.jpg"):
        draw_pattern_page(a_cohort_folder, tmp_path / "page.jpg", seed=1)
    assert not (tmp_path / "page.jpg").exists()
