"""A screen photographed: sub-pixels of three colours, seen by a camera whose own pixels have one colour each.

The picture on the screen is multiplied, in linear light, by the grid of the screen's sub-pixels; a lens blurs it, a
colour filter array samples it, and what it left out is interpolated. Both grids have nearly the same pitch, and moiré
is their beat. Then come the camera's sharpening, noise and tones::

    y = tone(sharpen(demosaic(sample(x ** 2.2 * grid ∗ lens) + noise) ** (1 / 2.2)))

The frame of the camera is that of the clean picture: where a screen's pixel lies in it follows from pitch, angle and
tilt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from imgrestore.degrade.moire import Tone, change_tones

__all__ = ["ScreenParams", "apply", "grid", "sample"]

GAMMA = 2.2
# Samples along each side of a camera's pixel.
FINE = 3
KINDS = ("stripes", "dots")


@dataclass(frozen=True)
class ScreenParams:
    """How one picture on a screen was photographed.

    Attributes
    ----------
    pitch : float
        Camera pixels from one screen pixel to the next.
    angle : float
        Of the screen's rows against the camera's, in radians.
    tilt : (float, float)
        By how much the pitch grows over the height and over the width of the frame, as a part of itself.
    offset : (float, float)
        Of the grid, in screen pixels.
    kind : {"stripes", "dots"}
        Sub-pixels side by side, as on most monitors, or red and blue between green ones, as on most telephones.
    fill : float
        The part of a screen pixel that gives light along each side, 0 to 1: the rest is black.
    depth : float
        How much of the grid is seen: 1 for all; less where the screen is out of focus.
    lens : float
        Standard deviation of the lens's blur, camera pixels.
    sharpen : float
        Of the camera: how much of what a blur of one pixel takes away is added once more.
    noise : float
        Standard deviation in linear light, for white 1.
    mosaic : int
        Which of the four places of the colour filter array is red: 0 to 3.
    tone : Tone
        Of the camera.
    seed : int
        Of the noise.
    """

    pitch: float = 1.5
    angle: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    offset: tuple[float, float] = (0.0, 0.0)
    kind: str = "stripes"
    fill: float = 0.8
    depth: float = 1.0
    lens: float = 0.5
    sharpen: float = 0.0
    noise: float = 0.0
    mosaic: int = 0
    tone: Tone = field(default=Tone())
    seed: int = 0


def sample(shape: tuple[int, ...], rng: np.random.Generator) -> ScreenParams:
    """Draw how a screen is photographed.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture; the parameters do not depend on it.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ScreenParams
    """
    return ScreenParams(
        pitch=float(np.exp(rng.uniform(math.log(0.8), math.log(2.4)))),
        angle=float(rng.normal(0, 0.12)),
        tilt=(float(rng.normal(0, 0.04)), float(rng.normal(0, 0.04))),
        offset=(float(rng.uniform()), float(rng.uniform())),
        kind=KINDS[int(rng.random() < 0.3)],
        fill=float(rng.uniform(0.6, 0.95)),
        depth=float(rng.uniform(0.3, 1.0)),
        lens=float(rng.uniform(0.15, 0.6)),
        sharpen=float(rng.uniform(0.0, 2.0)),
        noise=float(rng.uniform(0.0, 0.004)),
        mosaic=int(rng.integers(4)),
        tone=Tone(
            tuple(float(v) for v in rng.uniform(0.85, 1.15) * rng.uniform(0.93, 1.07, 3)),  # type: ignore[arg-type]
            tuple(float(v) for v in rng.uniform(-0.02, 0.06, 3)),  # type: ignore[arg-type]
            tuple(float(v) for v in rng.uniform(0.7, 1.3) * rng.uniform(0.93, 1.07, 3)),  # type: ignore[arg-type]
        ),
        seed=int(rng.integers(2**31)),
    )


def grid(size: tuple[int, int], params: ScreenParams) -> Tensor:
    """The light that the screen's sub-pixels let through, for a white picture.

    Parameters
    ----------
    size : (int, int)
        Height and width of the frame, camera pixels.
    params : ScreenParams

    Returns
    -------
    Tensor of float32, shape (3, FINE * H, FINE * W)
        Red, green and blue, `FINE` samples along each side of a camera's pixel. The mean of each over whole screen
        pixels is 1, but for what the tilt does to the rims of sub-pixels.

    Raises
    ------
    ValueError
        Where the kind is neither "stripes" nor "dots".
    """
    if params.kind not in KINDS:
        raise ValueError(f"kind is {params.kind!r}; expected one of {', '.join(KINDS)}")
    height, width = size
    y = (torch.arange(height * FINE) + 0.5) / FINE
    x = (torch.arange(width * FINE) + 0.5) / FINE
    down, across = (y / height - 0.5)[:, None], (x / width - 0.5)[None]
    pitch = params.pitch * (1 + params.tilt[0] * down + params.tilt[1] * across)
    cos, sin = math.cos(params.angle), math.sin(params.angle)
    rows = (cos * y[:, None] - sin * x[None]) / pitch + params.offset[0]
    columns = (sin * y[:, None] + cos * x[None]) / pitch + params.offset[1]
    # Half a sub-pixel each, in screen pixels; their rims are as soft as a camera sample is wide.
    soft = 1 / (FINE * params.pitch)
    if params.kind == "stripes":
        places, sizes = ((0.5, 1 / 6), (0.5, 0.5), (0.5, 5 / 6)), ((1.0, 1 / 3),) * 3
    else:
        places, sizes = ((0.25, 0.25), (0.5, 0.5), (0.75, 0.75)), ((0.5, 0.5), (0.5, 1.0), (0.5, 0.5))
    planes = []
    for (row, column), (tall, wide) in zip(places, sizes, strict=True):
        tall, wide = tall * params.fill, wide * params.fill
        lit = _window(rows - row, tall, soft) * _window(columns - column, wide, soft)
        planes.append(lit / (_share(tall, soft) * _share(wide, soft)))
    return 1 + params.depth * (torch.stack(planes) - 1)


def _window(place: Tensor, size: float, soft: float) -> Tensor:
    """1 within `size` around every whole number, 0 elsewhere, the rims `soft` wide."""
    apart = (place - place.round()).abs()
    return ((size / 2 - apart) / soft + 0.5).clamp(0, 1)


def _share(size: float, soft: float) -> float:
    """The mean of `_window`: `size`, unless its rims meet."""

    def ramp(end: float) -> float:
        return max(end, 0.0) ** 2 / 2 if end < 1 else end - 0.5

    return 2 * soft * (ramp(size / 2 / soft + 0.5) - ramp((size / 2 - 0.5) / soft + 0.5))


def apply(clean: Tensor, params: ScreenParams) -> Tensor:
    """Photograph a picture on a screen.

    Parameters
    ----------
    clean : Tensor, shape (..., 3, H, W), floating point
        The screen's picture, range [0, 1], of 2 pixels or more on each side.
    params : ScreenParams

    Returns
    -------
    Tensor, shape of `clean`
        Not clipped. Differentiable with respect to `clean`.

    Raises
    ------
    ValueError
        Where `clean` has other than 3 channels or a side of less than 2 pixels, or the kind is none.
    """
    if clean.ndim < 3 or clean.shape[-3] != 3 or min(clean.shape[-2:]) < 2:
        raise ValueError(f"clean: got shape {tuple(clean.shape)}, expected (..., 3, H, W), H and W being 2 or more")
    planes = clean.reshape(-1, *clean.shape[-3:])
    size = (planes.shape[-2], planes.shape[-1])
    light = planes.clamp(1e-4, 1) ** GAMMA
    fine = F.interpolate(light, scale_factor=FINE, mode="bilinear", align_corners=False)
    seen = F.avg_pool2d(_blurred(fine * grid(size, params).to(fine), params.lens * FINE), FINE)
    white = torch.randn(seen.shape, generator=torch.Generator().manual_seed(params.seed)).to(seen)
    raw = seen + params.noise * white
    picture = _demosaic(raw, params.mosaic).clamp_min(1e-4) ** (1 / GAMMA)
    picture = picture + params.sharpen * (picture - _blurred(picture, 1.0))
    return change_tones(picture, params.tone).reshape(clean.shape)


def _blurred(planes: Tensor, sigma: float) -> Tensor:
    reach = max(1, math.ceil(3 * sigma))
    steps = torch.arange(-reach, reach + 1).to(planes)
    line = torch.exp(-0.5 * (steps / sigma) ** 2)
    line = (line / line.sum()).expand(planes.shape[1], 1, -1)
    padded = F.pad(planes, (reach,) * 4, mode="replicate")
    down = F.conv2d(padded, line[..., None], groups=planes.shape[1])
    return F.conv2d(down, line[:, :, None], groups=planes.shape[1])


def _demosaic(light: Tensor, place: int) -> Tensor:
    """Keep of each pixel the colour that the filter array passes, and interpolate the others linearly."""
    height, width = light.shape[-2:]
    down, across = torch.arange(height)[:, None] + place // 2, torch.arange(width)[None] + place % 2
    red, blue = (down % 2 == 0) & (across % 2 == 0), (down % 2 == 1) & (across % 2 == 1)
    sites = torch.stack([red, ~(red | blue), blue]).to(light)
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]).to(light).expand(3, 1, 3, 3)
    total = F.conv2d(F.pad(light * sites, (1,) * 4, mode="reflect"), kernel, groups=3)
    weight = F.conv2d(F.pad(sites[None], (1,) * 4, mode="reflect"), kernel, groups=3)
    return torch.where(sites > 0, light, total / weight)
