"""Depthwise 3 × 3 convolution, bias and gate, 32 channels in, beside the same formula in torch."""

import math

import pytest
import torch

from benchmarks.common import OURS, Case, Work, op, size_name

CHANNELS = 32


def case(shape):
    depthwise_gate, plain = op("depthwise_gate"), op("depthwise_gate_reference")
    torch.manual_seed(0)
    image, weight, bias = torch.randn(1, CHANNELS, *shape), torch.randn(CHANNELS, 1, 3, 3), torch.randn(CHANNELS)
    last = image.to(memory_format=torch.channels_last)
    values = CHANNELS * math.prod(shape)
    return Case(
        "depthwise_gate",
        size_name(shape),
        math.prod(shape),
        {
            OURS: lambda: depthwise_gate(image, weight, bias),
            "torch": lambda: plain(image, weight, bias),
            "torch, channels last": lambda: plain(last, weight, bias),
        },
        reference=lambda: plain(image.double(), weight.double(), bias.double()).numpy(),
        work=Work(flops=19 * values, traffic=6 * values, resident=6 * values),
    )


@pytest.mark.shapes(256, 1024, quick=32)
def test_depthwise_gate(compare, shape):
    compare(case(shape))
