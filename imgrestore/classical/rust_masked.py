"""Stains whose place is given: what their surroundings suggest, and how the picture departs from it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imgrestore.classical.rust_clues import disk, leaking, worth_filling
from imgrestore.classical.rust_colour import Area, Field, Ground, coloured, local_mean, log_light, ratios
from imgrestore.classical.rust_density import slopes
from imgrestore.classical.rust_fill import fill

# Log ratios of the common brown stains: a little of this holds the direction where the area tells nothing.
USUAL, USUAL_SIZE = np.asarray([0.63, 0.78]), 0.02
# A crust has this much more grain of colour than its surroundings, and is this much darker.
CRUST_GRAIN, CRUST_RATIO, CRUST_DENSITY = 0.05, 2.5, 0.25
# Surroundings whose log ratios vary less say all about the area, those that vary more say nothing.
EVEN, MIXED = 0.06, 0.18
LIGHTER = 0.1
UNLIKELY, LIKELY = 0.2, 0.6
# Among things of other colours, what is this many times as thick as most of an area is one of them.
MOST = 1.0
# How far around the area its surroundings are looked at, in parts of the longer side.
NEAR = 1 / 16
# Log ratios that vary less around the area come from one surface.
PLAIN = 0.006
# Surroundings that vary so much double the doubt in the slope of a stain.
UNEVEN = 0.01
THICKEST = 4.0


@dataclass(frozen=True)
class Masked:
    """What can be said of the stains in a given area, at the size at which it was judged.

    Attributes
    ----------
    ground : Ground
        What colour the surroundings suggest for the area.
    axis : ndarray, shape (2,)
        Direction of the stains' log ratios, length 1.
    slope : ndarray, shape (h, w)
        Density of red for a unit of log ratio.
    detail, whole : ndarray, shape (h, w)
        0 to 1: how much of the fine, and of the coarse, difference from the surroundings is the stain's.
    crust : ndarray of bool, shape (h, w)
        Stains that hide what lies below.
    leak : float
        Of `leaking`.
    """

    ground: Ground
    axis: Field
    slope: Field
    detail: Field
    whole: Field
    crust: Area
    leak: float

    @property
    def plain(self) -> bool:
        """Whether the area lies on one surface, so that all colour in it is the stain's."""
        return self.ground.noise < PLAIN


def judge(picture: Field, hole: Area, stain: Field | None) -> Masked | None:
    """Find out about stains in a given area of a colour picture.

    Parameters
    ----------
    picture : ndarray of float32, shape (h, w, 3)
        White at 1, reduced to a few hundred pixels.
    hole : ndarray of bool, shape (h, w)
        The area.
    stain : ndarray, shape (3,), optional
        Its density in red, green and blue; found by default.

    Returns
    -------
    Masked or None
        None where nothing is known of the surroundings.
    """
    raw, picture = picture, cv2.blur(picture, (3, 3))
    usable = coloured(picture)
    known = usable & (cv2.dilate(hole.astype(np.uint8), disk(2)) == 0)
    if int(known.sum()) < 16 or not hole.any():
        return None
    log = log_light(picture)
    colour = ratios(log)
    expected = fill(colour, ~known, grain=False)
    apart = colour - expected
    radius = max(6, round(NEAR * max(hole.shape)))
    ring = known & (cv2.dilate(hole.astype(np.uint8), disk(radius)) > 0)
    if not ring.any():
        return None
    scatter = _scatter(colour, ring, radius)
    axis = _axis(apart[hole & usable], stain, scatter)
    own = colour @ axis
    # The scene's own variation of colour near the area, fine and coarse.
    mean = local_mean(own, ring, 3)
    fine = local_mean(np.square(own - mean), ring, 2 * radius)
    # Means of distances, which a few other things nearby change less than squares.
    coarse = np.square(1.25 * local_mean(np.abs(own - local_mean(own, ring, radius)), ring, radius))
    along = (apart @ axis).astype(np.float32)
    smooth = local_mean(along, hole, 3)
    whole = np.square(np.maximum(smooth, 0))
    here = local_mean(np.square(along - smooth), hole, 6)
    error = float(np.sqrt(np.median(coarse[hole])))
    ground = Ground(expected, known, float(ring.mean()), error, 0.0, 0.0)
    if stain is None:
        slope = slopes(picture, log, apart, axis, hole, ground, 1 + error / UNEVEN)
    else:
        slope = np.full(hole.shape, stain[0] / max(float(np.hypot(stain[1] - stain[0], stain[2] - stain[1])), 1e-3))
    # No more is taken off than makes the area a little lighter than its surroundings.
    parts = np.cumsum(np.stack([slope, np.full_like(slope, axis[0]), np.full_like(slope, axis[1])], axis=2), axis=2)
    likely = np.maximum(along, 0)[..., None] * parts
    missing = np.maximum(fill(log, hole, grain=False) - log, 0) + LIGHTER
    room = (missing / np.maximum(likely, 1e-3)).min(axis=2).clip(0, 1)
    if scatter > EVEN:
        room *= np.minimum(1, _usual_most(smooth, hole) / np.maximum(along, 1e-3))
    certain = _sure(whole / (whole + 3 * coarse + 1e-8), hole) * room
    certain *= np.clip((MIXED - np.sqrt(coarse)) / (MIXED - EVEN), 0, 1)
    raw_log = log_light(raw)
    return Masked(
        ground,
        axis,
        np.asarray(slope, np.float32),
        np.maximum(1 - fine / (here + 1e-8), 0),
        certain,
        _crusts(log, along, fine, hole, ring),
        leaking((ratios(raw_log) - expected) @ axis, raw_log.mean(axis=2), hole),
    )


def _scatter(colour: Field, ring: Area, radius: int) -> float:
    """How much the colour of the surroundings varies about its mean over a window."""
    apart = colour - local_mean(colour, ring, 2 * radius)
    return float(np.sqrt(np.square(apart[ring]).sum(axis=1).mean()))


def _axis(apart: Field, stain: Field | None, scatter: float) -> Field:
    """The direction through the origin along which the area departs most from its surroundings."""
    if stain is not None:
        given = np.asarray([stain[1] - stain[0], stain[2] - stain[1]], np.float32)
        length = float(np.linalg.norm(given))
        return given / length if length > 0 else USUAL.astype(np.float32)
    clipped = np.clip(apart, -1.5, 1.5).astype(np.float64)
    moment = clipped.T @ clipped / max(len(clipped), 1) + np.outer(USUAL, USUAL) * (USUAL_SIZE + scatter) ** 2
    axis = np.linalg.eigh(moment)[1][:, -1]
    return np.asarray(axis * (np.sign(axis @ USUAL) or 1.0), np.float32)


def _sure(share: Field, hole: Area) -> Field:
    """What is more likely the scene's than the stain's is left alone, also where most of an area is the scene's."""
    count, labels = cv2.connectedComponents(hole.astype(np.uint8), connectivity=8)
    enough = [True, *(float(share[labels == i].mean()) > UNLIKELY for i in range(1, count))]
    sure = np.clip((share - UNLIKELY) / (LIKELY - UNLIKELY), 0, 1) * np.asarray(enough)[labels]
    return np.asarray(sure, np.float32)


def _usual_most(smooth: Field, hole: Area) -> Field:
    """What stains reach hardly anywhere: things that stand in the area differ from its surroundings by more."""
    count, labels = cv2.connectedComponents(hole.astype(np.uint8), connectivity=8)
    most = [np.inf, *(MOST * max(float(np.quantile(smooth[labels == i], 0.6)), 0.0) for i in range(1, count))]
    return np.asarray(most, np.float32)[labels]


def _crusts(log: Field, along: Field, fine: Field, hole: Area, ring: Area) -> Area:
    """Parts of the area with a grain of colour that the surroundings have not, and darker than these."""
    light = np.ascontiguousarray(log.mean(axis=2))
    darker = local_mean(light, ring, max(hole.shape) // 8) - light
    grain = np.square(along - local_mean(along, hole, 3))
    count, labels = cv2.connectedComponents(hole.astype(np.uint8), connectivity=8)
    deep = cv2.erode(hole.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    out = np.zeros(hole.shape, bool)
    for label in range(1, count):
        core = deep & (labels == label)
        if int(core.sum()) < 30 or float(np.median(darker[core])) < CRUST_DENSITY:
            continue
        own, usual = float(np.sqrt(grain[core].mean())), float(np.sqrt(np.median(fine[core])))
        part = labels == label
        if own > max(CRUST_GRAIN, CRUST_RATIO * usual) and worth_filling(log, part):
            out |= part
    return out


def gray_density(picture: Field, hole: Area) -> Field:
    """The density of stains in a given area of a picture without colour, as smooth as it can be.

    Parameters
    ----------
    picture : ndarray of float32, shape (h, w)
        White at 1, reduced to a few hundred pixels.
    hole : ndarray of bool, shape (h, w)
        The area.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0 or more, and 0 outside the area.
    """
    log = log_light(picture)
    radius = max(6, round(NEAR * max(hole.shape)))
    ring = (cv2.dilate(hole.astype(np.uint8), disk(radius)) > 0) & (cv2.dilate(hole.astype(np.uint8), disk(2)) == 0)
    if not ring.any() or not hole.any():
        return np.zeros(hole.shape, np.float32)
    light = local_mean(log, ring, radius)
    scatter = local_mean(np.square(log - light), ring, 2 * radius)
    missing = local_mean(light - log, hole, max(3, radius // 3))
    # The scene fills a window with about as many independent details as its radius has pixels; twice their deviation.
    sure = np.square(missing) / (np.square(missing) + 4 * scatter / radius + 1e-8)
    return np.asarray(np.clip(missing, 0, THICKEST) * sure * hole, np.float32)
