"""`imgrestore.deblur` as it is called, net included: seconds and memory. No peer does the same."""

import math

import pytest

from benchmarks.common import OURS, Case, size_name
from benchmarks.peers import picture, point_spread
from imgrestore import deblur


def case(shape):
    image, psf = picture(shape), point_spread(15, 15)
    return Case("deblur", size_name(shape), math.prod(shape), {OURS: lambda: deblur(image, psf)})


@pytest.mark.shapes((256, 256, 3), (512, 512, 3), (1024, 1024, 3), quick=(48, 48, 3))
def test_deblur(compare, shape):
    compare(case(shape))


@pytest.mark.shapes((256, 256, 3), (512, 512, 3), (1024, 1024, 3), quick=(48, 48, 3))
def test_deblur_memory(peak_memory, shape):
    peak_memory(case, shape)
