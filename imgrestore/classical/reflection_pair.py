"""A second picture that tells the scene behind a pane from its reflection: with a flash, or at another polariser angle.

Light adds, so both work in linear light. A flash lights the scene behind the glass but not what is reflected; the
difference of the two pictures is free of the reflection (Agrawal et al. 2005, Lei & Chen 2021). A polariser turned to
another angle dims the reflection and the scene by different parts, which makes two equations (Schechner et al. 2000);
their coefficients are read off the gradients, most of which belong to one layer alone (Bronstein et al. 2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

__all__ = ["Split", "polarized_light", "unflashed_light"]

Floats = NDArray[Any]

SATURATED = 0.97
# What the flash adds to the brighter things of a neighbourhood, to what it adds to those of the picture: below the
# first it has not reached there, but a dark thing beside one that it lights is dark.
TOO_WEAK, ENOUGH = 0.02, 0.08
# So little added light that it may as well be noise, rounding or another exposure.
FAINTEST = 0.005
# More of the picture than this darker with the flash: the exposures differ.
DARKER_PART = 0.2
ROUNDS = 6
SMALLEST_EDGE = 1e-4
CALM = 1.5
# Directions of a scatter of gradients are counted in so many bins over 90 degrees, smoothed by so many.
BINS, SMOOTHING = 720, 4.0
# A second direction counts where it has this part of the first one's votes, so far off, with so deep a valley between.
SECOND, APART, VALLEY = 0.04, 3.0, 0.9


@dataclass(frozen=True)
class Split:
    """What a pair of pictures says.

    Attributes
    ----------
    light : ndarray of float32, shape (H, W, C), or None
        Linear light of the reflection in the first picture; None where the pair does not determine it.
    note : str
        What was found, or why nothing was.
    confidence : float
        From 0 to 1.
    """

    light: Floats | None
    note: str
    confidence: float


def unflashed_light(ambient: Floats, flashed: Floats) -> Split:
    """The reflection in a picture to which there is a second one with a flash.

    What the flash adds, times the smooth ratio of the light that was there to that of the flash, is the scene. The
    ratio comes from the gradients that both have in common, counting those less that only the first one has.

    Parameters
    ----------
    ambient, flashed : ndarray of float32, shape (H, W, C)
        Linear light, aligned, of the same exposure.

    Returns
    -------
    Split
    """
    added = flashed - ambient
    noise = _noise(ambient) + _noise(flashed)
    clipped = (np.maximum(ambient, flashed).max(axis=2) > SATURATED).astype(np.float32)
    darker = float((added.mean(axis=2) < -3 * noise - 0.002).mean())
    if darker > DARKER_PART:
        note = f"{darker:.0%} of the flash picture is darker than the other one; cannot tell with unequal exposures"
        return Split(None, note, 0.0)
    sigma = max(6.0, 0.06 * min(ambient.shape[:2]))
    trust = _reached(added, noise, sigma)
    if float(trust.mean()) < 0.05:
        return Split(None, "the flash added hardly any light; cannot tell the reflection by it", 0.0)
    usable = cv2.erode(1 - clipped, np.ones((7, 7), np.uint8))
    ratio = np.stack(
        [_common_ratio(ambient[..., c], added[..., c], usable, noise, sigma) for c in range(ambient.shape[2])], axis=2
    )
    light = ambient - ratio * np.maximum(added, 0)
    light = _denoised(light, noise * (1 + float(np.median(ratio))))
    # Where either picture is clipped the difference is too small: the reflection goes on as it is around there.
    seen = _broad(usable, sigma / 2)[..., None] + 1e-3
    around = _broad(light * usable[..., None], sigma / 2).reshape(light.shape) / seen
    light += (1 - usable[..., None]) * (np.minimum(around, light) - light)
    light = np.clip(light, 0, np.maximum(ambient, 0)) * trust[..., None]
    unseen = float((trust < 0.5).mean())
    note = "reflection told from the scene by the flash"
    if unseen > 0.02:
        note += f"; {unseen:.0%} of the picture was not reached by it and is left as it was"
    return Split(light.astype(np.float32), note, float(np.clip(trust.mean(), 0, 1)))


def polarized_light(first: Floats, second: Floats) -> Split:
    """The reflection in a picture to which there is a second one at another angle of a polariser.

    With ``second = a T + b R`` for ``first = T + R``, edges of the scene lie on the line of slope a in the plane of
    both gradients, those of the reflection on that of slope b. Of two such lines the one nearer to 1 is the scene's,
    as a polariser dims reflections more.

    Parameters
    ----------
    first, second : ndarray of float32, shape (H, W, C)
        Linear light, aligned.

    Returns
    -------
    Split
    """
    votes = _directions(first, second)
    if votes is None:
        return Split(None, "the pair shows too few edges; cannot tell scene from reflection", 0.0)
    peaks = _two_peaks(votes)
    if peaks is None:
        note = "edges of both pictures have one common ratio; cannot tell scene from reflection by this pair"
        return Split(None, note, 0.0)
    slopes = np.tan(np.deg2rad(np.array(peaks[:2])))
    scene, reflected = sorted((float(s) for s in slopes), key=lambda s: abs(np.log(max(s, 1e-3))))
    light = (second - scene * first) / (reflected - scene)
    noise = np.hypot(_noise(second), scene * _noise(first)) / abs(reflected - scene)
    light = np.clip(_denoised(light, float(noise)), 0, np.maximum(first, 0))
    note = f"the second picture has {scene:.2f} of the scene's light and {reflected:.2f} of the reflection's"
    return Split(light.astype(np.float32), note, float(np.clip(0.5 + peaks[2] / 2, 0, 1)))


def _reached(added: Floats, noise: float, sigma: float) -> Floats:
    """How far the flash lit each neighbourhood, from 0 to 1."""
    calm = cv2.GaussianBlur(added.max(axis=2), (0, 0), 2)
    most = float(np.quantile(calm, 0.95))
    if most < FAINTEST + 2 * noise:
        return np.zeros_like(calm)
    # Dilated where it is small: a coarse map of how far light reached is enough.
    height, width = calm.shape
    factor = max(1.0, sigma / 6)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    side = 2 * round(sigma / factor) + 1
    coarse = cv2.dilate(cv2.resize(calm, size, interpolation=cv2.INTER_AREA), np.ones((side, side), np.uint8))
    near = cv2.resize(cv2.blur(coarse, (side, side)), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip((near / most - TOO_WEAK) / (ENOUGH - TOO_WEAK), 0, 1)


def _common_ratio(ambient: Floats, added: Floats, usable: Floats, noise: float, sigma: float) -> Floats:
    """The smooth factor that turns gradients of what the flash added into those of the scene."""
    # Noise is common to both, and would be taken for a common edge.
    ambient, added = (cv2.GaussianBlur(plane, (0, 0), CALM) for plane in (ambient, added))
    pairs = [(_gradient(ambient, axis), _gradient(added, axis)) for axis in (0, 1)]
    weight = [usable, usable]
    ratio = np.zeros_like(ambient)
    for i in range(ROUNDS):
        (first, second), (down, right) = weight, pairs
        above = first * down[0] * down[1] + second * right[0] * right[1]
        below = first * down[1] ** 2 + second * right[1] ** 2
        total = float(np.sum(above)) / (float(np.sum(below)) + 1e-12)
        # A little of the whole picture's ratio stands in where there are no edges.
        little = 1e-3 * float(np.mean(below)) + 1e-12
        smooth = _broad(above, sigma) + little * max(total, 0)
        ratio = np.clip(smooth / (_broad(below, sigma) + little), 0, 50)
        if i < ROUNDS - 1:
            floor = (0.2 * noise + 5e-4) ** 2
            weight = [usable / ((a - ratio * b) ** 2 + floor) for a, b in pairs]
    return ratio.astype(np.float32)


def _directions(first: Floats, second: Floats) -> Floats | None:
    """How many gradients, at three scales, have each ratio of second to first: bins from 0 to 90 degrees."""
    votes = np.zeros(BINS)
    clipped = cv2.dilate(
        (np.maximum(first, second).max(axis=2) > SATURATED).astype(np.uint8), np.ones((5, 5), np.uint8)
    )
    noise = max(_noise(first), _noise(second))
    for sigma in (0.0, 1.5, 4.0):
        a, b = (cv2.GaussianBlur(p, (0, 0), sigma).reshape(p.shape) if sigma else p for p in (first, second))
        # Smoothing takes most of the noise off a gradient.
        least = max(4 * noise * (np.sqrt(2.0) if sigma == 0 else 0.4 / sigma**2), SMALLEST_EDGE)
        for axis in (0, 1):
            p, q = _gradient(a, axis), _gradient(b, axis)
            size = np.hypot(p, q)
            used = (size > least) & (p * q >= 0) & (clipped[..., None] == 0)
            if used.sum() < 50:
                continue
            angle = np.rad2deg(np.arctan2(np.abs(q[used]), np.abs(p[used])))
            counts = np.histogram(angle, BINS, (0, 90), weights=np.sqrt(size[used]))[0]
            votes += counts / counts.sum()
    return gaussian_filter1d(votes, SMOOTHING, mode="nearest").astype(np.float32) if votes.any() else None


def _two_peaks(votes: Floats) -> tuple[float, float, float] | None:
    """Two directions in degrees, and how deep the valley between them is, from 0 to 1."""
    width = 90 / BINS
    centres = (np.arange(BINS) + 0.5) * width
    top = int(votes.argmax())
    best: tuple[float, int, float] | None = None
    inner = np.arange(1, BINS - 1)
    tops = inner[(votes[1:-1] > votes[:-2]) & (votes[1:-1] >= votes[2:])]
    for i in tops:
        if abs(i - top) * width < APART or votes[i] < SECOND * votes[top]:
            continue
        valley = float(votes[min(i, top) : max(i, top) + 1].min()) / float(votes[i])
        if valley < VALLEY and (best is None or votes[i] * (1 - valley) > best[0]):
            best = (float(votes[i]) * (1 - valley), int(i), valley)
    if best is None:
        return None
    return float(centres[top]), float(centres[best[1]]), 1 - best[2]


def _broad(planes: Floats, sigma: float) -> Floats:
    """Blurred by a Gaussian, on a coarser grid where it is broad."""
    height, width = planes.shape[:2]
    factor = max(1.0, sigma / 6)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    coarse = cv2.GaussianBlur(cv2.resize(planes, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / factor)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def _gradient(planes: Floats, axis: int) -> Floats:
    return np.diff(planes, axis=axis, append=planes.take([-1], axis=axis))


def _noise(planes: Floats) -> float:
    """Standard deviation of the noise, from what second differences both ways leave in the calmer half."""
    across = np.diff(np.diff(planes, axis=1), axis=0)
    return float(np.median(np.abs(across))) / (0.6745 * 2)


def _denoised(light: Floats, noise: float) -> Floats:
    """Smoothed where it varies less than noise does (a guided filter, its own guide)."""
    if noise <= 0:
        return light
    planes = np.ascontiguousarray(light.transpose(2, 0, 1))
    size = (9, 9)
    result = []
    for plane in planes:
        mean = cv2.blur(plane, size)
        variance = np.maximum(cv2.blur(plane * plane, size) - mean * mean, 0)
        slope = np.maximum(variance - noise**2, 0) / (variance + 1e-12)
        result.append(cv2.blur(slope, size) * plane + cv2.blur(mean * (1 - slope), size))
    return np.stack(result, axis=2).astype(np.float32)
