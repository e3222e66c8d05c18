"""Plots: which are written, what is drawn in them, and that gaps in the figures break none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_figures import keeping
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from counterpart.evaluation.plots import (
    against_baseline_figure,
    average_precision_figure,
    draw_plots,
    froc_curve_of,
    froc_figure,
    healthy_figure,
    models_figure,
    size_figure,
)
from counterpart.evaluation.records import (
    MAP,
    RESIDUAL,
    FrocPoint,
    HealthyFigures,
    ModelEvaluation,
    PatientFigures,
    ScoreFigures,
    Traits,
)
from counterpart.results import DISCLAIMER

STRONG, WEAK = "intensity, 3 mm", "inverted"
CURVE = ((1.0, 2, 6), (2.0, 2, 3), (4.0, 1, 1), (8.0, 0, 0))


def score_of(ap: float, curve: tuple[tuple[float, int, int], ...] = CURVE) -> ScoreFigures:
    points = tuple(FrocPoint(*point) for point in curve)
    return ScoreFigures(ap, min(1.0, ap + 0.1), 0.8 * ap, None, 1.0, points)


def patient(name: str, ap: float, plain: float | None = 0.4, ml: float = 12.0) -> PatientFigures:
    group, _, contrast = name.split("_")
    scores = {MAP: score_of(ap), RESIDUAL: score_of(0.3, ())}
    if plain is not None:
        scores |= {STRONG: score_of(plain), WEAK: score_of(plain / 2)}
    return PatientFigures(
        scan=name,
        group=group,
        contrast=contrast,
        whole_head=False,
        prevalence=0.06,
        lesion_ml=ml,
        outside=0.0,
        lesions=2,
        flagged_ml=10.0,
        at_threshold=FrocPoint(3.0, 1, 2),
        p_value=None,
        scores=scores,
        warnings=(),
        seconds=20.0,
        keeping=keeping(),
        traits=Traits(),
    )


def healthy(
    number: int, age: float | None = 40.0, p: float | None = 0.5, contrast: str = "T1"
) -> HealthyFigures:
    return HealthyFigures(
        scan=f"h{number}",
        part="calibrate",
        age_years=age,
        contrast=contrast,
        error=0.01 + 0.001 * number,
        psnr_db=30.0,
        ssim=0.95,
        edges_kept=0.9,
        findings=1,
        flagged_ml=0.5 * number,
        largest_mass=1.0,
        p_value=p,
        left_out=True,
        region_errors={},
        region_findings={},
        scan_scores={},
        warnings=(),
        seconds=9.0,
        keeping=keeping(),
    )


PATIENTS = (
    patient("lgg_1_FLAIR", 0.8, 0.7, 30.0),
    patient("lgg_2_FLAIR", 0.6, 0.7, 3.0),
    patient("lgg_3_FLAIR", 0.7, 0.5, 90.0),
    patient("lgg_1_T1", 0.3, 0.2, 30.0),
    patient("wmh_1_FLAIR", 0.5, 0.1, 8.0),
)
HEALTHY = tuple(healthy(n, 20.0 + 10 * n, (n + 1) / 5) for n in range(5))


def evaluation_of(
    patients: tuple[PatientFigures, ...] = PATIENTS,
    healthy: tuple[HealthyFigures, ...] = (),
    name: str = "healthy-brain",
) -> ModelEvaluation:
    return ModelEvaluation(name, "1.2.0", "0123456789ab" * 5, 0, {}, patients, healthy)


def dots(axes: Axes) -> list[tuple[float, float]]:
    """All scattered dots, sorted, to six digits."""
    places = (place for part in axes.collections for place in part.get_offsets())
    return sorted((round(float(x), 6), round(float(y), 6)) for x, y in places)


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def legend(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_all_plots_are_written_as_pngs_of_a_page_s_width(tmp_path: Path) -> None:
    evaluations = [evaluation_of(healthy=HEALTHY), evaluation_of(name="other")]
    written = draw_plots(evaluations, tmp_path / "plots")
    assert [path.name for path in written] == [
        "average_precision.png",
        "against_baseline.png",
        "froc.png",
        "size.png",
        "healthy.png",
        "models.png",
    ]
    for path in written:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert 500 < picture.width < 1700
            pixels = np.asarray(picture.convert("L"))
        assert np.median(pixels) == 255  # light
        assert (pixels < 128).mean() > 0.002


def test_plots_without_data_are_not_written_and_old_ones_do_not_stay(tmp_path: Path) -> None:
    without = tuple(patient(f"lgg_{n}_FLAIR", 0.5, None) for n in range(2))
    draw_plots([evaluation_of(healthy=HEALTHY)] * 2, tmp_path)
    written = draw_plots([evaluation_of(without)], tmp_path)
    names = ["average_precision.png", "froc.png", "size.png"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_healthy_scans_alone_give_their_plot_alone_and_nothing_gives_none(tmp_path: Path) -> None:
    written = draw_plots([evaluation_of((), HEALTHY)], tmp_path)
    assert [path.name for path in written] == ["healthy.png"]
    assert draw_plots([evaluation_of(())] * 2, tmp_path) == []
    assert draw_plots([], tmp_path) == []


def test_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    evaluations = [evaluation_of(healthy=HEALTHY), evaluation_of(name="other")]
    for one, other in zip(
        draw_plots(evaluations, tmp_path / "a"),
        draw_plots(evaluations, tmp_path / "b"),
        strict=True,
    ):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_every_scan_is_drawn_beside_the_strongest_baseline_and_joined_to_it() -> None:
    figure = average_precision_figure(evaluation_of())
    assert figure is not None
    (axes,) = figure.axes
    assert sorted(x for x, _ in dots(axes)) == pytest.approx(
        sorted([0.8, 0.6, 0.7, 0.3, 0.5, 0.7, 0.7, 0.5, 0.2, 0.1])
    )
    lines = [tuple(np.asarray(line.get_xdata(), float)) for line in axes.lines]
    for pair in ((0.8, 0.7), (0.6, 0.7), (0.7, 0.5), (0.3, 0.2), (0.5, 0.1)):
        assert pair in lines
    for middle in (0.7, 1.9 / 3):  # of the one set with more than one scan
        assert any(line == pytest.approx((middle, middle)) for line in lines)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [
        f"lgg FLAIR (3 scans)\nbaseline: {STRONG}",
        f"lgg T1 (1 scan)\nbaseline: {STRONG}",
        f"wmh FLAIR (1 scan)\nbaseline: {STRONG}",
    ]
    assert legend(axes) == [
        "anomaly map",
        "strongest baseline",
        "chance: the lesion's share of voxels",
    ]
    assert "mean 0.70" in words(figure)
    assert DISCLAIMER in words(figure)


def test_without_baselines_the_map_is_drawn_alone() -> None:
    evaluation = evaluation_of((patient("lgg_1_FLAIR", 0.5, None), patient("wmh_1_T1", 0.6, None)))
    figure = average_precision_figure(evaluation)
    assert figure is not None
    assert sorted(x for x, _ in dots(figure.axes[0])) == [0.5, 0.6]
    assert against_baseline_figure(evaluation) is None
    curves = froc_figure(evaluation)
    assert curves is not None
    assert [len(legend(axes)) for axes in curves.axes] == [2, 2]


def test_scatter_has_the_baseline_across_and_the_map_upwards() -> None:
    figure = against_baseline_figure(evaluation_of())
    assert figure is not None
    (axes,) = figure.axes
    expected = [(0.1, 0.5), (0.2, 0.3), (0.5, 0.7), (0.7, 0.6), (0.7, 0.8)]
    assert dots(axes) == expected
    assert legend(axes) == ["FLAIR (4)", "T1 (1)"]
    assert "4 of 5 scans" in words(figure)
    colours = {tuple(part.get_facecolor()[0]) for part in axes.collections}
    assert len(colours) == 2


def test_froc_curve_is_the_share_of_all_lesions_against_mean_false_positives() -> None:
    rows = [patient("lgg_1_FLAIR", 0.5), patient("lgg_2_FLAIR", 0.5)]
    merged = ((1.0, 3, 0), (2.0, 2, 5), (4.0, 2, 3), (8.0, 0, 1))
    other = replace(rows[1], lesions=3, scores={MAP: score_of(0.5, merged)})
    curve = froc_curve_of([rows[0], other], MAP)
    # by threshold: (3, 5/5), (4, 4/5), (2, 3/5), (0.5, 0); the second finds less at more cost
    assert curve == pytest.approx(np.array([(0.5, 0.0), (2.0, 0.6), (3.0, 1.0)]))
    assert froc_curve_of([rows[0], other], STRONG) is None
    assert froc_curve_of([replace(rows[0], lesions=0)], MAP) is None


def test_froc_has_a_panel_for_each_contrast_and_a_star_at_the_healthy_threshold() -> None:
    figure = froc_figure(evaluation_of())
    assert figure is not None
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes] == ["FLAIR", "T1"]
    first, second = figure.axes
    assert legend(first) == [
        "lgg: anomaly map (3 scans, lesions: 6)",
        f"lgg: {STRONG}",
        "wmh: anomaly map (1 scan, lesions: 2)",
        f"wmh: {STRONG}",
        "at the healthy threshold",
    ]
    assert len(legend(second)) == 3
    stars = [line.get_xydata() for line in first.lines if line.get_marker() == "*"]
    assert [star.tolist() for star in stars if len(star)] == [[[2.0, 0.5]]] * 2
    curves = [line.get_xydata().tolist() for line in first.lines if line.get_marker() != "*"]
    assert curves == [[[0.0, 0.0], [1.0, 0.5], [3.0, 1.0]]] * 4


def test_sets_without_lesions_or_curves_are_in_no_froc_panel() -> None:
    small = replace(patient("lgg_1_FLAIR", 0.5), lesions=0)
    bare = replace(patient("wmh_1_T1", 0.5), scores={MAP: score_of(0.5, ())})
    assert froc_figure(evaluation_of((small, bare))) is None
    figure = froc_figure(evaluation_of((small, bare, patient("ms_1_T2", 0.5))))
    assert figure is not None
    assert len(figure.axes) == 1


def test_size_shows_dice_and_average_precision_against_lesion_volume() -> None:
    figure = size_figure(evaluation_of((*PATIENTS, patient("lgg_9_T2", 0.9, ml=0.0))))
    assert figure is not None
    dice, precision = figure.axes
    volumes = [(30.0, 0.8), (3.0, 0.6), (90.0, 0.7), (30.0, 0.3), (8.0, 0.5)]
    assert dots(precision) == sorted(volumes)
    assert dots(dice) == sorted((ml, round(0.8 * ap, 6)) for ml, ap in volumes)
    assert dice.get_xscale() == precision.get_xscale() == "log"


def test_bars_of_p_values_hold_their_upper_end_and_stand_beside_the_uniform_one() -> None:
    values = [0.05, 0.1, 0.3, 0.30000001, 1.0, None]
    rows = tuple(healthy(n, None, p) for n, p in enumerate(values))
    figure = healthy_figure(evaluation_of((), rows))
    assert figure is not None
    (axes,) = figure.axes  # without ages there is nothing else
    assert [bar.get_height() for bar in axes.patches] == [2, 0, 1, 1, 0, 0, 0, 0, 0, 1]
    assert [bar.get_x() for bar in axes.patches] == sorted(bar.get_x() for bar in axes.patches)
    (line,) = axes.lines
    assert list(line.get_ydata()) == [0.5, 0.5]
    assert "p-values of 5 healthy scans" in words(figure)


def test_health_against_age_shows_the_scans_whose_age_is_known() -> None:
    rows = (healthy(1, 30.0, None), healthy(2, None, None), healthy(3, 50.0, None, "FLAIR"))
    figure = healthy_figure(evaluation_of((), rows))
    assert figure is not None
    flagged, error = figure.axes
    assert dots(flagged) == [(30.0, 0.5), (50.0, 1.5)]
    assert dots(error) == [(30.0, 0.011), (50.0, 0.013)]
    assert legend(error) == ["FLAIR (1)", "T1 (1)"]
    assert healthy_figure(evaluation_of((), (healthy(1, None, None),))) is None
    both = healthy_figure(evaluation_of((), HEALTHY))
    assert both is not None
    assert len(both.axes) == 3


def test_models_are_set_side_by_side_and_scans_that_one_lacks_are_left_out() -> None:
    other = evaluation_of((patient("lgg_2_FLAIR", 0.9), patient("ms_1_T2", 0.4)), name="other")
    figure = models_figure([evaluation_of(), other])
    assert figure is not None
    (axes,) = figure.axes
    assert sorted(x for x, _ in dots(axes)) == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    joined = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() < 1.0]
    assert joined == [(0.6, 0.9)]
    assert legend(axes)[:2] == [evaluation_of().label, other.label]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "lgg FLAIR (3 scans)",
        "lgg T1 (1 scan)",
        "ms T2 (1 scan)",
        "wmh FLAIR (1 scan)",
    ]
    assert models_figure([evaluation_of()]) is None


def test_names_with_dollars_and_unknown_glyphs_break_no_plot(tmp_path: Path) -> None:
    strange = (patient("a$b{$脑_1_FLAIR", 0.5), patient("a$b{$脑_2_unknown", 0.5))
    evaluations = [evaluation_of(strange, name="n$a{$脑"), evaluation_of(strange, name="other")]
    assert len(draw_plots(evaluations, tmp_path)) == 5
