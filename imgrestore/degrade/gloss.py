"""Varied highlights on any material: many kinds of mirrored light in one picture, as nets are to be trained on.

The model is that of `imgrestore.degrade.specular` (Shafer 1985), with a lamp for each thing that is mirrored and the
glare of the lens (Spencer et al. 1995)::

    y = code(min(decode(x) + glare(sum_k m_k * lamp_k) + noise, limit))

What is mirrored knows the picture: it ends where a body ends, lies where bodies face the lamp, and is broken up by
their texture. `imgrestore.degrade.specular` draws simpler highlights, which do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgrestore.degrade.gloss_places import look, place
from imgrestore.degrade.gloss_shapes import KINDS, Glint, Kind, Surface, add
from imgrestore.light import KNEE, OFFSET, POWER, SLOPE, decode, encode

__all__ = ["KINDS", "Glint", "GlossLayers", "GlossParams", "apply", "layers", "observe", "sample"]

Transfer = Literal["srgb", "linear"]

# How often each kind is drawn, and how many there are of it at the most.
CHANCES: dict[Kind, float] = {
    "lobe": 0.30,
    "sheen": 0.11,
    "streak": 0.09,
    "window": 0.07,
    "lamps": 0.04,
    "sparkle": 0.08,
    "relief": 0.12,
    "shape": 0.19,
}
MANY: dict[Kind, int] = {
    "lobe": 5,
    "sheen": 2,
    "streak": 5,
    "window": 2,
    "lamps": 2,
    "sparkle": 2,
    "relief": 1,
    "shape": 1,
}
# By how much the coded picture has to change, about, before a highlight is seen.
SEEN = 0.02
# Light beyond this many times the limit makes no larger glare.
BRIGHTEST = 6.0
WARM, COOL = (1.0, 0.72, 0.42), (0.72, 0.86, 1.0)


@dataclass(frozen=True)
class GlossParams:
    """What is mirrored in one picture, and how it is photographed.

    Attributes
    ----------
    glints : tuple of Glint
        An empty one leaves the picture as it is, but for noise, clipping and rounding.
    glare : float
        The part of the mirrored light that the lens spreads around.
    spread : float
        How far: standard deviation as a part of the shorter side.
    ground : bool
        The picture is an object on black ground: where `clean` is 0 in all channels nothing is mirrored.
    transfer : {"srgb", "linear"}
        How the picture is coded.
    noise : float
        Standard deviation of noise in linear light, before clipping.
    bits : int or None
        Bits of the file that the observation went through, or None.
    seed : int
        Seed of the noise.
    """

    glints: tuple[Glint, ...] = ()
    glare: float = 0.0
    spread: float = 0.01
    ground: bool = False
    transfer: Transfer = "srgb"
    noise: float = 0.0
    bits: int | None = None
    seed: int = 0


class GlossLayers(NamedTuple):
    """The truth.

    Attributes
    ----------
    light : Tensor, shape (..., C, H, W)
        Mirrored light in linear light, glare included, not clipped: linear picture + light = linear observation,
        before noise, clipping and rounding.
    mask : Tensor of bool, shape (..., 1, H, W)
        Where it can be seen: where a channel of the clipped, coded picture changes by more than about 0.02.
    clipped : Tensor of bool, shape (..., 1, H, W)
        Where a channel that was below the camera's limit has reached it.
    """

    light: Tensor
    mask: Tensor
    clipped: Tensor


def sample(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    clean: Tensor | None = None,
    transfer: Transfer = "srgb",
    kinds: tuple[Kind, ...] = KINDS,
) -> GlossParams:
    """Draw the highlights of one picture.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture.
    rng : numpy.random.Generator
        The source of randomness.
    clean : Tensor, shape (C, H, W), optional
        The picture, coded as `transfer` says. Highlights then lie on bodies rather than on black ground or white, more
        often on coloured ones, and are as bright as the picture asks for.
    transfer : {"srgb", "linear"}
        How the picture is coded.
    kinds : tuple of str
        The kinds to choose from.

    Returns
    -------
    GlossParams
        Of one to four kinds, with one to five glints of each.
    """
    view = None if clean is None else look(clean, transfer == "linear")
    level = 1.0 if view is None else view.level
    chances = np.array([CHANCES[kind] for kind in kinds])
    lamp = _lamp(rng)
    glints: list[Glint] = []
    # Whole pictures have dull, wide or hard, bright highlights, as their surfaces are rough or polished.
    brightness = rng.normal(0, 0.5)
    for number in rng.choice(len(kinds), min(int(rng.geometric(0.55)), 4), p=chances / chances.sum()):
        kind = kinds[number]
        family = _glint(kind, rng, brightness, level)
        many = int(rng.integers(1, MANY[kind] + 1))
        colour = _lamp(rng) if rng.random() < 0.25 else lamp
        for _ in range(many):
            glints.append(_like(family, rng, place(rng, view), colour))
    return GlossParams(
        glints=tuple(glints),
        glare=float(rng.uniform(0.01, 0.12)) if rng.random() < 0.6 else 0.0,
        spread=float(np.exp(rng.uniform(np.log(0.004), np.log(0.04)))),
        ground=view is not None and view.black,
        transfer=transfer,
        noise=float(level * rng.uniform(0, 0.006)) if rng.random() < 0.6 else 0.0,
        bits=8 if rng.random() < 0.6 else None,
        seed=int(rng.integers(2**31)),
    )


def apply(clean: Tensor, params: GlossParams) -> Tensor:
    """Put highlights on a picture.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W), floating point
        Values from 0 to 1, coded as `params` says; C is 3 or 1 (of the lamps only their means count then). Gradients
        run to it but where the camera clips; what is mirrored counts as given.
    params : GlossParams
        What is mirrored.

    Returns
    -------
    Tensor, shape of `clean`
        Of its dtype, at most 1.

    Raises
    ------
    ValueError
        Where `clean` has neither 1 nor 3 channels, or a glint is of no known kind.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.degrade import gloss
    >>> params = gloss.GlossParams((gloss.Glint("window", length=0.2, width=0.2),))
    >>> seen = gloss.apply(torch.full((3, 64, 64), 0.2), params)
    >>> bool(seen[:, 32, 20].min() > 0.5), bool((seen[:, 0, 0] - 0.2).abs().max() < 1e-5)
    (True, True)
    """
    body = _body(clean, params)
    return _seen(body, _light(body, params), params)


def layers(clean: Tensor, params: GlossParams) -> GlossLayers:
    """The true layers.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W)
        As in `apply`.
    params : GlossParams
        What is mirrored.

    Returns
    -------
    GlossLayers
        Of the dtype of `clean`.

    Raises
    ------
    ValueError
        As in `apply`.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.degrade import gloss
    >>> params = gloss.GlossParams((gloss.Glint("lobe"),), transfer="linear")
    >>> clean = torch.full((3, 64, 64), 0.1)
    >>> bool(torch.equal(gloss.apply(clean, params), clean + gloss.layers(clean, params).light))
    True
    """
    body = _body(clean, params)
    return _truth(clean, body, _light(body, params), params)


def observe(clean: Tensor, params: GlossParams) -> tuple[Tensor, GlossLayers]:
    """Both at once, in little more than the time of one.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W)
        As in `apply`.
    params : GlossParams
        What is mirrored.

    Returns
    -------
    tuple of Tensor and GlossLayers
        What `apply` and `layers` give.

    Raises
    ------
    ValueError
        As in `apply`.
    """
    body = _body(clean, params)
    light = _light(body, params)
    return _seen(body, light, params), _truth(clean, body, light, params)


def _body(clean: Tensor, params: GlossParams) -> Tensor:
    if clean.ndim < 3 or clean.shape[-3] not in (1, 3):
        raise ValueError(f"clean has shape {tuple(clean.shape)}; expected (..., C, H, W) with C 1 or 3")
    return decode(clean) if params.transfer == "srgb" else clean


def _light(body: Tensor, params: GlossParams) -> Tensor:
    """Mirrored light, shape of `body`, of which it is no differentiable function."""
    pictures = body.detach().to("cpu", torch.float32).reshape(-1, *body.shape[-3:]).numpy()
    light = np.zeros_like(pictures)
    for picture, mirrored in zip(pictures, light, strict=True):
        surface = Surface.of(picture)
        for one in params.glints:
            add(mirrored, one, surface)
        if params.ground:
            mirrored *= picture.max(0) > 0
        if params.glare and params.glints:
            mirrored += np.float32(params.glare) * _glare(mirrored, params.spread)
    return torch.from_numpy(light).reshape(body.shape).to(body)


def _glare(light: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    """A narrow halo and a wide one, of all planes."""
    height, width = light.shape[-2:]
    side = min(height, width)
    size = max(0.5, spread * side)
    # What is smooth can be made small.
    factor = min(max(1, int(size)), 4, side)
    small = height // factor, width // factor
    total = []
    for plane in light:
        near = cv2.resize(plane.clip(None, BRIGHTEST), small[::-1], interpolation=cv2.INTER_AREA).reshape(small)
        near = cv2.GaussianBlur(near, (0, 0), size / factor)
        wide = cv2.GaussianBlur(near, (0, 0), 3 * size / factor)
        mixed = (0.7 * near + 0.3 * wide).reshape(small)
        total.append(cv2.resize(mixed, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width))
    return np.stack(total)


def _seen(body: Tensor, light: Tensor, params: GlossParams) -> Tensor:
    seen = body + light
    if params.noise:
        generator = torch.Generator().manual_seed(params.seed)
        seen = seen + params.noise * torch.randn(seen.shape, generator=generator, dtype=torch.float32).to(seen)
    seen = seen.clamp(max=1)
    seen = encode(seen) if params.transfer == "srgb" else seen
    if params.bits is None:
        return seen
    levels = 2**params.bits - 1
    # Gradients pass through the rounding as if it were not there.
    return seen + ((seen.clamp(min=0) * levels).round() / levels - seen).detach()


def _truth(clean: Tensor, body: Tensor, light: Tensor, params: GlossParams) -> GlossLayers:
    body = body.detach()
    total = body + light
    gain = total.clamp(max=1).sub_(body)
    # The slope of the code tells what is seen, so that nothing has to be coded once more.
    if params.transfer == "srgb":
        slope = body / (clean.detach() + OFFSET).clamp_(min=KNEE)
        gain -= slope.mul_(POWER * SEEN).clamp_(min=SEEN / SLOPE)
    else:
        gain -= SEEN
    mask = gain.amax(-3, keepdim=True) > 0
    clipped = ((total >= 1) & (body < 1)).any(-3, keepdim=True)
    return GlossLayers(light, mask, clipped)


def _lamp(rng: np.random.Generator) -> tuple[float, float, float]:
    """White as often as not, or between a filament's yellow and the sky's blue."""
    if rng.random() < 0.5:
        return 1.0, 1.0, 1.0
    warm = float(np.clip(rng.normal(0, 0.45), -1, 1))
    end = np.asarray(WARM if warm > 0 else COOL)
    lamp = end ** abs(warm) * np.exp(rng.normal(0, 0.02, 3))
    red, green, blue = (float(part) for part in lamp / lamp.max())
    return red, green, blue


def _glint(kind: Kind, rng: np.random.Generator, brightness: float, level: float) -> Glint:
    """One of its kind, after which its family is made."""

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    length, thin, peaks = {
        "lobe": ((0.01, 0.09), (0.3, 1.0), (0.1, 4.0)),
        "sheen": ((0.10, 0.45), (0.3, 1.0), (0.02, 0.20)),
        "streak": ((0.04, 0.30), (0.01, 0.08), (0.1, 3.0)),
        "window": ((0.02, 0.13), (0.4, 1.0), (0.05, 2.0)),
        "lamps": ((0.04, 0.18), (0.2, 0.8), (0.05, 2.0)),
        "sparkle": ((0.05, 0.40), (0.3, 1.0), (0.3, 4.0)),
        "relief": ((0.10, 0.50), (0.3, 1.0), (0.1, 1.5)),
        "shape": ((0.10, 0.60), (0.4, 1.0), (0.1, 1.5)),
    }[kind]
    size = between(*length)
    # In a dark picture, as in linear measurements, highlights are dark as well, but need not be.
    scale = level if rng.random() < 0.7 else level**0.5
    return Glint(
        kind=kind,
        length=size,
        width=size * between(*thin),
        angle=float(rng.uniform(0, np.pi)),
        peak=float(np.clip(between(*peaks) * np.exp(brightness) * scale, 0.01 * scale, 8.0)),
        # Bodies are rarely mirrors: windows in them are blurred.
        soft=float(rng.uniform(0.2 if kind in ("window", "lamps") else 0.0, 1)),
        bend=float(rng.normal(0, 0.15 if kind == "streak" else 0.35)) if rng.random() < 0.6 else 0.0,
        warp=float(rng.uniform(0.0, 0.8)),
        count=int(between(12, 240)) if kind == "sparkle" else int(rng.integers(0, 6)),
        keep=float(rng.uniform(0.7, 1.0)) if rng.random() < (0.95 if kind in ("window", "lamps") else 0.8) else 0.0,
        grain=float(rng.uniform(0.1, 1.0)) if rng.random() < 0.5 else 0.0,
    )


def _like(
    family: Glint,
    rng: np.random.Generator,
    where: tuple[float, float, float | None],
    lamp: tuple[float, float, float],
) -> Glint:
    y, x, along = where
    # What a round body mirrors is drawn out along it.
    follows = along is not None and family.kind in ("lobe", "sheen", "streak", "lamps") and rng.random() < 0.8
    size, thin, bright = np.exp(rng.normal(0, (0.3, 0.15, 0.4)))
    return Glint(
        kind=family.kind,
        y=y,
        x=x,
        length=family.length * float(size),
        width=family.width * float(size * thin),
        angle=(along if along is not None and follows else family.angle) + float(rng.normal(0, 0.25)),
        peak=family.peak * float(bright),
        soft=float(np.clip(family.soft + rng.normal(0, 0.1), 0, 1)),
        bend=family.bend * float(rng.uniform(0.3, 1.3)),
        warp=family.warp,
        count=family.count,
        lamp=lamp,
        keep=family.keep,
        grain=family.grain,
        seed=int(rng.integers(2**31)),
    )
