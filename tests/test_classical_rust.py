"""What `derust` is made of: grounds, clues, densities, fillings."""

import numpy as np
import pytest
import torch

from imgrestore.classical import rust as classical
from imgrestore.classical import rust_clues, rust_colour, rust_density, rust_fill, rust_find, rust_masked

TEA = np.asarray([0.28, 0.52, 1.0], np.float32)


def textured(shape=(120, 150), tint=(0.9, 0.85, 0.7), seed=0):
    """A surface of one colour with smooth texture."""
    rng = np.random.default_rng(seed)
    light = torch.nn.functional.interpolate(
        torch.from_numpy(rng.uniform(0.5, 1, (1, 1, shape[0] // 6, shape[1] // 6))), size=shape, mode="bicubic"
    )
    return (light[0, 0].numpy()[..., None] * np.asarray(tint)).astype(np.float32)


def disk(shape=(120, 150), centre=(60, 70), radius=25.0):
    """A soft disk, 1 inside."""
    down, across = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(down - centre[0], across - centre[1])
    return np.clip((radius - away) / 3 + 0.5, 0, 1).astype(np.float32)


def test_the_ground_is_found_with_its_colour():
    scene = textured()
    scene[20:60, 20:60] *= (1, 0.3, 0.2)
    ground = rust_colour.find_ground(scene)
    expected = np.log([(0.9 + 0.008) / (0.85 + 0.008), (0.85 + 0.008) / (0.7 + 0.008)])
    assert np.abs(np.median(ground.colour, axis=(0, 1)) - expected).max() < 0.02
    assert ground.share == pytest.approx(1 - 1600 / 18000, abs=0.02)
    assert not ground.area[30:50, 30:50].any()
    assert rust_colour.find_ground(np.zeros((40, 40, 3), np.float32)) is None


def test_a_dye_is_believed_and_its_slope_measured():
    scene = textured()
    stained = scene * np.exp(-0.5 * disk()[..., None] * TEA)
    found = rust_find.find_stains(stained)
    assert found.belief > 0.9
    assert not found.crust.any()
    true = disk() > 0.2
    assert (found.dye & true).sum() > 0.95 * true.sum()
    log = rust_colour.log_light(stained)
    apart = rust_colour.ratios(log) - found.ground.colour
    slope = rust_density.slopes(stained, log, apart, rust_find.BROWN.axis, found.dye, found.ground)
    assert slope[60, 70] == pytest.approx(TEA[0] / np.hypot(TEA[1] - TEA[0], TEA[2] - TEA[1]), abs=0.1)


def brown_things():
    rng = np.random.default_rng(3)
    plain = textured()
    lit = plain.copy()
    lit[30:90, 40:100] = (0.95, 0.75, 0.45)
    beside_others = plain * np.exp(-0.5 * disk()[..., None] * TEA)
    beside_others[:30] = (0.2, 0.3, 0.8)
    half = plain.copy()
    half[60:] *= (0.6, 0.4, 0.2)
    return {
        "brighter than its ground": (lit + rng.normal(0, 0.004, lit.shape)).astype(np.float32),
        "beside other colours": beside_others,
        "half of the picture": half,
        "brown all over": plain * np.asarray([0.7, 0.45, 0.25], np.float32),
    }


@pytest.mark.parametrize("name", sorted(brown_things()))
def test_brown_things_are_left_alone(name):
    scene = brown_things()[name]
    found = rust_find.find_stains(scene)
    assert found.belief < rust_find.CONVINCED
    assert found.reason
    assert not (found.dye | found.crust).any()


def test_light_that_does_not_follow_colour_is_no_dye():
    """Where the brown is as bright as its ground, nothing was absorbed."""
    scene = textured()
    part = disk()[..., None]
    warm = scene * np.exp(part * np.asarray([0.3, 0.0, -0.5], np.float32))
    assert rust_find.find_stains(warm).belief < rust_find.CONVINCED


@pytest.mark.parametrize("channels", [1, 3])
def test_filling_is_harmonic(channels):
    """A plane is its own smoothest filling, and nothing outside the hole changes."""
    down, across = np.mgrid[:80, :100]
    plane = np.stack([0.2 + 0.004 * down + 0.003 * across] * channels, axis=2).astype(np.float32)
    hole = disk((80, 100), (40, 50), 18.0) > 0.5
    spoiled = plane.copy()
    spoiled[hole] = 9
    filled = rust_fill.fill(spoiled, hole, grain=False)
    assert np.array_equal(filled[~hole], plane[~hole])
    assert np.abs(filled - plane).max() < 0.02


def test_filling_takes_grain_from_beside():
    rng = np.random.default_rng(0)
    scene = (0.5 + 0.05 * rng.standard_normal((90, 90, 3))).astype(np.float32)
    hole = disk((90, 90), (45, 45), 15.0) > 0.5
    smooth, grainy = (rust_fill.fill(scene, hole, grain=g)[hole].std() for g in (False, True))
    assert smooth < 0.02 < 0.03 < grainy < 0.06


def test_leaks_of_compressed_colour_are_seen():
    light = np.log(textured(seed=2).mean(axis=2))
    along = 0.3 * np.ones_like(light)
    area = np.ones(light.shape, bool)
    leaky = along * np.exp(-(light - light.mean()))
    rng = np.random.default_rng(0)
    detail = (light + 0.05 * rng.standard_normal(light.shape)).astype(np.float32)
    assert rust_clues.leaking(along.astype(np.float32), detail, area) < 0.1
    leaky = along * np.exp(-(detail - detail.mean()))
    assert rust_clues.leaking(leaky.astype(np.float32), detail, area) > rust_clues.LEAKY


def test_a_gray_density_needs_even_surroundings():
    """A spot on an even ground is taken off, one on a rough ground is left."""
    spot = disk()
    hole = spot > 0.01
    even = (0.8 * np.exp(-0.5 * spot)).astype(np.float32)
    assert rust_masked.gray_density(even, hole)[60, 70] == pytest.approx(0.5, abs=0.12)
    rng = np.random.default_rng(0)
    rough = rng.uniform(0.1, 1, even.shape).astype(np.float32)
    assert rust_masked.gray_density(rough, hole).mean() < 0.1 * 0.5 * hole.mean()


def test_black_and_bright_pixels_do_no_harm():
    """Zeros, negative values and lights beyond white in and around a stain."""
    stained = textured() * np.exp(-0.5 * disk()[..., None] * TEA)
    stained[60, 60:70] = 0
    stained[62, 60:70] = -0.1
    stained[10:12, 10:12] = 40
    picture = torch.from_numpy(stained.transpose(2, 0, 1).copy())
    estimate = classical.separate_stains(picture, None, torch.ones(1, *stained.shape[:2], dtype=torch.bool))
    assert estimate.mask.any()
    assert torch.isfinite(estimate.image).all()
    again = classical.forward(estimate.image, estimate.layers)
    torch.testing.assert_close(again, picture, atol=1e-5, rtol=1e-5)
    assert torch.equal(estimate.image[:, 10:12, 10:12], picture[:, 10:12, 10:12])
