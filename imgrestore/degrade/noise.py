"""Smooth noise that is quick to draw: uniform values on grids from coarse to fine, laid over each other."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["cloud", "drift", "step"]

# Of float32.
Field = NDArray[Any]
Shape = tuple[int, int]


def cloud(
    shape: Shape,
    rng: np.random.Generator,
    coarse: float = 4.0,
    count: int = 5,
    gain: float = 0.55,
    stretch: float = 1.0,
) -> Field:
    """Noise of several octaves, its values spread nearly evenly from 0 to 1.

    Parameters
    ----------
    shape : (int, int)
        Height and width.
    rng : numpy.random.Generator
        The source of randomness.
    coarse : float
        Cells of the coarsest octave along the longer side.
    count : int
        Number of octaves, each twice as fine; those finer than a pixel are left out.
    gain : float
        Amplitude of an octave over that of the coarser one.
    stretch : float
        How many times longer down than across the cells are.

    Returns
    -------
    ndarray of float32, shape (H, W)

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.degrade.noise import cloud
    >>> field = cloud((40, 60), np.random.default_rng(0))
    >>> field.shape, bool(field.min() >= 0), bool(field.max() <= 1)
    ((40, 60), True, True)
    """
    total = np.zeros(shape, np.float32)
    for octave in range(count):
        cells = coarse * 2.0**octave
        if octave and cells > max(shape):
            break
        total += np.float32(gain**octave) * drift(shape, rng, cells, stretch)
    total -= total.mean()
    spread = float(total.std()) or 1.0
    # The normal distribution function, nearly: it spreads the values evenly.
    return 1 / (1 + cv2.exp(total * np.float32(-1.7 / spread)))


def drift(shape: Shape, rng: np.random.Generator, cells: float = 4.0, stretch: float = 1.0) -> Field:
    """One octave of smooth noise, about from -1 to 1.

    Parameters
    ----------
    shape : (int, int)
        Height and width.
    rng : numpy.random.Generator
        The source of randomness.
    cells : float
        Cells along the longer side.
    stretch : float
        How many times longer down than across the cells are.

    Returns
    -------
    ndarray of float32, shape (H, W)
    """
    per = cells / max(shape)
    rows = min(shape[0], max(2, round(per * shape[0] / stretch) + 1))
    columns = min(shape[1], max(2, round(per * shape[1]) + 1))
    grid = rng.random((rows, columns), np.float32) * 2 - 1
    return cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC).reshape(shape)


def step(values: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, and a smooth step between.

    Parameters
    ----------
    values : ndarray
        Any shape.
    low, high : float
        Ends of the step.

    Returns
    -------
    ndarray, shape of `values`
    """
    part = ((values - low) / (high - low)).clip(0, 1)
    return part * part * (3 - 2 * part)
