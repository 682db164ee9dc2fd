"""What is asked of `gated_block` alone; the rest is in test_net_ops.py."""

import pytest
import torch
from net_cases import BLOCK, LAST, PLANES

from imgrestore.ops import gated_block

NAMES = ("norm_weight", "norm_bias", "expand_weight", "expand_bias", "depthwise_weight", "depthwise_bias")
NAMES += ("project_weight", "project_bias", "scale")


@pytest.mark.parametrize("inner", [1, 3, 32])
def test_without_norm_and_with_another_width(inner):
    for layout in (PLANES, LAST):
        BLOCK.assert_is_twin(*BLOCK.make((2, 8, 9, 20), layout=layout, norm=False))
        BLOCK.assert_is_twin(*BLOCK.make((1, 8, 13, 35), layout=layout, inner=inner))
        BLOCK.assert_is_twin(*BLOCK.make((1, 8, 13, 35), torch.bfloat16, layout, inner=inner))


def test_wide_blocks():
    for layout in (PLANES, LAST):
        BLOCK.assert_is_twin(*BLOCK.make((1, 160, 9, 70), layout=layout))


def test_one_channel():
    # The norm of one channel is rounding and offset alone, so there is none here.
    BLOCK.assert_is_twin(*BLOCK.make((2, 1, 9, 20), norm=False))


def test_parameters_of_other_shapes_and_precisions():
    x, *parameters = BLOCK.make((2, 8, 9, 20))
    expected = gated_block(x, *parameters)
    flat = [p.flatten(1) if p.shape[-2:] == (1, 1) and p.dim() == 4 else p for p in parameters]
    flat[-1] = flat[-1].flatten()
    assert torch.equal(gated_block(x, *flat), expected)
    assert gated_block(x.bfloat16(), *parameters).dtype == torch.bfloat16
    assert gated_block(x, *(p.double() for p in parameters)).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"norm_bias": None}, ValueError, "norm_bias: got None, expected a tensor, or both"),
        ({"norm_weight": torch.zeros(3)}, ValueError, r"norm_weight: got shape \(3,\), expected \(4,\)"),
        ({"expand_bias": 0}, TypeError, r"expand_bias: got int, expected a torch\.Tensor"),
        ({"expand_bias": torch.zeros(7)}, ValueError, r"expand_bias: got shape \(7,\), expected one dimension"),
        ({"expand_weight": torch.zeros(8, 3)}, ValueError, r"expand_weight: .*, expected \(8, 4\) or \(8, 4, 1, 1\)"),
        ({"depthwise_weight": torch.zeros(8, 3, 3)}, ValueError, r"depthwise_weight: got shape \(8, 3, 3\), expected"),
        ({"depthwise_bias": torch.zeros(3)}, ValueError, r"depthwise_bias: got shape \(3,\), expected \(8,\)"),
        ({"project_weight": torch.zeros(4, 8)}, ValueError, r"project_weight: got shape \(4, 8\), expected"),
        ({"project_bias": torch.zeros(4).int()}, TypeError, r"project_bias: got dtype torch\.int32"),
        ({"scale": torch.zeros(4, device="meta")}, ValueError, "scale: got device meta, expected x's, cpu"),
        ({"eps": "small"}, ValueError, "eps: got 'small', expected a number"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = dict(zip(("x", *NAMES), BLOCK.make((1, 4, 2, 2)), strict=True))
    with pytest.raises(error, match=message):
        gated_block(**{**arguments, **change})
