"""Reflections to learn from: photographs that are added to one another."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from imgrestore.data.separation import counted
from imgrestore.degrade import reflection

__all__ = ["drawn", "lit_area"]

# How often a sum follows Fan et al. 2017 (a blurred photograph added to display-coded values and dimmed), and its blur.
FAN, BLUR = 0.5, (0.8, 4.0)
# Light, for a range of 1, from which on a pixel begins to count as covered, and over which it comes to count fully.
BEGINS, WIDTH = 0.01, 0.04


def drawn(clean: Tensor, other: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Lay the reflection of another picture over one.

    Parameters
    ----------
    clean, other : Tensor of float32, shape (3, H, W)
    rng : numpy.random.Generator

    Returns
    -------
    observed : Tensor, shape (3, H, W)
        Range [0, 1].
    area : Tensor, shape (1, H, W)
        How surely a reflection can be seen at a pixel, 0 to 1.
    """
    scene = other.numpy()
    if rng.random() < FAN:
        params = reflection.ReflectionParams(scene, (1.0,), float(rng.uniform(*BLUR)), linear=False, dimmed=True)
    else:
        params = reflection.sample(tuple(clean.shape), rng, scene)
    observed = reflection.apply(clean, params)
    return observed, lit_area(observed, clean)


def lit_area(observed: Tensor, truth: Tensor) -> Tensor:
    """Where the first of two pictures (3, H, W) has more light: (1, H, W), 0 to 1."""
    return counted((observed - truth).amax(0, keepdim=True), BEGINS, WIDTH)
