"""Bodies of shade that may be cast shadows, and the evidence for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.classical.shadow_edge import BAND, EdgeFit, edge_gain, fit_edge, signed_distance
from imgrestore.classical.shadow_regions import BLACK, Regions, chroma

__all__ = ["Candidate", "candidates", "evidence", "refined"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

SMALLEST = 0.004
LARGEST = 0.82
MOST = 18
SAME = 0.8
LEVELS = (0.15, 0.3, 0.5)
GRAINS = (0.012, 0.035)
ROUGHNESS = 8.0
COARSE_LEVEL = 0.2


@dataclass(frozen=True)
class Candidate:
    """A mask, the fit along its outline, and the numbers that speak for or against a cast shadow."""

    mask: Mask
    fit: EdgeFit
    gain: Array
    numbers: Array

    @property
    def clean(self) -> bool:
        """One rough ground, darker by one factor: what paint and things do not do."""
        agreement, told, colours, surfaces = (float(self.numbers[k]) for k in (0, 1, 7, 14))
        return agreement > 0.9 and 0.28 < told < 0.8 and colours < 0.1 and surfaces < 0.15


def candidates(light: Array, chances: tuple[Array, ...], parts: Regions) -> list[Mask]:
    """Masks worth a closer look: bodies that a classifier calls shaded, and bodies darker than what is around them.

    Parameters
    ----------
    light : ndarray, shape (H, W)
        Mean logarithm of linear light.
    chances : tuple of ndarray, shape (n,)
        How likely each region is in shadow, by several classifiers.
    parts : Regions

    Returns
    -------
    list of ndarray of bool, shape (H, W)
    """
    planes: list[Mask] = []
    for chance in chances:
        planes += [(chance > level)[parts.labels] for level in (0.35, 0.6)]
    diagonal = float(np.hypot(*light.shape))
    smooth = parts.mean(light)[parts.labels].astype(np.float32)
    around = cv2.GaussianBlur(smooth, (0, 0), 0.15 * diagonal)
    planes += [smooth < around - level for level in LEVELS]
    planes.append(smooth < _otsu(smooth))
    # On rough ground every stone has its own light; blurred, they have that of their place.
    fine, coarse = (cv2.GaussianBlur(light, (0, 0), part * diagonal) for part in GRAINS)
    around = cv2.GaussianBlur(light, (0, 0), 0.2 * diagonal)
    planes = [coarse < _otsu(coarse), fine < _otsu(fine), fine < around - COARSE_LEVEL, *planes]
    found: list[Mask] = []
    area = light.size
    for plane in planes:
        count, labels, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=4)
        large = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= SMALLEST * area]
        large = sorted(large, key=lambda k: -stats[k, cv2.CC_STAT_AREA])[:4]
        bodies = [labels == k for k in large]
        if len(bodies) > 1:
            bodies.append(np.isin(labels, large))
        found += [b for b in bodies if b.mean() <= LARGEST]
    kept: list[Mask] = []
    for mask in found:
        if len(kept) < MOST and all(_overlap(mask, other) < SAME for other in kept):
            kept.append(mask)
    return kept


def refined(light: Array, mask: Mask) -> Mask:
    """An outline moved to where the light falls half way between both sides."""
    diagonal = float(np.hypot(*light.shape))
    band = max(4.0, 0.6 * BAND * diagonal)
    distance = signed_distance(mask)
    inner, outer = (distance > 2).astype(np.float32), (distance < -2).astype(np.float32)
    low = _blurred(light, inner, band)
    high = _blurred(light, outer, band)
    fall = np.maximum(high - low, 0.1)
    # The rougher the ground against the step, the wider a mean has to be to tell one side from the other.
    near = np.abs(distance) < band
    rough = float(np.abs(light - _smooth(light, 2.0))[near].mean() / fall[near].mean()) if near.any() else 0.0
    cover = _smooth(np.clip((high - light) / fall, -0.5, 1.5), 1.2 + ROUGHNESS * min(rough, 1.0))
    moved = np.where(near, cover + 0.5 * np.clip(distance / band, -1, 1) > 0.5, mask)
    return cv2.medianBlur(moved.astype(np.uint8), 5).astype(bool)


def evidence(log_rgb: Array, mask: Mask, usable: Mask, chances: tuple[Array, ...]) -> Candidate | None:
    """Fit the outline of a mask, and measure how much it behaves like that of a shadow.

    Parameters
    ----------
    log_rgb : ndarray, shape (3, H, W)
        Logarithm of linear light.
    mask, usable : ndarray of bool, shape (H, W)
    chances : tuple of ndarray, shape (H, W)
        How likely each pixel is in shadow, by several classifiers.

    Returns
    -------
    Candidate or None
        None where there is no outline to fit.
    """
    light = log_rgb.mean(0)
    mask = refined(light, mask)
    share = float(mask.mean())
    if not SMALLEST / 2 <= share <= LARGEST:
        return None
    distance = signed_distance(mask)
    fit = fit_edge(log_rgb, mask, usable, distance)
    if fit is None or not fit.typical.mean() > 0.08:
        return None
    gain = edge_gain(fit, distance)
    clean = log_rgb - np.log(gain)
    band = max(4.0, BAND * float(np.hypot(*mask.shape)))
    ring, core = (distance < 0) & (distance > -2 * band), (distance > 0) & (distance < 2 * band)
    ring &= usable
    core &= usable
    if ring.sum() < 20 or core.sum() < 20:
        return None
    lifted = clean.mean(0)
    edge = np.abs(distance) < 0.35 * band
    slope = _slope(lifted)
    before = _slope(light)
    beside = (np.abs(distance) > 0.5 * band) & (np.abs(distance) < 1.5 * band)
    rest = float(slope[beside].mean()) + 0.01
    first, second = chroma(np.moveaxis(clean, 0, -1))
    step1, step2 = chroma(fit.step)
    typical1, typical2 = chroma(fit.typical)
    trust = fit.weight / fit.weight.sum()
    height = fit.step.mean(1)
    typical = float(fit.typical.mean())
    detail = np.abs(light - _smooth(light, 2.0))
    frame = np.zeros_like(mask)
    frame[0], frame[-1], frame[:, 0], frame[:, -1] = True, True, True, True
    numbers = [
        fit.agreement,
        float(fit.weight.mean()),
        typical,
        typical**2,
        float(typical1) / typical,
        abs(float(typical2)) / typical,
        float((trust * np.abs(height - typical)).sum()) / typical,
        float((trust * np.hypot(step1 - typical1, step2 - typical2)).sum()) / typical,
        float((trust * (height < 0.25 * typical)).sum()),
        np.log(float(slope[edge].mean()) / rest + 0.05),
        np.log(float(before[edge].mean()) / rest + 0.05),
        np.log((float(detail[core].mean()) + 0.01) / (float(detail[ring].mean()) + 0.01)),
        abs(float(lifted[core].mean() - lifted[ring].mean())),
        float(np.hypot(first[core].mean() - first[ring].mean(), second[core].mean() - second[ring].mean())),
        _histogram_distance((lifted, first, second), core, ring),
        float(lifted[core].std() - lifted[ring].std()),
        np.log(share),
        share,
        float((mask & frame).sum()) / float(frame.sum()),
        float((trust * fit.width).sum()) / band,
        np.log(len(fit.weight)),
        float((lifted[core] > 0.05).mean()),
    ]
    for chance in chances:
        inside, outside = float(chance[core].mean()), float(chance[ring].mean())
        numbers += [inside, outside, float(chance[mask].mean())]
    return Candidate(mask, fit, gain, np.array(numbers, np.float32))


def _histogram_distance(light_and_colours: tuple[Array, Array, Array], core: Mask, ring: Mask) -> float:
    """How different the surfaces inside and around are once the light is given back; 0 to 1."""
    cells = ((4.0, 0.3, 16, 1), (1.2, 0.24, 10, 16), (1.2, 0.24, 10, 160))

    def histogram(where: Mask) -> Array:
        code: Array = sum(  # type: ignore[assignment]
            np.clip(np.floor((plane[where] + reach) / width), 0, n - 1).astype(np.int64) * stride
            for plane, (reach, width, n, stride) in zip(light_and_colours, cells, strict=True)
        )
        return np.bincount(code, minlength=1600) / len(code)

    return float(1 - np.sqrt(histogram(core) * histogram(ring)).sum())


def _slope(plane: Array) -> Array:
    plane = _smooth(np.maximum(plane, np.log(BLACK)), 1.0)
    return np.hypot(cv2.Sobel(plane, -1, 1, 0), cv2.Sobel(plane, -1, 0, 1))


def _smooth(plane: Array, sigma: float) -> Array:
    return cv2.GaussianBlur(np.ascontiguousarray(plane, np.float32), (0, 0), sigma)


def _blurred(plane: Array, weight: Array, reach: float) -> Array:
    size = 2 * round(reach) + 1

    def box(v: Array) -> Array:
        return cv2.blur(cv2.blur(v, (size, size)), (size, size))

    return box(plane * weight) / np.maximum(box(weight), 1e-4)


def _otsu(plane: Array) -> float:
    counts, edges = np.histogram(plane, 64)
    part = counts / counts.sum()
    centre = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(part)
    mean = np.cumsum(part * centre)
    between = (mean[-1] * below - mean) ** 2 / np.maximum(below * (1 - below), 1e-6)
    return float(centre[int(np.argmax(between))])


def _overlap(one: Mask, two: Mask) -> float:
    union = int((one | two).sum())
    return int((one & two).sum()) / union if union else 1.0
