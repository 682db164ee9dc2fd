"""The veil: a defocused reflection that lies over a picture as smooth light, told from what it does to statistics.

Light that is added to a scene lifts its darkest places, drives its brightest ones into clipping, and lays the broad
gradients of a second scene over the first, so that gradients are less sparse than in one scene alone (Levin & Weiss
2007). Every cue is a number; a linear rule weighs them, first to say whether there is a veil at all, then how much of
each place's light it is. The weights were fitted by sparse regression to synthetic reflections, blurred pictures added
to sharp ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.classical.reflection_smooth import smooth_light
from imgrestore.classical.reflection_veil_weights import AMOUNT, AMOUNT_BIAS, PRESENCE, PRESENCE_BIAS

__all__ = ["Veil", "cues", "find_veil"]

Floats = NDArray[Any]

# Cues are taken from a picture of this long side, on cells of this size: a veil has no fine detail.
SIDE = 224
CELL = 8
LEAST_SIDE = 48
# The scores, and the mean lights, between which a veil is taken off in part, then whole. Faint ones are overestimated.
SURE_FROM, SURE_AT = 1.7, 2.9
FAINT, STRONG = 0.1, 0.2
CLIPPED = 0.98
NEAR, WIDE = 9, 25
# Of the smooth layer only what stands out of a wide neighbourhood counts, and that in part: shading is smooth too.
BROAD, OUTLINE = 25.0, 0.6


@dataclass(frozen=True)
class Veil:
    """Smooth light over a picture.

    Attributes
    ----------
    light : ndarray of float32, shape (H, W, C)
        How much, as far as one can be sure of it: to be subtracted.
    score : float
        Log odds that there is a veil; the light is 0 where it is low.
    share : float
        The part of the estimated light that `light` is, from 0 to 1.
    """

    light: Floats
    score: float
    share: float


def find_veil(picture: Floats, told: bool = False) -> Veil:
    """Look for a veil, and estimate its light.

    Parameters
    ----------
    picture : ndarray of float32, shape (H, W, C), C being 1 or 3
        Display-coded; taken for black below 0 and for white above 1.
    told : bool
        That there is a veil is known: all of the estimated light is taken.

    Returns
    -------
    Veil
    """
    height, width, channels = picture.shape
    nothing = np.zeros_like(picture)
    if min(height, width) < LEAST_SIDE:
        return Veil(nothing, -np.inf, 0.0)
    scene, places = cues(picture)
    score = float(sum(PRESENCE[name] * scene[name] for name in PRESENCE) + PRESENCE_BIAS)
    share = 1.0 if told else _ramp(score, SURE_FROM, SURE_AT)
    if share == 0:
        return Veil(nothing, score, 0.0)
    amount = np.full(next(iter(places.values())).shape, AMOUNT_BIAS, np.float32)
    for name, weight in AMOUNT.items():
        amount += np.float32(weight) * (places[name] if name in places else np.float32(scene[name]))
    if channels == 1:
        amount = amount.mean(axis=2, keepdims=True)
    amount = np.maximum(amount, 0)
    share *= 1.0 if told else _ramp(float(amount.mean()), FAINT, STRONG)
    if share == 0:
        return Veil(nothing, score, 0.0)
    broad, outlines = (
        cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC).reshape(picture.shape)
        for layer in (amount, _outlines(picture))
    )
    return Veil(np.maximum(broad + outlines, 0) * np.float32(share), score, share)


def cues(picture: Floats) -> tuple[dict[str, float], dict[str, Floats]]:
    """What tells a veil: numbers of the whole picture, and maps (rows, columns, 3) on a coarse grid.

    Parameters
    ----------
    picture : ndarray of float32, shape (H, W, C), C being 1 or 3

    Returns
    -------
    scene : dict of str to float
    places : dict of str to ndarray of float32, shape (rows, columns, 3)
        Those whose name begins with "own" are the same everywhere but differ between channels.
    """
    small = np.clip(_reduced(picture), 0, 1)
    if small.shape[2] == 1:
        small = np.repeat(small, 3, axis=2)
    height, width = small.shape[:2]
    size = (max(1, width // CELL), max(1, height // CELL))

    def grid(plane: Floats) -> Floats:
        return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)

    smooth = [cv2.GaussianBlur(small, (0, 0), sigma) for sigma in (1.0, 2.5, 6.0)]
    bands = [a - b for a, b in zip([small, *smooth[:2]], smooth, strict=True)]
    clipped = (small > CLIPPED).astype(np.float32)
    dark, middle, bright = np.sort(smooth[0].reshape(-1, 3), axis=1).T
    low = smooth[0].min(axis=2)
    floor = cv2.erode(low, np.ones((NEAR, NEAR), np.uint8))
    wide_floor = cv2.erode(low, np.ones((WIDE, WIDE), np.uint8))
    shares = np.sort(clipped.mean(axis=(0, 1)))
    values = smooth[0].reshape(-1, 3)
    blackest, black, white = np.sort(np.quantile(values, [0.0, 0.002, 0.99], axis=0), axis=1)

    scene: dict[str, float] = {
        "colour": float(np.abs(small - small.mean(axis=2, keepdims=True)).mean()),
        "spread": float(smooth[0].std()),
        "mean": float(small.mean()),
        "dark_middle": float(np.quantile(dark, 0.5)),
        "bright_middle": float(np.quantile(bright, 0.5)),
        "middle_middle": float(np.quantile(middle, 0.5)),
        "floor_high": float(np.quantile(floor, 0.9)),
        "floor_top": float(floor.max()),
        "log_wide_floor": float(np.log(np.quantile(wide_floor, 0.5) + 0.01)),
        "blackest": float(blackest[1]),
        "black": float(black[1]),
    }
    for i, name in enumerate(("least", "second", "most")):
        scene[f"white_{name}"] = float(white[i])
        scene[f"log_clipped_{name}"] = float(np.log(shares[i] + 0.003))
    for i, band in enumerate(bands):
        strength = float(np.abs(band).mean())
        scene[f"energy_{i}"] = float(np.log(strength + 1e-4))
        scene[f"sparseness_{i}"] = float(np.log((np.sqrt((band**2).mean()) + 1e-5) / (strength + 1e-5)))

    places = {
        "floor_near": grid(cv2.blur(cv2.erode(smooth[0], np.ones((NEAR, NEAR), np.uint8)), (NEAR, NEAR))),
        "floor_wide": grid(cv2.blur(cv2.erode(smooth[0], np.ones((WIDE, WIDE), np.uint8)), (WIDE, WIDE))),
        "ceiling_wide": grid(cv2.blur(cv2.dilate(smooth[0], np.ones((WIDE, WIDE), np.uint8)), (WIDE, WIDE))),
        "level": grid(cv2.blur(small, (17, 17))),
        "clipped": grid(cv2.blur(clipped, (WIDE, WIDE))),
    }
    for i, band in enumerate(bands):
        places[f"strength_{i}"] = np.log(grid(cv2.blur(np.abs(band), (WIDE, WIDE))) + 1e-3)
    whole = next(iter(places.values())).shape
    places["own_clipped"] = np.broadcast_to(clipped.mean(axis=(0, 1)), whole)
    places["own_black"] = np.broadcast_to(np.quantile(values, 0.002, axis=0).astype(np.float32), whole)
    return scene, places


def _outlines(picture: Floats) -> Floats:
    """Shapes of the reflection, brighter and darker than what is around them; of the reduced picture."""
    small = np.clip(_reduced(picture), 0, 1)
    smooth = np.ascontiguousarray(smooth_light(small.transpose(2, 0, 1)).transpose(1, 2, 0))
    return OUTLINE * (smooth - cv2.GaussianBlur(smooth, (0, 0), BROAD).reshape(smooth.shape))


def _ramp(value: float, start: float, end: float) -> float:
    return float(np.clip((value - start) / (end - start), 0, 1))


def _reduced(picture: Floats) -> Floats:
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], picture.shape[2])
