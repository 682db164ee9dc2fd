"""`imgrestore.deshadow` beside the recipes that documents are evened with."""

import math

import cv2
import numpy as np
import pytest
from skimage.restoration import rolling_ball

from benchmarks.common import OURS, Case, size_name
from benchmarks.peers import picture
from imgrestore import deshadow


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


def photograph(shape):
    image = picture(shape)
    return Case(
        "deshadow, photograph", size_name(shape), math.prod(shape), {OURS: lambda: deshadow(image, kind="cast")}
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
