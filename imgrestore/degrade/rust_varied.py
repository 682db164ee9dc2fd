"""Varied stains and rust: from thin dyes to opaque crusts on metal, paper and walls, as nets are to be trained on.

Only the draw is here; `imgrestore.degrade.rust` applies it and gives the true layers.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from imgrestore.degrade.rust import DIRECTIONS, Kind, RustParams, Stain, Triple

__all__ = ["PAINTS", "SUBSTANCES", "THEMES", "sample"]

Theme = Literal["metal", "paper", "grime"]

# Optical density of red, green and blue, the largest 1.
SUBSTANCES: dict[str, Triple] = {
    **DIRECTIONS,
    "old rust": (0.38, 0.70, 1.0),
    "tannin": (0.20, 0.48, 1.0),
    "water": (0.30, 0.55, 1.0),
    "wine": (0.36, 1.0, 0.74),
    "berries": (0.45, 1.0, 0.60),
    "blood": (0.22, 1.0, 0.92),
    "grass": (0.72, 0.40, 1.0),
    "copper": (1.0, 0.42, 0.58),
    "soot": (0.94, 0.97, 1.0),
    "oil": (0.45, 0.68, 1.0),
    "blue ink": (1.0, 0.72, 0.25),
}
# Colours of opaque ones.
PAINTS: dict[str, Triple] = {
    "mud": (0.38, 0.29, 0.20),
    "clay": (0.58, 0.42, 0.29),
    "soot": (0.07, 0.07, 0.07),
    "mould": (0.19, 0.22, 0.17),
    "lime": (0.80, 0.79, 0.74),
    "copper": (0.36, 0.60, 0.52),
    "coffee": (0.22, 0.13, 0.07),
    "ink": (0.07, 0.08, 0.16),
    "white paint": (0.88, 0.88, 0.85),
    "lichen": (0.66, 0.66, 0.48),
}
# What is found together: kinds with their chances, dyes, and paints.
THEMES: dict[Theme, tuple[dict[Kind, float], tuple[str, ...], tuple[str, ...]]] = {
    "metal": (
        {"sheet": 0.34, "scabs": 0.34, "drips": 0.32},
        ("rust", "rust", "old rust", "tannin"),
        (),
    ),
    "paper": (
        {"tide": 0.27, "cup": 0.22, "freckles": 0.20, "splatter": 0.16, "finger": 0.07, "grease": 0.08},
        ("tea", "coffee", "coffee", "tannin", "water", "rust", "old rust", "wine", "ink", "blue ink", "blood", "oil"),
        ("coffee", "ink"),
    ),
    "grime": (
        {"splatter": 0.28, "smear": 0.26, "scabs": 0.20, "drips": 0.12, "grease": 0.07, "tide": 0.07},
        ("mould", "soot", "oil", "grass", "copper", "berries", "old rust", "blood", "water"),
        ("mud", "clay", "soot", "mould", "lime", "copper", "white paint", "lichen"),
    ),
}
CHANCES: dict[Theme, float] = {"metal": 0.5, "paper": 0.3, "grime": 0.2}
# Pictures are looked at in this size to tell how bright crusts are in their light.
SMALL = 16


def sample(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    clean: torch.Tensor | None = None,
    themes: tuple[Theme, ...] = ("metal", "paper", "grime"),
) -> RustParams:
    """Draw the stains of one picture.

    Parameters
    ----------
    shape : tuple of int
        Shape (..., H, W) of the clean picture.
    rng : numpy.random.Generator
        The source of randomness.
    clean : Tensor, shape (C, H, W), optional
        The picture: crusts are then darker where it is dark.
    themes : tuple of {"metal", "paper", "grime"}
        What to choose from: rust in sheets, scabs and drips; what dries on paper and cloth; dirt, mould and paint.

    Returns
    -------
    RustParams
        One to four stains of one theme.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from imgrestore.degrade import rust, rust_varied
    >>> clean = torch.full((3, 96, 96), 0.8)
    >>> params = rust_varied.sample(clean.shape, np.random.default_rng(0), clean)
    >>> layers = rust.rust_layers(clean.shape, params)
    >>> stained = (1 - layers.cover) * clean * torch.exp(-layers.density) + layers.cover * layers.body
    >>> bool(torch.equal(rust.apply(clean, params), stained)), bool(rust.stained_area(layers).any())
    (True, True)
    """
    weights = np.array([CHANCES[theme] for theme in themes])
    theme = themes[int(rng.choice(len(themes), p=weights / weights.sum()))]
    kinds, dyes, paints = THEMES[theme]
    names, chances = tuple(kinds), np.array(tuple(kinds.values()))
    stains: list[Stain] = []
    for _ in range(min(int(rng.geometric(0.5)), 4)):
        kind = names[int(rng.choice(len(names), p=chances))]
        centre = (float(rng.uniform(0.02, 0.98)), float(rng.uniform(0.02, 0.98)))
        if stains and rng.random() < 0.6:
            direction, paint = stains[0].direction, stains[0].paint
        else:
            direction = _near(SUBSTANCES[dyes[int(rng.integers(len(dyes)))]], rng)
            paint = _near(PAINTS[paints[int(rng.integers(len(paints)))]], rng, False) if paints else None
        stains.append(
            Stain(
                kind=kind,
                direction=direction,
                density=float(np.exp(rng.uniform(np.log(0.15), np.log(2.0)))),
                cover=_cover(theme, kind, rng),
                centre=centre,
                size=float(np.exp(rng.uniform(np.log(0.07), np.log(0.5)))),
                seed=int(rng.integers(2**31)),
                paint=paint,
                light=_light(clean, centre) * float(np.exp(rng.normal(0, 0.15))),
                ragged=float(rng.uniform(0, 1)),
                pits=float(rng.uniform(0, 1)),
                halo=float(rng.uniform(0, 1)),
            )
        )
    return RustParams(tuple(stains))


def _cover(theme: Theme, kind: Kind, rng: np.random.Generator) -> float:
    """From a film that lets most of the scene through to a crust that hides it."""
    chance = rng.random()
    if theme == "metal":
        return float(rng.uniform(0.85, 1.0) if chance < 0.65 else rng.uniform(0.15, 0.85) if chance < 0.9 else 0.0)
    if theme == "paper" or kind in ("grease", "tide"):
        return float(rng.uniform(0.1, 0.9)) if chance < 0.25 and kind == "splatter" else 0.0
    return float(rng.uniform(0.8, 1.0) if chance < 0.4 else rng.uniform(0.1, 0.8) if chance < 0.6 else 0.0)


def _light(clean: torch.Tensor | None, centre: tuple[float, float]) -> float:
    if clean is None:
        return 1.0
    planes = clean.detach().to("cpu", torch.float32)[None]
    tone = torch.nn.functional.adaptive_avg_pool2d(planes, SMALL)[0].mean(0)
    around = tone[tuple(slice(max(0, int(c * SMALL) - 3), int(c * SMALL) + 4) for c in centre)]
    # The bright part of what lies about it tells how much light falls there.
    return float(np.clip((float(around.amax()) / 0.6) ** 0.7, 0.25, 1.15))


def _near(colour: Triple, rng: np.random.Generator, scaled: bool = True) -> Triple:
    """A colour near a known one; of densities the largest is 1."""
    varied = np.asarray(colour) * np.exp(rng.normal(0, 0.08, 3))
    red, green, blue = (float(part) for part in (varied / varied.max() if scaled else varied.clip(0, 1)))
    return red, green, blue
