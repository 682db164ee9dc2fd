"""Sheets of every kind of picture: drawn, of a sensible size, and showing what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from imgrestore import Psf, PsfField, Restoration, deblur, sheet_page
from imgrestore import sheet as sheets
from imgrestore.sheet import ACCENT, NOT_A_NUMBER, draw
from imgrestore.sheet_page import PAPER

RNG = np.random.default_rng(0)


def restoration(image, *, residual=None, psf="gaussian:1", mask=None, **kinds):
    """As `deblur` returns it, without deblurring."""
    colours = image[..., :-1] if kinds.get("alpha") else image
    plane = colours * 1.0 if hasattr(colours, "detach") else colours.astype(np.float32)
    residual = plane * 0 if residual is None else residual
    psf = Psf.parse(psf) if isinstance(psf, str) else psf
    layers = {"reblurred": plane, "residual": residual}
    return Restoration(image, layers, mask=mask, psf=psf, confidence=1.0, notes=("method tv", "noise 1.2"))


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (0.5, "confidence 0.50"),
        (np.float32(0.25), "confidence 0.25"),
        (np.array([[0.5, 1.0]], np.float32), "confidence 0.75, 0.50 at the least"),
        (torch.tensor([[[0.2, 1.0]]]), "confidence 0.60, 0.20 at the least"),
    ],
)
def test_confidence_may_be_a_number_or_a_map(confidence, words, monkeypatch):
    told = []
    title = sheets._title
    monkeypatch.setattr(sheets, "_title", lambda *a: told.extend(lines := title(*a)) or lines)
    draw(replace(restoration(PICTURES["gray"]), confidence=confidence))
    assert any(line.endswith(words) or f"{words} ·" in line for line in told)
    told.clear()
    draw(replace(restoration(PICTURES["gray"]), confidence=None))
    assert told
    assert not any("confidence" in line for line in told)


def colours(picture):
    return set(map(tuple, np.asarray(picture).reshape(-1, 3)))


PICTURES = {
    "gray": RNG.integers(0, 255, (90, 120), np.uint8),
    "rgb": RNG.integers(0, 255, (90, 120, 3), np.uint8),
    "uint16": RNG.integers(0, 4000, (90, 120), np.uint16),
    "unit": RNG.random((90, 120)),
    "counts": (60000 * RNG.random((90, 120))).astype(np.float32),
    "six channels": RNG.random((90, 120, 6)),
    "one": np.full((1, 1), 7, np.uint8),
    "line": RNG.random((1, 300)).astype(np.float32),
    "constant": np.full((20, 20), 5.0),
    "large": RNG.integers(0, 255, (700, 1400, 3), np.uint8),
    "tensor": torch.rand(3, 90, 120),
    "batch": torch.rand(2, 3, 90, 120),
    "bfloat16": torch.rand(90, 120).bfloat16(),
    "gradient": torch.rand(1, 90, 120, requires_grad=True),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_drawn(name):
    picture = draw(restoration(PICTURES[name]))
    assert isinstance(picture, Image.Image)
    assert picture.mode == "RGB"
    assert 600 <= picture.width <= 1400
    assert picture.height <= 2400
    edge = np.asarray(picture)
    assert (edge[:8] == PAPER).all()
    assert (edge[-8:] == PAPER).all()
    assert (edge[:, :8] == PAPER).all()
    assert (edge[:, -8:] == PAPER).all()


def test_truth_makes_a_third_panel():
    image = PICTURES["rgb"]
    without, with_truth = draw(restoration(image)), draw(restoration(image), truth=image)
    assert with_truth.width > without.width
    assert with_truth.width <= 3 * 640 + 200


def test_plot_is_the_sheet():
    picture = PICTURES["gray"]
    assert np.array_equal(np.asarray(restoration(picture).plot()), np.asarray(draw(restoration(picture))))


def test_result_of_deblur_is_drawn_with_its_mask():
    picture = np.clip(RNG.normal(120, 20, (48, 64, 4)), 0, 255).astype(np.uint8)
    picture[10:14, 10:20, :3] = 255
    result = deblur(picture, "gaussian:1", method="wiener", details=True)
    assert result.mask.any()
    orange = [c for c in colours(result.plot()) if int(c[0]) > 2 * int(c[1]) > 3 * int(c[2])]
    assert any(0.6 <= int(c[0]) / ACCENT[0] <= 1 for c in orange)


def test_the_detail_is_where_something_was_taken_off_and_the_result_is_not_drawn_twice():
    before = np.kron(RNG.uniform(0.2, 0.8, (40, 60)), np.ones((10, 10))).astype(np.float32)
    spot = np.zeros_like(before)
    spot[20:70, 500:560] = 0.15
    result = Restoration(before - spot, {"scene": before - spot, "veil": spot}, mask=spot > 0, notes=("a veil",))
    pixels = np.asarray(result.plot())
    marked = (pixels == ACCENT).all(axis=-1)[: 32 + 450]
    rows, columns = (np.nonzero(marked.any(axis=axis))[0] - 32 for axis in (1, 0))
    assert columns.min() <= 500 < 559 <= columns.max()
    assert rows.min() < 100 + 20
    captions = [p.caption for p in sheets._layer_panels(result, 2, (0.0, 1.0))]
    assert captions == ["veil: 0 to 0.15"]


def test_stack_shows_maximum_and_slice():
    psf = Psf.gaussian(1.0, ndim=3)
    flat, stack = restoration(PICTURES["gray"]), np.zeros((9, 90, 120), np.float32)
    stack[1, 40, 60] = 100.0
    views = sheets._views(9)
    assert [view for _, view in views] == ["maximum", "middle"]
    canonical = sheets._canonical(stack, 3)
    assert canonical.shape == (9, 90, 120, 1)
    assert sheets._flat(canonical, "maximum").max() == 100
    assert sheets._flat(canonical, "middle").max() == 0
    assert draw(restoration(stack, psf=psf)).height > draw(flat).height


def test_a_field_is_drawn_with_its_psfs_in_their_places():
    field = PsfField([["disk:1", "disk:3"], ["disk:2", Psf([[1.0]])]])
    (panel,) = sheets._psf_panel(field)
    assert panel.caption == "PSFs, 2 x 2 of 7 x 7"
    assert panel.pixels.shape == (15, 15, 3)
    assert panel.pixels[3, 3].tolist() == panel.pixels[11, 11].tolist() == [255] * 3
    assert (panel.pixels[11, 8:11] == 0).all()
    assert (panel.pixels[7] == sheets.BETWEEN).all()
    assert draw(restoration(PICTURES["gray"], psf=field)).size == draw(restoration(PICTURES["gray"])).size
    # Of a batch whose pictures have different ones, the first is shown.
    assert draw(restoration(PICTURES["batch"], psf=(field, Psf.disk(2)))).mode == "RGB"


@pytest.mark.parametrize(
    ("array", "space", "shape"),
    [
        (np.zeros((4, 5)), 2, (1, 4, 5, 1)),
        (np.zeros((4, 5, 3)), 2, (1, 4, 5, 3)),
        (np.zeros((4, 5, 2)), 2, (1, 4, 5, 1)),
        (np.zeros((40, 50, 7)), 2, (1, 40, 50, 1)),
        (np.zeros((6, 40, 50)), 2, (1, 40, 50, 1)),
        (np.zeros((6, 4, 5, 3)), 3, (6, 4, 5, 3)),
        (torch.zeros(3, 4, 5), 2, (1, 4, 5, 3)),
        (torch.zeros(2, 5, 4, 6), 2, (1, 4, 6, 1)),
        (torch.zeros(2, 1, 6, 4, 5), 3, (6, 4, 5, 1)),
    ],
)
def test_layouts(array, space, shape):
    assert sheets._canonical(array, space).shape == shape


def test_nan_has_its_own_colour():
    picture = PICTURES["counts"].copy()
    picture[20:30, 20:40] = np.nan
    assert NOT_A_NUMBER in colours(draw(restoration(picture)))
    draw(restoration(np.full((20, 20), np.nan)))


def test_counts_share_one_stretch():
    image = PICTURES["counts"]
    low, high = sheets._stretch({"input": image[None, ..., None], "result": image[None, ..., None]}, image.dtype)
    assert 0 <= low < 1000
    assert 59000 < high <= 60000


@pytest.mark.parametrize("image", [PICTURES["unit"], PICTURES["gray"], PICTURES["gray"] // 20])
def test_photographs_are_shown_as_stored(image):
    peak = 255.0 if image.dtype == np.uint8 else 1.0
    assert sheets._stretch({"result": image[None, ..., None].astype(float)}, image.dtype) == (0.0, peak)


def test_transparent_parts_are_white():
    picture = np.full((60, 80, 4), 90, np.uint8)
    picture[..., 3] = 255
    picture[:30, :, 3] = 0
    shown = np.asarray(draw(restoration(picture, alpha=True)))
    opaque = np.asarray(draw(restoration(picture[..., :3].copy())))
    assert (shown == 255).all(axis=-1).sum() > (opaque == 255).all(axis=-1).sum() + 1000


def test_detail_is_where_the_structure_is():
    shown = np.zeros((300, 400, 3), np.uint8)
    shown[200:260, 300:380] = RNG.integers(0, 255, (60, 80, 3))
    top, left = sheets._interesting(shown, 100, 130)
    assert top <= 200
    assert top + 100 >= 260
    assert left <= 300
    assert left + 130 >= 380


def test_residual_is_around_gray():
    image = np.full((90, 120), 100, np.uint8)
    panels = {p.caption.split(":")[0]: p for p in sheets._layer_panels(restoration(image), 2, (0.0, 255.0))}
    assert (panels["residual"].pixels == 128).all()
    assert (panels["reblurred"].pixels == 100).all()
    noisy = restoration(image, residual=RNG.normal(0, 3, image.shape))
    captions = [p.caption for p in sheets._layer_panels(noisy, 2, (0.0, 255.0))]
    assert any(c.startswith("residual: ±") for c in captions)


def test_other_layers_say_their_range():
    gain = {"gain": np.linspace(0.2, 0.9, 400).reshape(20, 20)}
    (panel,) = sheets._layer_panels(Restoration(np.zeros((20, 20), np.uint8), gain), 2, (0.0, 255.0))
    assert panel.caption == "gain: 0.203 to 0.899"


def test_text_without_glyphs_and_long_text():
    words = "x" * 500 + " " + "word " * 100
    r = Restoration(PICTURES["gray"], notes=("Größe 3 × 4 \n é", words))
    assert draw(r, title="名前.png").width < 800
    assert sheet_page._readable("3 × é ±") == "3 x ? ±"


def test_no_picture_is_an_error():
    with pytest.raises(ValueError, match="cannot draw an array of shape"):
        draw(Restoration(np.zeros(3)))
