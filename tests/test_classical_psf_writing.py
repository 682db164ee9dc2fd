"""Blurred writing: strokes on paper tell of the PSF."""

import cv2
import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from skimage import data

import imgrestore
from imgrestore import Psf
from imgrestore.classical import estimate_psf
from imgrestore.classical.psf_judge import likeness
from imgrestore.classical.psf_steps import otf
from imgrestore.classical.psf_writing import Writing, glimpsed, strokes, within_most, written
from imgrestore.ops import fft_filter

TEXT = (
    "Sphinx of black quartz",
    "judge my vow, 1879.",
    "How vexingly quick daft",
    "zebras jump over 24",
    "lazy dogs. Pack my box",
)


def page(shade=0.1):
    """Lines of writing on paper that darkens from left to right."""
    paper = np.full((300, 340), 255, np.uint8)
    for number, line in enumerate(TEXT):
        cv2.putText(paper, line, (8, 50 + 54 * number), cv2.FONT_HERSHEY_COMPLEX, 0.8, 40, 2, cv2.LINE_AA)
    return paper / 255 * np.linspace(1, 1 - shade, 340)


def hook():
    """A path: down, and then to the right, faster and faster."""
    path = np.zeros((15, 15))
    path[1:12, 3] = 1
    path[12, 3:13] = np.linspace(1, 0.3, 10)
    path = cv2.GaussianBlur(path, (0, 0), 0.6)
    return Psf(path / path.sum())


def blurred(psf, page, noise=0.005):
    seen = fftconvolve(page, psf.array, mode="valid")
    return seen + np.random.default_rng(0).normal(0, noise, seen.shape)


def as_plane(picture):
    plane = torch.from_numpy(picture).float()
    return plane, torch.ones_like(plane, dtype=torch.bool)


@pytest.mark.parametrize("on_black", [False, True])
def test_the_path_that_blurred_writing_is_found_and_it_can_be_read_again(on_black):
    psf, sheet = hook(), 1 - page() if on_black else page()
    picture = blurred(psf, sheet)
    found = estimate_psf(picture)
    assert found.kind == "shake"
    assert found.confidence > 0.3
    assert likeness(found.psf, psf) > 0.85

    # The search for the PSF is most of the work: on paper it is done again by the task itself.
    mended = imgrestore.deblur(picture, psf=found.psf if on_black else None)
    rim = 20
    truth = sheet[7 + rim : -7 - rim, 7 + rim : -7 - rim]

    def error(seen):
        shifts = [(down, right) for down in range(-3, 4) for right in range(-3, 4)]
        moved = (np.roll(seen, shift, (0, 1))[rim:-rim, rim:-rim] for shift in shifts)
        return min(np.square(one - truth).mean() for one in moved)

    assert error(mended) < 0.35 * error(picture)


@pytest.mark.parametrize(("kind", "psf"), [("motion", Psf.motion(13, 25)), ("disk", Psf.disk(3.5))])
def test_a_blur_of_few_numbers_is_said_so_in_writing_too(kind, psf):
    found = estimate_psf(blurred(psf, page()))
    assert found.kind == kind
    assert likeness(found.psf, psf) > 0.97


@pytest.mark.parametrize(
    ("sheet", "noise"),
    [(page(), 0), (page(), 0.02), (1 - page(), 0.02), (data.page() / 255, 0), (data.page() / 255, 0.02),
     (data.text() / 255, 0)],
)  # fmt: skip
def test_sharp_writing_is_left_alone(sheet, noise):
    seen = sheet + np.random.default_rng(2).normal(0, noise, sheet.shape)
    assert estimate_psf(seen).psf.shape == (1, 1)


def test_a_photograph_is_no_writing():
    assert glimpsed(*as_plane(data.astronaut() @ (0.299, 0.587, 0.114) / 255), 35) == []
    assert glimpsed(*as_plane(np.full((64, 64), 0.5)), 15) == []


def test_the_true_psf_makes_writing_cheapest():
    psf = hook()
    plane, good = as_plane(blurred(psf, page()))
    writing = Writing.of(plane, good, 15)

    def price(psf):
        return writing.explained(psf).price

    wrong = (Psf.gaussian(3), Psf(psf.array[::-1].copy()), Psf(psf.array.T.copy()))
    assert price(psf) < 0.7 * price(None)
    assert all(price(psf) < 0.8 * price(other) for other in wrong)


def test_strokes_are_bare_paper_nearly_everywhere_and_explain_the_picture():
    psf = hook()
    sheet = np.zeros((120, 160), np.uint8)
    cv2.putText(sheet, "Rust", (20, 80), cv2.FONT_HERSHEY_COMPLEX, 1.6, 255, 3)
    sheet = (sheet / 255).astype(np.float32)
    response = otf(torch.from_numpy(psf.array.astype(np.float32)), sheet.shape)
    plane = fft_filter(torch.from_numpy(sheet), response)
    found = strokes(plane, response, 2e-3, 8e-3)
    assert float((fft_filter(found, response) - plane).square().mean()) < 1e-3
    assert float((found.abs() < 0.1).float().mean()) > 0.8
    truth = torch.from_numpy(sheet)
    assert float((found - truth).square().mean()) < 0.25 * float((plane - truth).square().mean())


def search(plane, good, most=35):
    return written(plane, good, most, glimpsed(plane, good, most))


def test_the_largest_frame_can_be_searched_carefully():
    psf = hook()
    found = within_most(*as_plane(blurred(psf, page())), 35)
    assert found.psf.shape == (35, 35)
    assert likeness(found.psf, psf) > 0.8


def test_bad_pixels_say_nothing_of_writing():
    psf = hook()
    plane, good = as_plane(blurred(psf, page()))
    plane[100:130, 200:260] = torch.rand(30, 60, generator=torch.Generator().manual_seed(0))
    assert glimpsed(plane, good, 35) == []
    good[100:130, 200:260] = False
    assert likeness(search(plane, good).psf, psf) > 0.9


def test_a_long_strip_of_writing_is_read():
    psf = hook()
    lines = np.tile(page(shade=0)[:180], (1, 9))
    found = search(*as_plane(blurred(psf, lines)))
    assert likeness(found.psf, psf) > 0.85


def test_a_picture_that_counts_where_it_is_flat_only_tells_nothing():
    picture, good = np.full((500, 500), 0.5), np.zeros((500, 500), bool)
    good[300:, 300:] = True
    picture[~good] = np.random.default_rng(0).random((~good).sum())
    assert estimate_psf(picture, mask=good, max_size=7).kind == "unknown"
