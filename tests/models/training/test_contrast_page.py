"""The page of real and rendered contrasts: what it measures, what it shows, what it refuses."""

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from counterpart.brain_extraction import load_brain_model
from counterpart.cli import main
from counterpart.cohort import Cohort
from counterpart.errors import CounterpartError, ScanError
from counterpart.scans import read_mask, read_scan, write_map
from counterpart.template import CANVAS
from counterpart.training import contrast_comparison, contrast_heads
from counterpart.training.contrast_comparison import Comparison, compare_contrasts, examine
from counterpart.training.contrast_figures import (
    CAP,
    COHORT,
    FRACTIONS,
    GIVEN,
    LAGS_MM,
    RENDERED,
    TEMPLATE,
    Places,
    at_distance,
    correlation_of,
    detail_of,
    distance_lines,
    distances,
    location_of,
    measure,
    relative,
    write_table,
)
from counterpart.training.contrast_heads import (
    LESION_MARGIN_MM,
    ShownHead,
    TemplatePlaces,
    cohort_heads,
    find_scans,
    given_head,
    rendered_heads,
)
from counterpart.training.contrast_page import draw_page, page_of

SHAPE = (24, 40, 48)


@pytest.fixture(scope="module")
def the_samples(the_repository: Path) -> Path:
    return the_repository / "sample_data" / "patients"


@pytest.fixture(scope="module")
def the_places(a_cohort: Cohort) -> TemplatePlaces:
    return TemplatePlaces(a_cohort)


@pytest.fixture(scope="module")
def a_folder(the_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic FLAIR with its brain and lesion masks, and a T1 with contrast agent."""
    folder = tmp_path_factory.mktemp("given")
    for kind in ("FLAIR", "brain", "lesion"):
        name = f"sample-01_{kind}.nii.gz"
        (folder / name).write_bytes((the_samples / name).read_bytes())
    agent = (the_samples / "sample-01_T1.nii.gz").read_bytes()
    (folder / "sample-01_T1c.nii.gz").write_bytes(agent)
    return folder


@pytest.fixture(scope="module")
def a_given_head(a_folder: Path, the_places: TemplatePlaces) -> ShownHead:
    return given_head(a_folder / "sample-01_FLAIR.nii.gz", load_brain_model(), the_places)


@pytest.fixture(scope="module")
def a_comparison(
    a_cohort: Cohort, a_given_head: ShownHead, the_places: TemplatePlaces
) -> Comparison:
    """One subject, rendered once per contrast, its own T1, and one real FLAIR."""
    part = a_cohort.part("validate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contrast_heads, "RENDERINGS_PER_SUBJECT", 1)
        heads = [
            *(
                head
                for contrast in contrast_heads.CONTRASTS
                for head in rendered_heads(part, contrast, 1, the_places, seed=3)
            ),
            *cohort_heads(part, 1, the_places),
            a_given_head,
        ]
    return Comparison(tuple(examine(head) for head in heads), 1)


def some_places() -> Places:
    """Slabs of fluid, grey, white and deep grey matter along the rows."""
    tissues = np.zeros((4, *SHAPE), np.bool_)
    for number in range(4):
        tissues[number, :, 10 * number : 10 * number + 10] = True
    distance = np.broadcast_to(np.arange(SHAPE[1], dtype=np.float32)[:, None], SHAPE)
    return Places(tissues, tissues[2], distance, (2.0, 2.0, 2.0))


def some_values(places: Places) -> np.ndarray:
    means = np.array([-3.0, 0.5, -0.25, 0.25])
    noise = 0.1 * np.random.default_rng(0).standard_normal(SHAPE)
    return (np.tensordot(means, places.tissues, axes=1) + noise).astype(np.float32)


def test_tissues_of_a_made_up_head_have_the_means_it_was_made_with() -> None:
    places = some_places()
    found = measure("made up", some_values(places), places.tissues.any(axis=0), places).values
    assert found[location_of("white")] == pytest.approx(-0.25, abs=0.01)
    assert found[relative("fluid")] == pytest.approx(-2.75, abs=0.01)
    assert found[relative("deep grey")] == pytest.approx(0.5, abs=0.01)
    # Grown from the fluid, white matter of rows 20 to 29 begins at more than 20 mm.
    assert np.isnan(found[at_distance(2.0, own=True)])


def test_a_brightening_towards_the_ventricles_is_the_cap() -> None:
    places = some_places()
    white = places.tissues[:3].any(axis=0) & ~places.tissues[0]
    places = Places(
        np.stack([places.tissues[0], places.tissues[1], white, places.tissues[3]]),
        white,
        np.maximum(places.distance_mm - 9.0, 0.0) * 2.0,
        places.spacing_mm,
    )
    values = np.where(places.tissues[0], np.float32(-3.0), np.float32(0.0))
    values = values + 0.8 * ((places.distance_mm > 0) & (places.distance_mm < 7.0))
    found = measure("cap", values.astype(np.float32), places.tissues.any(axis=0), places).values
    assert found[CAP] == pytest.approx(0.8, abs=1e-4)
    assert found[at_distance(4.0)] == pytest.approx(0.8, abs=1e-4)
    assert found[at_distance(20.0)] == pytest.approx(0.0, abs=1e-4)


def test_what_is_left_out_does_not_change_any_figure() -> None:
    places = some_places()
    values, inside = some_values(places), places.tissues.any(axis=0)
    inside[4:12, 15:28, 10:20] = False
    ill = np.where(inside, values, np.float32(25.0))
    well, sick = (measure("", shown, inside, places) for shown in (values, ill))
    assert np.array_equal(well.histograms, sick.histograms)
    np.testing.assert_equal(well.values, sick.values)
    unmasked = measure("", ill, places.tissues.any(axis=0), places)
    assert unmasked.values[detail_of("brain")] != well.values[detail_of("brain")]


@pytest.mark.parametrize(
    ("contrast", "source", "order"),
    [
        ("T1", COHORT, ("fluid", "grey", "white")),
        ("T1", RENDERED, ("fluid", "grey", "white")),
        ("T2", RENDERED, ("white", "grey", "fluid")),
        ("FLAIR", RENDERED, ("fluid", "white", "grey")),
    ],
)
def test_tissues_are_as_bright_as_is_usual_for_the_contrast(
    a_comparison: Comparison, contrast: str, source: str, order: tuple[str, ...]
) -> None:
    group = a_comparison.group(contrast, source, FRACTIONS)
    assert group is not None
    assert tuple(sorted(order, key=lambda tissue: group.band(relative(tissue))[0])) == order


def test_cohort_values_are_those_that_were_stored(
    a_cohort: Cohort, the_places: TemplatePlaces
) -> None:
    part = a_cohort.part("validate")
    (head,) = cohort_heads(part, 1, the_places)
    subject, k = part.subjects[0], 40
    stored = part.scan[0, k].numpy().astype(np.float64)
    inside = part.brain[0, k].numpy() > 0
    wanted = subject.low + subject.step * stored[inside]
    assert head.values[k][inside] == pytest.approx(wanted, abs=1e-5)
    assert head.levels_mm[k] == pytest.approx(CANVAS.world(np.array([0, 0, k]))[2])


def test_every_rendering_is_another_and_the_same_seed_gives_the_same(
    a_cohort: Cohort, the_places: TemplatePlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast_heads, "RENDERINGS_PER_SUBJECT", 2)
    part = a_cohort.part("validate")
    one, two = rendered_heads(part, "FLAIR", 1, the_places, seed=5)
    again = next(rendered_heads(part, "FLAIR", 1, the_places, seed=5))
    assert np.array_equal(one.values, again.values)
    assert np.abs(one.values - two.values)[one.inside].mean() > 0.05


def test_a_lesion_and_its_margin_are_left_out_and_have_no_say_in_the_scale(
    a_given_head: ShownHead, a_folder: Path, tmp_path: Path, the_places: TemplatePlaces
) -> None:
    scan = read_scan(a_folder / "sample-01_FLAIR.nii.gz")
    brain = read_mask(a_folder / "sample-01_brain.nii.gz", scan.grid)
    for kind in ("FLAIR", "brain"):
        name = f"sample-01_{kind}.nii.gz"
        (tmp_path / name).write_bytes((a_folder / name).read_bytes())
    whole = given_head(tmp_path / "sample-01_FLAIR.nii.gz", load_brain_model(), the_places)
    lesion = read_mask(a_folder / "sample-01_lesion.nii.gz", scan.grid)
    assert a_given_head.masked and not whole.masked
    assert not (a_given_head.inside & ~whole.inside).any()
    less_ml = 0.008 * float((whole.inside & ~a_given_head.inside).sum())
    assert less_ml > 1.3 * float((lesion & brain).sum()) * scan.grid.voxel_volume_ml
    assert LESION_MARGIN_MM > 0
    # A lesion that is made much brighter changes the scan's scale, but not the healthy part's.
    ill = np.where(lesion, 3.0 * scan.values.max(), scan.values).astype(np.float32)
    write_map(tmp_path / "sample-01_FLAIR.nii.gz", ill, scan)
    lesion_file = (a_folder / "sample-01_lesion.nii.gz").read_bytes()
    (tmp_path / "sample-01_lesion.nii.gz").write_bytes(lesion_file)
    bright = given_head(tmp_path / "sample-01_FLAIR.nii.gz", load_brain_model(), the_places)
    well, sick = (
        measure("", head.values, head.inside, head.places) for head in (a_given_head, bright)
    )
    for what in (location_of("brain"), location_of("white"), correlation_of("brain", LAGS_MM[0])):
        assert sick.values[what] == pytest.approx(well.values[what], abs=0.03)


def test_a_given_flair_is_measured_in_template_pose(a_given_head: ShownHead) -> None:
    assert (a_given_head.contrast, a_given_head.source) == ("FLAIR", GIVEN)
    found = measure("", a_given_head.values, a_given_head.inside, a_given_head.places).values
    assert found[relative("fluid")] < -1.0 < found[relative("grey")]
    assert abs(found[location_of("brain")]) < 0.4


def test_the_page_has_its_panels_and_says_what_was_not_given(a_comparison: Comparison) -> None:
    labels = [axes.get_label() for axes in page_of(a_comparison).axes]
    for contrast in contrast_heads.CONTRASTS:
        for panel in ("histogram", "white matter around the ventricles", "table"):
            assert labels.count(f"{contrast} {panel}") == 1
        assert labels.count(f"{contrast} {RENDERED} slice") == 1
    assert labels.count(f"T1 {COHORT} slice") == 1
    assert labels.count(f"FLAIR {GIVEN} slice") == 1
    assert labels.count(f"T2 {GIVEN} slice") == 0
    words = [text.get_text() for axes in page_of(a_comparison).axes for text in axes.texts]
    assert any("No real T2 scan was given" in text for text in words)
    assert not any("No real FLAIR scan was given" in text for text in words)


def test_the_picture_and_the_table_are_written(a_comparison: Comparison, tmp_path: Path) -> None:
    draw_page(a_comparison, tmp_path / "page.png")
    pixels = imread(tmp_path / "page.png")
    assert pixels.shape[1] == 1800
    assert pixels[..., :3].std() > 0.05
    groups = a_comparison.groups()
    write_table(groups, tmp_path / "page.csv")
    with (tmp_path / "page.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["contrast", "what", "source", "value"]
    keys = [(row["contrast"], row["what"], row["source"]) for row in rows]
    assert len(keys) == len(set(keys))
    table = dict(zip(keys, (float(row["value"]) for row in rows), strict=True))
    flair = a_comparison.group("FLAIR", GIVEN)
    assert flair is not None
    wanted = flair.band(relative("grey"))[0]
    title = f"{relative('grey')} ({TEMPLATE})"
    assert table["FLAIR", title, f"{GIVEN}, mean"] == pytest.approx(wanted, rel=1e-4)
    assert table["FLAIR", title, "sample-01_FLAIR"] == pytest.approx(wanted, rel=1e-4)
    rendered = a_comparison.group("FLAIR", RENDERED)
    assert rendered is not None
    title = f"brain: distance of histograms, spreads ({TEMPLATE})"
    away = distances(rendered, flair)["brain"]
    assert table["FLAIR", title, "rendered to given"] == pytest.approx(away, rel=1e-4)
    lines = distance_lines(groups)
    assert any(line.startswith("FLAIR, given (1) from rendered (1)") for line in lines)
    assert sum(line.startswith("T1, cohort") for line in lines) == 2


def test_only_scans_whose_name_tells_a_rendered_contrast_are_taken(a_folder: Path) -> None:
    assert [path.name for path in find_scans(a_folder)] == ["sample-01_FLAIR.nii.gz"]


def test_a_folder_without_scans_is_refused(
    a_cohort_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ScanError, match="found none"):
        find_scans(tmp_path)
    arguments = ["contrasts", "--cohort", str(a_cohort_folder), "-o", str(tmp_path / "page.png")]
    assert main([*arguments, "--real", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert main([*arguments, "--real", str(tmp_path / "gone")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert not (tmp_path / "page.png").exists()


def test_scans_of_which_none_can_be_used_are_refused(
    a_cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast_comparison, "CONTRASTS", ())
    broken = tmp_path / "one_FLAIR.nii.gz"
    broken.write_bytes(b"nothing")
    with pytest.raises(CounterpartError, match="none of the 1 scans"):
        compare_contrasts(a_cohort, [broken], load_brain_model(), subjects=1, seed=1)
    with pytest.raises(CounterpartError, match="at least one subject, got 0"):
        compare_contrasts(a_cohort, [], None, subjects=0, seed=1)


def test_the_command_writes_the_page_of_a_cohort_alone(
    a_cohort_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(contrast_heads, "RENDERINGS_PER_SUBJECT", 1)
    arguments = ["contrasts", "--cohort", str(a_cohort_folder), "--subjects", "1"]
    assert main([*arguments, "-o", str(tmp_path / "page.jpg")]) == 1
    assert "ends in .png" in capsys.readouterr().err
    assert main([*arguments, "-o", str(tmp_path / "page.png")]) == 0
    assert "T1, cohort (1) from rendered (1)" in capsys.readouterr().out
    assert (tmp_path / "page.png").is_file()
    assert "FLAIR" in (tmp_path / "page.csv").read_text()
