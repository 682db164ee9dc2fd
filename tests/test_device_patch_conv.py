import itertools

import pytest
import torch
from device_cases import assert_is_twin
from executor import needs_executor
from test_patch_conv import KERNELS, VIEWS, make

from imgrestore.ops import patch_conv, patch_conv_reference

pytestmark = needs_executor


def of(function, **options):
    return lambda *tensors: function(*tensors, **options)


def check(device, x, weight, bias=None, plus=None, **options):
    """Both kinds of kernels; that of bfloat16 against the twin of rounded factors."""
    twin = of(patch_conv_reference, **options)
    out = assert_is_twin(device, of(patch_conv, **options), twin, x, weight, bias, plus)
    x, weight = x.bfloat16().float(), weight.bfloat16().float()
    assert_is_twin(device, of(patch_conv, narrow=True, **options), twin, x, weight, bias, plus)
    return out


@pytest.mark.parametrize("size", [(4, 5), (6, 8), (9, 31)], ids=str)
@pytest.mark.parametrize(("kernel", "stride", "padding"), KERNELS)
def test_is_its_twin(device, kernel, stride, padding, size):
    options = {"stride": stride, "padding": padding}
    for channels, outputs, shuffle, added in ((1, 4, True, False), (3, 12, True, True), (7, 5, False, True)):
        x, weight, bias = make(channels, outputs, kernel, size)
        plain = patch_conv_reference(x, weight, shuffle=shuffle, **options)
        plus = torch.rand_like(plain) if added else None
        check(device, x, weight, None if added else bias, plus, shuffle=shuffle, **options)


@pytest.mark.parametrize("outputs", [1, 24, 40, 48, 72, 132])
def test_outputs_in_blocks_of_several_widths(device, outputs):
    for kernel, stride in ((1, 1), (2, 2), (3, 1)):
        x, weight, bias = make(13, outputs, kernel, (6, 8), 1)
        check(device, x, weight, bias, stride=stride)
