"""The rust model: stains that absorb light, stains that cover, and how they are drawn.

A picture under stains is ``y = (1 - cover) * x * exp(-density) + cover * body``: dyes let the scene through and take
from each channel a part of its light (Beer and Lambert), crusts hide it. The shapes are those of tea rings, foxing,
runs of rust water, splashes and patches of rust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch

from imgrestore.degrade.noise import step
from imgrestore.degrade.rust_crusts import coloured, piece
from imgrestore.degrade.rust_marks import MARKS, Look, mark
from imgrestore.degrade.rust_shapes import Field, draw, octaves

Kind = Literal[
    "ring",
    "foxing",
    "run",
    "splash",
    "patch",
    "sheet",
    "scabs",
    "drips",
    "tide",
    "cup",
    "freckles",
    "splatter",
    "smear",
    "grease",
    "finger",
]
# What `sample` draws; the others are those of `imgrestore.degrade.rust_varied`.
KINDS: tuple[Kind, ...] = ("ring", "foxing", "run", "splash", "patch")

Triple = tuple[float, float, float]
# Optical density of red, green and blue, the largest 1: what the substances take from white light.
DIRECTIONS: dict[str, Triple] = {
    "rust": (0.22, 0.56, 1.0),
    "tea": (0.28, 0.52, 1.0),
    "coffee": (0.46, 0.70, 1.0),
    "ink": (1.0, 0.86, 0.45),
    "mould": (0.80, 0.70, 1.0),
}
# Colours of crusts, from dark scale to fresh hydrated rust.
CRUSTS: tuple[Triple, ...] = ((0.20, 0.11, 0.08), (0.36, 0.18, 0.10), (0.54, 0.27, 0.11), (0.68, 0.40, 0.18))
SUBSTANCES: dict[Kind, tuple[str, ...]] = {
    "ring": ("tea", "coffee", "coffee"),
    "foxing": ("rust", "tea"),
    "run": ("rust",),
    "splash": ("tea", "coffee", "rust", "ink", "mould"),
    "patch": ("rust",),
}


@dataclass(frozen=True)
class Stain:
    """One stain, or one family of spots or runs.

    Attributes
    ----------
    kind : str
        Its shape: "ring", "foxing", "run", "splash", "patch"; or "sheet" (a large rusted area), "scabs" (many spots),
        "drips" (from a seam or bolts), "tide" (water marks), "cup", "freckles", "splatter", "smear", "grease",
        "finger" (fingerprints).
    direction : tuple of 3 floats
        Optical density of red, green and blue where the stain is one unit thick; the largest is 1.
    density : float
        Thickness where it is thickest, in units of `direction`.
    cover : float
        Part of the scene that the crust hides, 0 to 1. Patches, sheets, scabs, drips, splatter and smears have a crust
        of their own; the other kinds hide what lies where their dye is thick.
    centre : tuple of 2 floats
        Where it is: (down, across) in parts of height and width.
    size : float
        Its radius in parts of the shorter side.
    seed : int
        Of its noise: the same stain is drawn the same.
    paint : tuple of 3 floats, optional
        Mean colour of the crust where it is dried paint, mud or the like; by default it is rust.
    light : float
        Brightness of the crust, as of the scene about it.
    ragged, pits, halo : float
        0 to 1: how frayed the rim is, how rough the crust, how strong the dye around it. The first five kinds have no
        such settings.
    """

    kind: Kind
    direction: Triple
    density: float
    cover: float = 0.0
    centre: tuple[float, float] = (0.5, 0.5)
    size: float = 0.2
    seed: int = 0
    paint: Triple | None = None
    light: float = 1.0
    ragged: float = 0.5
    pits: float = 0.4
    halo: float = 0.5


@dataclass(frozen=True)
class RustParams:
    """The stains of one picture, in the order in which they came.

    Attributes
    ----------
    stains : tuple of Stain
        An empty one leaves the picture as it is.
    """

    stains: tuple[Stain, ...]


class StainLayers(NamedTuple):
    """What the stains do at each pixel.

    Attributes
    ----------
    density : Tensor, shape (3, H, W)
        Optical density, 0 or more.
    cover : Tensor, shape (1, H, W)
        Part that is hidden, 0 to 1.
    body : Tensor, shape (3, H, W)
        Colour of what hides it.
    """

    density: torch.Tensor
    cover: torch.Tensor
    body: torch.Tensor


def sample(shape: tuple[int, ...], rng: np.random.Generator, kinds: tuple[Kind, ...] = KINDS) -> RustParams:
    """Draw the stains of one picture.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture.
    rng : numpy.random.Generator
        The source of randomness.
    kinds : tuple of str
        The kinds to choose from.

    Returns
    -------
    RustParams
        One to three stains, the later ones mostly of the first one's substance.
    """
    stains: list[Stain] = []
    # Thin pictures have room for thin stains only.
    narrow = min(shape[-2:]) / max(shape[-2:])
    for _ in range(int(rng.integers(1, 4))):
        kind = kinds[int(rng.integers(len(kinds)))]
        direction = _substance(kind, rng)
        if stains and rng.random() < 0.7:
            direction = stains[0].direction
        stains.append(
            Stain(
                kind=kind,
                direction=direction,
                density=float(np.exp(rng.uniform(np.log(0.25), np.log(1.6)))),
                cover=float(rng.uniform(0.75, 1.0)) if kind == "patch" else 0.0,
                centre=(float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.1, 0.9))),
                size=float(rng.uniform(0.10, 0.24 + 0.10 * narrow)),
                seed=int(rng.integers(2**31)),
            )
        )
    return RustParams(tuple(stains))


def apply(clean: torch.Tensor, params: RustParams, texture: torch.Tensor | None = None) -> torch.Tensor:
    """Stain a clean picture.

    Parameters
    ----------
    clean : Tensor, shape (..., C, H, W), C 1 or 3, floating point
        The scene, range [0, 1]. Where C is 1 it is seen through the mean of the three densities.
    params : RustParams
        The stains; a pure function of them and of the scene.
    texture : Tensor, shape (3, h, w), optional
        A photograph of rust, range [0, 1], that gives crusts their colours; it is mirrored where it is too small.

    Returns
    -------
    Tensor, shape of `clean`
        The observation. Differentiable with respect to `clean`.

    Raises
    ------
    ValueError
        Where `clean` has neither 1 nor 3 channels, or `texture` is not as described.

    Examples
    --------
    >>> import torch
    >>> from imgrestore.degrade import rust
    >>> tea = rust.Stain("ring", rust.DIRECTIONS["tea"], density=0.8)
    >>> stained = rust.apply(torch.ones(3, 64, 64), rust.RustParams((tea,)))
    >>> bool(stained[0].mean() > stained[2].mean())
    True
    """
    if clean.ndim < 3 or clean.shape[-3] not in (1, 3):
        raise ValueError(f"clean has shape {tuple(clean.shape)}; expected (..., C, H, W) with C 1 or 3")
    layers = rust_layers(tuple(clean.shape), params, texture)
    density, cover, body = (part.to(clean) for part in layers)
    if clean.shape[-3] == 1:
        density, body = density.mean(0, keepdim=True), body.mean(0, keepdim=True)
    return (1 - cover) * clean * torch.exp(-density) + cover * body


def rust_layers(shape: tuple[int, ...], params: RustParams, texture: torch.Tensor | None = None) -> StainLayers:
    """The true layers of the stains.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the picture.
    params : RustParams
        The stains.
    texture : Tensor, shape (3, h, w), optional
        As in `apply`.

    Returns
    -------
    StainLayers
        float32.
    """
    height, width = int(shape[-2]), int(shape[-1])
    density = np.zeros((3, height, width), np.float32)
    through = np.ones((height, width), np.float32)
    body = np.zeros((3, height, width), np.float32)
    if texture is not None and (texture.ndim != 3 or texture.shape[0] != 3 or 0 in texture.shape):
        raise ValueError(f"texture has shape {tuple(texture.shape)}; expected (3, h, w)")
    for stain in params.stains:
        rng = np.random.default_rng(stain.seed)
        varied = stain.kind in MARKS
        if varied:
            look = Look(stain.centre, stain.size, stain.ragged, stain.halo)
            thickness, crust = mark(stain.kind, (height, width), look, rng)
        else:
            thickness, crust = draw(stain.kind, (height, width), stain.centre, stain.size, rng)
        density += np.asarray(stain.direction, np.float32)[:, None, None] * (stain.density * thickness)
        if stain.cover and not crust.any():
            crust = step(thickness, 0.25, 0.6)
        hidden = np.float32(stain.cover) * crust
        if hidden.any():
            if varied or stain.paint is not None:
                photograph = texture if stain.paint is None else None
                colour = _varied(stain, crust, photograph, rng)
            else:
                colour = _crust((height, width), rng) if texture is None else _cut(texture, (height, width), rng)
            if stain.light != 1:
                colour = (colour * np.float32(stain.light)).clip(0, 1)
            body += hidden * (colour - body)
            through *= 1 - hidden
    return StainLayers(*(torch.from_numpy(part) for part in (density, (1 - through)[None], body)))


def stained_area(layers: StainLayers, least: float = 0.04) -> torch.Tensor:
    """Where stains can be seen: the true mask.

    Parameters
    ----------
    layers : StainLayers
        The true layers.
    least : float
        Smallest density, or part hidden, that counts.

    Returns
    -------
    Tensor of bool, shape (1, H, W)
    """
    return (layers.density.amax(0, keepdim=True) > least) | (layers.cover > least)


def _substance(kind: Kind, rng: np.random.Generator) -> Triple:
    """A density direction near one of the known ones, the largest 1."""
    names = SUBSTANCES[kind]
    direction = np.asarray(DIRECTIONS[names[int(rng.integers(len(names)))]]) * np.exp(rng.normal(0, 0.08, 3))
    red, green, blue = (float(part) for part in direction / direction.max())
    return red, green, blue


def _varied(stain: Stain, crust: Field, texture: torch.Tensor | None, rng: np.random.Generator) -> Field:
    if texture is None:
        return coloured(crust, rng, stain.paint, stain.pits)
    return piece(texture, crust, rng, stain.pits)


def _crust(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Colours of a crust (3, H, W): scale and fresh rust in patches, grainy."""
    place = octaves(shape, rng, coarse=14.0, count=6, gain=0.72) * (len(CRUSTS) - 1)
    anchors = np.asarray(CRUSTS, np.float32)
    levels = np.arange(len(CRUSTS))
    colour = np.stack([np.interp(place, levels, anchors[:, channel]) for channel in range(3)])
    grain = 1 + 0.10 * rng.standard_normal(shape, np.float32)
    return (colour * grain).clip(0.02, 1).astype(np.float32)


def _cut(texture: torch.Tensor, shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """A piece of a photograph (3, H, W), mirrored on where it ends."""
    picture = texture.detach().cpu().numpy().astype(np.float32)
    rows, columns = (
        _mirrored(size, length, int(rng.integers(2 * size)))
        for size, length in zip(picture.shape[1:], shape, strict=True)
    )
    return picture[:, rows[:, None], columns]


def _mirrored(size: int, length: int, start: int) -> np.ndarray:
    steps = (start + np.arange(length)) % (2 * size)
    return np.where(steps < size, steps, 2 * size - 1 - steps)


__all__ = [
    "CRUSTS",
    "DIRECTIONS",
    "KINDS",
    "RustParams",
    "Stain",
    "StainLayers",
    "apply",
    "rust_layers",
    "sample",
    "stained_area",
]
