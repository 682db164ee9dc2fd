"""The moiré forward model: waves, bends, colours, tones."""

import numpy as np
import pytest
import torch

from imgrestore.degrade import moire


def spectrum(plane):
    return np.abs(np.fft.fft2(plane - plane.mean()))


def test_a_wave_has_the_frequency_amplitude_and_phase_asked_for():
    clean = torch.full((3, 64, 80), 0.5, dtype=torch.float64)
    wave = moire.Wave(0.25, 0.1, (0.1, 0.0, -0.05), phase=0.3)
    light = moire.apply(clean, moire.MoireParams((wave,))) - clean
    y, x = np.indices((64, 80))
    expected = np.cos(2 * np.pi * (0.25 * y + 0.1 * x) + 0.3)
    for plane, amplitude in zip(light.numpy(), wave.amplitude, strict=True):
        np.testing.assert_allclose(plane, amplitude * expected, atol=1e-9)


def test_overtones_stand_at_multiples():
    clean = torch.zeros(1, 64, 64)
    wave = moire.Wave(0.0, 0.125, (0.1, 0.1, 0.1), overtones=(0.5,))
    power = spectrum(moire.apply(clean, moire.MoireParams((wave,)))[0].numpy())[0]
    assert set(np.argsort(power)[-4:]) == {8, 16, 48, 56}
    assert power[16] == pytest.approx(0.5 * power[8], rel=1e-4)


def test_a_bend_moves_the_frequency_over_the_frame():
    clean = torch.zeros(1, 128, 256)
    wave = moire.Wave(0.0, 0.2, (0.1, 0.1, 0.1), bend=((0.0, 0.5, 2.0, 0.0),))
    plane = moire.apply(clean, moire.MoireParams((wave,)))[0].numpy()
    left, right = (np.argmax(spectrum(part)[0, :32]) for part in (plane[:, :64], plane[:, -64:]))
    assert left > right


def test_patterns_follow_the_light():
    clean = torch.zeros(3, 32, 32)
    clean[:, :, 16:] = 1.0
    wave = moire.Wave(0.2, 0.0, (0.1, 0.1, 0.1))
    assert torch.count_nonzero(moire.pattern(clean, moire.MoireParams((wave,), follows=1.0))[..., :16]) == 0
    part = moire.pattern(clean, moire.MoireParams((wave,), follows=0.4))
    torch.testing.assert_close(part[..., :16], 0.6 * part[..., 16:])


def test_tones_bend_by_channel_and_go_on_below_black():
    clean = torch.linspace(-0.2, 1.2, 64).expand(3, 8, 64).clone()
    tone = moire.Tone((0.9, 1.0, 0.8), (0.05, 0.0, 0.1), (1.0, 1.2, 0.8))
    light = moire.apply(clean, moire.MoireParams(tone=tone))
    assert bool((light.diff(dim=-1) > 0).all())
    torch.testing.assert_close(light[0], 0.05 + 0.9 * clean[0])
    inside = clean[1] > 1e-3
    torch.testing.assert_close(light[1][inside], clean[1][inside] ** 1.2)


@pytest.mark.parametrize("kind", moire.KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_sampled_patterns_are_reproducible_differentiable_and_visible(kind, channels):
    shape = (2, channels, 48, 56)
    first, second = (moire.sample(shape, np.random.default_rng(5), kind) for _ in range(2))
    assert first == second
    clean = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    light = moire.apply(clean, first)
    assert light.shape == shape
    assert torch.equal(light, moire.apply(clean, second))
    assert float((light - clean).detach().std()) > 1e-3
    (gradient,) = torch.autograd.grad(light.sum(), clean)
    step = 1e-6
    direction = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        change = (moire.apply(clean + step * direction, first) - light).sum() / step
    assert float(change) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


def test_waves_of_all_kinds_are_above_the_frequencies_of_things():
    rng = np.random.default_rng(0)
    for _ in range(200):
        for wave in moire.sample((3, 100, 100), rng).waves:
            assert 0.08 < np.hypot(wave.row, wave.column) <= 0.51
            assert max(map(abs, wave.amplitude)) <= 0.121


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="kind is 'plaid'; expected one of gray, colour"):
        moire.sample((3, 20, 20), np.random.default_rng(0), "plaid")
