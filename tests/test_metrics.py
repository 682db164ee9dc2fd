"""The scores: against scikit-image and against sums by hand."""

import numpy as np
import pytest
from skimage import data, metrics

from imgrestore.metrics import (
    MOST_DB,
    balanced_error,
    colour_fitted,
    intersection_over_union,
    psnr,
    psnr_fitted,
    ssim,
)

RNG = np.random.default_rng(0)
TRUTH = data.astronaut()[:64, 80:160] / 255.0
NOISY = TRUTH + RNG.normal(0, 0.1, TRUTH.shape)


def test_psnr_is_that_of_scikit_image_for_values_in_range():
    inside = NOISY.clip(0, 1)
    assert psnr(inside, TRUTH) == pytest.approx(metrics.peak_signal_noise_ratio(TRUTH, inside, data_range=1.0))


def test_results_are_clipped():
    assert psnr(NOISY, TRUTH) == psnr(NOISY.clip(0, 1), TRUTH)
    assert ssim(NOISY, TRUTH) == ssim(NOISY.clip(0, 1), TRUTH)
    assert psnr(NOISY, TRUTH) > metrics.peak_signal_noise_ratio(TRUTH, NOISY, data_range=1.0)


def test_integers_and_their_range():
    bytes_, truth = (np.round(p.clip(0, 1) * 255).astype(np.uint8) for p in (NOISY, TRUTH))
    assert psnr(bytes_, truth, data_range=255) == pytest.approx(psnr(bytes_ / 255, truth / 255))
    assert ssim(bytes_, truth, data_range=255) == pytest.approx(ssim(bytes_ / 255, truth / 255))


def test_equal_pictures():
    assert psnr(TRUTH, TRUTH) == MOST_DB
    assert ssim(TRUTH, TRUTH) == pytest.approx(1)


def test_ssim_of_gray_and_colour():
    gray = NOISY[..., 0].clip(0, 1)
    expected = metrics.structural_similarity(gray, TRUTH[..., 0], data_range=1.0)
    assert ssim(gray, TRUTH[..., 0]) == pytest.approx(expected)
    channels = [ssim(NOISY[..., c], TRUTH[..., c]) for c in range(3)]
    assert ssim(NOISY, TRUTH) == pytest.approx(np.mean(channels))


def test_only_chosen_pixels_count():
    spoiled = TRUTH.copy()
    spoiled[:8] = 1 - spoiled[:8]
    where = np.ones(TRUTH.shape[:2], bool)
    where[:8] = False
    assert psnr(spoiled, TRUTH) < 30
    assert psnr(spoiled, TRUTH, where=where) == MOST_DB


def test_the_fit_takes_exposure_and_colour_out():
    cast = TRUTH * [0.5, 0.8, 0.9] + [0.2, 0.05, 0.0]
    assert np.allclose(colour_fitted(cast, TRUTH), TRUTH)
    assert psnr(cast, TRUTH) < 20
    assert psnr_fitted(cast, TRUTH) > 100


def test_the_fit_is_least_squares():
    fitted = colour_fitted(NOISY, TRUTH)
    for c in range(3):
        gain, offset = np.polyfit(NOISY[..., c].ravel(), TRUTH[..., c].ravel(), 1)
        assert np.allclose(fitted[..., c], gain * NOISY[..., c] + offset)


def test_the_fit_of_an_even_picture_is_the_mean():
    even = np.full((8, 8), 0.3)
    truth = RNG.random((8, 8))
    assert np.allclose(colour_fitted(even, truth), truth.mean())


@pytest.mark.parametrize("score", [psnr, ssim, psnr_fitted])
def test_what_cannot_be_compared(score):
    with pytest.raises(ValueError, match=r"result has shape \(64, 80\), truth \(64, 80, 3\)"):
        score(TRUTH[..., 0], TRUTH)
    with pytest.raises(ValueError, match="NaN"):
        score(np.where(TRUTH > 0.5, np.nan, TRUTH), TRUTH)
    with pytest.raises(ValueError, match=r"shape \(4,\); expected \(H, W\)"):
        score(np.zeros(4), np.zeros(4))
    with pytest.raises(ValueError, match="complex128"):
        score(TRUTH + 0j, TRUTH)
    with pytest.raises(ValueError, match="data_range is 0"):
        score(TRUTH, TRUTH, data_range=0)


def test_bad_choices_of_pixels():
    with pytest.raises(ValueError, match="where has dtype float64"):
        psnr(TRUTH, TRUTH, where=np.ones(TRUTH.shape[:2]))
    with pytest.raises(ValueError, match="False everywhere"):
        psnr(TRUTH, TRUTH, where=np.zeros(TRUTH.shape[:2], bool))


def test_ssim_needs_a_window():
    with pytest.raises(ValueError, match="at least 7 pixels"):
        ssim(np.zeros((6, 20)), np.zeros((6, 20)))


def test_masks_are_compared():
    truth = np.zeros((10, 10), bool)
    truth[:4, :5] = True
    assert intersection_over_union(truth, truth) == 1
    assert balanced_error(truth, truth) == 0
    found = np.zeros_like(truth)
    found[:2, :10] = True
    assert intersection_over_union(found, truth) == pytest.approx(10 / 30)
    assert balanced_error(found, truth) == pytest.approx((10 / 20 + 10 / 80) / 2)
    assert balanced_error(~truth, truth) == 1


def test_empty_and_full_masks():
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert intersection_over_union(empty, empty) == 1
    assert intersection_over_union(full, empty) == 0
    assert balanced_error(empty, empty) == 0
    assert balanced_error(full, empty) == 1
    assert balanced_error(empty, full) == 1


@pytest.mark.parametrize("measure", [intersection_over_union, balanced_error])
def test_what_is_no_pair_of_masks_is_refused(measure):
    mask = np.zeros((3, 4), bool)
    with pytest.raises(TypeError, match="found has dtype uint8; expected bool"):
        measure(mask.astype(np.uint8), mask)
    with pytest.raises(TypeError, match="truth has dtype float64; expected bool"):
        measure(mask, mask.astype(float))
    with pytest.raises(ValueError, match=r"found has shape \(3, 4\), truth \(4, 3\); expected the same"):
        measure(mask, mask.T)
    with pytest.raises(ValueError, match="not empty"):
        measure(mask[:0], mask[:0])
