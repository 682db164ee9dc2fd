"""The learned half of `deblur`: better than the classical estimate, and never in its way."""

import threading

import numpy as np
import pytest
import torch
from conftest import observe, psnr
from skimage import data

from imgrestore import Psf, deblur
from imgrestore.classical.psf import PsfEstimate
from imgrestore.nets import weights
from imgrestore.tasks import deblur_net


@pytest.fixture(scope="module")
def case(photographs):
    return observe(photographs["man"], Psf.disk(2), 64)


@pytest.fixture
def fresh_weights():
    weights.load.cache_clear()
    yield
    weights.load.cache_clear()


def test_the_net_gains_on_the_classical_estimate(case):
    sharp, observed = case
    assert psnr(deblur(observed, "disk:2"), sharp) > psnr(deblur(observed, "disk:2", refine=False), sharp) + 0.2


def test_a_gray_picture_and_three_equal_channels_give_about_the_same(case):
    gray = deblur(case[1], "disk:2")
    rgb = deblur(np.stack([case[1]] * 3, -1), "disk:2")
    assert psnr(rgb.mean(-1), gray) > 35


def test_what_the_net_changed_is_a_layer(case):
    result = deblur(case[1], "disk:2", details=True)
    assert set(result.layers) == {"reblurred", "residual", "refinement"}
    assert np.abs(result.recompose() - case[1]).max() < 1e-5
    assert np.abs(result.layers["refinement"]).max() > 1e-3


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_without_its_weights_the_classical_estimate_is_the_answer(case, damage, tmp_path, monkeypatch, fresh_weights):
    stored = (weights.HERE / "deblur.safetensors").read_bytes()
    if damage == "changed":
        (tmp_path / "deblur.safetensors").write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    monkeypatch.setattr(weights, "HERE", tmp_path)
    result = deblur(case[1], "disk:2", details=True)
    assert np.array_equal(result.image, deblur(case[1], "disk:2", refine=False))
    expected = "cannot be read" if damage == "missing" else "have the hash"
    assert any(note.startswith("classical only: the weights") and expected in note for note in result.notes)


def test_a_result_that_does_not_explain_the_picture_is_not_taken(case, monkeypatch):
    class Inventive(torch.nn.Module):
        def forward(self, y, x0, *rest):
            return x0 + 0.3 * torch.sin(torch.arange(x0.shape[-1]) / 9)

    monkeypatch.setattr(deblur_net, "load", lambda task: Inventive())
    result = deblur(case[1], "disk:2", details=True)
    assert "classical only: the net's picture did not explain the blurred one" in result.notes
    assert np.array_equal(result.image, deblur(case[1], "disk:2", refine=False))


CORNER = 40


class WrongInACorner(torch.nn.Module):
    """The net that ships, and waves in a part of the frame that is no corner of the domain."""

    def forward(self, y, x0, *rest):
        refined = weights.load("deblur")(y, x0, *rest)
        waves = torch.zeros_like(refined)
        waves[..., 2 : CORNER + 2, 2 : CORNER + 2] = 0.3 * torch.sin(torch.arange(CORNER) / 2)
        return refined + waves


@pytest.fixture(scope="module")
def large():
    return observe(data.camera() / 255.0, Psf.disk(2), 160)


@pytest.mark.parametrize("damage", ["none", "masked"])
def test_where_the_net_is_wrong_in_a_corner_only_that_is_pulled_back(large, damage, monkeypatch):
    (sharp, observed), mask = large, np.ones(large[0].shape, bool)
    if damage == "masked":
        observed = observed.copy()
        observed[15:25, 15:25], mask[15:25, 15:25] = 50.0, False  # must not hide the net's fault
    good, classical = (deblur(observed, "disk:2", mask=mask, refine=r) for r in (True, False))
    monkeypatch.setattr(deblur_net, "load", lambda task: WrongInACorner())
    result = deblur(observed, "disk:2", mask=mask, details=True)
    inside, far = np.zeros(sharp.shape, bool), np.ones(sharp.shape, bool)
    inside[:CORNER, :CORNER], far[: CORNER + 30, : CORNER + 30] = True, False
    inside &= mask
    assert np.allclose(result.image[far], good[far], atol=1e-5)
    waves = np.broadcast_to(0.3 * np.sin(np.arange(160) / 2), sharp.shape)
    assert psnr((good + waves)[inside], sharp[inside]) < 16
    assert psnr(result.image[inside], sharp[inside]) > psnr(classical[inside], sharp[inside]) - 0.5
    assert np.abs(result.layers["refinement"][inside]).max() < 1e-5
    assert np.abs(result.layers["refinement"][far]).max() > 1e-2
    assert np.allclose(result.recompose(), observed, atol=1e-5)
    assert result.notes[1:3] == (
        "refined by the net",
        "the net's picture did not explain parts of the blurred one, and was not taken there",
    )


def test_pulling_back_leaves_gradients_whole(large, monkeypatch):
    monkeypatch.setattr(deblur_net, "load", lambda task: WrongInACorner())
    image = torch.tensor(large[1], dtype=torch.float32, requires_grad=True)
    deblur(image, "disk:2").square().sum().backward()
    assert image.grad.isfinite().all()


def test_a_good_net_is_taken_as_it_is(large):
    notes = deblur(large[1], "disk:2", details=True).notes
    assert "refined by the net" in notes
    assert not any("did not explain" in note for note in notes)


def test_one_number_that_is_no_number_spoils_nothing(case, monkeypatch):
    class Spoilt(torch.nn.Module):
        def forward(self, y, x0, *rest):
            spoilt = x0.clone()
            spoilt[..., 20, 20] = torch.nan
            return spoilt

    monkeypatch.setattr(deblur_net, "load", lambda task: Spoilt())
    assert np.array_equal(deblur(case[1], "disk:2"), deblur(case[1], "disk:2", refine=False))


# Confidence


def test_confidence_is_low_where_the_psf_explains_nothing(large):
    observed = large[1].copy()
    observed[100:130, 40:70] = np.random.default_rng(0).uniform(size=(30, 30))  # finer than any blurred scene
    confidence = deblur(observed, "disk:2", details=True).confidence
    assert confidence[105:125, 45:65].max() < 0.2
    assert confidence[:60].min() > 0.8


def test_confidence_does_not_depend_on_the_type(large):
    eight = (large[1].clip(0, 1) * 255).round().astype(np.uint8)
    maps = {
        "uint8": deblur(eight, "disk:2", details=True).confidence,
        "float32": deblur(eight.astype(np.float32) / 255, "disk:2", details=True).confidence,
        "float64": deblur(eight / 255, "disk:2", details=True).confidence,
        "uint16": deblur(eight.astype(np.uint16) * 257, "disk:2", details=True).confidence,
        "not rounded": deblur(large[1].astype(np.float32), "disk:2", details=True).confidence,
    }
    assert all(found.dtype == np.float32 for found in maps.values())
    for name, found in maps.items():
        assert np.abs(found - maps["uint8"]).max() < (0.1 if name == "not rounded" else 3e-3), name


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_confidence_does_not_depend_on_the_unit(large, scale):
    known = deblur(large[1], "disk:3", details=True).confidence
    assert np.allclose(deblur(scale * large[1], "disk:3", details=True).confidence, known, atol=0.02)


def test_nothing_is_known_where_nothing_was_observed(large):
    mask = np.ones(large[1].shape, bool)
    mask[30:110, 30:110] = False
    confidence = deblur(large[1], "disk:2", mask=mask, details=True).confidence
    assert confidence[60:80, 60:80].max() == 0
    assert confidence[130:].min() > 0.8


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 3, 40, 44), (2, 40, 44)), ((3, 40, 44), (40, 44)), ((40, 44), (40, 44))],
    ids=["batch", "colour", "gray"],
)
def test_confidence_has_the_shape_without_channels(case, shape, expected):
    picture = torch.tensor(case[1][:40, :44], dtype=torch.float32).expand(shape)
    confidence = deblur(picture, "disk:2", details=True).confidence
    assert isinstance(confidence, torch.Tensor)
    assert confidence.shape == expected


def test_an_estimated_psf_lends_its_confidence(case, monkeypatch):
    doubtful = PsfEstimate(Psf.disk(2), 0.6, "disk", notes=("estimated PSF: disk",))
    monkeypatch.setattr("imgrestore.tasks.deblur_blind.estimate_plane", lambda *_, **__: doubtful)
    confidence = deblur(case[1], details=True).confidence
    assert confidence.shape == case[1].shape
    assert confidence.max() == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("image", "psf", "options", "reason"),
    [
        (np.zeros((24, 24, 5)), "disk:2", {"channel_axis": -1}, "gray and RGB"),
        (np.zeros((24, 24)), "disk:2", {"boundary": "zero"}, "boundary"),
        (torch.zeros(24, 24, dtype=torch.float64), "disk:2", {}, "float32"),
    ],
)
def test_where_the_net_does_not_apply_the_notes_say_why(image, psf, options, reason):
    image[8:14, 8:14] = 0.5
    image[2, 2] = -1  # no picture of light on a dark ground
    notes = deblur(image, psf, details=True, **options).notes
    assert any(note.startswith("classical only:") and reason in note for note in notes)


def test_too_large_a_picture_stays_classical(case, monkeypatch):
    monkeypatch.setattr(deblur_net, "MOST_PIXELS", 1000)
    assert any("larger than" in note for note in deblur(case[1], "disk:2", details=True).notes)


def test_gradients_run_through_the_net(case):
    image = torch.tensor(case[1][:32, :32], dtype=torch.float32, requires_grad=True)
    psf = torch.tensor(Psf.disk(2).array, requires_grad=True)
    deblur(image, psf).square().sum().backward()
    for tensor in (image, psf):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().max() > 0
    assert not any(p.requires_grad for p in weights.load("deblur").parameters())


def test_several_threads_may_load_and_run_the_net_at_once(case, fresh_weights):
    expected, results = deblur(case[1], "disk:2"), [None] * 4
    weights.load.cache_clear()

    def work(i):
        results[i] = deblur(case[1], "disk:2")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(result, expected, atol=1e-5) for result in results)


def test_an_even_picture_of_a_batch_is_as_sure_as_alone(case):
    batch = torch.stack([torch.from_numpy(case[1]).float(), torch.full(case[1].shape, 0.5)])[:, None]
    confidence = deblur(batch, "disk:2", details=True).confidence
    assert float(confidence[1].min()) > 0.99


def test_beside_an_estimated_psf_single_places_may_explain_less(monkeypatch):
    heard = []
    real = deblur_net.share_explained

    def listening(*rest, worse, hopeless, **more):
        heard.append((worse, hopeless))
        return real(*rest, worse=worse, hopeless=hopeless, **more)

    monkeypatch.setattr(deblur_net, "share_explained", listening)
    clock = data.clock()
    deblur(clock, "motion:36:2")
    deblur(clock)
    assert heard == [(deblur_net.WORSE, deblur_net.HOPELESS), deblur_net.GUESSED]
