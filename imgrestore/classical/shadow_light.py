"""Linear light as arrays, at full size and reduced."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore import ops
from imgrestore.light import decode, encode, white_level
from imgrestore.pixels import Planes, to_planes

__all__ = ["Light", "calm_colours", "coded_array", "split_gain"]

Array = NDArray[Any]

# Pixels this near to white may be clipped, and say nothing of light.
CLIPPED = 0.995
# Coded values below this are noise; dividing by a gain there would only be noise, too.
SMALLEST = 1e-6
# Coded values from which colours are sure, and below which they are noise; gains above this are those of the light.
SURE = 0.3
NOISY = 0.12
LIFTED = 0.7
# The guided filter of noisy colours: its radius in pixels, about a block of compression; the step of light it keeps.
BLOCK = 6
STEP = 0.05
# Fine differences of colour in the shade, relative to those in the light: those of the same ground, and sure noise.
ALIKE = 1.5
NOISE = 3.0
# The light is looked at so far around, in pixels.
MARGIN = 32


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

    @classmethod
    def of(cls, image: Any) -> tuple[Light, Planes]:
        """That of one gray or RGB picture as users have it, and how it is laid out."""
        planes = to_planes(image)
        if len(planes.data) != 1 or planes.data.shape[1] not in (1, 3):
            raise ValueError(f"image has shape {tuple(image.shape)}; expected one gray or RGB picture")
        values = planes.data[0].detach().cpu()
        white = 1.0 if planes.is_integer else white_level(values)
        return cls((values / white).float(), planes.good[0].all(0, keepdim=True).cpu()), planes

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


def calm_colours(light: Light, gain: Array) -> Array:
    """A gain that does not lift the noise of colours in deep shade.

    The luminance given back stays the same, but where a channel is black and so cannot make up for the others.

    Parameters
    ----------
    light : Light
    gain : ndarray, shape (C, H, W)
        Of linear light.

    Returns
    -------
    ndarray, shape (C, H, W)
        Above 0, at most 1; `gain` itself for gray pictures, and where colours in the shade are as even as in the light.
    """
    dark = np.clip((SURE - light.coded.mean(0).numpy()) / (SURE - NOISY), 0, 1)
    dark *= np.clip((LIFTED - gain.mean(0)) / 0.2, 0, 1)
    rows, columns = (np.flatnonzero(dark.any(axis)) for axis in (1, 0))
    if len(gain) == 1 or len(rows) == 0:
        return gain
    top, left = max(rows[0] - MARGIN, 0), max(columns[0] - MARGIN, 0)
    box = np.s_[..., top : rows[-1] + MARGIN, left : columns[-1] + MARGIN]
    linear, part, dark = np.maximum(light.linear[box], SMALLEST), gain[box], dark[box]
    lifted = linear / part
    luminance = lifted.mean(0)
    colour = lifted / luminance
    dark = dark * _excess_noise(colour, dark > 0.3, part.min(0) == 1)
    if not dark.any():
        return gain
    guide = encode(torch.from_numpy(luminance))
    calm = torch.stack([ops.guided(torch.from_numpy(plane), guide, BLOCK, STEP**2) for plane in colour])
    wanted = luminance * (colour + (calm.numpy() - colour) * dark)
    result = gain.copy()
    result[box] = np.where(dark > 0, np.clip(linear / np.maximum(wanted, SMALLEST), part.min(), 1), part)
    return result


def _excess_noise(colour: Array, shade: NDArray[np.bool_], lit: NDArray[np.bool_]) -> float:
    """0 where fine differences of colour in the shade are those of the light, 1 where they are a few times as large."""
    if not shade.any() or not lit.any():
        return 0.0
    fine = np.abs(colour - np.stack([cv2.blur(plane, (5, 5)) for plane in colour])).sum(0)
    ratio = float(np.median(fine[shade]) / max(float(np.median(fine[lit])), 1e-6))
    return float(np.clip((ratio - ALIKE) / (NOISE - ALIKE), 0, 1))


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
