"""The guided filter of radius 8 with a gray guide, beside the same from box filters of OpenCV and SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks.common import OURS, Case, Work, op, optional, size_name
from benchmarks.peers import cv2, picture

RADIUS = 8
WIDTH = 2 * RADIUS + 1
EPS = 1e-3


def from_boxes(mean, image, guide):
    """He, Sun & Tang, "Guided image filtering" (2010), on any box filter."""
    mean_guide, mean_image = mean(guide), mean(image)
    covariance = mean(guide * image) - mean_guide * mean_image
    slope = covariance / (mean(guide * guide) - mean_guide * mean_guide + EPS)
    return mean(slope) * guide + mean(mean_image - slope * mean_guide)


def case(shape):
    guided = op("guided")
    image, guide = picture(shape, seed=1), picture(shape, seed=2)
    tensors = torch.from_numpy(image), torch.from_numpy(guide)

    def with_opencv():
        return from_boxes(lambda p: cv2.boxFilter(p, -1, (WIDTH, WIDTH)), image, guide)

    def with_scipy():
        return from_boxes(lambda p: ndimage.uniform_filter(p, WIDTH), image, guide)

    def exact():
        mean = lambda p: ndimage.uniform_filter(p, WIDTH)  # noqa: E731
        return from_boxes(mean, image.astype(np.float64), guide.astype(np.float64))

    n = math.prod(shape)
    return Case(
        "guided",
        size_name(shape),
        n,
        {
            OURS: lambda: guided(*tensors, RADIUS, EPS),
            **optional(**{"OpenCV boxes": cv2 and with_opencv}),
            "SciPy boxes": with_scipy,
        },
        reference=exact,
        tolerance=1e-3,  # variances are differences of squares, in float32
        margin=2 * RADIUS + 1,
        # Six running means of 4 operations, and about 14 between them.
        work=Work(flops=38 * n, traffic=12 * n, resident=12 * n),
    )


@pytest.mark.shapes(512, 1024, 2048, quick=64)
def test_guided(compare, shape):
    compare(case(shape))
