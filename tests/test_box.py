import math

import numpy as np
import pytest
import torch
from filter_cases import (
    BOUNDARIES,
    SIZES,
    assert_gradients_of_twin,
    assert_same_bits_everywhere,
    gradients,
    picture,
    relative_error,
    views,
)
from native_cases import assert_isa, assert_without_native, isas, needs_native
from scipy import ndimage

from imgrestore import _native
from imgrestore.ops import box, box_reference

ALL = (*BOUNDARIES, "shrink")


def assert_is_twin(image, radius, boundary="reflect"):
    out = box(image, radius, boundary=boundary)
    exact = box_reference(image.double(), radius, boundary=boundary)
    assert out.dtype == image.dtype
    assert out.shape == exact.shape
    assert relative_error(out.double(), exact) < 5e-7


@pytest.mark.parametrize("boundary", ALL)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_its_twin(size, boundary):
    for radius in [0, 1, 3, (0, 2), (4, 1), 8, (31, 15)]:
        assert_is_twin(picture(2, *size) - 0.2, radius, boundary)


@pytest.mark.parametrize("boundary", ALL)
def test_radius_much_larger_than_the_picture(boundary):
    for size, radius in [((5, 4), 40), ((1, 1), 100), ((70, 3), (2, 90)), ((3, 200), (77, 5)), ((130, 90), 300)]:
        assert_is_twin(picture(*size), radius, boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_is_scipys_uniform_filter(boundary):
    mode = "constant" if boundary == "zero" else boundary
    image = picture(13, 18, dtype=torch.float64)
    expected = ndimage.uniform_filter(image.numpy(), (5, 9), mode=mode)
    np.testing.assert_allclose(box_reference(image, (2, 4), boundary=boundary).numpy(), expected, rtol=1e-12)


def test_shrink_counts_only_the_pixels_inside():
    image = picture(9, 7, dtype=torch.float64)
    out = box_reference(image, (2, 3), boundary="shrink")
    for y in range(9):
        for x in range(7):
            window = image[max(y - 2, 0) : y + 3, max(x - 3, 0) : x + 4]
            assert abs(float(out[y, x] - window.mean())) < 1e-14


@pytest.mark.parametrize("shape", [(8192, 40), (40, 8192)], ids=str)
@pytest.mark.parametrize("radius", [2, 15, 200])
def test_rounding_does_not_add_up(shape, radius):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for image in (1e4 + noise, torch.full(shape, 1e4 / 3), 1e4 + 30 * noise.cumsum(int(shape[0] < shape[1])) / 90):
        for boundary in ("reflect", "shrink"):
            exact = box_reference(image.double(), radius, boundary=boundary)
            assert float(((box(image, radius, boundary=boundary) - exact) / exact).abs().max()) < 1e-6


def test_a_star_leaves_nothing_behind():
    image = torch.full((60, 70), 1e-3)
    image[30, 40] = 1e10
    out = box(image, 4)
    expected = torch.full_like(image, 1e-3)
    far = torch.ones(60, 70, dtype=torch.bool)
    far[26:35, 36:45] = False
    torch.testing.assert_close(out[far], expected[far], rtol=1e-6, atol=0)


@pytest.mark.parametrize("boundary", ["reflect", "zero"])
@pytest.mark.parametrize(("shape", "rows", "radius"), [((100, 50), [0], 1), ((10, 8), [0, 9], 3), ((30, 1), [2], 0)])
def test_even_rows_beside_bright_ones(shape, rows, radius, boundary):
    image = torch.ones(shape)
    image[rows] = torch.finfo(torch.float32).max / 1000
    clear = [r for r in range(shape[0]) if min(abs(r - bright) for bright in rows) > radius]
    wanted = box_reference(image.double(), radius, boundary=boundary)[clear]
    torch.testing.assert_close(box(image, radius, boundary=boundary)[clear].double(), wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("boundary", ["reflect", "shrink"])
@pytest.mark.parametrize("radius", [1, 4, 20])
def test_nan_stays_in_the_windows_that_hold_it(bad, boundary, radius):
    image = picture(90, 80)
    image[45, 41] = bad
    out = box(image, radius, boundary=boundary)
    hit = torch.zeros(90, 80, dtype=torch.bool)
    hit[45 - radius : 46 + radius, 41 - radius : 42 + radius] = True
    expected = torch.tensor(bad).expand(int(hit.sum()))
    torch.testing.assert_close(out[hit], expected, equal_nan=True)
    assert out[~hit].isfinite().all()


@views
def test_strided(view):
    assert_is_twin(view(picture(3, 64, 90)), (3, 5))


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 3, 3)])
def test_empty_batch(shape):
    assert box(torch.zeros(shape), 1).shape == shape
    assert box_reference(torch.zeros(shape), 1, boundary="shrink").shape == shape


def test_same_bits():
    for radius in (1, 8, 15, 70, (400, 2)):
        assert_same_bits_everywhere(lambda x, r=radius: box(x, r), (300, 280), (9, 64, 40), (1, 500, 260))


def test_bits_do_not_depend_on_the_batch():
    image = picture(7, 45, 50)
    if _native.available():
        assert torch.equal(box(image, 6)[4], box(image[4], 6))


@pytest.mark.parametrize("boundary", ALL)
def test_gradcheck(boundary):
    image = picture(2, 4, 3, dtype=torch.float64).requires_grad_()
    for radius in (1, (0, 5), (3, 2)):
        assert torch.autograd.gradcheck(lambda x, r=radius: box(x, r, boundary=boundary), image)


@needs_native
@pytest.mark.parametrize("boundary", ALL)
def test_gradients_are_those_of_the_twin(boundary):
    for size, radius in [((7, 9), 2), ((33, 20), (4, 1)), ((3, 2), (9, 12)), ((1, 6), 1)]:
        assert_gradients_of_twin(
            lambda x, r=radius: box(x, r, boundary=boundary),
            lambda x, r=radius: box_reference(x, r, boundary=boundary),
            picture(2, *size),
        )


@needs_native
def test_second_derivatives():
    image = picture(6, 7)
    found = []
    for function, x in ((box, image), (box_reference, image.double())):

        def slope(t, function=function):
            first = torch.autograd.grad((function(t, 2) ** 3).sum(), t, create_graph=True)[0]
            return first

        found.append(gradients(slope, [x])[0])
    assert relative_error(found[0].double(), found[1]) < 1e-5


@needs_native
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck(grad):
    box(picture(2, 2), 1)
    for shape in [(8, 6), (2, 1, 5, 9), (1, 1)]:
        torch.library.opcheck(torch.ops.imgrestore.box.default, (picture(*shape).requires_grad_(grad), 2, 1, 5))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": [[1.0]]}, TypeError, r"image: got list, expected a torch\.Tensor"),
        ({"image": torch.zeros(8, 6, dtype=torch.int32)}, TypeError, r"image: got dtype torch\.int32, expected"),
        ({"image": torch.zeros(6)}, ValueError, r"image: got shape \(6,\), expected at least 2 dimensions"),
        ({"image": torch.zeros(3, 0)}, ValueError, r"image: got shape \(3, 0\), expected no empty"),
        ({"radius": -1}, ValueError, "radius: got -1, expected a whole number from 0"),
        ({"radius": 1.5}, ValueError, r"radius: got 1\.5, expected a whole number from 0"),
        ({"radius": (1, 2, 3)}, ValueError, r"radius: got \(1, 2, 3\), expected a whole number or a pair"),
        ({"boundary": "symmetric"}, ValueError, "boundary: got 'symmetric', expected one of 'reflect'"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    with pytest.raises(error, match=message):
        box(**{"image": torch.zeros(8, 6), "radius": 1, **change})


CHILD = """
import torch
from imgrestore.ops import box, box_reference
generator = torch.Generator().manual_seed(3)
for h, w in [(1, 1), (2, 3), (40, 45), (64, 129), (9, 250), (150, 33)]:
    for radius in [0, 1, (2, 9), 25]:
        for boundary in ("reflect", "shrink", "wrap"):
            image = torch.rand(2, h, w, generator=generator)
            exact = box_reference(image.double(), radius, boundary=boundary)
            out = box(image, radius, boundary=boundary)
            assert (out - exact).abs().max() < 1e-6 * exact.abs().max(), (h, w, radius, boundary)
image = torch.rand(5, 75, generator=generator)
for radius in range(36):  # each length of a short window along a row is code of its own
    exact = box_reference(image.double(), (1, radius))
    assert (box(image, (1, radius)) - exact).abs().max() < 1e-6, radius
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
