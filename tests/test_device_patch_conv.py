import pytest
import torch
from device_cases import assert_is_twin
from executor import needs_executor
from test_patch_conv import KERNELS, VIEWS, make

from imgrestore import _native
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


def test_more_pixels_than_a_block_has(device):
    for kernel, stride, size in ((1, 1, (18, 21)), (2, 2, (26, 32)), (3, 1, (13, 42)), (5, 1, (6, 40))):
        x, weight, bias = make(9, 20, kernel, size, 3)
        shape = patch_conv_reference(x, weight, stride=stride, shuffle=True).shape
        check(device, x, weight, bias, torch.rand(shape), stride=stride, shuffle=True)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_strided_planes(device, view):
    x = view(make(8, 4, 3, (64, 90))[0])[..., :9, :12]
    _, weight, bias = make(x.shape[1], 4, 3, (5, 5))
    check(device, x, weight, bias, padding=1)


def test_memory_that_is_not_aligned(device):
    numbers = torch.randn(3 * 8 * 12 + 1, generator=torch.Generator().manual_seed(3))[1:].view(1, 3, 8, 12)
    for kernel, stride, shuffle in ((1, 1, False), (2, 2, False), (2, 2, True), (3, 1, True)):
        _, weight, bias = make(3, 8, kernel, (5, 5))
        check(device, numbers, weight, bias, stride=stride, shuffle=shuffle)
        x = device.put(numbers)
        shape = patch_conv_reference(numbers, weight, stride=stride, shuffle=shuffle).shape
        out = device.put(torch.zeros(torch.Size(shape).numel() + 1))[1:].view(shape)
        options = {"stride": stride, "shuffle": shuffle}
        for narrow in (False, True):
            expected = patch_conv(x, device.put(weight), device.put(bias), narrow=narrow, **options)
            written = patch_conv(x, device.put(weight), device.put(bias), narrow=narrow, out=out, **options)
            assert written is out
            assert torch.equal(out, expected)


def test_empty_batch(device):
    x, weight, bias = map(device.put, make(3, 4, 2, (6, 8), 0))
    assert patch_conv(x, weight, bias, stride=2).shape == (0, 4, 3, 4)


def test_writes_where_it_is_told(device):
    x, weight, bias = map(device.put, make(6, 8, 1, (9, 33)))
    plus = device.put(torch.rand(2, 2, 18, 66))
    for narrow in (False, True):
        expected = patch_conv(x, weight, bias, plus, shuffle=True, narrow=narrow)
        for out in (torch.empty_like(plus), plus.new_empty(2, 3, 18, 66)[:, 1:], plus.clone()):
            added = out if out.is_contiguous() and torch.equal(out, plus) else plus
            assert patch_conv(x, weight, bias, added, shuffle=True, narrow=narrow, out=out) is out
            assert torch.equal(out, expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_neighbourhood(device, bad):
    x, weight, bias = make(3, 4, 3, (12, 30), 1)
    x[0, 1, 7, 16] = bad
    for narrow in (False, True):
        out = patch_conv(*map(device.put, (x, weight, bias)), padding=1, narrow=narrow).cpu()
        expected = patch_conv_reference(x, weight, bias, padding=1)
        assert torch.equal(out.isnan(), expected.isnan())
        assert torch.equal(out.isinf(), expected.isinf())


def test_bits_do_not_depend_on_the_place_in_a_picture(device):
    x, weight, bias = map(device.put, make(5, 8, 3, (15, 22)))
    for narrow in (False, True):
        whole = patch_conv(x, weight, bias, padding=1, narrow=narrow)
        part = patch_conv(x[:, :, 2:13, 3:20], weight, bias, narrow=narrow)
        assert torch.equal(part, whole[:, :, 3:12, 4:19])


def test_gradients_are_the_twins(device):
    x, weight, bias = map(device.put, make(3, 4, 2, (6, 8)))
    weight.requires_grad_()
    patch_conv(x, weight, bias, stride=2).sum().backward()
    torch.testing.assert_close(weight.grad[0, :, 0, 0], x[:, :, ::2, ::2].sum((0, 2, 3)))


def test_the_op_refuses_what_it_would_read_or_write_amiss(device):
    x, weight, bias = map(device.put, make(4, 4, 1, (6, 8)))
    native = _native.op("patch_conv_into", None)
    with pytest.raises(RuntimeError, match="memory of its own"):
        native(x, weight, bias, None, 1, 0, False, False, x)
    with pytest.raises(RuntimeError, match="out or plus has not the result's shape"):
        native(x, weight, bias, None, 1, 0, False, False, x.new_empty(2, 4, 6, 7))
    with pytest.raises(RuntimeError, match="larger than the padded planes"):
        native(x, x.new_empty(4, 4, 9, 9), bias, None, 1, 1, False, False, x.new_empty(2, 4, 1, 1))
