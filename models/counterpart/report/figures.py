"""Builds the HTML report's figures: rows of panels, localisers, the legend, the viewer's data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.colors import Colormap, to_hex
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from counterpart.report.content import Content
from counterpart.report.head import axial_view, coronal_view, sagittal_view
from counterpart.report.look import GREYS, PLAIN, residual_colours
from counterpart.report.panels import Box, place_numbers
from counterpart.report.tiles import (
    GREY_KINDS,
    OVERLAY_KINDS,
    SHEET_COLUMNS,
    SHEET_TILES,
    Tiles,
    encode,
    outline,
    overlay_levels,
    overlay_palette,
)
from counterpart.report.words import (
    PANELS,
    baseline_volume,
    one_line,
    panel_words,
    plain,
    signed,
)

SCALE_BAR_MM = 50.0
ROW_NUMBER_MM = 11.0
VIEWER_NUMBER_MM = 8.0
LABEL_MM = 26.0
LEAST_STEP_MM = 1.0


def safe(words: str) -> str:
    """Words from outside as text or attribute of the page."""
    return escape(one_line(words))


def shown_slices(content: Content) -> list[int]:
    """Axial slices of the viewer: all with brain, but where they lie closer than a millimetre."""
    step = max(1, round(LEAST_STEP_MM / content.head.grid.spacing[2]))
    within = content.head.brain_slices()
    return sorted({*within[::step], *content.slices})


def slice_words(content: Content, k: int) -> str:
    """Number, height and findings of an axial slice."""
    head = content.head
    numbers = [str(n) for n in _findings_in(content, k)]
    many = "finding" if len(numbers) == 1 else "findings"
    held = f"{many} {', '.join(numbers)}" if numbers else "no finding"
    height = f"S {signed(head.height_mm(k))} mm"
    return f"Slice {head.slice_number(k)} of {head.slice_count} · {height} · {held}"


def _findings_in(content: Content, k: int) -> list[int]:
    return [int(row) + 1 for row in np.flatnonzero(content.mass[:, k])]


def slice_row(content: Content, tiles: Tiles, k: int) -> str:
    """One slice as a row of six pictures that need no script."""
    words = slice_words(content, k)
    titles = panel_words(content.result.contrast)
    number = tiles.slices.index(k)
    panels = []
    for panel in PANELS:
        marks = scale_bar(content) if panel == "scan" else ""
        if panel == "anomaly":
            marks = "".join(
                f'<text x="{x:g}" y="{y:g}" text-anchor="middle" dominant-baseline="central">'
                f"{finding}</text>"
                for x, y, finding in number_places(content, k, ROW_NUMBER_MM)
            )
        title = titles[panel][0]
        picture = f'<img alt="{title}, {words}" src="{tiles.picture(panel, number)}">'
        panels.append(figure(content, picture, title, marks))
    name = f"slice-{content.head.slice_number(k)}"
    return (
        f'<div class="row" id="{name}"><h3>{words}</h3>\n'
        f'<div class="panels">\n{"".join(panels)}</div></div>\n'
    )


def viewer_panels(content: Content) -> str:
    """The viewer's six empty canvases with their letters and scale bars."""
    figures = []
    for panel, (title, meaning) in panel_words(content.result.contrast).items():
        canvas = f'<canvas role="img" data-panel="{panel}" data-title="{title}"></canvas>'
        caption = f"{title} <span>{meaning}</span>"
        figures.append(figure(content, canvas, caption, scale_bar(content)))
    return f'<div class="panels">\n{"".join(figures)}</div>\n'


def figure(content: Content, picture: str, caption: str, marks: str) -> str:
    """A picture of an axial slice in its true proportions, with R and L and further marks."""
    wide, tall, _ = content.head.size_mm
    letters = _letters("RL", wide, tall / 2)
    return (
        f'<figure><div class="view" style="aspect-ratio:{wide:.2f}/{tall:.2f}">{picture}'
        f"{_svg(wide, tall, letters + marks)}</div>"
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def scale_bar(content: Content) -> str:
    """A bar of 50 mm in the lower right corner, as SVG."""
    wide, tall, _ = content.head.size_mm
    right, low = wide - 5.0, tall - 5.0
    return (
        f'<line class="bar" x1="{right - SCALE_BAR_MM:.2f}" y1="{low:.2f}" x2="{right:.2f}" '
        f'y2="{low:.2f}"/><text x="{right - SCALE_BAR_MM / 2:.2f}" y="{low - 3:.2f}" '
        f'text-anchor="middle">{SCALE_BAR_MM:g} mm</text>'
    )


def _letters(letters: str, wide: float, middle: float) -> str:
    return "".join(
        f'<text x="{x:.2f}" y="{middle:.2f}" text-anchor="{anchor}" '
        f'dominant-baseline="central">{letter}</text>'
        for letter, x, anchor in zip(letters, (3.0, wide - 3.0), ("start", "end"), strict=True)
    )


def _svg(wide: float, tall: float, marks: str) -> str:
    box = f'viewBox="0 0 {wide:.2f} {tall:.2f}"'
    return f'<svg class="marks" {box} aria-hidden="true" focusable="false">{marks}</svg>'


def number_places(content: Content, k: int, size_mm: float) -> list[tuple[float, float, str]]:
    """Where the numbers of an axial slice's findings find room: x and y in mm, and the number."""
    labels = axial_view(content.head.labels, k)
    wide, tall, _ = content.head.size_mm
    step_x, step_y = wide / labels.shape[1], tall / labels.shape[0]
    targets: list[Box] = []
    names = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            names.append(str(number))
            rows, columns = box
            left, right = columns.start * step_x, columns.stop * step_x
            targets.append((left, rows.start * step_y, right, rows.stop * step_y))
    sizes = [(0.72 * size_mm * len(name) + 1, size_mm) for name in names]
    rim, middle = 1.2 * size_mm, tall / 2
    letters = [
        (0.0, middle - size_mm, rim, middle + size_mm),
        (wide - rim, middle - size_mm, wide, middle + size_mm),
        (wide - SCALE_BAR_MM - 6.0, tall - 8.0 - size_mm, wide, tall),
    ]
    places = place_numbers(targets, sizes, letters, (0.0, 0.0, wide, tall))
    found = zip(places, names, strict=True)
    return [(round(at[0], 1), round(at[1], 1), name) for at, name in found if at is not None]


def viewer_data(content: Content, tiles: Tiles, start: int) -> str:
    """What the viewer's script reads, as JSON that may stand inside a script element.

    Args:
        content: What to show.
        tiles: Its slices.
        start: Number of the tile that is shown first.
    """
    known = {
        "size": tiles.size,
        "wideMm": round(content.head.size_mm[0], 2),
        "numberMm": VIEWER_NUMBER_MM,
        "columns": SHEET_COLUMNS,
        "perSheet": SHEET_TILES,
        "start": start,
        "layers": {p: ["scan", p] if p in OVERLAY_KINDS else [p] for p in PANELS},
        "slices": [
            {
                "words": slice_words(content, k),
                "findings": _findings_in(content, k),
                "depth": round(content.head.depth_mm(k), 2),
                "at": number_places(content, k, VIEWER_NUMBER_MM),
            }
            for k in tiles.slices
        ],
        "sheets": {kind: tiles.sheets(kind) for kind in (*GREY_KINDS, "residual", *OVERLAY_KINDS)},
    }
    return json.dumps(known, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def localisers(content: Content) -> str:
    """A coronal and a sagittal view through the largest finding, with lines for the slices."""
    head = content.head
    centre = head.centre(content.result.findings)
    middle = head.grid.world(centre.astype(np.float64))
    size = head.size_mm
    figures, shares = [], []
    for name, axis, letters in (("Coronal", 1, "RL"), ("Sagittal", 0, "AP")):
        view = coronal_view if axis == 1 else sagittal_view
        grey, anomaly, labels = (
            view(part, int(centre[axis]))
            for part in (content.look.grey(head.scan), head.anomaly, head.labels)
        )
        wide, tall = size[1 - axis], size[2]
        pixels = _composite(content, grey, anomaly, labels, (round(wide), max(1, round(tall))))
        title = f"{name}, {'RAS'[axis]} {signed(middle[axis])} mm"
        whole = wide + LABEL_MM
        figures.append(
            f'<figure><div class="view" style="aspect-ratio:{whole:.2f}/{tall:.2f}">'
            f'<img style="width:{100 * wide / whole:.2f}%" alt="{title}, with the chosen axial '
            f'slices as lines" src="{encode(pixels)}">'
            f"{_svg(whole, tall, _cuts(content, wide) + _letters(letters, wide, tall / 2))}"
            f"</div><figcaption>{title}</figcaption></figure>\n"
        )
        shares.append(f"{whole:.0f}fr")
    columns = f"grid-template-columns:{' '.join(shares)}"
    return f'<div class="localisers" style="{columns}">\n{"".join(figures)}</div>\n'


def _cuts(content: Content, wide: float) -> str:
    lines, last = [], -np.inf
    for k in sorted(content.slices, reverse=True):
        y = content.head.depth_mm(k)
        lines.append(f'<line class="cut" x1="0" x2="{wide:.2f}" y1="{y:.2f}" y2="{y:.2f}"/>')
        last = max(y, last + 8.5)
        lines.append(
            f'<text x="{wide + 4:.2f}" y="{last:.2f}" dominant-baseline="central">'
            f"{content.head.slice_number(k)}</text>"
        )
    return "".join(lines) + f'<line class="here" x1="0" x2="{wide:.2f}" visibility="hidden"/>'


def _composite(
    content: Content,
    grey: NDArray[np.float32],
    anomaly: NDArray[np.float32],
    labels: NDArray[np.int64],
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """A view of the scan under the anomaly map and the findings' outlines, (H, W, 3)."""
    look = content.look
    low, high = look.window
    share = np.clip((grey - low) / (high - low), 0.0, 1.0).astype(np.float32)
    under = Image.fromarray(share).resize(size, Image.Resampling.BICUBIC)
    scaled = Image.fromarray(anomaly.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    level = overlay_levels(np.asarray(scaled), look)
    level[outline(anomaly, labels > 0, look.threshold, size)] = 255
    over = overlay_palette(look)[level].astype(np.float32)
    opacity = over[..., 3:] / 255.0
    base = 255.0 * np.clip(np.asarray(under), 0.0, 1.0)[..., None]
    mixed: NDArray[np.uint8] = np.rint(base * (1 - opacity) + over[..., :3] * opacity).astype(
        np.uint8
    )
    return mixed


def legend(content: Content) -> str:
    """The four scales with their units."""
    look, end = content.look, content.look.anomaly
    low, high = look.window
    tissue = panel_words(content.result.contrast)["baseline"][1]
    parts = (
        (
            "Scan, reconstruction, counterpart: scan units",
            _ramp(GREYS, 2),
            (plain(low), plain(high)),
        ),
        (
            "Residual: scan − reconstruction, in spreads",
            _ramp(residual_colours(), 33),
            (f"≤ {plain(-look.residual)}", "0", f"≥ {plain(look.residual, '+')}"),
        ),
        (
            "Anomaly map: strength of the difference",
            _ramp(look.overlay, 97),
            (f"≤ {plain(-end)}", f"threshold ±{plain(look.threshold)}", f"≥ {plain(end, '+')}"),
        ),
        (
            f"Plain baseline: {tissue}",
            f"{PLAIN},{PLAIN}",
            (baseline_volume(content.result), "outlines: the findings"),
        ),
    )
    return f'<div class="legend">\n{"".join(_scale(*part) for part in parts)}</div>\n'


def _scale(title: str, colours: str, ends: Sequence[str]) -> str:
    marks = "".join(f"<span>{safe(end)}</span>" for end in ends)
    ramp = f'<div class="ramp" style="background-image:linear-gradient(90deg,{colours})"></div>'
    return f'<div>{safe(title)}{ramp}<div class="ends">{marks}</div></div>\n'


def _ramp(colours: Colormap, steps: int) -> str:
    return ",".join(to_hex(colours(x), keep_alpha=True) for x in np.linspace(0.0, 1.0, steps))
