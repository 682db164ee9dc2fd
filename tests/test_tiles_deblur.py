"""Deblurring in tiles equals deblurring the whole."""

import pickle

import numpy as np
import pytest
from tiles_cases import apart, blurred, stars, tiled

from imgrestore import PsfField, deblur
from imgrestore.tiles import Window, prepare

CLASSICAL = 1e-4
SHAPE = (203, 181)


def cases():
    gray = blurred(SHAPE, "gaussian:1.2")
    holes = gray.copy()
    holes[60:66, 90:95] = np.nan
    clipped = np.minimum(gray * 1.6, 1.0)
    alpha = np.concatenate([blurred((150, 141), "gaussian:1", colours=True), np.ones((150, 141, 1))], -1)
    eight = (gray.clip(0, 1) * 255).round().astype(np.uint8)
    five = np.stack([gray[:150, :131] * k for k in (1, 0.2, 3, 0.5, 2)], -1)
    return {
        "wiener": (gray, {"psf": "gaussian:1.2", "method": "wiener"}),
        "tv": (gray, {"psf": "gaussian:1.2", "method": "tv"}),
        "rl": (gray.clip(0), {"psf": "gaussian:1.2", "method": "rl"}),
        "counts of stars": (stars(SHAPE, "gaussian:1"), {"psf": "gaussian:1"}),
        "nan": (holes, {"psf": "gaussian:1.2", "method": "tv"}),
        "saturated": (clipped, {"psf": "gaussian:1.2", "method": "tv"}),
        "rgba": (alpha.astype(np.float32), {"psf": "gaussian:1", "refine": False}),
        "uint8": (eight, {"psf": "gaussian:1.2", "method": "wiener"}),
        "five channels, float64": (
            five.astype(np.float64),
            {"psf": "gaussian:1.2", "method": "tv", "channel_axis": -1},
        ),
        "huge values": (gray.astype(np.float64) * 1e14, {"psf": "gaussian:1.2", "method": "wiener"}),
    }


@pytest.mark.parametrize("name", list(cases()))
def test_tiles_are_the_whole(name):
    picture, options = cases()[name]
    psf = options["psf"]
    whole = deblur(picture, psf, **{k: v for k, v in options.items() if k != "psf"})
    prepared = prepare("deblur", picture, **options)
    rng = np.random.default_rng(len(name))
    sides = [int(side) for side in rng.integers(20, 120, 2)]
    for tile in (tuple(sides), (picture.shape[0], 59)):
        found = tiled(prepared, picture, tile)
        assert found.dtype == picture.dtype
        rounding = 1 / np.ptp(whole) if picture.dtype.kind == "u" else 0
        # A value on the edge between two whole numbers may fall to either.
        assert apart(found, whole) <= CLASSICAL + rounding, tile
    assert np.array_equal(prepared(picture, Window.whole(picture.shape)), whole)


def test_the_mask_of_good_pixels_is_honoured():
    picture = blurred(SHAPE, "gaussian:1.2")
    mask = np.ones(SHAPE, bool)
    mask[100:104, 40:45] = False
    picture[~mask] = 5
    whole = deblur(picture, "gaussian:1.2", method="tv", mask=mask)
    prepared = prepare("deblur", picture, psf="gaussian:1.2", method="tv", mask=mask)
    assert apart(tiled(prepared, picture, (70, 90)), whole) <= CLASSICAL


@pytest.mark.parametrize("method", ["wiener", "tv", "rl"])
def test_of_a_picture_that_is_not_looked_at_as_a_whole_all_tiles_agree(method):
    picture = blurred((290, 300), "gaussian:1").clip(0)
    prepared = prepare("deblur", picture, psf="gaussian:1", method=method, look_pixels=30_000)
    one = prepared(picture, Window.whole(picture.shape))
    assert apart(tiled(prepared, picture, (97, 110)), one) <= CLASSICAL
    assert any("parts of 256 x 256" in note for note in prepared.notes)
    # Noise and range of the parts are those of the whole, nearly.
    assert apart(one, deblur(picture, "gaussian:1", method=method)) < 0.05


def test_jumping_thresholds_are_said():
    picture = blurred((160, 150), "gaussian:1.2")
    prepared = prepare("deblur", picture, psf="gaussian:1.2", method="hyperlaplacian")
    assert any("thresholds" in note for note in prepared.notes)
    whole = deblur(picture, "gaussian:1.2", method="hyperlaplacian")
    off = np.abs(tiled(prepared, picture, (50, 60)) - whole)
    assert np.quantile(off, 0.99) < 1e-3
    assert off.max() < 0.1


def test_no_blur_found_leaves_the_picture():
    picture = blurred((128, 128), "gaussian:0.1", noise=0)
    prepared = prepare("deblur", picture)
    assert prepared.halo == 0
    assert np.array_equal(tiled(prepared, picture, (50, 60)), picture)
    point = prepare("deblur", picture, psf=np.eye(3)[1:2])
    assert np.array_equal(tiled(point, picture, (50, 60)), picture)
    assert "nothing to deblur" in point.notes[-1]


def test_the_farther_a_psf_reaches_the_larger_is_the_halo():
    near, far = (
        prepare("deblur", blurred(SHAPE, psf), psf=psf, method="wiener").halo for psf in ("gaussian:0.8", "disk:4")
    )
    assert near < far


def test_what_was_prepared_can_be_sent_elsewhere():
    picture = blurred(SHAPE, "gaussian:1")
    prepared = prepare("deblur", picture, psf="gaussian:1", method="rl")
    window = Window(50, 20, 60, 70)
    seen = picture[window.grown(prepared.halo, picture.shape).slices]
    again = pickle.loads(pickle.dumps(prepared))
    assert np.array_equal(again(seen, window), prepared(seen, window))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"psf": "disk:2", "boundary": "zero"}, "boundary is 'zero'"),
        ({"field": (2, 2)}, "does not go with tiles"),
        ({"psf": PsfField([["disk:1", "disk:2"]])}, "does not go with tiles"),
        ({"psf": np.ones((3, 3, 3))}, "psf has 3 axes"),
        ({"psf": "disk:2", "method": "magic"}, "method is 'magic'"),
        ({"psf": "disk:2", "noise": -1}, "noise is -1"),
        ({"psf": "disk:2", "mask": np.ones((3, 3), bool)}, r"mask has shape \(3, 3\)"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        prepare("deblur", np.random.default_rng(0).random((64, 64)), **options)
