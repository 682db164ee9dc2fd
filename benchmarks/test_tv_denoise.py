"""Total variation denoising, 50 iterations, beside scikit-image."""

import math

import pytest
import torch
from skimage import restoration

from benchmarks.common import OURS, Case, Work, op, size_name
from benchmarks.peers import picture

WEIGHT = 0.1
STEPS = 50


def case(shape):
    tv_denoise = op("tv_denoise")
    image = picture(shape)
    tensor = torch.from_numpy(image)

    def scikit_image():
        return restoration.denoise_tv_chambolle(image, WEIGHT, eps=0, max_num_iter=STEPS)

    n = math.prod(shape)
    return Case(
        "tv_denoise",
        size_name(shape),
        n,
        {OURS: lambda: tv_denoise(tensor, WEIGHT, num_iter=STEPS, tol=0), "scikit-image": scikit_image},
        reference="scikit-image",
        tolerance=1e-4,
        steps=STEPS,
        # A divergence, a gradient, its length and the two quotients; the picture and the result move once at least.
        work=Work(flops=20 * STEPS * n, traffic=8 * n, resident=16 * n),
    )


@pytest.mark.shapes(512, 1024, 2048, quick=64)
def test_tv_denoise(compare, shape):
    compare(case(shape))
