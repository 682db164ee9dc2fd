"""Whole runs: killed, interrupted, resumed; and what they leave."""

import errno
import json
import os
import signal
from subprocess import PIPE, STDOUT

import child
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from train_cases import Interrupted, TinyGround, arguments, command, draw_pictures, logged, options, run, tiny

from imgrestore import data
from imgrestore.nets.weights import load_net
from imgrestore.train import deblur, ground
from imgrestore.train import run as runs
from imgrestore.train.ground import TrainError
from imgrestore.train.report import Silence
from imgrestore.train.tables import Table
from imgrestore.train.trainer import Trainer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_pictures(tmp_path_factory.mktemp("clean") / "shapes")


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A run of six steps that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "deblur.safetensors"
    assert run(options(folder, out, steps=6))[1] == runs.FINISHED
    return out


def same_weights(a, b):
    with safe_open(a, "pt") as one, safe_open(b, "pt") as other:
        return all(torch.equal(one.get_tensor(key), other.get_tensor(key)) for key in one.keys())  # noqa: SIM118


def test_a_run_leaves_weights_a_card_and_its_folder(folder, whole):
    run_folder = whole.with_suffix("")
    names = {path.name for path in run_folder.iterdir()}
    assert {"checkpoint.pt", "best.pt", "log.csv", "val.csv", "samples.png"} <= names
    assert not [path for path in (*run_folder.iterdir(), *whole.parent.iterdir()) if path.name.endswith(".tmp")]
    card = json.loads(whole.with_suffix(".json").read_text())
    assert card["data"] == ["shapes"]
    assert card["pictures"] == 6
    assert len(card["held out"]) == 2
    assert not set(card["held out"]) - {f"shapes/{i}.png" for i in range(8)}
    exact, rounded = (card[f"validation PSNR in dB{more}"] for more in ("", " after rounding to float16"))
    assert set(exact) == {f"{side} {name}" for side in ("before", "net") for name in ("0.01", "0.03", "wrong", "jpeg")}
    assert rounded == pytest.approx(exact, abs=0.02)
    net = load_net(whole)
    assert card["parameters"] == sum(p.numel() for p in net.parameters())
    assert card["config"]["width"] == net.config.width == 8
    with safe_open(whole, "pt") as stored:
        assert stored.metadata()["task"] == "deblur"


def test_a_resumed_run_logs_the_same_losses(folder, whole, tmp_path):
    out = tmp_path / "parts.safetensors"
    assert run(options(folder, out, steps=6, log_every=2), Interrupted)[1] == "SIGTERM"
    assert list(logged(out)) == [2]
    assert run(options(folder, out, steps=6, log_every=2))[1] == runs.FINISHED
    single = {step: float(loss) for step, loss in logged(whole).items()}
    parts = {step: float(loss) for step, loss in logged(out).items()}
    assert list(parts) == [2, 4, 6]
    # The second row holds losses from both sides of the checkpoint.
    for step, loss in parts.items():
        assert loss == pytest.approx((single[step - 1] + single[step]) / 2, abs=1.1e-5)
    assert same_weights(whole, out)


KILLED = """
import os, signal, sys
from imgrestore.cli import app
from imgrestore.train import trainer
average, left = trainer.Trainer._average, [int(sys.argv.pop(1))]
def die(self):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    average(self)
trainer.Trainer._average = die
app()
"""


def test_a_run_killed_in_a_step_goes_on_with_the_same_losses(folder, whole, tmp_path):
    out = tmp_path / "killed.safetensors"
    often = arguments(folder, out, "--steps", "6", "--save-every", "0")
    died = child.start("-c", KILLED, "4", *often, stdout=PIPE, stderr=STDOUT)
    said, _ = died.communicate(timeout=120)
    assert died.returncode == -signal.SIGKILL, said
    assert list(logged(out)) == [1, 2, 3]
    # As if the machine had gone down with the log further than the checkpoint, and a row half written.
    with (out.with_suffix("") / "log.csv").open("a") as stream:
        stream.write("4,0,0,99,0,0,0,\n5,0,0,9")
    resumed = Trainer(options(folder, out, steps=6))
    assert resumed.load()
    assert resumed.step == 3
    assert command(*often).exit_code == 0
    assert logged(out) == logged(whole)
    assert list(logged(out)) == [1, 2, 3, 4, 5, 6]
    assert same_weights(whole, out)


DYING_IN_WRITING = """
import os, signal, sys
from imgrestore.cli import app
fsync, left = os.fsync, [int(sys.argv.pop(1))]
def die(handle):
    left[0] -= 1
    if not left[0]:
        os.ftruncate(handle, 1000)
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(handle)
os.fsync = die
app()
"""


def test_a_run_killed_as_it_writes_a_checkpoint_has_the_one_before(folder, whole, tmp_path):
    out = tmp_path / "writing.safetensors"
    often = arguments(folder, out, "--steps", "6", "--save-every", "0")
    # Each file written is two syncs, of itself and of its folder.
    died = child.start("-c", DYING_IN_WRITING, "13", *often, stdout=PIPE, stderr=STDOUT)
    said, _ = died.communicate(timeout=120)
    assert died.returncode == -signal.SIGKILL, said
    assert list(out.with_suffix("").glob(".imgrestore-*.tmp"))
    assert not out.exists()
    assert command(*often).exit_code == 0
    assert not list(out.with_suffix("").glob("*.tmp"))
    assert logged(out) == logged(whole)


def test_the_best_net_is_exported(folder, tmp_path):
    class Scripted(deblur.DeblurGround):
        scores = [30.0, 35.0, 34.0]  # noqa: RUF012

        def validate(self, net):
            self.seen.append([p.clone() for p in net.parameters()])
            return {"before a": 30.0, "net a": [*self.scores, *[0.0] * 9][len(self.seen) - 1]}

        def _cases(self, held):
            self.seen = []
            return super()._cases(held)

    out = tmp_path / "x.safetensors"
    trainer, ended = run(options(folder, out, steps=2, validate_every=0.0), Scripted)
    assert ended == runs.FINISHED
    assert [row["net a"] for row in Table(out.with_suffix("") / "val.csv").rows()] == [30.0, 35.0, 34.0]
    assert json.loads(out.with_suffix(".json").read_text())["steps"] == 1
    before, best, last, _ = trainer.ground.seen
    exported = list(load_net(out).parameters())
    assert all(torch.equal(a, b.half().float()) for a, b in zip(exported, best, strict=True))
    assert not all(torch.equal(a, b.half().float()) for a, b in zip(exported, last, strict=True))
    assert not all(torch.equal(a, b.half().float()) for a, b in zip(exported, before, strict=True))
    again, _ = run(options(folder, out, steps=2), deblur.DeblurGround)
    assert again.best.step == 1


def test_a_run_that_did_not_help_says_so(folder, tmp_path, monkeypatch, capsys):
    scores = iter([30.0, 29.0, 30.0])
    monkeypatch.setattr(deblur.DeblurGround, "validate", lambda self, net: {"before a": 30.0, "net a": next(scores)})
    assert runs.train(options(folder, tmp_path / "x.safetensors", steps=1)) == runs.FINISHED
    assert "no step scored better than the net did untrained" in capsys.readouterr().out
    assert json.loads((tmp_path / "x.json").read_text())["steps"] == 0


def test_a_slice_ends_and_is_resumed(folder, tmp_path):
    out = tmp_path / "x.safetensors"
    trainer, ended = run(options(folder, out, minutes=60.0, slice=0.01))
    assert ended == runs.SLICE
    assert trainer.step > 0
    assert out.exists()
    more, ended = run(options(folder, out, minutes=60.0, slice=0.01))
    assert ended == runs.SLICE
    assert more.step > trainer.step
    assert more.elapsed > trainer.elapsed
    steps = list(logged(out))
    assert steps == list(range(1, more.step + 1))


def test_a_finished_run_only_exports_again(folder, whole, tmp_path):
    log = logged(whole)
    whole.unlink()
    trainer, ended = run(options(folder, whole, steps=6))
    assert (trainer.step, ended) == (6, runs.FINISHED)
    assert logged(whole) == log
    assert load_net(whole)


def test_losses_that_are_not_finite_end_the_run(tmp_path):
    class Broken(TinyGround):
        def batch(self, step, part):
            observed, clean = super().batch(step, part)
            return observed * (float("nan") if step >= 7 else 1.0), clean

    out = tmp_path / "x.safetensors"
    trainer = Trainer(tiny(out, steps=100, save_every=0.0), Broken)
    with pytest.raises(TrainError, match=r"not finite in the last 2[0-9] steps, up to step [23]"):
        runs.Run(trainer, Silence()).run()
    assert trainer.saved == 7
    again = Trainer(tiny(out, steps=100), Broken)
    assert again.load()
    assert again.step == 7
    assert all(torch.isfinite(p).all() for p in again.net.parameters())


def test_single_steps_without_a_finite_gradient_are_skipped(tmp_path):
    trainer = Trainer(tiny(tmp_path / "x.safetensors"), TinyGround)
    trainer.train_step()
    before, sound = [p.clone() for p in trainer.net.parameters()], trainer.ground.step_loss
    trainer.ground.step_loss = lambda net, batch: sound(net, batch) * float("nan")
    trainer.train_step()
    assert not trainer.check()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.net.parameters(), strict=True))
    trainer.ground.step_loss = sound
    trainer.train_step()
    assert trainer.check()
    assert torch.isfinite(trainer.clip.norm)
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.net.parameters(), strict=True))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("DefaultCPUAllocator: no")]
)
def test_lack_of_memory_is_told(folder, tmp_path, monkeypatch, error):
    def fail(self, step, part):
        if step == 2:
            raise error
        return batch(self, step, part)

    batch = deblur.DeblurGround.batch
    monkeypatch.setattr(deblur.DeblurGround, "batch", fail)
    chosen = options(folder, tmp_path / "x.safetensors", steps=6, save_every=0.0)
    with pytest.raises(TrainError, match=r"not enough memory for --batch 2 and --size 96: .*is that of step 2"):
        runs.train(chosen)


def test_a_full_disk_is_told_and_the_checkpoint_before_is_whole(folder, tmp_path, monkeypatch):
    out, left, fsync = tmp_path / "x.safetensors", [12], os.fsync

    def full(handle):
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    chosen = options(folder, out, steps=20, save_every=0.0)
    with pytest.raises(TrainError, match=r"checkpoint.pt cannot be written: the disk is full. The last checkpoint is"):
        runs.train(chosen)
    monkeypatch.undo()
    assert not list(out.with_suffix("").glob("*.tmp"))
    again = Trainer(chosen)
    assert again.load()
    assert 0 < again.step < 20


def test_an_interrupted_export_leaves_no_half_file(folder, tmp_path, monkeypatch):
    out = tmp_path / "x.safetensors"

    def interrupted(*_):
        raise KeyboardInterrupt

    def write(*arguments):
        monkeypatch.setattr(os, "fsync", interrupted)
        monkeypatch.setattr(os, "replace", interrupted)
        return write_net(*arguments)

    write_net = runs.export.__globals__["write_net"]
    monkeypatch.setitem(runs.export.__globals__, "write_net", write)
    with pytest.raises(KeyboardInterrupt):
        run(options(folder, out, steps=1))
    monkeypatch.undo()
    assert {path.name for path in tmp_path.iterdir()} == {"x"}
    assert run(options(folder, out, steps=1))[1] == runs.FINISHED
    assert load_net(out)


def test_without_matplotlib_training_goes_on(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert runs.train(options(folder, tmp_path / "x.safetensors", steps=2)) == runs.FINISHED
    assert capsys.readouterr().out.count("no curves are drawn") == 1
    assert not (tmp_path / "x" / "curves.png").exists()
    assert (tmp_path / "x" / "samples.png").exists()


def test_help_needs_no_torch():
    after = "print('torch' in sys.modules)"
    code = f"import sys; from imgrestore.cli import app\ntry: app(['train', '--help'])\nfinally: {after}"
    shown = child.run("-c", code, COLUMNS="200").stdout
    assert shown.strip().endswith("False")
    assert "--optimizer" in shown


def test_a_packed_file_trains_like_its_folder(folder, whole, tmp_path):
    # Others than JPEG files are rounded in packing.
    jpegs, out = tmp_path / "shapes", tmp_path / "x.safetensors"
    jpegs.mkdir()
    for path in folder.iterdir():
        Image.open(path).save(jpegs / f"{path.stem}.jpg", quality=80)
    trainer = Trainer(options(data.pack([jpegs], tmp_path / "clean.npz"), out))
    assert trainer.ground.sets == ["shapes"]
    assert trainer.fingerprint() == Trainer(options(jpegs, out)).fingerprint()


@pytest.mark.slow
def test_a_hundred_steps_of_training_help(tmp_path):
    clean = draw_pictures(tmp_path / "clean", 24, 140)
    settings = {"batch": 4, "size": 96, "validation": 4, "iterations": 8, "psfs": 300, "log_every": 10, "lr": 3e-3}
    given = {"out": str(tmp_path / "x.safetensors"), "clean": str(clean), "steps": 100, "device": "cpu"}
    net = {"width": 12, "blocks": (1, 1)}
    chosen = ground.options_for("deblur", {**given, **settings, "net": net})
    assert runs.train(chosen) == runs.FINISHED
    card = json.loads((tmp_path / "x.json").read_text())
    scores = card["validation PSNR in dB after rounding to float16"]
    for name in (name.removeprefix("net ") for name in scores if name.startswith("net ")):
        # Files have had little of the training: one crop of eight.
        least = 0.03 if name == "jpeg" else 0.1
        assert scores[f"net {name}"] > scores[f"before {name}"] + least, scores


def test_small_settings_are_those_of_the_command_line(folder, tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(runs, "train", lambda chosen: heard.append(chosen) or runs.FINISHED)
    assert command(*arguments(folder, tmp_path / "x.safetensors", "--steps", "6")).exit_code == 0
    direct = options(folder, tmp_path / "x.safetensors", steps=6)
    assert heard[0].fingerprint() == direct.fingerprint()
    assert {**heard[0].net} == {**direct.net}
    assert heard[0].command.split()[0] == "imgrestore"
