"""From any array to single pictures and back, with an estimator whose answers are known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imgrestore.classical.estimate import Estimate
from imgrestore.sheet import draw
from imgrestore.tasks.task import Task, check_choice

VEIL = 0.125
SEEN = []


def untouched(picture):
    return {"scene": picture, "veil": torch.zeros_like(picture), "gain": torch.ones(1, *picture.shape[1:])}


def lift(picture, mask, good):
    """Takes a veil off the mask, or off the upper half."""
    SEEN.append((picture.clone(), mask, good))
    if mask is None:
        mask = torch.zeros(1, *picture.shape[1:], dtype=torch.bool)
        mask[:, : picture.shape[1] // 2] = True
    veil = VEIL * mask.expand_as(picture)
    gain = torch.full((1, *picture.shape[1:]), 1.0)
    return Estimate(picture - veil, {"scene": picture - veil, "veil": veil, "gain": gain}, mask, ("veiled",), 0.5)


def forward(image, layers):
    return (layers["scene"] + layers["veil"]) * layers["gain"]


TASK = Task("unveil", untouched, forward, factors=frozenset({"gain"}))


def unveil(image, mask=None, details=True, channel_axis="auto"):
    SEEN.clear()
    return TASK.run(image, lift, mask=mask, details=details, channel_axis=channel_axis)


def picture(*shape, dtype="float32"):
    values = np.random.default_rng(0).uniform(0.2, 0.8, shape)
    peak = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    return (values * peak).astype(dtype)


@given(
    shape=st.sampled_from([(20, 24), (20, 24, 1), (20, 24, 2), (20, 24, 3), (20, 24, 4)]),
    dtype=st.sampled_from(["uint8", "uint16", "float16", "float32", "float64"]),
)
def test_arrays(shape, dtype):
    image = picture(*shape, dtype=dtype)
    peak = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    result = unveil(image)
    colours = image[..., :-1] if shape[-1] in (2, 4) else image
    assert result.image.shape == image.shape
    assert result.image.dtype == image.dtype
    assert result.mask.shape == (20, 24)
    assert result.mask.dtype == bool
    assert result.layers["scene"].shape == colours.shape
    assert np.abs(result.recompose() - colours.astype(float)).max() < 1e-5 * peak
    half = np.abs(result.image[:10].astype(float) - (image[:10] - VEIL * peak))
    assert (half[..., : colours.shape[-1]] if image.ndim == 3 else half).max() < (1.0 if peak > 1 else 1e-3)
    # Not a digit is lost where nothing was done, nor in alpha.
    assert np.array_equal(result.image[10:], image[10:])
    if shape[-1] in (2, 4):
        assert np.array_equal(result.image[..., -1], image[..., -1])
    assert len(SEEN) == 1
    assert SEEN[0][0].shape == (3 if shape[-1] in (3, 4) else 1, 20, 24)


@pytest.mark.parametrize("shape", [(20, 24), (3, 20, 24), (2, 3, 20, 24), (2, 1, 20, 24)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_tensors(shape, dtype):
    image = torch.as_tensor(picture(*shape))
    image = (image * 255).to(dtype) if dtype == torch.uint8 else image.to(dtype)
    result = unveil(image)
    assert result.image.shape == image.shape
    assert result.image.dtype == dtype
    assert tuple(result.mask.shape) == tuple(n for i, n in enumerate(shape) if i != len(shape) - 3)
    assert torch.allclose(result.recompose().double(), image.double(), atol=3e-5 if dtype == torch.uint8 else 1e-6)
    assert len(SEEN) == (2 if len(shape) == 4 else 1)
    assert draw(result).mode == "RGB"


def test_channels_that_are_not_colours_are_judged_alone():
    result = unveil(picture(20, 24, 5), channel_axis=-1)
    assert [seen[0].shape for seen in SEEN] == [(1, 20, 24)] * 5
    assert result.mask.shape == (20, 24)
    assert result.notes == ("5 channels, each judged by itself", "veiled")


def test_a_stack_of_gray_pictures():
    result = unveil(picture(3, 20, 24), channel_axis=None)
    assert len(SEEN) == 3
    assert result.mask.shape == (3, 20, 24)
    assert result.notes == tuple(f"picture {i}: veiled" for i in (1, 2, 3))


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3)])
def test_masks_reach_the_estimator(shape):
    image = picture(20, 24, 3)
    mask = np.zeros(shape, bool)
    mask[4:8, 5:9] = True
    result = unveil(image, mask)
    assert SEEN[0][1].shape == (1, 20, 24)
    assert int(SEEN[0][1].sum()) == 16
    assert np.array_equal(result.mask, mask if mask.ndim == 2 else mask[..., 0])
    # The mask that comes out goes in again.
    assert np.array_equal(unveil(image, result.mask).image, result.image)


def test_masks_of_a_batch():
    image = torch.as_tensor(picture(2, 3, 20, 24))
    mask = torch.zeros(2, 20, 24, dtype=torch.bool)
    mask[1, :5] = True
    assert torch.equal(unveil(image, mask).mask, mask)
    assert "the mask given is empty" in unveil(image, mask).notes[0]


def test_nan_pixels_are_filled_for_the_estimator_and_kept():
    image = picture(20, 24, 3)
    image[3, 4, 1] = np.nan
    image[15] = np.inf
    result = unveil(image)
    seen, _, good = SEEN[0]
    assert bool(torch.isfinite(seen).all())
    assert int((~good).sum()) == 1 + 24
    assert np.array_equal(seen[:, 3, 4].numpy(), np.float32([image[3, 4, 0], image[3, 3, 1], image[3, 4, 2]]))
    assert np.array_equal(np.isfinite(result.image), np.isfinite(image))
    again = result.recompose()
    assert np.array_equal(np.isfinite(again), np.isfinite(image))
    assert np.allclose(again[np.isfinite(image)], image[np.isfinite(image)], atol=1e-6)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (picture(1, 1), "1 x 1 pixels are too few"),
        (picture(15, 40, 3), "15 x 40 pixels are too few"),
        (np.full((20, 24, 3), [0.3, 0.4, 0.5]), "it is constant"),
        (np.zeros((20, 24), np.uint8), "it is constant"),
    ],
)
def test_what_cannot_be_judged_comes_back(image, reason):
    result = unveil(image)
    assert not SEEN
    assert result.image is not image
    assert np.array_equal(result.image, image)
    assert not result.mask.any()
    assert result.notes[0].startswith("left as it is: ")
    assert reason in result.notes[0]
    assert np.abs(result.recompose() - image).max() < 1e-6


@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1e-2, 300.0, 5e4, 1e20])
def test_counts_are_brought_to_the_range_of_photographs(scale):
    image = picture(20, 24, 3).astype(np.float64) * scale
    result = unveil(image)
    assert 0.9 < float(SEEN[0][0].max()) < 1.2
    assert np.allclose(result.recompose(), image, rtol=0, atol=1e-6 * image.max())
    assert np.allclose(result.layers["gain"], 1)
    assert "white taken to be" in result.notes[0]


def test_every_picture_of_a_batch_has_its_own_white():
    one = torch.as_tensor(picture(3, 20, 24))
    result = unveil(torch.stack([one, 300 * one]))
    assert torch.allclose(SEEN[0][0], one)
    assert 0.9 < float(SEEN[1][0].max()) < 1.2
    assert torch.allclose(result.recompose(), torch.stack([one, 300 * one]), rtol=1e-5)
    assert torch.equal(result.image[0], unveil(one).image)
    assert result.notes[0] == "picture 1: veiled"
    assert result.notes[1].startswith("picture 2: white taken to be")


def test_what_is_missing_tells_nothing_of_the_surroundings_of_a_mask():
    image = picture(20, 24, 3)
    mask = np.zeros((20, 24), bool)
    mask[5:10, 5:10] = True
    image[10, 5:10] = np.nan
    result = unveil(image, mask)
    seen, area, _ = SEEN[0]
    assert bool(area[0, 10, 5:10].all())
    # The row below the missing one, not the one above, which the mask covers.
    assert np.array_equal(seen[:, 10, 7].numpy(), image[11, 7])
    assert np.isnan(result.image[10, 5:10]).all()


def test_values_beyond_one_survive():
    image = picture(20, 24, 3)
    image[15, 3, 0] = 40.0
    result = unveil(image)
    assert SEEN[0][0].max() == 40
    assert np.array_equal(result.image[15], image[15])


def test_choices():
    check_choice("a", ("a", "b"), "kind")
    with pytest.raises(ValueError, match="kind is 'c'; expected one of a, b"):
        check_choice("c", ("a", "b"), "kind")
