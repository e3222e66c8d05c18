"""The report: what it shows, where it shows it, and that it always says what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from counterpart.report.content import gather_content
from counterpart.report.header import spread_apart, warning_lines
from counterpart.report.look import AMBER
from counterpart.report.page import WIDTH, Page, printable
from counterpart.report.png import build_figure, render_report
from counterpart.results import DISCLAIMER, Evidence, Result


def words_of(result: Result) -> list[str]:
    figure = build_figure(gather_content(result))
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_report_is_a_png_of_the_page_s_width_that_is_no_blank(
    tmp_path: Path, make_result: Callable[..., Result]
) -> None:
    render_report(gather_content(make_result([((30.0, 20.0, 10.0), 6.0)])), tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as image:
        assert image.format == "PNG"
        assert image.width == WIDTH == 2360
        assert 2000 < image.height < 4000
        assert DISCLAIMER in image.text["Description"]
        assert np.asarray(image.convert("L")).std() > 20


def test_same_result_gives_the_same_bytes(
    tmp_path: Path, make_result: Callable[..., Result], many_blobs: Callable[..., Any]
) -> None:
    result = make_result(many_blobs(4))
    render_report(gather_content(result), tmp_path / "one.png")
    render_report(gather_content(result), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("count", [0, 1, 20])
def test_disclaimer_and_origin_are_always_written(
    count: int, make_result: Callable[..., Result], many_blobs: Callable[..., Any]
) -> None:
    words = words_of(make_result(many_blobs(count)))
    assert DISCLAIMER in words
    assert "Not for clinical use" in words
    assert any("0123456789ab ·" in line and "seed 7" in line for line in words)
    assert any("counterpart-flair 0.1.0" in line for line in words)
    assert any("from simulation, no p-value" in line for line in words)


def test_missing_provenance_is_said_to_be_missing(make_result: Callable[..., Result]) -> None:
    words = " ".join(words_of(make_result([], provenance={})))
    assert "weights not recorded" in words
    assert "seed not recorded" in words
    assert "source not recorded" in words


def test_no_finding_is_said_without_a_table(make_result: Callable[..., Result]) -> None:
    words = words_of(make_result([]))
    assert any(line.startswith("No finding above the threshold") for line in words)
    assert "volume, ml" not in words
    assert words.count("no finding") == 5


def test_twenty_findings_fill_the_table_and_the_rest_is_counted(
    make_result: Callable[..., Result], many_blobs: Callable[..., Any]
) -> None:
    result = make_result(many_blobs(20))
    assert len(result.findings) == 20
    words = words_of(result)
    rest = sum(finding.volume_ml for finding in result.findings[8:])
    assert f"+12 more, {rest:.1f} ml" in words
    assert sum(line in ("■ brighter", "■ darker") for line in words) == 8


@pytest.mark.parametrize("count", [0, 1, 20])
def test_no_text_overlaps_another_or_leaves_the_page(
    count: int, make_result: Callable[..., Result], many_blobs: Callable[..., Any]
) -> None:
    known = make_result([]).provenance
    long = {key: f"{value}-that-goes-on-and-on" * 5 for key, value in known.items()}
    result = make_result(
        many_blobs(count),
        name="a_very_long_name_" * 12,
        provenance=long,
        warnings=("The slices are thick, so that small disease may be missed. " * 6, "Cut off."),
    )
    region = "deep white matter of the frontal lobe"
    named = [replace(f, region=region, p_value=0.01 * f.number) for f in result.findings]
    evidence = Evidence(0.01, 0.01, 99, "99 held-out healthy scans", "Calibrated. " * 30)
    result = replace(result, findings=named, evidence=evidence)
    figure = build_figure(gather_content(result))
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    page = figure.bbox
    for text, box in zip(texts, boxes, strict=True):
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1
        assert inside, text.get_text()
    for (one, first), (other, second) in combinations(zip(texts, boxes, strict=True), 2):
        apart = (
            first.x1 <= second.x0
            or second.x1 <= first.x0
            or first.y1 <= second.y0
            or second.y1 <= first.y0
        )
        assert apart, f"{one.get_text()!r} over {other.get_text()!r}"


def test_names_with_dollars_and_unknown_glyphs_do_not_break_the_page(
    tmp_path: Path, make_result: Callable[..., Result]
) -> None:
    content = gather_content(make_result([], name="a$b_{c$ 脑"))
    render_report(content, tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000
    assert printable("a$b\n脑") == "a$b □"


def test_anisotropic_view_keeps_its_aspect_in_millimetres() -> None:
    page = Page.blank(1000)
    panel = page.panel((100.0, 200.0, 300.0, 400.0), (40 * 0.8, 20 * 2.4))
    left, top, wide, tall = panel.view_box
    assert tall / wide == pytest.approx(48.0 / 32.0)
    assert wide == pytest.approx(min(300.0, 400.0 * 32.0 / 48.0))
    assert left + wide / 2 == pytest.approx(250.0)
    assert top + tall / 2 == pytest.approx(400.0)
    assert panel.zoom == pytest.approx(wide / 32.0)


def test_thick_slices_keep_the_page_and_their_positions(
    tmp_path: Path, make_result: Callable[..., Result]
) -> None:
    affine = np.diag([3.0, 6.0, 12.0, 1.0])
    affine[:3, 3] = [-87.0, -105.0, -78.0]
    result = make_result([((30.0, 20.0, 18.0), 6.0)], affine, (59, 36, 14))
    words = words_of(result)
    heights = [line for line in words if line.startswith("S ") and line.endswith(" mm")]
    assert "S +18 mm" in heights
    assert len(heights) == len({line for line in words if line.startswith("Slice ")})
    assert f"Slice {round((18 + 78) / 12) + 1}" in words


def test_localiser_labels_are_spread_apart() -> None:
    assert spread_apart([10.0, 12.0, 60.0], 15.0) == [10.0, 25.0, 60.0]
    assert spread_apart([], 15.0) == []


def test_anomalies_too_extreme_or_empty_masks_do_not_stop_the_report(
    tmp_path: Path, make_result: Callable[..., Result]
) -> None:
    result = make_result([((40.0, 0.0, 0.0), 800.0)])
    empty = replace(result, brain=np.zeros_like(result.brain), threshold=float("inf"))
    render_report(gather_content(empty), tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000


def test_warnings_stand_in_amber_below_the_plain_words(make_result: Callable[..., Result]) -> None:
    result = make_result([], warnings=("The pose is doubtful.", "The brain is cut off."))
    texts = [text for text in build_figure(gather_content(result)).findobj(Text) if text.get_text()]
    places = {text.get_text(): text.get_position()[1] for text in texts}
    colours = {text.get_text(): text.get_color() for text in texts}
    words = next(line for line in places if line.startswith("No finding above"))
    assert places[words] < places["⚠ The pose is doubtful."] < places["⚠ The brain is cut off."]
    assert colours["⚠ The pose is doubtful."] == AMBER
    assert not any("⚠" in line for line in words_of(make_result([])))


def test_warnings_without_room_are_counted_and_folders_are_left_out() -> None:
    lines = warning_lines([f"Warning {n}. " + "So it is. " * 30 for n in range(5)])
    assert len(lines) == 5
    assert lines[-1] == "⚠ 3 more warnings, not shown for want of room"
    assert warning_lines(["No mask in /home/jane/scans/x.nii.gz."]) == ["⚠ No mask in x.nii.gz."]


def test_region_is_a_column_only_where_a_finding_has_one(
    make_result: Callable[..., Result],
) -> None:
    result = make_result([((40.0, 0.0, 0.0), 8.0), ((-40.0, 0.0, 0.0), -6.0)])
    assert "region" not in words_of(result)
    first, second = result.findings
    placed = replace(result, findings=[replace(first, region="insula"), second])
    assert {"region", "insula", "–"} <= set(words_of(placed))


def test_every_finding_has_its_p_value_and_the_evidence_stands_below_the_plain_words(
    make_result: Callable[..., Result], make_result_with_p: Callable[..., Result]
) -> None:
    texts = build_figure(gather_content(make_result_with_p([0.05, 0.35]))).findobj(Text)
    places = {text.get_text(): text.get_position()[1] for text in texts if text.get_text()}
    assert {"p", "0.050", "0.350"} <= set(places)
    found = next(line for line in places if line.startswith("2 findings above"))
    evidence = next(line for line in places if line.startswith("1 finding that fewer than 1 in 20"))
    assert places[found] < places[evidence] < places["p"]
    simulated = words_of(make_result([((40.0, 0.0, 0.0), 8.0)]))
    assert {"p", "–"} <= set(simulated)
    assert any("not p-values" in line for line in simulated)


@pytest.mark.parametrize(
    ("contrast", "words"),
    [("FLAIR", "brightest tissue (3 mm)"), ("T1", "darkest tissue (3 mm)")],
)
def test_plain_baseline_is_named_with_the_volume_it_flags(
    make_result: Callable[..., Result], contrast: str, words: str
) -> None:
    result = make_result([((40.0, 0.0, 0.0), 8.0)], contrast=contrast)
    written = words_of(result)
    assert "Plain baseline" in written
    assert words in written
    assert f"same volume flagged, {result.findings[0].volume_ml:.1f} ml" in written
    empty = words_of(make_result([], contrast=contrast))
    assert "nothing flagged, as there is no finding" in empty


def test_plain_baseline_is_painted_over_the_scan_in_its_own_colour(
    make_result: Callable[..., Result],
) -> None:
    def violet(result: Result) -> int:
        canvas = build_figure(gather_content(result)).canvas
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[700:, -400:, :3].astype(int)
        red, green, blue = np.moveaxis(pixels, -1, 0)
        return int(((blue > green + 60) & (red > green + 30)).sum())

    assert violet(make_result([((30.0, 20.0, 10.0), 8.0)])) > 500
    assert violet(make_result([])) == 0
