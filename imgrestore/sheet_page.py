"""Where everything stands on a sheet: titles, rows of panels and their captions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Panel", "compose", "panel_scale"]

PAPER, INK, SOFT, LINE = (255, 255, 255), (26, 26, 26), (110, 110, 110), (214, 214, 214)
LARGEST, SMALLEST, LOWEST = 640, 320, 96
MARGIN, GUTTER = 32, 16
TITLE, CAPTION = 19, 14


@dataclass
class Panel:
    """A picture with its caption.

    Attributes
    ----------
    caption : str
    pixels : ndarray of uint8, shape (h, w, 3)
        At the size of the picture.
    smooth : bool
        Whether it may be interpolated.
    ground : tuple of int, optional
        Fills the cell around a picture of another shape.
    """

    caption: str
    pixels: np.ndarray
    smooth: bool = True
    ground: tuple[int, int, int] | None = None


def panel_scale(height: int, width: int) -> float:
    """How much a picture of this size is shrunk or enlarged on the sheet.

    Parameters
    ----------
    height, width : int

    Returns
    -------
    float
    """
    longest = max(height, width)
    if longest > LARGEST:
        return LARGEST / longest
    return max(1, math.ceil(SMALLEST / longest))


def compose(title: list[str], rows: list[list[Panel]], detail: list[Panel], others: list[Panel]) -> Image:
    """Set titles and rows of panels on one sheet.

    Parameters
    ----------
    title : list of str
        Lines; the first is larger.
    rows : list of list of Panel
        Pictures of one size.
    detail : list of Panel
        Enlarged parts, below them.
    others : list of Panel
        Smaller ones at the bottom.

    Returns
    -------
    PIL.Image.Image
    """
    from PIL import Image, ImageDraw

    height, width = rows[0][0].pixels.shape[:2]
    scale = panel_scale(height, width)
    cell = (max(SMALLEST, round(width * scale)), max(1, round(height * scale)))
    columns = len(rows[0])
    inner = max(columns * cell[0] + (columns - 1) * GUTTER, 2 * SMALLEST + GUTTER)
    placed: list[tuple[list[Panel], int, int]] = [(row, *cell) for row in rows]
    if detail:
        placed.append((detail, cell[0], max(panel.pixels.shape[0] for panel in detail)))
    if others:
        several = max(len(others), 2)
        small = (inner - (several - 1) * GUTTER) // several
        placed.append((others, small, max(LOWEST, min(cell[1], round(height * small / width)))))

    lines = [(text, TITLE if i == 0 else CAPTION, INK if i == 0 else SOFT) for i, text in enumerate(title) if text]
    wrapped = [(part, size, ink) for text, size, ink in lines for part in _wrap(text, size, inner)]
    y = MARGIN + sum(size + 8 for _, size, _ in wrapped) + 12
    total = y + sum(h + CAPTION + 10 + GUTTER for _, _, h in placed) - GUTTER + MARGIN
    sheet = Image.new("RGB", (inner + 2 * MARGIN, total), PAPER)
    pen = ImageDraw.Draw(sheet)
    at = MARGIN
    for text, size, ink in wrapped:
        pen.text((MARGIN, at), text, font=_font(size), fill=ink)
        at += size + 8
    for panels, w, h in placed:
        for i, panel in enumerate(panels):
            x = MARGIN + i * (w + GUTTER)
            picture = _fitted(panel, w, h)
            if panel.ground is not None:
                sheet.paste(panel.ground, (x, y, x + w, y + h))
                sheet.paste(picture, (x + (w - picture.width) // 2, y + (h - picture.height) // 2))
            else:
                sheet.paste(picture, (x, y))
                # White pictures on white paper would have no edge.
                pen.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=LINE)
            caption = _wrap(panel.caption, CAPTION, w)
            pen.text((x, y + h + 6), caption[0], font=_font(CAPTION), fill=SOFT)
        y += h + CAPTION + 10 + GUTTER
    return sheet


def _fitted(panel: Panel, width: int, height: int) -> Image:
    """A panel at the size of its cell: shrunk by averaging, or enlarged by whole factors where it can be."""
    from PIL import Image

    picture = Image.fromarray(panel.pixels)
    scale = min(width / picture.width, height / picture.height)
    if scale >= 1 and (not panel.smooth or scale >= 2):
        scale = math.floor(scale)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST if scale == int(scale) else None
    return picture.resize(size, Image.Resampling.BICUBIC if method is None else method)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _readable(text: str) -> str:
    """Only what Pillow's own font has glyphs for."""
    return "".join(c if " " <= c <= "~" or c in "±·…" else "?" for c in text.replace("×", "x").replace("\n", " "))


def _wrap(text: str, size: int, width: int) -> list[str]:
    font = _font(size)
    lines, line = [], ""
    for word in _readable(text).split(" "):
        longer = f"{line} {word}" if line else word
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    while font.getlength(line) > width and len(line) > 1:
        line = line[:-2] + "…" if line.endswith("…") else line[:-1] + "…"
    return [*lines, line]
