import pytest
import torch
from device_cases import assert_is_twin, planes
from executor import needs_executor

from imgrestore.ops import channel_norm, channel_norm_reference

pytestmark = needs_executor


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (2, 3, 5, 7), (1, 33, 9, 16), (2, 64, 12, 11), (1, 5, 1, 300)], ids=str
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
