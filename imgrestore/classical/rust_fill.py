"""Filling what a crust hides: the smoothest surface from the rim of the hole, from coarse to fine, and its grain."""

from __future__ import annotations

import cv2
import numpy as np

from imgrestore.classical.rust_colour import Area, Field

SMALLEST = 3
SWEEPS = 24
# Grain is what a Gaussian of this width leaves, and no more than so many times its usual size.
GRAIN_WIDTH = 1.5
GRAIN_LIMIT = 2.5


def fill(picture: Field, hole: Area, grain: bool = True) -> Field:
    """Fill a hole from its surroundings.

    Parameters
    ----------
    picture : ndarray of float32, shape (H, W, C)
        Any range.
    hole : ndarray of bool, shape (H, W)
        What to fill; not all of the picture.
    grain : bool
        Give the filling the grain of the surface near it; without it the filling is smooth.

    Returns
    -------
    ndarray of float32, shape (H, W, C)
        Outside the hole the picture as it was.
    """
    smooth = _harmonic(np.ascontiguousarray(picture, np.float32), hole)
    if not grain or not hole.any():
        return smooth
    filled = smooth + np.where(hole[..., None], _grain(picture, hole), 0)
    return np.asarray(filled, np.float32)


def _harmonic(picture: Field, hole: Area) -> Field:
    """The membrane over the hole, nearly: a coarse one, relaxed on finer and finer grids."""
    known = (~hole).astype(np.float32)
    values = picture * known[..., None]
    pyramid: list[tuple[Field, Field]] = [(values, known)]
    while min(pyramid[-1][1].shape) > SMALLEST and pyramid[-1][1].min() == 0:
        values, known = pyramid[-1]
        half = ((known.shape[1] + 1) // 2, (known.shape[0] + 1) // 2)
        seen = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(values, half, interpolation=cv2.INTER_AREA).reshape(*seen.shape, -1)
        pyramid.append((coarse / np.maximum(seen, 1e-6)[..., None], (seen > 0.25).astype(np.float32)))
        pyramid[-1] = (pyramid[-1][0] * pyramid[-1][1][..., None], pyramid[-1][1])
    values, known = pyramid[-1]
    mean = values.sum(axis=(0, 1)) / max(float(known.sum()), 1e-6)
    filled = values + (1 - known)[..., None] * mean
    for values, known in reversed(pyramid[:-1]):
        size = (known.shape[1], known.shape[0])
        up = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR).reshape(values.shape)
        filled = values + up * (1 - known)[..., None]
        filled = _relaxed(filled, known == 0)
    return np.asarray(filled, np.float32)


CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4


def _relaxed(filled: Field, hole: Area) -> Field:
    """Each pixel of the hole as the mean of its neighbours, a few times over."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    if not len(rows):
        return filled
    box = (
        slice(max(0, int(rows[0]) - 1), int(rows[-1]) + 2),
        slice(max(0, int(columns[0]) - 1), int(columns[-1]) + 2),
    )
    part, open_ = filled[box], hole[box][..., None]
    for _ in range(SWEEPS):
        mean = cv2.filter2D(part, -1, CROSS, borderType=cv2.BORDER_REFLECT).reshape(part.shape)
        part = np.where(open_, mean, part)
    filled[box] = part
    return filled


def _grain(picture: Field, hole: Area) -> Field:
    """Fine grain for the hole, taken from the nearest shift of the picture that covers most of it."""
    known = (~hole).astype(np.float32)
    low = _blur(picture * known[..., None]) / np.maximum(_blur(known[..., None]), 1e-3)
    # Grain near the hole's rim is cut off by it.
    clean = cv2.erode(known, np.ones((5, 5), np.uint8)) > 0
    detail = np.where(clean[..., None], picture - low, 0)
    usual = np.median(np.abs(detail[clean]), axis=0) * 1.4826 if clean.any() else np.zeros(picture.shape[2])
    detail = np.clip(detail, -GRAIN_LIMIT * usual, GRAIN_LIMIT * usual)
    grain = np.zeros_like(picture)
    missing = hole.copy()
    height, width = hole.shape
    reach = 8
    while missing.any() and reach < max(height, width):
        for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            rows, from_rows = _overlap(height, down * reach)
            columns, from_columns = _overlap(width, across * reach)
            use = missing[rows, columns] & clean[from_rows, from_columns]
            grain[rows, columns][use] = detail[from_rows, from_columns][use]
            missing[rows, columns] &= ~use
        reach *= 2
    return grain


def _blur(values: Field) -> Field:
    return cv2.GaussianBlur(values, (0, 0), GRAIN_WIDTH).reshape(values.shape)


def _overlap(length: int, shift: int) -> tuple[slice, slice]:
    """Where a line overlaps itself when shifted, and what then comes to lie there."""
    if shift >= 0:
        return slice(0, max(0, length - shift)), slice(min(shift, length), length)
    return slice(min(-shift, length), length), slice(0, max(0, length + shift))
