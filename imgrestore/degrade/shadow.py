"""Shadows: outlines, penumbrae, and the light that is left.

    y = code(gain * decode(x))
    gain = 1 - coverage * (1 - depth)

Light multiplies in linear light, so display-coded values are decoded (sRGB) first and coded again afterwards. In the
shadow the sky still shines, and is bluer than the sun: `depth` is a colour. How much of the sun a surface has to lose
depends on where it faces, so the depth is uneven on bodies; and in skin, wax or leaves light spreads below the surface,
red light the farthest, so that shadows have red edges there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from imgrestore.light import decode, encode

__all__ = ["ShadowParams", "apply", "sample", "sample_several", "shadow_coverage", "shadow_gain", "shadow_mask"]

Outline = NDArray[np.float32]
Kind = Literal["cast", "soft", "document"]

KINDS: dict[Kind, float] = {"cast": 0.6, "soft": 0.15, "document": 0.25}
# How many times finer than a pixel outlines are drawn along each axis, so that a sharp edge is not a staircase.
FINE = 3
LEVELS = 4
# How far light of the three colours spreads below a surface, red light being 1.
SPREAD = (1.0, 0.5, 0.2)


@dataclass(frozen=True)
class ShadowParams:
    """What shades one picture.

    Attributes
    ----------
    outlines : tuple of ndarray of float32, each of shape (n, 2)
        Closed polygons, vertices (row, column) in parts of the picture's height and width; they may leave the frame.
    depth : (float, float, float)
        The light that is left in the umbra, for red, green and blue, in linear light; above 0, at most 1.
    penumbra : (float, float)
        Standard deviation of the edge's blur where the body is near and where it is far, in parts of the shorter side.
    angle : float
        Direction (radians) along which the penumbra widens and the ambient light changes.
    slope : float
        Relative change of the light inside the shadow along that direction, from one end of the picture to the other.
    falloff : float
        Relative loss of light along the direction over the whole picture, shaded or not; as under a lamp at one side.
    sigma : float
        Standard deviation of the noise of the coded picture, for a range of 1.
    bits : int or None
        Bits of the file that the picture went through, or None.
    seed : int
        Seed of the noise.
    uneven : float
        Standard deviation of the logarithm of the depth over the shadow, which changes slowly.
    scatter : float
        Standard deviation, in parts of the shorter side, by which red light spreads below the surface; green light
        spreads half as far and blue light a fifth.
    shot : float
        Variance of the photon noise in linear light, for each unit of it.
    """

    outlines: tuple[Outline, ...]
    depth: tuple[float, float, float] = (0.4, 0.43, 0.48)
    penumbra: tuple[float, float] = (0.004, 0.01)
    angle: float = 0.0
    slope: float = 0.0
    falloff: float = 0.0
    sigma: float = 0.0
    bits: int | None = None
    seed: int = 0
    uneven: float = 0.0
    scatter: float = 0.0
    shot: float = 0.0


def sample(shape: tuple[int, ...], rng: np.random.Generator, kind: Kind | None = None) -> ShadowParams:
    """Draw a shadow.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture.
    rng : numpy.random.Generator
        The source of randomness.
    kind : {"cast", "soft", "document"}, optional
        Cast: an outline with a narrow penumbra, outdoors or under a lamp. Soft: no edge anywhere. Document: a hand or a
        head over a page, lit by a lamp. Drawn by default.

    Returns
    -------
    ShadowParams
    """
    if kind is None:
        kind = rng.choice(np.array(list(KINDS)), p=np.array(list(KINDS.values())))
    ratio = shape[-2] / shape[-1]
    outlines = _outlines(rng, kind, ratio)
    # Under a clear sky the sun gives four fifths of the light or more; haze and lamps leave more of it.
    level = float(np.exp(rng.uniform(np.log(0.14), np.log(0.5))))
    if kind == "document":
        level = float(rng.uniform(0.35, 0.75))
    # The sky is bluer than the sun; indoors a second lamp may be of either colour.
    tint = float(rng.uniform(0.0, 0.30) if kind == "cast" else rng.uniform(-0.06, 0.08))
    green = float(rng.normal(0, 0.02))
    depth = tuple(float(np.clip(level * np.exp(t), 0.05, 0.97)) for t in (-tint / 2, green, tint / 2))
    if kind == "cast":
        near = float(np.exp(rng.uniform(np.log(0.0015), np.log(0.012))))
        penumbra = near, near * float(rng.uniform(1.0, 3.0))
    elif kind == "soft":
        near = float(rng.uniform(0.07, 0.14))
        penumbra = near, near * float(rng.uniform(1.0, 1.5))
    else:
        near = float(np.exp(rng.uniform(np.log(0.006), np.log(0.05))))
        penumbra = near, near * float(rng.uniform(1.0, 3.0))
    return ShadowParams(
        outlines=outlines,
        depth=(depth[0], depth[1], depth[2]),
        penumbra=penumbra,
        angle=float(rng.uniform(0, 2 * np.pi)),
        slope=float(rng.uniform(-0.15, 0.15)),
        falloff=float(rng.uniform(0.0, 0.25)) if kind == "document" else 0.0,
        sigma=float(rng.uniform(0.0, 0.008)),
        bits=8 if rng.random() < 0.5 else None,
        seed=int(rng.integers(2**31)),
    )


def sample_several(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[ShadowParams, ...]:
    """Draw one to three shadows of any kind, as varied as a net has to know them.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of ShadowParams
        The first one has the noise and the file of the picture. Of cast ones some are on bodies: uneven, and with edges
        that light has spread over. Those of one picture have the same light left in them.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from imgrestore.degrade import shadow
    >>> several = shadow.sample_several((3, 64, 64), np.random.default_rng(0))
    >>> shadow.apply(torch.full((3, 64, 64), 0.8), several).shape
    torch.Size([3, 64, 64])
    """
    first = sample(shape, rng)
    count = 1 if rng.random() < 0.6 else int(rng.integers(2, 4))
    on_body = float(rng.random() < 0.5)
    # Low sun beside a dark ground leaves less light than `sample` knows.
    deeper = float(np.exp(rng.uniform(-0.8, 0))) if rng.random() < 0.5 else 1.0
    red, green, blue = (max(0.04, deeper * part) for part in first.depth)
    first = replace(
        first,
        depth=(red, green, blue),
        uneven=float(rng.uniform(0, 0.3)) if rng.random() < 0.6 else 0.0,
        scatter=on_body * float(np.exp(rng.uniform(np.log(0.003), np.log(0.02)))),
        shot=float(rng.uniform(0, 0.0008)) if rng.random() < 0.5 else 0.0,
    )
    others = [sample(shape, rng, "cast") for _ in range(count - 1)]
    same = {name: getattr(first, name) for name in ("depth", "uneven", "scatter")}
    return (first, *(replace(one, **same, sigma=0.0, bits=None, falloff=0.0) for one in others))


def apply(clean: torch.Tensor, params: ShadowParams | Sequence[ShadowParams]) -> torch.Tensor:
    """Shade a clean picture, add noise, and store it.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W), floating point, C = 1 or 3
        The scene, display-coded, range [0, 1].
    params : ShadowParams, or a sequence of them
        Of several the first has the noise and the file. Where they overlap, the deepest counts.

    Returns
    -------
    Tensor, same shape
        The observed picture, a pure function of both; differentiable with respect to `clean` (rounding passes gradients
        straight through).
    """
    several = (params,) if isinstance(params, ShadowParams) else tuple(params)
    params = several[0]
    gains = [shadow_gain(clean.shape, one) for one in several]
    light = decode(clean) * torch.stack(gains).amin(0).to(clean)
    if params.shot:
        generator = torch.Generator().manual_seed(params.seed + 1)
        noise = torch.randn(light.shape, generator=generator, dtype=torch.float32).to(light)
        light = light + (params.shot * light.detach().clamp_min(0)).sqrt() * noise
    shaded = encode(light)
    if params.sigma:
        generator = torch.Generator().manual_seed(params.seed)
        noise = torch.randn(shaded.shape, generator=generator, dtype=torch.float32).to(shaded)
        shaded = shaded + params.sigma * noise
    if params.bits is None:
        return shaded
    levels = 2**params.bits - 1
    held = shaded.clamp(0, 1)
    return held + ((held * levels).round() / levels - held).detach()


def shadow_coverage(shape: tuple[int, ...], params: ShadowParams) -> torch.Tensor:
    """How much of the lamp or sun is hidden from each pixel.

    Parameters
    ----------
    shape : tuple of int
        (..., H, W).
    params : ShadowParams

    Returns
    -------
    Tensor, shape (1, H, W)
        0 in the light, 1 in the umbra.
    """
    height, width = shape[-2:]
    short = min(height, width)
    near, far = (max(p, 0.0) * short for p in params.penumbra)
    margin = int(np.ceil(3 * max(near, far))) + 1
    drawn = _drawn(params.outlines, height, width, margin)
    steps = np.linspace(near, far, LEVELS if far > near * 1.05 + 0.05 else 1)
    inner = slice(margin, margin + height), slice(margin, margin + width)
    softened = [(gaussian_filter(drawn, s, mode="nearest") if s > 0.1 else drawn)[inner] for s in steps]
    if len(steps) == 1:
        return torch.from_numpy(softened[0].astype(np.float32))[None]
    place = _along(height, width, params.angle) * (len(steps) - 1)
    mixed = sum(np.clip(1 - np.abs(place - k), 0, 1) * plane for k, plane in enumerate(softened))
    return torch.from_numpy(np.asarray(mixed, np.float32))[None]


def shadow_gain(shape: tuple[int, ...], params: ShadowParams) -> torch.Tensor:
    """The factor by which a shadow multiplies linear light.

    Parameters
    ----------
    shape : tuple of int
        (..., C, H, W); with one channel the colours of `depth` are averaged.
    params : ShadowParams

    Returns
    -------
    Tensor of float32, shape (C, H, W)
        Above 0, at most 1.
    """
    depth = torch.tensor(params.depth, dtype=torch.float32)[:, None, None]
    if len(shape) < 3 or shape[-3] == 1:
        depth = depth.mean(0, keepdim=True)
    place = torch.from_numpy(_along(shape[-2], shape[-1], params.angle).astype(np.float32))
    umbra = depth * (1 + params.slope * (place - 0.5))
    if params.uneven:
        umbra = umbra * _slow_change(shape[-2], shape[-1], params)
    umbra = umbra.clamp(0.01, 1.0)
    gain = 1 - _scattered(shadow_coverage(shape, params), len(depth), params.scatter) * (1 - umbra)
    return (gain * (1 - params.falloff * place)).clamp(0.005, 1.0)


def _slow_change(height: int, width: int, params: ShadowParams) -> torch.Tensor:
    """A factor (H, W) about 1 that changes over a third of the picture."""
    generator = torch.Generator().manual_seed(params.seed + 2)
    knots = torch.randn(1, 1, 5, 5, generator=generator)
    field = torch.nn.functional.interpolate(knots, (height, width), mode="bicubic", align_corners=True)[0, 0]
    return (params.uneven * field).exp()


def _scattered(coverage: torch.Tensor, channels: int, scatter: float) -> torch.Tensor:
    """Coverage (1, H, W) as each of three channels sees it through a body in which light spreads."""
    if not scatter or channels != 3:
        return coverage
    short, plane = min(coverage.shape[1:]), coverage[0].numpy()
    spread = [gaussian_filter(plane, part * scatter * short, mode="nearest") for part in SPREAD]
    return torch.from_numpy(np.stack(spread).astype(np.float32))


def shadow_mask(shape: tuple[int, ...], params: ShadowParams) -> torch.Tensor:
    """The shadow's outline at half its depth.

    Parameters
    ----------
    shape : tuple of int
        (..., H, W).
    params : ShadowParams

    Returns
    -------
    Tensor of bool, shape (1, H, W)
        True where at least half of the lamp is hidden.
    """
    return shadow_coverage(shape, params) >= 0.5


def _along(height: int, width: int, angle: float) -> NDArray[np.float64]:
    """Position along a direction, 0 to 1 over the picture."""
    y = (np.arange(height)[:, None] + 0.5) / height - 0.5
    x = (np.arange(width)[None, :] + 0.5) / width - 0.5
    reach = abs(np.sin(angle)) + abs(np.cos(angle))
    return (y * np.sin(angle) + x * np.cos(angle)) / reach + 0.5


def _drawn(outlines: tuple[Outline, ...], height: int, width: int, margin: int) -> NDArray[np.float32]:
    """The union of outlines, anti-aliased, with a margin around the frame."""
    from PIL import Image, ImageDraw

    size = (width + 2 * margin) * FINE, (height + 2 * margin) * FINE
    canvas = Image.new("L", size)
    draw = ImageDraw.Draw(canvas)
    for outline in outlines:
        points = [((x * width + margin) * FINE, (y * height + margin) * FINE) for y, x in outline.tolist()]
        draw.polygon(points, fill=255)
    fine = np.asarray(canvas, np.float32) / 255
    return fine.reshape(height + 2 * margin, FINE, width + 2 * margin, FINE).mean((1, 3))


def _outlines(rng: np.random.Generator, kind: Kind, ratio: float) -> tuple[Outline, ...]:
    """Bodies that throw the shadow: a rounded one, a bar, a wall's edge, a figure with limbs, or leaves."""
    names = ("blob", "bar", "wall", "figure", "leaves")
    chance = {
        "cast": (0.3, 0.2, 0.2, 0.2, 0.1),
        "soft": (0.6, 0.1, 0.3, 0.0, 0.0),
        "document": (0.3, 0.15, 0.3, 0.25, 0.0),
    }
    name = rng.choice(names, p=chance[kind])
    centre = rng.uniform(0.25, 0.75, 2)
    size = float(rng.uniform(0.16, 0.36))
    if name == "blob":
        return (_blob(rng, centre, size, ratio),)
    if name == "bar":
        return (_bar(centre, float(rng.uniform(0, np.pi)), 1.6, float(rng.uniform(0.06, 0.2)), ratio),)
    if name == "wall":
        angle = float(rng.uniform(0, 2 * np.pi))
        edge = rng.uniform(0.3, 0.7, 2)
        away = 0.9 * np.array([np.sin(angle), np.cos(angle)])
        bump = np.cumsum(rng.normal(0, 0.02, 24)) * float(rng.random() < 0.5)
        along = np.stack([np.cos(angle) * np.linspace(-2, 2, 24), -np.sin(angle) * np.linspace(-2, 2, 24)], 1)
        line = edge + along + bump[:, None] * away
        return (np.concatenate([line, line[::-1] + 3 * away]).astype(np.float32),)
    if name == "figure":
        limbs = [
            _bar(
                centre + rng.uniform(-0.3, 0.3, 2) * size,
                float(rng.uniform(0, np.pi)),
                0.9,
                float(rng.uniform(0.03, 0.08)),
                ratio,
            )
            for _ in range(int(rng.integers(1, 4)))
        ]
        return (_blob(rng, centre, 0.8 * size, ratio), *limbs)
    return tuple(
        _blob(rng, centre + rng.normal(0, 0.16, 2), float(rng.uniform(0.03, 0.09)), ratio)
        for _ in range(int(rng.integers(8, 20)))
    )


def _blob(rng: np.random.Generator, centre: NDArray[np.float64], size: float, ratio: float) -> Outline:
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = np.ones_like(turn)
    for k in range(1, 6):
        radius += rng.normal(0, 0.28 / k) * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
    radius = size * np.clip(radius, 0.35, 1.9)
    squeeze = np.sqrt(ratio)
    points = np.stack([np.sin(turn) / squeeze, np.cos(turn) * squeeze], 1) * radius[:, None]
    return (centre + points).astype(np.float32)


def _bar(centre: NDArray[np.float64], angle: float, length: float, width: float, ratio: float) -> Outline:
    along, across = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    squeeze = np.array([1 / np.sqrt(ratio), np.sqrt(ratio)])
    corners = [s * along * length / 2 + t * across * width / 2 for s, t in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    return (centre + np.array(corners) * squeeze).astype(np.float32)
