import math

import pytest
import torch
from filter_cases import (
    SIZES,
    assert_gradients_of_twin,
    assert_same_bits_everywhere,
    picture,
    relative_error,
    views,
)
from native_cases import assert_isa, assert_without_native, isas, needs_native

from imgrestore import _native
from imgrestore.ops import box, guided, guided_reference


def assert_is_twin(image, guide, radius, eps, channels=False, tolerance=2e-5):
    out = guided(image, guide, radius, eps, channels=channels)
    exact = guided_reference(image.double(), guide.double(), radius, eps, channels=channels)
    assert out.dtype == image.dtype
    assert out.shape == exact.shape
    assert relative_error(out.double(), exact) < tolerance


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_its_twin(size):
    image, guide, colors = picture(2, *size), picture(2, *size, seed=1), picture(2, 3, *size, seed=2)
    for radius, eps in [(0, 1e-2), (1, 1e-3), (3, 1e-2), (8, 1e-4), (20, 0.1)]:
        assert_is_twin(image, guide, radius, eps)
        assert_is_twin(image, image, radius, eps)
        assert_is_twin(image[:, None], colors, radius, eps, channels=True, tolerance=1e-4)


def test_radius_much_larger_than_the_picture():
    for size in [(5, 4), (1, 1), (40, 3), (3, 90)]:
        assert_is_twin(picture(*size), picture(*size, seed=1), 100, 1e-2)
        assert_is_twin(picture(*size), picture(3, *size, seed=1), 100, 1e-2, channels=True)


def test_means_of_windows_cut_off_at_the_edge():
    image, guide, r, eps = picture(7, 6).double(), picture(7, 6, seed=1).double(), 2, 0.05
    a, b, out = torch.zeros(3, 7, 6, dtype=torch.float64)

    def window(x, i, j):
        return x[max(i - r, 0) : i + r + 1, max(j - r, 0) : j + r + 1]

    for i in range(7):
        for j in range(6):
            p, g = window(image, i, j), window(guide, i, j)
            a[i, j] = ((g * p).mean() - g.mean() * p.mean()) / (g.var(correction=0) + eps)
            b[i, j] = p.mean() - a[i, j] * g.mean()
    for i in range(7):
        for j in range(6):
            out[i, j] = window(a, i, j).mean() * guide[i, j] + window(b, i, j).mean()
    torch.testing.assert_close(guided_reference(image, guide, r, eps), out)


def test_three_equal_channels_are_one_with_a_third_of_eps():
    image, guide = picture(20, 30), picture(20, 30, seed=1)
    three = guided(image, guide.expand(3, 20, 30), 3, 0.03, channels=True)
    torch.testing.assert_close(three, guided(image, guide, 3, 0.01), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("eps", [1e-6, 1e-4])
def test_a_color_guide_that_is_nearly_gray(noise, eps):
    gray = box(picture(60, 70, seed=1), 2)
    guide = gray.expand(3, 60, 70) + noise * picture(3, 60, 70, seed=2)
    assert_is_twin(picture(60, 70), guide, 2, eps, channels=True, tolerance=1e-3)


@pytest.mark.parametrize(
    ("image_lead", "guide_lead"), [((), (3,)), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 3), (2, 3))]
)
def test_leading_dimensions_broadcast(image_lead, guide_lead):
    assert_is_twin(picture(*image_lead, 20, 18), picture(*guide_lead, 20, 18, seed=1), 2, 1e-2)
    if image_lead:
        colors = picture(*guide_lead, 3, 20, 18, seed=1)
        assert_is_twin(picture(*image_lead, 5, 20, 18), colors, 2, 1e-2, channels=True)
        assert_is_twin(picture(20, 18), colors, 2, 1e-2, channels=True)


@views
def test_strided(view):
    image, guide = view(picture(3, 64, 90)), view(picture(3, 64, 90, seed=1))
    assert_is_twin(image, guide, 3, 1e-2)
    assert_is_twin(image, guide[0], 3, 1e-2)
    assert_is_twin(image, guide[0].expand(3, -1, -1), 3, 1e-2, channels=True)


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 3, 3)])
def test_empty_batch(shape):
    assert guided(torch.zeros(shape), torch.zeros(shape), 1, 0.1).shape == shape
    assert guided(torch.zeros(shape), torch.zeros(3, *shape[-2:]), 1, 0.1, channels=True).shape == shape
    assert guided_reference(torch.zeros(shape), torch.zeros(shape), 1, 0.1).shape == shape


@needs_native
@pytest.mark.parametrize("level", [100.0, 1e4])
def test_a_high_level_does_not_drown_the_variance(level):
    image, guide = level + picture(90, 80), level + picture(90, 80, seed=1)
    exact = guided_reference(image.double(), guide.double(), 4, 1e-2)
    assert float((guided(image, guide, 4, 1e-2) - exact).abs().max()) < 3e-7 * level + 3e-5
    colors = level + picture(3, 90, 80, seed=1)
    exact = guided_reference(image.double(), colors.double(), 4, 1e-2, channels=True)
    assert float((guided(image, colors, 4, 1e-2, channels=True) - exact).abs().max()) < 3e-7 * level + 1e-4


def test_even_pictures_stay():
    for value in (0.0, 0.3, 1e4):
        image = torch.full((30, 40), value)
        torch.testing.assert_close(guided(image, image, 3, 1e-8), image)


def test_same_bits():
    guide = picture(300, 280, seed=7)
    assert_same_bits_everywhere(lambda x: guided(x, guide, 5, 1e-2), (300, 280), (5, 300, 280))
    assert_same_bits_everywhere(lambda x: guided(x, x, 20, 1e-2), (300, 280), (9, 64, 40))
    assert_same_bits_everywhere(lambda x: guided(x, x, 2, 1e-2, channels=True), (3, 130, 150))


def test_bits_do_not_depend_on_the_batch():
    image = picture(7, 45, 50)
    if _native.available():
        assert torch.equal(guided(image, image, 3, 0.1)[4], guided(image[4], image[4], 3, 0.1))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["image", "guide", "both"])
def test_nan_stays_in_the_windows_that_hold_it(bad, where):
    image, guide = picture(60, 70), picture(60, 70, seed=1)
    for name, x in (("image", image), ("guide", guide)):
        if where in (name, "both"):
            x[30, 40] = bad
    out = guided(image, guide, 3, 1e-2)
    hit = torch.zeros(60, 70, dtype=torch.bool)
    hit[24:37, 34:47] = True
    assert not out[hit].isfinite().any()
    assert out[~hit].isfinite().all()


def test_a_star_leaves_nothing_behind():
    clean, r = 1e-3 * picture(70, 61), 3
    star = clean.clone()
    star[30, 40] = 1e9
    far = torch.ones(70, 61, dtype=torch.bool)
    far[30 - 2 * r : 31 + 2 * r, 40 - 2 * r : 41 + 2 * r] = False
    out, expected = guided(star, clean, r, 1e-8), guided_reference(clean.double(), clean.double(), r, 1e-8)
    assert float((out - expected).abs()[far].max()) < 1e-7


@pytest.mark.parametrize("channels", [False, True])
def test_gradcheck(channels):
    image = picture(2, 4, 3, dtype=torch.float64).requires_grad_()
    guide = picture(*((3,) if channels else ()), 4, 3, dtype=torch.float64, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, g: guided(x, g, 1, 0.1, channels=channels), (image, guide))


@needs_native
def test_gradients_are_those_of_the_twin():
    for shapes, channels in [(((9, 8), (9, 8)), False), (((2, 9, 8), (9, 8)), False), (((2, 9, 8), (3, 9, 8)), True)]:
        assert_gradients_of_twin(
            lambda x, g, c=channels: guided(x, g, 2, 0.05, channels=c),
            lambda x, g, c=channels: guided_reference(x, g, 2, 0.05, channels=c),
            picture(*shapes[0]),
            picture(*shapes[1], seed=1),
            tolerance=1e-4,
        )
    assert_gradients_of_twin(
        lambda x: guided(x, x, 2, 0.05), lambda x: guided_reference(x, x, 2, 0.05), picture(9, 8), tolerance=1e-4
    )


@needs_native
def test_second_derivatives_of_a_picture_that_guides_itself():
    found = []
    for function, x in ((guided, picture(6, 7)), (guided_reference, picture(6, 7).double())):
        x.requires_grad_()
        first = torch.autograd.grad((function(x, x, 1, 0.1) ** 2).sum(), x, create_graph=True)[0]
        found.append(torch.autograd.grad((first**2).sum(), x)[0])
    assert relative_error(found[0].double(), found[1]) < 1e-3


@needs_native
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck(grad):
    guided(picture(2, 2), picture(2, 2), 1, 0.1)
    cases = [((8, 6), (8, 6), False), ((2, 1, 5, 9), (3, 5, 9), False), ((2, 4, 5), (3, 4, 5), True)]
    # With gradients the backward is traced in many ways, which takes seconds a case.
    for shape, guide, channels in cases[-1:] if grad else cases:
        arguments = (picture(*shape).requires_grad_(grad), picture(*guide).requires_grad_(grad), 2, 0.1, channels)
        torch.library.opcheck(torch.ops.imgrestore.guided.default, arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": [[1.0]]}, TypeError, r"image: got list, expected a torch\.Tensor"),
        ({"guide": torch.zeros(8, 6).double()}, TypeError, r"guide: got dtype torch\.float64, expected the image's"),
        ({"guide": torch.zeros(6)}, ValueError, r"guide: got shape \(6,\), expected at least 2 dimensions"),
        ({"guide": torch.zeros(8, 5)}, ValueError, r"guide: got shape \(8, 5\), expected it to end in \(8, 6\)"),
        ({"guide": torch.zeros(5, 8, 6)}, ValueError, r"guide: got leading dimensions \(5,\), expected them to"),
        ({"guide": torch.zeros(2, 8, 6), "channels": True}, ValueError, r"guide: got shape .* expected 3 channels"),
        ({"radius": -2}, ValueError, "radius: got -2, expected a whole number from 0"),
        ({"eps": 0.0}, ValueError, r"eps: got 0\.0, expected a finite number above 0"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"image": torch.zeros(2, 8, 6), "guide": torch.zeros(8, 6), "radius": 1, "eps": 0.1, **change}
    with pytest.raises(error, match=message):
        guided(**arguments)


CHILD = """
import torch
from imgrestore.ops import box, guided, guided_reference
generator = torch.Generator().manual_seed(3)
for h, w in [(1, 1), (2, 3), (40, 45), (64, 129), (9, 250)]:
    for radius in [0, 1, 5, 30]:
        image, guide = torch.rand(2, 2, h, w, generator=generator)
        colors = torch.rand(3, h, w, generator=generator)
        for g, channels in ((guide, False), (image, False), (colors, True)):
            exact = guided_reference(image.double(), g.double(), radius, 1e-2, channels=channels)
            out = guided(image, g, radius, 1e-2, channels=channels)
            assert (out - exact).abs().max() < 1e-4, (h, w, radius, channels)
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
