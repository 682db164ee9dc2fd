"""A separable filter of 31 taps, beside OpenCV, SciPy and torch."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks.common import OURS, Case, Work, op, optional, size_name
from benchmarks.peers import cv2, picture

TAPS = 31


def case(shape):
    separable = op("separable")
    image = picture(shape)
    tensor = torch.from_numpy(image)
    taps = np.exp(-(np.linspace(-2.5, 2.5, TAPS) ** 2) / 2).astype(np.float32)  # the same both ways round
    taps /= taps.sum()
    row, column = (torch.from_numpy(taps.copy()) for _ in range(2))

    def with_torch():
        across = torch.nn.functional.conv2d(tensor[None, None], row.reshape(1, 1, 1, -1), padding=(0, TAPS // 2))
        return torch.nn.functional.conv2d(across, column.reshape(1, 1, -1, 1), padding=(TAPS // 2, 0))[0, 0]

    def with_scipy():
        return ndimage.correlate1d(ndimage.correlate1d(image, taps, axis=1), taps, axis=0)

    n = math.prod(shape)
    return Case(
        "separable",
        size_name(shape),
        n,
        {
            OURS: lambda: separable(tensor, row, column),
            **optional(OpenCV=cv2 and (lambda: cv2.sepFilter2D(image, -1, taps, taps))),
            "scipy.ndimage": with_scipy,
            "torch conv2d": with_torch,
        },
        reference="scipy.ndimage",
        tolerance=1e-5,
        margin=TAPS // 2 + 1,
        work=Work(flops=2 * 2 * TAPS * n, traffic=8 * n, resident=8 * n),
    )


@pytest.mark.shapes(512, 1024, 2048, quick=64)
def test_separable(compare, shape):
    compare(case(shape))
