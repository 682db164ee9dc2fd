"""Bright spots of a picture, and what each looks like against the body around it.

A spot is a place where even the darkest channel stands above its surroundings, within one of several radii. The body
around is continued below it, and the light in it is compared with that body, pixel by pixel: light = s * body + m.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imgrestore.classical.specular_fill import Area, Image, membrane

Labels = NDArray[np.int32]

# Of the picture's white: the least rise that counts as a part of a spot, and the least peak of one.
LEAST_RISE, LEAST_PEAK = 0.012, 0.045
# The same in standard deviations of the noise.
NOISE_RISE, NOISE_PEAK = 3.0, 6.0
# A radius is looked at in a picture small enough that it has about this many pixels.
SMALL_RADIUS = 6
# A wider blur is that of a copy in which it is about this wide.
LEAST_SIGMA = 2.5
GROW = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Scene:
    """A picture in light, its lamp made white.

    Attributes
    ----------
    light : ndarray of float32, shape (H, W, 3)
    open : ndarray of float32, shape (H, W, 3)
        1 where a channel is not clipped, else 0.
    white : float
        Brightness of its brighter parts.
    noise : float
        Standard deviation.
    """

    light: Image
    open: Image
    white: float
    noise: float


@dataclass(frozen=True)
class Spots:
    """Places to be judged.

    Attributes
    ----------
    label : ndarray of int, shape (H, W)
        From 1 to `count`, 0 outside.
    count : int
    body : ndarray of float32, shape (H, W, 3)
        The light around them, continued below them.
    """

    label: Labels
    count: int
    body: Image


@dataclass(frozen=True)
class Fit:
    """Light against body at every pixel, over the channels that are not clipped.

    Attributes
    ----------
    light, body : ndarray, shape (H, W)
        Means over the channels.
    product, square, energy : ndarray, shape (H, W)
        Of what is left without the means: light times body, body squared, light squared, summed over the channels.
    seen : ndarray of bool, shape (H, W)
        Where at least two channels are not clipped.
    """

    light: Image
    body: Image
    product: Image
    square: Image
    energy: Image
    seen: Area

    @property
    def rise(self) -> Image:
        """How far the light is above the body; 0 where that cannot be seen."""
        return np.asarray(np.maximum(self.light - self.body, 0) * self.seen, np.float32)


def rise(light: Image, radius: int) -> Image:
    """How far the darkest channel stands above what surrounds it (a top hat).

    Parameters
    ----------
    light : ndarray of float32, shape (H, W, 3)
    radius : int
        Of the surroundings, pixels: what is wider does not stand out.

    Returns
    -------
    ndarray of float32, shape (H, W)
    """
    least = np.minimum(np.minimum(light[..., 0], light[..., 1]), light[..., 2])
    height, width = least.shape
    step = max(1, radius // SMALL_RADIUS)
    small = least
    if step > 1:
        small = cv2.resize(least, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    side = 2 * round(radius / step) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    ground = cv2.morphologyEx(small, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_REFLECT)
    if step > 1:
        ground = cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR)
    return blur(np.maximum(least - ground, 0), 0.7)


def find(scene: Scene, above: Image, cut: float) -> Spots | None:
    """Spots that stand above their surroundings, each cut off at a part of its peak.

    Parameters
    ----------
    scene : Scene
    above : ndarray, shape (H, W)
        From `rise`.
    cut : float
        The part of its peak down to which a spot reaches.

    Returns
    -------
    Spots or None
        None where there are none.
    """
    least = max(LEAST_RISE * scene.white, NOISE_RISE * scene.noise)
    label, count = _labels(above > least)
    inside = np.flatnonzero(label)
    which, height = label.ravel()[inside], above.ravel()[inside]
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, which, height)
    limit = np.maximum(least, cut * peak)
    limit[peak < max(LEAST_PEAK * scene.white, NOISE_PEAK * scene.noise)] = np.inf
    kept = np.zeros(label.size, bool)
    kept[inside] = height > limit[which]
    if not kept.any():
        return None
    label, count = _labels(kept.reshape(label.shape))
    return Spots(label, count - 1, membrane(scene.light, grown(label > 0)))


def fit(scene: Scene, body: Image) -> Fit:
    """Compare light and body.

    Parameters
    ----------
    scene : Scene
    body : ndarray of float32, shape (H, W, 3)

    Returns
    -------
    Fit
    """
    weight, light, around = (split(image) for image in (scene.open, scene.light, body))
    count = weight[0] + weight[1] + weight[2]
    scale = 1 / np.maximum(count, 1)
    light_mean = sum(w * c for w, c in zip(weight, light, strict=True)) * scale
    body_mean = sum(w * c for w, c in zip(weight, around, strict=True)) * scale
    product, square, energy = (np.zeros_like(light_mean) for _ in range(3))
    for w, one, other in zip(weight, light, around, strict=True):
        light_off, body_off = w * (one - light_mean), w * (other - body_mean)
        product += light_off * body_off
        square += body_off * body_off
        energy += light_off * light_off
    seen = count >= 2
    return Fit(light_mean, body_mean, product * seen, square * seen, energy * seen, seen)


def _labels(area: Area) -> tuple[Labels, int]:
    count, label = cv2.connectedComponents(area.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return np.asarray(label, np.int32), count


def split(image: Image) -> tuple[Image, Image, Image]:
    """The channels of a picture, each by itself.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W, 3)

    Returns
    -------
    tuple of three ndarray of float32, shape (H, W)
    """
    red, green, blue = (np.ascontiguousarray(image[..., c]) for c in range(3))
    return red, green, blue


def mean(image: Image) -> Image:
    """Mean of the three channels; NumPy takes ten times as long along a short last axis.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W, 3)

    Returns
    -------
    ndarray of float32, shape (H, W)
    """
    return np.asarray((image[..., 0] + image[..., 1] + image[..., 2]) / 3, np.float32)


def blur(image: Image, sigma: float) -> Image:
    """A Gaussian blur of one plane; a wide one of a smaller copy, which looks the same.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    sigma : float
        In pixels.

    Returns
    -------
    ndarray of float32, shape (H, W)
    """
    image = np.ascontiguousarray(image, np.float32)
    height, width = image.shape
    step = int(min(sigma / LEAST_SIGMA, height / 4, width / 4))
    if step <= 1:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    small = cv2.resize(image, (width // step, height // step), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def grown(area: Area) -> Area:
    """An area with the pixels that touch it.

    Parameters
    ----------
    area : ndarray of bool, shape (H, W)

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    return np.asarray(cv2.dilate(area.astype(np.uint8), GROW) > 0)
