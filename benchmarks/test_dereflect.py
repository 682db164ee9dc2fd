"""`imgrestore.dereflect` as it is called, beside gradient-domain suppression: seconds and memory."""

import math

import numpy as np
import pytest

from benchmarks.common import OURS, Case, size_name
from benchmarks.peers import picture
from imgrestore.classical.reflection import suppress_reflection
from imgrestore.tasks.dereflect import dereflect

DIFFERS = "suppresses all that is smooth, in any picture"


def ghosted(shape):
    """A picture with a doubled reflection, which takes the longest of what one picture may hold."""
    scene, light = 0.6 * picture(shape), 0.4 * picture(shape[:2], seed=1)[..., None]
    return np.ascontiguousarray(scene + light + 0.7 * np.roll(light, (12, 8), (0, 1)), dtype=np.float32)


def case(shape):
    image = ghosted(shape)
    return Case(
        "dereflect",
        size_name(shape),
        math.prod(shape),
        {OURS: lambda: dereflect(image), "Yang 2019 (cosine transform)": lambda: suppress_reflection(image)},
        differs={"Yang 2019 (cosine transform)": DIFFERS},
    )


@pytest.mark.shapes((256, 256, 3), (512, 512, 3), (1024, 1024, 3), quick=(128, 128, 3))
def test_dereflect(compare, shape):
    compare(case(shape))


@pytest.mark.shapes((256, 256, 3), (512, 512, 3), (1024, 1024, 3), quick=(128, 128, 3))
def test_dereflect_memory(peak_memory, shape):
    peak_memory(case, shape)
