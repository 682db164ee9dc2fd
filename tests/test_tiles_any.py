"""Any tile of a picture, wherever it lies, is that part of the whole: classical tasks to 1e-4, nets to 5e-3."""

from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from set_specular import on_bodies
from tiles_cases import blurred, of_a_screen, with_moire

import imgrestore
from imgrestore.tiles import Window, deblur, prepare

CLASSICAL, NETS = 1e-4, 5e-3
PSF, WIDE = "disk:1.5", "disk:3.5"
SHARP = (190, 150)
CASES = {
    "wiener": lambda: ("deblur", blurred(SHARP, PSF), {"psf": PSF, "method": "wiener"}),
    "tv": lambda: ("deblur", blurred(SHARP, PSF), {"psf": PSF, "method": "tv"}),
    "rl": lambda: ("deblur", blurred(SHARP, PSF).clip(0), {"psf": PSF, "method": "rl"}),
    "moire": lambda: ("demoire", with_moire("gray", (390, 110), seed=1), {"method": "classical"}),
    "highlights": lambda: ("despecular", on_bodies()[0].observed, {}),
    "net": lambda: ("deblur", blurred((330, 64), WIDE, colours=True), {"psf": WIDE}),
    "net with less halo": lambda: ("deblur", blurred((212, 204), WIDE, colours=True), {"psf": WIDE}),
    "net of a screen": lambda: ("demoire", of_a_screen((700, 130)), {}),
    "net of a reduced screen": lambda: ("demoire", of_a_screen((830, 130)), {"look_pixels": 30_000}),
}


@cache
def restored(name):
    """A picture, what is ready for its tiles, and the whole."""
    task, picture, options = CASES[name]()
    with pytest.MonkeyPatch.context() as patch:
        if "less halo" in name:  # so that corners of small pictures lie in tiles that see less than the whole
            patch.setattr(deblur, "LEAST_NET", 64)
        prepared = prepare(task, picture, **options)
    if name.startswith("net"):
        assert any("refined by the net" in note for note in prepared.notes)
    if "look_pixels" in options:
        return picture, prepared, prepared(picture, Window.whole(picture.shape))
    return picture, prepared, getattr(imgrestore, task)(picture, **options)


part = st.floats(0, 1)


@pytest.mark.parametrize("name", list(CASES))
@settings(max_examples=3, derandomize=True)
@given(size=st.tuples(part, part), place=st.tuples(part, part))
@example(size=(0.08, 0.08), place=(0.0, 0.0))
@example(size=(0.1, 0.08), place=(1.0, 1.0))
def test_any_tile_is_the_whole_s_part(name, size, place):
    picture, prepared, whole = restored(name)
    sides = [1 + round(one * (length - 1)) for one, length in zip(size, picture.shape, strict=False)]
    free = [length - side for side, length in zip(sides, picture.shape, strict=False)]
    window = Window(*(round(one * room) for one, room in zip(place, free, strict=True)), *sides)
    found = prepared(np.ascontiguousarray(picture[prepared.seen(window).slices]), window)
    limit = NETS if name.startswith("net") else CLASSICAL
    assert np.abs(found - whole[window.slices]).max() <= limit * np.ptp(whole)
