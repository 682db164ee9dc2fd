"""`estimate_psf`: the kind, the size and the shape of a blur, and when nothing should be said."""

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from skimage import data

import imgrestore
from imgrestore import Psf
from imgrestore.classical import PsfEstimate, estimate_psf
from imgrestore.classical.psf_judge import likeness
from imgrestore.degrade import blur as degrade_blur


def blurred(psf, scene=None, noise=0.004, size=320):
    """A part of a photograph, blurred, the frame's outside unknown, with noise."""
    scene = data.astronaut()[:size, 60 : 60 + size] @ (0.299, 0.587, 0.114) / 255 if scene is None else scene
    seen = fftconvolve(scene, psf.array, mode="valid")
    return seen + np.random.default_rng(1).normal(0, noise, seen.shape)


def shaken():
    """A PSF as a shaken camera draws it."""
    rng = np.random.default_rng(4)
    while True:
        psf = Psf(degrade_blur.sample_psf(rng, "shake", max_size=21))
        if min(psf.shape) >= 13:
            return psf


def point(found):
    return found.psf.shape == (1, 1)


@pytest.mark.parametrize(
    ("psf", "kind", "expected"),
    [
        (Psf.gaussian(1.6), "gaussian", {"sigma": 1.6}),
        (Psf.gaussian((1.2, 3.0), angle=30), "gaussian", {"sigma": 3.0, "sigma_across": 1.2, "angle": 30}),
        (Psf.disk(4), "disk", {"radius": 4.0}),
        (Psf.motion(14, 35), "motion", {"length": 14.0, "angle": 35.0}),
    ],
)
def test_kind_and_numbers_are_found(psf, kind, expected):
    found = estimate_psf(blurred(psf))
    assert found.kind == kind
    assert found.parameters == pytest.approx(expected, rel=0.1)
    assert found.confidence > 0.5
    assert likeness(found.psf, psf) > 0.97


def test_the_path_of_a_shaken_camera_is_found_and_the_picture_gets_sharper():
    psf = shaken()
    picture = blurred(psf)
    found = estimate_psf(picture)
    assert found.kind == "shake"
    assert likeness(found.psf, psf) > 0.75
    scene = data.astronaut()[:320, 60:380] @ (0.299, 0.587, 0.114) / 255
    sharp = imgrestore.deblur(picture)
    rim = [(size - len_) // 2 for size, len_ in zip(scene.shape, picture.shape, strict=True)]

    def error(image):
        shifts = [(dy, dx) for dy in range(-3, 4) for dx in range(-3, 4)]
        inner = image[20:-20, 20:-20]
        return min(
            np.square(inner - scene[rim[0] + 20 + dy :, rim[1] + 20 + dx :][: len(inner), : inner.shape[1]]).mean()
            for dy, dx in shifts
        )

    assert error(sharp) < 0.6 * error(picture)


@pytest.mark.parametrize("name", ["camera", "brick", "chelsea", "coins", "text"])
def test_sharp_pictures_come_back_as_they_were(name):
    picture = getattr(data, name)()[:300, :400]
    restored = imgrestore.deblur(picture, details=True)
    assert np.array_equal(restored.image, picture)
    assert restored.psf.shape == (1, 1)
    assert restored.notes[0].startswith(("no blur was found", "the blur cannot be told"))


def test_what_tells_nothing_is_not_called_sharp_or_blurred():
    for picture in (np.full((64, 64), 0.5), np.zeros((20, 300)), np.random.default_rng(0).random((96, 128))):
        found = estimate_psf(picture)
        assert point(found)
        assert found.kind == "unknown" or picture.std() > 0.2
        assert found.notes
    assert estimate_psf(np.zeros((20, 300))).confidence == 0


@pytest.mark.parametrize("kind", ["gaussian", "disk", "motion", "shake"])
def test_a_kind_that_is_asked_for_is_given_however_doubtful(kind):
    found = estimate_psf(data.camera()[100:260, 100:260], kind=kind, max_size=15)
    assert found.kind == kind
    assert 0 <= found.confidence <= 1
    assert max(found.psf.shape) <= 15


def test_saturated_and_masked_pixels_do_not_count():
    psf = Psf.disk(3.5)
    picture = blurred(psf, size=400)
    picture[60:90, 200:330] = np.random.default_rng(0).choice([0.0, 1.0], (30, 130))
    good = np.ones(picture.shape, bool)
    good[60:90, 200:330] = False
    # A few rows of NaN across the whole width leave no large window clean.
    striped = picture.copy()
    striped[[120, 121, 240]] = np.nan
    holes = np.where(good, picture, np.nan)
    for masked in (estimate_psf(striped, mask=good), estimate_psf(holes)):
        assert masked.kind == "disk"
        assert masked.parameters["radius"] == pytest.approx(3.5, rel=0.05)


def test_arrays_of_any_kind_give_the_same():
    gray = blurred(Psf.gaussian(2.0), size=200)
    whole = np.clip(gray, 0, 0.99)
    # A kind that is asked for saves the search for the path of a shake, which sees the same plane.
    found = estimate_psf(whole, kind="gaussian")
    sixteen_bit = estimate_psf((whole * 65535).round().astype(np.uint16), kind="gaussian")
    tensor = estimate_psf(torch.from_numpy(np.stack([whole] * 3)), kind="gaussian")
    counts = estimate_psf(whole * 5000, kind="gaussian")
    for other in (sixteen_bit, tensor, counts):
        assert other.parameters["sigma"] == pytest.approx(found.parameters["sigma"], rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "round"}, ValueError, "kind is 'round'; expected one of auto, gaussian"),
        ({"max_size": 2}, ValueError, "max_size is 2; expected a whole number of pixels, 3 or more"),
        ({"max_size": 9.5}, ValueError, "max_size is 9.5"),
        ({"image": torch.rand(2, 1, 64, 64)}, ValueError, "image is a batch of 2 pictures; expected one"),
        ({"image": [[1.0]]}, TypeError, "image is a list"),
        ({"mask": np.zeros((64, 64), bool)}, ValueError, "mask leaves no pixel to fit"),
    ],
)
def test_errors_name_what_is_wrong(arguments, error, message):
    image = arguments.pop("image", np.random.default_rng(0).random((64, 64)))
    with pytest.raises(error, match=message):
        estimate_psf(image, **arguments)


def test_progress_tells_each_level_of_the_pyramid():
    told = []
    estimate_psf(blurred(Psf.disk(3), size=160), progress=lambda text, part: told.append((text, part)))
    assert any("level 2 of" in text for text, _ in told)
    assert all(0 <= part <= 1 for _, part in told)


def test_each_picture_of_a_batch_has_its_own_blur():
    sharp = data.camera()[100:300, 150:350] / 255
    soft = blurred(Psf.gaussian(2.0), scene=data.camera()[90:310, 140:360] / 255)[:200, :200]
    batch = torch.from_numpy(np.stack([sharp, soft])[:, None]).float()
    restored = imgrestore.deblur(batch, details=True)
    assert torch.allclose(restored.image[0], batch[0], atol=1e-6)
    assert restored.psf[0].shape == (1, 1)
    assert restored.psf[1].shape[0] > 9
    alone = imgrestore.deblur(batch[1:])
    assert torch.allclose(restored.image[1:], alone, atol=1e-5)
    assert torch.allclose(restored.recompose(), batch, atol=1e-5)
    restored.plot()


def test_a_psf_that_does_not_explain_the_picture_is_not_used(monkeypatch):
    wrong = PsfEstimate(Psf.motion(41, 20), 1.0, "motion", notes=("estimated PSF: motion",))
    monkeypatch.setattr("imgrestore.tasks.deblur_blind.estimate_plane", lambda *_, **__: wrong)
    picture = np.random.default_rng(0).choice([0.0, 1.0], (120, 120)).repeat(2, 0).repeat(2, 1)[:200, :200]
    restored = imgrestore.deblur(picture, details=True)
    assert np.array_equal(restored.image, picture)
    assert restored.confidence == 0
    assert any("does not explain the picture" in note for note in restored.notes)
    assert np.allclose(restored.recompose(), picture, atol=1e-6)
