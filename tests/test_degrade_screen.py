"""The screen-and-camera forward model: its grid, its beat, what it leaves alone."""

import math

import numpy as np
import pytest
import torch

from imgrestore.degrade import screen
from imgrestore.degrade.moire import Tone
from imgrestore.degrade.screen import ScreenParams

SHARP = {"lens": 0.2, "depth": 1.0, "fill": 0.8}


@pytest.mark.parametrize("kind", ["stripes", "dots"])
@pytest.mark.parametrize("pitch", [0.9, 1.5, 2.3])
def test_a_white_screen_is_white_on_average(kind, pitch):
    found = screen.grid((96, 96), ScreenParams(pitch=pitch, angle=0.1, kind=kind, **SHARP))
    assert found.shape == (3, 288, 288)
    assert found.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.03)
    assert float(found.std()) > 0.3


@pytest.mark.parametrize("kind", ["stripes", "dots"])
@pytest.mark.parametrize(("pitch", "fill"), [(0.8, 0.6), (0.8, 0.95), (0.5, 0.3), (2.4, 1.0)])
def test_the_mean_is_one_however_coarse_the_samples(kind, pitch, fill):
    """Rims that are wider than a sub-pixel, or meet those of the next, let no more light through."""
    found = screen.grid((120, 120), ScreenParams(pitch=pitch, fill=fill, angle=0.1, kind=kind))
    assert found.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.01)


def test_a_kind_of_screen_that_is_none():
    with pytest.raises(ValueError, match="kind is 'dot'; expected one of stripes, dots"):
        screen.grid((8, 8), ScreenParams(kind="dot"))


def test_without_depth_the_grid_is_not_seen():
    assert torch.equal(screen.grid((8, 9), ScreenParams(depth=0.0)), torch.ones(3, 24, 27))


def test_the_grid_repeats_with_its_pitch():
    rows = screen.grid((64, 64), ScreenParams(pitch=2.0, **SHARP))[1]
    torch.testing.assert_close(rows[:, 6:], rows[:, :-6], atol=1e-4, rtol=0)
    assert not torch.allclose(rows[:, 3:], rows[:, :-3], atol=0.1)


def test_the_beat_of_both_grids_is_coloured_and_slow():
    """Pitches of screen and filter array that nearly agree give bands many pixels wide, in chroma above all."""
    gray = torch.full((3, 128, 128), 0.5)
    seen = screen.apply(gray, ScreenParams(pitch=1.9, fill=0.9, lens=0.2))
    chroma = (seen[0] - seen[2]).numpy()
    power = np.abs(np.fft.rfft2(chroma - chroma.mean())) ** 2
    radius = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None])
    low = power[(radius > 0.01) & (radius < 0.2)].max()
    assert low > 100 * np.median(power)
    beat = radius.flat[np.argmax(np.where(radius < 0.2, power, 0))]
    assert beat == pytest.approx(abs(1 / 1.9 - 1 / 2), abs=0.012)


def test_an_even_lens_and_no_grid_give_the_picture_back():
    ramp = torch.linspace(0.1, 0.9, 64).expand(3, 48, 64)
    seen = screen.apply(ramp, ScreenParams(depth=0.0, lens=0.2))
    torch.testing.assert_close(seen[..., 2:-2, 2:-2], ramp[..., 2:-2, 2:-2], atol=5e-3, rtol=0)


def test_tones_come_last():
    gray = torch.full((3, 16, 16), 0.5)
    seen = screen.apply(gray, ScreenParams(depth=0.0, tone=Tone((0.8, 1.0, 1.0), (0.1, 0.0, 0.0))))
    assert seen[:, 8, 8].tolist() == pytest.approx([0.5, 0.5, 0.5], abs=1e-3)
    brighter = screen.apply(gray, ScreenParams(depth=0.0, tone=Tone(gamma=(0.5, 0.5, 0.5))))
    assert float(brighter[1, 8, 8]) == pytest.approx(math.sqrt(0.5), abs=2e-3)


def test_sharpening_steepens_edges():
    edge = torch.full((3, 32, 32), 0.3)
    edge[..., 16:] = 0.7
    plain, sharp = (screen.apply(edge, ScreenParams(depth=0.0, sharpen=s)) for s in (0.0, 1.5))
    assert float(sharp.max() - sharp.min()) > float(plain.max() - plain.min()) + 0.05


def test_parameters_follow_the_seed_and_results_the_parameters():
    a, b, c = (screen.sample((3, 64, 64), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a == b != c
    clean = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(screen.apply(clean, a), screen.apply(clean, b))
    assert torch.isfinite(screen.apply(clean, a)).all()


def test_gradients_run_to_the_picture():
    clean = torch.rand(3, 8, 8, dtype=torch.float64, requires_grad=True)
    params = ScreenParams(sharpen=0.5)
    assert torch.autograd.gradcheck(lambda x: screen.apply(0.2 + 0.6 * x, params), clean, fast_mode=True)


def test_gray_pictures_are_refused():
    with pytest.raises(ValueError, match=r"clean: got shape \(1, 8, 8\), expected \(\.\.\., 3, H, W\)"):
        screen.apply(torch.zeros(1, 8, 8), ScreenParams())


def test_the_least_picture():
    assert torch.isfinite(screen.apply(torch.full((3, 2, 2), 0.5), ScreenParams())).all()
    for shape in ((3, 1, 1), (3, 8, 1), (8, 8)):
        with pytest.raises(ValueError, match=r"expected .* H and W being 2 or more"):
            screen.apply(torch.zeros(shape), ScreenParams())
