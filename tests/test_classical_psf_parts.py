"""The parts of `estimate_psf`: spectra, sketches, the kernel step, and what judges them."""

import cv2
import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from skimage import data

from imgrestore import Psf
from imgrestore.classical import psf_judge, psf_steps
from imgrestore.classical.psf_polyblur import edge_gaussian
from imgrestore.classical.psf_spectrum import (
    Spectrum,
    disk_power,
    gaussian_power,
    kernel_power,
    motion_power,
)


@pytest.fixture(scope="module")
def scene():
    return data.camera()[60:316, 100:356] / 255


def spectrum_of(picture, noise=0.003):
    return Spectrum.of(picture, np.ones(picture.shape, bool), noise)


@pytest.mark.parametrize(
    ("psf", "power"),
    [
        (Psf.gaussian((1.0, 2.5), angle=25), lambda n: gaussian_power(n, 2.5, 1.0, 25)),
        (Psf.disk(4.3), lambda n: disk_power(n, 4.3)),
        (Psf.motion(11, 160), lambda n: motion_power(n, 11, 160)),
    ],
)
def test_formulas_have_the_spectra_of_the_psfs(psf, power):
    seen, formula = kernel_power(128, psf.array), power(128)
    assert np.sqrt(np.square(seen - formula).mean()) < 0.015


def test_kernel_power_folds_a_kernel_larger_than_the_window():
    kernel = np.random.default_rng(0).random((70, 20))
    folded = kernel[:64].copy()
    folded[:6] += kernel[64:]
    assert np.allclose(kernel_power(64, kernel), np.abs(np.fft.rfft2(folded, (64, 64))) ** 2)


def test_the_true_blur_explains_the_spectrum_best(scene):
    picture = fftconvolve(scene, Psf.disk(3).array, mode="valid")
    spectrum = spectrum_of(picture + np.random.default_rng(0).normal(0, 0.003, picture.shape))
    misfits = [spectrum.misfit(disk_power(spectrum.size, radius)) for radius in (2.0, 2.5, 3.0, 3.5, 4.0)]
    assert np.argmin(misfits) == 2
    assert misfits[2] < 0.7 * spectrum.without_blur


def test_spectrum_leaves_windows_with_bad_pixels_out(scene):
    good = np.ones(scene.shape, bool)
    good[:40, :40] = False
    spoiled = scene.copy()
    spoiled[:40, :40] = 7
    spectrum, clean = Spectrum.of(spoiled, good, 0.003), Spectrum.of(scene, good, 0.003)
    assert np.allclose(spectrum.log_power, clean.log_power)
    assert Spectrum.of(scene, np.zeros(scene.shape, bool), 0.003) is None


def test_a_thinned_spectrum_stands_for_the_whole(scene):
    spectrum = spectrum_of(scene)
    power = gaussian_power(spectrum.size, 1.2)
    assert spectrum.thinned(5).misfit(power) == pytest.approx(spectrum.misfit(power), rel=0.15)


def test_blurs_fitted_side_by_side_are_fitted_as_alone(scene):
    spectrum = spectrum_of(scene).thinned(3)
    powers = [gaussian_power(128, 0.7), disk_power(128, 6), motion_power(128, 30, 20), np.zeros((128, 65))]
    together, numbers = spectrum.fits(np.stack(powers))
    for power, cost, found in zip(powers, together, numbers, strict=True):
        alone, its = spectrum.fit(power)
        assert cost == pytest.approx(alone, rel=1e-9)
        assert np.allclose(found, its, rtol=1e-6, atol=1e-6)
    assert np.ptp(together) > 100


def test_towards_edges_leaves_the_divergence_of_steep_gradients():
    plane = torch.rand(7, 10, generator=torch.Generator().manual_seed(0))
    across, along = plane.roll(-1, 1) - plane, plane.roll(-1, 0) - plane
    steep = across.square() + along.square() >= 0.3
    assert 0 < steep.sum() < steep.numel()
    across, along = across * steep, along * steep
    wanted = across.roll(1, 1) - across + along.roll(1, 0) - along
    assert torch.allclose(psf_steps.towards_edges(plane, 0.3), wanted, atol=1e-6)


def test_the_kernel_step_finds_the_kernel_between_a_scene_and_its_picture(scene):
    kernel = np.zeros((9, 9))
    kernel[2, 1:7] = [1, 2, 3, 3, 2, 1]
    kernel[3:7, 6] = [2, 1, 1, 1]
    kernel /= kernel.sum()
    periodic = psf_steps.periodic(torch.from_numpy(scene).float(), 9)
    wide = torch.nn.functional.pad(
        torch.from_numpy(kernel).float(), (0, periodic.shape[1] - 9, 0, periodic.shape[0] - 9)
    )
    otf = torch.fft.rfft2(wide.roll((-4, -4), (0, 1)))
    picture = torch.fft.irfft2(torch.fft.rfft2(periodic) * otf, s=periodic.shape)
    found = psf_steps.kernel_step(periodic, picture, 9, torch.ones_like(periodic), ridge=1e-4, steps=400)
    assert np.abs(found.numpy() - kernel).max() < 0.02


def test_a_sketch_has_few_edges_and_explains_the_picture(scene):
    picture = psf_steps.periodic(torch.from_numpy(scene).float(), 15)
    flat = torch.ones(picture.shape[0], picture.shape[1] // 2 + 1, dtype=torch.complex64)
    sketch = psf_steps.sketch(picture, flat, 1e-2)

    def edges(plane):
        return float(((plane - plane.roll(1, 0)).abs() + (plane - plane.roll(1, 1)).abs() > 0.02).float().mean())

    assert edges(sketch) < 0.75 * edges(picture)
    assert float((sketch - picture).square().mean().sqrt()) < 0.05


def test_periodic_goes_on_into_the_other_side():
    picture = torch.linspace(0, 1, 50)[:, None].expand(50, 40).contiguous()
    drawn = psf_steps.periodic(picture, 11)
    assert torch.equal(drawn[:50, :40], picture)
    assert float((drawn - drawn.roll(1, 0)).abs().max()) < 0.2


def test_what_bad_pixels_reach_counts_only_where_little_else_is_left():
    picture, good = torch.rand(80, 80), torch.ones(80, 80, dtype=torch.bool)
    good[40, 40] = False
    of_few = psf_steps.Level.of(picture, good, 21).weight
    assert float(of_few[35, 35]) == 0
    assert float(of_few[25, 25]) > 0
    of_all = psf_steps.Level.of(picture, good, 21, away=0.95).weight
    assert float(of_all[35, 35]) > 0
    assert float(of_all[40, 40]) == 0


def test_an_oblong_psf_has_its_middle_at_the_origin():
    psf = torch.zeros(3, 7)
    psf[1, 3] = 1
    assert torch.allclose(psf_steps.otf(psf, (16, 20)), torch.ones(16, 11, dtype=torch.complex64), atol=1e-6)


def test_pruning_leaves_the_pieces_that_hold_light():
    psf = torch.zeros(15, 15)
    psf[5:8, 5:8] = 1.0
    psf[13, 13] = 0.3  # a loose pixel with little light
    psf[1, 1] = -1.0
    psf[6, 10] = 0.01  # faint
    pruned = psf_steps.pruned(psf)
    assert torch.equal(pruned > 0, psf >= 1)
    assert float(pruned.sum()) == pytest.approx(1)
    assert float(psf_steps.pruned(-psf.abs()).max()) == 1


def test_recentring_brings_the_centroid_to_the_middle():
    psf = torch.zeros(11, 11)
    psf[1:3, 8:10] = 0.25
    moved = psf_steps.recentred(psf)
    assert moved[5:7, 5:7].sum() + moved[4:6, 4:6].sum() > 0.24
    assert float(moved.sum()) == pytest.approx(1)
    rows = (moved.sum(1) * torch.arange(11)).sum()
    assert abs(float(rows) - 5) <= 0.5


def test_usefulness_prefers_long_edges_to_fine_texture():
    picture = torch.zeros(64, 64)
    picture[:, 32:] = 1
    picture[20:44, 4:20] = torch.from_numpy(np.random.default_rng(0).random((24, 16))).float()
    useful = psf_steps.usefulness(picture)
    assert float(useful[30, 31]) == 1
    assert float(useful[30, 8:16].mean()) < 0.9


def test_a_picture_is_never_steeper_than_its_own_blur_allows():
    scene = np.zeros((96, 96))
    scene[:, 48:] = 1
    scene[20:40, 20:30] = 1
    for psf in (Psf.gaussian(1.5), Psf.disk(3), Psf.motion(9, 20)):
        picture = fftconvolve(scene, psf.array, mode="valid")
        assert psf_judge.steepness(picture, 0.0, psf) <= 1.01
    assert psf_judge.steepness(scene, 0.0, Psf.disk(3)) > 2


def test_light_that_was_cut_off_does_not_count_as_steep():
    lamp = np.zeros((96, 96))
    lamp[40:50, 40:50] = 50
    picture = fftconvolve(lamp, Psf.disk(3).array, mode="same")
    good = picture < 1
    picture = np.minimum(picture, 1)
    assert psf_judge.steepness(picture, 0.0, Psf.disk(3)) > 1.5
    assert psf_judge.steepness(picture, 0.0, Psf.disk(3), good) < 0.5


def test_a_psf_that_is_too_wide_makes_the_scene_overshoot(scene):
    picture = torch.from_numpy(fftconvolve(np.clip(3 * scene - 1, 0, 1), Psf.gaussian(1.5).array, mode="valid")).float()
    good = torch.ones(picture.shape, dtype=torch.bool)
    true, wide = (psf_judge.overshoot(picture, good, 0.005, Psf.gaussian(s)) for s in (1.5, 2.5))
    assert wide > 5 * true


def test_likeness_does_not_see_shifts():
    psf = Psf(np.random.default_rng(0).random((7, 5)))
    moved = Psf(np.pad(psf.array, ((4, 0), (1, 6))))
    assert psf_judge.likeness(psf, moved) == pytest.approx(1)
    assert psf_judge.likeness(Psf.motion(15, 0), Psf.motion(15, 90)) < 0.3


def test_edges_tell_a_mild_gaussian():
    scene = np.zeros((128, 128), np.float32)
    for top, left in ((10, 20), (40, 70), (80, 30)):
        cv2.circle(scene, (left, top), 14, 1.0, -1, cv2.LINE_AA)
    picture = fftconvolve(scene, Psf.gaussian((1.0, 2.0), angle=0).array, mode="same").astype(np.float32)
    wide, narrow, angle = edge_gaussian(picture)
    assert wide > 1.4 * narrow
    assert wide == pytest.approx(2.0, rel=0.4)
    assert narrow == pytest.approx(1.0, rel=0.4)
    assert min(angle, 180 - angle) < 20
