"""The judge: which windows it sees, what tells it nothing, and that it can learn to see a pattern."""

import pytest
import torch
from torch.nn import functional as F

from imgrestore.nets import judge
from imgrestore.nets.judge import WINDOW, Judge, windows_of


def planes(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("size", "count"), [((128, 128), 1), ((130, 128), 2), ((400, 300), 12), ((3000, 2000), 25), ((40, 300), 5)]
)
def test_windows_cover_small_pictures_and_spread_over_large_ones(size, count):
    picture = planes(3, *size)
    windows = windows_of(picture)
    assert windows.shape == (count, 3, WINDOW, WINDOW)
    if min(size) >= WINDOW:
        assert torch.equal(windows[0], picture[:, :WINDOW, :WINDOW])
        assert torch.equal(windows[-1], picture[:, -WINDOW:, -WINDOW:])


def test_brightness_contrast_and_the_order_of_windows_tell_nothing():
    torch.manual_seed(0)
    windows = planes(2, 3, 3, WINDOW, WINDOW)
    flat = judge.levelled(windows[0])
    torch.testing.assert_close(judge.levelled(0.6 + windows[0]), flat, atol=1e-4, rtol=0)
    # Of the contrast of random pixels, 0.29, the constant that guards against none is a thirtieth.
    torch.testing.assert_close(judge.levelled(0.5 * windows[0]), flat, atol=0, rtol=0.04)
    net = Judge(4).eval().requires_grad_(False)
    first = net(windows)
    assert first.shape == (2,)
    torch.testing.assert_close(net(windows[:, [2, 0, 1]]), first)
    assert bool(net(torch.full_like(windows, 0.3)).isfinite().all())


def test_it_learns_to_see_a_faint_pattern():
    torch.manual_seed(0)
    net, phase = Judge(4), torch.arange(WINDOW)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)

    def drawn(seed):
        smooth = F.interpolate(planes(6, 3, 8, 8, seed=seed), size=(WINDOW, WINDOW), mode="bicubic")
        smooth = smooth + 0.02 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(seed))
        smooth[::2] += 0.03 * torch.sin(0.9 * phase)[:, None]
        return smooth[:, None], torch.tensor([1.0, 0.0] * 3)

    for step in range(30):
        windows, truth = drawn(step)
        loss = F.binary_cross_entropy_with_logits(net(windows), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    windows, truth = drawn(1000)
    with torch.no_grad():
        assert torch.equal((net.eval()(windows) > 0).float(), truth)
