"""`deblur` where pictures are odd: clipped, negative, hidden, huge, batched, pickled."""

import pickle

import numpy as np
import pytest
import torch
from conftest import same_but_for_rounding
from scipy import ndimage, signal

from imgrestore import Psf, deblur

by_method = pytest.mark.parametrize("method", ["wiener", "rl", "tv", "hyperlaplacian", "auto"])


def test_wiener_keeps_a_picture_of_clipped_light():
    board = (np.indices((64, 64)).sum(0) // 16 % 2 * 255).astype(np.uint8)
    result = deblur(board, "gaussian:1.2", method="wiener", details=True)
    assert np.isfinite(result.confidence).all()
    assert result.image.max() > 180


@pytest.mark.parametrize("method", ["auto", "tv"])
def test_stacks_with_values_below_0_keep_them(case, method):
    stack = np.stack([np.roll(case[1], i, 0) for i in range(6)])
    stack = (stack - stack.mean()).astype(np.float32)
    result = deblur(stack, Psf.gaussian(0.8, ndim=3).trimmed(1e-2), method=method)
    assert result.min() < 0.5 * stack.min()


def test_richardson_lucy_says_what_it_took_for_0(case):
    notes = deblur(case[1] - 0.5, "disk:2", method="rl", details=True).notes
    assert any(note.endswith("values below 0 were taken for 0") for note in notes)


def test_a_batch_gives_what_each_picture_gives_alone(case):
    stars = np.full(case[1].shape, 20.0) + np.random.default_rng(0).normal(0, 1, case[1].shape)
    stars[20, 20] += 4e4
    stars = ndimage.gaussian_filter(stars, 1.5)
    pictures = [torch.from_numpy(p.astype(np.float32)) for p in (stars, case[1], case[1] - 0.5, case[1].clip(0, 0.6))]
    together = deblur(torch.stack(pictures)[:, None], "disk:2")
    for alone, one in zip(pictures, together, strict=True):
        assert torch.equal(deblur(alone[None], "disk:2"), one)


@by_method
def test_hidden_values_do_not_matter(case, method):
    mask = np.ones(case[1].shape, bool)
    mask[5:8, 5:8] = False
    results = []
    for hidden in (0.3, -9999.0, 1e6, np.nan):
        image = case[1].copy()
        image[~mask] = hidden
        results.append(deblur(image, "disk:2", method=method, mask=mask))
    for result in results[1:]:
        assert np.allclose(result, results[0], atol=1e-4)


@by_method
@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e30])
def test_no_unit_is_too_large_or_too_small(case, method, factor):
    image = case[1].astype(np.float32)
    scaled = deblur((image * np.float32(factor)).astype(np.float32), "disk:2", method=method) / np.float32(factor)
    assert same_but_for_rounding(scaled, deblur(image, "disk:2", method=method), method)


def test_float64_beyond_float32_is_taken(case):
    assert np.allclose(deblur(case[1] * 1e300, "disk:2") / 1e300, deblur(case[1], "disk:2"), atol=2e-3)


def test_the_mask_that_was_found_goes_in_again(case):
    rgba = (np.stack([case[1].clip(0, 1)] * 4, -1) * 255).astype(np.uint8)
    found = deblur(rgba, "disk:2", details=True).mask
    assert deblur(rgba, "disk:2", mask=~found).shape == rgba.shape


def test_a_restoration_can_be_pickled(case):
    result = deblur(case[1], "disk:2", details=True)
    copy = pickle.loads(pickle.dumps(result))
    assert np.array_equal(copy.recompose(), result.recompose())
    assert not copy.psf.array.flags.writeable


@pytest.mark.parametrize("psf", [Psf.gaussian(2), Psf.disk(4)], ids=["gaussian", "disk"])
def test_a_star_keeps_its_flux_to_2_percent(psf):
    scene = np.full((96, 96), 20.0)
    scene[46, 51] += 40000
    noisy = signal.fftconvolve(scene - 20, psf.array, "same") + 20 + np.random.default_rng(0).normal(0, 1, scene.shape)
    result = deblur(noisy.astype(np.float32), psf, details=True)
    assert result.notes[0] == "method rl"
    distance = np.hypot(*(np.indices(scene.shape) - np.reshape((46, 51), (2, 1, 1))))
    for radius in (4, 8, 12, 20):
        assert abs((result.image[distance <= radius] - 20).sum() / 40000 - 1) < 0.02
