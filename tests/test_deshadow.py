"""`deshadow` without its net: what is lifted, what is left alone, and what is said about it."""

from functools import partial

import cv2
import damaged
import numpy as np
import pytest
import set_shadow
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

import imgrestore
from imgrestore.degrade import shadow
from imgrestore.light import decode, encode

LIMIT = 1e-5

deshadow = partial(imgrestore.deshadow, method="classical")


@pytest.fixture(scope="module")
def casts():
    return set_shadow.cast(1)


@pytest.fixture(scope="module")
def pages():
    return set_shadow.documents(1)


def test_cast_shadows_are_found_and_lifted(casts):
    found = damaged.gains(deshadow, casts)
    assert damaged.worst(found) > -0.5, found
    assert damaged.mean(found) > 5, found
    assert max(one.recomposed for one in found) < LIMIT


def test_cast_shadows_are_lifted_under_a_mask(casts):
    found = damaged.gains(deshadow, casts, with_mask=True)
    assert damaged.worst(found) > 0, found
    assert damaged.mean(found) > 10, found
    assert max(one.recomposed for one in found) < LIMIT


def test_pages_are_evened(pages):
    found = damaged.gains(deshadow, pages)
    assert damaged.worst(found) > 2, found
    assert damaged.mean(found) > 8, found
    assert max(one.recomposed for one in found) < LIMIT


@pytest.mark.parametrize("name", [*set_shadow.PHOTOGRAPHS, "camera", "moon", "coins", "cell"])
def test_pictures_without_a_cast_shadow_come_back(name):
    picture = set_shadow.photograph(name)
    result = deshadow(picture, details=True)
    assert damaged.psnr(result.image, picture) > 30, result.notes
    assert result.notes


def test_even_pages_come_back():
    """Paper that is evenly lit keeps its tone; nothing is bleached."""
    page = set_shadow.page(1)
    assert damaged.psnr(deshadow(page), page) > 40


@pytest.mark.parametrize("number", [0, 1])
def test_ink_is_neither_thickened_nor_bleached(number):
    page = set_shadow.page(number)
    one = set_shadow.shaded("page", page, "document", [31, number])
    result = deshadow(one.observed)
    ink, paper = page.mean(-1) < 0.5, np.median(page.reshape(-1, 3), axis=0)
    found = result.mean(-1) < 0.5
    assert 0.9 < found.sum() / ink.sum() < 1.1
    assert np.abs(np.median(result.reshape(-1, 3), axis=0) - paper).max() < 0.03


def test_colours_of_a_figure_stay():
    page = set_shadow.page(1)
    one = set_shadow.shaded("page", page, "document", [31, 1])
    bar = np.s_[95:115, 40:140]
    assert np.abs(deshadow(one.observed)[bar].mean((0, 1)) - page[bar].mean((0, 1))).max() < 0.06


def test_no_rim_is_left_beside_an_edge():
    """Across the edge the relit ground stays as even as it was."""
    outline = np.array([[-1, 0.5], [2, 0.5], [2, 3], [-1, 3]], np.float32)
    params = shadow.ShadowParams((outline,), penumbra=(0.004, 0.012))
    truth = set_shadow.photograph("brick")
    clean = torch.from_numpy(truth).movedim(-1, 0)
    observed = shadow.apply(clean, params).movedim(0, -1).numpy()
    result = deshadow(observed, mask=shadow.shadow_mask(clean.shape, params)[0].numpy())
    profile = (result / truth.clip(0.05)).mean((0, 2))
    assert np.abs(profile - 1).max() < 0.06


def test_a_mask_is_honoured(casts):
    one = casts[0]
    result = deshadow(one.observed, mask=one.mask, details=True)
    assert np.array_equal(result.mask, one.mask)
    far = cv2.erode((~one.mask).astype(np.uint8), np.ones((61, 61))).astype(bool)
    assert np.array_equal(result.image[far], one.observed[far])


def test_a_mask_over_even_light_changes_nothing():
    picture = set_shadow.photograph("brick")
    mask = np.zeros(picture.shape[:2], bool)
    mask[100:250, 120:280] = True
    assert damaged.psnr(deshadow(picture, mask=mask), picture) > 25


def test_the_kind_is_said(casts, pages):
    assert deshadow(pages[0].observed, details=True).notes[0].startswith("kind document")
    assert deshadow(casts[0].observed, mask=casts[0].mask, details=True).notes[0].startswith("kind cast")
    assert deshadow(casts[0].observed, kind="soft", details=True).notes[0].startswith("kind soft")
    told = deshadow(data.coffee()[::4, ::4], kind="document", details=True)
    assert any("does not look like a page" in note for note in told.notes)


def test_soft_shadows_are_evened():
    truth = set_shadow.photograph("brick")
    one = set_shadow.shaded("brick", truth, "soft", [41, 2])
    result = deshadow(one.observed, kind="soft", details=True)
    assert damaged.psnr(result.image, truth) > damaged.psnr(one.observed, truth) + 2
    assert np.abs(result.recompose() - one.observed).max() < LIMIT


@settings(max_examples=15)
@given(
    kind=st.sampled_from(["cast", "soft", "document"]),
    shape=st.tuples(st.integers(16, 60), st.integers(16, 60)),
    channels=st.sampled_from([1, 3]),
    scale=st.sampled_from([1.0, 0.05, 2.0]),
    seed=st.integers(0, 999),
)
def test_layers_recompose_whatever_the_kind(kind, shape, channels, scale, seed):
    rng = np.random.default_rng(seed)
    image = (scale * rng.uniform(-0.05, 1.1, (*shape, channels))).astype(np.float32)
    mask = rng.random(shape) < 0.5 if seed % 2 else None
    result = deshadow(image, kind=kind, mask=mask, details=True)
    gain = result.layers["gain"]
    assert np.abs(result.recompose() - image).max() < LIMIT
    assert gain.min() > 0
    assert gain.max() <= 1


def test_the_answer_follows_the_exposure(casts):
    """A darker copy is lifted alike."""
    one = casts[0]
    planes = torch.from_numpy(one.observed)
    darker = encode(0.5 * decode(planes)).numpy()
    full, half = (deshadow(p, mask=one.mask, details=True).layers["gain"] for p in (one.observed, darker))
    assert np.abs(full - half).mean() < 0.04


@pytest.mark.parametrize(("setting", "value"), [("kind", "hard"), ("method", "net")])
def test_unknown_settings_are_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is '{value}'; expected one of"):
        deshadow(np.zeros((20, 20)), **{setting: value})


def test_blocks_of_ink_stay_black_on_a_page():
    """They are darker than any shade leaves paper, however wide they are."""
    rows, columns = np.indices((240, 320))
    page = np.full((240, 320, 3), 0.93)
    page[20:220:10, 15:140] = 0.12
    page[30:140, 170:300] = 0.03
    light = 1 - 0.55 / (1 + np.exp(-(0.7 * columns + rows - 256) / 10))[..., None]
    noise = np.random.default_rng(0).normal(0, 0.006, page.shape)
    picture = ((page * light + noise).clip(0, 1) * 255).round().astype(np.uint8)
    found = deshadow(picture, kind="document")
    assert damaged.psnr(found / 255, page) > damaged.psnr(picture / 255, page) + 12
    assert found[40:130, 180:290].mean() < 20
