"""Colour as optical density sees it: log ratios of channels, the surface that most of a picture shares, its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

# Of float32; OpenCV's own types do not say so.
Field = NDArray[Any]
Area = NDArray[np.bool_]

# Keeps logarithms of black finite; a little above the rounding of 8 bits.
FLOOR = 0.008
# Darker than this part of white, ratios of channels are noise.
DARK = 0.08
# Colours this near are one surface, in units of log ratio; a noisy surface spreads further.
SAME, WIDEST, SPREAD = 0.09, 0.13, 3.0
LEAST_NOISE = 0.012
BINS, REACH = 160, 2.0


@dataclass(frozen=True)
class Ground:
    """The surface that most of a picture shares.

    Attributes
    ----------
    colour : ndarray, shape (H, W, 2)
        Its log ratios red/green and green/blue, which may drift over the picture.
    area : ndarray of bool, shape (H, W)
        Where it is seen.
    share : float
        Its part of the pixels that are bright enough to have a colour.
    noise : float
        Standard deviation of its log ratios.
    error : float
        Standard deviation of its channels, as far as they do not vary together.
    reach : float
        How far its log ratios spread.
    """

    colour: Field
    area: Area
    share: float
    noise: float
    error: float
    reach: float

    def noise_at(self, picture: Field) -> Field:
        """The standard deviation of log ratios, which grows where pixels are dark.

        Parameters
        ----------
        picture : ndarray, shape (h, w, 3)
            White at 1.

        Returns
        -------
        ndarray, shape (h, w)
        """
        return np.asarray(self.error / np.maximum(picture.min(axis=2), np.float32(0.02)), np.float32)


def white_of(picture: Field) -> float:
    """The level that counts as white, from the bright end of the picture.

    Parameters
    ----------
    picture : ndarray, shape (H, W, C)

    Returns
    -------
    float
        At least 1e-6.
    """
    step = max(1, picture.shape[0] * picture.shape[1] // 65536)
    brightest = picture.max(axis=2).ravel()[::step]
    return max(float(np.quantile(brightest, 0.98)), 1e-6)


def log_light(picture: Field) -> Field:
    """The logarithm of a picture whose white is 1.

    Parameters
    ----------
    picture : ndarray, shape (H, W, 3)

    Returns
    -------
    ndarray, shape (H, W, 3)
    """
    return np.log(np.maximum(picture, 0) + np.float32(FLOOR))


def ratios(log: Field) -> Field:
    """Log ratios red/green and green/blue.

    Parameters
    ----------
    log : ndarray, shape (H, W, 3)
        Of `log_light`.

    Returns
    -------
    ndarray, shape (H, W, 2)
    """
    return log[..., :2] - log[..., 1:]


def coloured(picture: Field) -> Area:
    """Pixels bright enough to have a colour.

    Parameters
    ----------
    picture : ndarray, shape (H, W, 3)
        White at 1.

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    return np.asarray(picture.max(axis=2) > DARK)


def find_ground(picture: Field, usable: Area | None = None) -> Ground | None:
    """The commonest colour of a picture, followed as it drifts.

    Parameters
    ----------
    picture : ndarray, shape (H, W, 3)
        White at 1.
    usable : ndarray of bool, shape (H, W), optional
        Pixels to look at; by default those that have a colour.

    Returns
    -------
    Ground or None
        None where too few pixels have a colour.
    """
    usable = coloured(picture) if usable is None else usable & coloured(picture)
    colour, count = ratios(log_light(picture)), int(usable.sum())
    if count < 16:
        return None
    chosen = colour[usable]
    table, _, _ = np.histogram2d(chosen[:, 0], chosen[:, 1], bins=BINS, range=[[-REACH, REACH]] * 2)
    peak = np.unravel_index(int(gaussian_filter(table, 1.2).argmax()), table.shape)
    middle = (np.asarray(peak, np.float32) + 0.5) * (2 * REACH / BINS) - REACH
    for _ in range(3):
        near = chosen[np.hypot(*(chosen - middle).T) < SAME]
        if len(near):
            middle = np.median(near, axis=0)
    radius = max(4, max(colour.shape[:2]) // 8)
    reach, drift = SAME, np.zeros_like(colour)
    # The second round leaves out what the first one could not know to be stained faintly.
    for _ in range(2):
        distance = np.hypot(*np.moveaxis(colour - middle - drift, 2, 0))
        area = (distance < reach) & usable
        if not area.any():
            return None
        noise = _noise(distance[area])
        drift = local_mean(colour - middle, (distance < min(max(SPREAD * noise, LEAST_NOISE), SAME)) & usable, radius)
        reach = min(max(SPREAD * noise, SAME), WIDEST)
    distance = np.hypot(*np.moveaxis(colour - middle - drift, 2, 0))
    area = (distance < reach) & usable
    if not area.any():
        return None
    share, noise = float(area.sum()) / count, _noise(distance[area])
    error = _noise((distance * picture.min(axis=2))[area])
    return Ground((middle + drift).astype(np.float32), area, share, noise, error, reach)


def _noise(distance: Field) -> float:
    """The standard deviation in a plane, of distances most of which are noise alone."""
    # Quartile and median of the distances that a round normal distribution has.
    low, middle = np.quantile(distance, (0.25, 0.5))
    return float(min(low / 0.7585, middle / 1.1774))


def local_mean(values: Field, area: Area, radius: int) -> Field:
    """The mean over an area within a square window, and beyond its reach the mean of all.

    Parameters
    ----------
    values : ndarray, shape (H, W) or (H, W, C)
    area : ndarray of bool, shape (H, W)
        Not empty.
    radius : int
        Of the window.

    Returns
    -------
    ndarray, shape of `values`
    """
    weight = area.astype(np.float32)
    side = (2 * radius + 1, 2 * radius + 1)
    weights = weight if values.ndim == 2 else weight[..., None]
    everywhere = np.asarray(values[area].mean(axis=0), np.float32)
    # A small part of the mean of all holds windows that see almost nothing of the area.
    small = np.float32(0.01)
    total = cv2.blur(np.ascontiguousarray(values * weights, np.float32), side, borderType=cv2.BORDER_REFLECT)
    seen = cv2.blur(weight, side, borderType=cv2.BORDER_REFLECT)
    seen = seen if values.ndim == 2 else seen[..., None]
    return np.asarray((total + small * everywhere) / (seen + small), np.float32)
