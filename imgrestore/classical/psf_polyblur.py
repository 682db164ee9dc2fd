"""Mild blur from the sharpest edges: a Gaussian whose widths are read off the steepest gradients."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["edge_gaussian"]

# The steepest gradient of a picture between 0 and 1 that a Gaussian of sigma blurred is STEEP / sqrt(sigma^2 + OWN^2):
# fitted to photographs that were blurred by 0.5 to 4 pixels.
STEEP, OWN = 0.283, 0.62
# Gradients are measured in so many directions and read between them; the steepest are above this quantile.
DIRECTIONS, FINER = 6, 30
STEEPEST = 0.9999
TAILS = 1e-4
NOISE = 3.0
LEAST, MOST = 0.3, 4.0


def edge_gaussian(gray: NDArray[Any], noise: float = 0.0) -> tuple[float, float, float]:
    """The Gaussian that blurs black and white steps as far as a picture's steepest gradients say.

    Parameters
    ----------
    gray : ndarray of float32, shape (H, W)
    noise : float
        Standard deviation.

    Returns
    -------
    tuple of float
        The larger and the smaller standard deviation in pixels (0.3 to 4), and the direction of the larger one in
        degrees counter-clockwise.

    References
    ----------
    Delbracio, Garcia-Dorado, Choi, Kelly & Milanfar, "Polyblur: Removing mild blur by polynomial reblurring" (2021).
    """
    black, white = np.quantile(gray, (TAILS, 1 - TAILS))
    unit = np.clip((gray - black) / max(white - black, 1e-6), 0, 1).astype(np.float32)
    right = cv2.Sobel(unit, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(unit, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    angles = np.arange(DIRECTIONS) * math.pi / DIRECTIONS
    steepest = np.array([_steepest(right * math.cos(a) - down * math.sin(a)) for a in angles])
    steepest = np.maximum(steepest - NOISE * noise / max(white - black, 1e-6), 1e-3)
    finer = np.arange(FINER) * math.pi / FINER
    steepest = np.interp(finer, [*angles, math.pi], [*steepest, steepest[0]])
    blurred = int(np.argmin(steepest))
    wide, narrow = (_sigma(steepest[(blurred + turn) % FINER]) for turn in (0, FINER // 2))
    return max(wide, narrow), min(wide, narrow), blurred * 180 / FINER


def _steepest(gradient: NDArray[Any]) -> float:
    return float(np.quantile(np.abs(gradient), STEEPEST))


def _sigma(steepest: float) -> float:
    return float(np.clip(math.sqrt(max((STEEP / steepest) ** 2 - OWN**2, 0)), LEAST, MOST))
