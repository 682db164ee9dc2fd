"""The gain of a cast shadow, from what happens across its edge.

Pixels in a band around the outline are sorted by their signed distance to it. Averaged along a stretch of the outline,
the texture of the ground cancels and the profile of the light remains; a blurred step is fitted to it. The height of
the step is the loss of light, its width the penumbra, and its place corrects the outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.special import ndtr

__all__ = ["EdgeFit", "edge_cover", "edge_gain", "fit_edge", "signed_distance"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

# The band, the reach of averages along the outline and the length of its pieces, in parts of the picture's diagonal.
BAND = 0.04
ALONG = 0.02
PIECE = 0.008
WIDE = 0.15
# Candidates for the penumbra's width, in parts of the band, and the least in pixels.
WIDTHS = (0.0, 0.05, 0.1, 0.17, 0.25, 0.36, 0.5, 0.7)
SHARPEST = 0.6
OFFSETS = np.arange(-8, 9) / 20.0
# A stretch that says less than this is left to its neighbours.
PRIOR_COUNT = 3.0
# How strongly a fit has to gain to move the step from the outline that was given.
OFFSET_COST = 0.02
DEEPEST = 0.03
LEAST_STEP = 0.1
DENSITY_WIDTH = 0.2
COLOUR_WIDTH = 0.2
DEEP_STEP = 1.8
# Spacing of the grid on which depth and penumbra are laid out, in pixels of the fit.
GRID = 6.0


@dataclass(frozen=True)
class EdgeFit:
    """What was found along a shadow's outline, for K stretches of it.

    Attributes
    ----------
    place : ndarray, shape (K, 2)
        Row and column of each stretch.
    weight : ndarray, shape (K,)
        How much it says: samples on both sides, and how well a step explains them.
    step : ndarray, shape (K, C)
        Fall of the logarithm of linear light from outside to inside.
    offset, width : ndarray, shape (K,)
        Place of the step (positive: further inside) and its standard deviation, in pixels.
    typical : ndarray, shape (C,)
        The step that most of the outline shares.
    agreement : float
        Part of the weight whose step is near the typical one.
    """

    place: Array
    weight: Array
    step: Array
    offset: Array
    width: Array
    typical: Array
    agreement: float


def signed_distance(mask: Mask) -> Array:
    """Distance to the outline of a mask in pixels, positive inside; ±infinity where there is no outline."""
    if mask.all() or not mask.any():
        return np.full(mask.shape, np.inf if mask.all() else -np.inf, np.float32)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)


def fit_edge(log_light: Array, mask: Mask, usable: Mask, distance: Array | None = None) -> EdgeFit | None:
    """Fit blurred steps along the outline of a shadow.

    Parameters
    ----------
    log_light : ndarray, shape (C, H, W)
        Logarithm of linear light.
    mask : ndarray of bool, shape (H, W)
        The shadow.
    usable : ndarray of bool, shape (H, W)
        Pixels that may be asked.
    distance : ndarray, shape (H, W), optional
        Of `signed_distance`, where it is known.

    Returns
    -------
    EdgeFit or None
        None where no stretch of the outline has pixels on both sides.
    """
    height, width = log_light.shape[1:]
    diagonal = float(np.hypot(height, width))
    band = max(4.0, BAND * diagonal)
    distance = signed_distance(mask) if distance is None else distance
    rows, columns = np.nonzero((np.abs(distance) < band) & usable)
    if len(rows) == 0:
        return None
    nearest = _nearest_edge(mask, distance)
    near_row, near_column = nearest[0][rows, columns], nearest[1][rows, columns]
    piece = max(2.0, PIECE * diagonal)
    across = int(width / piece) + 1
    cell = (near_row / piece).astype(np.int64) * across + (near_column / piece).astype(np.int64)
    cells, index = np.unique(cell, return_inverse=True)
    count = len(cells)
    bins = 2 * int(np.ceil(band)) if band < 24 else 48
    slot = np.clip(((distance[rows, columns] + band) / (2 * band) * bins).astype(np.int64), 0, bins - 1)
    code = index * bins + slot
    number = np.bincount(code, minlength=count * bins).reshape(count, bins).astype(np.float32)
    sums = np.stack(
        [np.bincount(code, plane[rows, columns], count * bins).reshape(count, bins) for plane in log_light]
    ).astype(np.float32)
    members = np.bincount(index, minlength=count)
    place = np.stack([np.bincount(index, v, count) / members for v in (near_row, near_column)], 1).astype(np.float32)
    # Along the outline: averages over near stretches.
    apart = _apart(place, place)
    along = np.exp(-0.5 * apart / max(3.0, ALONG * diagonal) ** 2).astype(np.float32)
    number, sums = along @ number, np.stack([along @ s for s in sums])
    centre = (np.arange(bins) + 0.5) / bins * 2 * band - band
    return _fit_steps(number, sums, centre.astype(np.float32), band, place)


def _fit_steps(number: Array, sums: Array, centre: Array, band: float, place: Array) -> EdgeFit | None:
    """Least squares for every stretch and every candidate of place and width; the luminance chooses."""
    mean = sums / np.maximum(number, 1e-6)
    light = mean.mean(0)
    weight = number / (number + PRIOR_COUNT)
    # Far samples tell less: other surfaces may begin there.
    weight = weight * (1 - 0.6 * np.abs(centre) / band)[None]
    candidates = [(o * band, max(SHARPEST, w * band)) for o in OFFSETS for w in WIDTHS]
    offsets, widths = np.array(candidates, np.float32).T
    moved = np.abs(offsets) / band
    depth = 0.4
    for _ in range(2):
        shapes = _profile((centre - offsets[:, None]) / widths[:, None], depth).astype(np.float32)
        total = weight.sum(1, keepdims=True) + 1e-6
        sx, sxx = weight @ shapes.T, weight @ (shapes**2).T
        sy, sxy = (weight * light).sum(1, keepdims=True), (weight * light) @ shapes.T
        syy = (weight * light**2).sum(1, keepdims=True)
        variance = sxx - sx**2 / total
        covariance = sxy - sx * sy / total
        gain = np.where(variance > 0.02 * total, np.maximum(-covariance, 0) / np.maximum(variance, 1e-6), 0)
        error = (syy - sy**2 / total - gain * np.maximum(-covariance, 0)) / total
        spread = (syy - sy**2 / total) / total
        best = np.argmin(error + OFFSET_COST * moved * (spread + 1e-4), axis=1)
        pick = np.arange(len(best)), best
        chosen = shapes[best]
        told = 1 - np.sqrt(np.maximum(error[pick], 0) / (spread[:, 0] + 1e-6))
        seen = np.minimum(_side(weight, chosen > 0.5), _side(weight, chosen < 0.5))
        trust = (np.clip(told, 0.0, 1) ** 2 * np.clip(seen, 0, 1) + 1e-6).astype(np.float32)
        mid = (weight * chosen).sum(1) / total[:, 0]
        lower = chosen - mid[:, None]
        steps = [-(weight * lower * m).sum(1) / np.maximum((weight * lower**2).sum(1), 1e-6) for m in mean]
        step = np.stack(steps, 1).astype(np.float32)
        typical = _densest(step, trust)
        depth = float(np.exp(np.clip(-typical.mean(), -3.0, -0.1)))
        # One lamp, one camera: the second time, penumbrae like the others' are preferred.
        usual = [_weighted_median(values[best], trust) for values in (offsets, widths)]
        moved = np.abs(offsets - usual[0]) / band + 0.5 * np.abs(np.log(widths / max(usual[1], SHARPEST)))
    if not np.isfinite(step).all() or trust.sum() < 1e-3:
        return None
    near = np.abs(step.mean(1) - typical.mean()) < 0.35 * abs(typical.mean()) + 0.05
    return EdgeFit(place, trust, step, offsets[best], widths[best], typical, float(trust[near].sum() / trust.sum()))


def edge_gain(fit: EdgeFit, distance: Array, reduction: float = 1.0) -> Array:
    """The gain of linear light from fits along the outline, on a finer grid.

    Parameters
    ----------
    fit : EdgeFit
        Of the reduced picture.
    distance : ndarray, shape (H, W)
        Signed distance to the outline in the full picture, in its pixels.
    reduction : float
        How many pixels of the full picture one of the fit's is.

    Returns
    -------
    ndarray, shape (C, H, W)
        Above 0, at most 1.
    """
    cover, depth = edge_cover(fit, distance, reduction)
    return (1 - cover[None] * (1 - depth)).astype(np.float32)


def edge_cover(fit: EdgeFit, distance: Array, reduction: float = 1.0) -> tuple[Array, Array]:
    """How much of the lamp is hidden from each pixel, and what is left of the light in the umbra.

    Parameters
    ----------
    fit, distance, reduction
        As in `edge_gain`.

    Returns
    -------
    ndarray of shape (H, W), 0 to 1; ndarray of shape (C, H, W), above 0 and at most 1
    """
    height, width = distance.shape
    small = max(4, round(height / reduction / GRID)), max(4, round(width / reduction / GRID))
    rows = (np.arange(small[0], dtype=np.float32) + 0.5) / small[0] * (height / reduction)
    columns = (np.arange(small[1], dtype=np.float32) + 0.5) / small[1] * (width / reduction)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    diagonal = float(np.hypot(height, width)) / reduction
    apart = _apart(grid, fit.place)
    # Penumbra: from the stretches next to a pixel. Depth: from a wide neighbourhood, towards the typical one.
    close = np.exp(-0.5 * np.sqrt(apart) / (ALONG * diagonal)) * fit.weight + 1e-12 * fit.weight
    close /= close.sum(1, keepdims=True)
    offset, spread = close @ fit.offset, close @ fit.width
    down, right = (
        np.exp(-0.5 * ((places[:, None] - fit.place[:, axis]) / (WIDE * diagonal)) ** 2)
        for axis, places in enumerate((rows, columns))
    )
    limit = 0.5 * np.abs(fit.typical) + 0.05
    steps = np.clip(fit.step, fit.typical - limit, fit.typical + limit)
    calm = 0.3 * float(fit.weight.sum()) / max(1, len(fit.weight)) * 10
    total, *sums = ((down * share) @ right.T for share in (fit.weight, *(fit.weight[:, None] * steps).T))
    step = [(near + calm * usual) / (total + calm) for near, usual in zip(sums, fit.typical, strict=True)]

    def full(values: Array) -> Array:
        plane = np.asarray(values, np.float32).reshape(small)
        return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)

    cover = ndtr((distance / reduction - full(offset)) / np.maximum(full(spread), 0.3 / reduction)).astype(np.float32)
    depth = np.stack([np.clip(np.exp(-full(plane)), DEEPEST, 1.0) for plane in step])
    return cover, depth


def _apart(one: Array, two: Array) -> Array:
    """Squared distances between two lists of places."""
    return (one[:, None, 0] - two[None, :, 0]) ** 2 + (one[:, None, 1] - two[None, :, 1]) ** 2


def _profile(t: Array, depth: float) -> Array:
    """The logarithm of a blurred step of the light, scaled to rise from 0 (lit) to 1 (umbra)."""
    return np.log(1 - ndtr(t) * (1 - depth)) / np.log(depth)


def _side(weight: Array, where: Mask) -> Array:
    return (weight * where).sum(1) / np.maximum(0.25 * weight.shape[1], 1)


def _densest(step: Array, trust: Array) -> Array:
    """The step that most of the outline shares: where steps lie densest, as other surfaces' scatter."""
    apart = sum((step[:, None, c] - step[None, :, c]) ** 2 for c in range(step.shape[1]))
    near = np.exp(-0.5 * apart / DENSITY_WIDTH**2) * trust
    height = np.maximum(step.mean(1), LEAST_STEP)
    # Shade is nearly gray: other steps are those of paint, and need more witnesses.
    colour = (step.std(1) / height / COLOUR_WIDTH) ** 2 + np.maximum(height / DEEP_STEP - 1, 0) ** 2 * 10
    density = near.sum(1) * (step.mean(1) > LEAST_STEP) * (np.exp(-0.5 * colour) + 0.02)
    own = near[int(np.argmax(density))]
    return (own @ step / own.sum()).astype(np.float32)


def _weighted_median(values: Array, weight: Array) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][min(np.searchsorted(total, total[-1] / 2), len(values) - 1)])


def _nearest_edge(mask: Mask, distance: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the pixel of the outline that is nearest to each pixel."""
    edge = (distance > 0) & (distance <= 1.0)
    rows, columns = distance_transform_edt(~edge, return_distances=False, return_indices=True)
    return rows.astype(np.int64), columns.astype(np.int64)
