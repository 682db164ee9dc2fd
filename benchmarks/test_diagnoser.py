"""The net that tells damages apart, from a picture at full size to its diagnosis."""

import math

import pytest
import torch

from benchmarks.common import OURS, Case, size_name
from benchmarks.test_deblur_net import planes, without_native
from imgrestore.evidence import diagnoser


def case(shape):
    net, picture = diagnoser(), planes(3, shape)[0]

    @torch.no_grad()
    def run():
        return net.diagnose(picture).logits

    return Case(
        "diagnoser",
        size_name(shape),
        math.prod(shape),
        {OURS: run, "torch": without_native(run)},
        reference="torch",
        tolerance=1e-4,
    )


@pytest.mark.shapes(1024, quick=64)
def test_diagnoser(compare, shape):
    compare(case(shape))


@pytest.mark.shapes(1024, quick=64)
def test_diagnoser_memory(peak_memory, shape):
    peak_memory(case, shape)
