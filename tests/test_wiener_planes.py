"""`wiener_planes` against its twin."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from filter_cases import relative_error
from native_cases import assert_isa, assert_without_native, isas, needs_native

from imgrestore.ops import wiener_planes, wiener_planes_reference

# The last two on the twin, as no native transform has their size.
SIZES = [(2, 3), (8, 8), (5, 6), (27, 16), (45, 60), (64, 81), (100, 128), (250, 96), (7, 12), (33, 31)]


def make(size, count=2, channels=3, repeats=2, signal=True, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    height, width = size
    half, planes = width // 2 + 1, channels * repeats
    otf = torch.fft.rfft2(draw(count, 1, *size) ** 8)
    otf = otf / otf[..., :1, :1].abs()
    wide = torch.complex128 if dtype == torch.float64 else torch.complex64
    real = (draw(count, planes) * 4 - 5, draw(planes), torch.log(20 * draw(height, half) + 0.02))
    strength = (draw(planes),) if signal else ()
    image = draw(count, channels, *size) * draw(channels, 1, 1)
    return (image.to(dtype), otf.to(wide), *(t.to(dtype) for t in real), *(t.to(dtype) for t in strength))


def exact(arguments, **options):
    wide = (t.to(torch.complex128 if t.is_complex() else torch.float64) for t in arguments)
    return wiener_planes_reference(*wide, **options)


def assert_is_twin(*arguments, tolerance=2e-5, **options):
    out = wiener_planes(*arguments, **options)
    assert out.dtype == arguments[0].dtype
    error = relative_error(out.double(), exact(arguments, **options))
    assert error < tolerance, (tuple(arguments[0].shape), error)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("signal", [False, True])
def test_is_its_twin(size, signal):
    for count, channels, repeats in ((1, 1, 1), (2, 3, 2), (1, 5, 1), (3, 1, 4)):
        assert_is_twin(*make(size, count, channels, repeats, signal))
        assert_is_twin(*make(size, count, channels, repeats, signal), gain=10.0)


def test_double_precision():
    assert_is_twin(*make((20, 27), dtype=torch.float64), tolerance=1e-13)


def test_large_means_leave_the_variance_its_digits():
    image, *rest = make((60, 64))
    assert_is_twin(0.01 * image + 1, *rest, tolerance=1e-4)


@pytest.mark.parametrize("level", [-1e6, 1e6])
def test_ratios_are_bounded(level):
    image, otf, _, *rest = make((30, 32), signal=False)
    assert wiener_planes(image, torch.zeros_like(otf), torch.full((2, 6), level), *rest).abs().max() < 1e-12
    assert_is_twin(image, otf, torch.full((2, 6), level), *rest, tolerance=1e-3 if level < 0 else 2e-5)


def test_strided_arguments():
    image, otf, level, power, log_frequency, signal = make((40, 36))
    turned = image.transpose(-1, -2).contiguous().transpose(-1, -2)
    everywhere = otf[:1].expand(2, -1, -1, -1)
    assert_is_twin(turned, everywhere, level.T.contiguous().T, power.flip(0), log_frequency, signal)
    assert_is_twin(image[:, :, ::2, 4:], *make((20, 32))[1:])


def test_writes_where_it_is_told():
    arguments = make((40, 36))
    expected = wiener_planes(*arguments)
    for out in (
        torch.empty(2, 6, 40, 36),
        torch.empty(2, 9, 40, 36)[:, 2:8],
        torch.empty(2, 6, 36, 40).transpose(2, 3),
    ):
        assert wiener_planes(*arguments, out=out) is out
        assert torch.equal(out, expected)


def test_empty_batch():
    image, otf, level, *rest = make((8, 8))
    assert wiener_planes(image[:0], otf[:0], level[:0], *rest).shape == (0, 6, 8, 8)


def test_bits_do_not_depend_on_threads():
    arguments, threads = make((90, 100), 2), torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(wiener_planes(*arguments))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(results[0], other) for other in pool.map(lambda _: wiener_planes(*arguments), range(8)))


def test_a_plane_that_is_not_finite_spoils_no_other():
    image, *rest = make((30, 32), signal=True)
    image[0, 1, 3, 3] = torch.nan
    finite = wiener_planes(image, *rest).isfinite().all(dim=(2, 3))
    assert finite.tolist() == [[True, True, False, False, True, True], [True] * 6]


def test_gradients():
    arguments = [t.requires_grad_() for t in make((3, 4), 1, 1, 2, dtype=torch.float64)]
    # Only what the transfer function of a real blur can be: imaginary parts at its real bins have no effect.
    inputs = [arguments[0], *arguments[2:]]
    assert torch.autograd.gradcheck(lambda image, *rest: wiener_planes(image, arguments[1], *rest), inputs)


def test_gradients_in_float32_reach_everything():
    arguments = [t.requires_grad_() for t in make((8, 8))]
    wiener_planes(*arguments).square().sum().backward()
    assert all(t.grad is not None and t.grad.abs().max() > 0 for t in arguments)


@needs_native
def test_opcheck():
    image, otf, level, power, log_frequency, signal = make((8, 12))
    out = wiener_planes(image, otf, level, power, log_frequency, signal)  # registers the op
    native = torch.ops.imgrestore.wiener_planes_into.default
    torch.library.opcheck(native, (image, otf, level, power, signal, log_frequency, 1.0, out))


@needs_native
def test_the_op_refuses_what_it_would_read_or_write_amiss():
    image, otf, level, power, log_frequency, signal = make((8, 12))
    out = wiener_planes(image, otf, level, power, log_frequency, signal)
    native = torch.ops.imgrestore.wiener_planes_into
    with pytest.raises(RuntimeError, match="otf needs the shape"):
        native(image, otf[..., :3], level, power, signal, log_frequency, 1.0, out)
    with pytest.raises(RuntimeError, match="out needs dense planes"):
        native(image, otf, level, power, signal, log_frequency, 1.0, out[..., :5])
    with pytest.raises(RuntimeError, match="has not the shape it needs"):
        native(image, otf, level[:, :3], power, signal, log_frequency, 1.0, out)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": 1}, TypeError, "image: got int, expected a torch.Tensor"),
        ({"image": torch.zeros(2, 3, 8, 12).int()}, TypeError, r"image: got dtype torch\.int32, expected"),
        ({"image": torch.zeros(3, 8, 12)}, ValueError, r"image: got shape \(3, 8, 12\), expected planes"),
        ({"otf": torch.zeros(2, 1, 8, 7)}, TypeError, r"otf: got dtype torch\.float32, expected .*complex64"),
        ({"otf": torch.zeros(2, 1, 8, 12).cfloat()}, ValueError, r"otf: got shape .*, expected \(2, 1, 8, 7\)"),
        ({"level": torch.zeros(2, 4)}, ValueError, r"level: got shape \(2, 4\), expected .* a multiple of 3"),
        ({"power": torch.zeros(3)}, ValueError, r"power: got shape \(3,\), expected \(6,\)"),
        ({"signal_power": "none"}, TypeError, "signal_power: got str, expected"),
        ({"log_frequency": torch.zeros(8, 7, device="meta")}, ValueError, "log_frequency: got device meta, expected"),
        ({"out": torch.zeros(2, 3, 8, 12)}, ValueError, r"out: got \(2, 3, 8, 12\) of .*, expected \(2, 6, 8, 12\)"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    names = ("image", "otf", "level", "power", "log_frequency", "signal_power")
    with pytest.raises(error, match=message):
        wiener_planes(**{**dict(zip(names, make((8, 12)), strict=True)), **change})


CHILD = """
from test_wiener_planes import SIZES, assert_is_twin, make
for size in SIZES:
    for signal in (False, True):
        assert_is_twin(*make(size, signal=signal))
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
