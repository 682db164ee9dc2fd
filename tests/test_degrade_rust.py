"""The rust forward model: shapes, densities, crusts."""

import dataclasses

import numpy as np
import pytest
import torch

from imgrestore.degrade import rust, rust_shapes

SHAPE = (3, 72, 96)


def one(kind, **settings):
    return rust.RustParams((rust.Stain(kind, rust.DIRECTIONS["rust"], **{"density": 1.0, "seed": 4, **settings}),))


@pytest.mark.parametrize("kind", rust.KINDS)
def test_every_kind_darkens_along_its_direction(kind):
    layers = rust.rust_layers(SHAPE, one(kind))
    assert layers.density.shape == SHAPE
    assert layers.density.min() >= 0
    assert layers.density.max() > 0.1
    thickness = layers.density[2]
    for channel, part in enumerate(rust.DIRECTIONS["rust"]):
        torch.testing.assert_close(layers.density[channel], part * thickness, atol=1e-6, rtol=1e-5)
    assert 0.001 < float(rust.stained_area(layers).float().mean()) < 0.9
    assert layers.cover.max() == 0


def test_dyes_multiply_and_crusts_hide():
    scene = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    layers = rust.rust_layers(SHAPE, one("run"))
    torch.testing.assert_close(rust.apply(scene, one("run")), scene * torch.exp(-layers.density))
    params = one("patch", cover=1.0)
    hidden = rust.rust_layers(SHAPE, params).cover[0] > 1 - 1e-6
    assert int(hidden.sum()) > 50
    stained, other = rust.apply(scene, params), rust.apply(1 - scene, params)
    torch.testing.assert_close(stained[:, hidden], other[:, hidden])
    assert (stained[0, hidden] > stained[2, hidden]).float().mean() > 0.95


def test_no_stain_changes_nothing():
    scene = torch.rand(SHAPE)
    assert torch.equal(rust.apply(scene, rust.RustParams(())), scene)


def test_sampling_is_reproducible_and_varied():
    a, b, c = (rust.sample(SHAPE, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert a == b != c
    scene = torch.rand(SHAPE)
    assert torch.equal(rust.apply(scene, a), rust.apply(scene, b))
    drawn = [rust.sample(SHAPE, np.random.default_rng(seed)) for seed in range(60)]
    stains = [stain for params in drawn for stain in params.stains]
    assert {stain.kind for stain in stains} == set(rust.KINDS)
    assert all(max(stain.direction) == 1 and min(stain.direction) > 0 for stain in stains)
    assert all((stain.cover > 0) == (stain.kind == "patch") for stain in stains)


def test_batches_and_gradients():
    scene = torch.rand(2, *SHAPE, dtype=torch.float64, requires_grad=True)
    params = one("splash")
    stained = rust.apply(scene, params)
    assert stained.shape == scene.shape
    stained.sum().backward()
    expected = torch.exp(-rust.rust_layers(SHAPE, params).density.double()).expand_as(scene)
    torch.testing.assert_close(scene.grad, expected)


def test_gray_scenes():
    scene = torch.full((1, 64, 64), 0.5)
    stained = rust.apply(scene, one("ring"))
    assert stained.shape == scene.shape
    assert float(stained.min()) < 0.45


def test_a_texture_gives_crusts_their_colours():
    texture = torch.zeros(3, 10, 14)
    texture[1] = 0.25
    layers = rust.rust_layers(SHAPE, one("patch", cover=1.0), texture)
    inside = layers.cover[0] > 1 - 1e-6
    assert torch.allclose(layers.body[:, inside], torch.tensor([0.0, 0.25, 0.0])[:, None])


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"expected \(..., C, H, W\)"):
        rust.apply(torch.zeros(2, 8, 8), one("ring"))
    with pytest.raises(ValueError, match=r"expected \(3, h, w\)"):
        rust.rust_layers(SHAPE, one("patch", cover=1.0), torch.zeros(8, 8))
    with pytest.raises(ValueError, match="kind is 'mud'"):
        rust.rust_layers(SHAPE, rust.RustParams((dataclasses.replace(one("ring").stains[0], kind="mud"),)))


def test_a_ring_is_darkest_at_its_rim():
    density = rust.rust_layers((3, 128, 128), one("ring", size=0.3)).density[2]
    down, across = np.mgrid[:128, :128] - 63.5
    away = np.hypot(down, across)
    rim = density[torch.from_numpy(np.abs(away - 0.3 * 128) < 4)].amax()
    middle = density[torch.from_numpy(away < 12)].mean()
    assert rim > 2 * middle
    assert density[torch.from_numpy(away > 0.4 * 128)].max() == 0


def test_octaves_are_spread_over_the_range():
    field = rust_shapes.octaves((60, 90), np.random.default_rng(1))
    assert field.shape == (60, 90)
    assert 0 <= field.min() < 0.2
    assert 0.8 < field.max() <= 1
    assert rust_shapes.octaves((1, 1), np.random.default_rng(1)).shape == (1, 1)
