"""The shadow's forward model: outlines, penumbra, light."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imgrestore.degrade import shadow
from imgrestore.light import decode

SHAPE = (3, 60, 80)


def wall(edge=0.5, **settings):
    """A shadow over the right part of the picture."""
    outline = np.array([[-1, edge], [2, edge], [2, 3], [-1, 3]], np.float32)
    return shadow.ShadowParams((outline,), **settings)


@pytest.mark.parametrize("kind", sorted(shadow.KINDS))
def test_gain_is_between_0_and_1_and_takes_light(kind):
    rng = np.random.default_rng(1)
    for _ in range(12):
        params = shadow.sample(SHAPE, rng, kind)
        gain = shadow.shadow_gain(SHAPE, params)
        assert gain.shape == SHAPE
        assert 0 < float(gain.min()) <= float(gain.max()) <= 1
        assert float(gain.min()) < 0.99
        coverage = shadow.shadow_coverage(SHAPE, params)
        assert coverage.shape == (1, 60, 80)
        assert 0 <= float(coverage.min()) <= float(coverage.max()) <= 1


def test_sampling_is_reproducible():
    clean = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    one, two = (shadow.apply(clean, shadow.sample(SHAPE, np.random.default_rng(5))) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, shadow.apply(clean, shadow.sample(SHAPE, np.random.default_rng(6))))


def test_light_multiplies_in_linear_light():
    clean = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    params = wall(depth=(0.2, 0.3, 0.4), penumbra=(0.0, 0.0))
    observed = shadow.apply(clean, params)
    ratio = decode(observed) / decode(clean)
    assert torch.allclose(ratio[:, :, :39], torch.ones(1), atol=1e-4)
    for channel, left in enumerate(params.depth):
        assert torch.allclose(ratio[channel, :, 41:], torch.tensor(left), atol=1e-3)


def test_the_mask_ends_half_way_through_the_penumbra():
    params = wall(penumbra=(0.08, 0.08))
    mask = shadow.shadow_mask(SHAPE, params)[0]
    assert mask[:, 40:].all()
    assert not mask[:, :40].any()
    middle = shadow.shadow_coverage(SHAPE, params)[0, 30]
    spread = np.diff(middle.numpy())
    # A blurred step: its derivative is a Gaussian of the asked width.
    place = np.arange(len(spread)) + 1.0
    variance = float((spread * (place - 40) ** 2).sum())
    assert variance == pytest.approx((0.08 * 60) ** 2, rel=0.05)


def test_the_penumbra_widens_away_from_the_body():
    outline = np.array([[-1, 0.5], [2, 0.5], [2, 3], [-1, 3]], np.float32)
    params = shadow.ShadowParams((outline,), penumbra=(0.01, 0.1), angle=np.pi / 2)
    coverage = shadow.shadow_coverage(SHAPE, params)[0].numpy()
    steepest = np.abs(np.diff(coverage, axis=1)).max(1)
    assert steepest[2] > 2.5 * steepest[-3]


def test_gray_pictures_get_the_mean_depth():
    gain = shadow.shadow_gain((1, 60, 80), wall(depth=(0.2, 0.3, 0.4), penumbra=(0, 0)))
    assert gain.shape == (1, 60, 80)
    assert float(gain[0, 30, 70]) == pytest.approx(0.3, abs=1e-3)


def test_slope_and_falloff_change_the_light():
    even = shadow.shadow_gain(SHAPE, wall())
    sloped = shadow.shadow_gain(SHAPE, wall(slope=0.4, angle=np.pi / 2))
    fallen = shadow.shadow_gain(SHAPE, wall(falloff=0.3, angle=np.pi / 2))
    assert float(even[0, :, 70].std()) < 1e-5
    assert float(sloped[0, 55, 70]) > 1.2 * float(sloped[0, 5, 70])
    assert float(fallen[0, 55, 5]) < 0.8 * float(fallen[0, 5, 5])


def test_noise_and_rounding():
    clean = torch.full(SHAPE, 0.5)
    noisy = shadow.apply(clean, wall(1.5, sigma=0.02))
    assert float((noisy - clean).std()) == pytest.approx(0.02, rel=0.05)
    rounded = shadow.apply(clean, wall(1.5, sigma=0.02, bits=8)) * 255
    assert torch.allclose(rounded, rounded.round(), atol=1e-3)


@settings(max_examples=10)
@given(seed=st.integers(0, 999))
def test_gradients_reach_the_scene(seed):
    params = shadow.sample((3, 12, 14), np.random.default_rng(seed))
    clean = torch.rand(3, 12, 14, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    shadow.apply(clean, params).sum().backward()
    assert torch.isfinite(clean.grad).all()
    assert float(clean.grad.min()) >= 0
    assert float(clean.grad.max()) > 0


def test_what_is_drawn_by_default_has_not_changed():
    """Published scores stand on these draws."""
    params = shadow.sample(SHAPE, np.random.default_rng(3), "cast")
    assert (params.uneven, params.scatter, params.shot) == (0, 0, 0)
    gain = shadow.shadow_gain(SHAPE, params)
    assert float(gain.mean()) == pytest.approx(0.839, abs=1e-4)


def test_several_shadows_are_as_deep_as_the_deepest():
    left, right = wall(0.3, depth=(0.5,) * 3, penumbra=(0, 0)), wall(0.6, depth=(0.2,) * 3, penumbra=(0, 0))
    observed = decode(shadow.apply(torch.full(SHAPE, 0.8), (left, right)))
    light = float(decode(torch.tensor(0.8)))
    for column, share in ((10, 1.0), (36, 0.5), (70, 0.2)):
        assert float(observed[0, 30, column]) == pytest.approx(share * light, rel=1e-3)


def test_several_are_drawn_alike():
    counts = set()
    for seed in range(20):
        several = shadow.sample_several(SHAPE, np.random.default_rng(seed))
        assert several[0].depth == shadow.sample_several(SHAPE, np.random.default_rng(seed))[0].depth
        assert len({one.depth for one in several}) == 1
        assert all(one.sigma == 0 and one.bits is None for one in several[1:])
        counts.add(len(several))
    assert counts == {1, 2, 3}


def test_uneven_shadows_vary_by_what_was_asked():
    even, uneven = (shadow.shadow_gain(SHAPE, wall(-0.5, uneven=part)) for part in (0.0, 0.3))
    assert float(even.std()) < 0.1
    assert 0.1 < float((uneven / even).log().std()) < 0.5


def test_light_scattered_below_the_surface_reddens_the_edge():
    gain = shadow.shadow_gain(SHAPE, wall(scatter=0.05, depth=(0.3,) * 3, penumbra=(0, 0)))[:, 30]
    red, green, blue = gain[:, 42]
    assert float(red) > float(green) > float(blue)
    assert torch.allclose(gain[:, 75], torch.tensor(0.3), atol=1e-3)


def test_photons_are_noisier_where_it_is_bright():
    clean = torch.full(SHAPE, 0.7)
    light = decode(shadow.apply(clean, wall(shot=1e-4, depth=(0.1,) * 3, penumbra=(0, 0))))[0]
    lit, dark = light[:, :38], light[:, 42:]
    assert float(lit.var()) == pytest.approx(1e-4 * float(lit.mean()), rel=0.15)
    assert float(dark.var()) == pytest.approx(1e-4 * float(dark.mean()), rel=0.15)
