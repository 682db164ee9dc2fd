"""Highlights off whole pictures: the seeded sets, clean pictures, and what the task says of itself."""

import damaged
import numpy as np
import pytest
import set_specular
from skimage import data
from typer.testing import CliRunner

from imgrestore import despecular, io
from imgrestore.cli import app

LEAST_MEAN = {"lobes on photographs": 5.0, "lobes on shaded bodies": 12.5}


@pytest.mark.parametrize("title", sorted(set_specular.SETS))
def test_gain(title):
    found = damaged.gains(despecular, set_specular.SETS[title]())
    assert damaged.mean(found) > LEAST_MEAN[title], found
    assert damaged.worst(found) > -0.5, found
    assert max(one.recomposed for one in found) < 1e-5


def test_a_mask_helps():
    found = damaged.gains(despecular, set_specular.on_bodies(), with_mask=True)
    assert damaged.mean(found) > 6
    assert damaged.worst(found) > 0


def test_bodies_without_highlights_come_back():
    for seed in range(6):
        picture = set_specular.bodies(seed)[0]
        assert damaged.psnr(despecular(picture) / 255, picture / 255) > 50


@pytest.mark.parametrize("name", ["retina", "tissue", "cat", "rocket", "flag"])
def test_photographs_hardly_change(name):
    picture = set_specular.photographs()[name]
    assert damaged.psnr(despecular(picture) / 255, picture / 255) > 36


@pytest.mark.parametrize("picture", [data.camera()[::2, ::2], data.page(), data.moon()[::2, ::2]])
def test_gray_pictures_come_back_with_a_reason(picture):
    result = despecular(picture, details=True)
    assert np.array_equal(result.image, picture)
    assert "without colours" in result.notes[0]
    assert not result.mask.any()
    colours = np.repeat(picture[..., None], 3, axis=2)
    assert np.array_equal(despecular(colours), colours)


def test_gray_pictures_with_a_mask_are_filled():
    y, x = np.mgrid[:64, :64]
    clean = (0.3 + 0.002 * x).astype(np.float32)
    spot = (y - 30) ** 2 + (x - 30) ** 2 < 60
    result = despecular(np.where(spot, 1, clean).astype(np.float32), mask=spot)
    assert np.abs(result - clean).max() < 0.01


def test_text_stays_on_its_paper():
    rng = np.random.default_rng(0)
    page = np.full((120, 160, 3), (0.75, 0.4, 0.2), np.float32)
    for y in range(10, 110, 12):
        for x in range(8, 150, 6):
            if rng.random() < 0.8:
                page[y : y + rng.integers(3, 8), x : x + rng.integers(1, 4)] = 0.95
    assert damaged.psnr(despecular(page), page) > 40


def test_what_it_says():
    one = set_specular.on_bodies()[2]
    result = despecular(one.observed, details=True)
    assert "highlights taken off with the faint light beside them" in result.notes[0]
    assert "linear" in result.notes[1]
    assert set(result.layers) == {"diffuse", "specular"}
    assert np.abs(result.layers["diffuse"] - result.image).max() < 1e-6
    assert result.layers["specular"].min() >= 0
    assert (result.mask & one.mask).sum() > 0.8 * result.mask.sum()
    assert result.confidence.shape == one.mask.shape
    assert result.confidence.min() >= 0.5
    assert result.confidence.max() <= 1
    photo = despecular(set_specular.on_bodies()[0].observed, details=True)
    assert "sRGB" in photo.notes[1]
    nothing = despecular(set_specular.bodies(0)[0], details=True)
    assert "no highlight on a coloured body was found" in nothing.notes[0]


def test_exposure_does_not_matter():
    one = set_specular.on_bodies()[2]
    full = despecular(one.observed, transfer="linear")
    half = despecular((0.5 * one.observed).astype(np.float32), transfer="linear")
    # But for clipping, which is not seen any more.
    dull = one.observed.max(axis=2) < 0.97
    assert np.abs(2 * half - full)[dull].mean() < 2e-3


def test_the_command_says_how_values_are_coded(tmp_path):
    one = set_specular.on_bodies()[2]
    picture = np.round(one.observed * 255).astype(np.uint8)
    io.write(tmp_path / "in.png", picture)
    for transfer in ("linear", "srgb"):
        words = ["despecular", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), "--transfer", transfer]
        assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0
        assert np.array_equal(io.read(tmp_path / "out.png").pixels, despecular(picture, transfer=transfer))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"illuminant": (1, 1)}, r"illuminant is \(1, 1\); expected 'auto' or three positive numbers"),
        ({"transfer": "log"}, "transfer is 'log'; expected one of auto, srgb, linear"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        despecular(np.zeros((20, 20, 3), np.uint8), **settings)
