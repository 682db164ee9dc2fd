"""Lights on an even dark ground, as of stars or of stained cells: pictures of nothing that light falls on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["only_lights"]

# The ground: what is no brighter than its darkest by so much. It is dark itself, and most of the picture.
DARKEST, DARK, WIDTH, PART = 0.05, 0.2, 0.12, 0.6
# It is even: between these quantiles the medians of blocks of so many pixels, of which this part is ground, differ by
# less than that.
BLOCK, COVERED, QUANTILES, EVEN = 24, 0.3, (0.05, 0.95), 0.04
# Lights on it: so many at least, the largest no more than this part of the picture, which a body before black cloth is.
FEWEST, LARGEST = 5, 0.03


def only_lights(whole: Tensor) -> bool:
    """Whether a picture shows small lights on an even dark ground and nothing else.

    Parameters
    ----------
    whole : Tensor of float32, shape (3, h, w)
        All of it, reduced, range about [0, 1].

    Returns
    -------
    bool

    Examples
    --------
    >>> import torch
    >>> sky = torch.full((3, 96, 96), 0.02)
    >>> sky[:, 8::16, 8::16] = sky[:, 9::16, 8::16] = 1.0
    >>> only_lights(sky), only_lights(sky + 0.5)
    (True, False)
    """
    level = np.asarray(cv2.blur(whole.amax(0).numpy(), (3, 3)), np.float32)
    darkest = float(np.quantile(level, DARKEST))
    ground = level <= darkest + WIDTH
    if darkest > DARK or ground.mean() < PART:
        return False
    count, _, lights, _ = cv2.connectedComponentsWithStats((~ground).astype(np.uint8))
    if count - 1 < FEWEST or lights[1:, cv2.CC_STAT_AREA].max() > LARGEST * ground.size:
        return False
    low, high = np.quantile(_levels(level, ground), QUANTILES)
    return bool(high - low < EVEN)


def _levels(level: NDArray[np.float32], ground: NDArray[np.bool_]) -> list[float]:
    """How bright the ground is, from block to block."""
    height, width = level.shape
    blocks = [
        (slice(top, top + BLOCK), slice(left, left + BLOCK))
        for top in range(0, height, BLOCK)
        for left in range(0, width, BLOCK)
    ]
    return [float(np.median(level[block][ground[block]])) for block in blocks if ground[block].mean() > COVERED]
