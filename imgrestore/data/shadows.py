"""Shadows to learn from: drawn ones, real pairs with the area that is shaded."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from imgrestore.data.separation import counted
from imgrestore.degrade import shadow

__all__ = ["drawn", "shaded_area"]

# Loss of light, as a logarithm of linear light and of display-coded values, from which on a pixel begins to count as
# shaded, and over which it comes to count fully.
LINEAR, CODED = (0.04, 0.2), (0.05, 0.12)
# Values below this are too dark to tell light by; radius of what is looked at together.
DARK, NEAR = 0.02, 2


def drawn(clean: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Shade a picture.

    Parameters
    ----------
    clean : Tensor of float32, shape (3, H, W)
    rng : numpy.random.Generator

    Returns
    -------
    observed : Tensor, shape (3, H, W)
        Range [0, 1].
    area : Tensor, shape (1, H, W)
        How surely a pixel is shaded, 0 to 1.
    """
    several = shadow.sample_several(tuple(clean.shape), rng)
    gain = torch.stack([shadow.shadow_gain(tuple(clean.shape), one) for one in several]).amin(0)
    lost = -gain.mean(0, keepdim=True).log()
    return shadow.apply(clean, several).clamp(0, 1), counted(lost, *LINEAR)


def shaded_area(observed: Tensor, truth: Tensor) -> Tensor:
    """Where the first of two pictures is shaded and the other is not.

    Parameters
    ----------
    observed, truth : Tensor of float32, shape (3, H, W)
        Display-coded.

    Returns
    -------
    Tensor, shape (1, H, W)
        0 to 1.
    """
    logs = [np.log(cv2.blur(one.mean(0).numpy(), (2 * NEAR + 1,) * 2) + DARK) for one in (observed, truth)]
    return counted(torch.from_numpy(cv2.medianBlur(logs[1] - logs[0], 5))[None], *CODED)
