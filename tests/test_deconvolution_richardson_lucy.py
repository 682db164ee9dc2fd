"""Richardson-Lucy: light is kept and positive, likelihood grows, and steps stop in time."""

import numpy as np
import pytest
from conftest import psnr
from deconvolution_cases import BOUNDARIES, variation
from scipy import ndimage, signal
from skimage import restoration

from imgrestore import Psf
from imgrestore.classical import richardson_lucy


def likelihood(scene, observed, psf):
    """Of Poisson counts under a periodic boundary, but for a constant."""
    expected = ndimage.convolve(scene, psf.array, mode="wrap") + 1e-12
    return (observed * np.log(expected) - expected).sum()


@pytest.mark.parametrize("shape", [(24, 31), (9, 12, 11)])
@pytest.mark.parametrize("num_iter", [1, 10, 30])
def test_richardson_lucy_is_that_of_scikit_image(shape, num_iter):
    rng = np.random.default_rng(0)
    psf = rng.random((5, 3) if len(shape) == 2 else (3, 5, 3))
    observed = rng.random(shape)
    wanted = restoration.richardson_lucy(observed, psf / psf.sum(), num_iter, clip=False)
    found = richardson_lucy(observed, psf, num_iter, boundary="zero", accelerate=False)
    assert np.abs(found - wanted).max() < 1e-5 * wanted.max()


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("accelerate", [True, False])
def test_richardson_lucy_is_positive(case, boundary, accelerate):
    observed = case[1] - 0.1  # below 0 here and there
    result = richardson_lucy(observed, "disk:2", 20, boundary=boundary, accelerate=accelerate)
    assert observed.min() < 0 <= result.min()


@pytest.mark.parametrize("accelerate", [True, False])
def test_richardson_lucy_keeps_all_light_under_a_periodic_boundary(accelerate):
    observed = np.random.default_rng(0).random((32, 33)) * 1000
    result = richardson_lucy(observed, "motion:7:20", 15, boundary="periodic", accelerate=accelerate)
    assert result.sum() == pytest.approx(observed.sum(), rel=1e-9)


@pytest.mark.parametrize("boundary", ["unknown", "zero", "reflect"])
def test_richardson_lucy_keeps_the_light_of_a_star(boundary):
    observed = np.zeros((48, 48))
    observed[24, 20] = 5000.0
    observed = signal.convolve(observed, Psf.gaussian(1.5).array, mode="same") + 2
    result = richardson_lucy(observed, "gaussian:1.5", 50, boundary=boundary, background=2)
    assert result[20:29, 16:25].sum() == pytest.approx(5000, rel=0.01)


def test_acceleration_reaches_the_likelihood_of_many_plain_steps():
    psf = Psf.gaussian(2)
    scene = np.random.default_rng(0).random((48, 48)) ** 8 * 1000
    observed = np.random.default_rng(1).poisson(ndimage.convolve(scene, psf.array, mode="wrap")).astype(float)

    def reached(num_iter, accelerate):
        result = richardson_lucy(observed, psf, num_iter, boundary="periodic", accelerate=accelerate)
        return likelihood(result, observed, psf)

    few, many, accelerated = reached(22, False), reached(100, False), reached(22, True)
    assert many - accelerated < 0.03 * (many - few)


def test_plain_steps_never_lower_the_likelihood():
    psf, observed = Psf.disk(2), np.random.default_rng(0).random((32, 32))
    results = [richardson_lucy(observed, psf, n, boundary="periodic", accelerate=False) for n in range(1, 9)]
    values = [likelihood(r, observed, psf) for r in results]
    assert values == sorted(values)


def test_the_tv_weight_lowers_total_variation(case):
    values = [variation(richardson_lucy(case[1], "disk:2", 40, tv_weight=w)) for w in (0, 0.005, 0.03)]
    assert values[0] > 2 * values[1] > 2 * values[2]


def test_the_tv_weight_helps_against_noise(case):
    sharp, observed = case
    plain, smooth = (richardson_lucy(observed, "disk:2", 50, tv_weight=w) for w in (0, 0.01))
    assert psnr(smooth, sharp) > psnr(plain, sharp) + 5


def test_the_background_is_taken_off():
    scene = np.zeros((32, 32))
    scene[10, 12] = scene[20, 22] = 900.0
    observed = ndimage.convolve(scene, Psf.gaussian(1).array, mode="wrap") + 50
    result = richardson_lucy(observed, "gaussian:1", 100, boundary="periodic", background=50)
    assert result.sum() == pytest.approx(1800, rel=0.02)
    assert np.median(result) < 0.1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_background_is_in_the_units_of_the_picture(dtype):
    observed = np.random.default_rng(0).integers(60, 200, (24, 24)).astype(dtype)
    wanted = richardson_lucy(observed.astype(np.float32), "disk:2", 5, background=50.0)
    assert np.abs(richardson_lucy(observed, "disk:2", 5, background=50).astype(float) - wanted).max() <= 0.51


def test_the_discrepancy_stops_before_noise_is_amplified(case):
    sharp, observed = case
    stopped, noisy = (richardson_lucy(observed, "disk:2", 200, stop=s) for s in ("discrepancy", None))
    assert psnr(stopped, sharp) > psnr(noisy, sharp) + 3
    assert np.array_equal(stopped, richardson_lucy(observed, "disk:2", 500, stop="discrepancy"))


@pytest.mark.parametrize("level", [0.018, 0.013])
@pytest.mark.parametrize("accelerate", [True, False])
def test_it_stops_at_the_first_residual_at_the_level_given(case, level, accelerate):
    def blur(scene):
        return ndimage.convolve(scene, Psf.disk(2).array, mode="wrap")

    def residual(scene):
        # Weighed like the spectrum that the noise is read from: the middle of the frame counts most.
        return np.sqrt(np.average((observed - blur(scene)) ** 2, weights=np.outer(window, window)))

    window = np.hanning(50)[1:-1] ** 2
    observed = blur(case[0]) + np.random.default_rng(0).normal(0, 0.01, case[0].shape)
    options = {"boundary": "periodic", "accelerate": accelerate}
    stopped = richardson_lucy(observed, "disk:2", 40, stop=level, **options)
    short = richardson_lucy(observed, "disk:2", 1, **options)
    assert residual(stopped) <= level * (1 + 1e-6) < residual(short)
    if not accelerate:
        steps = (richardson_lucy(observed, "disk:2", n, **options) for n in range(1, 41))
        first = next(s for s in steps if residual(s) <= level)
        assert np.allclose(stopped, first, rtol=0, atol=1e-9)


def test_no_steps_give_even_light():
    result = richardson_lucy(np.random.default_rng(0).random((9, 9)), "disk:1", 0)
    assert np.ptp(result) == 0


def test_without_light_there_is_none():
    assert not richardson_lucy(np.zeros((16, 16)), "disk:2").any()
