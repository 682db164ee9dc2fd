import pytest
import torch
from device_cases import assert_is_twin, planes
from executor import needs_executor

from imgrestore.ops import fft_filter, fft_filter_reference

pytestmark = needs_executor
# Every radix first, in the middle and last; lines of one point; odd and even; more lines than a block takes.
SIZES = [
    *((1, 1), (1, 8), (3, 1), (2, 2), (5, 9), (16, 16), (15, 27), (32, 6), (20, 36)),
    *((25, 40), (64, 81), (18, 100), (48, 128), (96, 10), (75, 54), (2, 256), (125, 12)),
]


def response_of(*shape, seed=1):
    pair = planes(*shape[:-1], shape[-1] // 2 + 1, 2, dtype=torch.float64, seed=seed) - 0.5
    return torch.view_as_complex(pair)


def check(device, image, response, ndim=2):
    def both(function):
        return lambda x, r: function(
            x, r.to(torch.complex64 if x.dtype == torch.float32 else torch.complex128), ndim=ndim
        )

    narrow = response.to(torch.complex64).to(torch.complex128)
    assert_is_twin(device, both(fft_filter), both(fft_filter_reference), image, narrow, tolerance=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_its_twin(device, size):
    check(device, planes(3, *size) - 0.3, response_of(*size))


@pytest.mark.parametrize("size", [(3072, 2), (2, 4320), (5120, 1), (4, 7680), (6144, 2)], ids=str)
def test_long_lines(device, size):
    check(device, planes(*size) - 0.3, response_of(*size))


@pytest.mark.parametrize("size", [(1, 4, 6), (2, 3, 5), (9, 16, 10), (32, 5, 12), (3, 30, 64), (50, 2, 2)], ids=str)
def test_volumes(device, size):
    check(device, planes(2, *size) - 0.3, response_of(*size), ndim=3)


@pytest.mark.parametrize(
    ("image", "response"), [((2, 3), ()), ((3,), (2, 1)), ((), (4,)), ((2, 1), (1, 3)), ((1, 2, 1, 2), (2, 1))], ids=str
)
def test_leading_dimensions_broadcast(device, image, response):
    check(device, planes(*image, 12, 15), response_of(*response, 12, 15))


def test_strided(device):
    wide = planes(3, 40, 50)
    for image in (wide[:, ::2, 5:45:2], wide.transpose(1, 2)[:, :45, :40], wide[1].expand(2, 40, 50)):
        check(device, image, response_of(*image.shape[-2:]))


def test_three_passes(device):
    if not device.module:
        pytest.skip("needs the executor's list of launches")
    device.module.forget_launches()
    fft_filter(planes(2, 16, 32), response_of(16, 32).to(torch.complex64))
    names = [launch["name"] for launch in device.module.launches() if launch["name"] != "fft_twiddles"]
    assert names == ["fft_filter rows", "fft_filter columns", "fft_filter rows back"]
    device.module.forget_launches()
    fft_filter(planes(2, 4, 16, 32), response_of(4, 16, 32).to(torch.complex64), ndim=3)
    assert len([launch for launch in device.module.launches() if launch["name"] != "fft_twiddles"]) == 5


def test_nan_stays_in_its_picture(device):
    image = planes(2, 12, 10)
    image[1, 3, 4] = torch.nan
    out = fft_filter(device.put(image), device.put(response_of(12, 10).to(torch.complex64))).cpu()
    assert out[0].isfinite().all()
    assert out[1].isnan().all()
