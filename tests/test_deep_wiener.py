"""The deep Wiener net and its blocks."""

import pytest
import torch

from imgrestore.degrade import blur
from imgrestore.nets.blocks import DepthwiseConv, GatedBlock, UNet, set_depthwise
from imgrestore.nets.deep_wiener import DeepWiener, DeepWienerConfig, FeatureWiener

SMALL = DeepWienerConfig(features=4, width=8, blocks=(1, 1))


def case(height=32, width=40, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 3, height, width, generator=generator)
    psf = torch.rand(count, 5, 5, generator=generator)
    otf = blur.otf(psf / psf.sum((1, 2), keepdim=True), (height, width))
    y = torch.fft.irfft2(torch.fft.rfft2(x) * otf, s=(height, width))
    y = y + 0.01 * torch.randn(y.shape, generator=generator)
    mask = torch.zeros(1, 1, height, width)
    mask[..., 2:-2, 2:-2] = 1
    return y, y + 0.01, otf, torch.tensor([0.01, 0.03])[:count], mask


def stirred(config=SMALL):
    torch.manual_seed(0)
    net = DeepWiener(config)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return net


@pytest.mark.parametrize("size", [(32, 40), (33, 47), (17, 64)])
def test_a_new_net_returns_the_classical_estimate(size):
    y, x0, otf, sigma, mask = case(*size)
    assert torch.equal(DeepWiener(SMALL)(y, x0, otf, sigma, mask), x0)


@pytest.mark.parametrize("size", [(33, 47), (18, 31)])
def test_any_size_gives_finite_results(size):
    y, x0, otf, sigma, _ = case(*size)
    result = stirred()(y, x0, otf, sigma)
    assert result.shape == x0.shape
    assert torch.isfinite(result).all()
    assert not torch.equal(result, x0)


@pytest.mark.parametrize("sigma", [0.0, 1e-4, 1.0])
def test_extreme_noise_and_zeros_of_the_otf(sigma):
    y, x0, otf, _, mask = case()
    result = stirred()(y, x0, torch.zeros_like(otf), torch.full((2,), sigma), mask)
    assert torch.isfinite(result).all()


def test_pictures_of_a_batch_do_not_mix():
    y, x0, otf, sigma, mask = case()
    net = stirred()
    both = net(y, x0, otf, sigma, mask)
    for i in (0, 1):
        one = net(y[i : i + 1], x0[i : i + 1], otf[i : i + 1], sigma[i : i + 1], mask)
        torch.testing.assert_close(one, both[i : i + 1], atol=1e-5, rtol=0)


def test_gradients_reach_everything():
    y, x0, otf, sigma, mask = case()
    y.requires_grad_()
    net = stirred()
    net(y, x0, otf, sigma, mask).square().sum().backward()
    assert y.grad.abs().sum() > 0
    missing = [name for name, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not missing


def test_a_few_steps_lower_the_error():
    y, x0, otf, sigma, mask = case()
    target = x0 - 0.1
    net = DeepWiener(SMALL)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    errors = []
    for _ in range(25):
        loss = (net(y, x0, otf, sigma, mask) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(float(loss.detach()))
    assert errors[-1] < 0.5 * errors[0]


def test_bfloat16_is_close():
    y, x0, otf, sigma, mask = case()
    net = stirred()
    with torch.no_grad():
        full = net(y, x0, otf, sigma, mask)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(y, x0, otf, sigma, mask)
    assert half.dtype == torch.float32
    assert float((half - full).abs().max()) < 0.05 * float((full - x0).abs().max()) + 1e-3


def both_ways(net, *arguments):
    """Without a gradient, where native ops run, and as torch computes it for one."""
    with torch.no_grad():
        fused = net(*arguments)
    return fused, net(*arguments).detach()


def wide(net):
    for unet in net.unets:
        unet.narrow = False
    return net


@pytest.mark.parametrize("config", [SMALL, DeepWienerConfig(5, 6, (3,), 3), DeepWienerConfig(4, 10, (1, 2, 1), 2)])
@pytest.mark.parametrize("size", [(32, 40), (33, 47), (18, 31), (60, 75)])
def test_with_and_without_gradients_the_net_is_the_same(config, size):
    net = wide(stirred(config))
    y, x0, otf, sigma, mask = case(*size)
    for arguments in ((y, x0, otf, sigma, mask), (y, x0, otf, sigma), (y[:1], x0[:1], otf[:1], sigma[:1], mask)):
        before = [a.clone() for a in arguments]
        fused, plain = both_ways(net, *arguments)
        torch.testing.assert_close(fused, plain, atol=1e-5, rtol=0)
        assert all(map(torch.equal, arguments, before))
    with torch.no_grad():
        stages = net.stages(y, x0, otf, sigma, mask)
        assert torch.equal(stages[-1], net(y, x0, otf, sigma, mask))
    for fused, plain in zip(stages, net.stages(y, x0, otf, sigma, mask), strict=True):
        torch.testing.assert_close(fused, plain.detach(), atol=1e-5, rtol=0)


def test_narrow_products_change_little():
    net, arguments = stirred(), case(60, 75)
    with torch.no_grad():
        narrow = net(*arguments)
        full = wide(net)(*arguments)
    assert float((narrow - full).abs().max()) < 0.02 * float((full - arguments[1]).abs().max())


def test_a_unet_may_overwrite_its_input_once_it_was_read():
    torch.manual_seed(0)
    for blocks in ((3,), (1, 2), (2, 1, 1)):
        net = UNet(12, 3, 8, blocks).requires_grad_(False)
        torch.nn.init.normal_(net.head.weight)
        for block in net.modules():
            if isinstance(block, GatedBlock):
                torch.nn.init.normal_(block.scale)
        x = torch.randn(2, 12, 16, 24)
        expected = net(x.clone())
        result, features = net(x, room=x)
        assert torch.equal(result, expected[0])
        assert torch.equal(features, expected[1])
        x.zero_()
        assert torch.equal(features, expected[1])


def test_feature_wiener_inverts_without_noise():
    y, x0, otf, _, _ = case()
    spectrum = torch.fft.rfft2(x0) * otf
    wiener = FeatureWiener(3)
    with torch.no_grad():
        wiener.factor.fill_(-3.0)
    result = wiener(spectrum, torch.ones(2, 3), otf, torch.zeros(2), y.shape[-1])
    torch.testing.assert_close(result, x0, atol=2e-2, rtol=0)


def test_config_round_trip():
    config = DeepWienerConfig(8, 24, (1, 2), 3)
    assert DeepWienerConfig.from_dict(config.to_dict()) == config
    assert DeepWienerConfig.from_dict({**config.to_dict(), "blocks": [1, 2]}) == config


def test_depthwise_ways_agree():
    torch.manual_seed(0)
    layer, x = DepthwiseConv(6), torch.randn(2, 6, 9, 11, dtype=torch.float64)
    layer = layer.double()
    first = layer(x)
    set_depthwise(layer, "shift")
    torch.testing.assert_close(layer(x), first)


def test_new_blocks_change_nothing():
    x = torch.randn(1, 8, 7, 9)
    assert torch.equal(GatedBlock(8)(x), x)
    result, features = UNet(5, 3, 8, (1, 1))(torch.randn(1, 5, 16, 20))
    assert result.shape == (1, 3, 16, 20)
    assert features.shape == (1, 8, 8, 10)
    assert not result.any()
