"""The mean over a square of 31 × 31 pixels, beside OpenCV, SciPy and torch."""

import math

import pytest
import torch
from scipy import ndimage

from benchmarks.common import OURS, Case, Work, op, optional, size_name
from benchmarks.peers import cv2, picture

RADIUS = 15
WIDTH = 2 * RADIUS + 1


def case(shape):
    box = op("box")
    image = picture(shape)
    tensor = torch.from_numpy(image)

    def with_torch():
        return torch.nn.functional.avg_pool2d(tensor[None, None], WIDTH, 1, RADIUS)[0, 0]

    n = math.prod(shape)
    return Case(
        "box",
        size_name(shape),
        n,
        {
            OURS: lambda: box(tensor, RADIUS),
            **optional(OpenCV=cv2 and (lambda: cv2.blur(image, (WIDTH, WIDTH)))),
            "scipy.ndimage": lambda: ndimage.uniform_filter(image, WIDTH),
            "torch avg_pool2d": with_torch,
        },
        reference=lambda: ndimage.uniform_filter(image.astype("float64"), WIDTH),
        tolerance=1e-4,  # running sums in float32
        margin=RADIUS + 1,
        work=Work(flops=5 * n, traffic=8 * n, resident=8 * n),
    )


@pytest.mark.shapes(512, 1024, 2048, quick=64)
def test_box(compare, shape):
    compare(case(shape))
