"""Specular highlights: light that a glossy surface mirrors, added to what its body shows.

The dichromatic model (Shafer 1985): in linear light a picture is ``body + m * lamp``, where ``m`` (one plane) tells how
much is mirrored and ``lamp`` (three numbers) is the colour of the light. The camera then clips and codes::

    y = code(min(decode(x) + m * lamp, limit))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from imgrestore.light import decode, encode

__all__ = ["Lobe", "SpecularParams", "apply", "area", "mirrored", "sample"]

Kind = Literal["lobes", "relief", "glints"]
Transfer = Literal["srgb", "linear"]

KINDS: dict[Kind, float] = {"lobes": 0.5, "relief": 0.3, "glints": 0.2}
# Below this part of the limit nobody sees a highlight.
VISIBLE = 0.01
# A body counts as coloured from this ratio of its channels' spread to their largest.
COLOURED = 0.35


@dataclass(frozen=True)
class Lobe:
    """One mirrored lamp on a smooth body.

    Attributes
    ----------
    y, x : float
        Its middle, as parts of the height and the width.
    length, width : float
        Half of its size where it has fallen to half, along its two axes, as parts of the picture's shorter side.
    angle : float
        Of the long axis to the rows, radians.
    tail : float
        0 for the bell of a rough surface (Phong), 1 for a sharp core with wide skirts (GGX).
    peak : float
        Light at its middle; 1 is the camera's limit.
    """

    y: float
    x: float
    length: float
    width: float
    angle: float = 0.0
    tail: float = 0.5
    peak: float = 0.8


@dataclass(frozen=True)
class SpecularParams:
    """What is mirrored in one picture.

    Attributes
    ----------
    kind : {"lobes", "relief", "glints"}
        Single lobes; a lamp mirrored by a bumpy surface; sparkles of a clear coat over it.
    lobes : tuple of Lobe
        For "lobes".
    lamp : tuple of float
        Colour of the light, its largest channel 1.
    strength : float
        Scales all mirrored light.
    exponent : float
        Of the surface for "relief" and "glints" (Blinn 1977): the larger, the smaller the highlights.
    bumps : float
        Size of the bumps, as a part of the picture's shorter side.
    tilt : float
        Slope of the bumps.
    light : tuple of float
        Direction halfway between lamp and eye, as slopes along rows and columns.
    transfer : {"srgb", "linear"}
        How the picture is coded.
    bits : int or None
        Bits of the file that the observation went through, or None.
    seed : int
        Seed of the bumps.
    """

    kind: Kind = "lobes"
    lobes: tuple[Lobe, ...] = ()
    lamp: tuple[float, float, float] = (1.0, 1.0, 1.0)
    strength: float = 1.0
    exponent: float = 60.0
    bumps: float = 0.12
    tilt: float = 0.5
    light: tuple[float, float] = (0.0, 0.0)
    transfer: Transfer = "srgb"
    bits: int | None = None
    seed: int = 0


def sample(shape: tuple[int, ...], rng: np.random.Generator, clean: torch.Tensor | None = None) -> SpecularParams:
    """Draw the highlights of one picture.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture.
    rng : numpy.random.Generator
        The source of randomness.
    clean : Tensor, shape (3, H, W), optional
        The picture: lobes are then put where it shows an even, coloured surface.

    Returns
    -------
    SpecularParams
    """
    kind = rng.choice(np.array(list(KINDS)), p=np.array(list(KINDS.values())))
    warmth = rng.uniform(-0.12, 0.12) if rng.random() < 0.4 else 0.0
    lamp = np.array([1 + warmth, 1.0, 1 - warmth])
    places = _places(shape, rng, int(rng.integers(1, 6)), clean)
    lobes = tuple(_lobe(rng, y, x) for y, x in places) if kind == "lobes" else ()
    red, green, blue = (float(c) for c in lamp / lamp.max())
    return SpecularParams(
        kind=kind,
        lobes=lobes,
        lamp=(red, green, blue),
        strength=1.0 if kind == "lobes" else float(rng.uniform(0.3, 1.2)),
        exponent=float(np.exp(rng.uniform(np.log(40), np.log(300)))),
        bumps=float(rng.uniform(0.08, 0.25) if kind == "relief" else rng.uniform(0.02, 0.05)),
        tilt=float(rng.uniform(0.3, 0.9)),
        light=(float(rng.normal(0, 0.3)), float(rng.normal(0, 0.3))),
        bits=8 if rng.random() < 0.7 else None,
        seed=int(rng.integers(2**31)),
    )


def mirrored(shape: tuple[int, ...], params: SpecularParams) -> torch.Tensor:
    """How much light is mirrored, before the colour of the lamp.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the picture.
    params : SpecularParams
        What is mirrored.

    Returns
    -------
    Tensor of float32, shape (1, H, W)
        In units of the camera's limit, 0 or more, in linear light.
    """
    height, width = shape[-2:]
    if params.kind == "lobes":
        light = sum((_profile(one, height, width) for one in params.lobes), start=np.zeros((height, width)))
    else:
        light = _relief(params, height, width)
    return torch.from_numpy((params.strength * light).astype(np.float32))[None]


def apply(clean: torch.Tensor, params: SpecularParams) -> torch.Tensor:
    """Put highlights on a picture.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W)
        Values from 0 to 1, coded as `params` says; C is 3 or 1 (of the lamp only its mean counts then). Gradients run
        to it but where the camera clips.
    params : SpecularParams
        What is mirrored.

    Returns
    -------
    Tensor, shape (..., C, H, W)
        Of the dtype of `clean`, from 0 to 1.
    """
    light = mirrored(clean.shape, params).to(clean)
    lamp = clean.new_tensor(params.lamp)
    if clean.shape[-3] == 1:
        lamp = lamp.mean(dim=0, keepdim=True)
    body = decode(clean) if params.transfer == "srgb" else clean
    seen = (body + light * lamp[:, None, None]).clamp(max=1)
    seen = encode(seen) if params.transfer == "srgb" else seen
    if params.bits is None:
        return seen
    levels = 2**params.bits - 1
    # Gradients pass through the rounding as if it were not there.
    return seen + ((seen * levels).round() / levels - seen).detach()


def area(shape: tuple[int, ...], params: SpecularParams) -> torch.Tensor:
    """Where highlights can be seen.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the picture.
    params : SpecularParams
        What is mirrored.

    Returns
    -------
    Tensor of bool, shape (1, H, W)
    """
    return mirrored(shape, params) > VISIBLE


def _places(
    shape: tuple[int, ...], rng: np.random.Generator, count: int, clean: torch.Tensor | None
) -> list[tuple[float, float]]:
    """Middles of lobes, as parts of the height and the width."""
    height, width = shape[-2:]
    if clean is None or clean.shape[0] != 3:
        return [(float(y), float(x)) for y, x in rng.uniform(0.1, 0.9, (count, 2))]
    picture = decode(clean.detach().cpu()).double().numpy()
    size = 0.03 * min(height, width)
    smooth = gaussian_filter(picture, (0, size, size))
    largest = smooth.max(0)
    colour = (largest - smooth.min(0)) / np.maximum(largest, 1e-3)
    # How much the picture differs from its own blur tells edges and texture.
    rough = gaussian_filter(((picture - smooth) ** 2).mean(0), size) ** 0.5 / np.maximum(largest, 0.05)
    weight = np.clip(colour / COLOURED, 0, 1) ** 4 * np.exp(-((rough / 0.08) ** 2)) * (largest > 0.04) * (largest < 0.8)
    edge = max(1, round(0.05 * min(height, width)))
    inner = np.zeros_like(weight)
    inner[edge:-edge, edge:-edge] = weight[edge:-edge, edge:-edge] + 1e-9
    if not inner.any():
        inner += 1
    found = rng.choice(weight.size, size=count, p=(inner / inner.sum()).ravel())
    return [((int(i) // width + 0.5) / height, (int(i) % width + 0.5) / width) for i in found]


def _lobe(rng: np.random.Generator, y: float, x: float) -> Lobe:
    length = float(np.exp(rng.uniform(np.log(0.012), np.log(0.06))))
    return Lobe(
        y,
        x,
        length,
        length * float(rng.uniform(0.35, 1.0)),
        float(rng.uniform(0, np.pi)),
        float(rng.uniform(0, 1)),
        float(rng.uniform(0.25, 1.6)),
    )


def _profile(lobe: Lobe, height: int, width: int) -> NDArray[np.float64]:
    side = min(height, width)
    down = (np.arange(height)[:, None] + 0.5 - lobe.y * height) / side
    right = (np.arange(width)[None] + 0.5 - lobe.x * width) / side
    along = (down * np.cos(lobe.angle) + right * np.sin(lobe.angle)) / lobe.length
    across = (-down * np.sin(lobe.angle) + right * np.cos(lobe.angle)) / lobe.width
    square = along**2 + across**2
    bell = np.exp2(-square)
    skirted = 1 / (1 + (2**0.5 - 1) * square) ** 2
    return lobe.peak * ((1 - lobe.tail) * bell + lobe.tail * skirted)


def _relief(params: SpecularParams, height: int, width: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(params.seed)
    size = max(0.8, params.bumps * min(height, width))
    ground = gaussian_filter(rng.normal(size=(height, width)), size, mode="wrap", truncate=3)
    down, right = (np.gradient(ground, axis=axis) if ground.shape[axis] > 1 else 0 * ground for axis in (0, 1))
    scale = params.tilt / max(float(np.sqrt((down**2 + right**2).mean())), 1e-12)
    down, right = down * scale - params.light[0], right * scale - params.light[1]
    # The cosine between the normal and the half direction, for small slopes.
    light = (1 + down**2 + right**2) ** (-params.exponent / 2)
    if params.kind == "glints":
        # Flakes: only some of them are polished.
        flakes = gaussian_filter(rng.random((height, width)), 1.0, mode="wrap")
        light = light * (flakes > np.quantile(flakes, 0.8))
        light = gaussian_filter(light, 0.7, mode="nearest")
    return light
