"""Damaged pictures: what is said of them is what was done, and nothing else gives it away."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from imgrestore.data import damages
from imgrestore.data.damages import NONE, damaged, drawn_damages, finished, seeded_cases, strength_of
from imgrestore.nets.diagnoser import DAMAGES

SIZE = 96


def scene(seed, height=150, width=190):
    """Even surfaces with edges and some texture."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(height, width, 3)), (6, 6, 0))
    picture = np.where(noise > 0, 0.7, 0.3) * rng.uniform(0.6, 1.0, 3) + 0.03 * rng.normal(size=(height, width, 1))
    return (picture.clip(0, 1) * 255).astype(np.uint8)


CLEAN, OTHER = scene(1), scene(2)


@pytest.fixture
def plain(monkeypatch):
    """No change of tones, no noise and no storage."""
    for name in ("TONED", "NOISY", "STORED"):
        monkeypatch.setattr(damages, name, 0.0)


def made(names, seed=0, clean=CLEAN):
    return damaged(clean, names, SIZE, np.random.default_rng(seed), OTHER)


def shown(names, seed=0):
    return finished(made(names, seed), np.random.default_rng(seed)).picture


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_there_and_seen(plain, name):
    found = made((name,), seed=4)
    assert found.present.tolist() == [float(one == name) for one in DAMAGES]
    assert float(found.strength[DAMAGES.index(name)]) > 0
    assert float(found.strength.sum()) == float(found.strength.max()) <= 1
    assert found.picture.dtype == torch.float32
    assert 0 <= float(found.picture.min()) < float(found.picture.max()) <= 1


def test_a_sound_picture_is_a_part_of_the_clean_one(plain, monkeypatch):
    monkeypatch.setattr(damages, "_cut", lambda clean, side, rng: torch.from_numpy(clean).permute(2, 0, 1) / 255)
    found = made(())
    assert float(found.present.sum()) == float(found.strength.sum()) == 0
    levels = (finished(found, np.random.default_rng(0)).picture * 255).round().byte().permute(1, 2, 0).numpy()
    height, width = levels.shape[:2]
    assert any(
        np.array_equal(levels, whole[y : y + height, x : x + width])
        for whole in (CLEAN, CLEAN[:, ::-1])
        for y in range(151 - height)
        for x in range(191 - width)
    )


def test_one_picture_is_finished_in_many_ways():
    case = made(("rust",))
    first, again, other = (finished(case, np.random.default_rng(seed)).picture for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    levels = first * 255
    assert float((levels - levels.round()).abs().max()) < 1e-3
    assert 0 <= float(first.min()) < float(first.max()) <= 1


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_picture_is_as_large_as_a_sound_one(name):
    """Or its size would tell."""
    sizes = {tuple(shown(names, seed).shape[1:]) for names in ((), (name,)) for seed in range(12)}
    assert min(min(size) for size in sizes) >= 2 * SIZE // 3
    assert max(max(size) for size in sizes) <= SIZE


def test_two_damages_at_once():
    found = made(("rust", "shadow"), seed=5)
    assert [name for name, there in zip(DAMAGES, found.present, strict=True) if there] == ["shadow", "rust"]


@pytest.mark.parametrize("names", [("shadow",), ("rust", "shadow"), ("shadow", "blur")])
def test_it_is_told_where_and_by_how_much_pictures_change(plain, names):
    found = made(names, seed=5)
    assert found.changed.shape == (len(DAMAGES), *found.picture.shape[1:])
    for name, changed in zip(DAMAGES, found.changed, strict=True):
        assert bool(changed.any()) == (name in names)
    last = [name for name in damages.ORDER if name in names][-1]
    before, index = found.twin, DAMAGES.index(last)
    torch.testing.assert_close(found.changed[index], (found.picture - before.picture).square().mean(0))
    others = [i for i in range(len(DAMAGES)) if i != index]
    assert torch.equal(found.changed[others], before.changed[others])
    assert not before.changed[index].any()
    for seed in range(4):  # mirrored and cut like the picture
        shown = finished(found, np.random.default_rng(seed))
        sound = finished(before, np.random.default_rng(seed))
        change = (shown.picture - sound.picture).square().mean(0)
        torch.testing.assert_close(shown.changed[index], change, atol=5e-3, rtol=0.05)


def test_what_cannot_be_seen_does_not_count():
    even = np.full((150, 190, 3), 90, np.uint8)
    found = made(("blur",), clean=even)
    assert float(found.present.sum()) == 0
    assert float(found.strength.sum()) == 0


def test_it_follows_from_the_seed():
    for name in DAMAGES:
        first, again, other = made((name,), 7), made((name,), 7), made((name,), 8)
        assert torch.equal(first.picture, again.picture)
        assert first.picture.shape != other.picture.shape or not torch.equal(first.picture, other.picture)


def test_strength_is_measured_in_decibels():
    gray = torch.full((3, 9, 9), 0.4)
    assert strength_of(gray, gray) == 0
    assert strength_of(gray, gray + 10 ** (-38.5 / 20)) == 0
    assert strength_of(gray, gray + 10 ** (-26 / 20)) == pytest.approx(0.5, abs=1e-4)
    assert strength_of(gray, gray + 0.5) == 1
    white = torch.ones(3, 9, 9)
    assert strength_of(white, white + 3) == 0  # nobody sees what a file does not hold


def test_damages_are_drawn_evenly():
    rng = np.random.default_rng(0)
    drawn = [drawn_damages(rng) for _ in range(4000)]
    counts = Counter(len(one) for one in drawn)
    assert counts.keys() == {0, 1, 2}
    assert counts[0] == pytest.approx(4000 * damages.SOUND, rel=0.15)
    assert counts[2] == pytest.approx(4000 * damages.TWO, rel=0.15)
    each = Counter(name for one in drawn for name in one)
    assert max(each.values()) < 1.3 * min(each.values())
    assert all(len(set(one)) == len(one) for one in drawn)


def test_seeded_cases_are_balanced_and_always_the_same():
    first, again = (list(seeded_cases([CLEAN, OTHER], 2, SIZE, 4)) for _ in range(2))
    assert Counter(truth for _, truth in first) == dict.fromkeys((*DAMAGES, NONE), 2)
    for (case, truth), (twin, same) in zip(first, again, strict=True):
        assert truth == same
        assert torch.equal(case, twin)


def test_both_kinds_of_moire_are_drawn(monkeypatch):
    asked = []
    for name in ("_waved", "_screened"):
        change = getattr(damages, name)
        monkeypatch.setattr(damages, name, lambda *a, n=name, c=change: asked.append(n) or c(*a))
    for seed in range(12):
        made(("moire",), seed)
    assert {"_waved", "_screened"} == set(asked)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_twin_lacks_the_last_damage_alone(name):
    found = made((name,), seed=4)
    assert found.twin is not None
    assert found.twin.picture.shape == found.picture.shape
    assert float(found.twin.present.sum()) == float(found.twin.strength.sum()) == 0
    assert strength_of(found.twin.picture, found.picture) == pytest.approx(float(found.strength.max()))
    assert float(found.strength.max()) >= damages.LEAST
    assert made(()).twin is None


def test_the_twin_of_two_damages_has_the_first():
    found = made(("rust", "shadow"), seed=5)
    assert found.twin is not None
    assert [name for name, there in zip(DAMAGES, found.twin.present, strict=True) if there] == ["rust"]
