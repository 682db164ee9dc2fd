"""Shadows on documents: the light on the paper, read off the paper itself.

Paper is the brightest thing near every letter. Pixels that are nearly as bright as a closing by a window wider than a
stroke are taken for paper, and their mean is the surface; figures, where no paper is seen, are filled from around them.
The surface relative to its lit part is the gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.classical.shadow_light import Light
from imgrestore.classical.shadow_regions import chroma

__all__ = ["Paper", "find_paper", "paper_gain"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

SIDE = 640
BLACK = 0.002
# Windows in parts of the longer side: wider than strokes, wider than headlines, and the reach of the surface's mean.
STROKE = 0.022
HEADLINE = 0.08
REACH = 0.008
FINE_REACH = 0.0025
# Logarithms of linear light: how far below the closing paper still is, ink begins, and solid ink is.
PAPER_FALL = 0.17
INK_FALL = 0.35
SOLID_FALL = 1.7
# No shade on a page is as deep: what is darker than lit paper by more is a block of ink.
DEEPEST = 2.3
# Flat paper scatters no more than this about its surface.
FLAT = 0.12
# Colour of a figure: away from the paper's log-chromaticity by more than this.
FIGURE_COLOUR = 0.22
FIGURE_TEXTURE = 0.16
EDGE_RANGE = 0.5
EDGE_SLACK = 0.05
# Where a narrow mean departs from a wide one by this, there is an edge of light.
SHARP = 0.04
# The lit paper is this quantile of the surface.
LIT = 0.93
# A page is mostly flat paper of one colour with some thin ink, and is no dark thing.
LEAST_PAPER = 0.52
LEAST_INK = 0.006
MOST_INK = 0.45
LEAST_EVEN = 0.66
BLACK_INK = 0.8
LEAST_BLACK = 0.2
THICK = 0.6
THICK_GRAY = 0.3
DARKEST_PAPER = 0.3
COLOUR_SPREAD = 0.07
STRONGEST_TONE = 0.2


@dataclass(frozen=True)
class Paper:
    """The paper of a page, at reduced size.

    Attributes
    ----------
    surface : ndarray, shape (3, h, w)
        Logarithm of the linear light of blank paper, everywhere.
    lit : ndarray, shape (3,)
        That of the paper in full light.
    figures : ndarray of bool, shape (h, w)
        Where no paper is seen.
    depth : float
        Spread of the surface's light, as a logarithm: how uneven the light is.
    reasons : tuple of str
        Why this is no page; empty where it is one.
    """

    surface: Array
    lit: Array
    figures: Mask
    depth: float
    reasons: tuple[str, ...]


def find_paper(light: Light, *, told: bool = True) -> Paper | None:
    """Fit the surface of the paper, and judge whether the picture is a page at all.

    Parameters
    ----------
    light : Light
    told : bool
        Fit it to whatever is there.

    Returns
    -------
    Paper or None
        None where it was not told, and there is surely too little paper.
    """
    linear, _, _ = light.reduced(SIDE)
    log_rgb = light.logarithm(linear, BLACK)
    log_light = log_rgb.mean(0)
    side = max(log_light.shape)
    calm = cv2.GaussianBlur(log_light, (0, 0), max(0.6, 0.0012 * side))
    narrow, broad = (_closed(calm, part * side) for part in (STROKE, HEADLINE))
    # Between both windows lie headlines and fingers of shade: only ink is as black as this.
    crest = np.where(broad - narrow > SOLID_FALL, broad, narrow)
    paper = log_light > crest - PAPER_FALL
    if not told and float(paper.mean()) < LEAST_PAPER:
        return None
    reach = max(2.0, REACH * side)
    colours = np.stack(chroma(np.moveaxis(log_rgb, 0, -1)))
    blank = paper & (_spread(log_light, paper, reach) < FIGURE_TEXTURE)
    # The edge of a shadow is uneven, too, but it lies between paper as dark and paper as bright as it is itself.
    dense = _mean(blank.astype(np.float32), np.ones_like(blank), reach) > 0.2
    blank |= paper & _between(crest, blank & _opened(dense, 7 * reach), 6 * reach)
    if not blank.any():
        blank = paper
    blank &= log_light > np.quantile(log_light[blank], LIT) - DEEPEST
    tone = np.array([np.median(plane[blank]) for plane in colours], np.float32)
    # A shadow may be tinted as a whole, a figure stands out against the paper at its side.
    around = np.stack([_mean(plane, blank, 0.1 * side) for plane in colours])
    tinted = np.minimum(np.hypot(*(colours - around)), np.hypot(*(colours - tone[:, None, None]))) > FIGURE_COLOUR
    blank &= ~tinted
    seen = _mean(blank.astype(np.float32), np.ones_like(blank), 2 * reach)
    blank &= seen > 0.25
    figures = _mean(blank.astype(np.float32), np.ones_like(blank), reach) < 0.05
    surface = _edged(log_rgb, blank, side)
    level = surface.mean(0)
    bright = level >= np.quantile(level, LIT)
    lit = np.array([np.median(plane[bright]) for plane in surface], np.float32)
    fall = log_light - level
    flat = np.abs(fall) < FLAT
    ink = fall < -INK_FALL
    share, written = float((flat & ~tinted).mean()), float(ink.mean())
    hue = np.stack(chroma(np.moveaxis(surface, 0, -1)))
    colourful = float(np.hypot(*(plane.std() for plane in hue)))
    reasons = []
    if share < LEAST_PAPER or float((np.abs(fall) < FLAT / 2).mean()) < LEAST_EVEN * share:
        reasons.append(f"only {share:.0%} of it is flat paper")
    if not LEAST_INK <= written <= MOST_INK or float((fall < -BLACK_INK).sum()) < LEAST_BLACK * float(ink.sum()):
        reasons.append("it has no ink of a page")
    if float(np.exp(lit.min())) < DARKEST_PAPER:
        reasons.append("its ground is dark")
    if colourful > COLOUR_SPREAD or float(np.hypot(*tone)) > STRONGEST_TONE:
        reasons.append("its ground is coloured")
    # Without colours to tell paper by, strokes have to.
    gray = float(np.abs(colours).max()) < 1e-3
    if _thick(ink, side) > (THICK_GRAY if gray else THICK):
        reasons.append("its dark parts are no strokes")
    depth = float(lit.mean() - np.quantile(level, 0.03))
    return Paper(surface, lit, figures, depth, tuple(reasons))


def paper_gain(light: Light, paper: Paper) -> Array:
    """The light on a page relative to its lit paper.

    Parameters
    ----------
    light : Light
    paper : Paper

    Returns
    -------
    ndarray, shape (C, H, W)
        In linear light, above 0 and at most 1.
    """
    height, width = light.linear.shape[1:]
    logs = np.minimum(paper.surface - paper.lit[:, None, None], 0)
    planes = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in logs]
    gain = np.exp(np.stack(planes))
    if len(light.linear) == 1:
        gain = gain.mean(0, keepdims=True)
    return gain.astype(np.float32)


def _closed(plane: Array, reach: float) -> Array:
    size = max(3, 2 * round(reach / 2) + 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.morphologyEx(plane, cv2.MORPH_CLOSE, kernel)


def _box(plane: Array, reach: float) -> Array:
    size = 2 * max(1, round(reach)) + 1
    return cv2.blur(cv2.blur(plane, (size, size)), (size, size))


def _mean(plane: Array, where: Mask, reach: float) -> Array:
    """Mean over a neighbourhood of the pixels that count."""
    weight = where.astype(np.float32)
    return _box(plane * weight, reach) / np.maximum(_box(weight, reach), 1e-4)


def _spread(plane: Array, where: Mask, reach: float) -> Array:
    mean = _mean(plane, where, reach)
    return np.sqrt(np.maximum(_mean(plane * plane, where, reach) - mean * mean, 0))


def _between(plane: Array, where: Mask, reach: float) -> Mask:
    """Where a plane lies well inside the range that it has at the pixels that count nearby."""
    size = 2 * round(reach) + 1
    kernel = np.ones((size, size), np.uint8)
    low = cv2.erode(np.where(where, plane, 1e3).astype(np.float32), kernel)
    high = cv2.dilate(np.where(where, plane, -1e3).astype(np.float32), kernel)
    return (high - low > EDGE_RANGE) & (plane > low - EDGE_SLACK)


def _filled(planes: Array, where: Mask, reach: float) -> Array:
    """Smooth surfaces (C, H, W) through the pixels that count; wide gaps are bridged from ever further away."""
    weight = where.astype(np.float32)
    weighted = planes * weight
    value, total = np.zeros_like(planes), np.zeros_like(weight)
    scale = reach
    while scale < 2 * max(where.shape):
        near = _box(weight, scale)
        part = np.clip(near * 4, 0, 1) * (1 - total)
        share = part / np.maximum(near, 1e-6)
        for sum_, plane in zip(value, weighted, strict=True):
            sum_ += share * _box(plane, scale)
        total += part
        if float(total.min()) > 0.98:
            break
        scale *= 2
    return value / np.maximum(total, 1e-6)


def _edged(planes: Array, where: Mask, side: int) -> Array:
    """The surfaces from a wide mean, and from a narrow one where the light changes quickly."""
    wide, narrow = (_filled(planes, where, max(1.0, part * side)) for part in (REACH, FINE_REACH))
    sharp = np.clip(np.abs(narrow - wide) / SHARP - 0.5, 0, 1)
    return wide + np.stack([_box(plane, 2) for plane in sharp]) * (narrow - wide)


def _thick(ink: Mask, side: int) -> float:
    """How much of the ink is wider than strokes."""
    return float(_opened(ink, STROKE * side).sum()) / max(float(ink.sum()), 1.0)


def _opened(mask: Mask, reach: float) -> Mask:
    size = 2 * round(reach / 2) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel).astype(bool)
