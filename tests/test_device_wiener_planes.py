import pytest
import torch
from device_cases import assert_is_twin, kernels_of, planes
from executor import needs_executor

from imgrestore.ops import wiener_planes, wiener_planes_reference

pytestmark = needs_executor


def case(size, count=2, channels=3, repeats=2, *, seed=0):
    """Image, otf as pairs of numbers, level, power, log_frequency and signal_power."""
    height, width = size
    half, results = width // 2 + 1, channels * repeats
    otf = torch.fft.rfft2(planes(count, 1, *size, dtype=torch.float64, seed=seed) ** 8)
    otf = torch.view_as_real(otf / otf[..., :1, :1].abs()).float()
    level = planes(count, results, seed=seed + 1) * 4 - 5
    frequency = torch.log(20 * planes(height, half, seed=seed + 2) + 0.02)
    image = planes(count, channels, *size, seed=seed + 3) * planes(channels, 1, 1, seed=seed + 4)
    return image, otf, level, planes(results, seed=seed + 5), frequency, planes(results, seed=seed + 6)


def check(device, arguments, *, signal=True, tolerance=2e-6, **options):
    arguments = arguments if signal else arguments[:-1]

    def run(function):
        def of(image, otf, *rest):
            return function(image, torch.view_as_complex(otf.contiguous()), *rest, **options)

        return of

    return assert_is_twin(device, run(wiener_planes), run(wiener_planes_reference), *arguments, tolerance=tolerance)


@pytest.mark.parametrize("signal", [False, True])
@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 3, 2), (1, 5, 1), (3, 1, 4)], ids=str)
@pytest.mark.parametrize("size", [(2, 3), (1, 8), (9, 1), (27, 16), (15, 60)], ids=str)
def test_is_its_twin(device, size, counts, signal):
    check(device, case(size, *counts), signal=signal, gain=10.0)


@pytest.mark.parametrize("size", [(135, 162), (640, 6), (4, 1250)], ids=str)
def test_sums_and_lines_longer_than_a_block(device, size):
    check(device, case(size, 1, 2, 2))


@pytest.mark.parametrize("signal", [False, True])
def test_groups_of_planes(device, signal):
    arguments = case((144, 150), 2, 40, 3)
    launched = kernels_of(device, lambda: check(device, arguments, signal=signal))
    if launched:
        assert launched.count("wiener_planes columns") == launched.count("wiener_planes rows") > 3


@pytest.mark.parametrize("level", [-1e6, 1e6])
def test_ratios_are_bounded(device, level):
    image, otf, before, *rest = case((30, 32))
    check(device, (image, 0 * otf + 1e-2, torch.full_like(before, level), *rest), signal=False)


def test_large_means_leave_the_variance_its_digits(device):
    image, *rest = case((60, 64), 1)
    check(device, (0.01 * image + 1, *rest))
    image = torch.full_like(image, 1e4)
    assert check(device, (image, *rest)).isfinite().all()


def test_strided_arguments(device):
    image, otf, level, power, frequency, signal = case((20, 18))
    turned = image.mT.contiguous().mT
    rest = (level.T.contiguous().T, power.flip(0), frequency.T.contiguous().T, signal.flip(0))
    check(device, (turned, otf[:1].expand_as(otf), *rest))
    check(device, (case((40, 22))[0][:, :, ::2, 4:], otf, level, power, frequency, signal))


def test_writes_where_it_is_told(device):
    image, otf, *rest = (device.put(t) for t in case((20, 18)))
    arguments = (image, torch.view_as_complex(otf), *rest)
    expected = wiener_planes(*arguments)
    for out in (torch.zeros(2, 6, 20, 18), torch.zeros(2, 9, 20, 18)[:, 2:8], torch.zeros(2, 6, 18, 20).mT):
        there = device.put(out)
        assert wiener_planes(*arguments, out=there) is there
        assert torch.equal(there, expected)
    whole = device.put(torch.zeros(2, 9, 20, 18))
    wiener_planes(*arguments, out=whole[:, 2:8])
    assert not whole[:, :2].any()
    assert not whole[:, 8:].any()


def test_a_plane_that_is_not_finite_spoils_no_other(device):
    image, otf, *rest = (device.put(t) for t in case((30, 32)))
    image[0, 1, 3, 3] = torch.nan
    image[1, 0, 0, 0] = torch.inf
    out = wiener_planes(image, torch.view_as_complex(otf), *rest)
    assert out.isfinite().all(dim=(2, 3)).tolist() == [[True, True, False, False, True, True], [False] * 2 + [True] * 4]
    assert not out[0, 2:4].isfinite().any()


def test_the_variance_of_one_pixel_is_no_number(device):
    image, otf, *rest = (device.put(t) for t in case((1, 1)))
    assert wiener_planes(image, torch.view_as_complex(otf), *rest).isnan().all()
    assert wiener_planes(image, torch.view_as_complex(otf), *rest[:-1]).isfinite().all()


def test_other_sizes_and_dtypes_are_left_to_the_twin(device):
    for arguments in (case((7, 9)), tuple(t.double() for t in case((8, 9)))):
        image, otf, *rest = (device.put(t) for t in arguments)
        otf = torch.view_as_complex(otf)
        exact = wiener_planes_reference(image, otf, *rest)
        assert torch.equal(wiener_planes(image, otf, *rest), exact)
        assert not kernels_of(device, lambda a=(image, otf, *rest): wiener_planes(*a))


def test_a_plane_goes_forward_once_for_all_its_ratios(device):
    if not device.module:
        pytest.skip("needs the executor's list of launches")
    image, otf, *rest = case((32, 32), 1, 2, 3)
    otf = torch.view_as_complex(otf)
    wiener_planes(image, otf, *rest)
    names = [n.removeprefix("wiener_planes ") for n in kernels_of(device, lambda: wiener_planes(image, otf, *rest))]
    assert names == ["sums", "levels", "rows", "columns", "rows back"]
    assert len(kernels_of(device, lambda: wiener_planes(image, otf, *rest[:-1]))) == 3
