"""Wiener: equal to its closed form, and close to the best balance."""

import numpy as np
import pytest
from conftest import observe, psnr
from scipy import ndimage

from imgrestore import Psf
from imgrestore.classical import wiener


def test_wiener_is_the_closed_form_under_a_periodic_boundary():
    observed, psf, balance = np.random.default_rng(0).random((20, 23)), Psf([[1, 2, 3], [0, 1, 1]]), 0.03
    kernel = np.zeros(observed.shape)
    kernel[:2, :3] = psf.array
    response = np.fft.fft2(np.roll(kernel, (-1, -1), (0, 1)))
    gradient = sum(
        4 * np.sin(np.pi * f) ** 2 for f in np.meshgrid(np.fft.fftfreq(20), np.fft.fftfreq(23), indexing="ij")
    )
    spectrum = np.conj(response) * np.fft.fft2(observed) / (np.abs(response) ** 2 + balance * gradient)
    assert np.allclose(wiener(observed, psf, balance, boundary="periodic"), np.fft.ifft2(spectrum).real, atol=1e-12)


def test_wiener_with_a_mask_minimises_what_it_says():
    rng = np.random.default_rng(0)
    observed, psf, balance, mask = rng.random((12, 13)), Psf(rng.random((3, 3))), 0.2, rng.random((12, 13)) > 0.1

    def cost(scene):
        residual = (ndimage.convolve(scene, psf.array, mode="wrap") - observed)[mask]
        slopes = [np.roll(scene, -1, axis) - scene for axis in (0, 1)]
        return (residual**2).sum() + balance * sum((s**2).sum() for s in slopes)

    best = cost(wiener(observed, psf, balance, boundary="periodic", mask=mask))
    rows = [np.eye(1, 156, i).reshape(12, 13) for i in range(156)]
    blur = np.stack([ndimage.convolve(r, psf.array, mode="wrap").ravel() for r in rows], 1)[mask.ravel()]
    slopes = [np.stack([(np.roll(r, -1, a) - r).ravel() for r in rows], 1) for a in (0, 1)]
    exact = np.linalg.solve(blur.T @ blur + balance * sum(s.T @ s for s in slopes), blur.T @ observed[mask])
    assert cost(exact.reshape(12, 13)) <= best <= 1.01 * cost(exact.reshape(12, 13))


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
@pytest.mark.parametrize("name", ["man", "buildings"])
def test_the_estimated_balance_is_within_a_decibel_of_the_best(photographs, name, noise):
    sharp, observed = observe(photographs[name], Psf.disk(3), 64, noise)
    best = max(psnr(wiener(observed, "disk:3", b), sharp) for b in np.logspace(-4, 1, 11))
    assert psnr(wiener(observed, "disk:3"), sharp) > best - 1
