"""The shapes of stains: how thick a dye lies, and where a crust covers, from noise of several octaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore.degrade.noise import step

# Of float32.
Field = NDArray[Any]
Shape = tuple[int, int]
Place = tuple[float, float]


def draw(kind: str, shape: Shape, centre: Place, size: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """Draw one stain.

    Parameters
    ----------
    kind : str
        One of `SHAPES`.
    shape : (int, int)
        Height and width of the picture.
    centre : (float, float)
        Down and across, in parts of height and width.
    size : float
        Radius in parts of the shorter side.
    rng : numpy.random.Generator
        Of the noise.

    Returns
    -------
    tuple of two ndarrays of float32, shape (H, W)
        The thickness of the dye and of the crust, both from 0 to about 1.
    """
    if kind not in SHAPES:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(SHAPES)}")
    dye, crust = SHAPES[kind](shape, centre, size, rng)
    return dye.astype(np.float32), crust.astype(np.float32)


def octaves(shape: Shape, rng: np.random.Generator, coarse: float = 4.0, count: int = 5, gain: float = 0.55) -> Field:
    """Smooth noise of several octaves, its values spread evenly from 0 to 1.

    Parameters
    ----------
    shape : (int, int)
        Height and width.
    rng : numpy.random.Generator
        The source of randomness.
    coarse : float
        Cells of the coarsest octave along the longer side.
    count : int
        Number of octaves; each is twice as fine.
    gain : float
        Amplitude of an octave over that of the coarser one.

    Returns
    -------
    ndarray of float32, shape (H, W)
    """
    total = np.zeros(shape, np.float32)
    longest = max(shape)
    for octave in range(count):
        cells = coarse * 2.0**octave
        if cells > longest:
            break
        grid = tuple(max(2, round(cells * side / longest) + 1) for side in shape)
        values = torch.from_numpy(rng.standard_normal((1, 1, *grid), np.float32))
        fine = torch.nn.functional.interpolate(values, size=shape, mode="bicubic", align_corners=True)
        total += np.float32(gain**octave) * fine[0, 0].numpy()
    spread = float(total.std()) or 1.0
    # The normal distribution function, nearly: it spreads the values evenly.
    return (1 / (1 + np.exp(-1.7 * (total - total.mean()) / spread))).astype(np.float32)


def _offsets(shape: Shape, centre: Place) -> tuple[Field, Field]:
    """Distances down and across from a point, in parts of the shorter side."""
    height, width = shape
    short = float(min(shape))
    down = ((np.arange(height, dtype=np.float32) + 0.5) - centre[0] * height) / short
    across = ((np.arange(width, dtype=np.float32) + 0.5) - centre[1] * width) / short
    return np.broadcast_to(down[:, None], shape), np.broadcast_to(across[None], shape)


def _around(angle: Field, rng: np.random.Generator, waves: int, roughness: float) -> Field:
    """A closed, smooth random function of the angle with standard deviation near 1."""
    orders = np.arange(1, waves + 1)
    weights = orders**-roughness
    parts = rng.standard_normal((2, waves)) * weights / np.sqrt((weights**2).sum())
    return sum(a * np.cos(k * angle) + b * np.sin(k * angle) for k, a, b in zip(orders, *parts, strict=True))


def _nothing(shape: Shape) -> Field:
    return np.zeros(shape, np.float32)


def _ring(shape: Shape, centre: Place, size: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """What a cup leaves: a dark rim, steep outside, a thin wash within, parts missing."""
    down, across = _offsets(shape, centre)
    angle = np.arctan2(down, across)
    radius = np.hypot(down, across) / (1 + 0.025 * _around(angle, rng, 9, 1.0))
    inside = size - radius
    pixel = 1.0 / min(shape)
    width = max(size * rng.uniform(0.05, 0.16), 1.5 * pixel)
    rim = np.exp(-inside.clip(0, None) / width) * step(inside, -max(0.012 * size, 1.5 * pixel), 0.0)
    strength = (0.72 + 0.36 * _around(angle, rng, 5, 0.8)).clip(0.05, 1.2)
    wash = rng.uniform(0.05, 0.45) * step(inside, -2 * pixel, 3 * pixel)
    paper = 0.75 + 0.4 * octaves(shape, rng, coarse=10, count=5)
    return (rim * strength + wash * (0.6 + 0.8 * octaves(shape, rng, coarse=5, count=4))) * paper * 0.8, _nothing(shape)


def _foxing(shape: Shape, centre: Place, size: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """Brown spots in clusters, soft, some with a darker core."""
    dye = _nothing(shape)
    rough = octaves(shape, rng, coarse=24, count=4) - 0.5
    spread = 1.3 * size
    for _ in range(int(rng.integers(12, 40))):
        spot = (centre[0] + spread * rng.standard_normal() * 0.9, centre[1] + spread * rng.standard_normal() * 0.9)
        radius = float(np.exp(rng.normal(np.log(0.014), 0.5)))
        radius = max(radius, 2.0 / min(shape))
        down, across = _offsets(shape, spot)
        away = np.hypot(down, across * rng.uniform(0.8, 1.25)) / radius + 0.9 * rough
        halo = np.exp(-0.5 * (away.clip(0, None) / 1.1) ** 2)
        core = step(-away, -0.8, -0.2) if rng.random() < 0.4 else 0.0
        dye = np.maximum(dye, rng.uniform(0.3, 1.0) * (0.8 * halo + 0.35 * core))
    return dye, _nothing(shape)


def _run(shape: Shape, centre: Place, size: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """Streaks that run down from a source, wider and paler below."""
    dye = _nothing(shape)
    grain = 0.65 + 0.7 * octaves(shape, rng, coarse=16, count=5, gain=0.7)
    for _ in range(int(rng.integers(3, 9))):
        start = (centre[0] - size * rng.uniform(0.4, 1.2), centre[1] + size * rng.normal(0, 0.9))
        down, across = _offsets(shape, start)
        length = size * rng.uniform(1.0, 4.0)
        width = max(size * rng.uniform(0.04, 0.16), 2.0 / min(shape))
        wobble = width * (0.5 * np.sin(down * rng.uniform(8, 30) + rng.uniform(0, 6.3)) + rng.normal(0, 0.4))
        side = np.abs(across - wobble) / (width * (1 + 0.8 * (down / length).clip(0, 2)))
        profile = step(-side, -1.0, -0.55) * (0.75 + 0.25 * side.clip(0, 1) ** 2)
        along = step(down, -0.6 * width, 0.8 * width) * np.exp(-down.clip(0, None) / length)
        along *= step(-down, -1.6 * length, -1.1 * length)
        dye = dye + rng.uniform(0.4, 1.0) * profile * along * (1 - 0.5 * dye.clip(0, 1))
    return dye * grain, _nothing(shape)


def _blob(shape: Shape, centre: Place, size: float, rng: np.random.Generator, ragged: float) -> Field:
    """A field that is positive inside a ragged blob, 0 on its rim, in units of its size."""
    down, across = _offsets(shape, centre)
    angle = np.arctan2(down, across)
    away = np.hypot(down, across) / (size * (1 + 0.2 * _around(angle, rng, 7, 1.0)).clip(0.4, 1.8))
    return 1 - away + ragged * (octaves(shape, rng, coarse=9, count=6, gain=0.62) - 0.5)


def _splash(shape: Shape, centre: Place, size: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """A puddle that has dried, with a dark rim and droplets about it."""
    depth = _blob(shape, centre, size, rng, 0.5)
    edge = max(0.02, 2.0 / (size * min(shape)))
    wet = step(depth, 0.0, edge)
    rim = np.exp(-depth.clip(0, None) / 0.06)
    dye = wet * (0.45 * (0.6 + 0.8 * octaves(shape, rng, coarse=6, count=4)) + rng.uniform(0.2, 0.6) * rim)
    for _ in range(int(rng.integers(4, 16))):
        angle, away = rng.uniform(0, 2 * np.pi), size * rng.uniform(1.05, 1.9)
        short = min(shape)
        spot = (
            centre[0] + away * np.sin(angle) * short / shape[0],
            centre[1] + away * np.cos(angle) * short / shape[1],
        )
        radius = max(size * float(np.exp(rng.normal(np.log(0.04), 0.5))), 2.0 / short)
        down, across = _offsets(shape, spot)
        inside = 1 - np.hypot(down, across) / radius
        dye = np.maximum(dye, rng.uniform(0.4, 0.9) * step(inside, 0.0, 0.4))
    return dye, _nothing(shape)


def _patch(shape: Shape, centre: Place, size: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """A crust with islands, and the dye that has bled from it."""
    depth = _blob(shape, centre, 0.8 * size, rng, 1.6)
    crust = step(depth, 0.0, max(0.05, 2.5 / (size * min(shape))))
    dye = 0.8 * np.exp(-(-depth).clip(0, None) / 0.12) * (0.7 + 0.6 * octaves(shape, rng, coarse=12, count=5))
    return dye * step(depth, -0.6, -0.1), crust


SHAPES: dict[str, Callable[[Shape, Place, float, np.random.Generator], tuple[Field, Field]]] = {
    "ring": _ring,
    "foxing": _foxing,
    "run": _run,
    "splash": _splash,
    "patch": _patch,
}
