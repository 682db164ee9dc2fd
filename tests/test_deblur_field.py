"""Deblurring where the blur changes over the picture."""

import functools

import numpy as np
import pytest
import torch
from conftest import psnr

from imgrestore import Psf, PsfField, deblur
from imgrestore.classical.psf import PsfEstimate, estimate_plane
from imgrestore.ops import BlurField
from imgrestore.tasks.deblur_field import cuts


def turning(rows, columns):
    """A motion that turns by 90 degrees from left to right and grows downwards."""
    return PsfField(
        [[Psf.motion(5 + 4 * (i + 0.5) / rows, 90 * (j + 0.5) / columns) for j in range(columns)] for i in range(rows)]
    )


def seen_through(field, size=160, noise=0.005):
    """A part of a photograph, and the same blurred."""
    from skimage import data

    camera = data.camera() / 255.0
    reach = size + field.shape[0] - 1, size + field.shape[1] - 1
    scene = torch.tensor(camera[60 : 60 + reach[0], 150 : 150 + reach[1]])[None, None]
    blur = BlurField(field, (size, size), "unknown", scene)
    observed = blur.apply(scene)[0, 0].numpy() + np.random.default_rng(0).normal(0, noise, (size, size))
    return blur.framed(blur.to_domain(scene))[0, 0].numpy(), observed.astype(np.float32)


@pytest.fixture(scope="module")
def turned():
    return seen_through(turning(12, 12))


@pytest.mark.parametrize("method", ["auto", "wiener"])
def test_a_known_field_beats_the_psf_of_the_middle(turned, method):
    sharp, observed = turned
    field = turning(3, 3)
    single, known = (deblur(observed, psf, method=method) for psf in (field[1, 1], field))
    assert psnr(known, sharp) > psnr(observed, sharp) + 2.5
    assert psnr(known, sharp) > psnr(single, sharp) + 2.5


def test_layers_make_the_input_again_and_the_field_comes_back(turned):
    _, observed = turned
    field = turning(2, 3)
    result = deblur(observed, field.array, method="tv", details=True)
    assert np.abs(result.recompose() - observed).max() < 1e-5
    assert isinstance(result.psf, PsfField)
    assert np.allclose(result.psf.array, field.array)
    scene = torch.from_numpy(result.image)[None, None]
    again = BlurField(field, scene.shape[2:], "reflect", scene).apply(scene)[0, 0].numpy()
    inside = slice(12, -12), slice(12, -12)
    assert np.abs(again - result.layers["reblurred"])[inside].max() < 1e-4
    assert result.plot().mode == "RGB"


@pytest.mark.parametrize("method", ["auto", "tv", "rl", "hyperlaplacian"])
def test_equal_psfs_deblur_nearly_as_the_one(method):
    psf = Psf.disk(2)
    sharp, observed = seen_through(PsfField([[psf]]))
    one, same = (deblur(observed, p, method=method) for p in (psf, PsfField([[psf] * 2] * 2)))
    assert psnr(same, sharp) > psnr(one, sharp) - 0.2
    assert psnr(same, one) > 33
    assert np.array_equal(*(deblur(observed, p, method=method, noise=0.005) for p in (psf, PsfField([[psf]]))))


def test_batches_colours_and_types_come_back_as_they_were(turned):
    byte = np.rint(np.stack([turned[1]] * 4, -1).clip(0, 1) * 255).astype(np.uint8)
    result = deblur(byte, turning(2, 2), method="wiener")
    assert (result.dtype, result.shape) == (byte.dtype, byte.shape)
    assert np.array_equal(result[..., 3], byte[..., 3])
    batch = torch.from_numpy(np.stack([turned[1], turned[1][::-1]]))[:, None]
    both = deblur(batch, turning(2, 2), method="wiener")
    assert torch.allclose(both[1:], deblur(batch[1:], turning(2, 2), method="wiener"), atol=1e-6)


def test_gradients_reach_the_picture(turned):
    picture = torch.from_numpy(turned[1][:96, :96])[None].requires_grad_()
    deblur(picture, turning(2, 1), method="tv").square().sum().backward()
    assert picture.grad.isfinite().all()
    assert picture.grad.abs().max() > 0


def test_bad_pixels_stay_out_of_the_fit(turned):
    sharp, observed = turned
    bad = observed.copy()
    bad[40:44, 70:74] = np.nan
    whole = deblur(observed, turning(4, 4), method="tv")
    result = deblur(bad, turning(4, 4), method="tv", details=True)
    assert result.mask[40:44, 70:74].all()
    assert np.isfinite(result.image).all()
    assert psnr(result.image, sharp) > psnr(whole, sharp) - 0.5


def test_a_blind_field_beats_the_blurred_picture(monkeypatch):
    gaussian = functools.partial(estimate_plane, kind="gaussian")  # all kinds would take many times as long
    monkeypatch.setattr("imgrestore.classical.psf_windows.estimate_plane", lambda data, used, **_: gaussian(data, used))
    widths = np.linspace(0.8, 2.4, 12)
    sharp, observed = seen_through(PsfField([[Psf.gaussian(s) for s in widths]]), 240, 0.003)
    result = deblur(observed, field=(1, 2), details=True)
    assert result.psf.grid == (1, 2)
    assert psnr(result.image, sharp) > psnr(observed, sharp) + 0.5
    spread = [(psf * np.square(np.arange(psf.shape[1]) - psf.shape[1] // 2)).sum() for psf in result.psf.array[0]]
    assert spread[1] > 1.3 * spread[0]
    assert 0 <= result.confidence.min() <= result.confidence.max() <= 1


def test_where_no_window_is_blurred_the_picture_comes_back(monkeypatch, turned):
    nothing = PsfEstimate(Psf([[1.0]]), 0.9, "none", notes=("no blur was found",))
    monkeypatch.setattr("imgrestore.classical.psf_windows.estimate_plane", lambda *_, **__: nothing)
    result = deblur(turned[1], field=(2, 2), details=True)
    assert np.array_equal(result.image, turned[1])
    assert "nothing to deblur: the PSF is a single point" in result.notes
    assert "PSFs of 4 windows: 4 none" in result.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"psf": "disk:2", "field": (2, 2)}, "psf and field are both given"),
        ({"field": (2, 0)}, r"field is \(2, 0\); expected two whole numbers"),
        ({"field": 4}, "field is 4; expected two whole numbers"),
        ({"field": (9, 2)}, "make windows of .* pixels, expected 64 or more"),
        ({"field": (2, 2), "boundary": "reflect"}, "a field of PSFs goes with 'unknown' only"),
        ({"psf": turning(2, 2), "boundary": "zero"}, "a field of PSFs goes with 'unknown' only"),
        ({"psf": np.ones((1, 2, 161, 3))}, "psf is larger than the picture"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(turned, options, message):
    with pytest.raises(ValueError, match=message):
        deblur(turned[1], **options)


@pytest.mark.parametrize(("size", "count", "support"), [(160, 3, 9), (50, 1, 7), (70, 40, 5), (31, 2, 31)])
def test_windows_cover_the_frame_and_count_for_one_together(size, count, support):
    windows = cuts(size, count, support, torch.zeros((), dtype=torch.float64))
    total = torch.zeros(size + support - 1, dtype=torch.float64)
    for window in windows:
        assert window.frame.stop - window.frame.start >= min(size, support)
        assert window.reach == slice(window.frame.start, window.frame.stop + support - 1)
        total[window.reach] += window.weight
    assert torch.allclose(total, torch.ones_like(total))
