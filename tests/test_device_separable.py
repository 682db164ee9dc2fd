import math

import pytest
import torch
from device_cases import assert_is_twin, kernels_of, planes
from executor import needs_executor
from filter_cases import BOUNDARIES, views

from imgrestore.ops import gaussian_taps, separable, separable_reference

pytestmark = needs_executor


def taps(count, seed=0):
    return planes(count, seed=seed) - 0.3


def check(device, image, row_taps, column_taps, boundary="reflect"):
    # Taps of both signs may add up to little: the error is held to the largest sum there could be.
    bound = row_taps.double().abs().sum() * column_taps.double().abs().sum()

    def scaled(function):
        return lambda x, rows, columns: function(x, rows, columns, boundary=boundary)

    exact = separable_reference(image.double(), row_taps.double(), column_taps.double(), boundary=boundary)
    tolerance = float(1e-6 * bound / exact.abs().max().clamp_min(1e-30))
    return assert_is_twin(
        device, scaled(separable), scaled(separable_reference), image, row_taps, column_taps, tolerance=tolerance
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (5, 16), (33, 131)], ids=str)
def test_is_its_twin(device, size, boundary):
    for n, m in [(1, 1), (3, 5), (2, 4), (8, 9), (23, 40)]:
        check(device, planes(2, *size), taps(n), taps(m, 1), boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_kernels_longer_than_a_tile(device, boundary):
    check(device, planes(2, 70, 65), taps(66), taps(5, 1), boundary)
    check(device, planes(3, 5), taps(200), taps(130, 1), boundary)
    check(device, planes(65, 9), taps(1), taps(131, 1), boundary)
    smooth = gaussian_taps(9.0)
    check(device, planes(40, 2), smooth, smooth, boundary)


@pytest.mark.parametrize(
    ("n", "m", "kernels"),
    [
        (65, 129, ["separable_tile"]),
        (66, 1, ["separable_down", "separable_along"]),
        (1, 130, ["separable_down", "separable_along"]),
    ],
)
def test_kernels(device, n, m, kernels):
    assert kernels_of(device, lambda: separable(planes(9, 8), taps(n), taps(m))) in (kernels, None)


def test_inside_and_beside_the_edge(device):
    check(device, planes(100, 140), taps(7), taps(9, 1))
    check(device, planes(150, 40), taps(67), taps(20, 1), "mirror")


@views
def test_strided(device, view):
    image = view(planes(3, 64, 90))
    check(device, image, taps(5), taps(8, 1))
    check(device, image[:, :5], taps(70), planes(40)[1::5])


def test_many_leading_dimensions(device):
    image = planes(2, 3, 1, 2, 4, 5).permute(1, 0, 2, 3, 4, 5)
    check(device, image, taps(3), taps(2, 1))
    assert separable(device.put(torch.zeros(2, 0, 3, 3)), *(device.put(taps(n)) for n in (3, 2))).shape == (2, 0, 3, 3)
    many = planes(*[1] * 8, 2, 4, 5)
    assert torch.equal(
        separable(device.put(many), device.put(taps(3)), device.put(taps(3))).cpu(),
        separable_reference(many, taps(3), taps(3)),
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("counts", [(5, 7), (70, 7), (1, 11)], ids=str)
def test_nan_stays_in_the_windows_that_hold_it(device, bad, counts):
    n, m = counts
    image = planes(40, 90)
    image[20, 50] = bad
    out = separable(device.put(image), device.put(planes(n) + 0.1), device.put(planes(m) + 0.1)).cpu()
    hit = torch.zeros(40, 90, dtype=torch.bool)
    # The mirror images of the pixel are further off than half a kernel.
    hit[20 - (m - 1 - m // 2) : 21 + m // 2, 50 - (n - 1 - n // 2) : 51 + n // 2] = True
    assert not out[hit].isfinite().any()
    assert out[~hit].isfinite().all()
