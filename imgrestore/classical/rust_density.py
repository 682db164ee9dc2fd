"""Taking a dye off: how thick it lies, from the colour it gives to a surface, and what it takes from each channel."""

from __future__ import annotations

import cv2
import numpy as np

from imgrestore.classical.rust_clues import LEAKY, brightness, edges, leaking
from imgrestore.classical.rust_colour import Area, Field, Ground, log_light, ratios

# Density of red for a unit of log ratio: of tea and rust less, of coffee more.
USUAL_SLOPE, SLOPE_SPREAD = 0.6, 0.5
# One picture's stains are mostly of one substance.
KIN_SPREAD = 0.15
STEEPEST = 2.6
WINDOW = (7, 7)
# A log ratio that is more than the soft rim of a stain.
STAINED = 0.03
# A log ratio that can just be seen: pixels whose noise is larger ask their neighbours.
UNSURE = 0.008
# Error of channels up to which each pixel speaks for itself, and the blur for pictures with more.
EXACT_ERROR, COARSE = 0.002, 1.5
# Brightness at which a pixel's own colour and that of its neighbours count the same.
DIM = 0.06
THICKEST = 4.0


def slopes(
    picture: Field, log: Field, apart: Field, axis: Field, area: Area, ground: Ground, caution: float = 1.0
) -> Field:
    """Density of red for a unit of log ratio, stain by stain.

    Parameters
    ----------
    picture, log : ndarray, shape (h, w, 3)
        White at 1, and its logarithm.
    apart : ndarray, shape (h, w, 2)
        Its log ratios less those of the ground.
    axis : ndarray, shape (2,)
        Where the log ratios of stains point to, about.
    area : ndarray of bool, shape (h, w)
        The stains.
    ground : Ground
        The surface.
    caution : float
        By how much the standard errors are too small, as the scene has colours of its own.

    Returns
    -------
    ndarray of float32, shape (h, w)
        Of the nearest stain.
    """
    length = np.hypot(apart[..., 0], apart[..., 1]).astype(np.float32) * (apart @ axis > 0)
    trust = brightness(picture)
    pooled, doubt, _ = edges(log[..., 0], length, trust, area, ground.area)
    pooled, _ = _weighed(pooled, caution * doubt, USUAL_SLOPE, SLOPE_SPREAD)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(area.astype(np.uint8), connectivity=8)
    values = np.full(count, pooled, np.float32)
    height, width = area.shape
    for label in range(1, count):
        left, top, across, down, size = (int(v) for v in stats[label])
        if size < 60:
            continue
        # The margin shows the surface beside the stain.
        rows = slice(max(0, top - 12), min(height, top + down + 12))
        columns = slice(max(0, left - 12), min(width, left + across + 12))
        own = labels[rows, columns] == label
        others = (labels[rows, columns] > 0) & ~own
        surface = ground.area[rows, columns] & ~others
        slope, doubt, _ = edges(log[rows, columns, 0], length[rows, columns], trust[rows, columns], own, surface)
        values[label] = _weighed(slope, caution * doubt, pooled, KIN_SPREAD)[0]
    if count == 1:
        return np.full(area.shape, pooled, np.float32)
    nearest = _nearest_label(labels)
    return values[nearest]


def _nearest_label(labels: np.ndarray) -> np.ndarray:
    _, index = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Its labels number the pixels of the stains in the order of reading.
    inside = labels > 0
    table = np.zeros(int(index.max()) + 1, np.int32)
    table[index[inside]] = labels[inside]
    return table[index]


def _weighed(value: float, doubt: float, prior: float, spread: float) -> tuple[float, float]:
    """The mean of a measurement and what was expected, by their certainty, within what dyes do."""
    if not np.isfinite(value) or not np.isfinite(doubt):
        return prior, spread
    certainty, expected = 1 / max(doubt, 1e-3) ** 2, 1 / spread**2
    mean = (value * certainty + prior * expected) / (certainty + expected)
    return float(np.clip(mean, 0.05, STEEPEST)), float(1 / np.sqrt(certainty + expected))


def dye_density(
    picture: Field,
    ground_colour: Field,
    slope: Field,
    weight: Field,
    error: float,
    direction: Field | None,
    *,
    coarse: bool = False,
    detail: Field | None = None,
) -> Field:
    """The optical density of dyes on a surface whose colour is known.

    Parameters
    ----------
    picture : ndarray, shape (H, W, 3)
        White at 1.
    ground_colour : ndarray, shape (H, W, 2)
        Log ratios of the surface.
    slope : ndarray, shape (H, W)
        Density of red for a unit of log ratio.
    weight : ndarray, shape (H, W)
        0 to 1: where to look, and how much of what is found there is the stain's.
    error : float
        Standard deviation of the channels, as far as they do not vary together.
    direction : ndarray, shape (2,), optional
        Of the stain's log ratios, length 1: only what lies along it is taken off. Without it all colour is, which suits
        surfaces of one colour exactly.
    coarse : bool
        The picture's colour has less detail than its light, as in compressed files.
    detail : ndarray, shape (H, W), optional
        0 to 1: how much of the fine differences of colour is the stain's; all by default.

    Returns
    -------
    ndarray of float32, shape (H, W, 3)
        0 or more.
    """
    log = log_light(picture)
    apart = ratios(log) - ground_colour
    along = apart.mean(axis=2) * np.float32(2**0.5)
    stained = (weight > 0.5) & (along > STAINED)
    if coarse or error > EXACT_ERROR or leaking(along, log.mean(axis=2), stained) > LEAKY:
        # Blurred alike, light and colour agree again.
        picture = cv2.GaussianBlur(picture, (0, 0), COARSE)
        apart = ratios(log_light(picture)) - ground_colour
    # Where noise is large against a just visible density, the colour is that of brighter neighbours.
    light = np.maximum(picture.min(axis=2), np.float32(0.02))
    certain = 1 / (1 + np.square(np.float32(error / UNSURE) / light))
    certain *= light * light / (light * light + np.float32(DIM * DIM))
    mean = cv2.blur(apart * certain[..., None], WINDOW) / cv2.blur(certain, WINDOW)[..., None]
    kept = certain if detail is None else certain * detail
    apart = mean + (apart - mean) * kept[..., None]
    noise = np.float32(error) / light * np.sqrt(certain)
    if direction is None:
        along = np.hypot(apart[..., 0], apart[..., 1]) * (apart.sum(axis=2) > 0)
        parts = np.maximum(apart, 0)
    else:
        along = np.maximum(apart @ direction.astype(np.float32), 0)
        parts = along[..., None] * direction.astype(np.float32)
    # What noise alone can do is not a stain.
    sure = ((along - noise) / (1.5 * noise + np.float32(1e-4))).clip(0, 1) * weight
    red = slope * along
    density = np.stack([red, red + parts[..., 0], red + parts[..., 0] + parts[..., 1]], axis=2) * sure[..., None]
    return np.clip(density, 0, np.float32(THICKEST)).astype(np.float32)
