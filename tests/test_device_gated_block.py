"""The fused block on the device: both kinds of kernels, every shape of tile, both layouts."""

import math

import pytest
import torch
from device_cases import assert_is_twin
from executor import needs_executor
from net_cases import BLOCK, LAST, PLANES

from imgrestore.ops import gated_block, gated_block_reference

pytestmark = needs_executor
LAYOUTS = pytest.mark.parametrize("layout", [PLANES, LAST], ids=["planes", "channels_last"])


def narrowly(*arguments):
    return gated_block(*arguments, narrow=True)


def rounded(*arguments):
    """The twin with what the tensor cores round, rounded: their inputs and weights."""
    x, norm_weight, norm_bias, expand, expand_bias, *depthwise, project, project_bias, scale = arguments
    h = x.double()
    if norm_weight is not None:
        mean = h.mean(1, keepdim=True)
        h = (h - mean) / ((h - mean).square().mean(1, keepdim=True) + 1e-6).sqrt()
        expand_bias = expand_bias + expand.flatten(1) @ norm_bias
        expand = expand.flatten(1) * norm_weight

    def narrow(t):
        return t.float().bfloat16().double()

    channels = x.shape[1]
    h = torch.nn.functional.conv2d(narrow(h), narrow(expand).reshape(-1, channels, 1, 1), expand_bias)
    from imgrestore.ops import depthwise_gate_reference

    h = narrow(depthwise_gate_reference(h, *depthwise))
    project = narrow(project.flatten(1) * scale.reshape(-1, 1))
    h = torch.nn.functional.conv2d(h, project.reshape(channels, -1, 1, 1), project_bias * scale.flatten())
    return x.double() + h


@LAYOUTS
@pytest.mark.parametrize(
    ("shape", "norm", "inner"),
    [
        ((1, 1, 1, 1), False, None),
        ((2, 3, 5, 7), True, 5),
        ((1, 16, 17, 19), False, None),
        ((1, 24, 1, 40), True, 13),
        ((2, 37, 9, 8), True, 3),
        ((1, 48, 3, 20), True, None),
        ((1, 80, 9, 4), True, 21),
        ((1, 96, 2, 9), True, 33),
        ((1, 101, 9, 3), True, 17),
        ((1, 192, 2, 2), True, 20),
    ],
    ids=str,
)
def test_is_its_twin(device, shape, norm, inner, layout):
    arguments = BLOCK.make(shape, layout=layout, norm=norm, inner=inner)
    out = assert_is_twin(device, gated_block, gated_block_reference, *arguments, tolerance=4e-6)
    assert out.is_contiguous(memory_format=layout)
    out = assert_is_twin(device, narrowly, rounded, *arguments, tolerance=2e-3)
    assert out.is_contiguous(memory_format=layout)
