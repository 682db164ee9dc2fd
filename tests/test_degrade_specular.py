"""The forward model of highlights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from imgrestore.degrade import specular
from imgrestore.light import decode, encode

SHAPE = (3, 80, 100)
ONE = specular.Lobe(0.5, 0.4, 0.1, 0.05, angle=0.3, peak=0.6)


def test_light_adds_before_the_camera_codes():
    clean = torch.full(SHAPE, 0.3)
    params = specular.SpecularParams(lobes=(ONE,), lamp=(1.0, 0.9, 0.8))
    light = specular.mirrored(SHAPE, params)
    added = decode(specular.apply(clean, params)) - decode(clean)
    for channel, colour in zip(added, params.lamp, strict=True):
        torch.testing.assert_close(channel, light[0] * colour, atol=1e-5, rtol=0)
    plain = specular.apply(clean, replace(params, transfer="linear"))
    torch.testing.assert_close(plain[0], (clean[0] + light[0]).clamp(max=1), atol=1e-6, rtol=0)


def test_cores_are_clipped():
    clean = torch.rand(SHAPE)
    params = specular.SpecularParams(lobes=(replace(ONE, peak=3.0),))
    observed = specular.apply(clean, params)
    core = specular.mirrored(SHAPE, params)[0] > 1
    assert core.sum() > 20
    assert observed[:, core].min() > 0.99999
    assert observed.max() <= 1


@pytest.mark.parametrize("tail", [0.0, 1.0])
def test_lobes_lie_where_they_are_said_to(tail):
    lobe = specular.Lobe(0.25, 0.75, 0.2, 0.1, tail=tail, peak=0.8)
    light = specular.mirrored((200, 200), specular.SpecularParams(lobes=(lobe,)))[0].numpy()
    y, x = np.unravel_index(light.argmax(), light.shape)
    assert abs(y - 49.5) <= 1
    assert abs(x - 149.5) <= 1
    assert light.max() == pytest.approx(0.8, rel=0.01)
    # Along the rows' axis it falls to half within its length, across within its width.
    assert light[90, 150] == pytest.approx(0.4, rel=0.05)
    assert light[50, 170] == pytest.approx(0.4, rel=0.05)


@pytest.mark.parametrize("kind", sorted(specular.KINDS))
def test_every_kind_mirrors_something_and_not_everywhere(kind):
    rng = np.random.default_rng(1)
    for _ in range(8):
        params = replace(specular.sample((128, 128), rng), kind=kind, lobes=(ONE,))
        light = specular.mirrored((128, 128), params)
        assert light.shape == (1, 128, 128)
        assert light.min() >= 0
        assert torch.isfinite(light).all()
        area = specular.area((128, 128), params)
        assert torch.equal(area, light > specular.VISIBLE)
        assert area.float().mean() < 0.95


def test_the_same_seed_the_same_picture():
    clean = torch.rand(SHAPE)
    for seed in range(6):
        a, b = (specular.sample(SHAPE, np.random.default_rng(seed), clean) for _ in range(2))
        assert a == b
        assert torch.equal(specular.apply(clean, a), specular.apply(clean, b))


def test_lobes_are_put_on_coloured_surfaces():
    clean = torch.full((3, 100, 100), 0.5)
    clean[:, :, 50:] = torch.tensor([0.6, 0.2, 0.1])[:, None, None]
    rng = np.random.default_rng(0)
    places = [lobe.x for _ in range(20) for lobe in specular.sample((3, 100, 100), rng, clean).lobes]
    assert len(places) > 10
    assert np.mean([x > 0.5 for x in places]) > 0.95


def test_gradients_run_through_rounding_but_not_through_clipping():
    clean = torch.full((3, 20, 20), 0.4, dtype=torch.float64, requires_grad=True)
    params = specular.SpecularParams(lobes=(replace(ONE, peak=2.0),), bits=8, transfer="linear")
    specular.apply(clean, params).sum().backward()
    clipped = specular.mirrored((20, 20), params)[0] + 0.4 > 1
    assert clipped.any()
    assert torch.equal(clean.grad[0] == 0, clipped)
    assert torch.equal(clean.grad[0] == 1, ~clipped)


def test_files_have_levels():
    params = specular.SpecularParams(lobes=(ONE,), bits=8)
    levels = specular.apply(torch.rand(SHAPE), params) * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def test_gray_pictures_and_batches():
    params = specular.SpecularParams(lobes=(ONE,), lamp=(1.0, 0.8, 0.6), transfer="linear")
    gray = specular.apply(torch.full((1, 40, 50), 0.2), params)
    expected = 0.2 + 0.8 * specular.mirrored((40, 50), params)
    torch.testing.assert_close(gray, expected, atol=1e-6, rtol=0)
    batch = torch.rand(4, *SHAPE)
    each = torch.stack([specular.apply(one, params) for one in batch])
    torch.testing.assert_close(specular.apply(batch, params), each)


def test_light_and_values_are_inverse_to_each_other():
    values = torch.linspace(-0.5, 3, 300, dtype=torch.float64)
    torch.testing.assert_close(encode(decode(values)), values, atol=1e-9, rtol=0)
