"""`imgrestore.deshadow` beside the recipes that documents are evened with, and those for photographs."""

import math

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from skimage.exposure import equalize_adapthist
from skimage.restoration import rolling_ball

from benchmarks.common import OURS, Case, size_name
from imgrestore import deshadow
from imgrestore.degrade import shadow

SCALES = (15, 80, 250)
EVENS = "evens the light of any picture, and does not look for a shadow"


def page(shape):
    """Dark strokes on paper under light that falls off to one side, float32 RGB."""
    rows, columns = np.indices(shape[:2])
    ink = (rows % 18 < 4) & (columns % 9 < 6) & (rows % 162 > 30)
    light = np.linspace(1.0, 0.4, shape[1])
    return np.repeat((np.where(ink, 0.15, 0.9) * light)[..., None], shape[2], axis=2).astype(np.float32)


def divide(image, background):
    return image / np.maximum(background, 1e-3)


def recipes(image, ball):
    """What people run on pages: divide by a closing, divide by a blurred dilation, take off a rolling ball."""
    levels = (image * 255).astype(np.uint8)
    kernel = np.ones((25, 25), np.uint8)
    named = {
        "OpenCV closing": lambda: divide(image, cv2.morphologyEx(image, cv2.MORPH_CLOSE, kernel)),
        "OpenCV dilation, median": lambda: divide(levels, cv2.medianBlur(cv2.dilate(levels, np.ones((7, 7))), 21)),
    }
    if ball:
        gray = image[..., 0]
        named["scikit-image rolling ball"] = lambda: 1 - ((1 - gray) - rolling_ball(1 - gray, radius=30))
    return named


def document(shape):
    image = page(shape)
    return Case(
        "deshadow, page",
        size_name(shape),
        math.prod(shape),
        {OURS: lambda: deshadow(image, kind="document"), **recipes(image, ball=max(shape) <= 256)},
    )


def ground(shape):
    """Gravel under one cast shadow, which is found and lifted, float32 RGB."""
    stones = np.pad(data.gravel() / 255, [(0, side) for side in shape[:2]], mode="symmetric")[: shape[0], : shape[1]]
    scene = torch.from_numpy(stones[None] * np.array([0.9, 0.8, 0.7])[:, None, None]).float()
    params = shadow.sample(scene.shape, np.random.default_rng(0), "cast")
    return np.ascontiguousarray(shadow.apply(scene, params).numpy().transpose(1, 2, 0))


def retinex(image):
    """Jobson's multi-scale retinex with OpenCV's Gaussian filter, stretched to its own ends."""
    log = np.log(image + 1e-3)
    found = np.mean([log - np.log(cv2.GaussianBlur(image, (0, 0), scale) + 1e-3) for scale in SCALES], axis=0)
    low, high = np.percentile(found, (1, 99))
    return (found - low) / (high - low)


def photograph(shape):
    image = ground(shape)
    peers = {
        "OpenCV, multi-scale retinex": lambda: retinex(image),
        "scikit-image CLAHE": lambda: equalize_adapthist(image),
    }
    return Case(
        "deshadow, photograph",
        size_name(shape),
        math.prod(shape),
        {OURS: lambda: deshadow(image), **peers},
        differs=dict.fromkeys(peers, EVENS),
    )


@pytest.mark.shapes((256, 256, 3), (1024, 1024, 3), quick=(48, 48, 3))
def test_deshadow_page(compare, shape):
    compare(document(shape))


@pytest.mark.shapes((256, 256, 3), (1024, 1024, 3), quick=(48, 48, 3))
def test_deshadow_photograph(compare, shape):
    compare(photograph(shape))


@pytest.mark.shapes((256, 256, 3), (1024, 1024, 3), quick=(48, 48, 3))
def test_deshadow_memory(peak_memory, shape):
    peak_memory(photograph, shape)
