import math

import cv2
import numpy as np
import pytest
import torch
from filter_cases import (
    BOUNDARIES,
    SIZES,
    assert_gradients_of_twin,
    assert_same_bits_everywhere,
    picture,
    relative_error,
    views,
)
from native_cases import assert_isa, assert_without_native, isas, needs_native

from imgrestore import _native
from imgrestore.ops import bilateral, bilateral_reference


def assert_is_twin(image, sigma_space, sigma_range, guide=None, **options):
    out = bilateral(image, sigma_space, sigma_range, guide=guide, **options)
    wide = guide if guide is None else guide.double()
    exact = bilateral_reference(image.double(), sigma_space, sigma_range, guide=wide, **options)
    assert out.dtype == image.dtype
    assert out.shape == exact.shape
    assert relative_error(out.double(), exact) < 2e-6


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_its_twin(size, boundary):
    image, guide = picture(2, *size), picture(2, *size, seed=1)
    for radius, sigma_range in [(0, 0.1), (1, 0.3), (2, 0.05), (4, 0.2)]:
        assert_is_twin(image, 1.7, sigma_range, radius=radius, boundary=boundary)
    assert_is_twin(image, 1.7, 0.2, guide, radius=3, boundary=boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_radius_larger_than_the_picture(boundary):
    for size in [(3, 4), (1, 1), (40, 2)]:
        assert_is_twin(picture(*size), 6.0, 0.3, radius=9, boundary=boundary)
        assert_is_twin(picture(*size), 6.0, 0.3, radius=7, boundary=boundary)


@pytest.mark.parametrize("radius", [7, 8, 9, 13])
def test_wide_disks(radius):
    assert_is_twin(picture(50, 300), radius / 2, 0.2, radius=radius)
    assert_is_twin(picture(3, 30, 140), radius / 2, 0.2, radius=radius, channels=True)


@pytest.mark.parametrize("radius", [1, 2, 3, 4, 5])
def test_pictures_done_in_parts(radius):
    assert_is_twin(picture(140, 1050), 1.5, 0.2, radius=radius)
    assert_is_twin(picture(70, 530), 1.5, 0.2, picture(70, 530, seed=1), radius=radius)


@pytest.mark.parametrize(("c", "d"), [(3, None), (1, None), (4, None), (3, 1), (1, 3), (5, 2)])
def test_channels(c, d):
    guide = None if d is None else picture(2, d, 21, 34, seed=1)
    assert_is_twin(picture(2, c, 21, 34), 2.0, 0.3, guide, channels=True)


@pytest.mark.parametrize(
    ("image_lead", "guide_lead"), [((), (3,)), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 3), (2, 3))]
)
def test_leading_dimensions_broadcast(image_lead, guide_lead):
    assert_is_twin(picture(*image_lead, 20, 18), 1.0, 0.2, picture(*guide_lead, 20, 18, seed=1))


@pytest.mark.parametrize("sigma_range", [1e-25, 1e-3, 0.02, 0.2, 5.0, 1e6, 1e25])
def test_narrow_and_wide_ranges(sigma_range):
    assert_is_twin(picture(40, 50), 2.0, sigma_range)


def test_default_radius():
    image = picture(20, 20)
    assert torch.equal(bilateral(image, 2.0, 0.1), bilateral(image, 2.0, 0.1, radius=3))
    assert torch.equal(bilateral(image, 0.2, 0.1), bilateral(image, 0.2, 0.1, radius=1))


@pytest.mark.parametrize("d", [3, 5, 9])
def test_is_opencvs_filter(d):
    image = picture(64, 80)
    expected = cv2.bilateralFilter(image.numpy(), d, 0.2, 2.0, borderType=cv2.BORDER_REFLECT)
    # OpenCV interpolates its table of weights.
    np.testing.assert_allclose(bilateral(image, 2.0, 0.2, radius=d // 2).numpy(), expected, atol=1e-4)


@views
def test_strided(view):
    image, guide = view(picture(3, 64, 90)), view(picture(3, 64, 90, seed=1))
    assert_is_twin(image, 1.5, 0.2)
    assert_is_twin(image, 1.5, 0.2, guide)
    assert_is_twin(image, 1.5, 0.2, channels=True)


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 3, 3)])
def test_empty_batch(shape):
    assert bilateral(torch.zeros(shape), 1.0, 0.1).shape == shape
    assert bilateral(torch.zeros(shape), 1.0, 0.1, channels=True).shape == shape


def test_same_bits():
    for radius in (2, 9):
        assert_same_bits_everywhere(lambda x, r=radius: bilateral(x, 2.0, 0.2, radius=r), (150, 280), (9, 20, 40))
    assert_same_bits_everywhere(lambda x: bilateral(x, 2.0, 0.2, channels=True), (3, 150, 280))


def test_bits_do_not_depend_on_the_batch():
    image = picture(7, 45, 50)
    if _native.available():
        assert torch.equal(bilateral(image, 1.0, 0.2)[4], bilateral(image[4], 1.0, 0.2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["image", "guide", "both"])
@pytest.mark.parametrize("radius", [3, 9])
def test_nan_stays_in_the_windows_that_hold_it(bad, where, radius):
    image, guide = picture(60, 70), picture(60, 70, seed=1)
    if where != "guide":
        image[30, 40] = bad
    if where != "image":
        guide[30, 40] = bad
    y, x = torch.meshgrid(torch.arange(60) - 30, torch.arange(70) - 40, indexing="ij")
    hit = y**2 + x**2 <= radius**2
    out = bilateral(image, 2.0, 0.2, guide=guide, radius=radius)
    assert out[~hit].isfinite().all()
    # A guide's infinity is unlike everything but itself, and so has no weight elsewhere.
    if math.isinf(bad) and where == "guide":
        hit[:] = False
    assert not out[hit].isfinite().any()


@pytest.mark.parametrize("channels", [False, True])
def test_gradcheck(channels):
    image = picture(2, 4, 3, dtype=torch.float64).requires_grad_()
    guide = picture(2, 4, 3, dtype=torch.float64, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: bilateral(x, 1.0, 0.4, radius=1, channels=channels), image)
    joint = (image, guide)
    assert torch.autograd.gradcheck(lambda x, g: bilateral(x, 1.0, 0.4, guide=g, radius=2, channels=channels), joint)


@needs_native
@pytest.mark.parametrize("channels", [False, True])
def test_gradients_are_those_of_the_twin(channels):
    def own(x, function):
        return function(x, 1.0, 0.3, channels=channels)

    def joint(x, g, function):
        return function(x, 1.0, 0.3, guide=g, channels=channels)

    image, guide = picture(2, 9, 8), picture(2, 9, 8, seed=1)
    for form, inputs in ((own, [image]), (joint, [image, guide])):
        assert_gradients_of_twin(
            lambda *x, f=form: f(*x, bilateral), lambda *x, f=form: f(*x, bilateral_reference), *inputs
        )


@needs_native
def test_second_derivatives():
    found = []
    for function, x in ((bilateral, picture(6, 7)), (bilateral_reference, picture(6, 7).double())):
        x.requires_grad_()
        first = torch.autograd.grad((function(x, 1.0, 0.5) ** 2).sum(), x, create_graph=True)[0]
        found.append(torch.autograd.grad((first**2).sum(), x)[0])
    assert relative_error(found[0].double(), found[1]) < 1e-4


@needs_native
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck(grad):
    bilateral(picture(2, 2), 1.0, 0.1)
    cases = [((8, 6), (8, 6), False), ((2, 1, 5, 9), (3, 5, 9), False), ((2, 4, 5), (1, 4, 5), True)]
    # With gradients the backward is traced in many ways, which takes seconds a case.
    for shape, guide, channels in cases[-1:] if grad else cases:
        tensors = (picture(*shape).requires_grad_(grad), picture(*guide).requires_grad_(grad))
        torch.library.opcheck(torch.ops.imgrestore.bilateral.default, (*tensors, 1.0, 0.3, 1, 0, channels))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": [[1.0]]}, TypeError, r"image: got list, expected a torch\.Tensor"),
        ({"image": torch.zeros(8, 6).half()}, TypeError, r"image: got dtype torch\.float16, expected"),
        ({"channels": True}, ValueError, r"image: got shape \(8, 6\), expected at least 3 dimensions"),
        ({"guide": torch.zeros(8, 6).double()}, TypeError, r"guide: got dtype torch\.float64, expected the image's"),
        ({"guide": torch.zeros(6, 8)}, ValueError, r"guide: got shape \(6, 8\), expected it to end in \(8, 6\)"),
        ({"sigma_space": 0}, ValueError, "sigma_space: got 0, expected a finite number above 0"),
        ({"sigma_range": math.nan}, ValueError, "sigma_range: got nan, expected a finite number above 0"),
        ({"radius": 2.0}, ValueError, r"radius: got 2\.0, expected a whole number from 0"),
        ({"boundary": "shrink"}, ValueError, "boundary: got 'shrink', expected one of 'reflect'"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"image": torch.zeros(8, 6), "sigma_space": 1.0, "sigma_range": 0.1, **change}
    with pytest.raises(error, match=message):
        bilateral(**arguments)


CHILD = """
import torch
from imgrestore.ops import bilateral, bilateral_reference
generator = torch.Generator().manual_seed(3)
for h, w in [(1, 1), (2, 3), (40, 45), (30, 150)]:
    for radius in [0, 1, 5, 9]:
        image, guide = torch.rand(2, 2, h, w, generator=generator)
        for g, channels in ((None, False), (guide, False), (guide, True)):
            options = {"radius": radius, "channels": channels}
            exact = bilateral_reference(image.double(), 2.0, 0.2, guide=None if g is None else g.double(), **options)
            out = bilateral(image, 2.0, 0.2, guide=g, **options)
            assert (out - exact).abs().max() < 2e-6, (h, w, radius, channels)
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
