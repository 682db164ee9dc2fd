"""Where in a picture highlights may lie, and how bright they are there."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.light import decode

__all__ = ["View", "look", "place"]

# Pictures are looked at in this size.
SMALL = 48


class View(NamedTuple):
    """A picture, looked at from afar.

    Attributes
    ----------
    weight : ndarray of float32, shape (SMALL, SMALL)
        How likely highlights are.
    along : ndarray of float32, shape (SMALL, SMALL)
        The direction in which brightness does not change: radians, 0 is down the rows.
    steep : ndarray of float32, shape (SMALL, SMALL)
        How much it changes across.
    level : float
        Linear light of the picture's bright parts.
    black : bool
        Whether it is an object on black ground.
    """

    weight: NDArray[np.float32]
    along: NDArray[np.float32]
    steep: NDArray[np.float32]
    level: float
    black: bool


def look(clean: Tensor, linear: bool) -> View:
    """Look for places that could mirror something.

    Parameters
    ----------
    clean : Tensor, shape (C, H, W)
        The picture.
    linear : bool
        Whether its values are linear light, or sRGB.

    Returns
    -------
    View
    """
    picture = clean.detach().to("cpu", torch.float32).numpy()
    black = float((picture.max(0) <= 0).mean()) > 0.15
    small = np.stack([cv2.resize(plane, (SMALL, SMALL), interpolation=cv2.INTER_AREA) for plane in picture])
    light = small if linear else decode(torch.from_numpy(small)).numpy()
    largest = light.max(0)
    bright = float(np.quantile(largest[largest > 0], 0.97)) if (largest > 0).any() else 1.0
    colour = (largest - light.min(0)) / np.maximum(largest, 1e-3)
    tone = np.sqrt(largest.clip(0, 1))
    rough = np.sqrt(np.maximum(cv2.blur(tone * tone, (5, 5)) - cv2.blur(tone, (5, 5)) ** 2, 0))
    # Any material can mirror; even and coloured ones more often, and what is white already hides it.
    weight = (0.25 + colour) * np.exp(-((rough / 0.15) ** 2)) * (1 - largest.clip(0, 1)) + 1e-6
    weight = weight * (largest > 0.05 * bright) if black else weight
    smooth = cv2.GaussianBlur(tone, (0, 0), 1.0)
    down, right = cv2.Sobel(smooth, cv2.CV_32F, 0, 1), cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    level = float(np.clip(bright, 0.02, 1.0))
    return View(weight, np.arctan2(down, -right), np.hypot(down, right), level, black)


def place(rng: np.random.Generator, view: View | None) -> tuple[float, float, float | None]:
    """Draw a place.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of randomness.
    view : View, optional
        Without one all places are alike.

    Returns
    -------
    tuple of float, float, and float or None
        Parts of the height and of the width, and the direction along which a body lies there, if any.
    """
    if view is None or not view.weight.any():
        return float(rng.uniform(0.05, 0.95)), float(rng.uniform(0.05, 0.95)), None
    # The first cell at which the weights' running sum passes a random part of it.
    sums = np.cumsum(view.weight.ravel(), dtype=np.float64)
    row, column = divmod(int(np.searchsorted(sums, rng.uniform(0, sums[-1]))), SMALL)
    along = float(view.along[row, column]) if view.steep[row, column] > 0.06 else None
    return float((row + rng.uniform()) / SMALL), float((column + rng.uniform()) / SMALL), along
