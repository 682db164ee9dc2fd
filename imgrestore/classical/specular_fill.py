"""A smooth surface over holes: what a body would look like where its highlights are."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Area = NDArray[np.bool_]

SWEEPS = 4


def membrane(image: Image, hole: Area) -> Image:
    """Fill holes with the surface that is spanned by their rims: every pixel the mean of its neighbours.

    A pyramid gives the start, a few sweeps on each of its levels the rest.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W, C)
    hole : ndarray of bool, shape (H, W)
        Pixels to fill. Their values are not looked at.

    Returns
    -------
    ndarray of float32, shape (H, W, C)
        `image` outside of the holes, bit by bit. Where everything is a hole: 0.

    References
    ----------
    Perez, Gangnet & Blake, "Poisson image editing" (2003); Gortler et al., "The lumigraph" (1996), for the pyramid.
    """
    if not hole.any():
        return image
    if hole.all():
        return np.zeros_like(image)
    height, width, channels = image.shape
    half_height, half_width = (height + 1) // 2, (width + 1) // 2
    beyond = (0, 2 * half_height - height, 0, 2 * half_width - width, cv2.BORDER_CONSTANT)
    known = (~hole).astype(np.float32)
    light = cv2.copyMakeBorder(planes(image * known[..., None], image), *beyond)
    known = np.asarray(cv2.copyMakeBorder(known, *beyond), np.float32)
    size = (half_width, half_height)
    count = cv2.resize(known, size, interpolation=cv2.INTER_AREA)[..., None]
    total = planes(cv2.resize(light, size, interpolation=cv2.INTER_AREA), image)
    coarse = membrane(np.asarray(total / np.maximum(count, 0.25), np.float32), count[..., 0] == 0)
    start = planes(cv2.resize(coarse, (2 * half_width, 2 * half_height), interpolation=cv2.INTER_LINEAR), image)
    # With a rim, so that every pixel has four neighbours.
    row = width + 2
    whole = np.where(hole[..., None], start[:height, :width], image)
    flat = np.pad(whole, ((1, 1), (1, 1), (0, 0)), mode="edge").reshape(-1, channels)
    rows, columns = np.nonzero(hole)
    inside = (rows + 1) * row + columns + 1
    for _ in range(SWEEPS):
        flat[inside] = (flat[inside - 1] + flat[inside + 1] + flat[inside - row] + flat[inside + row]) / 4
    return np.ascontiguousarray(flat.reshape(height + 2, row, channels)[1:-1, 1:-1])


def planes(result: Any, like: Image) -> Image:
    """What OpenCV gave, with the last axis that it leaves off where that is 1."""
    return np.asarray(result, np.float32).reshape(*result.shape[:2], like.shape[2])
