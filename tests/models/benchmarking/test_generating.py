"""The benchmark of generating, run whole on the sample patient with a tiny denoiser."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from counterpart.benchmarking import chain
from counterpart.benchmarking.cold_start import run_cold
from counterpart.benchmarking.commands import bench_generate
from counterpart.benchmarking.generating import GenerateBench, measure_generate
from counterpart.benchmarking.record import Destination
from counterpart.benchmarking.sample_head import SAMPLE
from counterpart.bundle import WEIGHTS
from counterpart.cli import main
from counterpart.denoiser import Denoiser
from counterpart.errors import CounterpartError, ScanError
from counterpart.hashing import file_sha256
from counterpart.package_data import package_data
from counterpart.reconstruction import BATCH_SIZE

PRODUCT = (
    chain.READING,
    "Finding the brain",
    "Bringing it into template pose",
    "Repainting the brain as healthy",
    "Comparing with the scan",
    "Listing the findings",
    "Asking for healthy references",
    chain.HANDING_OVER,
    chain.COMPRESSING,
    chain.DRAWING,
)


@pytest.fixture(scope="module")
def a_bench(a_tiny_bundle: Path, a_tiny_denoiser: Denoiser) -> GenerateBench:
    return GenerateBench(
        scan=package_data("sample_data") / SAMPLE,
        model=str(a_tiny_bundle),
        repeats=1,
        help_times=1,
        published=replace(a_tiny_denoiser.config, fold=1, shows_brain=False, departure=False),
        product_size=32,
    )


@pytest.fixture
def a_blank_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process; the fresh one draws its report."""
    monkeypatch.setattr(chain, "write_reports", lambda result, folder: None)


@pytest.mark.slow
@pytest.mark.usefixtures("a_blank_report")
def test_the_whole_benchmark_leaves_figures_that_fit_together(
    a_bench: GenerateBench, a_tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, out = tmp_path / "page.md", tmp_path / "figures.json"
    document.write_text("<!-- bench generate: begin --><!-- bench generate: end -->")
    assert bench_generate(a_bench, Destination(out, document)) == 0
    kept = json.loads(out.read_text())
    figures = kept["figures"]
    warm, cold = figures["warm"]["stages"], figures["cold"]["stages"]
    assert set(warm) == set(PRODUCT)
    assert set(cold) == {*chain.BEFORE, *PRODUCT}
    assert all(
        one["times"] == 1 and one["median"] > 0.0 for one in (*warm.values(), *cold.values())
    )
    until, since_start = (
        sum(one["median"] for key, one in stages.items() if key not in chain.AFTERWARDS)
        for stages in (warm, cold)
    )
    assert figures["warm"]["overlay"]["median"] == pytest.approx(until)
    # Of two clocks: that of the stages, and that on the wall.
    assert figures["cold"]["overlay"]["median"] > 0.99 * since_start
    scan = figures["scan"]
    assert scan["evaluated"] == {PRODUCT[3]: 2 * scan["slices"]}
    speed = figures["speed"]
    assert speed["ours"]["evaluations_per_scan"] == 2 * scan["slices"]
    assert speed["ours"]["codes_per_scan"] == scan["slices"]
    assert speed["published"]["evaluations_per_scan"] == 3 * scan["slices"]
    assert figures["layers"]["batch"] == BATCH_SIZE
    assert 100.0 < figures["memory"]["overlay"] <= figures["memory"]["report"]
    assert file_sha256(a_tiny_bundle / WEIGHTS) in kept["weights_sha256"].values()
    page, printed = document.read_text(), capsys.readouterr().out
    assert kept["machine"] in page
    assert str(a_tiny_bundle.parent) not in page
    for title in ("Seconds by stage", f"layers, a batch of {BATCH_SIZE} slices", "published size"):
        assert title in page
        assert title in printed


def test_a_fresh_process_that_fails_says_why(a_bench: GenerateBench, tmp_path: Path) -> None:
    with pytest.raises(CounterpartError, match=r"a fresh process failed: .*gone\.nii: no such"):
        run_cold(
            tmp_path / "gone.nii",
            tmp_path,
            model=a_bench.model,
            brain_model=a_bench.brain_model,
            device="cpu",
            threads=1,
        )


def test_a_scan_that_is_none_is_refused_in_the_product_s_words(
    a_bench: GenerateBench, tmp_path: Path
) -> None:
    told: list[str] = []
    with pytest.raises(ScanError, match=r"gone\.nii: no such file"):
        measure_generate(replace(a_bench, scan=tmp_path / "gone.nii"), told.append)
    assert told == ["Warming up"]


def test_a_document_without_marks_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("# Page\n")
    arguments = ["bench", "generate", "--model", "none", "--document", str(tmp_path / "page.md")]
    assert main(arguments) == 1
    assert "expected the mark <!-- bench generate: begin -->" in capsys.readouterr().err
