"""The estimated noise is the noise that was added."""

import numpy as np
import pytest
import torch
from conftest import observe

from imgrestore import Psf, estimate_noise

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("sigma", [1e-6, 0.01, 3.0, 1e4])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_noise_alone_is_measured_within_a_twentieth(sigma, offset):
    assert estimate_noise(offset * sigma + RNG.normal(0, sigma, (96, 96))) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("psf", [Psf.gaussian(1.5), Psf.gaussian(3), Psf.disk(4)], ids=["gauss", "wide", "disk"])
@pytest.mark.parametrize("sigma", [0.003, 0.01, 0.05])
@pytest.mark.parametrize("name", ["man", "buildings"])
def test_noise_of_blurred_photographs_is_measured_within_a_tenth(photographs, name, sigma, psf):
    _, observed = observe(photographs[name], psf, 90, sigma)
    assert estimate_noise(observed) == pytest.approx(sigma, rel=0.1)


def test_planes_and_ramps_are_no_noise():
    rows, columns = np.indices((40, 50))
    assert estimate_noise(3.0 + 0.5 * rows - 0.25 * columns) < 1e-6


def test_each_channel_has_its_own_noise():
    sigmas = np.array([0.01, 0.05, 0.2])
    noisy = RNG.normal(0, 1, (90, 90, 3)) * sigmas
    assert np.allclose(estimate_noise(noisy), sigmas, rtol=0.1)
    assert np.allclose(estimate_noise(torch.from_numpy(noisy).permute(2, 0, 1)), sigmas, rtol=0.1)
    assert np.allclose(
        estimate_noise(np.concatenate([noisy, noisy], -1), channel_axis=-1), [*sigmas, *sigmas], rtol=0.1
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_noise_is_in_the_units_of_the_picture(dtype):
    sigma = np.iinfo(dtype).max / 30
    noisy = RNG.normal(np.iinfo(dtype).max / 2, sigma, (90, 90)).astype(dtype)
    assert estimate_noise(noisy) == pytest.approx(sigma, rel=0.05)


def test_alpha_is_not_asked():
    noisy = RNG.normal(0.5, 0.01, (60, 60, 4))
    noisy[..., 3] = RNG.random((60, 60))
    assert estimate_noise(noisy).shape == (3,)
    assert estimate_noise(noisy).max() < 0.012


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_pixels_do_not_count(bad):
    noisy = RNG.normal(100, 2.0, (96, 96))
    noisy[RNG.random((96, 96)) < 0.03] = bad
    noisy[:30] = bad
    assert estimate_noise(noisy) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (2, 50), (50, 2)])
def test_too_small_to_tell_is_zero(shape):
    assert estimate_noise(RNG.random(shape)) == 0


def test_where_every_neighbourhood_is_damaged_it_is_zero():
    noisy = RNG.random((9, 9))
    noisy[1::2, 1::2] = np.nan
    noisy[::3] = np.nan
    assert estimate_noise(noisy) == 0


def test_a_constant_picture_has_none():
    assert estimate_noise(np.full((20, 20), 7, np.uint8)) == 0


@pytest.mark.parametrize("shape", [(30, 30), (30, 30, 3)])
def test_one_number_without_channels_and_one_for_each_with_them(shape):
    sigma = estimate_noise(RNG.random(shape))
    assert isinstance(sigma, float) if len(shape) == 2 else sigma.shape == (3,)
