"""Writes the HTML report: one file with every slice in it, which needs nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

import numpy as np

from counterpart.baselines import baseline_in_words
from counterpart.findings import Finding
from counterpart.report.content import Content
from counterpart.report.figures import (
    legend,
    localisers,
    safe,
    shown_slices,
    slice_row,
    viewer_data,
    viewer_panels,
)
from counterpart.report.references import references_section
from counterpart.report.tiles import Tiles, paint_tiles
from counterpart.report.words import (
    BASELINE_TO_READ,
    HOW_TO_READ,
    MORE_TO_READ,
    NOT_CLINICAL,
    about_scan,
    baseline_volume,
    evidence_words,
    in_plain_words,
    p_words,
    plain,
    provenance_rows,
    signed,
    small_print,
    without_folders,
)
from counterpart.results import DISCLAIMER, Result

DEEPEST = 3


def render_html(content: Content, path: Path) -> None:
    """Write the report as one HTML file; the same result gives the same bytes.

    Args:
        content: What to show.
        path: File to write.
    """
    path.write_bytes(build_html(content).encode("utf-8"))


def build_html(content: Content) -> str:
    """The report as one HTML page that loads nothing from outside.

    It holds every axial slice with brain, in at most a pixel per millimetre, behind a slider; the
    chosen slices of the PNG report are there without any script as well.

    Args:
        content: What to show.
    """
    result = content.result
    tiles = paint_tiles(content.head, content.look, shown_slices(content))
    script = _packaged("html.js")
    body = "\n".join(
        (
            _top(result),
            '<main>\n<section class="overview" aria-label="Findings and localisers">',
            f'<div class="wide">\n{_findings(content, tiles)}</div>\n{localisers(content)}',
            "</section>",
            _viewer(content, tiles),
            references_section(content, tiles, _start(content, tiles)),
            _chosen(content, tiles),
            _reading(result),
            _provenance(result),
            f'</main>\n<footer><p class="banner">{_disclaimer()}</p></footer>',
            f'<script type="application/json" id="tiles">'
            f"{viewer_data(content, tiles, _start(content, tiles))}</script>",
            f"<script>{script}</script>",
        )
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{_head(result, script)}</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _packaged(name: str) -> str:
    return files("counterpart.report").joinpath(name).read_text(encoding="utf-8")


def _head(result: Result, script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(result.scan.name)} – {safe(DISCLAIMER)}</title>\n"
        f"<style>\n{_packaged('html.css')}</style>\n"
    )


def _disclaimer() -> str:
    return f"{safe(DISCLAIMER)}. {NOT_CLINICAL}."


def _top(result: Result) -> str:
    warnings = "".join(f"<li>{safe(without_folders(line))}</li>\n" for line in result.warnings)
    listed = f'<ul class="warnings" aria-label="Warnings">\n{warnings}</ul>\n' if warnings else ""
    return (
        f'<header>\n<p class="banner" role="note">{_disclaimer()}</p>\n'
        f"<h1>{safe(result.scan.name)}</h1>\n"
        f'<p class="dim">{safe(without_folders(about_scan(result)))}<br>\n'
        f"{safe(without_folders(small_print(result)))}</p>\n"
        f'<p class="found">{safe(in_plain_words(result))}</p>\n'
        f"<p>{safe(evidence_words(result))} "
        f'<span class="dim">{safe(without_folders(result.evidence.reason))}</span></p>\n'
        f"{listed}</header>"
    )


def _findings(content: Content, tiles: Tiles) -> str:
    findings = content.result.findings
    if not findings:
        inside = np.abs(content.head.anomaly[content.head.brain])
        strongest = plain(float(inside.max(initial=0.0)))
        threshold = plain(content.look.threshold)
        return f"<p>Strongest place in the brain: {strongest}; the threshold is {threshold}.</p>\n"
    regions = any(finding.region for finding in findings)
    words, numbers = "<th>", '<th class="number">'
    titles = ["<th>#", f"{words}than health", f"{numbers}volume, ml", f"{numbers}peak"]
    titles += [f"{numbers}mean", f"{numbers}p", f"{words}side"] + [f"{words}region"] * regions
    titles += [f"{numbers}centre R, A, S, mm", f"{numbers}slice"]
    heads = "".join(f"{title}</th>" for title in titles).replace("<th", '<th scope="col"')
    falling = sorted(findings, key=lambda finding: (-finding.volume_ml, finding.number))
    rows = "".join(_finding_row(finding, content, tiles, regions) for finding in falling)
    return (
        '<div class="scroll"><table class="findings">\n'
        "<caption>Findings by falling volume. A click on one shows its slice.</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def _finding_row(finding: Finding, content: Content, tiles: Tiles, regions: bool) -> str:
    tile = best_tile(finding, content, tiles)
    there, number = "", "not shown"
    if tile is not None:
        there = f' data-tile="{tile}"'
        k = tiles.slices[tile]
        chosen = [other for other in content.slices if content.mass[finding.number - 1, other] > 0]
        near = min(chosen, key=lambda other: abs(other - k), default=None)
        name = "chosen" if near is None else f"slice-{content.head.slice_number(near)}"
        number = f'<a href="#{name}">{content.head.slice_number(k)}</a>'
    centre = ", ".join(signed(value) for value in finding.centre_ras_mm)
    direction = safe(finding.direction)
    region = f"<td>{safe(finding.region) or '–'}</td>" if regions else ""
    return (
        f'<tr data-finding="{finding.number}"{there}><th scope="row">{finding.number}</th>'
        f'<td class="{direction}">■ {direction}</td>'
        f'<td class="number">{finding.volume_ml:.1f}</td>'
        f'<td class="number">{finding.peak:.2f}</td><td class="number">{finding.mean:.2f}</td>'
        f'<td class="number">{p_words(finding.p_value)}</td>'
        f"<td>{safe(finding.side)}</td>{region}"
        f'<td class="number">{centre}</td><td class="number">{number}</td></tr>\n'
    )


def best_tile(finding: Finding, content: Content, tiles: Tiles) -> int | None:
    """Number of the tile that shows most of a finding; None where none shows any of it."""
    held = content.mass[finding.number - 1, tiles.slices]
    return int(held.argmax()) if held.any() else None


def _start(content: Content, tiles: Tiles) -> int:
    findings = content.result.findings
    if findings:
        largest = max(findings, key=lambda finding: finding.volume_ml)
        tile = best_tile(largest, content, tiles)
        if tile is not None:
            return tile
    return len(tiles.slices) // 2


def _viewer(content: Content, tiles: Tiles) -> str:
    wide, tall, _ = content.head.size_mm
    start = _start(content, tiles)
    return (
        f'<section id="viewer" aria-labelledby="all" style="--aspect:{wide / tall:.3f}" hidden>\n'
        '<h2 id="all">All slices</h2>\n<div class="controls">\n'
        '<button type="button" id="down" aria-label="One slice down">◀</button>\n'
        f'<input type="range" id="slider" min="0" max="{len(tiles.slices) - 1}" value="{start}" '
        'aria-label="Axial slice, from the lowest to the highest">\n'
        '<button type="button" id="up" aria-label="One slice up">▶</button>\n'
        '<output id="said" aria-live="polite"></output>\n</div>\n'
        f"{viewer_panels(content)}"
        '<p class="dim">Slider, arrow keys ← →, the wheel over the pictures, or a click on a '
        f"finding.</p>\n{legend(content)}</section>\n"
        "<noscript><p>Without JavaScript this page shows only the chosen slices below.</p>"
        "</noscript>"
    )


def _chosen(content: Content, tiles: Tiles) -> str:
    rows = "".join(slice_row(content, tiles, k) for k in content.slices)
    return (
        '<section class="rows" id="chosen">\n<h2>Chosen slices</h2>\n'
        '<p class="dim">Those with the strongest findings, and an even cover of the brain.</p>\n'
        f"{rows}{legend(content)}</section>"
    )


def _reading(result: Result) -> str:
    more = "".join(f"<p>{safe(part)}</p>\n" for part in (HOW_TO_READ, *MORE_TO_READ))
    tissue = baseline_in_words(result.contrast)
    return (
        f"<section>\n<h2>How to read it</h2>\n{more}</section>\n"
        f"<section>\n<h2>The plain baseline</h2>\n<p>{BASELINE_TO_READ}</p>\n"
        f"<p>Here: {safe(tissue)}, {safe(baseline_volume(result))}.</p>\n</section>"
    )


def _provenance(result: Result) -> str:
    rows = "".join(
        f'<tr><th scope="row" class="deep{min(depth, DEEPEST)}">{safe(name)}</th>'
        f"<td>{safe(value)}</td></tr>\n"
        for depth, name, value in provenance_rows(result.provenance)
    )
    table = f'<table class="provenance">\n<tbody>\n{rows}</tbody>\n</table>\n'
    return (
        "<section>\n<h2>Provenance</h2>\n"
        f"{table if rows else '<p>Nothing was recorded.</p>'}</section>"
    )
