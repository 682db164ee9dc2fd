"""What is asked of `channel_norm` alone; the rest is in test_net_ops.py."""

import math

import pytest
import torch
from net_cases import LAST, NORM, PLANES

from imgrestore.ops import channel_norm, channel_norm_reference


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_in_its_pixel(bad):
    x, *parameters = NORM.make((1, 16, 20, 40))
    x[0, 1, 7, 16] = bad
    for dtype in (torch.float32, torch.bfloat16):
        for layout in (PLANES, LAST):
            finite = channel_norm(x.to(dtype).contiguous(memory_format=layout), *parameters).isfinite()
            assert not finite[0, :, 7, 16].any()
            assert finite.sum() == 16 * (20 * 40 - 1)


def test_large_result():
    x, *parameters = NORM.make((1, 6, 1230, 1230))
    expected = channel_norm_reference(x, *parameters)
    torch.testing.assert_close(channel_norm(x, *parameters), expected, atol=2e-3, rtol=2e-3)


def test_a_large_mean_costs_no_digits():
    x, weight, bias = NORM.make((1, 16, 20, 40))
    x = x + 1000
    exact = channel_norm_reference(x.double(), weight.double(), bias.double())
    torch.testing.assert_close(channel_norm(x, weight, bias), exact.float(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight": 1.0}, TypeError, r"weight: got float, expected a torch\.Tensor"),
        ({"weight": torch.zeros(3)}, ValueError, r"weight: got shape \(3,\), expected \(4,\) to go with x"),
        ({"bias": torch.zeros(4).long()}, TypeError, r"bias: got dtype torch\.int64, expected"),
        ({"bias": torch.zeros(4, device="meta")}, ValueError, "bias: got device meta, expected x's, cpu"),
        ({"eps": -1.0}, ValueError, r"eps: got -1\.0, expected a number of at least 0"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"x": torch.zeros(1, 4, 2, 2), "weight": torch.zeros(4), "bias": torch.zeros(4)}
    with pytest.raises(error, match=message):
        channel_norm(**{**arguments, **change})
