"""The gated block of the nets, 16 channels, beside the same modules in torch, eager and compiled."""

import math

import pytest
import torch

from benchmarks.common import OURS, Case, Work, op, size_name
from imgrestore.nets.blocks import GatedBlock

WIDTH = 16


def parts(block):
    """The block's parameters in the order of the op."""
    p = dict(block.named_parameters())
    names = ("norm", "expand", "depthwise", "project")
    return [p[f"{name}.{kind}"] for name in names for kind in ("weight", "bias")] + [p["scale"]]


def case(shape):
    gated_block, plain = op("gated_block"), op("gated_block_reference")
    torch.manual_seed(0)
    block = GatedBlock(WIDTH).eval().requires_grad_(False)
    weights = parts(block)
    image = torch.randn(1, WIDTH, *shape)
    last = image.to(memory_format=torch.channels_last)
    compiled = torch.compile(plain)
    compiled(last, *weights)  # compiles, which is not to be timed
    half, half_weights = image.bfloat16(), [w.bfloat16() for w in weights]

    def exact():
        return plain(image.double(), *(w.double() for w in weights)).numpy()

    pixels = math.prod(shape)
    flops = 2 * pixels * (WIDTH * 2 * WIDTH + 9 * 2 * WIDTH + WIDTH * WIDTH)
    return Case(
        "gated_block",
        size_name(shape),
        pixels,
        {
            OURS: lambda: gated_block(image, *weights),
            "imgrestore, bfloat16": lambda: gated_block(half, *half_weights).float(),
            "torch": lambda: plain(image, *weights),
            "torch, channels last": lambda: plain(last, *weights),
            "torch.compile, channels last": lambda: compiled(last, *weights),
        },
        reference=exact,
        tolerance=1e-4,
        differs={"imgrestore, bfloat16": "bfloat16 has 8 bits"},
        work=Work(flops=flops, traffic=8 * WIDTH * pixels, resident=8 * WIDTH * pixels),
    )


@pytest.mark.shapes(256, 1024, quick=32)
def test_gated_block(compare, shape):
    compare(case(shape))
