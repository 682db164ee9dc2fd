"""Glossy bodies of which everything is known."""

import numpy as np
import torch

from imgrestore.light import encode

GREEN = (0.10, 0.42, 0.20)


def body(colour=GREEN, side=128):
    """A ball of one paint, shaded, in linear light."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    shade = 0.35 + 0.65 * np.sqrt(np.maximum(0.3 - y**2 - x**2, 0) / 0.3)
    return (np.asarray(colour) * shade[..., None]).astype(np.float32)


def bump(peak=0.5, width=0.05, side=128, y=0.45, x=0.5):
    down, right = np.mgrid[:side, :side] / side
    return (peak * np.exp(-((down - y) ** 2 + (right - x) ** 2) / (2 * width**2))).astype(np.float32)[..., None]


def coded(light):
    return encode(torch.from_numpy(np.minimum(light, 1))).numpy()


def error(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))
