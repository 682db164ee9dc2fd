"""The colours of crusts: rust with relief and pits, dried paint and mud, or a piece of a photograph."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore.degrade.noise import Field, cloud, step

__all__ = ["coloured", "piece"]

# From black scale over brown to orange and yellow, fresh rust.
RUSTS = (
    (0.10, 0.07, 0.07),
    (0.20, 0.11, 0.08),
    (0.34, 0.16, 0.09),
    (0.47, 0.22, 0.09),
    (0.62, 0.32, 0.11),
    (0.74, 0.47, 0.21),
)


def coloured(crust: Field, rng: np.random.Generator, paint: tuple[float, float, float] | None, pits: float) -> Field:
    """Colours of a crust.

    Parameters
    ----------
    crust : ndarray of float32, shape (H, W)
        How much of it there is at each pixel, 0 to 1.
    rng : numpy.random.Generator
        Of the noise.
    paint : tuple of 3 floats, optional
        Its mean colour; that of rust by default.
    pits : float
        0 to 1: how rough it is.

    Returns
    -------
    ndarray of float32, shape (3, H, W)
        From 0 to 1.
    """
    shape = (crust.shape[0], crust.shape[1])
    fine = cloud(shape, rng, rng.uniform(28, 60), 4, 0.85)
    if paint is None:
        patches = cloud(shape, rng, rng.uniform(3, 12), 6, rng.uniform(0.6, 0.85))
        # The middle of a crust is old and dark, its rim fresh.
        middle, reach = rng.uniform(0.25, 0.7), rng.uniform(0.3, 0.7)
        place: Field = middle + reach * (patches - 0.5) + 0.25 * (fine - 0.5) + 0.25 * (0.7 - crust)
        anchors = np.asarray(RUSTS) * np.exp(rng.normal(0, 0.07, 3))
        levels = np.linspace(0, 1, 256)
        table = np.stack([np.interp(levels, np.linspace(0, 1, len(RUSTS)), anchor) for anchor in anchors.T])
        colour: Field = table.astype(np.float32)[:, (place.clip(0, 1) * 255).astype(np.uint8)]
    else:
        uneven = 1 + 0.5 * (cloud(shape, rng, 8, 4) - 0.5)
        colour = np.asarray(paint, np.float32)[:, None, None] * uneven
    return (colour * _relief(crust, fine, rng, pits)).clip(0.01, 1)


def piece(texture: torch.Tensor, crust: Field, rng: np.random.Generator, pits: float) -> Field:
    """A piece of a photograph, scaled, turned, mirrored and brightened at random; what is blue in it is no rust.

    Parameters
    ----------
    texture : Tensor, shape (3, h, w)
        The photograph, range [0, 1]; it is mirrored on where it ends.
    crust : ndarray of float32, shape (H, W)
        How much of the crust there is, 0 to 1: its rim gets relief.
    rng : numpy.random.Generator
        The source of randomness.
    pits : float
        0 to 1: how much relief.

    Returns
    -------
    ndarray of float32, shape (3, H, W)
        From 0 to 1.
    """
    height, width = crust.shape
    scale = float(np.exp(rng.uniform(np.log(0.3), np.log(1.6))))
    side = int(np.ceil(1.5 * max(height, width) / scale)) + 2
    # Only what is needed is scaled.
    corner = [int(rng.integers(max(1, n - side + 1))) for n in texture.shape[1:]]
    part = texture[:, corner[0] : corner[0] + side, corner[1] : corner[1] + side]
    planes = [np.ascontiguousarray(plane.numpy().astype(np.float32)) for plane in part.detach().cpu()]
    if scale < 1:
        small = (max(1, round(planes[0].shape[1] * scale)), max(1, round(planes[0].shape[0] * scale)))
        planes = [cv2.resize(plane, small, interpolation=cv2.INTER_AREA).reshape(small[::-1]) for plane in planes]
        scale = 1.0
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.choice(4) * np.pi / 2
    flip = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * np.array([[flip], [1.0]])
    # From a pixel of the result to one of the photograph.
    middle = np.array([planes[0].shape[1] / 2, planes[0].shape[0] / 2])
    matrix = turn / scale
    shift = middle - matrix @ np.array([width / 2, height / 2])
    affine = np.concatenate([matrix, shift[:, None]], 1)
    drawn = np.empty((3, height, width), np.float32)
    for found, plane in zip(drawn, planes, strict=True):
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(plane, affine, (width, height), found, how, cv2.BORDER_REFLECT_101)
    bright = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.04, 3)).astype(np.float32)
    relief = _relief(crust, None, rng, 0.5 * pits)
    colour = (drawn * bright[:, None, None] * relief).clip(0, 1)
    # Photographs of rust show paint as well.
    paint = step((drawn[2] - drawn[0]) / (drawn.max(0) + 0.05), 0.0, 0.12)
    if float((paint * crust).mean()) > 0.02 * float(crust.mean()):
        colour = colour + paint * (coloured(crust, rng, None, pits) - colour)
    return colour


def _relief(crust: Field, fine: Field | None, rng: np.random.Generator, pits: float) -> NDArray[Any]:
    """Light and shade on a rough layer that stands out from its ground."""
    ground = cv2.GaussianBlur(crust, (0, 0), 1.0) * np.float32(rng.uniform(-0.6, 1.2))
    if fine is not None:
        ground = ground + np.float32(0.8 * pits) * fine
    turn = rng.uniform(-np.pi, 0)
    slope = cv2.Sobel(ground, cv2.CV_32F, 1, 0) * np.float32(np.cos(turn))
    slope += cv2.Sobel(ground, cv2.CV_32F, 0, 1) * np.float32(np.sin(turn))
    light = 1 + np.float32(0.22) * slope.clip(-2.5, 2.5)
    if fine is not None:
        light = light * (1 - np.float32(0.75 * pits) * step(fine, 0.80, 0.95))
    return light
