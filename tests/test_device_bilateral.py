import math

import pytest
import torch
from device_cases import assert_is_twin, planes
from executor import needs_executor
from filter_cases import BOUNDARIES, views

from imgrestore.ops import bilateral, bilateral_reference

pytestmark = needs_executor


def check(device, image, sigma_space, sigma_range, guide=None, **options):
    def run(function):
        if guide is None:
            return lambda x: function(x, sigma_space, sigma_range, **options)
        return lambda x, g: function(x, sigma_space, sigma_range, guide=g, **options)

    tensors = [image] if guide is None else [image, guide]
    return assert_is_twin(device, run(bilateral), run(bilateral_reference), *tensors)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (5, 16), (33, 41)], ids=str)
def test_is_its_twin(device, size, boundary):
    image, guide = planes(2, *size), planes(2, *size, seed=1)
    for radius, sigma_range in [(0, 0.1), (1, 0.3), (4, 0.2)]:
        check(device, image, 1.7, sigma_range, radius=radius, boundary=boundary)
    check(device, image, 1.7, 0.2, guide, radius=3, boundary=boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_radius_larger_than_the_picture(device, boundary):
    for size in [(3, 4), (1, 1), (20, 2)]:
        check(device, planes(*size), 6.0, 0.3, radius=9, boundary=boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_disks_too_wide_for_a_tile(device, boundary):
    image, guide = planes(3, 4, 5), planes(3, 4, 5, seed=1)
    check(device, image[0], 20.0, 0.3, radius=62, boundary=boundary)
    check(device, image, 10.0, 0.3, radius=30, channels=True, boundary=boundary)
    check(device, image[0], 15.0, 0.3, guide[0], radius=40, boundary=boundary)
    check(device, image, 10.0, 0.3, guide, radius=18, channels=True, boundary=boundary)
    check(device, image[:1], 10.0, 0.3, guide, radius=24, channels=True, boundary=boundary)


def test_wide_disks(device):
    check(device, planes(21, 70), 4.0, 0.2, radius=9)
    check(device, planes(3, 12, 40), 3.0, 0.2, radius=7, channels=True)


@pytest.mark.parametrize(("c", "d"), [(3, None), (1, None), (4, None), (2, None), (3, 1), (1, 3), (5, 2), (2, 1)])
def test_channels(device, c, d):
    guide = None if d is None else planes(2, d, 21, 34, seed=1)
    check(device, planes(2, c, 21, 34), 1.5, 0.3, guide, channels=True)


@pytest.mark.parametrize(
    ("image_lead", "guide_lead"), [((), (3,)), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 3), (2, 3))]
)
def test_leading_dimensions_broadcast(device, image_lead, guide_lead):
    check(device, planes(*image_lead, 10, 9), 1.0, 0.2, planes(*guide_lead, 10, 9, seed=1))
    check(device, planes(*image_lead, 2, 10, 9), 1.0, 0.2, planes(*guide_lead, 3, 10, 9, seed=1), channels=True)


@pytest.mark.parametrize("sigma_range", [1e-25, 1e-3, 0.02, 5.0, 1e6, 1e25])
def test_narrow_and_wide_ranges(device, sigma_range):
    check(device, planes(20, 30), 2.0, sigma_range)
    check(device, planes(20, 30), 1e-25, sigma_range, radius=2)
    check(device, planes(20, 30), 1e25, sigma_range, radius=2)


@views
def test_strided(device, view):
    image, guide = (view(planes(3, 64, 90, seed=i)) for i in range(2))
    check(device, image, 1.0, 0.2)
    check(device, image[:, :21], 1.0, 0.2, guide[:, :21])
    check(device, image[:3, :21], 1.0, 0.2, channels=True)


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 3, 3)])
def test_empty_batch(device, shape):
    empty = device.put(torch.zeros(shape))
    assert bilateral(empty, 1.0, 0.1).shape == shape
    assert bilateral(empty, 1.0, 0.1, channels=True).shape == shape


def test_bits_do_not_depend_on_the_batch(device):
    image = device.put(planes(7, 45, 50))
    assert torch.equal(bilateral(image, 1.0, 0.2)[4], bilateral(image[4], 1.0, 0.2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["image", "guide", "both"])
@pytest.mark.parametrize(("radius", "shape"), [(3, (40, 45)), (40, (83, 3))], ids=str)
def test_nan_stays_in_the_windows_that_hold_it(device, bad, where, radius, shape):
    image, guide = planes(*shape), planes(*shape, seed=1)
    at = shape[0] // 2 - 1, shape[1] // 2
    if where != "guide":
        image[at] = bad
    if where != "image":
        guide[at] = bad
    y, x = torch.meshgrid(*(torch.arange(n) - a for n, a in zip(shape, at, strict=True)), indexing="ij")
    hit = y**2 + x**2 <= radius**2
    out = bilateral(device.put(image), 2.0, 0.2, guide=device.put(guide), radius=radius, boundary="zero").cpu()
    assert out[~hit].isfinite().all()
    # A guide's infinity is unlike everything but itself, and so has no weight elsewhere.
    if math.isinf(bad) and where == "guide":
        hit[:] = False
    assert not out[hit].isfinite().any()


def test_a_pixel_is_like_itself(device):
    image = planes(9, 10)
    image[4, 5] = math.inf
    guide = planes(9, 10, seed=1)
    guide[4, 5] = math.inf
    out = bilateral(device.put(image), 1.0, 0.2, guide=device.put(guide)).cpu()
    exact = bilateral_reference(image, 1.0, 0.2, guide=guide)
    torch.testing.assert_close(out, exact, equal_nan=True)
    alone = bilateral(device.put(planes(9, 10)), 1.0, 0.2, guide=device.put(guide)).cpu()
    assert float(alone[4, 5]) == float(planes(9, 10)[4, 5])
