import math

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
from scipy import ndimage

from imgrestore import _native
from imgrestore.ops import gaussian_taps, separable, separable_reference


def taps(count, seed=0, dtype=torch.float32):
    return picture(count, seed=seed, dtype=dtype) - 0.3


def assert_is_twin(image, row_taps, column_taps, **options):
    out = separable(image, row_taps, column_taps, **options)
    exact = separable_reference(image.double(), row_taps.double(), column_taps.double(), **options)
    assert out.dtype == image.dtype
    bound = float(row_taps.double().abs().sum() * column_taps.double().abs().sum())
    assert out.shape == exact.shape
    assert not out.numel() or float((out - exact).abs().max()) < 1e-6 * bound


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_its_twin(size, boundary):
    for n, m in [(1, 1), (3, 5), (2, 4), (7, 1), (1, 8), (23, 40)]:
        assert_is_twin(picture(2, *size), taps(n), taps(m, 1), boundary=boundary)
    smooth = gaussian_taps(2.0)
    assert_is_twin(picture(2, *size), smooth, smooth[4:-4], boundary=boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_kernels_much_longer_than_the_picture(boundary):
    assert_is_twin(picture(5, 4), taps(61), taps(44, 1), boundary=boundary)
    assert_is_twin(picture(1, 1), taps(33), taps(32, 1), boundary=boundary)
    assert_is_twin(picture(40, 2), gaussian_taps(9.0), gaussian_taps(30.0), boundary=boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("counts", [(5, 5), (4, 7), (3, 2), (30, 31)], ids=str)
def test_is_scipys_correlation(counts, boundary):
    mode = "constant" if boundary == "zero" else boundary
    image = picture(13, 18, dtype=torch.float64)
    row_taps, column_taps = taps(counts[0], dtype=torch.float64), taps(counts[1], 1, dtype=torch.float64)
    expected = ndimage.correlate1d(image.numpy(), column_taps.numpy(), 0, mode=mode)
    expected = ndimage.correlate1d(expected, row_taps.numpy(), 1, mode=mode)
    found = separable_reference(image, row_taps, column_taps, boundary=boundary)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_gaussian_taps_are_scipys():
    impulse = np.zeros(41)
    impulse[20] = 1
    expected = ndimage.gaussian_filter1d(impulse, 2.3)
    found = gaussian_taps(2.3, dtype=torch.float64).numpy()
    np.testing.assert_allclose(found, expected[expected > 0], rtol=1e-12)
    assert len(gaussian_taps(2.0, truncate=1.0)) == 5
    with pytest.raises(ValueError, match="sigma: got -1"):
        gaussian_taps(-1)


@views
def test_strided(view):
    image = view(picture(3, 64, 90))
    assert_is_twin(image, taps(5), taps(8, 1))
    wide = picture(40)
    assert_is_twin(image, wide[::3], wide[1::5])


@pytest.mark.parametrize("shape", [(0, 5, 6), (2, 0, 3, 3)])
def test_empty_batch(shape):
    assert separable(torch.zeros(shape), taps(3), taps(3)).shape == shape


def test_same_bits():
    filters = [(taps(9), taps(12, 1)), (gaussian_taps(4.0), gaussian_taps(2.0))]
    for row_taps, column_taps in filters:
        assert_same_bits_everywhere(lambda x, r=row_taps, c=column_taps: separable(x, r, c), (200, 300), (9, 64, 40))


def test_bits_do_not_depend_on_the_batch():
    image = picture(7, 45, 50)
    whole = separable(image, taps(9), taps(7, 1))
    if _native.available():
        assert torch.equal(whole[4], separable(image[4], taps(9), taps(7, 1)))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("symmetric", [False, True])
def test_nan_stays_in_the_windows_that_hold_it(bad, symmetric):
    row_taps, column_taps = (torch.ones(5), torch.ones(7)) if symmetric else (taps(5), taps(7, 1))
    image = picture(40, 50)
    image[20, 30] = bad
    out = separable(image, row_taps, column_taps)
    assert not out[17:24, 28:33].isfinite().any()
    out[17:24, 28:33] = 0
    assert out.isfinite().all()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradcheck(boundary):
    for n, m in [(3, 2), (4, 5), (1, 9)]:
        inputs = (picture(2, 4, 3), taps(n), taps(m, 1))
        inputs = tuple(x.double().requires_grad_() for x in inputs)
        assert torch.autograd.gradcheck(lambda *x: separable(*x, boundary=boundary), inputs)


@needs_native
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_are_those_of_the_twin(boundary):
    for size, n, m in [((7, 9), 3, 2), ((20, 33), 8, 5), ((3, 2), 9, 12), ((1, 6), 5, 4)]:
        assert_gradients_of_twin(
            lambda *x: separable(*x, boundary=boundary),
            lambda *x: separable_reference(*x, boundary=boundary),
            picture(2, *size),
            taps(n),
            taps(m, 1),
        )


@needs_native
def test_second_derivatives():
    inputs = [picture(6, 7).requires_grad_(), taps(3).requires_grad_(), taps(4, 1).requires_grad_()]
    found = []
    for function in (separable, separable_reference):
        x = [t.double() if function is separable_reference else t for t in inputs]
        first = torch.autograd.grad((function(*x) ** 2).sum(), x, create_graph=True)
        found.append(torch.autograd.grad(sum((g**2).sum() for g in first), x))
    for a, b in zip(*found, strict=True):
        assert relative_error(a.double(), b.double()) < 1e-4


@needs_native
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck(grad):
    separable(picture(2, 2), taps(1), taps(1))
    shapes = [(8, 6), (1, 1), (2, 1, 5, 9)]
    # With gradients the backward is traced in many ways, which takes seconds a case.
    for shape in shapes[-1:] if grad else shapes:
        arguments = [x.requires_grad_(grad) for x in (picture(*shape), taps(3), taps(2, 1))]
        torch.library.opcheck(torch.ops.imgrestore.separable.default, (*arguments, 2))


def test_compiles_and_maps():
    image = picture(3, 9, 8)
    row_taps, column_taps = taps(3), taps(4, 1)
    expected = separable(image, row_taps, column_taps)
    compiled = torch.compile(lambda x: separable(x, row_taps, column_taps), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(image), expected)
    torch.testing.assert_close(torch.func.vmap(lambda x: separable(x, row_taps, column_taps))(image), expected)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": [[1.0]]}, TypeError, r"image: got list, expected a torch\.Tensor"),
        ({"image": torch.zeros(8, 6, dtype=torch.uint8)}, TypeError, r"image: got dtype torch\.uint8, expected"),
        ({"image": torch.zeros(6)}, ValueError, r"image: got shape \(6,\), expected at least 2 dimensions"),
        ({"image": torch.zeros(0, 6)}, ValueError, r"image: got shape \(0, 6\), expected no empty"),
        ({"row_taps": [1.0]}, TypeError, r"row_taps: got list, expected a torch\.Tensor"),
        ({"row_taps": torch.zeros(3).double()}, TypeError, r"row_taps: got dtype torch\.float64, expected the image's"),
        ({"column_taps": torch.zeros(0)}, ValueError, r"column_taps: got shape \(0,\), expected one dimension"),
        ({"column_taps": torch.zeros(3, 1)}, ValueError, r"column_taps: got shape \(3, 1\), expected one dimension"),
        ({"column_taps": torch.zeros(3, device="meta")}, ValueError, "column_taps: got device meta, expected"),
        ({"boundary": "shrink"}, ValueError, "boundary: got 'shrink', expected one of 'reflect', 'nearest'"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {"image": torch.zeros(8, 6), "row_taps": torch.ones(3), "column_taps": torch.ones(3), **change}
    with pytest.raises(error, match=message):
        separable(**arguments)


CHILD = """
import torch
from imgrestore.ops import gaussian_taps, separable, separable_reference
generator = torch.Generator().manual_seed(3)
for h, w in [(1, 1), (2, 3), (40, 45), (64, 129), (9, 250)]:
    for n, m in [(1, 2), (5, 8), (19, 3)]:
        for boundary in ("reflect", "zero", "wrap"):
            image = torch.rand(2, h, w, generator=generator)
            for rows, columns in [(torch.rand(n, generator=generator), torch.rand(m, generator=generator)),
                                  (gaussian_taps(n / 4), gaussian_taps(m / 3))]:
                exact = separable_reference(image.double(), rows.double(), columns.double(), boundary=boundary)
                out = separable(image, rows, columns, boundary=boundary)
                assert (out - exact).abs().max() < 1e-6 * exact.abs().max(), (h, w, n, m, boundary)
"""


@needs_native
@isas
def test_every_instruction_set(isa):
    assert_isa(CHILD, isa)


def test_same_answers_without_native_code():
    assert_without_native(CHILD)
