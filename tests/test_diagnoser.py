"""The diagnoser: any size of picture, the same answer in any company, and that it can learn."""

import json

import pytest
import torch
from torch.nn import functional as F

from imgrestore.nets import weights
from imgrestore.nets.diagnoser import DAMAGES, Diagnoser, DiagnoserConfig, view_of
from imgrestore.nets.judge import WINDOW, window_places, windows_of
from imgrestore.nets.separator import Separator, SeparatorConfig


def planes(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def small(**more):
    torch.manual_seed(0)
    fields = {"width": 4, "blocks": (1, 1), "detail": 4, "view": 32, **more}
    return Diagnoser(DiagnoserConfig(**fields)).eval().requires_grad_(False)


def test_it_is_small_and_knows_the_damages():
    net = Diagnoser()
    assert sum(p.numel() for p in net.parameters()) < 2_000_000
    assert net.config.classes == DAMAGES
    assert not list(net.buffers())  # nothing that a batch could change


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (20, 300), (128, 128), (500, 700)])
def test_a_picture_of_any_size_has_a_diagnosis(size):
    found = small().diagnose(planes(3, *size))
    assert found.logits.shape == found.strength.shape == (1, 6)
    assert bool(found.logits.isfinite().all())
    assert 0 < float(found.strength.min()) < float(found.strength.max()) < 1


def test_an_even_picture_has_a_diagnosis():
    assert bool(small().diagnose(torch.full((3, 150, 150), 0.4)).logits.isfinite().all())


def test_pictures_are_diagnosed_each_for_itself():
    net = small()
    views, windows = planes(3, 3, 32, 32), planes(3, 2, 3, WINDOW, WINDOW)
    together = net(views, windows)
    for i in range(3):
        alone = net(views[i : i + 1], windows[i : i + 1])
        torch.testing.assert_close(alone.logits, together.logits[i : i + 1], atol=1e-5, rtol=1e-5)
    swapped = net(views, windows.flip(1))
    torch.testing.assert_close(swapped.logits, together.logits, atol=1e-5, rtol=1e-5)
    assert float(together.logits.std(0).max()) > 1e-4


def test_places_are_marked():
    net, picture = small(), planes(3, 200, 300)
    found = net.diagnose(picture)
    assert found.where.shape == (1, 6, 16, 16)
    assert found.near.shape == (1, len(windows_of(picture)), 6, 16, 16)
    dark = picture.clone()
    dark[:, :60, :60] *= 0.2
    moved = (net.diagnose(dark).where - found.where).abs().amax(1)[0]
    assert float(moved[:4, :4].max()) > 10 * float(moved[12:, 12:].max())


def test_it_begins_with_what_a_separator_has_learnt():
    torch.manual_seed(1)
    lender = Separator(SeparatorConfig("factor", width=4, blocks=(1, 1))).eval()
    net, view = small(), planes(2, 3, 32, 32)
    net.borrow(lender)
    nothing = torch.zeros(2, 3, 32, 32)
    with torch.no_grad():
        stacked = lender.stacked(view, view, nothing, nothing[:, :1], nothing[:, :2], None)
        theirs, _ = lender.unet.encoded(stacked)
        told, where = net.whole(view)
        features = net.whole.norm(theirs)
        torch.testing.assert_close(where, net.whole.seen.marks(features), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(told, net.whole.seen(features, where), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="separator has a width of 6; expected 4"):
        net.borrow(Separator(SeparatorConfig(width=6, blocks=(1, 1))))


def test_both_looks_have_a_say_and_windows_can_be_left_out():
    net = small()
    views, windows = planes(1, 3, 32, 32), planes(1, 2, 3, WINDOW, WINDOW)
    first = net(views, windows).logits
    assert not torch.equal(net(views.flip(-1), windows).logits, first)
    assert not torch.equal(net(views, windows * 0.5).logits, first)
    whole = small(detail=0)
    picture = planes(3, 200, 200)
    assert len(whole.windows_of(picture)) == 0
    assert whole.diagnose(picture).logits.shape == (1, 6)


def test_the_view_is_the_picture_reduced():
    picture = planes(3, 64, 96)
    torch.testing.assert_close(view_of(picture, 32), picture.unfold(1, 2, 2).unfold(2, 3, 3).mean((3, 4)))
    assert view_of(planes(3, 20, 20), 32).shape == (3, 32, 32)


@pytest.mark.parametrize("size", [(130, 128), (400, 300), (40, 300)])
def test_the_places_of_windows_are_those_of_the_windows(size):
    picture = planes(3, *size)
    found, windows = window_places(size), windows_of(picture)
    side = min(WINDOW, *size)
    assert len(found) == len(windows)
    for (y, x), window in zip(found, windows, strict=True):
        cut = picture[:, y : y + side, x : x + side]
        assert cut.shape == (3, side, side)
        if side == WINDOW:
            assert torch.equal(cut, window)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": ()}, "expected 1 or more names"),
        ({"classes": ("cat",), "several": False}, "expected 2 or more names"),
        ({"classes": ("cat", "cat")}, "expected each name once"),
        ({"classes": ("cat", 3)}, "expected 1 or more names"),
        ({"width": 0}, "expected numbers of at least 1"),
        ({"blocks": ()}, "expected numbers of at least 1"),
        ({"detail": -1}, "a detail of at least 0"),
        ({"view": 16}, "view is 16; expected a multiple of 16, from 32 on"),
        ({"view": 40}, "view is 40; expected a multiple of 16"),
    ],
)
def test_configurations_without_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DiagnoserConfig(**fields)


def test_a_file_keeps_net_and_classes(tmp_path):
    net = small(classes=("cat", "dog"), several=False)
    weights.write_net(tmp_path / "a.safetensors", net, "diagnose")
    back = weights.load_net(tmp_path / "a.safetensors", "diagnose")
    assert back.config == net.config == DiagnoserConfig.from_dict(json.loads(json.dumps(net.config.to_dict())))
    picture = planes(3, 140, 140)
    with torch.no_grad():
        torch.testing.assert_close(back.diagnose(picture).logits, net.diagnose(picture).logits, atol=1e-2, rtol=0)
        assert bool((back.diagnose(picture).strength == 1).all())


def test_it_learns_a_pattern_and_a_shade_each_from_its_own_look():
    torch.manual_seed(0)
    net = Diagnoser(DiagnoserConfig(("pattern", "shade"), width=6, blocks=(1, 1), detail=6, view=32))
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
    row = torch.arange(WINDOW)

    def drawn(seed):
        smooth = F.interpolate(planes(8, 3, 8, 8, seed=seed), size=(WINDOW, WINDOW), mode="bicubic")
        truth = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] * 2)
        smooth = smooth + 0.04 * truth[:, :1, None, None] * torch.sin(1.3 * row)[:, None]
        shade = 1 - 0.6 * truth[:, 1:, None, None] * (row < 64)
        views = torch.stack([view_of(one, 32) for one in smooth * shade])
        return views, smooth[:, None], truth

    for step in range(60):
        views, windows, truth = drawn(step)
        loss = F.binary_cross_entropy_with_logits(net(views, windows).logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    views, windows, truth = drawn(1000)
    with torch.no_grad():
        assert float(((net.eval()(views, windows).logits > 0) == truth).float().mean()) >= 0.9
