"""Sections of a document: what is replaced, what stays, and what is refused."""

import os
import stat
from pathlib import Path

import pytest

from counterpart.document_sections import append_to_section, check_section, replace_section
from counterpart.errors import CounterpartError

PAGE = """# Title

<!-- bench train: begin -->
old
<!-- bench train: end -->

Between.

<!-- evaluate: begin --><!-- evaluate: end -->
"""


@pytest.fixture
def a_page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_the_text_replaces_what_lay_between_the_marks(a_page: Path) -> None:
    replace_section(a_page, "bench train", "\nnew é\n\n| a |\n")
    expected = "<!-- bench train: begin -->\n\nnew é\n\n| a |\n\n<!-- bench train: end -->"
    before, after = PAGE.split("<!-- bench train: begin -->\nold\n<!-- bench train: end -->")
    assert a_page.read_text() == before + expected + after


def test_other_sections_stay_and_a_second_time_changes_nothing(a_page: Path) -> None:
    replace_section(a_page, "evaluate", "table")
    once = a_page.read_text()
    assert "old" in once
    replace_section(a_page, "evaluate", "table")
    assert a_page.read_text() == once


def test_backslashes_and_signs_are_taken_as_they_are(a_page: Path) -> None:
    replace_section(a_page, "evaluate", r"\1 \g<0> $&")
    assert r"\1 \g<0> $&" in a_page.read_text()


def test_line_ends_of_the_document_are_kept(a_page: Path) -> None:
    a_page.write_bytes(PAGE.replace("\n", "\r\n").encode())
    replace_section(a_page, "evaluate", "one\ntwo")
    content = a_page.read_bytes()
    assert b"one\r\ntwo\r\n" in content
    assert content.count(b"\n") == content.count(b"\r\n")


def test_mode_and_link_are_kept_and_nothing_is_left_behind(a_page: Path, tmp_path: Path) -> None:
    a_page.chmod(0o640)
    link = tmp_path / "link.md"
    link.symlink_to(a_page)
    replace_section(link, "evaluate", "through the link")
    assert link.is_symlink()
    assert "through the link" in a_page.read_text()
    assert stat.S_IMODE(a_page.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.md", "page.md"]


def test_a_write_that_fails_leaves_the_old_document(
    a_page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        replace_section(a_page, "evaluate", "new")
    assert a_page.read_text() == PAGE
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_a_line_is_added_at_the_end_of_a_section(a_page: Path) -> None:
    append_to_section(a_page, "bench train", "| one |")
    append_to_section(a_page, "bench train", "| two |")
    before, _, after = PAGE.partition("old\n")
    assert a_page.read_text() == f"{before}\nold\n| one |\n| two |\n\n{after}"


def test_the_first_line_of_an_empty_section_stands_alone(a_page: Path) -> None:
    append_to_section(a_page, "evaluate", "| one |")
    assert f"{BEGIN}\n\n| one |\n\n{END}" in a_page.read_text()
    assert "old" in a_page.read_text()


def test_a_line_that_holds_a_mark_or_has_no_section_is_refused(a_page: Path) -> None:
    with pytest.raises(CounterpartError, match="holds a mark"):
        append_to_section(a_page, "evaluate", END)
    with pytest.raises(CounterpartError, match="expected the mark <!-- looks: begin --> once"):
        append_to_section(a_page, "looks", "| one |")
    assert a_page.read_text() == PAGE


def test_a_missing_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match="gone.md: no such file"):
        replace_section(tmp_path / "gone.md", "evaluate", "text")


def test_a_document_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CounterpartError, match="expected a text in UTF-8"):
        check_section(path, "evaluate")


BEGIN, END = "<!-- evaluate: begin -->", "<!-- evaluate: end -->"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nothing", f"expected the mark {BEGIN} once, found it 0 times"),
        (BEGIN, f"expected the mark {END} once, found it 0 times"),
        (END, f"expected the mark {BEGIN} once, found it 0 times"),
        (BEGIN + BEGIN + END, f"expected the mark {BEGIN} once, found it 2 times"),
        (BEGIN + END + END, f"expected the mark {END} once, found it 2 times"),
        (END + BEGIN, f"the mark {END} stands before {BEGIN}"),
    ],
)
def test_wrong_marks_are_refused_and_the_document_stays(
    content: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "page.md"
    path.write_text(content)
    with pytest.raises(CounterpartError) as refusal:
        replace_section(path, "evaluate", "text")
    assert words in str(refusal.value)
    with pytest.raises(CounterpartError):
        check_section(path, "evaluate")
    assert path.read_text() == content


def test_a_text_that_holds_a_mark_is_refused(a_page: Path) -> None:
    with pytest.raises(CounterpartError, match="holds a mark"):
        replace_section(a_page, "evaluate", f"text {END}")
    assert a_page.read_text() == PAGE
