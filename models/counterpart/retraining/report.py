"""Writes the report of a retraining: one HTML page with its pictures, which loads nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from matplotlib.figure import Figure

from counterpart.bundle import load_model
from counterpart.cohort import CROSS_FIT, Cohort, read_cohort
from counterpart.registry.verdict import Verdict
from counterpart.report.figures import safe
from counterpart.report.words import NOT_CLINICAL
from counterpart.results import DISCLAIMER
from counterpart.retraining.comparison import (
    SHOWN_HEALTHY,
    Burden,
    Compared,
    burden,
    compare,
)
from counterpart.retraining.curves import curves_figure, read_series
from counterpart.retraining.job import Job
from counterpart.retraining.marks import Bundled, Judged, Prepared, Published
from counterpart.retraining.sheets import (
    SHEET_HEIGHT_MM,
    cohort_sheet,
    comparison_sheet,
    picture_bytes,
)
from counterpart.whole_file import write_whole

REPORT = "report.html"
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
_STYLE = (
    ".sheet { display: block; max-width: 100%; height: auto; margin: 10px 0; }\n"
    ".wide { overflow-x: auto; } .wide .sheet { max-width: none; }\n"
    ".passed { color: #7fe08a; } .failed { color: #ff7a66; } .unsure { color: var(--amber); }\n"
)
_PART_WORDS = {
    "train": "trained on",
    "validate": "held out: residual scale, threshold, gates",
    "calibrate": "held out: p-values, and the figures before and after",
    CROSS_FIT: "held out from training, cross-fitted by fold: threshold, p-values, figures",
}


def write_report(job: Job) -> None:
    """Write ``report.html`` into the run's folder."""
    cohort = read_cohort(job.cohort_folder)
    before = load_model(Path(job.decided.folder), device=job.device)
    after = load_model(job.bundle_folder, device=job.device)
    healthy, patterned = compare(before, after, cohort, job.tell.say)
    sections = [
        _header(job),
        _cohort_section(job, cohort),
        *(_training_section(job) if job.decided.mode == "train" else ()),
        _calibration_section(job, healthy),
        _comparison_section(job, healthy, patterned),
        _gates_section(job),
        _footer(),
    ]
    title = f"{job.decided.model} {job.decided.version}"
    page = _page(title, sections)
    write_whole(job.run / REPORT, lambda file: file.write(page.encode("utf-8")))


def _page(title: str, sections: Iterable[str]) -> str:
    style = files("counterpart.report").joinpath("html.css").read_text(encoding="utf-8")
    body = "\n".join(sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)} – {safe(DISCLAIMER)}</title>\n"
        f"<style>\n{style}{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _header(job: Job) -> str:
    decided, done = job.decided, job.left("publish", Published)
    bundled = job.left(_bundling(job), Bundled)
    warnings = "".join(f"<li>{safe(line)}</li>\n" for line in decided.warnings)
    listed = f'<ul class="warnings" aria-label="Warnings">\n{warnings}</ul>\n' if warnings else ""
    what = "Training report" if decided.mode == "train" else "Calibration report"
    return (
        f'<header>\n<p class="banner" role="note">{safe(DISCLAIMER)}. {NOT_CLINICAL}.</p>\n'
        f"<h1>{what}: {safe(decided.model)} {safe(decided.version)}</h1>\n"
        f'<p class="dim">Begun with version {safe(decided.begun_with)}. '
        f"{safe(job.plan.population or 'A local healthy cohort')}.</p>\n"
        f'<p class="found">{safe(done.words)}</p>\n<p>{safe(_sentence(bundled.words))}</p>\n'
        f"{listed}</header>"
    )


def _cohort_section(job: Job, cohort: Cohort) -> str:
    prepared = job.prepared
    count = {part: list(prepared.parts.values()).count(part) for part in _PART_WORDS}
    rows = "".join(
        f'<tr><th scope="row">{part}</th><td class="number">{count[part]}</td>'
        f"<td>{_PART_WORDS[part]}</td></tr>\n"
        for part in _PART_WORDS
        if count[part]
    )
    refused = (*job.decided.refused, *prepared.refused)
    left_out = "".join(
        f'<tr><th scope="row">{safe(one.scan)}</th><td>{safe(one.reason)}</td></tr>\n'
        for one in refused
    )
    table = (
        f"<h3>Left out</h3>\n<table>\n<tbody>\n{left_out}</tbody>\n</table>\n"
        if refused
        else "<p>No scan was left out.</p>\n"
    )
    words = _cohort_words(prepared, cohort.contrast)
    return (
        f'<section id="cohort">\n<h2>The cohort</h2>\n<p>{safe(words)}</p>\n'
        f"<table>\n<tbody>\n{rows}</tbody>\n</table>\n{table}"
        f'<p class="dim">Every prepared subject in template pose, {SHEET_HEIGHT_MM:g} mm above the '
        "template's origin, all in one grey window; the patient's right (R) is at the left. A scan "
        "that is turned, cut off, or looks unlike the others does not belong here.</p>\n"
        f"{_picture(cohort_sheet(cohort), 'One slice of every subject')}</section>"
    )


def _cohort_words(prepared: Prepared, contrast: str) -> str:
    words = (
        f"{len(prepared.parts)} subjects, split by subject, content hash {prepared.cohort[:12]}."
    )
    if prepared.cross_fitted:
        words += " The cohort is small: what is held out is cross-fitted by fold."
    return words


def _training_section(job: Job) -> list[str]:
    drawn = []
    for stage in ("encoder", "denoiser"):
        figure = curves_figure(stage, read_series(job.stage_run(stage)))
        if figure is not None:
            drawn.append(_picture(figure, f"Loss and validation of the {stage}", "png"))
    body = "".join(drawn) or "<p>Nothing was trained.</p>"
    return [f'<section id="curves">\n<h2>Training</h2>\n{body}</section>']


def _calibration_section(job: Job, healthy: Sequence[Compared]) -> str:
    old = load_model(Path(job.decided.folder)).calibrations
    known = {(one.contrast, one.kind): one.threshold for one in old}
    rows = "".join(
        f'<tr><th scope="row">{safe(row.contrast)}</th><td>{safe(row.kind)}</td>'
        f'<td class="number">{_threshold(known.get((row.contrast, row.kind)))}</td>'
        f'<td class="number">{row.threshold:g}</td><td class="number">{row.scans}</td>'
        f'<td class="number">{row.findings:.2f}</td><td class="number">{row.flagged_ml:.2f}</td>'
        "</tr>\n"
        for row in job.left(_bundling(job), Bundled).calibrations
    )
    heads = _head_row(
        ("contrast", "from"),
        ("threshold before", "after", "scans", "findings per scan", "ml per scan"),
    )
    return (
        f'<section id="calibration">\n<h2>Calibration</h2>\n{_burden_table(healthy)}'
        f'<div class="scroll"><table>\n<caption>Thresholds, and what scans that they were not '
        f"fitted on carry at them.</caption>\n{heads}<tbody>\n{rows}</tbody>\n</table></div>\n"
        "</section>"
    )


def _burden_table(healthy: Sequence[Compared]) -> str:
    named = (
        ("before", burden(healthy, [row.before for row in healthy])),
        ("after", burden(healthy, [row.after for row in healthy])),
    )
    rows = "".join(_burden_row(name, found) for name, found in named if found is not None)
    heads = _head_row(
        ("version",),
        ("scans", "threshold", "findings per scan", "ml per scan", "residual, spreads"),
    )
    return (
        '<div class="scroll"><table>\n<caption>The same held-out healthy scans, as acquired, by '
        "the version that served and by the new one. At a good threshold they carry about one "
        f"finding and at most 1 ml.</caption>\n{heads}<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def _burden_row(name: str, found: Burden) -> str:
    cells = (
        str(found.scans),
        f"{found.threshold:.4g}",
        f"{found.findings:.2f}",
        f"{found.flagged_ml:.2f}",
        f"{found.residual:.3f}",
    )
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f'<tr><th scope="row">{name}</th>{numbers}</tr>\n'


def _comparison_section(
    job: Job, healthy: Sequence[Compared], patterned: Sequence[Compared]
) -> str:
    rows = (*healthy[:SHOWN_HEALTHY], *patterned)
    same = " The weights are the same; what changed is the calibration."
    return (
        '<section id="held-out">\n<h2>Held-out heads, before and after</h2>\n'
        f"<p>Before: version {safe(job.decided.begun_with)}. After: version "
        f"{safe(job.decided.version)}.{same if job.decided.mode == 'calibrate' else ''} Healthy "
        "scans should stay as they are; of a drawn pattern (green outline) nothing should be left "
        "in the counterpart. Residuals share one scale; the anomaly map is coloured from each "
        "version's own threshold.</p>\n"
        f"{_picture(comparison_sheet(rows), 'Held-out heads before and after')}</section>"
    )


def _gates_section(job: Job) -> str:
    judged, forced = job.left("evaluation", Judged), job.plan.force
    against = f"version {judged.serving.split()[0]}" if judged.serving else "no serving version"
    rows = "".join(_verdict_rows(verdict, forced) for verdict in judged.verdicts)
    reason = f"<p>Overruled because: {safe(job.plan.reason)}</p>\n" if forced else ""
    return (
        f'<section id="gates">\n<h2>The gates</h2>\n<p>Compared with {safe(against)}.</p>\n{reason}'
        f'<div class="scroll"><table>\n<tbody>\n{rows}</tbody>\n</table></div>\n</section>'
    )


def _verdict_rows(verdict: Verdict, forced: Sequence[str]) -> str:
    if verdict.passed:
        state = ("passed", "passed") if verdict.checked else ("unsure", "not checked")
    else:
        state = ("unsure", "overruled") if verdict.gate in forced else ("failed", "not passed")
    figures = "".join(
        f'<tr><td></td><td>{safe(name)}</td><td class="number">{value:.5g}</td></tr>\n'
        for name, value in verdict.figures.items()
    )
    return (
        f'<tr><th scope="row">{safe(verdict.gate.replace("_", " "))}</th>'
        f'<td class="{state[0]}">{state[1]}</td><td>{safe(verdict.reason)}</td></tr>\n{figures}'
    )


def _footer() -> str:
    return f'<footer><p class="banner">{safe(DISCLAIMER)}. {NOT_CLINICAL}.</p></footer>'


def _head_row(words: Sequence[str], numbers: Sequence[str]) -> str:
    cells = "".join(f'<th scope="col">{word}</th>' for word in words)
    cells += "".join(f'<th scope="col" class="number">{word}</th>' for word in numbers)
    return f"<thead><tr>{cells}</tr></thead>\n"


def _picture(figure: Figure, words: str, kind: str = "webp") -> str:
    content = base64.b64encode(picture_bytes(figure, kind)).decode("ascii")
    return (
        f'<div class="scroll"><img class="sheet" alt="{safe(words)}" '
        f'src="data:image/{kind};base64,{content}"></div>\n'
    )


def _threshold(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def _sentence(words: str) -> str:
    return words if words.endswith(".") else f"{words[:1].upper()}{words[1:]}."


def _bundling(job: Job) -> str:
    return "export" if job.decided.mode == "train" else "calibrate"
