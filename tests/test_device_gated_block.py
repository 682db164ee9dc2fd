"""The fused block on the device: both kinds of kernels, every shape of tile, both layouts."""

import math

import pytest
import torch
from device_cases import assert_is_twin
from executor import needs_executor
from net_cases import BLOCK, GATE, LAST, PLANES
from torch.nn import functional as F

from imgrestore import _native
from imgrestore.nets.blocks import UNet
from imgrestore.ops import (
    depthwise_gate,
    depthwise_gate_reference,
    gated_block,
    gated_block_reference,
)

pytestmark = needs_executor
LAYOUTS = pytest.mark.parametrize("layout", [PLANES, LAST], ids=["planes", "channels_last"])


def narrowly(*arguments):
    return gated_block(*arguments, narrow=True)


def rounded(x, norm_weight, norm_bias, expand, expand_bias, weight, bias, project, project_bias, scale):
    """The twin, with what the tensor cores take rounded to bfloat16."""

    def narrow(t):
        return t.float().bfloat16().double()

    channels, h, expand, scale = x.shape[1], x, expand.flatten(1), scale.reshape(-1, 1)
    if norm_weight is not None:
        h = x - x.mean(1, keepdim=True)
        h = h / (h.square().mean(1, keepdim=True) + 1e-6).sqrt()
        expand_bias = expand_bias + expand @ norm_bias
        expand = expand * norm_weight
    h = F.conv2d(narrow(h), narrow(expand).reshape(-1, channels, 1, 1), expand_bias)
    h = narrow(depthwise_gate_reference(h, weight, bias))
    project = narrow(project.flatten(1) * scale).reshape(channels, -1, 1, 1)
    return x + F.conv2d(h, project, project_bias * scale.flatten())


SHAPES = [
    ((1, 1, 1, 1), False, None),
    ((2, 3, 5, 7), True, 5),
    ((1, 16, 17, 19), False, None),
    ((1, 24, 1, 40), True, 13),
    ((2, 24, 9, 8), True, 24),
    ((1, 37, 3, 17), True, 3),
    ((1, 48, 3, 20), True, None),
    ((1, 80, 9, 4), True, 21),
    ((1, 96, 2, 9), True, 33),
    ((1, 101, 9, 33), True, 17),
    ((1, 160, 1, 5), True, 9),
    ((1, 192, 2, 2), True, 20),
]


@LAYOUTS
@pytest.mark.parametrize(("shape", "norm", "inner"), SHAPES, ids=str)
def test_is_its_twin(device, shape, norm, inner, layout):
    arguments = BLOCK.make(shape, layout=layout, norm=norm, inner=inner)
    out = assert_is_twin(device, gated_block, gated_block_reference, *arguments)
    assert out.is_contiguous(memory_format=layout)
    # What is rounded another way, because it was computed another way, is a part in 256 of a factor.
    out = assert_is_twin(device, narrowly, rounded, *arguments, tolerance=2e-4)
    assert out.is_contiguous(memory_format=layout)


@LAYOUTS
@pytest.mark.parametrize("shape", [(1, 3, 2, 3), (2, 24, 5, 17), (1, 80, 3, 5)], ids=str)
def test_bfloat16(device, shape, layout):
    x, *parameters = BLOCK.make(shape, torch.bfloat16, layout)
    out = assert_is_twin(device, gated_block, rounded, x, *parameters, tolerance=4e-3)
    assert out.dtype == torch.bfloat16
    mixed = [None if p is None else p.float() for p in parameters]
    assert torch.equal(gated_block(*map(device.put, (x, *mixed))).cpu(), out)


def test_less_shared_memory(device):
    if device.module is None:
        pytest.skip("a GPU has what it has")
    for channels in (40, 48, 192):
        arguments = BLOCK.make((1, channels, 5, 6), inner=17)
        exact = rounded(*(t.double() for t in arguments))
        wide = gated_block_reference(*(t.double() for t in arguments))
        device.module.configure(shared_limit=99 * 1024)
        assert (narrowly(*arguments) - exact).abs().max() < 2e-4 * exact.abs().max()
        assert (gated_block(*arguments) - wide).abs().max() < 2e-6 * wide.abs().max()


def test_strided_planes(device):
    x, *parameters = BLOCK.make((2, 5, 24, 40))
    for view in (
        x[:, :, ::2, 3:30],
        x.transpose(-1, -2)[..., :7, :7],
        x.flip(-1)[..., :5],
        x[:1, :, :9].expand(3, -1, -1, -1),
    ):
        assert_is_twin(device, gated_block, gated_block_reference, view, *parameters)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_that_is_not_aligned(device, dtype):
    _, *parameters = BLOCK.make((1, 4, 3, 3))
    x = torch.randn(4 * 9 * 16 + 1, generator=torch.Generator().manual_seed(3)).to(dtype)[1:]
    for view in (x.view(1, 4, 9, 16), x.view(1, 9, 16, 4).permute(0, 3, 1, 2)):
        assert_is_twin(device, narrowly, rounded, view, *parameters, tolerance=4e-3)
        if dtype == torch.float32:
            assert_is_twin(device, gated_block, gated_block_reference, view, *parameters)


def test_empty(device):
    _, *parameters = BLOCK.make((1, 4, 3, 3))
    for shape in ((0, 4, 5, 6), (2, 4, 0, 6), (2, 4, 5, 0)):
        assert gated_block(device.put(torch.zeros(shape)), *map(device.put, parameters)).shape == shape


@LAYOUTS
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_in_its_neighbourhood(device, bad, norm, layout):
    x, *parameters = BLOCK.make((1, 5, 20, 24), norm=norm)
    x[0, 1, 7, 16] = bad
    for dtype in (torch.float32, torch.bfloat16):
        own = [
            None if t is None else device.put(t) for t in (x.to(dtype).contiguous(memory_format=layout), *parameters)
        ]
        for function in (gated_block, narrowly):
            broken = ~function(*own).cpu().isfinite().all(1)[0]
            assert broken[7, 16]
            broken[6:9, 15:18] = False
            assert not broken.any()


def test_infinity_is_no_nan_where_the_twin_has_none(device):
    # One inner channel of many, so that those to spare in a group would show.
    x, *parameters = BLOCK.make((1, 3, 6, 6), norm=False, inner=3)
    x, parameters = x.abs(), [None if p is None else p.abs() + 0.1 for p in parameters]
    x[0, 1, 2, 3] = math.inf
    expected = gated_block_reference(x, *parameters)
    assert expected.isinf().any()
    for function in (gated_block, narrowly):
        out = function(*(None if t is None else device.put(t) for t in (x, *parameters))).cpu()
        assert torch.equal(out.isinf(), expected.isinf())
        assert not out.isnan().any()


def test_a_large_mean_costs_no_digits(device):
    for channels in (24, 80):
        x, *parameters = BLOCK.make((1, channels, 3, 4))
        for layout in (PLANES, LAST):
            there = (1000 + x).contiguous(memory_format=layout)
            for function, twin, tolerance in ((gated_block, gated_block_reference, 5e-4), (narrowly, rounded, 5e-3)):
                assert_is_twin(
                    device,
                    lambda x, *rest, function=function: function(x, *rest) - x,
                    lambda x, *rest, twin=twin: twin(x, *rest) - x,
                    there,
                    *parameters,
                    tolerance=tolerance,
                )


def test_bits_do_not_depend_on_the_place_in_a_picture(device):
    x, *parameters = (device.put(t) for t in BLOCK.make((1, 6, 21, 40)))
    for function in (gated_block, narrowly):
        part = function(x[:, :, 4:20, 7:33], *parameters)
        assert torch.equal(part[:, :, 1:-1, 1:-1], function(x, *parameters)[:, :, 5:19, 8:32])


def test_writes_where_it_is_told(device):
    for layout in (PLANES, LAST):
        x, *parameters = (device.put(t) for t in BLOCK.make((2, 8, 9, 20), layout=layout))
        expected = gated_block(x, *parameters)
        for out in (torch.empty_like(x), torch.empty_like(x, memory_format=LAST), torch.empty_like(x).flip(0)):
            assert gated_block(x, *parameters, out=out) is out
            assert torch.equal(out, expected)


def test_more_channels_run_on_the_twin(device):
    arguments = [device.put(t) for t in BLOCK.make((1, 193, 2, 3), inner=2)]
    assert torch.equal(gated_block(*arguments), gated_block_reference(*arguments))
    with pytest.raises(RuntimeError, match="at most 192 channels are supported"):
        _native.op("gated_block", None)(*arguments, 1e-6)


def test_refuses_an_out_of_another_layout(device):
    x, *parameters = (device.put(t) for t in BLOCK.make((2, 8, 9, 20)))
    native = _native.op("gated_block_into", None)
    for out in (x, torch.empty_like(x, memory_format=LAST), x.new_empty(2, 8, 9, 19), x.new_empty(8)):
        with pytest.raises(RuntimeError, match="out needs x's shape, dtype and layout"):
            native(x, *parameters, 1e-6, False, out)


def test_autocast_makes_it_bfloat16(device):
    block, gate = BLOCK.make((1, 8, 5, 6)), GATE.make((1, 8, 5, 6))
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    block, gate = ([device.put(t) for t in tensors] for tensors in (block, gate))
    out = torch.empty_like(block[0])
    try:
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        torch.set_autocast_enabled("cuda", True)
        lowered = [gated_block(*block), depthwise_gate(*gate)]
        assert gated_block(*block, out=out).dtype == torch.float32
        torch.set_autocast_dtype("cuda", torch.float16)
        assert gated_block(*block).dtype == torch.float32
    finally:
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])
    assert torch.equal(out, gated_block(*block))
    for result, function, (x, *parameters) in zip(lowered, (gated_block, depthwise_gate), (block, gate), strict=True):
        assert torch.equal(result, function(x.bfloat16(), *parameters))


def test_a_net_is_itself_on_a_device(device):
    torch.manual_seed(0)
    net = UNet(5, 3, 8, (1, 1), start=0.5).eval()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    x = torch.rand(2, 5, 12, 20)
    expected, features = (t.detach() for t in net.decoded(*net.encoded(x)))  # with gradients, in torch
    with torch.no_grad():
        if device.module is None:
            net = net.cuda()
        for narrow, tolerance in ((False, 1e-5), (True, 2e-2)):
            net.narrow = narrow
            out, seen = net(device.put(x))
            assert (out.cpu() - expected).abs().max() < tolerance * expected.abs().max()
            assert (seen.cpu() - features).abs().max() < tolerance * features.abs().max()


def test_a_net_in_autocast(device):
    if device.module:
        pytest.skip("the executor's tensors lie on the CPU, where autocast is another matter")
    torch.manual_seed(0)
    net = UNet(5, 3, 8, (1, 1), start=0.5).eval().cuda()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    x = torch.rand(2, 5, 12, 20).cuda()
    expected, _ = net.decoded(*net.encoded(x))
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        out, features = net(x)
    assert (out.dtype, features.dtype) == (torch.float32, torch.bfloat16)
    assert (out - expected).abs().max() < 5e-2 * expected.abs().max()
