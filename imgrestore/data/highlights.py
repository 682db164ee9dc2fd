"""Highlights to learn from, drawn on photographs."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from imgrestore.data.separation import counted
from imgrestore.degrade import gloss, specular

__all__ = ["drawn", "lit_area"]

# How often highlights are plain lobes, and how often values are linear in light and dim.
LOBES, LINEAR, DIM = 0.15, 0.3, (0.35, 1.0)
# Light, for a range of 1, from which on a pixel begins to count as mirroring, and over which it comes to count fully.
BEGINS, WIDTH = 0.01, 0.05


def drawn(clean: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Put highlights on a picture.

    Parameters
    ----------
    clean : Tensor of float32, shape (3, H, W)
    rng : numpy.random.Generator

    Returns
    -------
    observed, clean : Tensor, shape (3, H, W)
        Range [0, 1]; the clean one is dimmed where values are linear.
    area : Tensor, shape (1, H, W)
        How surely a highlight can be seen at a pixel, 0 to 1.
    """
    linear = rng.random() < LINEAR
    if linear:
        clean = clean.square() * float(rng.uniform(*DIM))
    if not linear and rng.random() < LOBES:
        observed = specular.apply(clean, specular.sample(tuple(clean.shape), rng, clean))
    else:
        params = gloss.sample(tuple(clean.shape), rng, clean, "linear" if linear else "srgb")
        observed = gloss.apply(clean, params)
    observed = observed.clamp(0, 1)
    return observed, clean, lit_area(observed, clean)


def lit_area(observed: Tensor, truth: Tensor) -> Tensor:
    """Where the first of two pictures (3, H, W) has a highlight: (1, H, W), 0 to 1."""
    return counted((observed - truth).amax(0, keepdim=True), BEGINS, WIDTH)
