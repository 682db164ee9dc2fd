"""`fft_convolve` on devices: tap by tap, in tiles, or over the whole picture."""

import pytest
import torch
from device_cases import assert_is_twin, planes
from executor import needs_executor

from imgrestore import _native
from imgrestore.ops import _fft_device, fft_convolve, fft_convolve_reference
from imgrestore.ops.fft_convolve import _image_grad, _register

pytestmark = needs_executor

# Kernels of whole vectors of taps and of 1 to 3 more, of fewer rows than a thread has, larger than the picture.
SHAPES = [
    ((1, 1), (1, 1)),
    ((1, 37), (1, 5)),
    ((131, 1), (7, 1)),
    ((5, 3), (9, 8)),
    ((33, 65), (3, 3)),
    ((32, 64), (4, 4)),
    ((41, 71), (31, 31)),
    ((37, 67), (2, 30)),
    ((70, 33), (29, 3)),
]
BOUNDARIES = [("same", b) for b in ("zero", "reflect", "periodic")] + [("full", "zero"), ("valid", "zero")]


def twins(**options):
    return [lambda *x, f=f: f(*x, **options) for f in (fft_convolve, fft_convolve_reference)]


@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
@pytest.mark.parametrize(("size", "kernel"), SHAPES, ids=str)
def test_is_its_twin(device, size, kernel, mode, boundary):
    if mode == "valid" and any(a < b for a, b in zip(size, kernel, strict=True)):
        pytest.skip("the kernel is larger than the picture")
    assert_is_twin(device, *twins(mode=mode, boundary=boundary), planes(*size), planes(*kernel, seed=1))


@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
@pytest.mark.parametrize(
    ("size", "kernel"), [((4, 9, 11), (3, 4, 5)), ((5, 3, 66), (31, 1, 31)), ((2, 5, 7), (4, 1, 2))]
)
def test_is_its_twin_in_depth(device, size, kernel, mode, boundary):
    if mode == "valid":
        size = tuple(map(max, size, kernel))
    options = {"mode": mode, "boundary": boundary, "ndim": 3}
    assert_is_twin(device, *twins(**options), planes(2, *size), planes(*kernel, seed=1))


@pytest.mark.parametrize("kernels", [(), (1, 1), (3, 1), (1, 2), (3, 2)], ids=str)
def test_kernels_broadcast(device, kernels):
    assert_is_twin(device, *twins(), planes(3, 2, 19, 70), planes(*kernels, 5, 4, seed=1))


def test_kernels_of_their_own_in_depth(device):
    assert_is_twin(device, *twins(ndim=3), planes(3, 4, 5, 6), planes(3, 2, 3, 3, seed=1))


@pytest.mark.parametrize("centre", [(0, 0), (4, 6), (1, 5)])
@pytest.mark.parametrize("boundary", ["zero", "reflect", "periodic"])
def test_centre_moves_the_result(device, centre, boundary):
    assert_is_twin(device, *twins(centre=centre, boundary=boundary), planes(30, 31), planes(5, 7, seed=1))


def test_many_pictures(device):
    assert_is_twin(device, *twins(), planes(301, 2, 3), planes(3, 2, seed=1))


def test_strided_views_and_empty_batches(device):
    image, k = planes(40, 60), planes(3, 5, seed=1)
    assert_is_twin(device, *twins(), image.T, k)
    assert_is_twin(device, *twins(), image[::2, 5::3], k.flip(0).T)
    assert fft_convolve(device.put(image.new_empty(0, 8, 9)), device.put(k)).shape == (0, 8, 9)


def test_sums_over_many_taps_are_accurate(device):
    image, k = planes(64, 64) + 100, planes(31, 31, seed=1)
    assert_is_twin(device, *twins(boundary="reflect"), image, k, tolerance=5e-7)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_what_is_not_finite_stays_where_it_is_seen(device, bad, width):
    image = planes(40, 70)
    image[33, 65] = image[0, 0] = bad
    out = fft_convolve(device.put(image), device.put(torch.ones(3, width)), boundary="zero").cpu()
    wanted = fft_convolve_reference((~image.isfinite()).double(), torch.ones(3, width).double()) > 0.5
    assert torch.equal(~out.isfinite(), wanted)


def ran(device):
    return [launch["name"] for launch in device.module.launches()] if device.module else None


@pytest.mark.parametrize(
    ("kernel", "way"),
    [((11, 11), "tap by tap"), ((12, 11), "tiles"), ((1, 31), "tap by tap"), ((32, 40), "tiles"), ((64, 2), "whole")],
)
def test_the_way_follows_the_kernel(device, kernel, way):
    if not device.module:
        pytest.skip("needs the executor's list of launches")
    device.module.forget_launches()
    fft_convolve(planes(35, 36), planes(*kernel, seed=1))
    first = next(name for name in ran(device) if name != "fft_twiddles")
    assert (
        first
        == {
            "tap by tap": "direct_convolve",
            "tiles": "overlap_save response",
            "whole": "fft_convolve kernels",
        }[way]
    )


# Tiles of 64 and of 128 columns, one and several, an odd number of them, and pictures smaller than one.
@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
@pytest.mark.parametrize(
    ("size", "kernel"),
    [((130, 70), (13, 12)), ((60, 140), (31, 31)), ((20, 30), (12, 17)), ((9, 7), (32, 40)), ((70, 75), (2, 64))],
    ids=str,
)
def test_tiles_are_the_twin(device, size, kernel, mode, boundary):
    if mode == "valid":
        size = tuple(map(max, size, kernel))
    assert_is_twin(device, *twins(mode=mode, boundary=boundary), planes(*size), planes(*kernel, seed=1))


@pytest.mark.parametrize("kernels", [(2, 1), (3, 2)], ids=str)
@pytest.mark.parametrize("kernel", [(14, 13), (70, 3)], ids=str)
def test_large_kernels_broadcast(device, kernels, kernel):
    assert_is_twin(device, *twins(boundary="reflect"), planes(kernels[0], 2, 50, 60), planes(*kernels, *kernel, seed=1))


@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
@pytest.mark.parametrize(("size", "kernel"), [((30, 41), (66, 1)), ((90, 20), (65, 70))], ids=str)
def test_whole_pictures_are_the_twin(device, size, kernel, mode, boundary):
    if mode == "valid":
        size = tuple(map(max, size, kernel))
    assert_is_twin(device, *twins(mode=mode, boundary=boundary), planes(2, *size), planes(*kernel, seed=1))


@pytest.mark.parametrize(("mode", "boundary"), BOUNDARIES)
def test_whole_volumes_are_the_twin(device, mode, boundary):
    size = (31, 12, 12) if mode == "valid" else (5, 12, 12)
    options = {"mode": mode, "boundary": boundary, "ndim": 3}
    assert_is_twin(device, *twins(**options), planes(2, *size), planes(31, 8, 4, seed=1))


def test_beyond_all_ways_is_the_twins(device):
    if device.module:
        device.module.forget_launches()
    image, k = planes(3, 7700), planes(66, 1, seed=1)
    out = fft_convolve(device.put(image), device.put(k)).cpu()
    assert torch.allclose(out, fft_convolve_reference(image, k), rtol=1e-4)
    assert ran(device) in (None, [])


@pytest.mark.parametrize(("length", "options"), [(7650, {"mode": "valid"}), (7600, {"boundary": "reflect"})], ids=str)
def test_where_the_way_back_is_too_long_there_is_the_twin(device, length, options):
    image, k = device.put(planes(length, 1)), device.put(planes(66, 1, seed=1))
    for grad in (False, True):
        if device.module:
            device.module.forget_launches()
        own = image.clone().requires_grad_(grad)
        out = fft_convolve(own, k, **options)
        assert ran(device) is None or bool(ran(device)) is not grad
    assert torch.autograd.grad(out.sum(), own)[0].shape == image.shape


@pytest.mark.parametrize("most", [1, 2 * 96 * 21, 4 * 96 * 21])
def test_more_than_fits_into_31_bits_is_the_twins(device, monkeypatch, most):
    monkeypatch.setattr(_fft_device, "MOST", most)
    if device.module:
        device.module.forget_launches()
    assert_is_twin(device, *twins(), planes(3, 30, 40), planes(66, 1, seed=1))
    assert ran(device) is None or bool(ran(device)) is (most > 3 * 96 * 21)


def test_the_op_refuses_what_it_does_not_cover(device):
    op = _native.op("fft_convolve", _register)
    image = device.put(planes(1, 1, 2, 7700))
    with pytest.raises(RuntimeError, match="a kernel of 1 x 66 x 1 is too large for pictures of this size"):
        op(image, device.put(planes(1, 66, 1)), [1, 2, 7700], [0, -33, 0], 0)
    with pytest.raises(RuntimeError, match="one for each picture"):
        op(image, device.put(planes(2, 1, 3, 3)), [1, 40, 40], [0, -1, -1], 0)


@pytest.mark.parametrize("outside", [0, 1, 2])
@pytest.mark.parametrize("shape", [(2, 9, 35), (1, 4, 3)], ids=str)
def test_gradient_of_the_image(device, outside, shape):
    pictures, *size = shape
    k = planes(1, 6, 5, seed=1)
    boundary = ("zero", "reflect", "periodic")[outside]
    grad = planes(pictures, 1, *size, seed=2)

    def native(grad, k):
        return _image_grad(grad, k, (1, *size), [0, -2, -2], outside)

    def twin(grad, k):
        image = torch.zeros(pictures, 1, *size, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(fft_convolve_reference(image, k[0], boundary=boundary), image, grad)[0]

    assert_is_twin(device, native, twin, grad, k)
