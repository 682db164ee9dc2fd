"""The task `dereflect`: gains on seeded sets, no harm to clean pictures, and every kind of array."""

import damaged
import numpy as np
import pytest
import set_reflection
import torch

from imgrestore.tasks.dereflect import dereflect


def picture(name="chelsea"):
    return set_reflection.array(set_reflection.planes(name))


@pytest.mark.parametrize(
    ("name", "mean", "worst"),
    [("ghosted", 5.0, -0.5), ("veiled", 1.5, -0.5), ("flash", 8.0, 8.0), ("polarized", 15.0, 12.0)],
)
def test_gain_on_the_seeded_set(name, mean, worst):
    found = damaged.gains(dereflect, set_reflection.SETS[name]())
    assert damaged.mean(found) >= mean, found
    assert damaged.worst(found) >= worst, found
    assert max(one.recomposed for one in found) < 1e-5


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "camera", "coins"])
def test_clean_pictures_come_back_as_they_were(name):
    clean = (255 * picture(name)).round().astype(np.uint8)
    found = dereflect(clean, details=True)
    assert np.array_equal(found.image, clean)
    assert found.image is not clean
    assert not found.mask.any()
    assert "no reflection found" in found.notes[0]
    assert found.confidence < 0.7


@pytest.fixture(scope="module")
def pair():
    return set_reflection.polarized()[0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_dtypes(pair, dtype):
    top = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    first, second = (a * top for a in (pair.observed, pair.settings["polarized"]))
    if top > 1:
        first, second = first.round(), second.round()
    first, second = first.astype(dtype), second.astype(dtype)
    found = dereflect(first, polarized=second, details=True)
    assert found.image.dtype == first.dtype
    assert damaged.psnr(found.image / top, pair.truth) > damaged.psnr(pair.observed, pair.truth) + 8
    np.testing.assert_allclose(found.recompose(), first, atol=1e-5 * top)


def test_layouts_agree(pair):
    first, second = pair.observed, pair.settings["polarized"]
    wanted = dereflect(first, polarized=second)
    alpha = np.full((*first.shape[:2], 1), 0.5, np.float32)
    rgba = dereflect(np.dstack([first, alpha]), polarized=np.dstack([second, alpha]))
    np.testing.assert_array_equal(rgba[..., :3], wanted)
    np.testing.assert_array_equal(rgba[..., 3:], alpha)
    tensors = (torch.from_numpy(np.ascontiguousarray(a.transpose(2, 0, 1))) for a in (first, second))
    tensor = dereflect(next(tensors), polarized=next(tensors))
    np.testing.assert_allclose(tensor.numpy().transpose(1, 2, 0), wanted, atol=1e-6)


def test_channels_that_are_no_colours_are_paired_one_by_one(pair):
    first, second = pair.observed[..., :2], pair.settings["polarized"][..., :2]
    both = dereflect(first, polarized=second, channel_axis=-1)
    for c in range(2):
        alone = dereflect(first[..., c], polarized=second[..., c])
        np.testing.assert_allclose(both[..., c], alone, atol=1e-6)


def test_the_scale_of_counts_does_not_matter(pair):
    first, second = pair.observed, pair.settings["polarized"]
    counts = dereflect(first * 4096, polarized=second * 4096)
    assert damaged.psnr(counts / 4096, pair.truth) > damaged.psnr(first, pair.truth) + 8


def test_nan_pixels_stay_and_spread_nothing(pair):
    first = pair.observed.copy()
    first[100:104, 50:60] = np.nan
    found = dereflect(first, polarized=pair.settings["polarized"])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(first))


def test_a_second_picture_that_does_not_fit():
    clean = picture()
    with pytest.raises(ValueError, match="flash has shape"):
        dereflect(clean, flash=clean[:-1])
    with pytest.raises(ValueError, match="polarized has dtype"):
        dereflect(clean, polarized=clean.astype(np.float64))
    with pytest.raises(ValueError, match="both given"):
        dereflect(clean, polarized=clean, flash=clean)
    with pytest.raises(TypeError, match="flash"):
        dereflect(clean, flash="flash.png")
    batch = torch.rand(2, 3, 32, 32)
    with pytest.raises(ValueError, match="one picture"):
        dereflect(batch, flash=batch)


def test_an_unknown_method():
    with pytest.raises(ValueError, match="method"):
        dereflect(picture(), method="magic")


def test_the_same_picture_twice_says_that_it_cannot_tell():
    clean = picture()
    for kind in ("flash", "polarized"):
        found = dereflect(clean, details=True, **{kind: clean})
        assert np.array_equal(found.image, clean)
        assert "cannot tell" in found.notes[0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (17, 19), (20, 20, 3), (130, 100)])
def test_small_and_strange_shapes(shape):
    noise = np.random.default_rng(0).random(shape).astype(np.float32)
    for extra in ({}, {"flash": noise * 0.9 + 0.1}, {"polarized": noise**2}):
        found = dereflect(noise, details=True, **extra)
        assert found.image.shape == shape
        np.testing.assert_allclose(found.recompose(), noise, atol=1e-5)


def test_a_constant_picture_is_left_alone():
    even = np.full((64, 64, 3), 0.4, np.float32)
    assert np.array_equal(dereflect(even), even)


def test_a_mask_limits_the_work():
    one = set_reflection.veiled()[3]
    mask = np.zeros(one.observed.shape[:2], bool)
    mask[60:180, 80:240] = True
    found = dereflect(one.observed, mask=mask, details=True)
    assert np.array_equal(found.image[:, :40], one.observed[:, :40])
    assert damaged.psnr(found.image[mask], one.truth[mask]) > damaged.psnr(one.observed[mask], one.truth[mask]) + 2
    np.testing.assert_allclose(found.recompose(), one.observed, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 6000), (100, 5000, 3)])
def test_long_narrow_pictures(shape):
    image = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    assert np.array_equal(dereflect(image), image)


def test_where_the_flash_did_not_reach_nothing_changes():
    ambient = np.random.default_rng(0).uniform(0.2, 0.6, (64, 64, 3)).astype(np.float32)
    result = dereflect(ambient, flash=ambient.copy(), details=True)
    assert np.array_equal(result.image, ambient)
    assert not result.layers["reflection"].any()
