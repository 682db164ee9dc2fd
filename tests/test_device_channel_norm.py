import pytest
import torch
from device_cases import assert_is_twin, planes
from executor import needs_executor

from imgrestore.ops import channel_norm, channel_norm_reference

pytestmark = needs_executor


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1), (2, 3, 5, 7), (1, 33, 9, 16), (2, 64, 12, 11), (1, 5, 1, 300), (1, 300, 2, 3), (3, 49, 2, 5)],
    ids=str,
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_is_its_twin(device, shape, layout):
    x = planes(*shape).contiguous(memory_format=layout)
    weight, bias = planes(shape[1], seed=1), planes(shape[1], seed=2)
    out = assert_is_twin(device, channel_norm, channel_norm_reference, x, weight, bias)
    assert out.is_contiguous(memory_format=layout)


def test_bfloat16(device):
    x = planes(2, 24, 7, 9, dtype=torch.bfloat16)
    weight, bias = planes(24, seed=1), planes(24, seed=2, dtype=torch.bfloat16)
    out = assert_is_twin(device, channel_norm, channel_norm_reference, x, weight, bias, tolerance=4e-3)
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize("channels", [3, 60])
def test_memory_that_is_not_aligned(device, channels):
    weight, bias = planes(channels, seed=1), planes(channels, seed=2)
    x = planes(channels * 30 + 1)[1:]
    for view in (x.view(1, channels, 5, 6), x.view(1, 5, 6, channels).permute(0, 3, 1, 2)):
        assert_is_twin(device, channel_norm, channel_norm_reference, view, weight, bias)


@pytest.mark.parametrize("channels", [20, 70])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_large_mean_costs_no_digits(device, channels, layout):
    x = (1000 + planes(1, channels, 3, 4)).contiguous(memory_format=layout)
    weight, bias = planes(channels, seed=1), planes(channels, seed=2)
    assert_is_twin(device, channel_norm, channel_norm_reference, x, weight, bias, tolerance=5e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_pixel(device, bad):
    for channels in (5, 60):
        x, weight, bias = planes(1, channels, 4, 6), planes(channels, seed=1), planes(channels, seed=2)
        x[0, 1, 2, 3] = bad
        for layout in (torch.contiguous_format, torch.channels_last):
            there = (device.put(t) for t in (x.contiguous(memory_format=layout), weight, bias))
            broken = channel_norm(*there).cpu().isnan()
            assert broken[:, :, 2, 3].all()
            assert broken.sum() == channels
