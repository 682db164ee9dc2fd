"""Layer normalisation over the channels of each pixel, 32 channels, beside the same formula in torch."""

import math

import pytest
import torch

from benchmarks.common import OURS, Case, Work, op, size_name

CHANNELS = 32


def case(shape):
    channel_norm, plain = op("channel_norm"), op("channel_norm_reference")
    torch.manual_seed(0)
    image, weight, bias = torch.randn(1, CHANNELS, *shape), torch.rand(CHANNELS), torch.randn(CHANNELS)
    last = image.to(memory_format=torch.channels_last)
    values = CHANNELS * math.prod(shape)
    return Case(
        "channel_norm",
        size_name(shape),
        math.prod(shape),
        {
            OURS: lambda: channel_norm(image, weight, bias, 1e-6),
            "torch": lambda: plain(image, weight, bias, 1e-6),
            "torch, channels last": lambda: plain(last, weight, bias, 1e-6),
        },
        reference=lambda: plain(image.double(), weight.double(), bias.double(), 1e-6).numpy(),
        work=Work(flops=7 * values, traffic=8 * values, resident=8 * values),
    )


@pytest.mark.shapes(256, 1024, quick=32)
def test_channel_norm(compare, shape):
    compare(case(shape))
