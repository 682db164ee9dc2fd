"""Soft shadows: an illumination that changes slowly, and keeps to the edges of the scene."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore import ops
from imgrestore.classical.shadow_light import Light
from imgrestore.classical.shadow_regions import BLACK

__all__ = ["soft_gain"]

Array = NDArray[Any]

SIDE = 384
# Radii of the scales of the Retinex, in parts of the longer side.
SCALES = (0.12, 0.24)
# Steps of the logarithm of light above this are the scene's, not the light's.
STEP = 1.0
# Texture finer than this part of the longer side is no light.
GRAIN = 0.012
# Full light is this quantile of the illumination; darker than the deepest, a place is dark of itself.
LIT = 0.75
DEEPEST = 1.6


def soft_gain(light: Light) -> Array:
    """The slow part of a picture's light, relative to its lit part.

    Guided filters of several radii, guided by the picture itself, smooth the logarithm of its light without crossing
    strong edges; their mean is the illumination of a multi-scale Retinex.

    Parameters
    ----------
    light : Light

    Returns
    -------
    ndarray, shape (C, H, W)
        In linear light, above 0 and at most 1, alike in all channels.

    References
    ----------
    Jobson, Rahman & Woodell, "A multiscale Retinex for bridging the gap between color images and the human observation
    of scenes" (1997); He, Sun & Tang, "Guided image filtering" (2013).
    """
    linear, _, _ = light.reduced(SIDE)
    dark = light.logarithm(linear, BLACK).mean(0)
    side = max(dark.shape)
    logs = torch.from_numpy(cv2.GaussianBlur(dark, (0, 0), GRAIN * side))
    slow = torch.stack([ops.guided(logs, logs, max(2, round(part * side)), STEP**2) for part in SCALES]).mean(0)
    smooth = slow.numpy()
    fall = np.clip(float(np.quantile(smooth, LIT)) - smooth, 0, DEEPEST)
    height, width = light.linear.shape[1:]
    plane = cv2.resize(np.exp(-fall), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.repeat(plane[None], len(light.linear), axis=0).astype(np.float32)
