import math

import pytest
import torch
from device_cases import assert_is_twin, kernels_of, planes
from executor import needs_executor
from filter_cases import views

from imgrestore.ops import box, guided, guided_reference

pytestmark = needs_executor


def check(device, image, guide, radius, eps, channels=False, tolerance=None):
    """To what the CPU's kernel is held to: what the solve makes of rounding is more where eps is less."""
    return assert_is_twin(
        device,
        lambda x, g: guided(x, g, radius, eps, channels=channels),
        lambda x, g: guided_reference(x, g, radius, eps, channels=channels),
        image,
        guide,
        tolerance=tolerance or (1e-4 if channels else 2e-5),
    )


def check_self(device, image, radius, eps):
    return assert_is_twin(
        device,
        lambda x: guided(x, x, radius, eps),
        lambda x: guided_reference(x, x, radius, eps),
        image,
        tolerance=2e-5,
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (5, 16), (33, 70)], ids=str)
@pytest.mark.parametrize(("radius", "eps"), [(0, 1e-2), (1, 1e-3), (3, 1e-2), (8, 1e-4), (16, 0.1), (17, 0.1)])
def test_is_its_twin(device, size, radius, eps):
    image, guide, colors = planes(2, *size), planes(2, *size, seed=1), planes(2, 3, *size, seed=2)
    check(device, image, guide, radius, eps)
    check_self(device, image, radius, eps)
    check(device, image[:, None], colors, radius, eps, channels=True)


@pytest.mark.parametrize("channels", [False, True])
def test_kernels(device, channels):
    image, guide = planes(9, 8), planes(3, 9, 8) if channels else planes(9, 8, seed=1)
    short = kernels_of(device, lambda: guided(image, guide, 16, 0.1, channels=channels))
    assert short in (["guided_levels", "guided_fit", "guided_blend"], None)
    long = kernels_of(device, lambda: guided(image, guide, 17, 0.1, channels=channels))
    assert long is None or (long[0] == "guided_levels" and "sum_down" in long and "guided_fit" not in long)


def test_radius_much_larger_than_the_picture(device):
    for size in [(5, 4), (1, 1), (40, 3), (3, 90)]:
        check(device, planes(*size), planes(*size, seed=1), 100, 1e-2)
        check(device, planes(*size), planes(3, *size, seed=1), 100, 1e-2, channels=True)


def test_windows_that_share_groups_of_rows(device):
    check(device, planes(2, 140, 2), planes(140, 2, seed=1), 400, 1e-2)
    check_self(device, planes(2, 140, 2), 400, 1e-2)


def test_pictures_wider_than_a_tile(device):
    image, guide, colors = planes(3, 2200), planes(3, 2200, seed=1), planes(3, 3, 2200, seed=2)
    check(device, image, guide, 40, 1e-2)
    check(device, image, guide, 4, 1e-2)
    check_self(device, image, 40, 1e-2)
    check(device, image, colors, 40, 1e-2, channels=True)


def test_more_planes_than_are_done_at_a_time(device):
    image, guide, colors = planes(5, 20, 30), planes(5, 20, 30, seed=1), planes(2, 3, 20, 30, seed=2)
    for radius in (2, 17):
        check(device, image, guide, radius, 1e-2)
        check_self(device, image, radius, 1e-2)
        check(device, image[:2, None], colors, radius, 1e-2, channels=True)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("eps", [1e-6, 1e-4])
@pytest.mark.parametrize("radius", [2, 20])
def test_a_color_guide_that_is_nearly_gray(device, noise, eps, radius):
    gray = box(device.put(planes(40, 70, seed=1)), 2).cpu()
    guide = gray.expand(3, 40, 70) + noise * planes(3, 40, 70, seed=2)
    check(device, planes(40, 70), guide, radius, eps, channels=True, tolerance=1e-3)


@pytest.mark.parametrize(
    ("image_lead", "guide_lead"), [((), (3,)), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 3), (2, 3))]
)
@pytest.mark.parametrize("radius", [2, 17])
def test_leading_dimensions_broadcast(device, image_lead, guide_lead, radius):
    check(device, planes(*image_lead, 8, 7), planes(*guide_lead, 8, 7, seed=1), radius, 1e-2)
    if image_lead and (radius == 2 or len(image_lead) != len(guide_lead)):
        colors = planes(*guide_lead, 3, 8, 7, seed=1)
        check(device, planes(*image_lead, 2, 8, 7), colors, radius, 1e-2, channels=True)
        check(device, planes(8, 7), colors, radius, 1e-2, channels=True)


@views
@pytest.mark.parametrize("radius", [3, 17])
def test_strided(device, view, radius):
    image, guide = (view(planes(3, 64, 90, seed=i))[:, :21, :20] for i in range(2))
    check(device, image, guide, radius, 1e-2)
    check(device, image, guide[0], radius, 1e-2)
    check(device, image[0], guide[0].expand(3, -1, -1), radius, 1e-2, channels=True)


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 3, 3)])
def test_empty_batch(device, shape):
    empty = device.put(torch.zeros(shape))
    assert guided(empty, empty, 1, 0.1).shape == shape
    assert guided(empty, device.put(torch.zeros(3, *shape[-2:])), 1, 0.1, channels=True).shape == shape


@pytest.mark.parametrize("level", [100.0, 1e4])
@pytest.mark.parametrize("radius", [4, 20])
def test_a_high_level_does_not_drown_the_variance(device, level, radius):
    image, guide, colors = (level + planes(*s, 45, 80, seed=i) for i, s in enumerate([(), (), (3,)]))
    for g, channels, more in ((guide, False, 3e-5), (image, False, 3e-5), (colors, True, 1e-4)):
        exact = guided_reference(image.double(), g.double(), radius, 1e-2, channels=channels)
        out = guided(device.put(image), device.put(g), radius, 1e-2, channels=channels).cpu()
        assert float((out - exact).abs().max()) < 3e-7 * level + more


def test_even_pictures_stay(device):
    for value in (0.0, 0.3, 1e4):
        for radius in (3, 20):
            image = device.put(torch.full((30, 40), value))
            torch.testing.assert_close(guided(image, image, radius, 1e-8), image)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["image", "guide", "both"])
@pytest.mark.parametrize("radius", [3, 17])
def test_nan_stays_in_the_windows_that_hold_it(device, bad, where, radius):
    image, guide = planes(90, 80), planes(90, 80, seed=1)
    for name, x in (("image", image), ("guide", guide)):
        if where in (name, "both"):
            x[45, 40] = bad
    out = guided(device.put(image), device.put(guide), radius, 1e-2).cpu()
    hit = torch.zeros(90, 80, dtype=torch.bool)
    hit[45 - 2 * radius : 46 + 2 * radius, 40 - 2 * radius : 41 + 2 * radius] = True
    assert not out[hit].isfinite().any()
    assert out[~hit].isfinite().all()


def test_all_nan(device):
    image = torch.full((20, 30), math.nan)
    assert guided(device.put(image), device.put(planes(20, 30)), 3, 0.1).isnan().all()


@pytest.mark.parametrize("r", [3, 17])
@pytest.mark.parametrize("where", [(45, 40), (47, 42)], ids=str)  # the second is looked at for the level
def test_a_star_leaves_nothing_behind(device, r, where):
    clean = 1e-3 * planes(90, 80)
    star = clean.clone()
    star[where] = 1e9
    far = torch.ones(90, 80, dtype=torch.bool)
    y, x = where
    far[max(y - 2 * r, 0) : y + 1 + 2 * r, max(x - 2 * r, 0) : x + 1 + 2 * r] = False
    out = guided(device.put(star), device.put(clean), r, 1e-8).cpu()
    expected = guided_reference(clean.double(), clean.double(), r, 1e-8)
    assert float((out - expected).abs()[far].max()) < 1e-7


def test_bits_do_not_depend_on_the_batch(device):
    image = device.put(planes(7, 45, 50))
    for radius in (3, 20):  # several planes at a time
        assert torch.equal(guided(image, image, radius, 0.1)[4], guided(image[4], image[4], radius, 0.1))
