"""Cast shadows: where they are, which of them are beyond doubt, and their gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.classical import shadow_weights as weights
from imgrestore.classical.shadow_candidates import Candidate, candidates, evidence
from imgrestore.classical.shadow_edge import EdgeFit, signed_distance
from imgrestore.classical.shadow_light import Light, calm_colours, coded_array
from imgrestore.classical.shadow_matting import cast_matte, measure_outline
from imgrestore.classical.shadow_regions import BLACK, Regions, chroma, region_features, regions

__all__ = ["Cast", "find_cast", "mend_cast"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

# The longer side of the picture while shadows are looked for.
SEARCH_SIDE = 320
# Smoothing of the regions' chances: strength, and the steps of light and colour across which it is half off.
SMOOTHING = 8.0
LIGHT_STEP = 0.25
COLOUR_STEP = 0.15
ROUNDS = 10
# Relabelling: the spread of one material's light, the weight of steps against the first mask, and for how many.
STEP_WIDTH = 0.3
STEP_PULL = 4.0
LOYALTY = 1.5
SECOND_LOOK = 6
# Log-odds from which a body is taken for a cast shadow and lifted.
CONVINCED = 0.0
CONVINCED_CLEAN = -0.65
OVERLAP = 0.2
DEEPEST_STEP = 2.2
MOST_COLOUR = 0.2
MOST_GREEN = 0.1
MOST_SCATTER = 0.38
# Less shade than this is not worth a change.
FAINT = 0.004


@dataclass(frozen=True)
class Cast:
    """Cast shadows of a picture.

    Attributes
    ----------
    shaded : ndarray of bool, shape (H, W)
        All that looks shaded.
    lifted : tuple of ndarray of bool, shape (H, W)
        Those shadows that can be lifted.
    odds : tuple of float
        How sure each of them is, as log-odds; where there is none, the best that was refused.
    """

    shaded: Mask
    lifted: tuple[Mask, ...]
    odds: tuple[float, ...]


def find_cast(light: Light) -> Cast:
    """Look for cast shadows.

    Parameters
    ----------
    light : Light

    Returns
    -------
    Cast
    """
    linear, usable, _ = light.reduced(SEARCH_SIDE)
    parts, chances = region_chances(linear)
    log_rgb = light.logarithm(linear, BLACK)
    found = weigh(log_rgb, usable, parts, chances)
    shaded = (chances[0] > 0.5)[parts.labels]
    kept: list[tuple[float, Mask]] = []
    for odds, one in found:
        if odds < (CONVINCED_CLEAN if one.clean else CONVINCED):
            continue
        if _plausible(one.fit) and all((one.mask & other).sum() < OVERLAP * one.mask.sum() for _, other in kept):
            kept.append((odds, one.mask))
    for _, mask in kept:
        shaded = shaded | mask
    size = light.coded.shape[1:]
    best = tuple(odds for odds, _ in kept) or tuple(odds for odds, _ in found[:1])
    return Cast(_enlarged(shaded, size), tuple(_enlarged(mask, size) for _, mask in kept), best)


def region_chances(linear: Array) -> tuple[Regions, tuple[Array, Array]]:
    """How likely each region of a picture is in shadow: as people mark shadows, and as shadows are that can be lifted.

    Parameters
    ----------
    linear : ndarray, shape (3, h, w)

    Returns
    -------
    Regions, (ndarray, ndarray), each of shape (n,)
    """
    planes = np.moveaxis(linear, 0, -1)
    coded = coded_array(planes)
    parts = regions(coded)
    numbers = region_features(coded, planes, parts)
    logits = [weights.judge(numbers, model) for model in (weights.MARKED, weights.LIFTED)]
    marked, lifted = (smoothed(numbers, parts, logit) for logit in logits)
    return parts, (marked, lifted)


def smoothed(numbers: Array, parts: Regions, logit: Array) -> Array:
    """Chances of regions that follow their neighbours where no step of light or colour lies between (mean field)."""
    one, two = parts.edges[:, 0], parts.edges[:, 1]
    light, colour = numbers[:, 0], numbers[:, 10:12]
    apart = ((light[one] - light[two]) / LIGHT_STEP) ** 2
    apart = apart + (((colour[one] - colour[two]) / COLOUR_STEP) ** 2).sum(1)
    tie = parts.shared * np.exp(-0.5 * apart)
    count = parts.count
    border = np.bincount(one, parts.shared, count) + np.bincount(two, parts.shared, count) + 1e-6
    chance = 1 / (1 + np.exp(-logit))
    for _ in range(ROUNDS):
        pull = np.bincount(one, tie * (2 * chance[two] - 1), count) + np.bincount(
            two, tie * (2 * chance[one] - 1), count
        )
        chance = 1 / (1 + np.exp(-(logit + SMOOTHING * pull / border)))
    return chance.astype(np.float32)


def relabelled(log_rgb: Array, parts: Regions, mask: Mask, step: Array) -> Mask:
    """A mask grown and cut so that the light falls by one step along its outline, and nowhere inside (mean field).

    Parameters
    ----------
    log_rgb : ndarray, shape (3, h, w)
    parts : Regions
    mask : ndarray of bool, shape (h, w)
        Where to begin.
    step : ndarray, shape (3,)
        Fall of the logarithm of light from outside to inside.

    Returns
    -------
    ndarray of bool, shape (h, w)
    """
    one, two = parts.edges[:, 0], parts.edges[:, 1]
    means = np.stack([parts.mean(plane) for plane in log_rgb], 1)
    rise = means[one] - means[two]

    def surprise(difference: Array) -> Array:
        return 1 - np.exp(-0.5 * (difference**2).sum(1) / STEP_WIDTH**2)

    # Two regions are both lit or both shaded, or one of them is in the shadow.
    alike, first, second = surprise(rise), surprise(rise + step), surprise(rise - step)
    count = parts.count
    border = np.bincount(one, parts.shared, count) + np.bincount(two, parts.shared, count) + 1e-6
    begun = parts.mean(mask.astype(np.float32))
    chance = np.clip(begun, 0.02, 0.98)
    for _ in range(2 * ROUNDS):
        to_one = parts.shared * (chance[two] * (second - alike) + (1 - chance[two]) * (alike - first))
        to_two = parts.shared * (chance[one] * (first - alike) + (1 - chance[one]) * (alike - second))
        pull = np.bincount(one, to_one, count) + np.bincount(two, to_two, count)
        logit = LOYALTY * (2 * begun - 1) + STEP_PULL * pull / border
        chance = 0.5 * chance + 0.5 / (1 + np.exp(-logit))
    return (chance > 0.5)[parts.labels]


def weigh(log_rgb: Array, usable: Mask, parts: Regions, chances: tuple[Array, ...]) -> list[tuple[float, Candidate]]:
    """Candidates with their log-odds of being a cast shadow, the likeliest first."""
    maps = tuple(chance[parts.labels] for chance in chances)
    masks = candidates(log_rgb.mean(0), chances, parts)
    found = _judged([evidence(log_rgb, mask, usable, maps) for mask in masks])
    again = [relabelled(log_rgb, parts, one.mask, one.fit.typical) for _, one in found[:SECOND_LOOK]]
    found += _judged([evidence(log_rgb, mask, usable, maps) for mask in again])
    return sorted(found, key=lambda pair: -pair[0])


def _plausible(fit: EdgeFit) -> bool:
    """Whether light can have fallen so: to one part of itself, and between lamps of the colours of fire and sky."""
    step = fit.typical
    height = float(step.mean())
    if not height < DEEPEST_STEP or step.std() > MOST_COLOUR * height:
        return False
    green = abs(float(chroma(step)[1]))
    scatter = float((fit.weight * np.abs(fit.step.mean(1) - height)).sum() / fit.weight.sum())
    return green < MOST_GREEN * height and scatter < MOST_SCATTER * height


def _judged(looked_at: list[Candidate | None]) -> list[tuple[float, Candidate]]:
    found = [one for one in looked_at if one is not None]
    if not found:
        return []
    odds = weights.judge(weights.squared(np.stack([one.numbers for one in found])), weights.CAST)
    return sorted(zip(odds.tolist(), found, strict=True), key=lambda pair: -pair[0])


def mend_cast(light: Light, mask: Mask, exact: bool) -> tuple[Array, float] | None:
    """The gain of a cast shadow whose place is known.

    Parameters
    ----------
    light : Light
    mask : ndarray of bool, shape (H, W)
        The shadow.
    exact : bool
        The outline was given, and its penumbra is looked for; else it is moved to where the light falls.

    Returns
    -------
    (gain, agreement) or None
        ndarray of shape (C, H, W) in linear light, 1 outside; and the part of the outline that shares one step. None
        where the outline tells nothing, or no light is missing.
    """
    outline = measure_outline(light, mask, exact)
    if outline is None or not (exact or _plausible(outline.fit)):
        return None
    matte, depth = cast_matte(light, outline, exact)
    gain = (1 - matte * (1 - depth)).astype(np.float32)
    if len(light.linear) == 1:
        gain = gain.mean(0, keepdims=True)
    gain[:, (1 - gain).max(0) < FAINT] = 1.0
    gain = calm_colours(light, gain)
    return gain, outline.fit.agreement


def _enlarged(mask: Mask, size: tuple[int, ...]) -> Mask:
    """A mask at another size, its outline smooth."""
    if mask.shape == tuple(size):
        return mask
    if mask.all() or not mask.any():
        return np.full(size, mask.any())
    return cv2.resize(signed_distance(mask), (size[1], size[0]), interpolation=cv2.INTER_LINEAR) > 0
