"""`imgrestore.dereflect` as it is called, beside a suppression of gradients and a deconvolution: seconds and memory."""

import math

import numpy as np
import pytest
from skimage.restoration import richardson_lucy

from benchmarks.common import OURS, Case, size_name
from benchmarks.peers import by_channel, picture
from imgrestore.classical.reflection import suppress_reflection
from imgrestore.tasks.dereflect import dereflect

SHIFT, ATTENUATION = (12, 8), 0.7
SUPPRESSES = "suppresses all that is smooth, in any picture"
DECONVOLVES = "is told the shift, and takes the scene for doubled as well"


def ghosted(shape):
    """A picture with a doubled reflection, which takes the longest of what one picture may hold."""
    scene, light = 0.6 * picture(shape), 0.4 * picture(shape[:2], seed=1)[..., None]
    return np.ascontiguousarray(scene + light + ATTENUATION * np.roll(light, SHIFT, (0, 1)), dtype=np.float32)


def deconvolved(image):
    """What people do against double pictures: deconvolution with two spikes."""
    psf = np.zeros((2 * SHIFT[0] + 1, 2 * SHIFT[1] + 1), np.float32)
    psf[SHIFT], psf[-1, -1] = 1, ATTENUATION
    return by_channel(lambda plane: richardson_lucy(plane, psf / psf.sum(), num_iter=10, clip=False), image)


def case(shape):
    image = ghosted(shape)
    suppression, deconvolution = "Yang 2019 (cosine transform)", "scikit-image Richardson-Lucy, 10 steps"
    return Case(
        "dereflect",
        size_name(shape),
        math.prod(shape),
        {
            OURS: lambda: dereflect(image),
            suppression: lambda: suppress_reflection(image),
            deconvolution: lambda: deconvolved(image),
        },
        differs={suppression: SUPPRESSES, deconvolution: DECONVOLVES},
    )


@pytest.mark.shapes((256, 256, 3), (512, 512, 3), (1024, 1024, 3), quick=(128, 128, 3))
def test_dereflect(compare, shape):
    compare(case(shape))


@pytest.mark.shapes((256, 256, 3), (512, 512, 3), (1024, 1024, 3), quick=(128, 128, 3))
def test_dereflect_memory(peak_memory, shape):
    peak_memory(case, shape)
