"""The bilateral filter over 9 × 9 pixels, beside OpenCV and scikit-image."""

import math

import pytest
import torch
from skimage import restoration

from benchmarks.common import OURS, Case, Work, op, optional, size_name
from benchmarks.peers import cv2, picture

RADIUS = 4
WIDTH = 2 * RADIUS + 1
SPACE, RANGE = 2.0, 0.1
# Within the disk are 48 neighbours. A pair of pixels is weighed once (a difference, its square, an exponential of about
# 8), and adds to the two sums of both.
FLOPS = 24 * 10 + 48 * 4
SCIKIT_IMAGE_UP_TO = 1024**2


def case(shape):
    bilateral, reference = op("bilateral"), op("bilateral_reference")
    image = picture(shape)
    tensor = torch.from_numpy(image)
    calls = {OURS: lambda: bilateral(tensor, SPACE, RANGE, radius=RADIUS)}
    calls |= optional(OpenCV=cv2 and (lambda: cv2.bilateralFilter(image, WIDTH, RANGE, SPACE)))
    if math.prod(shape) <= SCIKIT_IMAGE_UP_TO:
        calls["scikit-image"] = lambda: restoration.denoise_bilateral(image, WIDTH, RANGE, SPACE)
    n = math.prod(shape)
    return Case(
        "bilateral",
        size_name(shape),
        n,
        calls,
        reference=lambda: reference(tensor.double(), SPACE, RANGE, radius=RADIUS),
        tolerance=1e-4,
        margin=RADIUS + 1,
        differs={
            "OpenCV": "exponentials from a table",
            "scikit-image": "exponentials from a table",
        },
        work=Work(flops=FLOPS * n, traffic=8 * n, resident=8 * n),
    )


@pytest.mark.shapes(512, 1024, 2048, quick=64)
def test_bilateral(compare, shape):
    compare(case(shape))
