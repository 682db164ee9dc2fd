"""The nets of the tasks that take pictures apart, from a classical estimate at full size to the corrected layers."""

import math

import pytest
import torch

from benchmarks.common import OURS, Case, size_name
from benchmarks.test_deblur_net import planes, without_native
from imgrestore.classical.estimate import Estimate
from imgrestore.nets.weights import load
from imgrestore.tasks.separation import MARKS, refine

TASKS = ("deshadow", "dereflect", "despecular", "derust")


def case(shape, task):
    """A mask all over the picture, so that the net's whole correction is made."""
    net, kind = load(task), MARKS[task]
    picture, mask = planes(3, shape)[0], torch.ones(1, *shape, dtype=torch.bool)
    nothing = torch.ones_like(picture) if kind.form == "factor" else torch.zeros_like(picture)
    layers = {kind.scene: picture, kind.layer: nothing}
    if kind.form == "covered":
        layers["opaque"] = nothing
    estimate = Estimate(picture, layers)

    def run():
        return refine(task, picture, mask, estimate, net).image

    return Case(
        f"{task}_net",
        size_name(shape),
        math.prod(shape),
        {OURS: run, "torch": without_native(run)},
        reference="torch",
        tolerance=1e-3,
        differs={OURS: "products of bfloat16 have 8 bits"},
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.shapes(1024, quick=64)
def test_separation_net(compare, task, shape):
    compare(case(shape, task))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.shapes(1024, quick=64)
def test_separation_net_memory(peak_memory, task, shape):
    peak_memory(case, shape, task=task)
