"""The net of `demoire` on a picture of a screen, and others that are wider or narrower."""

import math

import pytest
import torch

from benchmarks.common import OURS, Case, Work, size_name
from benchmarks.test_deblur_net import called, planes, unet_parts, without_native
from imgrestore.nets.refiner import Refiner, RefinerConfig
from imgrestore.nets.weights import load


def untrained(width):
    """A net of another width, with weights that do something."""
    torch.manual_seed(0)
    net = Refiner(RefinerConfig(width=width)).eval().requires_grad_(False)
    torch.nn.init.normal_(net.unet.head.weight, std=0.01)
    return net


def case(group, net, shape, size):
    picture = [planes(3, shape, seed) for seed in range(3)]
    run = called(net, *picture, torch.ones(1))
    pixels = math.prod(shape)
    convs, blocks = unet_parts(net.unet, pixels)
    moved = 4 * (convs[1] + blocks[1])
    return Case(
        group,
        size_name(size),
        pixels,
        {
            OURS: lambda: run().correction,
            "torch": without_native(lambda: run().correction),
        },
        reference="torch",
        tolerance=1e-4,
        differs={OURS: "products of bfloat16 have 8 bits"},
        work=Work(flops=2 * (convs[0] + blocks[0]), traffic=moved, resident=moved),
    )


def shipped(shape):
    return case("demoire_net", load("demoire"), shape, shape)


@pytest.mark.shapes(1024, quick=64)
def test_demoire_net(compare, shape):
    compare(shipped(shape))


@pytest.mark.shapes(1024, quick=64)
def test_demoire_net_memory(peak_memory, shape):
    peak_memory(shipped, shape)


@pytest.mark.shapes(1024, quick=64)
def test_judge(compare, shape):
    """The time is the same for all larger pictures, too."""
    net, picture = load("demoire"), planes(3, shape)[0]
    judged = called(net.evidence, picture)
    compare(Case("demoire_net_judge", size_name(shape), math.prod(shape), {OURS: judged}))


@pytest.mark.parametrize("width", [12, 24, 36])
@pytest.mark.shapes(1024, quick=64)
def test_widths(compare, shape, width):
    compare(case("demoire_net_widths", untrained(width), shape, (width, *shape)))
