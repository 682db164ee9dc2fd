"""What is asked of `gated_block` alone; the rest is in test_net_ops.py."""

import pytest
import torch
from filter_cases import relative_error
from native_cases import needs_native
from net_cases import BLOCK, LAST, PLANES

from imgrestore import _native
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


@pytest.mark.parametrize("inner", [3, 8])
def test_narrow_products_are_close(inner):
    for layout in (PLANES, LAST):
        for norm in (True, False):
            x, *parameters = BLOCK.make((2, 8, 21, 70), layout=layout, norm=norm, inner=inner)
            narrow, wide = gated_block(x, *parameters, narrow=True), gated_block(x, *parameters)
            assert narrow.dtype == torch.float32
            assert narrow.is_contiguous(memory_format=layout)
            assert relative_error(narrow.double(), wide.double()) < 1e-2
            part = gated_block(x[:, :, 4:20, 7:60], *parameters, narrow=True)
            if _native.available():
                assert torch.equal(part[:, :, 1:-1, 1:-1], narrow[:, :, 5:19, 8:59])


def test_narrow_blocks_of_many_channels():
    for channels in (40, 80, 160):
        x, *parameters = BLOCK.make((1, channels, 9, 70))
        wide = gated_block(x, *parameters)
        assert relative_error(gated_block(x, *parameters, narrow=True).double(), wide.double()) < 1e-2


def test_wants_no_products_narrowed_where_gradients_are():
    x, *parameters = BLOCK.make((1, 8, 9, 20))
    wide = gated_block(x, *parameters)
    assert torch.equal(gated_block(x.requires_grad_(), *parameters, narrow=True), wide)


def test_writes_where_it_is_told():
    for layout in (PLANES, LAST):
        x, *parameters = BLOCK.make((2, 8, 9, 20), layout=layout)
        expected = gated_block(x, *parameters)
        outs = torch.empty_like(x), torch.empty(2, 8, 9, 20), torch.empty(2, 16, 9, 20)[:, ::2]
        for out in (*outs, torch.empty(2, 8, 9, 20).contiguous(memory_format=LAST)):
            assert gated_block(x, *parameters, out=out) is out
            assert torch.equal(out, expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x, "out: shares memory with the input"),
        (lambda x: x[:, :, :4], r"out: got \(2, 8, 4, 20\) of torch\.float32 on cpu, expected \(2, 8, 9, 20\)"),
        (lambda x: x.double(), r"out: got .* of torch\.float64"),
    ],
)
def test_out_must_be_like_x(make, message):
    x, *parameters = BLOCK.make((2, 8, 9, 20))
    with pytest.raises(ValueError, match=message):
        gated_block(x, *parameters, out=make(x))


@needs_native
def test_the_op_refuses_an_out_of_another_layout():
    x, *parameters = BLOCK.make((2, 8, 9, 20))
    gated_block(x, *parameters)
    native = torch.ops.imgrestore.gated_block_into
    for out in (x, torch.empty(2, 8, 9, 20).contiguous(memory_format=LAST), torch.empty(2, 8, 9, 19), torch.empty(8)):
        with pytest.raises(RuntimeError, match="out needs x's shape, dtype and layout"):
            native(x, *parameters, 1e-6, False, out)


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
