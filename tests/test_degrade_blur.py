"""The blur forward model: PSFs, convolution, adjoint, noise."""

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from imgrestore.degrade import blur

SIZES = [(1, 1), (2, 3), (5, 5), (4, 6), (7, 2)]


def psf_of(size, seed=0):
    psf = np.random.default_rng(seed).random(size)
    return (psf / psf.sum()).astype(np.float32)


@pytest.mark.parametrize("kind", sorted(blur.KINDS))
def test_psfs_are_non_negative_sum_to_one_and_are_centred(kind):
    rng = np.random.default_rng(3)
    for _ in range(30):
        psf = blur.sample_psf(rng, kind)
        assert psf.dtype == np.float32
        assert psf.shape[0] == psf.shape[1] <= 41
        assert psf.shape[0] % 2 == 1
        assert psf.min() >= 0
        assert abs(psf.sum() - 1) < 1e-5
        yy, xx = np.indices(psf.shape) - psf.shape[0] // 2
        offset = np.hypot((psf * yy).sum(), (psf * xx).sum())
        assert offset < (1e-4 if kind in ("gaussian", "disk") else psf.shape[0] / 4 + 0.5)


def test_small_limits_are_kept():
    rng = np.random.default_rng(0)
    assert all(max(blur.sample_psf(rng, max_size=m).shape) <= m + 1 - m % 2 for m in (5, 6, 9, 15) for _ in range(40))


def test_sampling_is_reproducible():
    a, b = (blur.sample((3, 200, 200), np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(a.psf, b.psf)
    assert (a.sigma, a.gain, a.bits, a.seed) == (b.sigma, b.gain, b.bits, b.seed)
    clean = torch.rand(3, 200, 200)
    assert torch.equal(blur.apply(clean, a), blur.apply(clean, b))


def test_gaussian_psf_has_the_asked_width():
    psf = blur.gaussian_psf(2.0).astype(np.float64)
    offsets = np.arange(psf.shape[0]) - psf.shape[0] // 2
    # A pixel's own area adds 1/12 to the variance.
    assert (psf.sum(1) * offsets**2).sum() == pytest.approx(4 + 1 / 12, abs=0.05)


@pytest.mark.parametrize("size", SIZES)
def test_convolution_agrees_with_scipy(size):
    x, psf = np.random.default_rng(1).random((3, 23, 31)).astype(np.float32), psf_of(size)
    expected = np.stack([fftconvolve(plane, psf, mode="valid") for plane in x])
    ours = blur.apply(torch.from_numpy(x), blur.BlurParams(psf, sigma=0.0))
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_otf_follows_the_convention(size):
    x, psf = torch.rand(1, 1, 24, 30), torch.from_numpy(psf_of(size))
    periodic = torch.fft.irfft2(torch.fft.rfft2(x) * blur.otf(psf, (24, 30)), s=(24, 30))
    kh, kw = size
    top, left = kh - 1 - kh // 2, kw - 1 - kw // 2
    frame = periodic[..., top : top + 24 - kh + 1, left : left + 30 - kw + 1]
    torch.testing.assert_close(frame, blur.convolve_valid(x, psf), atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_adjoint_dot_product(size):
    psf = torch.from_numpy(psf_of(size)).double()
    x = torch.rand(2, 3, 20, 27, dtype=torch.float64)
    forward = blur.convolve_valid(x, psf)
    y = torch.rand_like(forward)
    assert float((forward * y).sum()) == pytest.approx(float((x * blur.adjoint(y, psf)).sum()), rel=1e-12)


def test_a_psf_for_each_picture():
    x = torch.rand(2, 3, 20, 20)
    psfs = torch.stack([torch.from_numpy(psf_of((5, 5), s)) for s in (0, 1)])
    each = torch.cat([blur.convolve_valid(x[i : i + 1], psfs[i]) for i in range(2)])
    torch.testing.assert_close(blur.convolve_valid(x, psfs), each, atol=1e-6, rtol=0)


def test_gradients_flow_through_noise_and_rounding():
    x = torch.rand(1, 1, 16, 16, dtype=torch.float64, requires_grad=True) * 0.5 + 0.25
    x.retain_grad()
    params = blur.BlurParams(psf_of((3, 3)), sigma=0.01, gain=0.001, bits=8)
    blur.apply(x, params).sum().backward()
    ones = torch.ones(1, 1, 14, 14, dtype=torch.float64)
    torch.testing.assert_close(x.grad, blur.adjoint(ones, torch.from_numpy(params.psf).double()))


def test_noise_level_and_levels_of_grey():
    clean, one = torch.full((1, 200, 200), 0.5), np.ones((1, 1), np.float32)
    noisy = blur.apply(clean, blur.BlurParams(one, sigma=0.02, gain=0.001, seed=5))
    assert float(noisy.std()) == pytest.approx((0.02**2 + 0.001 * 0.5) ** 0.5, rel=0.02)
    stored = blur.apply(clean, blur.BlurParams(one, sigma=0.4, bits=8)) * 255
    torch.testing.assert_close(stored, stored.round(), atol=1e-4, rtol=0)
    assert stored.min() == 0
    assert stored.max() == 255


def test_wrong_psfs_stay_psfs():
    rng = np.random.default_rng(0)
    for _ in range(20):
        psf = blur.centred(blur.sample_psf(rng), 41)
        wrong = blur.perturb_psf(psf, rng)
        assert wrong.shape == psf.shape
        assert wrong.min() >= 0
        assert abs(wrong.sum() - 1) < 1e-5
        assert 0 < np.abs(wrong - psf).sum() < 1.2


def test_centred_keeps_the_centre():
    for size in (3, 4):
        psf = np.zeros((size, size), np.float32)
        psf[size // 2, size // 2] = 1
        assert blur.centred(psf, 9)[4, 4] == 1
