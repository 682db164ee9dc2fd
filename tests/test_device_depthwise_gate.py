import math

import pytest
import torch
from device_cases import assert_is_twin
from executor import needs_executor
from net_cases import GATE, LAST, PLANES

from imgrestore.ops import _planes, depthwise_gate, depthwise_gate_reference

pytestmark = needs_executor
LAYOUTS = pytest.mark.parametrize("layout", [PLANES, LAST], ids=["planes", "channels_last"])


@LAYOUTS
@pytest.mark.parametrize(
    "shape",
    [(1, 2, 1, 1), (2, 4, 1, 7), (1, 6, 9, 1), (2, 8, 17, 12), (1, 4, 8, 16), (3, 10, 23, 37), (1, 2, 5, 600)],
    ids=str,
)
def test_is_its_twin(device, shape, layout):
    arguments = GATE.make(shape, layout=layout)
    out = assert_is_twin(device, depthwise_gate, depthwise_gate_reference, *arguments)
    assert out.is_contiguous(memory_format=layout)


@LAYOUTS
@pytest.mark.parametrize("shape", [(2, 4, 11, 24), (1, 6, 10, 13), (1, 2, 1, 1)], ids=str)
def test_bfloat16(device, shape, layout):
    x, weight, bias = GATE.make(shape, torch.bfloat16, layout)
    out = assert_is_twin(device, depthwise_gate, depthwise_gate_reference, x, weight, bias, tolerance=4e-3)
    assert out.dtype == torch.bfloat16


def test_memory_that_is_not_aligned(device):
    _, weight, bias = GATE.make((1, 4, 3, 3))
    numbers = torch.randn(4 * 9 * 16 + 1, generator=torch.Generator().manual_seed(3))
    for dtype, tolerance in ((torch.float32, 2e-6), (torch.bfloat16, 4e-3)):
        x = numbers.to(dtype)[1:].view(1, 4, 9, 16)
        assert x.data_ptr() % 16
        assert_is_twin(device, depthwise_gate, depthwise_gate_reference, x, weight, bias, tolerance=tolerance)
        last = numbers.to(dtype)[1:].view(1, 9, 16, 4).permute(0, 3, 1, 2)
        assert_is_twin(device, depthwise_gate, depthwise_gate_reference, last, weight, bias, tolerance=tolerance)


def test_strided_planes(device):
    x, weight, bias = GATE.make((2, 4, 24, 40))
    for view in (x[:, :, ::2, 3:30], x.transpose(-1, -2), x.flip(-1), x.contiguous(memory_format=LAST)[:, :, 2:9, 3:7]):
        assert_is_twin(device, depthwise_gate, depthwise_gate_reference, view, weight, bias)


def test_empty(device):
    _, weight, bias = GATE.make((1, 4, 3, 3))
    for shape in ((0, 4, 5, 6), (2, 4, 0, 6), (2, 4, 5, 0)):
        out = depthwise_gate(device.put(torch.zeros(shape)), device.put(weight), device.put(bias))
        assert out.shape == (shape[0], 2, *shape[2:])


@LAYOUTS
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_in_its_neighbourhood(device, bad, layout):
    x, weight, bias = GATE.make((1, 4, 20, 24))
    x[0, 1, 7, 16] = bad
    x = x.contiguous(memory_format=layout)
    out = depthwise_gate(*(device.put(t) for t in (x, weight, bias))).cpu()
    expected = depthwise_gate_reference(x, weight, bias)
    assert torch.equal(out.isnan(), expected.isnan())
    assert torch.equal(out.isfinite(), expected.isfinite())
    assert not out[0, 1, 6:9, 15:18].isfinite().any()


@pytest.mark.parametrize("shape", [(1, 2, 1, 2**28), (1, 2, 2**28, 1)])
def test_a_side_too_long_for_the_kernels_of_the_nets_is_left_to_twins(device, shape):
    if device.name == "cpu":
        pytest.skip("the CPU's kernels take any side")
    one = device.put(torch.zeros(1, 1, 1, 1))
    assert not _planes.kernels_take(one.expand(shape))
    assert _planes.kernels_take(one.expand([min(n, 2**28 - 1) for n in shape]))
