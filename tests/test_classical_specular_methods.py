"""The published ways to separate highlights, on bodies of which everything is known."""

import numpy as np
import pytest
import torch
from specular_cases import GREEN, body, bump, coded, error

from imgrestore.classical import separate_by_bilateral, separate_by_ratio, separate_highlights, specular_free
from imgrestore.classical.specular_bilateral import beside

METHODS = [separate_by_ratio, separate_by_bilateral]
ALL = [*METHODS, specular_free]
RED = (0.6, 0.25, 0.1)


def two_paints(side=128):
    """A shaded ball, its left half red and its right half green."""
    return np.where(np.arange(side)[:, None] < side // 2, body(RED, side), body(GREEN, side))


def diffuse(method, image, **settings):
    result = method(image, **settings)
    return result if method is specular_free else result[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("transfer", ["linear", "srgb"])
def test_a_highlight_goes(method, transfer):
    clean, shine = two_paints(), bump(peak=0.3, x=0.35)
    as_coded = coded if transfer == "srgb" else np.asarray
    truth, observed = as_coded(clean), as_coded(clean + shine)
    below, specular = method(observed, transfer=transfer)
    assert error(below, truth) < 0.25 * error(observed, truth)
    assert np.abs(below + specular - observed).max() < 1e-6
    assert specular.min() >= 0


def test_the_specular_free_image_does_not_see_highlights():
    lamp = np.array([1.2, 1.0, 0.8], np.float32)
    clean = two_paints()
    observed = clean + bump(peak=0.3, x=0.35) * lamp
    before, after = (specular_free(light, illuminant=tuple(lamp), transfer="linear") for light in (clean, observed))
    strong = (clean / lamp).min(axis=2) < 0.6 * (clean / lamp).max(axis=2)
    assert strong.mean() > 0.5
    assert error(after, before) < 0.1 * error(observed, clean)
    assert np.all(after <= observed)


@pytest.mark.parametrize("method", ALL)
def test_neutral_things_and_black_stay(method):
    image = two_paints()
    image[10:40, 10:40] = (0.80, 0.78, 0.75)
    image[90:120, 90:120] = np.linspace(0, 1, 30)[:, None, None]
    image[60:64] = 0
    result = diffuse(method, image, transfer="linear")
    for where in (np.s_[10:40, 10:40], np.s_[90:120, 90:120], np.s_[60:64]):
        assert np.array_equal(result[where], image[where])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("image", [np.zeros((1, 1, 3)), np.full((1, 1, 3), RED), np.full((2, 500, 3), GREEN)])
def test_pictures_of_one_colour_stay(method, image):
    below, specular = method(image)
    assert np.abs(below - image).max() < 1e-6
    assert np.array_equal(below + specular, image)


@pytest.mark.parametrize("method", ALL)
def test_odd_pictures(method):
    rng = np.random.default_rng(0)
    for shape, scale in [((1, 1, 3), 1), ((1, 600, 3), 1), ((3, 2, 3), 1e4), ((40, 30, 3), 1e-9)]:
        image = rng.normal(0.3, 0.4, shape) * scale
        result = diffuse(method, image, transfer="srgb")
        assert result.shape == shape
        assert result.dtype == image.dtype
        assert np.isfinite(result).all()
        assert np.all(result <= image)
        assert np.all(result >= np.minimum(image, 0) - 1e-5 * scale)


@pytest.mark.parametrize("method", METHODS)
def test_paints_are_learnt_from_outside_of_the_mask(method):
    """The shine covers most of a paint of which a little is seen beside the mask."""
    clean = np.full((96, 96, 3), GREEN, np.float32)
    shine, mask = np.zeros((96, 96, 1), np.float32), np.zeros((96, 96), bool)
    shine[12:84, 12:84], mask[8:88, 8:88] = 0.2, True
    below = method(clean + shine, transfer="linear", mask=mask)[0]
    assert error(below, clean) < 0.1 * error(clean + shine, clean)


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_bounds_what_changes(method):
    observed = two_paints() + bump(peak=0.3, x=0.35) + bump(peak=0.3, x=0.7)
    mask = np.zeros((128, 128), bool)
    mask[:, :70] = True
    below = method(observed, transfer="linear", mask=mask)[0]
    assert np.array_equal(below[~mask], observed[~mask])
    assert np.abs(below - observed)[mask].max() > 0.2


def test_the_ratio_is_learnt_outside_of_the_mask():
    clean = np.broadcast_to(np.float32(GREEN), (60, 60, 3)).copy()
    observed = clean.copy()
    observed[:, :50] += 0.2
    mask = np.zeros((60, 60), bool)
    mask[:, :50] = True
    assert error(separate_by_ratio(observed, transfer="linear", mask=mask)[0], clean) < 0.01
    assert error(separate_by_ratio(observed, transfer="linear")[0], clean) > 0.1


def test_large_pictures_are_filtered_in_a_copy():
    clean = two_paints(700)
    observed = clean + bump(peak=0.3, side=700, x=0.35)
    assert error(separate_by_bilateral(observed, transfer="linear")[0], clean) < 0.25 * error(observed, clean)


def test_paints_of_other_hue_are_kept_apart():
    """Without the darkest channel the largest chromaticity of both is 0.75, and the green is much the purer."""
    image = np.where(np.arange(96)[:, None] < 48, np.float32([0.55, 0.35, 0.25]), np.float32([0.1, 0.3, 0]))
    image = np.repeat(image[None], 96, axis=0)
    below = separate_by_bilateral(image, transfer="linear")[0]
    assert np.abs(below - image).max() < 1e-3


@pytest.mark.parametrize("method", ALL)
def test_tensors_are_as_arrays(method):
    observed = two_paints() + bump(peak=0.3, x=0.35)
    tensor = torch.from_numpy(observed).movedim(-1, 0).double()
    result = diffuse(method, tensor)
    assert result.dtype == torch.float64
    np.testing.assert_allclose(result.movedim(0, -1).numpy(), diffuse(method, observed), atol=1e-6)


@pytest.mark.parametrize("method", [*ALL, separate_highlights])
@pytest.mark.parametrize(
    ("image", "settings", "error", "message"),
    [
        ([[[0.5, 0.2, 0.1]]], {}, TypeError, "image is of type list"),
        (np.zeros((8, 8, 3), np.uint8), {}, TypeError, "expected floating point"),
        (np.zeros((8, 8)), {}, ValueError, "expected three channels"),
        (np.zeros((0, 8, 3)), {}, ValueError, "expected at least one pixel"),
        (np.full((8, 8, 3), np.nan), {}, ValueError, "values that are not finite"),
        (np.zeros((8, 8, 3)), {"transfer": "gamma"}, ValueError, "transfer is 'gamma'"),
        (np.zeros((8, 8, 3)), {"illuminant": (1, 0, 1)}, ValueError, "illuminant is"),
    ],
)
def test_bad_input(method, image, settings, error, message):
    with pytest.raises(error, match=message):
        method(image, **settings)


def test_faint_light_beside_a_highlight_goes_too():
    clean = body(GREEN) * 0.8
    observed = clean + bump(peak=0.4, width=0.03) + bump(peak=0.03, width=0.1)
    without = clean + bump(peak=0.03, width=0.1)
    result = beside(observed, without)
    assert error(result, clean) < 0.6 * error(without, clean)
    assert np.all(result <= without)
    assert beside(observed, observed) is observed


def test_faint_light_is_left_where_paints_differ():
    rng = np.random.default_rng(0)
    paints = np.asarray(GREEN) + rng.uniform(0, 0.2, (128, 128, 1))
    clean = paints.astype(np.float32)
    assert error(beside(clean + bump(peak=0.4, width=0.03), clean), clean) < 1e-4
