"""What the reports say and show of the most similar healthy references."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from counterpart.attribution.references import Reference, References
from counterpart.report.content import gather_content
from counterpart.report.header import draw_header, header_height
from counterpart.report.html import build_html
from counterpart.report.page import Page
from counterpart.report.references import reference_line, reference_words
from counterpart.results import Result
from counterpart.template import CANVAS

KNOWN = References(
    (Reference("reference-0a1b", 0.41, 0.03), Reference("reference-2c3d", 0.3, 0.01)),
    0.41,
    0.12,
    24,
)
Array = NDArray[np.float32]


class SomePictures:
    """One reference, bright in the half towards the patient's right."""

    def __contains__(self, name: str) -> bool:
        return name == "reference-2c3d"

    def volume(self, name: str) -> Array:
        points = CANVAS.world(np.stack(np.indices(CANVAS.shape), axis=-1).astype(float))
        inside = np.linalg.norm(points / [65.0, 80.0, 60.0], axis=-1) < 1
        return np.where(inside, np.where(points[..., 0] > 0, 3.0, 1.0), 0.0).astype(np.float32)


@pytest.fixture
def told(make_result: Callable[..., Result]) -> Result:
    return replace(make_result([((30.0, 0.0, 12.0), 9.0)]), references=KNOWN)


def section(page: str) -> str:
    return page[page.index('id="references"') :].split("</section>")[0]


def test_table_and_test_stand_in_the_page_and_claim_no_cause(told: Result) -> None:
    part = section(build_html(gather_content(told)))
    assert "Most similar healthy references" in part
    assert part.index("reference-0a1b") < part.index("reference-2c3d")
    assert "0.410" in part and "+0.030" in part
    assert "p = 0.120 against 24 healthy subjects who were never trained on" in part
    assert "Similar does not mean that they caused anything." in part
    assert "<img" not in part


def test_without_known_references_there_is_no_section(make_result: Callable[..., Result]) -> None:
    page = build_html(gather_content(make_result([((30.0, 0.0, 12.0), 9.0)])))
    assert 'id="references"' not in page and "healthy references" not in page


def test_a_note_stands_in_place_of_a_table(told: Result) -> None:
    nothing = References((), None, None, 24, note="Nothing is flagged.")
    part = section(build_html(gather_content(replace(told, references=nothing))))
    assert "Nothing is flagged." in part and "<table" not in part and "p =" not in part


def test_words_for_no_p_value_and_for_withdrawn_subjects() -> None:
    assert "No p-value" in reference_words(replace(KNOWN, p_value=None))
    assert "not named: 2" in reference_words(replace(KNOWN, withdrawn=2))
    line = reference_line(KNOWN)
    assert line.startswith("Most similar healthy references: reference-0a1b (0.41), reference-2c3d")
    assert line.endswith("; p = 0.120 against 24 subjects never trained on. Similar is no cause.")
    assert "no p-value" in reference_line(replace(KNOWN, p_value=None))


def test_the_line_of_the_picture_is_not_cut(told: Result) -> None:
    longest = tuple(Reference("reference-0123456789", -0.123, 0.01) for _ in range(5))
    page = Page.blank(900)
    draw_header(page, replace(told, references=replace(KNOWN, ranked=longest, held_out=148)))
    drawn = [text.get_text() for text in page.sheet.texts]
    line = next(words for words in drawn if words.startswith("Most similar"))
    assert "…" not in line and line.endswith("Similar is no cause.")


def test_the_picture_has_a_line_more(told: Result, tmp_path: Path) -> None:
    assert header_height(told) > header_height(replace(told, references=None))


def test_pictures_that_may_be_seen_stand_beside_the_counterpart_on_the_right_side(
    told: Result,
) -> None:
    content = gather_content(told, SomePictures())  # type: ignore[arg-type]
    part = section(build_html(content))
    shown = re.findall(r'<img alt="([^"]*)" src="data:image/jpeg;base64,([^"]*)"', part)
    assert [title for title, _ in shown] == [
        "Healthy counterpart",
        "Healthy reference reference-2c3d",
    ]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[1][1]))).convert("L"), float)
    counterpart = Image.open(io.BytesIO(base64.b64decode(shown[0][1])))
    assert counterpart.size == (pixels.shape[1], pixels.shape[0])
    half = pixels.shape[1] // 2
    middle = slice(pixels.shape[0] // 3, 2 * pixels.shape[0] // 3)
    patient_right, patient_left = pixels[middle, : half - 6], pixels[middle, half + 6 :]
    assert patient_right.max() > 2 * patient_left.max() > 40
