"""Deblurring with sparse gradients: seconds and memory. No peer solves the same problem."""

import math

import pytest

from benchmarks.common import OURS, Case, size_name
from benchmarks.peers import picture, point_spread
from imgrestore import classical

NOISE = 0.01


def case(shape, method="total_variation"):
    image, psf = picture(shape), point_spread(31, 31)
    solve = getattr(classical, method)
    steps = {"total_variation": 30, "hyper_laplacian": 40}[method]
    calls = {OURS: lambda: solve(image, psf, noise=NOISE)}
    return Case(method, size_name(shape), math.prod(shape), calls, steps=steps)


@pytest.mark.shapes((512, 512, 3), (1024, 1024, 3), quick=(48, 48, 3))
@pytest.mark.parametrize("method", ["total_variation", "hyper_laplacian"])
def test_sparse_gradients(compare, shape, method):
    compare(case(shape, method))


@pytest.mark.shapes((1024, 1024, 3), quick=(48, 48, 3))
@pytest.mark.parametrize("method", ["total_variation", "hyper_laplacian"])
def test_sparse_gradients_memory(peak_memory, shape, method):
    peak_memory(case, shape, method=method)
