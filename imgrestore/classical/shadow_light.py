"""Linear light as arrays, at full size and reduced."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore.light import decode, encode

__all__ = ["Light", "coded_array", "split_gain"]

Array = NDArray[Any]

# Pixels this near to white may be clipped, and say nothing of light.
CLIPPED = 0.995
# Coded values below this are noise; dividing by a gain there would only be noise, too.
SMALLEST = 1e-6


class Light:
    """One picture in linear light.

    Parameters
    ----------
    picture : torch.Tensor, shape (C, H, W)
        Display-coded; C is 1 or 3.
    good : torch.Tensor of bool, shape (1, H, W)
        False where a pixel is not to be asked.
    """

    def __init__(self, picture: torch.Tensor, good: torch.Tensor) -> None:
        self.coded = picture
        self.linear: Array = decode(picture).numpy()
        self.usable = good[0].numpy() & (picture.amax(0).numpy() < CLIPPED)
        self.white = max(float(np.quantile(self.linear.max(0)[:: self._step, :: self._step], 0.99)), 1e-9)

    @property
    def _step(self) -> int:
        return max(1, min(self.coded.shape[1:]) // 512)

    def reduced(self, side: int) -> tuple[Array, NDArray[np.bool_], float]:
        """Linear light (3, h, w) with its longer side at most `side`, the pixels to ask, and the reduction."""
        import cv2

        height, width = self.linear.shape[1:]
        factor = max(1.0, max(height, width) / side)
        size = max(1, round(width / factor)), max(1, round(height / factor))
        planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in self.linear]
        if len(planes) == 1:
            planes = planes * 3
        usable = cv2.resize(self.usable.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.6
        return np.stack(planes), usable, factor

    def logarithm(self, linear: Array, black: float) -> Array:
        """Logarithm of linear light relative to white, ending at black."""
        return np.log(np.maximum(linear / self.white, black)).astype(np.float32)


def split_gain(picture: torch.Tensor, linear_gain: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Give back the light that a gain has taken.

    Parameters
    ----------
    picture : torch.Tensor, shape (C, H, W)
        Display-coded.
    linear_gain : ndarray, shape (C, H, W)
        What linear light was multiplied by, above 0 and at most 1.

    Returns
    -------
    scene, gain : torch.Tensor, shape (C, H, W)
        Display-coded, with ``gain * scene`` the picture, and 0 < gain <= 1. Where the gain is 1, and where the picture
        is black, the scene is the picture itself. Nothing is lifted beyond white, which is 1.
    """
    gain = torch.from_numpy(np.ascontiguousarray(linear_gain)).to(picture)
    # Light is given back up to white: beyond it, the gain would be that of another surface.
    lit = torch.minimum(encode(decode(picture) / gain), picture.clamp_min(1.0))
    shaded = (gain < 1) & (picture.abs() > SMALLEST)
    coded = torch.where(shaded, (picture / torch.where(shaded, lit, 1.0)).clamp(SMALLEST, 1.0), 1.0)
    return torch.where(shaded, picture / coded, picture), coded


def coded_array(linear: Array) -> Array:
    """Linear light to display-coded values."""
    return encode(torch.from_numpy(np.ascontiguousarray(linear))).numpy()
