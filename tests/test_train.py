"""Packing, batches, losses, and a trainer that can be killed."""

import csv
import json
import signal
import time
from subprocess import DEVNULL

import child
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from imgrestore import data, losses, train


def options(folder, out, **more):
    small = {"width": 8, "blocks": "1,1", "features": 4, "batch": 2, "size": 96, "psfs": 40, "validation": 2}
    fixed = {"task": "deblur", "clean": str(folder), "out": str(out), "device": "cpu", "iterations": 3, "log_every": 1}
    return train.Options(**{**fixed, **small, **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small procedural pictures."""
    where = tmp_path_factory.mktemp("clean") / "shapes"
    where.mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        noise = gaussian_filter(rng.normal(size=(100, 110 + i, 3)), (3, 3, 0))
        picture = np.where(noise > 0, 0.8, 0.2) * rng.uniform(0.5, 1.0, 3)
        Image.fromarray((picture * 255).astype(np.uint8)).save(where / f"{i}.png")
    return where


def arguments(folder, out, *more):
    fixed = (
        "--batch 2 --size 96 --psfs 40 --width 8 --blocks 1,1 --features 4 --log-every 1 --validation 2 --device cpu"
    )
    return ["deblur", "--clean", str(folder), "--out", str(out), *fixed.split(), "--iterations", "3", *more]


def logged(out):
    with (out / "log.csv").open() as stream:
        return {int(row["step"]): row["loss"] for row in csv.DictReader(stream)}


def test_pack_keeps_the_limit_and_the_pictures(folder, tmp_path):
    whole = data.read_pack(data.pack([folder], tmp_path / "whole.npz"))
    assert len(whole) == 8
    plain = data.read_pack(folder)
    assert list(plain) == list(whole)
    for name, picture in whole.items():
        assert np.abs(picture.astype(int) - plain[name]).mean() < 2
    jpegs = tmp_path / "jpegs"
    jpegs.mkdir()
    for i in range(3):
        Image.fromarray(plain[f"shapes/{i}.png"]).save(jpegs / f"{i}.jpg", quality=60)
    same = data.read_pack(data.pack([jpegs], tmp_path / "jpegs.npz"))
    assert all(np.array_equal(a, b) for a, b in zip(same.values(), data.read_pack(jpegs).values(), strict=True))
    small = data.pack([folder], tmp_path / "small.npz", max_bytes=260_000)
    assert small.stat().st_size <= 260_000
    assert 0 < len(data.read_pack(small)) < 8


def test_crops_are_parts_of_the_pictures():
    ramp = np.arange(20 * 30, dtype=np.int64).reshape(20, 30)
    picture = np.stack([ramp % 251, ramp // 251, ramp * 0], -1).astype(np.uint8)
    pictures = data.Pictures([np.zeros((5, 5, 3), np.uint8), picture])
    crops = (pictures.crops(16, 8, torch.Generator().manual_seed(0)) * 255).round().long()
    index = crops[:, 0] + 251 * crops[:, 1]
    steps = torch.stack([(index[:, 1, 0] - index[:, 0, 0]).abs(), (index[:, 0, 1] - index[:, 0, 0]).abs()], 1)
    assert {tuple(s.tolist()) for s in steps} == {(30, 1), (1, 30)}
    assert torch.equal(pictures.gather(torch.tensor([1]), torch.tensor([[2, 3]]), 4, torch.zeros(1, 3).bool())[0],
                       torch.from_numpy(picture[2:6, 3:7]).permute(2, 0, 1) / 255)  # fmt: skip


def test_split_is_disjoint_and_stable(folder):
    pictures = data.read_pack(folder)
    first, held = data.split(pictures, 2)
    assert not set(first) & set(held)
    assert len(first) + len(held) == len(pictures)
    assert (first, held) == data.split(pictures, 2)


def test_psf_pool_does_not_depend_on_the_workers():
    here = data.psf_pool(6, 1, wrong=0.5)
    there = data.psf_pool(6, 1, wrong=0.5, workers=1)
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))
    assert torch.allclose(here[0].sum((1, 2)), torch.ones(6), atol=1e-5)
    assert not torch.equal(*here)


def test_batches_follow_the_seed(folder):
    pictures, psfs = data.Pictures(data.read_pack(folder).values()), data.psf_pool(10, 0)

    def draw(seed):
        return data.blur_batch(pictures, psfs, 9, 64, torch.Generator().manual_seed(seed))

    a, b, c = draw(1), draw(1), draw(2)
    assert torch.equal(a.observed, b.observed)
    assert torch.equal(a.sigma, b.sigma)
    assert not torch.equal(a.observed, c.observed)
    assert a.observed.shape == (9, 3, 24, 24)
    assert a.clean.shape == (9, 3, 64, 64)
    assert float(a.sigma.max()) < 0.2


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_losses_are_least_at_the_target(name):
    torch.manual_seed(0)
    target = torch.rand(2, 3, 20, 20, dtype=torch.float64)
    near, far = target + 0.01 * torch.randn_like(target), target + 0.1 * torch.randn_like(target)
    loss = losses.LOSSES[name]
    assert loss(target, target, None) < loss(near, target, None) < loss(far, target, None)
    weight = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    weight[..., 6:, :] = 1
    far[..., 6:, :] = target[..., 6:, :]
    if name != "ssim":
        torch.testing.assert_close(loss(far, target, weight), loss(target, target, weight))
    near.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, target, None), near, eps=1e-7, atol=1e-4, fast_mode=True)


def test_resume_gives_the_same_losses_and_the_weights_round_trip(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "print", lambda *a, **k: None, raising=False)
    interrupt = signal.getsignal(signal.SIGINT)
    train.main(arguments(folder, tmp_path / "whole", "--steps", "6"))
    assert signal.getsignal(signal.SIGINT) is interrupt
    first = train.Trainer(options(folder, tmp_path / "parts", steps=6))
    early = [round(float(first.train_step()), 5) for _ in range(3)]
    first.save()
    first.train_step()  # lost
    train.main(arguments(folder, tmp_path / "parts", "--steps", "6", "--resume"))
    whole, parts = logged(tmp_path / "whole"), logged(tmp_path / "parts")
    assert [float(whole[s]) for s in (1, 2, 3)] == early
    assert sorted(parts) == [4, 5, 6]
    assert all(parts[s] == whole[s] for s in parts)

    net = train.load_net(tmp_path / "whole" / "deblur.safetensors")
    again = train.load_net(tmp_path / "parts" / "deblur.safetensors")
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    card = json.loads((tmp_path / "whole" / "deblur.json").read_text())
    assert card["data"] == ["shapes"]
    assert card["steps"] == 6
    assert len(card["held out"]) == 2


def test_a_checkpoint_of_another_net_is_refused(folder, tmp_path):
    train.Trainer(options(folder, tmp_path)).save()
    with pytest.raises(ValueError, match="another net"):
        train.Trainer(options(folder, tmp_path, width=16)).load()


def test_steps_without_a_finite_gradient_are_skipped(folder, tmp_path):
    trainer = train.Trainer(options(folder, tmp_path, minutes=1.0))
    trainer.train_step()
    before = [p.clone() for p in trainer.net.parameters()]
    whole = trainer.ground.step_loss
    trainer.ground.step_loss = lambda net, batch: whole(net, batch) * float("nan")
    trainer.train_step()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.net.parameters(), strict=True))
    trainer.ground.step_loss = whole
    assert torch.isfinite(trainer.train_step())
    assert torch.isfinite(trainer.norm)
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.net.parameters(), strict=True))


@pytest.mark.slow
def test_a_killed_run_goes_on(folder, tmp_path):
    out = tmp_path / "killed"
    long = arguments(folder, out, "--steps", "400", "--save-every", "0.01")
    process = child.start("-m", "imgrestore.train", *long, changes={"OMP_NUM_THREADS": "1"}, stdout=DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    trainer = train.Trainer(options(folder, out, steps=400))
    assert trainer.load()
    reached = trainer.step
    assert reached > 0
    before = logged(out)
    if reached + 1 in before:
        assert round(float(trainer.train_step()), 5) == pytest.approx(float(before[reached + 1]), abs=2e-4)
