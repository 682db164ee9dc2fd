"""What glossy surfaces mirror: lobes, sheens, streaks, windows, rows of lamps, sparkles, and light on relief."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.degrade.noise import cloud, drift, step

__all__ = ["KINDS", "Glint", "Surface", "add"]

# Of float32.
Field = NDArray[Any]
Kind = Literal["lobe", "sheen", "streak", "window", "lamps", "sparkle", "relief", "shape"]
KINDS: tuple[Kind, ...] = ("lobe", "sheen", "streak", "window", "lamps", "sparkle", "relief", "shape")

# Of the skirts of a lobe.
REACH = 5.0


@dataclass(frozen=True)
class Glint:
    """One thing that is mirrored, or one family of sparkles.

    Attributes
    ----------
    kind : {"lobe", "sheen", "streak", "window", "lamps", "sparkle", "relief", "shape"}
        A lamp on a rough body; the same, wide and without a core; a bright line along a rim or a fold; a window with
        bars; a row of strips; small spots; a lamp on a bumpy surface; a lamp on the bodies that the picture shows,
        whose brightness is taken for their height.
    y, x : float
        Its middle, as parts of the height and the width.
    length, width : float
        Half of its size along its two axes, as parts of the picture's shorter side.
    angle : float
        Of the long axis to the rows, radians.
    peak : float
        Light at its brightest; 1 is the camera's limit.
    soft : float
        0 to 1. Of lobes: from the bell of a rough surface to a sharp core with wide skirts. Of windows and lamps: the
        part of their size that is a soft edge. Of relief and shape: how wide the lobe is.
    bend : float
        By what part of its length the ends are bent aside.
    warp : float
        How uneven the surface is: by what part of its size the outline wavers.
    count : int
        Bars of a window, strips of a row of lamps, or sparkles.
    lamp : tuple of 3 floats
        Colour of the light, the largest 1.
    keep : float
        0 to 1: how much it ends where the picture's colours are no longer those at its middle.
    grain : float
        0 to 1: how much the surface's texture breaks it up.
    seed : int
        Of its noise.
    """

    kind: Kind
    y: float = 0.5
    x: float = 0.5
    length: float = 0.08
    width: float = 0.04
    angle: float = 0.0
    peak: float = 0.8
    soft: float = 0.5
    bend: float = 0.0
    warp: float = 0.0
    count: int = 2
    lamp: tuple[float, float, float] = (1.0, 1.0, 1.0)
    keep: float = 0.0
    grain: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Surface:
    """What the glints of one picture need to know of it; also a part of a picture.

    Attributes
    ----------
    tone : ndarray of float32, shape (H, W)
        Brightness, about as the eye sees it.
    colours : ndarray of float32, shape (C, H, W)
        The same for each channel, smoothed.
    fine : ndarray of float32, shape (H, W)
        Its finer structure; standard deviation 1 over the whole picture.
    corner : (int, int)
        Row and column at which the part begins.
    whole : (int, int)
        Height and width of the whole picture.
    """

    tone: Field
    colours: Field
    fine: Field
    corner: tuple[int, int]
    whole: tuple[int, int]

    @classmethod
    def of(cls, body: Field) -> Surface:
        """Look at a whole picture.

        Parameters
        ----------
        body : ndarray of float32, shape (C, H, W)
            Linear light.

        Returns
        -------
        Surface
        """
        coded = np.sqrt(body.clip(1e-4, 1))
        tone = coded.mean(0)
        fine = tone - cv2.GaussianBlur(tone, (0, 0), 0.012 * min(tone.shape) + 0.8)
        colours = np.stack([cv2.blur(plane, (3, 3)) for plane in coded])
        return cls(tone, colours, fine * np.float32(1 / max(float(fine.std()), 1e-4)), (0, 0), tone.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the part."""
        return self.tone.shape[0], self.tone.shape[1]

    @property
    def side(self) -> int:
        """The shorter side of the whole picture."""
        return min(self.whole)

    def cells(self, number: float) -> float:
        """How many cells of noise along the longer side of the whole picture make as many in the part."""
        return number * max(self.shape) / max(self.whole)

    def part(self, rows: slice, columns: slice) -> Surface:
        """A part of a whole picture."""
        corner = (rows.start, columns.start)
        return Surface(
            self.tone[rows, columns], self.colours[:, rows, columns], self.fine[rows, columns], corner, self.whole
        )


def add(light: Field, one: Glint, surface: Surface) -> None:
    """Add one thing that is mirrored to the light.

    Parameters
    ----------
    light : ndarray of float32, shape (C, H, W)
        To which it is added.
    one : Glint
        What it is.
    surface : Surface
        The whole picture without highlights.

    Raises
    ------
    ValueError
        Where the kind is none of `KINDS`.
    """
    if one.kind not in DRAWN:
        raise ValueError(f"kind is {one.kind!r}; expected one of {', '.join(KINDS)}")
    rng = np.random.default_rng(one.seed)
    drawn, reach = DRAWN[one.kind]
    side = surface.side
    # Ends are bent aside, and warped ones lie further out; a row and a column around it for the lens.
    far = reach * max(one.length * (1 + abs(one.bend) + one.warp), one.width * (1 + one.warp)) * side + 4
    rows, columns = (
        slice(max(0, int(p * n - far)), min(n, int(p * n + far) + 1))
        for p, n in zip((one.y, one.x), surface.whole, strict=True)
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = surface.part(rows, columns)
    along, across = _axes(one, part, rng)
    mirrored = drawn(one, along, across, part, rng)
    if one.keep:
        mirrored = mirrored * _alike(one, part, surface)
    if one.grain:
        mirrored = mirrored * _texture(one, part, rng)
    lamp = np.asarray(one.lamp, np.float32)
    lamp = lamp if len(light) == 3 else lamp.mean(keepdims=True)
    light[:, rows, columns] += (one.peak * lamp)[:, None, None].astype(np.float32) * mirrored


def _axes(one: Glint, part: Surface, rng: np.random.Generator) -> tuple[Field, Field]:
    """Places along and across it, in parts of its half sizes, bent and warped."""
    down, right = (
        (corner + np.arange(n, dtype=np.float32) + 0.5 - p * whole) / part.side
        for corner, n, p, whole in zip(part.corner, part.shape, (one.y, one.x), part.whole, strict=True)
    )
    down, right = down[:, None], right[None]
    cos, sin = np.cos(one.angle), np.sin(one.angle)
    # Nothing is smaller than the spot into which a lens draws a point.
    length, wide = (max(size, 0.7 / part.side) for size in (one.length, one.width))
    u: Field = (down * cos + right * sin).astype(np.float32)
    v: Field = (right * cos - down * sin).astype(np.float32)
    if one.warp:
        cells = part.cells(float(np.clip(0.7 / length, 3, 30)) * rng.uniform(0.7, 1.5))
        u = u + np.float32(one.warp * length) * drift(part.shape, rng, cells)
        v = v + np.float32(one.warp * wide) * drift(part.shape, rng, cells)
    u = u * np.float32(1 / length)
    # Beyond its ends a parabola would come back into the picture.
    v = v - np.float32(one.bend * length) * (u * u).clip(None, 4)
    return u, v * np.float32(1 / wide)


def _lobe(one: Glint, u: Field, v: Field, part: Surface, rng: np.random.Generator) -> Field:
    square = u * u + v * v
    skirted = 1 + np.float32(2**0.5 - 1) * square
    # Skirts end somewhere.
    skirt = step(-square, -(REACH**2), -0.2 * REACH**2) / (skirted * skirted)
    return (1 - np.float32(one.soft)) * _bell(square) + np.float32(one.soft) * skirt


def _bell(square: Field) -> Field:
    return cv2.exp(square * np.float32(-0.6931))


def _sheen(one: Glint, u: Field, v: Field, part: Surface, rng: np.random.Generator) -> Field:
    return _bell(u * u + v * v)


def _streak(one: Glint, u: Field, v: Field, part: Surface, rng: np.random.Generator) -> Field:
    knots = np.linspace(-1.1, 1.1, int(rng.integers(8, 40)))
    bright = rng.uniform(0.0, 1.3, len(knots)) ** rng.uniform(0.3, 2.0)
    along = np.interp(u.ravel(), knots, bright).reshape(u.shape).astype(np.float32)
    ends = step(1 - np.abs(u), 0.0, 0.35)
    skirted = 1 + v * v * np.float32(0.41) / (0.15 + ends)
    return along.clip(0, 1) * ends / (skirted * skirted)


def _window(one: Glint, u: Field, v: Field, part: Surface, rng: np.random.Generator) -> Field:
    edge = 0.03 + 0.6 * one.soft
    v = v * (1 + np.float32(rng.uniform(-0.3, 0.3)) * u.clip(-2, 2))
    light = step(1 - np.abs(u), -edge / 2, edge / 2) * step(1 - np.abs(v), -edge / 2, edge / 2)
    bar = rng.uniform(0.04, 0.10)
    for number in range(one.count):
        place = v if number % 2 else u
        where = np.float32(rng.uniform(-0.25, 0.25) if number < 2 else rng.uniform(-0.7, 0.7))
        light = light * (1 - 0.9 * step(bar + edge / 4 - np.abs(place - where), 0.0, edge / 2))
    # The sky is brighter above than the ground below, and trees stand before it.
    light = light * (1 + np.float32(rng.uniform(-0.5, 0.5)) * u).clip(0.1, 2)
    if rng.random() < 0.5:
        light = light * (
            1 - np.float32(rng.uniform(0.2, 0.8)) * cloud(part.shape, rng, part.cells(6 / max(one.length, 0.05)), 2)
        )
    return light * 0.8


def _lamps(one: Glint, u: Field, v: Field, part: Surface, rng: np.random.Generator) -> Field:
    edge = 0.05 + 0.8 * one.soft
    count = max(1, one.count)
    place = (v.clip(-1.5, 1.5) + 1) * np.float32(count / 2)
    number = np.floor(place)
    fill = rng.uniform(0.25, 0.75)
    strip = step(fill - np.abs(2 * (place - number) - 1), -edge * fill / 2, edge * fill / 2)
    bright = np.concatenate([[0], rng.uniform(0.5, 1.0, count), [0]]).astype(np.float32)
    return strip * bright[(number + 1).clip(0, count + 1).astype(np.intp)] * step(1 - np.abs(u), -edge / 2, edge / 2)


def _sparkle(one: Glint, u: Field, v: Field, part: Surface, rng: np.random.Generator) -> Field:
    height, width = part.shape
    side = part.side
    count = max(1, one.count)
    place = rng.standard_normal((2, count)) * np.array([[one.length], [one.width]]) * side
    cos, sin = np.cos(one.angle), np.sin(one.angle)
    rows = one.y * part.whole[0] - part.corner[0] + place[0] * cos - place[1] * sin
    columns = one.x * part.whole[1] - part.corner[1] + place[0] * sin + place[1] * cos
    # Few are bright: the brightness of glints follows a power law.
    bright = (rng.uniform(0.02, 1, count) ** 2.5).astype(np.float32)
    light = np.zeros((height, width), np.float32)
    size = rng.uniform(0.45, 0.8) * max(1.0, side / 400)
    for wide, sigma in enumerate((size, 2.2 * size)):
        spots = np.zeros((height, width), np.float32)
        chosen = slice(wide, None, 3) if wide else slice(None)
        r, c, b = rows[chosen], columns[chosen], bright[chosen]
        for dr in (0, 1):
            for dc in (0, 1):
                rr, cc = np.floor(r - 0.5) + dr, np.floor(c - 0.5) + dc
                share = (1 - np.abs(r - 0.5 - rr)) * (1 - np.abs(c - 0.5 - cc))
                seen = (rr >= 0) & (rr < height) & (cc >= 0) & (cc < width)
                np.add.at(spots, (rr[seen].astype(int), cc[seen].astype(int)), (share * b)[seen])
        light += cv2.GaussianBlur(spots, (0, 0), sigma) * np.float32(6.3 * sigma**2 * (0.5 if wide else 1.0))
    return light.clip(0, 2)


def _relief(one: Glint, u: Field, v: Field, part: Surface, rng: np.random.Generator) -> Field:
    cells = float(np.clip(rng.uniform(2, 6) / max(min(one.length, one.width), 0.02), 6, 60))
    stretch = float(np.exp(rng.normal(0, 0.5)))
    ground = cloud(part.shape, rng, part.cells(cells), 3, 0.35, stretch)
    light = _mirror(ground, one.soft, rng)
    return light * _bell(u * u + v * v)


def _shape(one: Glint, u: Field, v: Field, part: Surface, rng: np.random.Generator) -> Field:
    scale = rng.uniform(0.006, 0.03) * part.side
    bumps = np.float32(0.03) * drift(part.shape, rng, part.cells(rng.uniform(4, 12)))
    ground = cv2.GaussianBlur(part.tone, (0, 0), max(scale, 0.8)) + bumps
    light = _mirror(ground, one.soft, rng)
    return light * _bell(u * u + v * v)


def _mirror(ground: Field, soft: float, rng: np.random.Generator) -> Field:
    """A lamp mirrored by a height field, its direction drawn (Blinn 1977, for small slopes)."""
    down = cv2.Sobel(ground, cv2.CV_32F, 0, 1, ksize=3)
    right = cv2.Sobel(ground, cv2.CV_32F, 1, 0, ksize=3)
    scale = np.float32(1 / max(float(np.sqrt((down * down + right * right).mean())), 1e-8))
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.6)
    down = down * scale - np.float32(away * np.sin(turn))
    right = right * scale - np.float32(away * np.cos(turn))
    lobe = 0.12 + 0.6 * soft
    square = (down * down + right * right) * np.float32(1 / lobe**2)
    skirted = 1 + np.float32(0.41) * square
    return 1 / (skirted * skirted)


def _alike(one: Glint, part: Surface, whole: Surface) -> Field:
    """Where the picture has the colours of the glint's middle, and about their brightness."""
    row, column = (int(np.clip(p * n, 0, n - 1)) for p, n in zip((one.y, one.x), whole.whole, strict=True))
    middle = whole.colours[:, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3].mean((1, 2))
    apart = part.colours - middle[:, None, None]
    tone = apart.mean(0)
    hue = apart - tone
    # Shading changes the tone within a body far more than the hue.
    square = (hue * hue).sum(0) * np.float32(1 / 0.10**2) + (tone * tone) * np.float32(1 / 0.30**2)
    return 1 - np.float32(one.keep) * step(square, 0.6, 1.6)


def _texture(one: Glint, part: Surface, rng: np.random.Generator) -> Field:
    """What a rough surface leaves of it: finer structure of the picture, and noise."""
    rough = 0.5 * part.fine + 3.0 * (cloud(part.shape, rng, part.cells(24), 4, 0.9) - 0.5)
    return cv2.exp(np.float32(one.grain) * (0.9 * rough.clip(-2, 2) - 0.5))


# How each kind is drawn, and how many times its half sizes it reaches.
DRAWN: dict[str, tuple[Callable[[Glint, Field, Field, Surface, np.random.Generator], Field], float]] = {
    "lobe": (_lobe, REACH),
    "sheen": (_sheen, 3.0),
    "streak": (_streak, 1.6),
    "window": (_window, 1.9),
    "lamps": (_lamps, 1.9),
    "sparkle": (_sparkle, 3.0),
    "relief": (_relief, 3.0),
    "shape": (_shape, 3.0),
}
