"""Varied stains and rust: marks, crusts, pieces of photographs, and how they are drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from imgrestore.degrade import noise, rust, rust_crusts, rust_shapes, rust_varied
from imgrestore.degrade.rust_marks import MARKS, Look, mark

SHAPE = (3, 96, 120)
CRUSTED = ("sheet", "scabs", "drips", "splatter", "smear")
# What the untouched functions drew.
PINNED = (
    [("splash", 1301046589)],
    [
        (
            0.4002564102927959,
            0.8041572162875132,
            1.0,
            1.5440094535485722,
            0.0,
            0.43872413788780484,
            0.18992246667787382,
            0.3108186179804853,
        )
    ],
    {
        "ring": [0.020023144781589508, 0.0, 0.0],
        "foxing": [0.014699816703796387, 0.0, 0.0],
        "run": [0.04181497544050217, 0.0, 0.0],
        "splash": [0.04357484355568886, 0.0, 0.0],
        "patch": [0.05895725637674332, 0.08548400551080704, 0.0232244860380888],
    },
    0.7751504778862,
)


def one(kind, **settings):
    given = {"density": 1.0, "size": 0.25, "seed": 4, **settings}
    return rust.RustParams((rust.Stain(kind, rust.DIRECTIONS["rust"], **given),))


@pytest.mark.parametrize("kind", sorted(MARKS))
def test_every_mark_darkens_along_its_direction(kind):
    for seed in range(6):
        layers = rust.rust_layers(SHAPE, one(kind, seed=seed))
        assert layers.density.min() >= 0
        assert 0.1 < layers.density.max() < 3
        for channel, part in enumerate(rust.DIRECTIONS["rust"]):
            torch.testing.assert_close(layers.density[channel], part * layers.density[2], atol=1e-6, rtol=1e-5)
        assert layers.cover.max() == 0
        assert 0.001 < float(rust.stained_area(layers).float().mean()) < 0.98


@pytest.mark.parametrize("kind", [*sorted(MARKS), *rust.KINDS])
def test_every_kind_can_hide(kind):
    scene = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    params = one(kind, cover=1.0, paint=(0.2, 0.5, 0.3))
    layers = rust.rust_layers(SHAPE, params)
    hidden = layers.cover[0] > 1 - 1e-6
    assert kind in ("grease", "finger", "freckles") or int(hidden.sum()) > 10
    stained, other = rust.apply(scene, params), rust.apply(1 - scene, params)
    torch.testing.assert_close(stained[:, hidden], other[:, hidden])
    # Of its paint's colour.
    covered = layers.cover[0] > 0.5
    if covered.any():
        body = layers.body[:, covered].mean(1)
        assert body[1] > body[2] > body[0]


def test_half_a_cover_lets_half_the_scene_through():
    whole, half = (rust.rust_layers(SHAPE, one("sheet", cover=cover)) for cover in (1.0, 0.5))
    torch.testing.assert_close(half.cover, whole.cover / 2, atol=1e-6, rtol=0)
    torch.testing.assert_close(half.body, whole.body / 2, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", CRUSTED)
def test_crusts_of_their_own(kind):
    _, crust = mark(kind, (120, 120), Look((0.4, 0.5), 0.25), np.random.default_rng(2))
    assert crust.min() >= 0
    assert crust.max() == 1


def test_sheets_are_as_large_as_told_and_scabs_small():
    parts = []
    for size in (0.1, 0.3, 0.5):
        _, crust = mark("sheet", (160, 160), Look((0.5, 0.5), size), np.random.default_rng(1))
        parts.append(float(crust.mean()))
        assert parts[-1] == pytest.approx(1.6 * size, abs=0.1)
    assert parts == sorted(parts)
    _, crust = mark("scabs", (160, 160), Look((0.5, 0.5), 0.2), np.random.default_rng(1))
    assert 0 < crust.mean() < 0.2


def test_halo_and_ragged_rims():
    shape = (160, 160)
    bare, bled = (mark("sheet", shape, Look((0.5, 0.5), 0.2, halo=h), np.random.default_rng(3)) for h in (0.0, 1.0))
    outside = bare[1] == 0
    np.testing.assert_array_equal(bare[1], bled[1])
    assert bled[0][outside].mean() > 3 * bare[0][outside].mean()

    def rim(ragged):
        crust = mark("sheet", shape, Look((0.5, 0.5), 0.2, ragged=ragged), np.random.default_rng(3))[1]
        return np.abs(np.diff(crust, axis=0)).sum()

    assert rim(1.0) > 1.5 * rim(0.0)


def test_drips_run_down():
    for seed in range(5):
        dye, _ = mark("drips", (160, 160), Look((0.3, 0.5), 0.2), np.random.default_rng(seed))
        assert dye[60:].sum() > 2 * dye[:40].sum()


def test_tide_marks_have_dark_rims():
    dye, crust = mark("tide", (160, 160), Look((0.5, 0.5), 0.3), np.random.default_rng(5))
    stained = dye > 0.05
    from scipy.ndimage import binary_erosion

    inner = binary_erosion(stained, iterations=12)
    assert inner.sum() > 100
    assert dye[stained & ~inner].mean() > 1.3 * dye[inner].mean()
    assert crust.max() == 0


def test_the_light_dims_crusts_only():
    bright, dim = (rust.rust_layers(SHAPE, one("sheet", cover=1.0, light=light)) for light in (1.0, 0.5))
    torch.testing.assert_close(dim.body, bright.body / 2)
    assert torch.equal(dim.density, bright.density)


def test_rust_is_rusty_and_rough():
    crust = np.ones((128, 128), np.float32)
    rng = np.random.default_rng
    even, rough = (rust_crusts.coloured(crust, rng(3), None, pits) for pits in (0.0, 1.0))
    for colour in (even, rough):
        assert (colour[0] >= colour[2]).mean() > 0.95
        assert 0.05 < colour.mean() < 0.5
    assert np.diff(rough, axis=2).std() > 1.5 * np.diff(even, axis=2).std()


def test_photographs_are_scaled_turned_and_brightened():
    down = np.mgrid[:300, :400][0]
    stripes = 0.5 + 0.4 * np.sin(down / 3)
    texture = torch.from_numpy(np.stack([stripes, 0.5 * stripes, 0.2 * stripes])).float()
    crust = np.ones((128, 128), np.float32)
    pieces = [rust_crusts.piece(texture, crust, np.random.default_rng(seed), 0.5) for seed in range(12)]
    means, slopes, frequencies = [], [], []
    for found in pieces:
        assert found.shape == (3, 128, 128)
        means.append(found[0].mean())
        vertical, horizontal = (np.abs(np.diff(found[0], axis=axis)).mean() for axis in (0, 1))
        slopes.append(np.arctan2(vertical, horizontal))
        power = np.abs(np.fft.rfft2(found[0] - found[0].mean()))
        row, column = np.unravel_index(power.argmax(), power.shape)
        frequencies.append(np.hypot(min(row, 128 - row), column))
    assert np.ptp(means) > 0.1
    assert min(slopes) < 0.3
    assert max(slopes) > 1.2
    assert max(frequencies) > 2 * min(frequencies)
    # One that is too small is mirrored on.
    small = rust_crusts.piece(texture[:, :7, :9], crust, np.random.default_rng(0), 0.0)
    assert np.isfinite(small).all()
    assert small.std() > 0


def test_blue_paint_on_a_photograph_is_no_rust():
    texture = torch.tensor([0.3, 0.5, 0.7])[:, None, None].expand(3, 64, 64).clone()
    texture[:, :, 32:] = torch.tensor([0.6, 0.3, 0.1])[:, None, None]
    found = rust_crusts.piece(texture, np.ones((96, 96), np.float32), np.random.default_rng(1), 0.0)
    assert (found[2] > found[0]).mean() < 0.02


def test_textures_reach_marks_but_not_paint():
    texture = torch.zeros(3, 40, 40)
    texture[0] = 0.5
    layers = rust.rust_layers(SHAPE, one("sheet", cover=1.0), texture)
    inside = layers.cover[0] > 1 - 1e-6
    assert layers.body[1:, inside].max() == 0
    painted = one("sheet", cover=1.0, paint=(0.1, 0.5, 0.1))
    assert torch.equal(*(rust.rust_layers(SHAPE, painted, given).body for given in (None, texture)))
    with pytest.raises(ValueError, match=r"expected \(3, h, w\)"):
        rust.rust_layers(SHAPE, one("sheet", cover=1.0), torch.zeros(8, 8))


def test_sampling_is_reproducible_and_varied():
    a, b, c = (rust_varied.sample(SHAPE, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert a == b != c
    scene = torch.rand(SHAPE)
    assert torch.equal(rust.apply(scene, a), rust.apply(scene, b))
    drawn = [rust_varied.sample(SHAPE, np.random.default_rng(seed)) for seed in range(150)]
    stains = [stain for params in drawn for stain in params.stains]
    assert {stain.kind for stain in stains} == set(MARKS)
    assert all(max(stain.direction) == 1 and min(stain.direction) > 0 for stain in stains)
    covers = np.array([stain.cover for stain in stains])
    for low, high in ((-0.01, 0.01), (0.1, 0.8), (0.8, 1.01)):
        assert 0.1 < ((covers > low) & (covers < high)).mean() < 0.7
    assert any(stain.paint for stain in stains)
    kinds = {
        s.kind
        for seed in range(30)
        for s in rust_varied.sample(SHAPE, np.random.default_rng(seed), None, ("metal",)).stains
    }
    assert kinds == {"sheet", "scabs", "drips"}


def test_crusts_in_the_dark_are_dark():
    bright, dark = (
        [
            s.light
            for n in range(20)
            for s in rust_varied.sample(SHAPE, np.random.default_rng(n), torch.full(SHAPE, v)).stains
        ]
        for v in (0.8, 0.1)
    )
    assert np.mean(dark) < 0.5 * np.mean(bright)


def test_any_size():
    rng = np.random.default_rng(5)
    for size in ((1, 1), (3, 50), (40, 9), (33, 280)):
        for kind in MARKS:
            params = one(kind, cover=0.9, seed=int(rng.integers(1000)), centre=(0.0, 1.0))
            stained = rust.apply(torch.full((3, *size), 0.5), params)
            assert stained.shape == (3, *size)
            assert torch.isfinite(stained).all()


def test_noise_is_spread_over_the_range():
    field = noise.cloud((60, 90), np.random.default_rng(1))
    assert field.dtype == np.float32
    assert np.histogram(field, 4, (0, 1))[0].min() > 0.12 * field.size
    long = noise.cloud((90, 90), np.random.default_rng(1), 20, 1, stretch=6)
    assert np.abs(np.diff(long, axis=1)).mean() > 3 * np.abs(np.diff(long, axis=0)).mean()


def test_the_draws_of_published_scores_stay():
    params = rust.sample(SHAPE, np.random.default_rng(21))
    assert [(stain.kind, stain.seed) for stain in params.stains] == PINNED[0]
    for stain, numbers in zip(params.stains, PINNED[1], strict=True):
        drawn = (*stain.direction, stain.density, stain.cover, *stain.centre, stain.size)
        assert drawn == pytest.approx(numbers)
    for kind, sums in PINNED[2].items():
        layers = rust.rust_layers(SHAPE, replace(params, stains=one(kind, cover=0.9 * (kind == "patch")).stains))
        assert [float(part.mean()) for part in layers] == pytest.approx(sums, rel=1e-4)
    assert float(rust_shapes.octaves((40, 50), np.random.default_rng(3))[7, 9]) == pytest.approx(PINNED[3], rel=1e-4)
