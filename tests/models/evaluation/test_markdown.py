"""Markdown: cells, dashes for what is missing, intervals."""

from counterpart.evaluation.bootstrap import Interval, MeanFigure
from counterpart.evaluation.markdown import difference, ends, mean_with_ends, number, table


def test_a_bar_within_a_cell_is_no_border() -> None:
    assert table(["a", "b"], [["|z|", "1"]]) == "| a | b |\n| --- | --- |\n| \\|z\\| | 1 |"


def test_a_missing_figure_is_a_dash() -> None:
    assert (number(None), number(0.1234), number(2.0, 1)) == ("–", "0.123", "2.0")


def test_figures_are_written_with_their_intervals() -> None:
    known = Interval(0.5, 0.25, 0.75)
    assert difference(known) == "+0.500 (+0.250 to +0.750)"
    assert ends(known, 2) == "0.25 to 0.75"
    assert mean_with_ends(MeanFigure(0.5, 9, known), 2) == "0.50 (0.25 to 0.75)"
    assert mean_with_ends(MeanFigure(0.5, 2, None)) == "0.500"
    assert (difference(None), ends(None), mean_with_ends(None)) == ("–", "–", "–")
