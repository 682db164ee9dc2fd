"""The demoiré ground: its sources, its batches, and that training on it helps."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from train_cases import command

from imgrestore.degrade import moire
from imgrestore.train import demoire, ground
from imgrestore.train import run as runs
from imgrestore.train.demoire import DemoireGround

NET = {"width": 6, "blocks": (1, 1), "tone": 4, "view": 16, "code": 2}


def draw_pairs(where, count, size=140):
    """Procedural scenes and the same, striped and darker."""
    rng = np.random.default_rng(0)
    for kind in ("input", "gt"):
        (where / kind).mkdir(parents=True)
    for i in range(count):
        noise = gaussian_filter(rng.normal(size=(size, size, 3)), (6, 6, 0))
        clean = (np.where(noise > 0, 0.7, 0.3) * rng.uniform(0.7, 1.0, 3)).astype(np.float32)
        waves = moire.sample((3, size, size), rng, "gray").waves
        planes = moire.apply(torch.from_numpy(clean).movedim(-1, 0), moire.MoireParams(waves))
        for kind, picture in (("input", 0.9 * planes.movedim(0, -1).numpy()), ("gt", clean)):
            Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8)).save(where / kind / f"{i}.png")
    return where


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return draw_pairs(tmp_path_factory.mktemp("moire") / "pairs", 9)


@pytest.fixture(scope="module")
def known():
    return {}


@pytest.fixture(autouse=True)
def remembered(known, monkeypatch):
    """Estimates are most of the work, and nearly all tests want the same: each is made once, in this process."""
    make = demoire._estimated

    def recalled(*job):
        arrays = (np.asarray(part) for part in job if part is not None)
        key = tuple((one.shape, str(one.dtype), one.tobytes()) for one in arrays), tuple(part is None for part in job)
        if key not in known:
            known[key] = make(*job)
        return dict(known[key])

    monkeypatch.setattr(demoire, "_estimated", recalled)
    monkeypatch.setattr(demoire, "FEW", 100)


def options(out, **given):
    small = {"batch": 4, "size": 64, "validation": 3, "device": "cpu", "log_every": 10, "net": NET, "steps": 4}
    return ground.options_for("demoire", {"out": str(out), **small, **given})


def test_one_source_is_enough_and_none_is_not(tmp_path, pairs):
    with pytest.raises(ground.TrainError, match="--clean and --pairs are missing"):
        DemoireGround(options(tmp_path / "a.safetensors").shared_by(1), torch.device("cpu"))
    only = DemoireGround(options(tmp_path / "b.safetensors", pairs=str(pairs)).shared_by(1), torch.device("cpu"))
    assert only.sets == ["pairs"]
    assert set(only.held) <= {f"pairs/{i}" for i in range(9)}
    assert 0 < only.count + len(only.held) <= 9
    clean = DemoireGround(
        options(tmp_path / "c.safetensors", clean=str(pairs / "gt")).shared_by(1), torch.device("cpu")
    )
    assert clean.sets == ["gt"]
    assert clean.batch(0, 0).views.shape[0] == 0  # no pairs, no tones to learn


def test_a_folder_without_pairs_is_told(tmp_path, pairs):
    result = command("train", "demoire", "--pairs", pairs / "gt", "--out", tmp_path / "x.safetensors", "--steps", "2")
    assert result.exit_code != 0
    assert "--pairs" in result.output
    assert "has no folder input/" in " ".join(result.output.split())


def test_batches_follow_seed_step_and_part(tmp_path, pairs):
    given = {"pairs": str(pairs), "clean": str(pairs / "gt")}
    first = DemoireGround(options(tmp_path / "x.safetensors", **given).shared_by(1), torch.device("cpu"))
    again = DemoireGround(options(tmp_path / "x.safetensors", **given).shared_by(1), torch.device("cpu"))
    a, b, c = first.batch(3, 0), again.batch(3, 0), first.batch(4, 0)
    assert torch.equal(a.crops.observed, b.crops.observed)
    assert torch.equal(a.views, b.views)
    assert not torch.equal(a.crops.observed, c.crops.observed)
    assert a.crops.observed.shape == (4, 3, 64, 64)
    assert a.views.shape == (64, 6, 16, 16)
    assert torch.equal(a.windows, b.windows)
    assert len(first.batch(1000 * len(first.real) // 64 + 1, 0).views) == 0
    assert a.windows.shape == (8, 2, 3, 128, 128)


def test_other_pictures_under_the_same_names_are_other_data(tmp_path, pairs):
    """Neither are their estimates taken for those of the first, nor does a checkpoint go on."""
    where = tmp_path / "pairs"
    shutil.copytree(pairs, where)
    given = options(tmp_path / "x.safetensors", pairs=str(where)).shared_by(1)
    first = DemoireGround(given, torch.device("cpu"))
    for path in (where / "gt").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 2).save(path)
    second = DemoireGround(given, torch.device("cpu"))
    assert second.fingerprint != first.fingerprint
    held = [ground.scored.middle(0, 64, 16).truth.mean() for ground in (first, second)]
    assert float(held[1]) < 0.6 * float(held[0])
    assert (given.folder / "estimates.npz").exists()


def test_crops_larger_than_what_is_kept_are_refused(tmp_path, pairs):
    with pytest.raises(ground.TrainError, match="--size is 648; expected at most 640"):
        DemoireGround(options(tmp_path / "x.safetensors", pairs=str(pairs), size=648).shared_by(1), torch.device("cpu"))


def test_a_new_net_scores_as_the_classical_estimate(tmp_path, pairs):
    made = DemoireGround(options(tmp_path / "x.safetensors", pairs=str(pairs)).shared_by(1), torch.device("cpu"))
    scores = made.validate(made.net().eval())
    assert scores["net pairs"] == pytest.approx(scores["before pairs"])
    sheet = made.samples(made.net().eval())
    assert sheet.dtype == np.uint8
    assert sheet.std() > 10


def test_the_judge_learns_from_screens_and_clean_pictures_in_turn(tmp_path, pairs):
    given = {"pairs": str(pairs), "clean": str(pairs / "gt")}
    made = DemoireGround(options(tmp_path / "x.safetensors", **given).shared_by(1), torch.device("cpu"))
    drawn = made._judged(torch.Generator().manual_seed(0))
    screens = [plane for scenes in (made.real, made.simulated) for plane in scenes.planes("observed")]
    sound = [*made.sound, *(plane for scenes in (made.real, made.simulated) for plane in scenes.planes("truth"))]
    assert all(any(one is screen for screen in screens) for one in drawn[::2])
    assert all(any(one is clean for clean in sound) for one in drawn[1::2])
    net, batch = made.net().eval(), made.batch(0, 0)
    with torch.no_grad():
        net.judge.say.weight.mul_(50)
        plain = made.step_loss(net, batch)
        batch.windows = batch.windows.flip(0)
        assert abs(float(made.step_loss(net, batch) - plain)) > 0.1


def test_estimates_with_tones_of_other_pairs_are_made_anew(tmp_path, pairs):
    """Which tones are lent follows from what is held out."""
    given = {"pairs": str(pairs), "clean": str(pairs / "gt")}
    out = tmp_path / "x.safetensors"
    first, again = (
        DemoireGround(options(out, validation=v, **given).shared_by(1), torch.device("cpu")) for v in (1, 2)
    )
    fresh = DemoireGround(options(tmp_path / "y.safetensors", validation=2, **given).shared_by(1), torch.device("cpu"))
    assert len(first.scored) == 1
    for one, other in zip(again.simulated.planes("observed"), fresh.simulated.planes("observed"), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_sixty_steps_of_training_help(tmp_path, pairs):
    chosen = options(tmp_path / "x.safetensors", pairs=str(pairs), steps=60, lr=4e-3)
    assert runs.train(chosen) == runs.FINISHED
    card = json.loads((tmp_path / "x.json").read_text())
    scores = card["validation PSNR in dB after rounding to float16"]
    assert scores["net pairs"] > scores["before pairs"] + 0.3, scores
    assert {"held-out screens recognised", "held-out clean pictures taken for screens"} < set(card)
