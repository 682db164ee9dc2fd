"""How far a net's picture is to be believed, from what it leaves over."""

import numpy as np
import pytest
import torch

from imgrestore.tasks.check import REACH, local_rms, share_explained, tolerance, trust

NOISE = torch.tensor(0.01)


def noise(shape=(1, 3, 90, 110), sigma=0.01, seed=0):
    return sigma * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_local_rms_is_the_root_mean_square_of_each_window():
    residual, known = noise(), torch.rand((1, 3, 90, 110), generator=torch.Generator().manual_seed(1)) < 0.7
    found = local_rms(residual, known)
    assert found.shape == (1, 1, 90, 110)
    half = REACH // 2
    for y, x in [(0, 0), (45, 50), (89, 3)]:
        window = np.s_[:, :, max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
        expected = residual[window][known[window]].square().mean().sqrt()
        assert found[0, 0, y, x] == pytest.approx(float(expected), rel=1e-4)


def test_noise_is_believed_everywhere():
    assert (share_explained(noise(seed=1), noise(seed=2), NOISE) == 1).all()
    assert (share_explained(noise(seed=1), 0.1 * noise(seed=2), NOISE) == 1).all()
    assert trust(noise(), NOISE).min() > 0.9


def test_what_the_classical_estimate_does_not_explain_either_is_no_fault():
    residual = noise(sigma=0.05)
    assert (share_explained(residual, residual, NOISE) == 1).all()
    assert trust(residual, NOISE).max() < 0.25


def test_a_fault_takes_its_part_and_the_share_is_smooth():
    wrong = noise(seed=1)
    wrong[..., :30, :40] += 0.1
    share = share_explained(wrong, noise(seed=2), NOISE)[0, 0]
    assert share[:30, :40].max() == 0
    assert share[70:].min() == share[:, 80:].min() == 1
    steps = [share.diff(dim=axis).abs().max() for axis in (0, 1)]
    assert max(steps) < 0.1


def test_between_sound_and_hopeless_a_part_is_believed():
    def share(times):
        return share_explained(torch.full((1, 1, 40, 40), 0.01 * times), torch.zeros(1, 1, 40, 40), NOISE).mean()

    assert share(1.25) == 1
    assert share(1.375) == pytest.approx(0.84, abs=0.01)
    assert share(1.5) == pytest.approx(0.5, abs=0.01)
    assert share(1.75) == pytest.approx(0, abs=1e-6)


def test_what_was_not_observed_does_not_count():
    wrong, known = noise(seed=1), torch.ones(1, 3, 90, 110)
    wrong[..., 40:50, 40:50] = torch.nan
    known[..., 40:50, 40:50] = 0
    assert (share_explained(wrong, noise(seed=2), NOISE, known=known) == 1).all()
    assert trust(wrong, NOISE, known=known).min() > 0.9


def test_nothing_is_believed_where_no_pixel_of_a_window_was_observed():
    known = torch.ones(1, 1, 90, 110)
    known[..., 10:80, 10:80] = 0
    residual = noise((1, 1, 90, 110))
    assert share_explained(residual, residual, NOISE, known=known)[0, 0, 45, 45] == 0
    assert trust(residual, NOISE, known=known)[0, 0, 45, 45] == 0
    assert share_explained(residual, residual, NOISE, known=known)[0, 0, 45, 105] == 1


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_no_number_is_no_explanation(bad):
    wrong = noise()
    wrong[..., 20, 20] = bad
    share = share_explained(wrong, noise(seed=2), NOISE)
    assert share[0, 0, 20, 20] == 0
    assert share[0, 0, 80, 100] == 1
    assert trust(wrong, NOISE)[0, 0, 20, 20] == 0


def test_pictures_of_a_batch_do_not_see_each_other():
    batch, sigma = torch.cat([noise(seed=1), noise(sigma=0.1, seed=2)]), torch.full((2, 1, 1, 1), 0.01)
    share = share_explained(batch, noise((2, 3, 90, 110), seed=3), sigma)
    assert (share[0] == 1).all()
    assert (share[1] == 0).all()
    assert torch.equal(trust(batch, sigma)[1], trust(batch[1:], sigma[1:])[0])


def test_a_perfect_picture_is_believed():
    nothing = torch.zeros(1, 1, 40, 40)
    assert (share_explained(nothing, nothing, torch.tensor(0.0)) == 1).all()
    assert (trust(nothing, torch.tensor(0.0)) == 0).all()
    assert (trust(nothing, tolerance(torch.tensor(0.0))) == 1).all()


def test_tolerance_adds_a_gray_level_of_the_range():
    assert tolerance(torch.tensor(0.0), 4.0) == pytest.approx(4 / 255)
    assert tolerance(torch.tensor(3.0)) == pytest.approx(3.0, rel=1e-4)


def test_shares_carry_no_gradient():
    residual = noise().requires_grad_()
    assert not share_explained(residual, residual, NOISE).requires_grad
    assert not trust(residual, NOISE).requires_grad
