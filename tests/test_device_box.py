import math

import pytest
import torch
from device_cases import assert_is_twin, kernels_of, planes
from executor import needs_executor
from filter_cases import BOUNDARIES, views

from imgrestore.ops import box, box_reference

pytestmark = needs_executor
ALL = (*BOUNDARIES, "shrink")


def check(device, image, radius, boundary="reflect", tolerance=5e-7):
    return assert_is_twin(
        device,
        lambda x: box(x, radius, boundary=boundary),
        lambda x: box_reference(x, radius, boundary=boundary),
        image,
        tolerance=tolerance,
    )


@pytest.mark.parametrize("boundary", ALL)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (5, 16), (33, 131)], ids=str)
def test_is_its_twin(device, size, boundary):
    for radius in [0, 1, 2, 3, (0, 4), (9, 1), 20, 21]:
        check(device, planes(2, *size) - 0.2, radius, boundary)


@pytest.mark.parametrize(
    ("radius", "kernels"),
    [
        (20, ["box_tile"]),
        ((21, 0), ["sum_down", "sum_along"]),
        ((0, 21), ["sum_down", "sum_along"]),
        ((384, 1), ["sum_groups", "sum_down", "sum_along"]),
    ],
    ids=str,
)
def test_kernels(device, radius, kernels):
    assert kernels_of(device, lambda: box(planes(140, 8), radius)) in (kernels, None)


@pytest.mark.parametrize("boundary", ALL)
def test_windows_much_larger_than_the_picture(device, boundary):
    for size, radius in [((5, 4), 40), ((1, 1), 100), ((70, 3), (2, 90)), ((3, 90), (77, 5)), ((90, 40), 300)]:
        check(device, planes(*size), radius, boundary)


@pytest.mark.parametrize("boundary", ["wrap", "shrink"])
@pytest.mark.parametrize("radius", [(22, 22), (100, 0), (129, 3), (200, 30)], ids=str)
def test_windows_longer_than_a_tile_down_the_columns(device, radius, boundary):
    check(device, planes(300, 35), radius, boundary)


@pytest.mark.parametrize("boundary", ALL)
@pytest.mark.parametrize(("height", "radius"), [(300, 384), (140, 390), (700, 400), (600, 700)])
def test_windows_that_share_groups_of_rows(device, height, radius, boundary):
    check(device, planes(2, height, 3), (radius, 1), boundary)


@pytest.mark.parametrize("boundary", ["mirror", "zero"])
@pytest.mark.parametrize("radius", [(0, 25), (1, 300), (0, 1100), (0, 1500)], ids=str)
def test_windows_longer_than_a_tile_along_the_rows(device, radius, boundary):
    check(device, planes(2, 2300), radius, boundary)


@pytest.mark.parametrize("shape", [(1500, 8), (8, 2500)], ids=str)
@pytest.mark.parametrize("radius", [2, 15, 200])
def test_rounding_does_not_add_up(device, shape, radius):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for image in (1e4 + noise, torch.full(shape, 1e4 / 3), 1e4 + 30 * noise.cumsum(int(shape[0] < shape[1])) / 90):
        for boundary in ("reflect", "shrink"):
            exact = box_reference(image.double(), radius, boundary=boundary)
            out = box(device.put(image), radius, boundary=boundary).cpu()
            assert float(((out - exact) / exact).abs().max()) < 1e-6


@pytest.mark.parametrize("radius", [4, 21])
def test_a_star_leaves_nothing_behind(device, radius):
    image = torch.full((90, 100), 1e-3)
    image[45, 50] = 1e10
    out = box(device.put(image), radius).cpu()
    far = torch.ones(90, 100, dtype=torch.bool)
    far[45 - radius : 46 + radius, 50 - radius : 51 + radius] = False
    torch.testing.assert_close(out[far], torch.full_like(image, 1e-3)[far], rtol=1e-6, atol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("boundary", ["reflect", "shrink"])
@pytest.mark.parametrize("radius", [1, 4, 22, (140, 2)], ids=str)
def test_nan_stays_in_the_windows_that_hold_it(device, bad, boundary, radius):
    image = planes(300, 80)
    image[150, 41] = bad
    out = box(device.put(image), radius, boundary=boundary).cpu()
    ry, rx = (radius, radius) if isinstance(radius, int) else radius
    hit = torch.zeros(300, 80, dtype=torch.bool)
    hit[150 - ry : 151 + ry, 41 - rx : 42 + rx] = True
    torch.testing.assert_close(out[hit], torch.tensor(bad).expand(int(hit.sum())), equal_nan=True)
    assert out[~hit].isfinite().all()


@views
def test_strided(device, view):
    for radius in [(3, 5), (21, 2)]:
        check(device, view(planes(3, 64, 90)), radius)


def test_leading_dimensions(device):
    image = planes(2, 3, 1, 2, 14, 15).permute(1, 0, 2, 3, 5, 4).transpose(-1, -2)
    for radius in (2, 30):
        check(device, image, radius)
        assert box(device.put(torch.zeros(2, 0, 3, 3)), radius).shape == (2, 0, 3, 3)


def test_bits_do_not_depend_on_the_batch(device):
    image = device.put(planes(7, 45, 50))
    for radius in (6, 25):
        assert torch.equal(box(image, radius)[4], box(image[4], radius))
