"""Galleries: the right scans in the right order, and pages that show strips as they are."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from made_up_figures import keeping
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from counterpart.errors import CounterpartError
from counterpart.evaluation.gallery import (
    GALLERY_WIDTH,
    LABEL_WIDTH,
    TOP,
    GalleryItem,
    draw_gallery,
    gallery_figure,
    gallery_item,
    healthy_item,
    most_flagged,
)
from counterpart.evaluation.records import (
    MAP,
    FrocPoint,
    HealthyFigures,
    PatientFigures,
    ScoreFigures,
    Traits,
)
from counterpart.evaluation.strips import PANEL_HEIGHT, STRIP_WIDTH
from counterpart.report.header import EDGE
from counterpart.results import DISCLAIMER


def scan_of(
    name: str, ap: float, *, p_value: float | None = None, outside: float = 0.0
) -> PatientFigures:
    def score(value: float) -> ScoreFigures:
        return ScoreFigures(value, 0.7142, 0.9 * value, None, 1.0)

    return PatientFigures(
        scan=name,
        group="lgg",
        contrast="FLAIR",
        whole_head=True,
        prevalence=0.05,
        lesion_ml=45.06,
        outside=outside,
        lesions=3,
        flagged_ml=38.0,
        at_threshold=FrocPoint(2.0, 2, 4),
        p_value=p_value,
        scores={MAP: score(ap), "intensity, 3 mm": score(0.7), "inverted": score(0.1)},
        warnings=(),
        seconds=20.0,
        keeping=keeping(),
        traits=Traits(),
    )


def a_strip(seed: int, tall: int = PANEL_HEIGHT, wide: int = STRIP_WIDTH) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (tall, wide, 3), dtype=np.uint8)


def item(
    seed: int, lines: int = 5, tall: int = PANEL_HEIGHT, wide: int = STRIP_WIDTH
) -> GalleryItem:
    words = tuple(f"line {n} of figures" for n in range(lines))
    return GalleryItem(f"scan {seed}", words, a_strip(seed, tall, wide))


def test_item_says_what_was_measured_beside_the_named_baseline() -> None:
    strip = a_strip(0)
    made = gallery_item(scan_of("lgg_01_FLAIR", 0.731, p_value=0.0244), strip, "intensity, 3 mm")
    assert made.caption == "lgg_01_FLAIR"
    assert made.strip is strip
    assert made.lines == (
        "AP 0.73 (baseline 0.70)",
        "Dice 0.66 (baseline 0.63)",
        "Dice, oracle 0.71",
        "lesion 45.1 ml, flagged 38.0 ml",
        "lesions found 2 of 3, false positives 4",
        "p 0.024",
    )


def test_item_leaves_out_what_there_is_not_and_tells_what_the_brain_mask_misses() -> None:
    made = gallery_item(scan_of("a", 0.731, outside=0.123), a_strip(0), None)
    assert made.lines[0] == "AP 0.73"
    assert not any(line.startswith("p ") or "baseline" in line for line in made.lines)
    assert made.lines[-1] == "brain mask misses 12% of the lesion"
    assert len(gallery_item(scan_of("a", 0.5, outside=0.001), a_strip(0), None).lines) == 5


def test_page_shows_every_strip_pixel_by_pixel_below_the_other(tmp_path: Path) -> None:
    items = [item(1), item(2, lines=20), item(3)]
    draw_gallery(items, tmp_path / "page.png", "the 3 best")
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.text["Description"] == DISCLAIMER
        assert picture.text["Title"] == "the 3 best"
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] == GALLERY_WIDTH
    left, tops = EDGE + LABEL_WIDTH, []
    for one in items:
        first_row = (pixels[:, left : left + STRIP_WIDTH] == one.strip[0]).all(axis=(1, 2))
        (top,) = np.flatnonzero(first_row)
        shown = pixels[top : top + PANEL_HEIGHT, left : left + STRIP_WIDTH]
        assert np.array_equal(shown, one.strip)
        tops.append(int(top))
    assert tops[0] == TOP
    assert tops[1] > tops[0] + PANEL_HEIGHT
    assert tops[2] > tops[1] + 20 * 26  # the second row's words are taller than its strip
    assert len(pixels) >= tops[2] + PANEL_HEIGHT


@pytest.mark.parametrize(("tall", "wide"), [(175, STRIP_WIDTH // 2), (700, 2 * STRIP_WIDTH)])
def test_strip_of_another_size_is_scaled_to_the_columns(
    tmp_path: Path, tall: int, wide: int
) -> None:
    white = GalleryItem("white", (), np.full((tall, wide, 3), 255, np.uint8))
    draw_gallery([white], tmp_path / "page.png", "one")
    with Image.open(tmp_path / "page.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    held = (pixels[TOP:] == 255).all(axis=-1)
    held[:, : EDGE + LABEL_WIDTH] = False
    rows, columns = np.nonzero(held)
    assert (columns.min(), columns.max() + 1) == (EDGE + LABEL_WIDTH, GALLERY_WIDTH - EDGE)
    assert np.ptp(rows) + 1 == PANEL_HEIGHT


def test_strip_that_is_tall_and_narrow_does_not_make_an_endless_page(tmp_path: Path) -> None:
    draw_gallery([item(1, tall=900, wide=9)], tmp_path / "page.png", "one")
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.height < TOP + 2 * PANEL_HEIGHT + 100


def test_equal_items_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw_gallery([item(1), item(2, tall=200, wide=900)], tmp_path / name, "the 2 best")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_page_says_what_it_is_and_no_word_overlaps_another() -> None:
    long = GalleryItem("a_very_long_name_" * 9, ("figures " * 30, "a$b 脑"), a_strip(1))
    figure = gallery_figure([long, item(2)], "healthy-brain 1.2.0 (0123456789ab), all " * 9)
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    words = [text.get_text() for text in texts]
    assert {DISCLAIMER, "Healthy counterpart", "Plain baseline", "lesion mask", "a$b □"} <= set(
        words
    )
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        inside = (
            box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        )
        assert inside, text.get_text()
    for (one, first), (other, second) in combinations(zip(words, boxes, strict=True), 2):
        apart = (
            first.x1 <= second.x0
            or second.x1 <= first.x0
            or first.y1 <= second.y0
            or second.y1 <= first.y0
        )
        assert apart, f"{one!r} over {other!r}"


def test_gallery_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match="the 10 best: expected at least one scan"):
        draw_gallery([], tmp_path / "page.png", "the 10 best")
    assert not (tmp_path / "page.png").exists()


def healthy_of(name: str, flagged_ml: float, findings: int = 2) -> HealthyFigures:
    return HealthyFigures(
        scan=name,
        part="calibrate",
        age_years=63.4,
        contrast="T1",
        error=0.0151,
        psnr_db=32.0,
        ssim=0.9,
        edges_kept=0.9,
        findings=findings,
        flagged_ml=flagged_ml,
        largest_mass=1.0,
        p_value=0.025,
        left_out=True,
        region_errors={},
        region_findings={},
        scan_scores={},
        warnings=(),
        seconds=1.0,
        keeping=keeping(),
    )


def test_the_healthy_scans_with_most_flagged_come_first_and_clean_ones_never() -> None:
    rows = [healthy_of(*one) for one in (("a", 0.0), ("b", 0.2), ("d", 7.0), ("c", 7.0))]
    assert [row.scan for row in most_flagged(rows)] == ["c", "d", "b"]
    assert [row.scan for row in most_flagged(rows, 1)] == ["c"]


def test_a_healthy_row_says_what_was_flagged() -> None:
    item = healthy_item(healthy_of("a", 68.53, 1), np.zeros((4, 4, 3), np.uint8))
    assert item.caption == "a"
    assert item.lines == (
        "healthy, 63 years",
        "flagged 68.5 ml in 1 finding",
        "error 0.0151, SSIM 0.900",
        "p 0.025",
    )
