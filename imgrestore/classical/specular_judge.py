"""Which bright spots are highlights on a coloured body.

Light that a glossy surface mirrors has the colour of the lamp and adds to the colour of the body below: all channels
rise by the same amount (in light, with a white lamp), while their differences stay as they are. A white thing on the
body has no differences; a lighter part of the body has larger ones. What is said of a spot is weighted by its rise.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.classical.specular_fill import Area, Image
from imgrestore.classical.specular_parts import Fit, Scene, Spots, blur, mean, split

Scores = NDArray[np.float64]

# Every pair is where a criterion begins and where it is met in full, or the other way round.
# Differences of the channels in the spot over those of the body, where the rise is small against them and where it is
# large. On bodies of little colour paint would pass by chance, so the range is closer there.
PALER = ((0.65, 0.85), (0.88, 0.97))
STRONGER = ((1.6, 1.3), (1.3, 1.2))
STEEP = (1.5, 3.5)
# The rise over the body's differences: beyond it the spot says nothing of the body's colour.
TOO_STEEP = (14.0, 9.0)
# Error of the channels' differences over the rise, likewise.
OFF_COLOUR = ((0.32, 0.2), (0.2, 0.12))
# Colour of the body: its differences over its mean, and over the picture's white.
COLOURED = (0.14, 0.24)
VISIBLE = (0.01, 0.03)
# Part of the rise that is mirrored, the rest being a lighter body.
MIRRORED = (0.3, 0.6)
# The rise over the picture's white.
STRONG = (0.04, 0.08)
# How much the body changes below the spot, over the rise.
UNEVEN = (0.42, 0.22)
# Rise along the rim over that inside: things end at once, highlights fade. Of spots wide enough to tell.
SHARP = (0.8, 0.5)
# A large one that is thin everywhere is a web of hairs or grain.
WIDE, BRANCHED = 0.15, 200
# Contrast of the surroundings over the rise: one bright hair among many is none.
BUSY = (0.38, 0.22)
# Part of all rises around that seem to be highlights: where many are not, the others passed by chance.
ALONE = (0.35, 0.65)
# A spot of so small an error of colour needs that part less.
SURE = (0.15, 0.08, 0.25)
# Part of the picture that a spot covers, per tolerated error of colour.
LARGE = (0.05, 0.02)
# Part of a spot's width along which the frame cuts it off: the body there is not seen.
CUT_OFF = (0.9, 0.3)
# All together.
CONVINCED = (0.2, 0.7)

# A spot that is many times stronger than the differences of a body of little colour (their quotient over the body's
# saturation), and whose own differences are not those of the body either, is a white thing, such as foam.
PALE = (22.0, 34.0)
UNLIKE = (0.15, 0.3)
# Spots much thinner than round ones are hairs sooner, in busy surroundings: the contrast there counts for more.
THIN = (0.7, 0.35)
THINNER = 0.12
THINNEST = 50

# Cameras hold bright colours back below white, so that on bright bodies of vivid colour the differences shrink under a
# highlight. What is asked there instead: a vivid body (its differences over its mean) that is bright (over white), its
# hue (sine of the angle), and a part of its differences left.
VIVID = (0.5, 0.65)
LIT = (0.45, 0.65)
HUE = (0.45, 0.33)
LEFT = (0.1, 0.25)
MORE = (1.6, 1.3)
# As UNEVEN, BUSY, SHARP, STRONG, and LARGE: there more is asked.
PLAIN = (0.34, 0.2)
QUIET = (0.36, 0.24)
SOFT = (0.72, 0.52)
BRIGHT = (0.1, 0.18)
SMALL = (0.02, 0.008)
# The darkest over the brightest channel, where the spot is brightest.
WHITISH = (0.25, 0.4)

SURROUNDINGS = 6.0
NEIGHBOURHOOD = 12.0
RIM, INSIDE = 2.2, 3.2
LEAST_INSIDE = 8
LEAST_SEEN = 0.02
TINY = 1e-9


def ramp(value: Any, none: Any, full: Any) -> Any:
    """0 up to `none`, 1 from `full` on, even in between; `none` may be the larger one.

    Parameters
    ----------
    value, none, full : float or ndarray

    Returns
    -------
    float or ndarray
    """
    return np.clip((value - none) / (full - none), 0, 1)


def judge(scene: Scene, spots: Spots, found: Fit) -> Scores:
    """How surely each spot is a highlight.

    Parameters
    ----------
    scene : Scene
    spots : Spots
    found : Fit
        Of the scene's light to the spots' body.

    Returns
    -------
    ndarray, shape (count + 1,)
        From 0 to 1; entry 0 stands for the outside and is 0.
    """
    inside = np.flatnonzero(spots.label)
    label = spots.label.ravel()[inside]

    def total(plane: Any) -> Scores:
        return np.bincount(label, np.asarray(plane).ravel()[inside].astype(np.float64), spots.count + 1).astype(float)

    rise = found.rise
    area = np.maximum(np.bincount(label, minlength=spots.count + 1), 1)
    weight = np.maximum(total(rise), 1e-12)
    product, square, energy, height, body = (
        total(rise * plane) / weight for plane in (found.product, found.square, found.energy, rise, found.body)
    )
    square, height = np.maximum(square, 1e-12), np.maximum(height, TINY)
    ratio = product / square
    off = np.sqrt(np.maximum(energy - ratio * product, 0)) / height
    spread = np.sqrt(square / 2)
    steep = height / spread
    tight = ramp(steep, *STEEP)
    mirrored = 1 - np.maximum(ratio - 1, 0) * body / height

    colour = spread / np.maximum(body, TINY)
    sharp = _sharpness(scene, spots, total, area)
    uneven = _unevenness(spots.body, total, area) / height
    busy = _contrast(scene.light, spots.label == 0, total, area) / height
    busy *= 1 + THINNER * ramp(_thickness(spots, total, area), *THIN) * (area > THINNEST)
    seen = total(found.seen) > LEAST_SEEN * area
    whole = ramp(_at_frame(spots.label, spots.count) / np.sqrt(area), *CUT_OFF)

    score = ramp(ratio, *_between(PALER, tight)) * ramp(ratio, *_between(STRONGER, tight))
    score *= ramp(off, *_between(OFF_COLOUR, tight)) * ramp(steep, *TOO_STEEP) * ramp(mirrored, *MIRRORED)
    score *= 1 - ramp(steep / np.maximum(colour, TINY), *PALE) * ramp(off * steep, *UNLIKE)
    score *= ramp(colour, *COLOURED) * ramp(spread / scene.white, *VISIBLE) * ramp(height / scene.white, *STRONG) * seen
    score *= ramp(uneven, *UNEVEN) * ramp(sharp, *SHARP)
    alone = _share(spots.label, rise, score, total, area)
    score *= ramp(busy, *BUSY) * ramp(alone + SURE[2] * ramp(off, *SURE[:2]), *ALONE)
    score *= ramp(area / spots.label.size * off / OFF_COLOUR[0][1], *LARGE) * whole

    hue = np.sqrt(np.maximum(1 - product * np.abs(product) / (square * np.maximum(energy, 1e-12)), 0))
    vivid = ramp(colour, *VIVID) * ramp((body + spread) / scene.white, *LIT)
    vivid *= ramp(hue, *HUE) * ramp(ratio, *LEFT) * ramp(ratio, *MORE)
    vivid *= ramp(uneven, *PLAIN) * ramp(busy, *QUIET) * ramp(sharp, *SOFT)
    vivid *= ramp(height / scene.white, *BRIGHT) * ramp(_whiteness(scene.light, label, inside, area), *WHITISH)
    vivid *= ramp(area / spots.label.size, *SMALL) * whole * seen
    score = ramp(np.maximum(score, vivid), *CONVINCED)
    score[0] = 0
    return np.asarray(score)


def _between(pairs: tuple[tuple[float, float], tuple[float, float]], tight: Scores) -> tuple[Scores, Scores]:
    (none, full), (tight_none, tight_full) = pairs
    return none + (tight_none - none) * tight, full + (tight_full - full) * tight


def _at_frame(label: NDArray[np.int32], count: int) -> Scores:
    frame = np.concatenate([label[0], label[-1], label[1:-1, 0], label[1:-1, -1]])
    return np.bincount(frame, minlength=count + 1).astype(float)


def _unevenness(body: Image, total: Any, area: Scores) -> Scores:
    variance = sum(total(body[..., c] ** 2) / area - (total(body[..., c]) / area) ** 2 for c in range(3))
    return np.asarray(np.sqrt(np.maximum(variance / 3, 0)))


def _sharpness(scene: Scene, spots: Spots, total: Any, area: Scores) -> Scores:
    depth = cv2.distanceTransform((spots.label > 0).astype(np.uint8), cv2.DIST_L2, 3)
    height = np.maximum(mean(scene.light) - mean(spots.body), 0)
    rim, inner = depth <= RIM, depth > INSIDE
    at_rim = total(height * rim) / np.maximum(total(rim), 1)
    count = total(inner)
    sharpness = at_rim / np.maximum(total(height * inner) / np.maximum(count, 1), TINY)
    tells = (count >= LEAST_INSIDE) & ((count > WIDE * area) | (area > BRANCHED))
    return np.where(tells, sharpness, 0.0)


def _thickness(spots: Spots, total: Any, area: Scores) -> Scores:
    """About 1 for round spots, less for thin and branched ones."""
    depth = cv2.distanceTransform((spots.label > 0).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(total(depth) / area / (np.sqrt(area / np.pi) / 3 + 1))


def _whiteness(light: Image, label: NDArray[np.int32], inside: NDArray[np.intp], area: Scores) -> Scores:
    least, most = np.zeros_like(area, dtype=np.float32), np.full_like(area, TINY, dtype=np.float32)
    red, green, blue = (plane.ravel()[inside] for plane in split(light))
    np.maximum.at(least, label, np.minimum(np.minimum(red, green), blue))
    np.maximum.at(most, label, np.maximum(np.maximum(red, green), blue))
    return np.asarray(least / most, np.float64)


def _contrast(light: Image, outside: Area, total: Any, area: Scores) -> Scores:
    keep = outside.astype(np.float32)
    level = mean(light)
    count = blur(keep, SURROUNDINGS) + 1e-4
    middle = blur(keep * level, SURROUNDINGS) / count
    variance = blur(keep * (level - middle) ** 2, SURROUNDINGS) / count
    return np.asarray(np.sqrt(np.maximum(total(variance) / area, 0)))


def _share(label: NDArray[np.int32], rise: Image, score: Scores, total: Any, area: Scores) -> Scores:
    score[0] = 0
    spot = rise * (label > 0)
    taken = blur(spot * score.astype(np.float32)[label], NEIGHBOURHOOD)
    return np.asarray(total(taken / np.maximum(blur(spot, NEIGHBOURHOOD), 1e-6)) / area)
