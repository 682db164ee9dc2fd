"""The learned half of `demoire`: what it adds is a layer, held back where it cannot be moiré, and never in the way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage import data

from imgrestore import demoire
from imgrestore.classical.moire import estimate
from imgrestore.classical.moire_screen import Screen
from imgrestore.degrade import moire
from imgrestore.nets import weights
from imgrestore.nets.refiner import Refiner, RefinerConfig
from imgrestore.tasks import demoire_net

SMALL = RefinerConfig(width=4, blocks=(1, 1), tone=4, view=16, code=2)


def net_that(tone=0.0, correction=0.0):
    """A net that adds constant numbers: one to the red of the whole picture, one to every pixel."""
    net = Refiner(SMALL).eval().requires_grad_(False)
    net.head.curve.bias[0] = tone
    net.unet.head.bias.fill_(correction)
    return net


@pytest.fixture(scope="module")
def observed():
    clean = data.astronaut()[:288, 60:380].astype(np.float32) / 255
    wave = moire.Wave(0.11, 0.19, (0.08, 0.06, 0.05))
    return moire.apply(torch.from_numpy(clean).movedim(-1, 0), moire.MoireParams((wave,))).movedim(0, -1).numpy()


@pytest.fixture(autouse=True)
def strength(monkeypatch):
    """Pictures in colour in which moiré is found count as photographs of screens, or as much as is asked for.

    Their estimate is that without a screen, so that what the net adds to it is seen.
    """

    def settle(value):
        def counted(picture, mask, good, screen=None):
            found = estimate(picture, mask, good)
            return replace(found, strength=value if found.damaged and len(picture) == 3 else 0.0)

        monkeypatch.setattr(demoire_net, "estimate", counted)

    settle(1.0)
    return settle


@pytest.fixture
def given(tmp_path):
    def write(net):
        weights.write_net(tmp_path / "own.safetensors", net, "demoire")
        return tmp_path / "own.safetensors"

    return write


def test_what_the_net_added_is_a_layer(observed, given):
    plain = demoire(observed, method="classical", details=True)
    result = demoire(observed, weights=given(net_that(correction=0.02)), details=True)
    assert set(plain.layers) == {"scene", "moire", "tone"}
    assert set(result.layers) == {"scene", "moire", "tone", "refinement"}
    assert np.abs(result.image - plain.image - result.layers["refinement"]).max() < 1e-6
    assert np.abs(result.layers["refinement"]).max() == pytest.approx(0.02, abs=1e-3)
    assert np.abs(result.recompose() - observed).max() < 1e-6
    assert "refined by the net" in result.notes
    assert result.confidence.shape == observed.shape[:2]
    assert result.confidence.dtype == np.float32


def test_a_new_net_gives_the_classical_estimate(observed, given):
    own = given(Refiner(SMALL))
    assert np.array_equal(demoire(observed, weights=own), demoire(observed, method="classical"))
    assert np.array_equal(demoire(observed, refine=False), demoire(observed, method="classical"))


def test_a_correction_that_no_moire_could_need_is_held_back(observed, given, monkeypatch):
    """A net that draws a bright blot into a smooth corner: there the classical estimate stays, elsewhere the net's."""
    plain = demoire(observed, method="classical")
    whole = Refiner.correction_of

    def blot(self, picture, *rest):
        found = whole(self, picture, *rest)
        found[..., :96, :96] += 0.5
        return found

    own = given(net_that(correction=0.02))
    sound = demoire(observed, weights=own)
    monkeypatch.setattr(Refiner, "correction_of", blot)
    result = demoire(observed, weights=own, details=True)
    assert np.abs(result.image - plain)[:80, :80].max() < 0.01
    assert np.abs(result.image - sound)[160:, 160:].max() < 1e-6
    assert result.confidence[40, 40] < 0.02 < result.confidence[200, 200]
    assert any("held back" in note for note in result.notes)
    assert np.abs(result.recompose() - observed).max() < 1e-6


def test_the_net_is_followed_as_far_as_a_screen_is_believed(observed, given, strength):
    own = given(net_that(tone=0.05, correction=0.02))
    strength(0.0)
    result = demoire(observed, weights=own, details=True)
    assert np.array_equal(result.image, demoire(observed, method="classical"))
    assert "classical only: the net knows photographs of screens" in result.notes
    strength(0.5)
    half = demoire(observed, weights=given(net_that(correction=0.02)), details=True)
    assert float(half.layers["refinement"].max()) == pytest.approx(0.01, abs=1e-4)
    half = demoire(observed, weights=given(net_that(tone=0.05)), details=True)
    assert half.layers["refinement"][..., 0] == pytest.approx(np.full(observed.shape[:2], 0.025), abs=1e-5)
    assert not half.layers["refinement"][..., 1:].any()
    assert half.layers["tone"] == pytest.approx(-half.layers["refinement"], abs=1e-6)


def test_the_net_judges_whether_it_is_a_screen(given, monkeypatch):
    monkeypatch.setattr(demoire_net, "estimate", estimate)
    picture, own = data.chelsea(), given(net_that(tone=0.05))

    def judged(odds):
        monkeypatch.setattr(Refiner, "evidence", lambda self, seen: odds)
        return demoire(picture, weights=own, details=True)

    doubt, sure = demoire_net.DOUBT, demoire_net.SURE
    assert np.array_equal(judged(doubt).image, picture)
    whole, half = judged(sure + 1), judged((doubt + sure) / 2)
    assert any(note.startswith(f"the photograph of a screen (log odds {sure + 1:.1f})") for note in whole.notes)
    assert whole.layers["refinement"][..., 0] == pytest.approx(np.full(picture.shape[:2], 0.05 * 255), abs=0.1)
    assert half.layers["refinement"][..., 0] == pytest.approx(np.full(picture.shape[:2], 0.025 * 255), abs=0.1)


def test_waves_alone_are_no_screen_whatever_the_judge_says(observed, given, monkeypatch):
    monkeypatch.setattr(demoire_net, "estimate", estimate)
    monkeypatch.setattr(Refiner, "evidence", lambda self, seen: 9.0)
    result = demoire(observed, weights=given(net_that(correction=0.02)), details=True)
    assert np.array_equal(result.image, demoire(observed, method="classical"))
    assert not result.layers["tone"].any()
    monkeypatch.setattr(demoire_net, "screen_of", lambda seen: Screen(1.0, 0.7, 0.0))
    assert "refined by the net" in demoire(observed, weights=given(net_that(correction=0.02)), details=True).notes


@pytest.mark.parametrize("kind", ["gray", "gray in three channels", "tiny", "masked"])
def test_some_pictures_need_no_judge(kind, given, monkeypatch):
    monkeypatch.setattr(demoire_net, "estimate", estimate)
    monkeypatch.setattr(Refiner, "evidence", lambda self, seen: pytest.fail("asked"))
    gray = data.camera()[:200, :200]
    picture = {"gray": gray, "gray in three channels": np.stack([gray] * 3, -1)}.get(kind, data.chelsea()[:200, :200])
    picture = picture[:60] if kind == "tiny" else picture
    mask = np.ones(picture.shape[:2], bool) if kind == "masked" else None
    assert demoire(picture, mask=mask, weights=given(net_that())).shape == picture.shape


def test_a_judge_that_gives_no_number_is_not_heeded(given, monkeypatch):
    monkeypatch.setattr(demoire_net, "estimate", estimate)
    monkeypatch.setattr(Refiner, "evidence", lambda self, seen: float("nan"))
    result = demoire(data.chelsea(), weights=given(net_that(correction=0.02)), details=True)
    assert np.array_equal(result.image, data.chelsea())
    assert demoire_net.NO_NUMBERS in result.notes
    assert np.isfinite(result.confidence).all()


def test_tones_never_turn_around():
    curve = torch.zeros(1, 3, 10)
    curve[0, :, 1:4] = -0.9  # would turn light to dark
    held = demoire_net._rising(curve)
    ramp = torch.linspace(0, 1, 50).expand(1, 3, 1, 50)
    assert bool(((ramp + Refiner.tone_of(ramp, held)).diff(dim=-1) > 0).all())
    assert torch.equal(demoire_net._rising(0.1 * curve), 0.1 * curve)


def test_inside_a_mask_the_classical_method_works_alone(observed, given, monkeypatch):
    monkeypatch.setattr(demoire_net, "estimate", estimate)
    mask = np.zeros(observed.shape[:2], bool)
    mask[100:200, 100:220] = True
    result = demoire(observed, mask=mask, weights=given(net_that(correction=0.02)), details=True)
    assert np.array_equal(result.image, demoire(observed, mask=mask, method="classical"))
    assert not result.layers["refinement"].any()


def test_where_nothing_is_found_nothing_is_corrected(monkeypatch, given):
    own = given(net_that(correction=0.02))
    monkeypatch.setattr(Refiner, "correction_of", lambda *a: pytest.fail("asked"))
    picture = data.chelsea()
    result = demoire(picture, weights=own, details=True)
    assert np.array_equal(result.image, picture)
    assert not result.layers["refinement"].any()


@pytest.mark.parametrize("kind", ["uint8", "uint16", "rgba", "batch", "tensor", "nan"])
def test_pictures_of_every_kind(kind, observed, given):
    own = given(net_that(correction=0.02))
    image = {
        "uint8": (observed.clip(0, 1) * 255).astype(np.uint8),
        "uint16": (observed.clip(0, 1) * 65535).astype(np.uint16),
        "rgba": np.concatenate([observed, np.ones_like(observed[..., :1])], -1),
        "batch": torch.from_numpy(observed).movedim(-1, 0)[None].repeat(2, 1, 1, 1),
        "tensor": torch.from_numpy(observed).movedim(-1, 0),
        "nan": np.where(np.arange(observed.shape[1])[:, None] == 7, np.nan, observed),
    }[kind]
    result = demoire(image, weights=own, details=True)
    assert type(result.image) is type(image)
    assert result.image.dtype == image.dtype
    assert result.image.shape == image.shape
    size = observed.shape[:2]
    assert tuple(result.confidence.shape)[-2:] == size
    colours = np.asarray(image)[..., :3] if kind == "rgba" else np.asarray(image)
    range_ = {"uint8": 255, "uint16": 65535}.get(kind, 1)
    np.testing.assert_allclose(np.asarray(result.recompose()) / range_, colours / range_, atol=1e-5)
    assert any("refined by the net" in note for note in result.notes)


def test_gray_pictures_stay_classical(observed, given):
    result = demoire(observed.mean(-1), weights=given(net_that(correction=0.02)), details=True)
    assert not result.layers["refinement"].any()
    assert result.layers["moire"].any()


def test_the_shipped_net_changes_tones_a_little_and_nothing_else(observed):
    """What it was trained to: on a picture that is no screen at all it must not draw anything."""
    plain, result = demoire(observed, method="classical"), demoire(observed, details=True)
    assert "refined by the net" in result.notes
    detail = result.layers["refinement"] - gaussian_filter(result.layers["refinement"], (6, 6, 0))
    assert float(np.sqrt(np.mean(detail**2))) < 0.03
    assert np.abs(result.image - plain).max() < 0.5


@pytest.fixture
def fresh_weights():
    weights.load.cache_clear()
    yield
    weights.load.cache_clear()


@pytest.mark.parametrize("damage", ["missing", "changed", "swapped"])
def test_without_its_weights_the_classical_estimate_is_the_answer(
    observed, damage, tmp_path, monkeypatch, fresh_weights
):
    stored = (weights.HERE / "demoire.safetensors").read_bytes()
    if damage == "changed":
        (tmp_path / "demoire.safetensors").write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    if damage == "swapped":
        (tmp_path / "demoire.safetensors").write_bytes((weights.HERE / "deblur.safetensors").read_bytes())
    monkeypatch.setattr(weights, "HERE", tmp_path)
    result = demoire(observed, details=True)
    assert np.array_equal(result.image, demoire(observed, method="classical"))
    expected = "cannot be read" if damage == "missing" else "have the hash"
    assert any(note.startswith("classical only: the weights") and expected in note for note in result.notes)


@pytest.mark.parametrize("part", ["tone", "correction"])
def test_a_net_that_gives_no_numbers_is_not_taken(part, observed, given, monkeypatch):
    name = {"tone": "tone_of", "correction": "correction_of"}[part]
    monkeypatch.setattr(Refiner, name, lambda self, planes, *rest: torch.full_like(planes, torch.nan))
    result = demoire(observed, weights=given(Refiner(SMALL)), details=True)
    assert np.array_equal(result.image, demoire(observed, method="classical"))
    assert "classical only: the net's picture had values that are no numbers" in result.notes


@pytest.mark.parametrize("wrong", [{"maps": 4}, {"outputs": 1}])
def test_a_refiner_for_something_else_is_refused(observed, given, wrong):
    own = given(Refiner(replace(SMALL, **wrong)))
    with pytest.raises(weights.WeightsError, match="expected 3 of each"):
        demoire(observed, weights=own)


def test_weights_of_another_net_are_refused(observed, tmp_path):
    path = tmp_path / "blur.safetensors"
    path.write_bytes((weights.HERE / "deblur.safetensors").read_bytes())
    with pytest.raises(weights.WeightsError, match="deblur"):
        demoire(observed, weights=path)
    with pytest.raises(ValueError, match="weights and method='classical' are both given"):
        demoire(observed, method="classical", weights=path)
    with pytest.raises(TypeError, match="weights is a int"):
        demoire(observed, weights=3)
