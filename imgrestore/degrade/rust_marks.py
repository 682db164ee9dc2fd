"""Shapes of stains: rusted sheets, scabs, drips, tide marks, rings, freckles, splatter, smears, grease, fingers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from imgrestore.degrade.noise import Field, Shape, cloud, drift, step

__all__ = ["MARKS", "Look", "mark"]

Place = tuple[float, float]
# Depth of what no spot has reached, in radii.
FAR = -4.0


class Look(NamedTuple):
    """Where a mark is and what its edges are like; as in `imgrestore.degrade.rust.Stain`."""

    centre: Place
    size: float
    ragged: float = 0.5
    halo: float = 0.5


def mark(kind: str, shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """Draw one mark.

    Parameters
    ----------
    kind : str
        One of `MARKS`.
    shape : (int, int)
        Height and width of the picture.
    look : Look
        Where it is and what its edges are like.
    rng : numpy.random.Generator
        Of the noise.

    Returns
    -------
    tuple of two ndarrays of float32, shape (H, W)
        The thickness of the dye and of the crust, from 0 to about 1.5 and to 1.
    """
    dye, crust = MARKS[kind](shape, look, rng)
    return dye.astype(np.float32), crust.astype(np.float32)


def _offsets(shape: Shape, centre: Place) -> tuple[Field, Field]:
    """Distances down (H, 1) and across (1, W) from a point, in parts of the shorter side."""
    down, across = (
        ((np.arange(n, dtype=np.float32) + 0.5 - p * n) / min(shape)).astype(np.float32)
        for n, p in zip(shape, centre, strict=True)
    )
    return down[:, None], across[None]


def _blob(shape: Shape, look: Look, rng: np.random.Generator, rough: float, count: int = 6) -> Field:
    """Positive inside a ragged blob, 0 on its rim, in parts of its size."""
    down, across = _offsets(shape, look.centre)
    squeeze = np.float32(np.exp(rng.normal(0, 0.25)))
    away = np.sqrt((down * squeeze) ** 2 + (across / squeeze) ** 2) * np.float32(1 / look.size)
    large = 0.5 * drift(shape, rng, min(1.2 / look.size, 20.0))
    return 1 - away + large + np.float32(rough) * (cloud(shape, rng, 1.5 / look.size, count, 0.6) - 0.5)


def _spots(shape: Shape, places: Field, radii: Field, rng: np.random.Generator) -> Field:
    """Depth of round spots: 1 in the middle, 0 on the rim, below 0 outside, in radii of each; places in pixels."""
    depth = np.full(shape, FAR, np.float32)
    for (row, column), radius, squeeze in zip(places, radii, np.exp(rng.normal(0, 0.2, len(radii))), strict=True):
        far = (1 - FAR) * radius
        top, left = (max(0, int(p - far)) for p in (row, column))
        rows, columns = slice(top, max(top, int(row + far) + 1)), slice(left, max(left, int(column + far) + 1))
        part = depth[rows, columns]
        if not part.size:
            continue
        down = (np.arange(top, top + part.shape[0], dtype=np.float32) + np.float32(0.5 - row)) * np.float32(squeeze)
        across = (np.arange(left, left + part.shape[1], dtype=np.float32) + np.float32(0.5 - column)) / np.float32(
            squeeze
        )
        away = np.sqrt((down * down)[:, None] + (across * across)[None]) * np.float32(-1 / radius)
        np.maximum(part, 1 + away, out=part)
    return depth


def _scatter(shape: Shape, look: Look, count: int, rng: np.random.Generator) -> Field:
    """Rows and columns of spots: evenly over a part of the picture, in clusters, or along a line, as on a seam."""
    kind = rng.random()
    side = min(shape)
    middle = np.array([look.centre[0] * shape[0], look.centre[1] * shape[1]])
    if kind < 0.45:
        clusters = middle + rng.normal(0, look.size * side, (int(rng.integers(1, 6)), 2))
        return clusters[rng.integers(len(clusters), size=count)] + rng.normal(0, 0.35 * look.size * side, (count, 2))
    if kind < 0.75:
        return middle + rng.uniform(-1.6, 1.6, (count, 2)) * look.size * side
    angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.05)
    along = rng.uniform(-1, 1, count) * rng.uniform(1.5, 4) * look.size * side
    line = middle + along[:, None] * np.array([np.cos(angle), np.sin(angle)])
    return line + rng.normal(0, 0.06 * look.size * side, (count, 2))


def _edges(depth: Field, sharp: float, wide: float, halo: float) -> tuple[Field, Field]:
    """Crust where the depth is above 0, and dye that fades outside of it."""
    crust = step(depth, 0.0, sharp)
    bled = cv2.exp(depth.clip(FAR, 0) * np.float32(1 / max(wide, 1e-3)))
    # What lies just beside the crust is darkest.
    return np.float32(halo) * bled * step(depth, -6 * wide, -1.5 * wide) + 0.5 * step(depth, -0.15 * wide, 0.0), crust


def _sheet(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """A large rusted area: from an edge, from below, or in islands; `size` is about the part of the picture."""
    gain = 0.42 + 0.3 * look.ragged
    field = cloud(shape, rng, rng.uniform(2, 7), 7, gain, float(np.exp(rng.normal(0.2, 0.5))))
    down, across = _offsets(shape, look.centre)
    angle = rng.choice([0.0, np.pi / 2, np.pi, -np.pi / 2, rng.uniform(0, 2 * np.pi)])
    ramp = down * np.float32(np.cos(angle)) + across * np.float32(np.sin(angle))
    field = field + np.float32(rng.choice([0.0, 0.4, 1.0, 2.0])) * ramp
    part = float(np.clip(look.size * 1.6, 0.03, 0.9))
    depth = field - np.float32(np.quantile(field[::4, ::4], 1 - part))
    dye, crust = _edges(depth, rng.uniform(0.02, 0.10), rng.uniform(0.03, 0.25), look.halo)
    return dye * (0.5 + cloud(shape, rng, 16, 4, 0.7)), crust


def _scabs(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """Many spots of rust, from specks to blisters, some with runs below."""
    side = min(shape)
    count = int(np.exp(rng.uniform(np.log(6), np.log(110))))
    radii = np.minimum(0.006 * side * rng.uniform(0.02, 1, count) ** -0.6, 0.35 * look.size * side) + 0.4
    places = _scatter(shape, look, count, rng)
    rough = cloud(shape, rng, rng.uniform(20, 45), 3, 0.8) - 0.5
    depth = _spots(shape, places, radii, rng) + np.float32(0.4 + 1.6 * look.ragged) * rough
    dye, crust = _edges(depth, 0.35, rng.uniform(0.3, 0.9), look.halo)
    if rng.random() < 0.4:
        large = np.argsort(-radii)[: int(rng.integers(3, 16))]
        for row, column in places[large]:
            dye = np.maximum(dye, _tears(shape, row, column, rng.uniform(0.01, 0.03) * side, look, rng))
    return dye, crust


def _tears(shape: Shape, row: float, column: float, half: float, look: Look, rng: np.random.Generator) -> Field:
    """What has run down from one place, half so many pixels wide."""
    dye = np.zeros(shape, np.float32)
    side = min(shape)
    half = max(half, 1.2)
    length = look.size * side * float(np.exp(rng.normal(0, 0.6)))
    top, left = max(0, int(row - half)), max(0, int(column - 2 * half))
    bottom, right = int(row + 4 * length) + 1, int(column + 2 * half) + 1
    part = dye[top : max(bottom, top), left : max(right, left)]
    if not part.size:
        return dye
    down = (np.arange(part.shape[0], dtype=np.float32) + np.float32(top + 0.5 - row))[:, None]
    across = (np.arange(part.shape[1], dtype=np.float32) + np.float32(left + 0.5 - column))[None]
    # Streams beside each other, of different lengths.
    knots = np.linspace(-2 * half, 2 * half, max(4, int(half * 1.5)))
    lengths, strengths = (
        np.interp(across[0], knots, values).astype(np.float32)[None]
        for values in (length * np.exp(rng.normal(0, 0.7, len(knots))), rng.uniform(0.1, 1, len(knots)))
    )
    narrow = 1 - 0.5 * (down / np.float32(4 * length)).clip(0, 1)
    wobble = np.float32(0.35 * half) * drift(part.shape, rng, 6, 3)
    side_on = 1 - np.abs(across + wobble) / (np.float32(1.3 * half) * narrow)
    fade = cv2.exp(-down.clip(0, None) / lengths) * step(down, -half, 0.3 * half)
    part += strengths * fade * step(side_on, 0.0, 0.7)
    return dye


def _drips(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """Rust water that runs down from a seam, or from bolts in a row."""
    height, width = shape
    side = min(shape)
    row = look.centre[0] * height
    if rng.random() < 0.5:
        count = int(rng.integers(1, 8))
        pitch = rng.uniform(0.1, 0.3) * side
        columns = look.centre[1] * width + (np.arange(count) - (count - 1) / 2) * pitch
        places = np.stack([row + rng.normal(0, 0.004 * side, count), columns], 1)
        radius = rng.uniform(0.008, 0.025) * side
        dye = np.zeros(shape, np.float32)
        for start, column in places:
            dye = np.maximum(dye, _tears(shape, start, column, radius * rng.uniform(0.8, 2.0), look, rng))
        rough = np.float32(0.5 + look.ragged) * (cloud(shape, rng, 30, 3, 0.8) - 0.5)
        depth = _spots(shape, places, radius * rng.uniform(0.8, 1.3, count), rng) + rough
        halo, crust = _edges(depth, 0.35, 0.5, look.halo)
        return np.maximum(dye, halo), crust
    # Of a seam: every column has its own length.
    at = np.arange(width)
    knots = np.linspace(0, width, max(8, int(width / max(2.0, 0.012 * side))))
    far = np.interp(at, knots, rng.exponential(1.0, len(knots))) * look.size * side
    across = (at + 0.5) / side - look.centre[1] * width / side
    lengths = (far * np.exp2(-((across / (2.5 * look.size)) ** 2)) + 0.01).astype(np.float32)[None]
    down = (np.arange(height, dtype=np.float32) + np.float32(0.5 - row))[:, None]
    down = down + np.float32(0.006 * side) * drift(shape, rng, 12)
    streaks = cloud(shape, rng, rng.uniform(30, 70), 2, 0.6, rng.uniform(6, 20))
    fall = cv2.exp(-down.clip(0, None) / lengths) * step(down, -0.01 * side - 1, 0.0)
    present = step(lengths, 0.02 * side * look.size, 0.3 * side * look.size)
    near = 1 - np.abs(down) / np.float32(max(1.0, 0.012 * side))
    depth = near + np.float32(0.6 + 1.6 * look.ragged) * (cloud(shape, rng, 24, 4, 0.8) - 0.6) + (present - 1) * 2
    return fall * (0.25 + 1.1 * streaks) * present, step(depth, 0.0, 0.5)


def _tide(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """Where water stood and dried, once or several times: dark rims, paler within."""
    rough = 0.15 + 0.5 * look.ragged * rng.random()
    depth = _blob(shape, look, rng, rough, 4)
    dye: Field = np.zeros(shape, np.float32)
    edge = max(0.03, 1.5 / (look.size * min(shape)))
    uneven = 0.4 + 1.2 * cloud(shape, rng, 5, 4)
    for turn in range(int(rng.integers(1, 4))):
        if turn:
            depth = depth - np.float32(rng.uniform(0.1, 0.4)) + np.float32(0.25) * drift(shape, rng, 1.5 / look.size)
        width = edge + rng.uniform(0.01, 0.10)
        inside = step(depth, -edge / 2, edge / 2)
        rim = cv2.exp(-depth.clip(0, None) * np.float32(1 / width))
        dye = dye + inside * (np.float32(rng.uniform(0.02, 0.25)) + np.float32(rng.uniform(0.3, 0.9)) * rim * uneven)
    return dye, np.zeros(shape, np.float32)


def _cup(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """Rings of a cup, put down once or more, in part."""
    dye = np.zeros(shape, np.float32)
    side = min(shape)
    paper = 0.5 + 0.9 * cloud(shape, rng, 10, 5)
    wide = max(look.size * rng.uniform(0.03, 0.14), 1.5 / side)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        centre = (
            look.centre[0] + rng.normal(0, 0.15) * look.size * side / shape[0] * bool(dye.any()),
            look.centre[1] + rng.normal(0, 0.15) * look.size * side / shape[1] * bool(dye.any()),
        )
        down, across = _offsets(shape, centre)
        away = np.sqrt(down * down + across * across)
        inside = np.float32(look.size) - away + np.float32(0.02 * look.size) * drift(shape, rng, 8)
        # The outside is steep, and a second, fainter line often lies within.
        outer = step(inside, -max(0.015 * look.size, 1.2 / side), 0.0)
        rim = cv2.exp(-inside.clip(0, None) * np.float32(1 / wide))
        second = cv2.exp(-(((inside - 1.4 * wide) / np.float32(0.35 * wide)) ** 2)) * np.float32(rng.uniform(0, 0.5))
        parts = step(cloud(shape, rng, 2.5, 2), *sorted(rng.uniform(-0.4, 0.9, 2) + np.array([0, 0.1])))
        wash = np.float32(rng.uniform(0, 0.3) * (rng.random() < 0.6))
        dye = np.maximum(dye, outer * ((rim + second) * (0.15 + 0.85 * parts) + wash * (1 - rim)))
    return dye * paper, np.zeros(shape, np.float32)


def _freckles(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """Foxing: soft brown spots of all sizes, some with a darker core."""
    side = min(shape)
    count = int(np.exp(rng.uniform(np.log(8), np.log(90))))
    radii = np.exp(rng.normal(np.log(0.008), 0.6, count)) * side + 0.8
    depth = _spots(shape, _scatter(shape, look, count, rng), radii, rng)
    depth = depth + np.float32(0.3 + look.ragged) * (cloud(shape, rng, 26, 4, 0.7) - 0.5)
    halo = cv2.exp(-((1 - depth).clip(0, None) ** 2) * np.float32(0.45))
    core = step(depth, 0.1, 0.7) * step(cloud(shape, rng, 12, 1), 0.4, 0.7)
    return (0.7 * halo + 0.5 * core) * (0.35 + 0.8 * cloud(shape, rng, 10, 3)), np.zeros(shape, np.float32)


def _splatter(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """Drops of all sizes that have dried, the large ones with a dark rim."""
    side = min(shape)
    count = int(np.exp(rng.uniform(np.log(5), np.log(90))))
    radii = np.minimum(0.005 * side * rng.uniform(0.01, 1, count) ** -0.7, 0.4 * look.size * side) + 0.4
    middle = np.array([look.centre[0] * shape[0], look.centre[1] * shape[1]])
    # Small drops fly further.
    places = middle + rng.normal(0, 1, (count, 2)) * (look.size * side * (0.02 * side / radii[:, None]) ** 0.3)
    depth = _spots(shape, places, radii, rng)
    depth = depth + np.float32(0.7 * look.ragged) * (cloud(shape, rng, 22, 4, 0.6) - 0.5)
    inside = step(depth, 0.0, 0.25)
    rim = cv2.exp(-depth.clip(0, None) * np.float32(6))
    dye = inside * (0.55 + np.float32(rng.uniform(0, 0.7)) * rim) * (0.6 + 0.5 * cloud(shape, rng, 12, 4))
    return dye, inside


def _smear(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """What was wiped or brushed along: streaks that begin thick and run dry."""
    down, across = _offsets(shape, look.centre)
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = (down * cos + across * sin) / np.float32(look.size), (across * cos - down * sin) / np.float32(look.size)
    v = v + np.float32(rng.normal(0, 0.25)) * u * u
    # Noise that is long along the stroke, read at the stroke's own coordinates.
    streaks = cloud((96, 160), rng, rng.uniform(20, 60), 3, 0.7, rng.uniform(6, 14))
    rows, columns = ((u + 2) * np.float32(24)).clip(0, 95), ((v + 2) * np.float32(40)).clip(0, 159)
    drawn = cv2.remap(streaks, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)
    wide = np.float32(rng.uniform(0.25, 0.6))
    body = step(1 - np.abs(v) / wide, 0.0, 0.5) * step(1.6 - np.abs(u), 0.0, 0.3)
    worn = (u + 1.6) * np.float32(1 / 3.2)
    left = step(drawn - 0.75 * worn.clip(0, 1) - np.float32(0.4) * (cloud(shape, rng, 40, 3, 0.8) - 0.5), -0.1, 0.25)
    return body * left * (0.4 + 0.8 * drawn), step(body * left, 0.3, 0.7)


def _grease(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """A blot that has soaked in: even, with a soft rim."""
    depth = _blob(shape, look, rng, 0.2 + 0.4 * look.ragged, 4)
    even = step(depth, -0.15, 0.2)
    return even * (0.75 + 0.25 * cloud(shape, rng, 4, 3)) + 0.2 * step(depth, -0.5, 0.1), np.zeros(shape, np.float32)


def _finger(shape: Shape, look: Look, rng: np.random.Generator) -> tuple[Field, Field]:
    """Fingerprints: ridges that bend around, worn away in places."""
    dye = np.zeros(shape, np.float32)
    size = min(look.size, 0.1)
    for _ in range(int(rng.integers(1, 5))):
        centre = tuple(c + rng.normal(0, 0.5) * size for c in look.centre)
        down, across = _offsets(shape, (centre[0], centre[1]))
        angle = rng.uniform(-0.8, 0.8)
        cos, sin = np.float32(np.cos(angle) / size), np.float32(np.sin(angle) / size)
        u, v = down * cos + across * sin, across * cos - down * sin
        core = np.sqrt(v * v + ((u - 0.1) * np.float32(0.8)) ** 2) + np.float32(0.3) * u
        warp = np.float32(0.12) * drift(shape, rng, 1.2 / size)
        ridges = 0.5 + 0.5 * np.cos((core + warp) * np.float32(2 * np.pi * min(9.0, size * min(shape) / 2.5)))
        oval = step(1 - u * u - (v * np.float32(1.35)) ** 2 + warp, 0.0, 0.5)
        worn = step(cloud(shape, rng, 1.5 / size, 4, 0.7), 0.2, 0.7)
        dye = np.maximum(dye, oval * worn * (0.1 + 0.35 * ridges))
    return dye, np.zeros(shape, np.float32)


MARKS: dict[str, Callable[[Shape, Look, np.random.Generator], tuple[Field, Field]]] = {
    "sheet": _sheet,
    "scabs": _scabs,
    "drips": _drips,
    "tide": _tide,
    "cup": _cup,
    "freckles": _freckles,
    "splatter": _splatter,
    "smear": _smear,
    "grease": _grease,
    "finger": _finger,
}
