"""The forward model of reflections: layers add, ghosts are shifted copies, pairs differ as physics says."""

import numpy as np
import pytest
import torch

from imgrestore.degrade import reflection
from imgrestore.degrade.reflection import Pane, ReflectionParams
from imgrestore.light import decode


def clean(height=40, width=48, channels=3):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(1))


def scene(height=40, width=48, channels=3):
    return np.random.default_rng(2).random((channels, height, width)).astype(np.float32)


def test_sampling_is_reproducible_and_stays_in_its_range():
    for seed in range(20):
        a, b = (reflection.sample((3, 40, 48), np.random.default_rng(seed)) for _ in range(2))
        observed = reflection.apply(clean(), a)
        assert torch.equal(observed, reflection.apply(clean(), b))
        assert observed.shape == (3, 40, 48)
        assert 0 <= float(observed.min()) <= float(observed.max()) <= 1
        assert 0 <= a.sigma <= 5
        assert a.ghost_attenuation == 0 or 0.4 <= a.ghost_attenuation <= 0.9


def test_a_given_scene_is_the_one_reflected():
    params = reflection.sample((3, 40, 48), np.random.default_rng(0), scene=scene())
    np.testing.assert_array_equal(params.scene, scene())


@pytest.mark.parametrize("linear", [True, False])
def test_light_adds(linear):
    params = ReflectionParams(scene(), strength=(0.3,), sigma=2.0, linear=linear, saturate=False)
    observed, light = reflection.apply(clean(), params), reflection.reflection_light((3, 40, 48), params)
    if linear:
        torch.testing.assert_close(decode(observed), decode(clean()) + light, atol=1e-5, rtol=0)
    else:
        torch.testing.assert_close(observed, clean() + light)


def test_a_ghost_is_a_weaker_copy():
    point = np.zeros((1, 31, 31), np.float32)
    point[0, 10, 12] = 1
    params = ReflectionParams(point, (0.5,), sigma=0, ghost_shift=(4, -3), ghost_attenuation=0.6, linear=False)
    light = reflection.reflection_light((1, 31, 31), params)
    assert float(light[0, 10, 12]) == pytest.approx(0.5)
    assert float(light[0, 14, 9]) == pytest.approx(0.3)
    assert float(light.sum()) == pytest.approx(0.8)


def test_defocus_keeps_the_light_and_coloured_glass_tints_it():
    even = np.full((3, 30, 30), 0.5, np.float32)
    params = ReflectionParams(even, (0.2, 0.4, 0.6), sigma=4.0, linear=False)
    light = reflection.reflection_light((3, 30, 30), params)
    torch.testing.assert_close(light, torch.tensor([0.1, 0.2, 0.3]).reshape(3, 1, 1).expand(3, 30, 30))


def test_a_pane_covers_a_part():
    params = ReflectionParams(np.ones((3, 40, 40), np.float32), (0.5,), pane=Pane(0.5, 0.5, 0.3), linear=False)
    light = reflection.reflection_light((3, 40, 40), params)
    assert float(light[:, 20, 20].min()) > 0.45
    assert float(light[:, 0, 0].max()) == 0


def test_dimming_leaves_little_to_clip():
    params = ReflectionParams(scene(), (1.0,), sigma=3.0, linear=False, saturate=False)
    excess = (reflection.apply(clean(), params) - 1).clamp(min=0).mean()
    dimmed = ReflectionParams(scene(), (1.0,), sigma=3.0, linear=False, saturate=False, dimmed=True)
    assert float((reflection.apply(clean(), dimmed) - 1).clamp(min=0).mean()) < 0.3 * float(excess)


def test_gradients_reach_the_scene():
    params = ReflectionParams(scene(), (0.2,), saturate=False)
    x = (0.2 + 0.5 * clean()).double().requires_grad_()
    reflection.apply(x, params).sum().backward()
    assert bool((x.grad > 0).all())


def test_a_flash_lights_the_scene_alone():
    params = ReflectionParams(scene(), (0.3,), saturate=False)
    ambient, flashed = reflection.flash_pair(clean(), params, 0.7)
    torch.testing.assert_close(decode(flashed) - decode(ambient), 0.7 * decode(clean()), atol=1e-5, rtol=0)


def test_a_polariser_weighs_the_layers():
    params = ReflectionParams(scene(), (0.3,), saturate=False)
    first, second = reflection.polarized_pair(clean(), params, (1.0, 0.9), (1.0, 0.2))
    light = reflection.reflection_light((3, 40, 48), params)
    torch.testing.assert_close(decode(first) - decode(clean()), light, atol=1e-5, rtol=0)
    torch.testing.assert_close(decode(second) - 0.9 * decode(clean()), 0.2 * light, atol=1e-5, rtol=0)


def test_noise_comes_from_the_seed_and_differs_within_a_pair():
    params = ReflectionParams(scene() * 0, (0.0,), noise=0.05, saturate=False, seed=3)
    first, second = reflection.polarized_pair(clean(), params, (1.0, 1.0), (1.0, 1.0))
    assert float((first - clean()).std()) == pytest.approx(0.05, rel=0.1)
    assert float((first - second).std()) > 0.06
