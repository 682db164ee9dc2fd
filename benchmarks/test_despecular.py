"""`imgrestore.despecular` as it is called, beside the recipes people use: seconds and memory.

The recipes do something else: they paint over whatever is bright, white things included.
"""

import math

import cv2
import numpy as np
import pytest

from benchmarks.common import OURS, Case, size_name
from benchmarks.peers import picture
from imgrestore import despecular

SHADE = (0.55, 0.4, 0.25)
BRIGHT = 150


def glossy(shape):
    """A picture with a tint and a few highlights, (H, W, 3), float32."""
    image = np.clip(picture(shape) * SHADE, 0, 1).astype(np.float32)
    height, width = shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for down, right in ((0.3, 0.3), (0.6, 0.7), (0.8, 0.2)):
        square = (y / height - down) ** 2 + (x / width - right) ** 2
        image += (0.6 * np.exp(-square / 0.0008))[..., None]
    return np.minimum(image, 1)


def case(shape):
    image = glossy(shape)
    eight = (image * 255).astype(np.uint8)
    mask = ((eight.min(axis=2) > BRIGHT) * 255).astype(np.uint8)
    mask = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    calls = {
        OURS: lambda: despecular(image),
        "cv2.inpaint of a threshold": lambda: cv2.inpaint(eight, mask, 3, cv2.INPAINT_TELEA),
        "cv2.illuminationChange": lambda: cv2.illuminationChange(eight, mask, alpha=0.2, beta=0.4),
    }
    why = "paints over whatever is bright"
    return Case(
        "despecular", size_name(shape), math.prod(shape), calls, differs={name: why for name in calls if name != OURS}
    )


@pytest.mark.shapes((512, 512, 3), (1024, 1024, 3), quick=(48, 48, 3))
def test_despecular(compare, shape):
    compare(case(shape))


@pytest.mark.shapes((512, 512, 3), (1024, 1024, 3), quick=(48, 48, 3))
def test_despecular_memory(peak_memory, shape):
    peak_memory(case, shape)
