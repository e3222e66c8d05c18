"""The section of the HTML report about the most similar healthy references."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from counterpart.attribution.references import HEADING, References
from counterpart.grid import resample
from counterpart.report.content import Content
from counterpart.report.figures import figure, safe
from counterpart.report.head import axial_view
from counterpart.report.tiles import Tiles, encode
from counterpart.template import CANVAS

SHOWN = 3
NOT_A_CAUSE = "Similar does not mean that they caused anything."
_TOP_PERCENT, _HEADROOM = 99.5, 1.15


def reference_words(found: References) -> str:
    """What the references are worth, in a sentence or two."""
    if found.note:
        return found.note
    parts = []
    if found.p_value is None:
        parts.append("No p-value: no held-out subjects of this contrast to compare with.")
    else:
        parts.append(
            f"One test for the whole scan: p = {found.p_value:.3f} against {found.held_out} "
            "healthy subjects who were never trained on."
        )
    if found.withdrawn:
        parts.append(f"Withdrawn since the training, and not named: {found.withdrawn}.")
    return " ".join([*parts, NOT_A_CAUSE])


def reference_line(found: References) -> str:
    """All in one line, for where there is no room for a table."""
    if not found.ranked:
        return f"{HEADING}: {reference_words(found)}"
    named = ", ".join(f"{one.name} ({one.similarity:.2f})" for one in found.ranked[:SHOWN])
    tested = "no p-value"
    if found.p_value is not None:
        tested = f"p = {found.p_value:.3f} against {found.held_out} subjects never trained on"
    return f"{HEADING}: {named}; {tested}. Similar is no cause."


def references_section(content: Content, tiles: Tiles, tile: int) -> str:
    """Sentence, table, and the references beside the counterpart; empty where none are known.

    Args:
        content: What to show.
        tiles: Its pictures.
        tile: Number of the one that the references stand beside.

    Raises:
        CohortError: A reference's picture is damaged.
    """
    found = content.result.references
    if found is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{safe(one.name)}</th>'
        f'<td class="number">{one.similarity:.3f}</td>'
        f'<td class="number">{one.rise:+.3f}</td></tr>\n'
        for one in found.ranked
    )
    table = (
        '<div class="scroll"><table class="references">\n<caption>Healthy subjects that the model '
        "was trained on, whose similarity rises from the scan to its counterpart, within the "
        "flagged slices, most similar first. Names are pseudonyms.</caption>\n"
        '<thead><tr><th scope="col">reference</th><th scope="col" class="number">similarity</th>'
        '<th scope="col" class="number">rise</th></tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
    return (
        f'<section class="rows" id="references">\n<h2>{HEADING}</h2>\n'
        f"<p>{safe(reference_words(found))}</p>\n{table if rows else ''}"
        f"{_panels(content, found, tiles, tile)}</section>"
    )


def _panels(content: Content, found: References, tiles: Tiles, tile: int) -> str:
    """The counterpart and the best references in the same plane, where they may be seen."""
    pictures = content.pictures
    named = [one.name for one in found.ranked if pictures is not None and one.name in pictures]
    if pictures is None or not named:
        return ""
    shown = [("Healthy counterpart", tiles.picture("counterpart", tile))]
    for name in named[:SHOWN]:
        pixels = reference_view(content, pictures.volume(name), tiles.slices[tile], tiles.size)
        shown.append((f"Healthy reference {name}", encode(pixels)))
    figures = "".join(
        figure(content, f'<img alt="{title}" src="{source}">', title, "") for title, source in shown
    )
    return f'<div class="row"><div class="panels">\n{figures}</div></div>\n'


def reference_view(
    content: Content, volume: NDArray[np.float32], k: int, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """A reference as it looks in the place of an axial slice of the scan, in greys of its own.

    Args:
        content: Of the scan.
        volume: (I, J, K) reference on the canvas, 0 outside its brain.
        k: Axial slice of the scan.
        size: Width and height, pixels.
    """
    grid = content.head.grid
    plane = grid.affine.copy()
    plane[:3, 3] = grid.world(np.array([0.0, 0.0, float(k)]))
    canvas_from_plane = np.linalg.inv(CANVAS.affine) @ content.result.template_from_world @ plane
    values = resample(volume, canvas_from_plane, (grid.shape[0], grid.shape[1], 1))
    inside = volume[volume > 0]
    top = float(np.percentile(inside, _TOP_PERCENT)) * _HEADROOM if inside.size else 1.0
    greys = np.clip(255.0 * axial_view(values, 0) / top, 0.0, 255.0).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(greys))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
