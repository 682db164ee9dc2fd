"""Regions of a picture, and the numbers that tell a shaded region from a dark one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["Regions", "invariant_angle", "region_features", "regions"]

Array = NDArray[Any]

# Light below this part of the white is noise and rounding; logarithms end there.
BLACK = 0.004
ANGLES = 60
ENTROPY_SAMPLES = 6000
SUPERPIXELS = 350
COMPACTNESS = 12.0
# Widths of the pairing: how far the invariant, the chromaticity and the texture of one material spread.
INVARIANT_WIDTH = 0.10
CHROMA_WIDTH = 0.35
TEXTURE_WIDTH = 0.6
NEAR = (0.12, 0.35)
STEP = 0.35


@dataclass(frozen=True)
class Regions:
    """Superpixels of a picture.

    Attributes
    ----------
    labels : ndarray of int, shape (H, W)
        The region of every pixel, from 0 on.
    count : int
        How many there are.
    area : ndarray, shape (n,)
        Pixels of each.
    edges : ndarray of int, shape (m, 2)
        Pairs of regions that touch.
    shared : ndarray, shape (m,)
        Length of their common border in pixels.
    """

    labels: NDArray[np.int64]
    count: int
    area: Array
    edges: NDArray[np.int64]
    shared: Array

    def mean(self, plane: Array) -> Array:
        """Mean of a plane (H, W) in each region."""
        total = np.bincount(self.labels.ravel(), weights=plane.ravel(), minlength=self.count)
        return (total / self.area).astype(np.float32)


def log_light(linear: Array) -> Array:
    """Logarithm of linear light (H, W, 3), relative to the picture's white, ending at its black."""
    white = float(np.quantile(linear.max(-1), 0.99))
    return np.log(np.maximum(linear / max(white, 1e-9), BLACK)).astype(np.float32)


def invariant_angle(log_rgb: Array) -> float:
    """The direction in the log-chromaticity plane along which a picture has the least entropy.

    Under a change of light every surface moves along one line in that plane, whose direction belongs to the camera and
    the lights; projected along it, the shaded and the lit part of a surface fall together, and the histogram is the
    most concentrated.

    Parameters
    ----------
    log_rgb : ndarray, shape (H, W, 3)
        Logarithms of linear light.

    Returns
    -------
    float
        Angle in radians, 0 to pi, of the axis to project on.

    References
    ----------
    Finlayson, Drew & Lu, "Entropy minimization for shadow removal", IJCV 85 (2009).
    """
    flat = log_rgb.reshape(-1, 3)
    flat = flat[:: max(1, len(flat) // ENTROPY_SAMPLES)]
    first, second = chroma(flat)
    angles = np.arange(ANGLES) * np.pi / ANGLES
    projected = np.sort(np.outer(np.cos(angles), first) + np.outer(np.sin(angles), second), axis=1)
    # The outer twentieths are noise and rare colours.
    cut = projected.shape[1] // 20
    projected = projected[:, cut : projected.shape[1] - cut]
    if projected.shape[1] < 8:
        return 0.0
    # One bin width for all angles (Scott's rule for the widest), so that only concentration is compared.
    width = 3.5 * float(projected.std(axis=1).max()) * projected.shape[1] ** (-1 / 3)
    if width < 1e-4:
        return 0.0
    entropies = []
    for row in projected:
        counts = np.bincount(((row - row[0]) / width).astype(np.int64))
        part = counts[counts > 0] / len(row)
        entropies.append(float(-(part * np.log(part)).sum()))
    return float(angles[int(np.argmin(entropies))])


def chroma(log_rgb: Array) -> tuple[Array, Array]:
    """Two orthonormal coordinates of log-chromaticity: red against blue, and green against both."""
    red, green, blue = log_rgb[..., 0], log_rgb[..., 1], log_rgb[..., 2]
    return (red - blue) / np.sqrt(2.0), (2 * green - red - blue) / np.sqrt(6.0)


def regions(coded: Array) -> Regions:
    """Cut a picture into superpixels (SLIC in Lab).

    Parameters
    ----------
    coded : ndarray, shape (H, W, 3)
        Display-coded values, 0 to 1.

    Returns
    -------
    Regions
    """
    from skimage.segmentation import slic

    height, width = coded.shape[:2]
    count = int(np.clip(height * width / 60, 1, SUPERPIXELS))
    labels = slic(coded, count, compactness=COMPACTNESS, max_num_iter=6, start_label=0, sigma=0.7, convert2lab=True)
    labels = np.unique(labels, return_inverse=True)[1].reshape(height, width).astype(np.int64)
    total = int(labels.max()) + 1
    pairs = []
    for one, two in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differ = one != two
        pairs.append(np.stack([one[differ], two[differ]], 1))
    touching = np.sort(np.concatenate(pairs), axis=1)
    codes, shared = np.unique(touching[:, 0] * total + touching[:, 1], return_counts=True)
    edges = np.stack([codes // total, codes % total], 1)
    area = np.bincount(labels.ravel(), minlength=total).astype(np.float32)
    return Regions(labels, total, area, edges, shared.astype(np.float32))


def region_features(coded: Array, linear: Array, parts: Regions) -> Array:
    """What is known of every region: its light and colour, and how it stands to regions of like material.

    Parameters
    ----------
    coded, linear : ndarray, shape (H, W, 3)
        The picture, display-coded and in linear light.
    parts : Regions

    Returns
    -------
    ndarray, shape (n, F)
        Numbers of order 1.
    """
    log_rgb = log_light(linear)
    height, width = coded.shape[:2]
    c1, c2 = chroma(log_rgb)
    angle = invariant_angle(log_rgb)
    light = log_rgb.mean(-1)
    lab = cv2.cvtColor(np.clip(coded, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    detail = np.abs(light - cv2.GaussianBlur(light, (0, 0), 2.0))
    means = {k: parts.mean(v) for k, v in (("l", light), ("c1", c1), ("c2", c2), ("t", detail))}
    lum, first, second = means["l"], means["c1"], means["c2"]
    texture = np.log(means["t"] + 0.01)
    invariant = first * np.cos(angle) + second * np.sin(angle)
    rows, columns = np.indices((height, width), dtype=np.float32)
    diagonal = float(np.hypot(height, width))
    y, x = parts.mean(rows), parts.mean(columns)
    weight = parts.area / parts.area.sum()
    order = np.argsort(lum)
    rank = np.empty_like(lum)
    rank[order] = np.cumsum(weight[order])

    def middle(v: Array) -> float:
        order = np.argsort(v)
        return float(v[order][np.searchsorted(np.cumsum(weight[order]), 0.5).clip(0, len(v) - 1)])

    spread = float(np.sqrt((weight * (lum - (weight * lum).sum()) ** 2).sum())) + 0.05
    local = [parts.mean(light - cv2.GaussianBlur(light, (0, 0), diagonal * s)) for s in (0.04, 0.1, 0.25)]
    bright = float(np.quantile(light, 0.95))
    features = [
        lum - middle(lum),
        (lum - middle(lum)) / spread,
        rank,
        lum - bright,
        spread * np.ones_like(lum),
        np.exp(lum),
        parts.mean(lab[..., 0]) / 100,
        parts.mean(lab[..., 1]) / 40,
        parts.mean(lab[..., 2]) / 40,
        parts.mean(np.hypot(lab[..., 1], lab[..., 2])) / 40,
        first,
        second,
        first - middle(first),
        second - middle(second),
        texture - middle(texture),
        texture,
        y / height,
        *local,
    ]
    # Pairs of one material: alike in the invariant, in chromaticity and in texture.
    delta = lum[None, :] - lum[:, None]
    alike = (
        ((invariant[:, None] - invariant[None, :]) / INVARIANT_WIDTH) ** 2
        + ((first[:, None] - first[None, :]) ** 2 + (second[:, None] - second[None, :]) ** 2) / CHROMA_WIDTH**2
        + ((texture[:, None] - texture[None, :]) / TEXTURE_WIDTH) ** 2
    )
    away = ((y[:, None] - y[None, :]) ** 2 + (x[:, None] - x[None, :]) ** 2) / diagonal**2
    for near in (*NEAR, None):
        exponent = alike if near is None else alike + away / near**2
        pair = np.exp(-0.5 * exponent) * weight[None, :]
        total = pair.sum(1)
        step_up = pair * expit((delta - STEP) / 0.08)
        brighter, darker = step_up.sum(1), (pair * expit(-(delta + STEP) / 0.08)).sum(1)
        high = np.log((pair * np.exp(3 * delta)).sum(1) / total) / 3
        low = np.log((pair * np.exp(-3 * delta)).sum(1) / total) / 3
        mean = (pair * delta).sum(1) / total
        shift1 = (step_up * (first[None, :] - first[:, None])).sum(1) / (brighter + 1e-4)
        features += [
            mean,
            high,
            low,
            brighter / total,
            darker / total,
            np.log(brighter + 1e-3),
            np.log(darker + 1e-3),
            np.log(total + 1e-3),
            3 * shift1,
        ]
    features += _border_features(parts, lum, first, second, texture)
    return np.stack(features, 1).astype(np.float32)


def _border_features(parts: Regions, lum: Array, first: Array, second: Array, texture: Array) -> list[Array]:
    """Steps to the regions that touch each region, weighted by the length of the border."""
    one = np.concatenate([parts.edges[:, 0], parts.edges[:, 1]])
    two = np.concatenate([parts.edges[:, 1], parts.edges[:, 0]])
    length = np.concatenate([parts.shared, parts.shared])
    count = parts.count
    total = np.bincount(one, weights=length, minlength=count) + 1e-6

    def gathered(values: Array) -> Array:
        return (np.bincount(one, weights=length * values, minlength=count) / total).astype(np.float32)

    step = lum[two] - lum[one]
    change = np.hypot(first[two] - first[one], second[two] - second[one])
    like = np.exp(-0.5 * (change / 0.2) ** 2 - 0.5 * ((texture[two] - texture[one]) / 0.6) ** 2)
    up, down = expit((step - STEP) / 0.08), expit(-(step + STEP) / 0.08)
    return [
        gathered(step),
        gathered(np.abs(step)),
        gathered(up),
        gathered(down),
        gathered(up * like),
        gathered(down * like),
        gathered(change),
    ]
