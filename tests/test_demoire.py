"""Demoiré as it is called: seeded sets, undamaged pictures, masks, layers."""

import numpy as np
import pytest
import set_moire
import torch
from damaged import gains, mean, psnr, worst
from skimage import data

from imgrestore import demoire
from imgrestore.degrade import moire

ASKED = {"gray waves": 9.5, "coloured waves": 10, "bent waves": 10, "scan lines": 10, "half-tone": 10.5}


@pytest.mark.parametrize("title", set_moire.SETS)
def test_seeded_sets(title):
    found = gains(demoire, set_moire.SETS[title]())
    assert mean(found) > ASKED[title]
    assert worst(found) >= 0
    assert max(one.recomposed for one in found) < 1e-5


@pytest.mark.parametrize(
    "name", ["astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "grass", "gravel", "brick", "page", "text"]
)
def test_pictures_without_moire_come_back(name):
    picture = getattr(data, name)()
    result = demoire(picture, details=True)
    assert np.array_equal(result.image, picture)
    assert result.notes == ("no moiré found: the picture is left as it is",)
    assert not result.mask.any()
    assert result.confidence > 0.5


@pytest.fixture(scope="module")
def striped():
    clean = data.coffee()[60:316, 150:406].astype(np.float32) / 255
    wave = moire.Wave(0.11, 0.19, (0.08, 0.06, 0.05))
    observed = moire.apply(torch.from_numpy(clean).movedim(-1, 0), moire.MoireParams((wave,)))
    return observed.movedim(0, -1).numpy(), clean


def test_layers_hold_the_pattern(striped):
    observed, clean = striped
    result = demoire(observed, details=True)
    assert set(result.layers) == {"scene", "moire", "tone", "refinement"}
    assert psnr(result.layers["moire"] + 0.5, observed - clean + 0.5) > 32
    assert not result.layers["tone"].any()
    assert result.mask.mean() > 0.9
    assert "period of 4.5 pixels" in result.notes[0]


def test_a_mask_says_where(striped):
    observed, clean = striped
    mask = np.zeros(observed.shape[:2], bool)
    mask[60:180, 50:200] = True
    mixed = np.where(mask[..., None], observed, clean)
    result = demoire(mixed, mask=mask, details=True)
    far = np.ones_like(mask)
    far[45:195, 35:215] = False
    assert np.array_equal(result.image[far], mixed[far])
    assert psnr(result.image[mask], clean[mask]) > psnr(mixed[mask], clean[mask]) + 5
    assert np.array_equal(result.mask, mask)


def test_brightness_does_not_matter(striped):
    observed, _ = striped
    full, half = demoire(observed), demoire(0.6 * observed)
    np.testing.assert_allclose(half, 0.6 * full, atol=0.01)


def test_a_photographed_screen_gets_its_tones_back():
    """Grid, coloured bands and noise as a camera sees a screen: pattern and tone are named, and add up."""
    rng = np.random.default_rng(0)
    clean = torch.from_numpy(data.astronaut()[:320, 60:380].astype(np.float32) / 255).movedim(-1, 0)
    waves = tuple(
        moire.Wave(row, column, amplitude, bend=((0.5, 0.6, 3.0, 1.0),))
        for row, column, amplitude in (
            (0.02, 0.23, (0.06, 0.05, 0.04)),
            (0.33, 0.04, (0.05, 0.06, 0.05)),
            (0.1, 0.06, (0.06, -0.03, -0.03)),
            (-0.05, 0.12, (-0.04, 0.01, 0.05)),
        )
    )
    observed = moire.apply(clean, moire.MoireParams(waves, follows=0.5)).movedim(0, -1).numpy()
    observed = observed + 0.02 * rng.standard_normal(observed.shape[:2])[..., None].astype(np.float32)
    result = demoire(observed, details=True)
    assert psnr(result.image, clean.movedim(0, -1).numpy()) > psnr(observed, clean.movedim(0, -1).numpy())
    assert result.layers["moire"].any()
    assert np.abs(result.recompose() - observed).max() < 1e-5


def test_rings_of_colour_go_and_the_rest_stays():
    """What a screen leaves in a photograph that was made smaller: bands that bend, in a part of the frame."""
    clean = data.rocket()[:384, -384:].astype(np.float32) / 255
    y, x = np.indices(clean.shape[:2]) / 384
    wave = 0.05 * np.exp(-6 * (y**2 + x**2)) * np.cos(90 * ((y - 1.2) ** 2 + (x + 0.3) ** 2))
    observed = clean + (wave[..., None] * np.array((1.0, -1.0, 0.8))).astype(np.float32)
    result = demoire(observed, details=True)
    assert result.notes[0].startswith("bands of colour")
    assert psnr(result.image, clean) > psnr(observed, clean) + 4
    assert not result.layers["tone"].any()
    assert np.abs(result.image - observed)[300:, 300:].max() < 1e-5
    assert np.abs(result.recompose() - observed).max() < 1e-5
