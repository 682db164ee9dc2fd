"""Peaks, notches, windows: the parts of demoiré."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from imgrestore.classical import Peak, find_peaks, notch_filter, periodic_plus_smooth
from imgrestore.classical.moire import estimate
from imgrestore.classical.moire_bands import bands_of
from imgrestore.classical.moire_peaks import notched
from imgrestore.classical.moire_screen import Screen, features, screen_of, tone_change
from imgrestore.classical.moire_windows import Windows, excess, to_luma_chroma, to_rgb


@pytest.fixture(scope="module")
def chelsea():
    return data.chelsea()[:200, 100:340].astype(np.float32) / 255


def waves(shape, row, column, amplitude=0.06):
    y, x = np.indices(shape)
    return (amplitude * np.cos(2 * np.pi * (row * y + column * x) + 1)).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(2, 40), width=st.integers(2, 40), seed=st.integers(0, 99))
def test_periodic_plus_smooth_solves_its_equation(height, width, seed):
    """The discrete Laplacian of the smooth part, taken around, is that of the jumps; its mean is 0."""
    plane = torch.from_numpy(np.random.default_rng(seed).random((height, width)))
    periodic, smooth = periodic_plus_smooth(plane)
    torch.testing.assert_close(periodic + smooth, plane)
    assert abs(float(smooth.mean())) < 1e-12
    around = sum(smooth.roll(step, dim) for step in (1, -1) for dim in (0, 1)) - 4 * smooth
    inside = around[1:-1, 1:-1]
    assert not inside.numel() or float(inside.abs().max()) < 1e-10
    if height > 2 and width > 2:
        torch.testing.assert_close(around[0, 1:-1], (plane[-1] - plane[0])[1:-1])
        torch.testing.assert_close(around[1:-1, -1], (plane[:, 0] - plane[:, -1])[1:-1])


def test_periodic_pictures_have_no_smooth_part():
    plane = torch.rand(20, 1, generator=torch.Generator().manual_seed(0)) * torch.ones(20, 30)
    plane[-1] = plane[0]
    periodic, smooth = periodic_plus_smooth(plane)
    assert float(smooth.abs().max()) < 1e-6
    torch.testing.assert_close(periodic, plane)


@pytest.mark.parametrize(("row", "column"), [(0.13, 0.21), (-0.2, 0.11), (0.31, 0.0), (0.0, 0.4), (0.4, 0.4)])
def test_waves_are_found_where_they_are(chelsea, row, column):
    observed = chelsea + waves(chelsea.shape[:2], row, column)[..., None]
    strongest = find_peaks(observed)[0]
    assert strongest.plane == 0
    apart = min(np.hypot(strongest.row - s * row, strongest.column - s * column) for s in (1, -1))
    assert apart < 0.006
    assert strongest.uniformity > 0.9
    # Luma of a gray wave is sqrt(3) times as strong.
    assert strongest.amplitude == pytest.approx(0.06 * 3**0.5, rel=0.3)


def test_peaks_of_colour_are_found_in_chroma(chelsea):
    observed = chelsea.copy()
    wave = waves(chelsea.shape[:2], 0.17, 0.09)
    observed[..., 0] += wave
    observed[..., 2] -= wave
    assert find_peaks(observed)[0].plane == 1


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "coins", "astronaut"])
def test_textures_are_no_waves(name):
    picture = getattr(data, name)()
    assert all(peak.amplitude < 0.01 * 255 or peak.uniformity < 0.6 for peak in find_peaks(picture))


def test_peaks_do_not_depend_on_type_and_scale(chelsea):
    observed = np.clip(chelsea + waves(chelsea.shape[:2], 0.13, 0.21)[..., None], 0, 1)
    small, large = find_peaks(np.round(observed * 255).astype(np.uint8)), find_peaks(observed)
    assert small[0].row == large[0].row
    assert small[0].amplitude == pytest.approx(255 * large[0].amplitude, rel=0.02)


def test_notches_take_the_wave_and_leave_the_rest(chelsea):
    wave = waves(chelsea.shape[:2], 0.13, 0.21)
    observed = chelsea + wave[..., None]
    filtered = notch_filter(observed, [find_peaks(observed)[0]])
    assert np.sqrt(np.mean((filtered - chelsea) ** 2)) < 0.3 * np.sqrt(np.mean(wave**2))
    assert filtered.dtype == observed.dtype
    np.testing.assert_allclose(filtered.mean(axis=(0, 1)), observed.mean(axis=(0, 1)), atol=1e-5)
    assert np.array_equal(notch_filter(observed, []), observed)
    np.testing.assert_allclose(notch_filter(observed, [Peak(0.3, 0.3, depth=0.0)]), observed, atol=1e-6)


def test_notches_at_the_centre_keep_the_mean():
    picture = np.random.default_rng(0).random((40, 50))
    assert notch_filter(picture, [Peak(0.0, 0.0, width=0.05)]).mean() == pytest.approx(picture.mean(), abs=1e-6)


def test_the_whole_spectrum_of_a_notch_is_the_gaussian_of_the_peak():
    size, row, column, width, depth = (48, 33), 0.49, -0.2, 0.03, 0.8
    impulse = torch.zeros(1, *size, dtype=torch.float64)
    impulse[0, 0, 0] = 1.0
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])
    keep = np.ones(size)
    for sign in (1, -1):
        down, right = rows - sign * row, columns - sign * column
        apart = (down - np.round(down)) ** 2 + (right - np.round(right)) ** 2
        keep *= 1 - depth * np.exp(-apart / (2 * width**2))
    keep[0, 0] = 1
    # The smooth part of an impulse at the frame goes by the filter.
    periodic, smooth = periodic_plus_smooth(impulse)
    expected = np.fft.ifft2(np.fft.fft2(periodic[0].numpy()) * keep).real + smooth[0].numpy()
    found = notched(impulse, [Peak(row, column, width, depth)])
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-7)


def test_a_wave_in_half_of_the_frame_is_seen_in_half_of_it():
    rng = np.random.default_rng(2)
    picture = 0.5 + 0.01 * rng.standard_normal((200, 222))
    wave = waves(picture.shape, 0.2, 0.11)
    whole = find_peaks(picture + wave)[0]
    wave[100:] = 0
    half = find_peaks(picture + wave, threshold=3.5)[0]
    assert whole.uniformity == 1.0
    assert half.uniformity == pytest.approx(0.5, abs=0.1)


def test_peaks_beyond_the_spectrum_are_refused():
    for bad in ({"row": 0.7}, {"column": float("nan")}, {"width": 0.0}, {"depth": 1.5}, {"plane": 7}, {"row": "a"}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} is"):
            Peak(**{"row": 0.1, "column": 0.2, **bad})


def test_each_peak_is_found_once():
    """Beside the strongest frequency of a wave that fits no whole number of times there are strong ones, too."""
    picture = 0.5 + 0.002 * np.random.default_rng(3).standard_normal((160, 160))
    assert len(find_peaks(picture + waves(picture.shape, 0.2033, 0.1117, 0.2))) == 1


def test_a_wave_that_is_its_own_conjugate_is_taken_out_once(chelsea):
    checks = 0.1 * np.where(np.indices(chelsea.shape[:2]).sum(axis=0) % 2, 1, -1).astype(np.float32)[..., None]
    left = notch_filter(chelsea + checks, [Peak(0.5, 0.5, depth=0.5)]) - notch_filter(
        chelsea, [Peak(0.5, 0.5, depth=0.5)]
    )
    np.testing.assert_allclose(left, np.broadcast_to(0.5 * checks, left.shape), atol=0.002)


def test_bad_peaks_and_pictures_are_refused(chelsea):
    with pytest.raises(TypeError, match="peaks is a Peak; expected"):
        notch_filter(chelsea, Peak(0.1, 0.2))
    once = notch_filter(chelsea, (peak for peak in [Peak(0.1, 0.2)]))
    assert np.array_equal(once, notch_filter(chelsea, [Peak(0.1, 0.2)]))
    with pytest.raises(TypeError, match="peaks hold a tuple"):
        notch_filter(chelsea, [(0.1, 0.2)])
    with pytest.raises(ValueError, match="threshold is -1"):
        find_peaks(chelsea, threshold=-1)
    with pytest.raises(ValueError, match="image holds 2 pictures"):
        find_peaks(torch.rand(2, 3, 40, 40))


@settings(max_examples=15, deadline=None)
@given(height=st.integers(3, 150), width=st.integers(3, 150))
def test_windows_make_the_plane_again_but_for_their_means(height, width):
    plane = torch.rand(height, width, generator=torch.Generator().manual_seed(height)) - 0.5
    windows = Windows(height, width, 16)
    spectra = windows.split(plane)
    flat = windows.split(torch.full((height, width), 0.7))
    assert float(flat.abs().max()) < 1e-4
    doubled = windows.join(windows.split(plane) * 2)
    torch.testing.assert_close(doubled, 2 * windows.join(spectra))
    assert windows.join(spectra).shape == plane.shape
    # A wave that fits the windows has no mean in any of them, and comes back whole.
    wave = torch.cos(2 * torch.pi * torch.arange(width) / 4 + torch.pi / 4).expand(height, width)
    if width % 8 == 0:
        torch.testing.assert_close(windows.join(windows.split(wave)), wave, atol=1e-4, rtol=0)


def test_excess_shows_waves_and_not_noise():
    noise = 0.05 * torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    wave = 0.2 * torch.cos(2 * torch.pi * 0.25 * torch.arange(256))
    windows = Windows(256, 256)
    quiet, _ = excess(windows.split(noise), 1e-9)
    loud, _ = excess(windows.split(noise + wave), 1e-9)
    assert float(quiet[2:-2, 2:-2, 4:-4, 4:].max()) < 3.0
    assert bool((loud[2:-2, 2:-2, 0, 16] > 4).all())


def test_colours_turn_and_come_back():
    picture = torch.rand(3, 10, 12)
    turned = to_luma_chroma(picture)
    torch.testing.assert_close(to_rgb(turned), picture)
    torch.testing.assert_close(turned.square().sum(), picture.square().sum())
    gray = picture[:1]
    assert torch.equal(to_luma_chroma(gray), gray)


def test_photographs_are_no_screens(chelsea):
    for name in ("astronaut", "coffee", "rocket"):
        picture = torch.from_numpy(getattr(data, name)().astype(np.float32) / 255).movedim(-1, 0).contiguous()
        assert screen_of(picture).strength == 0
    gray = torch.rand(1, 100, 100)
    assert screen_of(gray).strength == screen_of(gray.repeat(3, 1, 1)).strength == 0


def test_what_is_known_of_a_screen_may_be_told(chelsea):
    picture = torch.from_numpy(chelsea).movedim(-1, 0).contiguous()
    good = torch.ones(1, *picture.shape[1:], dtype=torch.bool)
    told = estimate(picture, None, good, Screen(odds=3.0, strength=1.0, softness=0.0))
    assert told.strength == 1
    assert any(note.startswith("the photograph of a screen (log odds 3.0)") for note in told.notes)
    torch.testing.assert_close(sum(told.layers.values()), picture)
    assert not estimate(picture, None, good, Screen(odds=-3.0, strength=0.0, softness=0.0)).damaged
    assert torch.equal(estimate(picture, None, good).image, picture)


def test_features_do_not_depend_on_exposure(chelsea):
    picture = torch.from_numpy(chelsea).movedim(-1, 0).contiguous()
    np.testing.assert_allclose(features(picture), features(0.4 * picture), atol=0.02)


def test_tone_change_is_smooth_bounded_and_constant_beyond_the_range():
    ramp = torch.linspace(-0.5, 1.5, 200).expand(3, 100, 200).contiguous()
    change = tone_change(ramp)
    assert float(change.abs().max()) < 0.3
    assert float(change.diff(dim=-1).abs().max()) < 0.01
    assert torch.equal(change[..., 0], change[..., 10])


def rings(shape, colours, strength):
    """Rings whose period is about 10 pixels, as `colours`, in the upper left of the frame."""
    y, x = np.indices(shape) / shape[0]
    radius = np.hypot(y - 1.2, x + 0.3)
    fades = np.exp(-4 * (y**2 + x**2))
    wave = strength * fades * np.cos(90 * radius**2)
    return (wave[..., None] * np.array(colours)).astype(np.float32)


def bands_in(picture):
    planes = to_luma_chroma(torch.from_numpy(picture).movedim(-1, 0))
    windows = Windows(*planes.shape[1:])
    return bands_of([windows.split(plane) for plane in planes], windows.taper)


def test_rings_of_colour_are_found():
    picture = data.rocket()[:384, -384:].astype(np.float32) / 255
    assert bands_in(picture).strength == 0
    assert bands_in(picture).keep == ()
    found = bands_in(picture + rings(picture.shape[:2], (0.5, -0.5, 0.4), 0.08))
    assert found.strength == 1
    assert len(found.keep) == 3
    assert all(float(gain.min()) >= 0 and float(gain.max()) <= 1 for gain in found.keep)


@pytest.mark.parametrize("colours", [(1, 1, 1), (4, -4, 4)])
def test_gray_waves_and_painted_stripes_are_no_bands_of_colour(colours):
    picture = data.rocket()[:384, -384:].astype(np.float32) / 255
    assert bands_in(picture + waves(picture.shape[:2], 0.06, 0.08)[..., None] * np.float32(colours)).strength == 0


def test_small_and_gray_pictures_have_no_bands():
    picture = 0.5 + rings((100, 300), (0.5, -0.5, 0.4), 0.08)
    assert bands_in(picture).strength == 0
    windows = Windows(300, 300)
    gray = torch.from_numpy(0.5 + rings((300, 300), (1, 1, 1), 0.08)[..., 0])
    assert bands_of([windows.split(gray)], windows.taper).strength == 0


def test_unusual_tones_are_kept(chelsea):
    """The change of tones is known for pictures like those of screens; it fades where a picture is like none."""
    usual = torch.from_numpy(chelsea).movedim(-1, 0)
    dark = 0.02 * usual
    dark[:, :3] = 1.0
    assert float(tone_change(usual).abs().mean()) > 0.003
    assert float(tone_change(dark).abs().mean()) < 0.1 * float(tone_change(usual).abs().mean())
