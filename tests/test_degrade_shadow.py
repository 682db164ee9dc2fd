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
