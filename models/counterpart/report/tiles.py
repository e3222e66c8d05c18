"""Paints the slices of the HTML report as small pictures: greys, residual, and two overlays.

A *tile* is one panel of one slice, about one pixel per millimetre. A *sheet* is a picture of many
tiles in rows, so that a browser has few pictures to keep.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from counterpart.report.head import Head
from counterpart.report.look import OPACITY, PLAIN, Look, residual_colours
from counterpart.report.panels import outline_field, soft_edge

PIXEL_MM = 1.0
OVERLAY_ZOOM = 2
MOST_PIXELS = 7_000_000
QUALITY = 78
SHEET_COLUMNS = 6
SHEET_TILES = 24
GREY_KINDS = ("scan", "reconstruction", "counterpart")
OVERLAY_KINDS = ("anomaly", "baseline")
_OUTLINE = 255
_STEPS = 100

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Tiles:
    """The panels of some axial slices, as pixels.

    Args:
        slices: Axial slice of the head of each tile.
        greys: By kind, (N, H, W), in the report's window.
        residual: (N, H, W, 3).
        overlays: By kind, indices into ``palette``; twice as fine as the greys, (N, 2 H, 2 W).
        palette: (256, 4) red, green, blue, opacity.
    """

    slices: list[int]
    greys: dict[str, Bytes]
    residual: Bytes
    overlays: dict[str, Bytes]
    palette: Bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a tile, pixels."""
        return (self.residual.shape[2], self.residual.shape[1])

    def picture(self, panel: str, number: int) -> str:
        """One panel of one tile as a data URI, overlays laid over the scan."""
        if panel in self.overlays:
            wide, tall = self.size
            fine = (OVERLAY_ZOOM * wide, OVERLAY_ZOOM * tall)
            under = _resized(self.greys["scan"][number][None], fine)[0, ..., None]
            over = self.palette[self.overlays[panel][number]].astype(np.float32)
            share = over[..., 3:] / 255.0
            return encode(np.rint(under * (1 - share) + over[..., :3] * share).astype(np.uint8))
        return encode(self.residual[number] if panel == "residual" else self.greys[panel][number])

    def sheets(self, kind: str) -> list[str]:
        """All tiles of a kind as data URIs of sheets; an overlay's are transparent."""
        whole = {**self.greys, "residual": self.residual, **self.overlays}[kind]
        palette = self.palette if kind in self.overlays else None
        parts = range(0, len(whole), SHEET_TILES)
        return [encode(_sheet(whole[at : at + SHEET_TILES]), palette) for at in parts]


def paint_tiles(head: Head, look: Look, slices: Sequence[int]) -> Tiles:
    """Paint every panel of the given axial slices.

    Args:
        head: What to paint.
        look: In which greys and colours.
        slices: Axial slices of the head.
    """
    chosen = np.asarray(slices, np.int64)
    size = tile_size(head, len(chosen))
    sources = zip(GREY_KINDS, (head.scan, head.reconstruction, head.counterpart), strict=True)
    low, high = look.window
    greys = {
        kind: _resized(_bytes(stack(look.grey(values), chosen), low, high), size)
        for kind, values in sources
    }
    end = look.residual
    level = _resized(_bytes(stack(head.residual, chosen), -end, end), size)
    colours = np.rint(255.0 * residual_colours()(np.linspace(0.0, 1.0, 256))[:, :3])
    inside = stack(head.brain | (head.labels > 0), chosen)
    edge = _resized(np.stack([_bytes(soft_edge(part), 0.0, 1.0) for part in inside]), size) > 127
    residual = np.where(edge[..., None], colours.astype(np.uint8)[level], np.uint8(0))
    fine = (OVERLAY_ZOOM * size[0], OVERLAY_ZOOM * size[1])
    anomaly, baseline = _overlays(head, look, chosen, fine)
    overlays = {"anomaly": anomaly, "baseline": baseline}
    return Tiles(list(slices), greys, residual, overlays, overlay_palette(look))


def tile_size(head: Head, count: int) -> tuple[int, int]:
    """Width and height of a tile, about a pixel per millimetre, less where there are many tiles."""
    wide, tall, _ = head.size_mm
    step = max(PIXEL_MM, float(np.sqrt(wide * tall * count / MOST_PIXELS)))
    return (max(1, round(wide / step)), max(1, round(tall / step)))


def stack(array: NDArray[Any], slices: NDArray[np.int64]) -> NDArray[Any]:
    """The axial views (N, J, I) of some slices."""
    low, high = int(slices.min()), int(slices.max()) + 1
    views = np.ascontiguousarray(array[::-1, ::-1, low:high].T)
    return views if len(views) == len(slices) else views[slices - low]


def overlay_palette(look: Look) -> Bytes:
    """Colours of the overlays: 0 nothing, 1 to 100 darker, 101 to 200 brighter, then marks.

    Index 201 is the plain baseline's colour, 255 the findings' outline.
    """
    palette = np.zeros((256, 4), np.uint8)
    lowest = min(look.threshold, look.anomaly)
    ends = np.linspace(lowest, look.anomaly, _STEPS) / look.anomaly
    for first, sign in ((1, -1.0), (1 + _STEPS, 1.0)):
        colours = np.array(look.overlay(0.5 + 0.5 * sign * np.clip(ends, 0.0, 1.0)))
        colours[:, 3] = OPACITY
        palette[first : first + _STEPS] = np.rint(255.0 * colours)
    palette[1 + 2 * _STEPS] = np.rint(255.0 * np.array([*to_rgb(PLAIN), OPACITY]))
    palette[_OUTLINE] = 255
    return palette


def overlay_levels(anomaly: NDArray[np.float32], look: Look) -> Bytes:
    """Index into `overlay_palette` of each value of the anomaly map."""
    strength = np.abs(anomaly)
    span = max(look.anomaly - look.threshold, 1e-6)
    step = np.clip((strength - look.threshold) / span * (_STEPS - 1), 0, _STEPS - 1)
    index = np.rint(step) + np.where(anomaly > 0, 1 + _STEPS, 1)
    return np.where(strength >= look.threshold, index, 0).astype(np.uint8)


def _overlays(
    head: Head, look: Look, chosen: NDArray[np.int64], size: tuple[int, int]
) -> tuple[Bytes, Bytes]:
    anomaly, labels = stack(head.anomaly, chosen), stack(head.labels, chosen)
    flagged = stack(head.baseline, chosen)
    shape = (len(chosen), size[1], size[0])
    over, plain = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for n in range(len(chosen)):
        if flagged[n].any():
            plain[n][_scaled(flagged[n], size) >= 0.5] = 1 + 2 * _STEPS
        if (np.abs(anomaly[n]) >= look.threshold).any():
            over[n] = overlay_levels(_scaled(anomaly[n], size), look)
        if labels[n].any():
            ring = outline(anomaly[n], labels[n] > 0, look.threshold, size)
            over[n][ring] = plain[n][ring] = _OUTLINE
    return over, plain


def outline(
    anomaly: NDArray[np.float32],
    inside: NDArray[np.bool_],
    threshold: float,
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """The pixels just around the findings of one view, brighter and darker ones apart.

    Args:
        anomaly: One view of the anomaly map.
        inside: Where findings are.
        threshold: Of the anomaly map.
        size: Width and height of the tile, pixels.
    """
    ring = np.zeros((size[1], size[0]), np.bool_)
    for sign in (1.0, -1.0):
        held = inside & (sign * anomaly > 0)
        if held.any():
            field = outline_field(sign * anomaly, held, threshold)
            within = _scaled(field, size) > 0
            wider = np.pad(within, 1)
            around = wider[:-2, 1:-1] | wider[2:, 1:-1] | wider[1:-1, :-2] | wider[1:-1, 2:]
            ring |= around & ~within
    return ring


def _bytes(values: NDArray[Any], low: float, high: float) -> Bytes:
    level = values.astype(np.float32)
    level -= np.float32(low)
    level *= np.float32(255.0 / (high - low))
    level += np.float32(0.5)
    return np.clip(level, 0.0, 255.0, out=level).astype(np.uint8)


def _resized(tiles: Bytes, size: tuple[int, int]) -> Bytes:
    if (tiles.shape[2], tiles.shape[1]) == size:
        return tiles
    filtered = (Image.fromarray(tile).resize(size, Image.Resampling.BICUBIC) for tile in tiles)
    return np.stack([np.asarray(tile) for tile in filtered])


def _scaled(view: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    picture = Image.fromarray(view.astype(np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def _sheet(tiles: Bytes) -> Bytes:
    count, tall, wide = tiles.shape[:3]
    rows = -(-count // SHEET_COLUMNS)
    sheet = np.zeros((rows * SHEET_COLUMNS, *tiles.shape[1:]), np.uint8)
    sheet[:count] = tiles
    ordered = sheet.reshape(rows, SHEET_COLUMNS, *tiles.shape[1:]).swapaxes(1, 2)
    return ordered.reshape(rows * tall, SHEET_COLUMNS * wide, *tiles.shape[3:])


def encode(pixels: Bytes, palette: Bytes | None = None) -> str:
    """A picture as a data URI: a PNG with the given palette, else a JPEG.

    Args:
        pixels: (H, W) greys or indices, or (H, W, 3) colours.
        palette: (256, 4) colours of the indices.
    """
    stream = io.BytesIO()
    picture = Image.fromarray(pixels)
    if palette is None:
        picture.save(stream, "JPEG", quality=QUALITY)
        return _data_uri("jpeg", stream)
    picture.putpalette(palette[:, :3].tobytes())
    picture.save(stream, "PNG", transparency=palette[:, 3].tobytes(), compress_level=6)
    return _data_uri("png", stream)


def _data_uri(kind: str, stream: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
