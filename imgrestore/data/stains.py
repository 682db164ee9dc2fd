"""Stains and rust to learn from, on photographs and single surfaces, with crusts of photographed rust among them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from imgrestore.data.separation import counted
from imgrestore.degrade import jpeg, rust, rust_varied

__all__ = ["changed_area", "drawn", "stained", "surface"]

# How often the scene is a surface of one colour, how often stains are of the plainer kinds, how often a crust is a
# photograph's, and how often all is a JPEG file.
SURFACE, PLAIN, PHOTOGRAPHED, STORED = 0.35, 0.25, 0.6, 0.4
# Light and contrast of such a surface, and how far its colour is from gray.
LIGHT, CONTRAST, TINT = (0.3, 0.95), (0.05, 0.9), 0.25
QUALITY = (70.0, 98.0)
# Density, and part hidden, from which on a pixel begins to count as stained, and over which it comes to count fully.
BEGINS, WIDTH = 0.02, 0.08


def drawn(clean: Tensor, texture: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Stain a picture, or a surface with its pattern.

    Parameters
    ----------
    clean : Tensor of float32, shape (3, H, W)
    texture : Tensor of float32, shape (3, h, w), optional
        A photograph of rust.
    rng : numpy.random.Generator

    Returns
    -------
    observed, clean : Tensor, shape (3, H, W)
        Range [0, 1]; the clean one has lost its colours where it has become a surface.
    area : Tensor, shape (1, H, W)
        How surely a stain can be seen at a pixel, 0 to 1.
    """
    if rng.random() < SURFACE:
        clean = surface(clean, rng)
    shape = tuple(clean.shape)
    params = rust.sample(shape, rng) if rng.random() < PLAIN else rust_varied.sample(shape, rng, clean)
    texture = texture if rng.random() < PHOTOGRAPHED else None
    layers = rust.rust_layers(shape, params, texture)
    observed = (1 - layers.cover) * clean * (-layers.density).exp() + layers.cover * layers.body
    if rng.random() < STORED:
        quality = observed.new_tensor([rng.uniform(*QUALITY)])
        observed = jpeg.store(observed[None], quality, quality < 84)[0]
    return observed.clamp(0, 1), clean, stained(layers)


def surface(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """A sheet of one colour (3, H, W), as of paper, stone or paint, with a picture for its pattern."""
    pattern = picture.mean(0, keepdim=True)
    light = rng.uniform(*LIGHT) + rng.uniform(*CONTRAST) * (pattern - pattern.mean())
    tint = torch.from_numpy(1 - TINT * rng.random(3)).float().reshape(3, 1, 1)
    return (tint * light).clamp(0, 1)


def stained(layers: rust.StainLayers) -> Tensor:
    """Where layers can be seen: (1, H, W), 0 to 1."""
    seen = layers.density.amax(0, keepdim=True).maximum(layers.cover)
    return counted(seen, BEGINS, WIDTH)


def changed_area(observed: Tensor, truth: Tensor) -> Tensor:
    """Where two pictures (3, H, W) differ: (1, H, W), 0 to 1."""
    return counted((observed - truth).abs().amax(0, keepdim=True), BEGINS, WIDTH)
