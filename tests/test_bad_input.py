"""Every bad argument gets one clear error that names it."""

import numpy as np
import pytest
import torch

from imgrestore import Psf, deblur, estimate_noise
from imgrestore.classical import hyper_laplacian, richardson_lucy, total_variation, wiener

CALLS = [deblur, wiener, richardson_lucy, total_variation, hyper_laplacian]
GOOD = np.random.default_rng(0).random((16, 17))

by_call = pytest.mark.parametrize("call", CALLS, ids=lambda c: c.__name__)


@by_call
@pytest.mark.parametrize(
    ("psf", "error", "message"),
    [
        (np.zeros((3, 3)), ValueError, "psf is zero everywhere"),
        (np.full((3, 3), np.nan), ValueError, "psf has NaN or infinite values"),
        (np.array([[1, np.inf]]), ValueError, "psf has NaN or infinite values"),
        (np.array([[1.0, -1.0]]), ValueError, "psf has negative values"),
        (np.ones((17, 3)), ValueError, r"psf is larger than the picture: \(17, 3\) against \(16, 17\) pixels"),
        (np.ones((3, 18)), ValueError, "psf is larger than the picture"),
        (np.ones(3), ValueError, r"psf has shape \(3,\)"),
        (np.ones((1, 1, 1, 3, 3)), ValueError, r"psf has shape \(1, 1, 1, 3, 3\)"),
        (np.ones((3, 3), complex), TypeError, "psf has dtype complex128"),
        (torch.ones(3, 3, dtype=torch.complex64), TypeError, "psf has dtype complex64"),
        (np.ones((0, 0)), ValueError, "psf is empty"),
        ([], ValueError, "psf has shape"),
        (object(), TypeError, "psf has dtype object"),
        ([[1, 2], [3]], ValueError, "psf is no array"),
        ("disk", ValueError, "psf 'disk': expected gaussian:SIGMA"),
        ("disk:0", ValueError, "radius is 0"),
        ("nowhere.npy", FileNotFoundError, r"nowhere\.npy"),
    ],
    ids=lambda value: "object" if type(value) is object else str(value),
)
def test_psf(call, psf, error, message):
    with pytest.raises(error, match=message):
        call(GOOD, psf)


@by_call
def test_a_psf_of_three_axes_wants_a_stack(call):
    with pytest.raises(ValueError, match=r"image has shape \(16, 17\); expected at least 3 axes"):
        call(GOOD, np.ones((3, 3, 3)))


def test_without_a_psf_a_picture_too_small_to_tell_its_blur_comes_back_with_the_reason():
    for arguments in ((), (None,)):
        result = deblur(GOOD, *arguments, details=True)
        assert np.array_equal(result.image, GOOD)
        assert "the blur cannot be told: less than 32 pixels across" in result.notes


BAD_IMAGES = [
    (np.ones((0, 5)), ValueError, "image is empty"),
    (np.full((9, 9), np.nan), ValueError, "image has no finite pixel"),
    (torch.full((1, 9, 9), torch.inf), ValueError, "image has no finite pixel"),
    (np.ones((9, 9), np.int32), TypeError, "image has dtype int32"),
    (np.ones((9, 9), np.int64), TypeError, "image has dtype int64"),
    (np.ones((9, 9), bool), TypeError, "image has dtype bool"),
    (np.ones((9, 9), complex), TypeError, "image has dtype complex128"),
    (np.full((9, 9), None), TypeError, "image has dtype object"),
    (torch.ones(9, 9, dtype=torch.int64), TypeError, "image has dtype int64"),
    (np.array([["a"]]), TypeError, "image has dtype str"),
    ([[1.0, 2.0]], TypeError, "image is a list"),
    ("cat.png", TypeError, "image is a str"),
    (None, TypeError, "image is a NoneType"),
    (np.ma.masked_array(np.ones((9, 9))), TypeError, "image is a masked array"),
    (np.ones(9), ValueError, r"image has shape \(9,\)"),
    (np.ones((9, 9, 9)), ValueError, "say channel_axis"),
    (np.ones((2, 9, 9, 3)), ValueError, "say channel_axis"),
]


@pytest.mark.parametrize("call", [*CALLS, estimate_noise], ids=lambda c: c.__name__)
@pytest.mark.parametrize(("image", "error", "message"), BAD_IMAGES, ids=[m for *_, m in BAD_IMAGES])
def test_image(call, image, error, message):
    with pytest.raises(error, match=message):
        call(image) if call is estimate_noise else call(image, "disk:1")


@by_call
def test_a_single_pixel_is_smaller_than_a_psf(call):
    with pytest.raises(ValueError, match=r"psf is larger than the picture: \(5, 5\) against \(1, 1\) pixels"):
        call(np.ones((1, 1)), "disk:2")


@by_call
@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones((17, 16), bool), ValueError, r"mask has shape \(17, 16\); expected \(16, 17\)"),
        (np.ones((16, 17), np.uint8), TypeError, "mask has dtype uint8; expected bool"),
        (np.ones((16, 17)), TypeError, "mask has dtype float64"),
        (np.zeros((16, 17), bool), ValueError, "mask leaves no pixel to fit"),
        ("good", TypeError, "mask has dtype str"),
        (True, ValueError, r"mask has shape \(\)"),
    ],
    ids=str,
)
def test_mask(call, mask, error, message):
    with pytest.raises(error, match=message):
        call(GOOD, "disk:2", mask=mask)


@by_call
def test_a_mask_that_leaves_only_nan_leaves_nothing(call):
    image = GOOD.copy()
    image[:8] = np.nan
    with pytest.raises(ValueError, match="mask leaves no pixel to fit"):
        call(image, "disk:2", mask=np.isnan(image))


@pytest.mark.parametrize("call", [deblur, wiener, total_variation, hyper_laplacian], ids=lambda c: c.__name__)
@pytest.mark.parametrize("noise", [-1, float("nan"), float("inf"), "low", [0.1], True])
def test_noise(call, noise):
    with pytest.raises(ValueError, match=r"noise is .*; expected a number that is 0 or more"):
        call(GOOD, "disk:2", noise=noise)


@pytest.mark.parametrize("method", ["best", "", None, "TV"])
def test_method(method):
    with pytest.raises(ValueError, match=r"method is .*; expected one of auto, wiener, rl, tv, hyperlaplacian"):
        deblur(GOOD, "disk:2", method=method)


@by_call
@pytest.mark.parametrize("boundary", ["wrap", None, 0])
def test_boundary(call, boundary):
    with pytest.raises(ValueError, match=r"boundary is .*; expected one of unknown, zero, reflect, periodic"):
        call(GOOD, "disk:2", boundary=boundary)


@by_call
@pytest.mark.parametrize("axis", [3, -4, "last", 1.5])
def test_channel_axis(call, axis):
    with pytest.raises(ValueError, match=r"channel_axis is .*; expected an axis of image"):
        call(np.ones((16, 17, 3)), "disk:2", channel_axis=axis)


@by_call
def test_errors_leave_the_arguments_as_they_are(call):
    image, psf = GOOD.copy(), Psf.disk(2)
    with pytest.raises(ValueError, match="boundary"):
        call(image, psf, boundary="wrap")
    assert np.array_equal(image, GOOD)
