"""The HTML report: complete, self-contained, escaped, and the same bytes for the same result."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.report.content import gather_content
from counterpart.report.html import build_html, render_html
from counterpart.report.words import signed
from counterpart.results import DISCLAIMER, Result

VOID = {"meta", "br", "img", "input", "line"}
BLOBS = [((35.0, 10.0, 6.0), 8.0), ((-30.0, -20.0, -12.0), -6.0), ((0.0, 40.0, 20.0), 5.0)]


class PageReader(HTMLParser):
    """Text, attributes and scripts of a page; a tag that is not closed in order is an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(page)
        self.close()
        if self.open:
            raise ValueError(f"not closed: {self.open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self.open.pop() != tag:
            raise ValueError(f"{tag} closes out of order")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.words.append(data)
            if "td" in self.open or "th" in self.open:
                self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.scripts[0])

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def read(result: Result) -> PageReader:
    return PageReader(build_html(gather_content(result)))


def test_page_is_one_well_formed_file_with_nothing_from_outside(
    make_result: Callable[..., Result], tmp_path: Path
) -> None:
    render_html(gather_content(make_result(BLOBS)), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    reader = PageReader(page)
    assert page.startswith("<!DOCTYPE html>")
    for outside in ("http://", "https://", "url(", "@import", "//cdn"):
        assert outside not in page
    assert not reader.all("link") and not reader.all("iframe")
    sources = [value for _, known in reader.tags for name, value in known.items() if name == "src"]
    assert len(sources) > 30
    assert all(value and value.startswith("data:image/") for value in sources)
    links = [known["href"] for known in reader.all("a")]
    ids = {known.get("id") for _, known in reader.tags}
    assert links
    assert all(link and link[1:] in ids for link in links)


@pytest.mark.parametrize("blobs", [[], BLOBS])
def test_disclaimer_and_plain_words_are_always_there(
    make_result: Callable[..., Result], blobs: list[Any]
) -> None:
    text = read(make_result(blobs)).text
    assert text.count(f"{DISCLAIMER}. Not for clinical use.") == 2
    assert "weights 0123456789ab · seed 7" in text
    assert ("3 findings above the threshold" if blobs else "This does not rule out disease") in text


def test_every_finding_is_a_row_that_leads_to_a_slice_with_it(
    make_result: Callable[..., Result],
) -> None:
    result = make_result(BLOBS)
    first, *others = result.findings
    named = [replace(first, region="frontal white matter", p_value=0.0312), *others]
    reader = read(replace(result, findings=named))
    rows = {row[0]: row for row in reader.rows}
    slices = reader.data["slices"]
    linked = {known["data-finding"]: known for known in reader.all("tr") if "data-finding" in known}
    assert len(linked) == 3
    for finding in named:
        row = rows[str(finding.number)]
        centre = ", ".join(signed(value) for value in finding.centre_ras_mm)
        expected = [f"■ {finding.direction}", f"{finding.volume_ml:.1f}", f"{finding.peak:.2f}"]
        p_value = "0.031" if finding is named[0] else "–"
        expected += [f"{finding.mean:.2f}", p_value, finding.side, finding.region or "–", centre]
        assert row[1:-1] == expected
        tile = slices[int(linked[str(finding.number)]["data-tile"])]
        assert finding.number in tile["findings"]
        assert tile["words"].startswith(f"Slice {row[-1]} of 28 · S ")
        height = float(tile["words"].split(" S ")[1].split(" mm")[0].replace("−", "-"))
        assert abs(height - finding.centre_ras_mm[2]) < 6.0


def test_without_regions_there_is_no_column_for_them(make_result: Callable[..., Result]) -> None:
    heads = read(make_result(BLOBS)).rows[0]
    assert "region" not in heads
    assert heads[4:6] == ["mean", "p"]
    assert heads[-2:] == ["centre R, A, S, mm", "slice"]


def test_the_evidence_stands_there_with_its_reason(
    make_result: Callable[..., Result], make_result_with_p: Callable[..., Result]
) -> None:
    told = read(make_result_with_p([0.05, 0.3])).text
    assert "1 finding that fewer than 1 in 20 healthy brains show" in told
    assert "Calibrated on volunteers (19 healthy scans)." in told
    simulated = read(make_result([])).text
    assert "the scores are not p-values. There is no calibration of FLAIR." in simulated
    where = replace(make_result([]).evidence, reason="Read from /home/jane/model/m.json.")
    text = read(replace(make_result([]), evidence=where)).text
    assert "Read from m.json." in text
    assert "/home" not in text


def test_warnings_are_listed_and_only_then(make_result: Callable[..., Result]) -> None:
    warnings = ("The brain is cut off at the top.", "Read from /home/jane/scans/x.nii.gz.")
    reader = read(make_result(BLOBS, warnings=warnings))
    assert "The brain is cut off at the top." in reader.text
    assert "Read from x.nii.gz." in reader.text
    assert len(reader.all("li")) == 2
    assert not read(make_result(BLOBS)).all("ul")


def test_words_from_outside_cannot_become_markup(make_result: Callable[..., Result]) -> None:
    evil = "</script><script>alert(1)</script>\"'&<img src=x onerror=y>"
    result = make_result(
        BLOBS, name=evil, provenance={evil: evil, "deep": {evil: [evil]}}, warnings=(evil,)
    )
    named = [replace(f, region=evil, side=evil, direction=f.direction) for f in result.findings]
    evidence = replace(result.evidence, reason=evil, source=evil)
    page = build_html(gather_content(replace(result, findings=named, evidence=evidence)))
    reader = PageReader(page)
    assert len(reader.scripts) == 2
    assert not any("alert(1)" in script for script in reader.scripts)
    assert "onerror" not in {name for _, known in reader.tags for name in known}
    assert reader.text.count("alert(1)") > 8
    assert "<script>alert(1)" not in page.split("</title>")[1]
    assert build_html(
        gather_content(replace(result, scan=replace(result.scan, name="a\udcff\x00b")))
    )


def test_only_the_report_s_own_script_may_run(make_result: Callable[..., Result]) -> None:
    reader = read(make_result([]))
    policy = next(m["content"] for m in reader.all("meta") if m.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(reader.scripts[1].encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_script_finds_everything_it_asks_for(make_result: Callable[..., Result]) -> None:
    reader = read(make_result(BLOBS))
    script, data = reader.scripts[1], reader.data
    ids = {known.get("id") for _, known in reader.tags}
    assert set(re.findall(r'getElementById\("(\w+)"\)', script)) <= ids
    assert set(re.findall(r"\bdata\.(\w+)", script)) == set(data)
    panels = [known["data-panel"] for known in reader.all("canvas")]
    assert panels == list(data["layers"])
    assert {kind for kinds in data["layers"].values() for kind in kinds} == set(data["sheets"])
    sheets = -(-len(data["slices"]) // data["perSheet"])
    assert all(len(parts) == sheets for parts in data["sheets"].values())
    slider = next(known for known in reader.all("input"))
    assert int(slider["max"] or 0) == len(data["slices"]) - 1
    assert 0 <= data["start"] < len(data["slices"])


def test_viewer_holds_every_slice_with_brain(make_result: Callable[..., Result]) -> None:
    result = make_result(BLOBS)
    held = np.flatnonzero(result.brain.any(axis=(0, 1))) + 1
    numbers = [int(part["words"].split()[1]) for part in read(result).data["slices"]]
    assert numbers == list(held)


def test_slices_thinner_than_a_millimetre_are_thinned_out(
    make_result: Callable[..., Result],
) -> None:
    affine = np.diag([6.0, 6.0, 0.5, 1.0])
    affine[:3, 3] = [-87.0, -105.0, -20.0]
    data = read(make_result([], affine, (30, 36, 80))).data
    assert 40 <= len(data["slices"]) <= 46


def test_viewer_is_hidden_until_a_script_runs_and_rows_are_not(
    make_result: Callable[..., Result],
) -> None:
    reader = read(make_result(BLOBS))
    viewer = next(known for known in reader.all("section") if known.get("id") == "viewer")
    assert "hidden" in viewer
    rows = [known for known in reader.all("div") if known.get("class") == "row"]
    assert len(rows) >= 5
    assert len(reader.all("img")) == 6 * len(rows) + 2
    assert all(known.get("alt") for known in reader.all("img"))
    assert len(reader.all("noscript")) == 1


def test_pictures_stand_in_millimetres_with_letters_and_scale(
    make_result: Callable[..., Result],
) -> None:
    affine = np.diag([3.0, 6.0, 12.0, 1.0])
    affine[:3, 3] = [-87.0, -105.0, -78.0]
    result = make_result([((30.0, 20.0, 18.0), 6.0)], affine, (59, 36, 14))
    page = build_html(gather_content(result))
    reader = PageReader(page)
    ratios = re.findall(r'class="view" style="aspect-ratio:([\d.]+)/([\d.]+)"><canvas', page)
    assert len(ratios) == 6
    wide, tall = (float(part) for part in ratios[0])
    size = reader.data["size"]
    assert size[0] / size[1] == pytest.approx(wide / tall, rel=0.01)
    assert reader.data["wideMm"] == pytest.approx(wide, abs=0.01)
    box = next(known for known in reader.all("svg"))
    bar = next(known for known in reader.all("line") if known.get("class") == "bar")
    assert float(bar["x2"] or 0) - float(bar["x1"] or 0) == pytest.approx(50.0)
    assert box["viewbox"]
    for letter in "RLAP":
        assert f">{letter}</text>" in page
    heights = [part["words"] for part in reader.data["slices"]]
    assert f"Slice {round((18 + 78) / 12) + 1} of 14 · S +18 mm · finding 1" in heights


def test_oblique_scans_say_so_and_keep_their_findings(
    make_result: Callable[..., Result], an_oblique_affine: NDArray[np.float64]
) -> None:
    reader = read(make_result(BLOBS, an_oblique_affine, (36, 28, 30)))
    assert "tilted by 12°, shown in its own planes" in reader.text
    assert sum("data-tile" in known for known in reader.all("tr")) == 3


def test_numbers_stand_beside_their_findings(make_result: Callable[..., Result]) -> None:
    reader = read(make_result([((35.0, 10.0, 6.0), 8.0)]))
    data = reader.data
    ((x, y, number),) = data["slices"][data["start"]]["at"]
    assert number == "1"
    assert x < data["wideMm"] / 2
    assert 0 < y < data["size"][1] * data["wideMm"] / data["size"][0]
    assert all(not part["at"] for part in data["slices"] if not part["findings"])


def test_provenance_is_told_in_full_without_folders(make_result: Callable[..., Result]) -> None:
    known = {
        "model": "m",
        "reconstruction": {"noise_levels": [250, 500]},
        "file": "/home/jane/a.pt",
    }
    page = build_html(gather_content(make_result([], provenance=known)))
    rows = PageReader(page).rows
    for row in (["model", "m"], ["reconstruction", ""], ["noise levels", "250, 500"]):
        assert row in rows
    assert ["file", "a.pt"] in rows
    assert "/home" not in page
    assert "Nothing was recorded." in read(make_result([], provenance={})).text


@pytest.mark.parametrize(
    ("contrast", "tissue"),
    [("T1", "darkest tissue (3 mm)"), ("unknown", "most unusual tissue (3 mm)")],
)
def test_plain_baseline_is_explained_with_its_volume(
    make_result: Callable[..., Result], contrast: str, tissue: str
) -> None:
    result = make_result(BLOBS, contrast=contrast)
    total = sum(finding.volume_ml for finding in result.findings)
    assert f"Here: {tissue}, same volume flagged, {total:.1f} ml." in read(result).text
    empty = read(make_result([], contrast=contrast)).text
    assert f"Here: {tissue}, nothing flagged, as there is no finding." in empty


def test_twenty_findings_are_all_listed(
    make_result: Callable[..., Result], many_blobs: Callable[..., Any]
) -> None:
    result = make_result(many_blobs(20))
    reader = read(result)
    assert sum("data-finding" in known for known in reader.all("tr")) == 20


def test_same_result_gives_the_same_bytes(make_result: Callable[..., Result]) -> None:
    assert build_html(gather_content(make_result(BLOBS))) == build_html(
        gather_content(make_result(BLOBS))
    )


def test_empty_brain_and_endless_threshold_do_not_stop_the_report(
    make_result: Callable[..., Result],
) -> None:
    result = make_result(BLOBS)
    empty = replace(result, brain=np.zeros_like(result.brain), threshold=float("inf"))
    assert "AI-generated" in read(empty).text


def test_a_noisy_head_of_a_millimetre_stays_below_four_megabytes(
    make_result: Callable[..., Result],
) -> None:
    affine = np.eye(4)
    affine[:3, 3] = [-75.0, -90.0, -68.0]
    result = make_result(BLOBS, affine, (150, 180, 136))
    noise = np.random.default_rng(0).normal(scale=15, size=result.brain.shape).astype(np.float32)
    noise *= result.brain
    noisy = replace(
        result,
        scan=replace(result.scan, values=result.scan.values + noise),
        reconstruction=result.reconstruction + noise,
        counterpart=result.counterpart + noise,
    )
    page = build_html(gather_content(noisy))
    assert 500_000 < len(page.encode()) < 4_000_000
    assert len(PageReader(page).data["slices"]) > 120
