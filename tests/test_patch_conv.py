"""`patch_conv` against its twin, whatever the kernel, the stride and the size."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from filter_cases import relative_error
from native_cases import assert_isa, assert_without_native, isas, needs_native

from imgrestore import _native
from imgrestore.ops import patch_conv, patch_conv_reference

SIZES = [(5, 5), (6, 7), (9, 17), (8, 50), (31, 70), (5, 96), (4, 97), (3, 300)]
# kernel, stride, padding
KERNELS = [(1, 1, 0), (2, 2, 0), (3, 1, 1), (3, 1, 0), (5, 1, 2), (3, 2, 1), (2, 1, 1), (4, 2, 3), (1, 2, 0)]


def make(channels, outputs, kernel, size, count=2, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    weight = draw(outputs, channels, kernel, kernel) / (channels * kernel**2) ** 0.5
    return draw(count, channels, *size), weight, draw(outputs)


def assert_is_twin(x, weight, bias, plus=None, tolerance=1e-5, narrow=False, **options):
    out = patch_conv(x, weight, bias, plus, narrow=narrow, **options)
    exact = patch_conv_reference(*(None if t is None else t.double() for t in (x, weight, bias, plus)), **options)
    assert out.dtype == x.dtype
    error = relative_error(out.double(), exact)
    assert error < tolerance, (tuple(x.shape), tuple(weight.shape), options, error)
    return out


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("kernel", "stride", "padding"), KERNELS)
def test_is_its_twin(kernel, stride, padding, size):
    options = {"stride": stride, "padding": padding}
    for channels, outputs in ((1, 4), (3, 12), (7, 5)):
        x, weight, bias = make(channels, outputs, kernel, size)
        shuffles = (False, True) if outputs % 4 == 0 else (False,)
        for shuffle, added in itertools.product(shuffles, (False, True)):
            plain = patch_conv_reference(x, weight, shuffle=shuffle, **options)
            plus = torch.rand_like(plain) if added else None
            assert_is_twin(x, weight, None if added else bias, plus, shuffle=shuffle, **options)
            assert_is_twin(x, weight, bias, plus, 2e-2, True, shuffle=shuffle, **options)


@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "stride"), [(33, 40, 2, 2), (160, 320, 1, 1), (40, 12, 3, 1)]
)
def test_as_many_channels_as_the_nets_have(channels, outputs, kernel, stride):
    x, weight, bias = make(channels, outputs, kernel, (36, 110), 1)
    for narrow in (False, True):
        assert_is_twin(x, weight, bias, None, 2e-2 if narrow else 1e-5, narrow, stride=stride, padding=kernel // 3)


def test_other_precisions():
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.bfloat16, 3e-2)):
        assert_is_twin(*make(3, 8, 3, (9, 20), dtype=dtype), tolerance=tolerance, padding=1, shuffle=True)


VIEWS = {
    "rows": lambda x: x[:, :, ::2, 3:43],
    "transposed": lambda x: x.transpose(-1, -2)[:, :, :32, :40],
    "expanded": lambda x: x[:1, :, :32, :40].expand(4, -1, -1, -1),
    "flipped": lambda x: x.flip(-1),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last)[:, :, 2:30, 3:50],
    "some planes": lambda x: x[:, 2:6],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_strided_planes(view):
    x = view(make(8, 4, 3, (64, 90))[0])
    _, weight, bias = make(x.shape[1], 4, 3, (5, 5))
    assert_is_twin(x, weight, bias, padding=1)


def test_empty_batch():
    x, weight, bias = make(3, 4, 2, (6, 8), 0)
    assert patch_conv(x, weight, bias, stride=2).shape == (0, 4, 3, 4)


def test_writes_where_it_is_told():
    x, weight, bias = make(6, 8, 1, (9, 33))
    plus = torch.rand(2, 2, 18, 66)
    expected = patch_conv(x, weight, bias, plus, shuffle=True)
    for out in (torch.empty_like(plus), torch.empty(2, 3, 18, 66)[:, 1:], plus):
        assert patch_conv(x, weight, bias, plus, shuffle=True, out=out) is out
        assert torch.equal(out, expected)


def test_bits_do_not_depend_on_threads():
    x, weight, bias = make(5, 8, 3, (150, 200))
    threads = torch.get_num_threads()
    for narrow in (False, True):
        try:
            results = []
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                results.append(patch_conv(x, weight, bias, padding=1, narrow=narrow))
        finally:
            torch.set_num_threads(threads)
        assert all(torch.equal(results[0], other) for other in results[1:])
        if _native.available():
            part = patch_conv(x[:, :, 20:90, 30:137], weight, bias, padding=0, narrow=narrow)
            assert torch.equal(part, results[0][:, :, 21:89, 31:136])


def test_several_threads_at_once_get_the_same_bits():
    jobs = [make(4, 4, 2, size, seed=i) for i, size in enumerate([(64, 64), (60, 72), (128, 40)] * 4)]
    alone = [patch_conv(*job, stride=2) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(torch.equal, alone, pool.map(lambda job: patch_conv(*job, stride=2), jobs)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_neighbourhood(bad):
    x, weight, bias = make(3, 4, 3, (20, 60), 1)
    x[0, 1, 7, 16] = bad
    broken = ~patch_conv(x, weight, bias, padding=1).isfinite().all(1)[0]
    assert broken[6:9, 15:18].all()
    broken[6:9, 15:18] = False
    assert not broken.any()


def test_gradients():
    x, weight, bias = (t.requires_grad_() for t in make(3, 4, 3, (4, 5), dtype=torch.float64))
    plus = torch.rand(2, 1, 8, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *tensors: patch_conv(*tensors, padding=1, shuffle=True), (x, weight, bias, plus)
    )


def test_gradients_in_float32():
    x, weight, bias = make(3, 4, 2, (6, 8))
    weight.requires_grad_()
    patch_conv(x, weight, bias, stride=2).sum().backward()
    torch.testing.assert_close(weight.grad[0, :, 0, 0], x[:, :, ::2, ::2].sum((0, 2, 3)))


@needs_native
def test_opcheck():
    x, weight, bias = make(3, 4, 2, (6, 8))
    out = patch_conv(x, weight, bias, stride=2)  # registers the op
    native = torch.ops.imgrestore.patch_conv_into.default
    torch.library.opcheck(native, (x, weight, bias, None, 2, 0, False, False, out))


@needs_native
def test_the_op_refuses_what_it_would_read_or_write_amiss():
    x, weight, bias = make(4, 4, 1, (6, 8))
    patch_conv(x, weight, bias)
    native = torch.ops.imgrestore.patch_conv_into
    with pytest.raises(RuntimeError, match="memory of its own"):
        native(x, weight, bias, None, 1, 0, False, False, x)
    several = torch.rand(3, 4, 6, 8)
    with pytest.raises(RuntimeError, match="memory of its own"):
        native(x, weight, bias, several[:2], 1, 0, False, False, several[1:])
    with pytest.raises(RuntimeError, match="out or plus has not the result's shape"):
        native(x, weight, bias, None, 1, 0, False, False, torch.empty(2, 4, 6, 7))
    with pytest.raises(RuntimeError, match="larger than the padded planes"):
        native(x, torch.rand(4, 4, 9, 9), bias, None, 1, 1, False, False, torch.empty(2, 4, 1, 1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": [[1.0]]}, TypeError, r"x: got list, expected a torch\.Tensor"),
        ({"x": torch.zeros(1, 3, 1, 9)}, ValueError, r"x: got shape \(1, 3, 1, 9\), expected 2 pixels a side"),
        (
            {"weight": torch.zeros(8, 3, 2, 3)},
            ValueError,
            r"weight: got shape \(8, 3, 2, 3\), expected \(outputs, 3, k",
        ),
        ({"weight": torch.zeros(8, 3, 2, 2).double()}, TypeError, r"weight: got dtype torch\.float64, expected x's"),
        (
            {"weight": torch.zeros(6, 3, 2, 2), "bias": None},
            ValueError,
            "weight: got 6 outputs, expected a multiple of 4",
        ),
        ({"bias": torch.zeros(7)}, ValueError, r"bias: got shape \(7,\), expected \(8,\)"),
        ({"bias": 1.0}, TypeError, r"bias: got float, expected a torch\.Tensor"),
        ({"plus": torch.zeros(1, 8, 2, 3)}, ValueError, r"plus: got shape .*, expected the result's, \(1, 2, 4, 6\)"),
        ({"plus": torch.zeros(1, 2, 4, 6, device="meta")}, ValueError, "plus: got device meta, expected x's, cpu"),
        ({"out": torch.zeros(1, 8, 2, 3)}, ValueError, r"out: got \(1, 8, 2, 3\) of .*, expected \(1, 2, 4, 6\)"),
        ({"out": 3}, TypeError, r"out: got int, expected a torch\.Tensor"),
        ({"stride": 3}, ValueError, "stride: got 3, expected 1 or 2"),
        ({"padding": -1}, ValueError, "padding: got -1, expected an integer of at least 0"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    x, weight, bias = make(3, 8, 2, (4, 6), 1)
    arguments = {"x": x, "weight": weight, "bias": bias, "stride": 2, "shuffle": True, **change}
    with pytest.raises(error, match=message):
        patch_conv(**arguments)


def test_out_may_not_be_the_input():
    x, weight, bias = make(4, 4, 1, (6, 8))
    with pytest.raises(ValueError, match="out: shares memory with the input"):
        patch_conv(x, weight, bias, out=x)
    both = torch.rand(2, 4, 6, 8)
    assert patch_conv(both[:1], weight, bias, out=both[1:]) is not None


CHILD = """
from test_patch_conv import KERNELS, assert_is_twin, make
for kernel, stride, padding in KERNELS:
    for size in ((5, 5), (9, 40), (4, 97)):
        for shuffle in (False, True):
            for narrow in (False, True):
                assert_is_twin(*make(7, 12, kernel, size), None, 2e-2 if narrow else 1e-5, narrow, stride=stride,
                               padding=padding, shuffle=shuffle)
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
