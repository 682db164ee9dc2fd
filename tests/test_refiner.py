"""The general refiner: nothing at first, tones of the whole, detail of each place, tiles."""

import pytest
import torch

from imgrestore.nets import refiner
from imgrestore.nets.refiner import Refiner, RefinerConfig
from imgrestore.nets.tiling import in_tiles
from imgrestore.nets.weights import load_net, write_net

SMALL = RefinerConfig(width=4, blocks=(1, 1), tone=4, view=16, code=2)


def planes(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def trained(config=SMALL):
    """A net that is no longer the identity."""
    torch.manual_seed(3)
    net = Refiner(config).eval().requires_grad_(False)
    for parameter in net.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    return net


def test_a_new_net_changes_nothing():
    net = Refiner(SMALL)
    found = net(planes(2, 3, 30, 41), planes(2, 3, 30, 41, seed=1), planes(2, 3, 30, 41, seed=2), torch.ones(2))
    assert found.tone.shape == found.correction.shape == (2, 3, 30, 41)
    assert not found.tone.any()
    assert not found.correction.any()


def test_tones_are_one_curve_for_the_whole_picture():
    net = trained()
    estimate = planes(1, 3, 24, 24)
    tone = net(planes(1, 3, 24, 24, seed=4), estimate, torch.zeros(1, 3, 24, 24), torch.ones(1)).tone
    mixed = torch.randperm(24 * 24, generator=torch.Generator().manual_seed(0))
    curve, _ = net.head(net.view_of(planes(1, 3, 24, 24, seed=4), estimate))
    again = net.tone_of(estimate.flatten(2)[..., mixed].reshape(estimate.shape), curve)
    torch.testing.assert_close(tone.flatten(2)[..., mixed], again.flatten(2))
    assert float(tone.abs().max()) > 1e-3


def test_strength_scales_the_change_of_tones():
    net = trained()
    parts = planes(1, 3, 24, 24), planes(1, 3, 24, 24, seed=1), torch.zeros(1, 3, 24, 24)
    full, half, none = (net(*parts, torch.tensor([s])).tone for s in (1.0, 0.5, 0.0))
    torch.testing.assert_close(half, 0.5 * full)
    assert not none.any()


def test_values_past_the_range_change_as_the_nearest_within():
    curve = planes(1, 3, 10) - 0.5
    edge = Refiner.tone_of(torch.ones(1, 3, 1, 1), curve)
    torch.testing.assert_close(Refiner.tone_of(torch.full((1, 3, 1, 1), 1.7), curve), edge)


def test_the_terms_are_those_of_a_quadratic():
    estimate = torch.tensor([0.2, 0.5, 0.7]).reshape(1, 3, 1, 1)
    expected = [1, 0.2, 0.5, 0.7, 0.04, 0.25, 0.49, 0.1, 0.14, 0.35]
    for k, value in enumerate(expected):
        curve = torch.zeros(1, 3, 10)
        curve[0, 1, k] = 1
        assert Refiner.tone_of(estimate, curve).flatten().tolist() == pytest.approx([0, value, 0])


@pytest.mark.parametrize("size", [(61, 200), (130, 75)])
def test_tiles_give_what_the_whole_gives(size, monkeypatch):
    net = trained()
    assert net.halo < 40
    parts = [planes(1, 3, *size, seed=seed) for seed in range(3)]
    with torch.no_grad():
        whole = net(*parts, torch.ones(1))
        monkeypatch.setattr(refiner, "TILE", 32)
        tiled = net(*parts, torch.ones(1))
    assert float(whole.correction.std()) > 1e-3
    torch.testing.assert_close(tiled.correction, whole.correction, atol=2e-4, rtol=1e-4)


def test_the_halo_is_what_a_pixel_depends_on():
    """Nothing farther away moves it; the default net, too."""
    for config in (SMALL, RefinerConfig(width=4, blocks=(2, 2, 2, 4), tone=4, view=16)):
        net = trained(config)
        side = 2 * net.halo + 4 * net.unet.stride
        stacked = planes(1, 9 + config.maps + config.code, side, 16)
        other = stacked.clone()
        other[..., : net.unet.stride, :] += 1
        with torch.no_grad():
            changed = (net._corrected(stacked) - net._corrected(other)).abs().amax((0, 1, 3))
        assert changed[: net.unet.stride].max() > 1e-3
        assert changed[net.unet.stride + net.halo :].max() == 0


def test_small_pictures_are_not_cut():
    calls = []

    def run(x):
        calls.append(x.shape)
        return x

    x = planes(1, 1, 40, 50)
    assert torch.equal(in_tiles(run, x, tile=32, halo=8, stride=4), x)
    assert len(calls) == 1
    assert torch.equal(in_tiles(run, x, tile=16, halo=5, stride=4), x)
    assert len(calls) == 1 + 3 * 4
    assert max(shape[-1] for shape in calls[1:]) == 16 + 2 * 8


def test_weights_round_trip(tmp_path):
    net = trained()
    for parameter in net.parameters():
        parameter.copy_(parameter.half())
    write_net(tmp_path / "a.safetensors", net, "demoire")
    again = load_net(tmp_path / "a.safetensors", "demoire").requires_grad_(False)
    assert isinstance(again, Refiner)
    assert again.config == SMALL
    parts = [planes(1, 3, 20, 20, seed=seed) for seed in range(3)]
    a, b = (one(*parts, torch.ones(1)).correction for one in (net, again))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("wrong", [{"view": 8}, {"width": 0}, {"blocks": ()}, {"blocks": (1, 0)}, {"maps": -1}])
def test_configurations_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        RefinerConfig(**wrong)


def test_gradients_reach_every_parameter():
    net = Refiner(SMALL)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    found = net(*(planes(2, 3, 16, 16, seed=seed) for seed in range(3)), torch.ones(2))
    odds = net.judge(planes(2, 1, 3, 128, 128))
    (found.tone.square().mean() + found.correction.square().mean() + odds.square().mean()).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())
