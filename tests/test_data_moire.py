"""Moiré to train on: pairs, borrowed tones, simulated pairs, kept estimates, and what is drawn from them."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data as pictures

from imgrestore import data
from imgrestore.data import moire as training
from imgrestore.data.estimates import kept_estimates
from imgrestore.data.pack import spread
from imgrestore.data.pairs import read_pairs
from imgrestore.data.tones import Tones
from imgrestore.degrade import moire
from imgrestore.nets.refiner import Refiner


def scene(seed=0, size=(96, 120)):
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(*size, 3)), (4, 4, 0))
    return ((0.5 + 2 * smooth).clip(0, 1) * 255).astype(np.uint8)


def folder(root, count=3, suffix=".png"):
    for kind in ("input", "gt"):
        (root / kind).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(scene(i)).save(root / kind / f"p{i}{'.png' if kind == 'gt' else suffix}")
    return root


def test_pairs_are_read_by_name(tmp_path):
    found = read_pairs(folder(tmp_path / "set", suffix=".jpg"))
    assert list(found) == ["p0", "p1", "p2"]
    assert all(np.array_equal(truth, scene(i)) for i, (_, truth) in enumerate(found.values()))
    packed = data.pack([tmp_path / "set" / "input", tmp_path / "set" / "gt"], tmp_path / "pairs.npz")
    again = read_pairs(packed)
    assert list(again) == list(found)
    assert all(np.array_equal(again[name][0], found[name][0]) for name in found)


def test_pairs_that_are_none_are_refused(tmp_path):
    root = folder(tmp_path / "set")
    (root / "gt" / "p1.png").unlink()
    with pytest.raises(ValueError, match="p1 is only in one of input/ and gt/"):
        read_pairs(root)
    Image.fromarray(scene(1)[:50]).save(root / "gt" / "p1.png")
    with pytest.raises(ValueError, match="the two pictures of p1 are 120 x 96 and 120 x 50 pixels"):
        read_pairs(root)
    with pytest.raises(ValueError, match="has no folder input/"):
        read_pairs(root / "gt")


def test_two_pictures_of_one_name_are_no_pair(tmp_path):
    root = folder(tmp_path / "set")
    Image.fromarray(scene(1)).save(root / "input" / "p1.jpg")
    with pytest.raises(ValueError, match=r"input/ has more than one picture p1, p1\.png being one"):
        read_pairs(root)


def test_spread_takes_at_most_a_quarter():
    names = [f"n{i}" for i in range(20)]
    assert spread(names, 4) == ["n2", "n7", "n12", "n17"]
    assert len(spread(names, 16)) == 5
    assert spread(["a"], 3) == ["a"]
    assert spread([], 3) == []


def test_tones_are_found_and_lent_to_pictures_that_look_alike():
    clean = data.Pictures([scene(i) for i in range(8)]).centres(64)
    dark, bright = 0.4 * clean[:4], 0.6 + 0.4 * clean[4:]
    truth = torch.cat([dark, bright])
    observed = torch.cat([dark + 0.1, bright * 0.8])
    tones = Tones(truth, observed)
    torch.testing.assert_close(truth + Refiner.tone_of(truth, tones.curves), observed, atol=0.03, rtol=0)
    lent = tones.borrow(0.4 * clean[4:], torch.Generator().manual_seed(0))
    assert float(Refiner.tone_of(0.4 * clean[4:], lent).mean()) == pytest.approx(0.1, abs=0.03)


def test_simulated_pairs_follow_the_seed_and_have_the_tones_they_are_given():
    clean, same = scene(1, (700, 64)), np.zeros((3, 10), np.float32)
    (a, truth), (b, _), (c, _) = (training.simulated(clean, seed) for seed in (1, 1, 2))
    assert a.shape == truth.shape == (640, 64, 3)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    brighter = same.copy()
    brighter[:, 0] = 0.15
    for seed in range(6):
        observed, truth = training.simulated(clean, seed, same)
        assert abs(observed.mean() - truth.mean()) < 25
        assert 0.5 < np.abs(observed.astype(float) - truth).mean() < 60
        bright, _ = training.simulated(clean, seed, brighter)
        assert 20 < bright.mean() - observed.mean() < 42


def striped(clean, row, column):
    wave = moire.Wave(row, column, (0.1, 0.08, 0.06))
    planes = torch.from_numpy(clean.astype(np.float32) / 255).movedim(-1, 0)
    seen = moire.apply(planes, moire.MoireParams((wave,))).movedim(0, -1).clamp(0, 1)
    return (seen.numpy() * 255).round().astype(np.uint8), clean


@pytest.fixture(scope="module")
def items():
    """Two pictures with stripes, and one without."""
    clean = pictures.astronaut()[:300, 100:420]
    pairs = [striped(clean, 0.11, 0.19), striped(clean[:, ::-1], 0.05, 0.3), (clean, clean)]
    return [training.estimated(pair, 0) for pair in pairs]


def test_estimates_are_kept_as_bytes(items):
    observed, truth = striped(pictures.astronaut()[:300, 100:420][:, ::-1], 0.05, 0.3)
    assert np.array_equal(items[1]["truth"], truth)
    assert np.array_equal(items[1]["observed"], observed)
    assert items[1]["small"].shape == (9, 96, 96)
    case = training.Scenes(items[1:2]).middle(0, 1000, 32)
    error = {name: float((getattr(case, name)[0] - case.truth[0]).square().mean()) for name in ("observed", "scene")}
    assert error["scene"] < error["observed"]
    torch.testing.assert_close(case.scene.mean((2, 3)), case.view[:, 3:].mean((2, 3)), atol=0.01, rtol=0)


def test_pictures_without_room_for_a_crop_are_left_out(items):
    assert len(training.Scenes(items, least=300)) == 3
    assert len(training.Scenes(items, least=301)) == 0
    assert [plane.shape for plane in training.Scenes(items).planes("truth")] == [(300, 320, 3)] * 3


def test_crops_are_the_same_place_in_all_planes(items):
    scenes = training.Scenes(items)
    draw = [scenes.crops(6, 64, 32, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert draw[0].observed.shape == (6, 3, 64, 64)
    assert draw[0].view.shape == (6, 6, 32, 32)
    assert torch.equal(draw[0].observed, draw[1].observed)
    assert not torch.equal(draw[0].observed, draw[2].observed)
    flat = [(plane - plane.mean((2, 3), keepdim=True)).flatten(1) for plane in (draw[0].observed, draw[0].truth)]
    assert float(torch.cosine_similarity(*flat).mean()) > 0.7
    joined = training.MoireBatch.joined(draw)
    assert len(joined.view) == 18


def came_from(levels, view, truth):
    """Which pictures, of the levels observed, estimate and truth, a thumbnail was made of."""
    found = torch.stack([view[:3], view[3:], truth])
    near = [torch.allclose(found, level[:, None, None, None].expand_as(found), atol=1e-5) for level in levels]
    assert sum(near) == 1
    return near.index(True)


def test_thumbnails_are_real_but_for_some_with_lent_tones(items):
    scenes = training.Scenes(items[:2])
    clean = training.reduced([scene(i) for i in range(3)])
    tones = Tones(scenes.small[:, 6:], scenes.small[:, :3])
    generator = torch.Generator().manual_seed(0)
    # Of one tone each, they stay so when they are cropped, flipped and change colours: it tells where they are from.
    levels = torch.tensor([[0.11, 0.12, 0.13], [0.21, 0.22, 0.23]])
    scenes.small = levels.repeat_interleave(3, 1)[..., None, None].expand(2, 9, 96, 96)
    views, truth = training.thumbnails(scenes, clean, tones, 10, 32, generator)
    assert views.shape == (10, 6, 32, 32)
    assert truth.shape == (10, 3, 32, 32)
    real = round((1 - training.LENT) * 10)
    assert 0 < real < 10
    assert all(float(one.std()) > 0.01 for one in truth[real:])
    assert {came_from(levels, *one) for one in zip(views[:real], truth[:real], strict=True)} == {0, 1}
    views, truth = training.thumbnails(scenes, clean, None, 8, 32, generator)
    assert all(came_from(levels, *one) in (0, 1) for one in zip(views, truth, strict=True))
    assert len(views) == 8
    views, truth = training.thumbnails(training.Scenes([]), clean, None, 8, 32, generator)
    assert views.shape == (0, 6, 32, 32)


def work(a, b):
    return {"sum": np.array(a + b), "count": np.arange(b)}


def test_estimates_are_computed_once(tmp_path, monkeypatch):
    path = tmp_path / "run" / "kept.npz"
    calls = []

    def counted(a, b):
        calls.append(a)
        return work(a, b)

    jobs = [(1, 2), (3, 4)]
    first = kept_estimates(path, counted, jobs, "key", 0)
    again = kept_estimates(path, counted, jobs, "key", 0)
    assert len(calls) == 2
    for one, other in zip(first, again, strict=True):
        assert one["sum"] == other["sum"]
        assert np.array_equal(one["count"], other["count"])
    kept_estimates(path, counted, jobs, "another key", 0)
    assert len(calls) == 4
    path.write_bytes(path.read_bytes()[:-40])
    kept_estimates(path, counted, jobs, "another key", 0)
    assert len(calls) == 6
    assert [p.name for p in path.parent.iterdir()] == ["kept.npz"]
    with_processes = kept_estimates(tmp_path / "other.npz", work, jobs, "key", 1)
    assert [int(item["sum"]) for item in with_processes] == [3, 7]
