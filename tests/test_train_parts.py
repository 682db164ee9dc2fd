"""The parts of the training ground: options, optimizers, schedule, tables, checkpoints, curves."""

import copy
import csv
import os
import pickle
import time

import child
import numpy as np
import pytest
import torch
from train_cases import TinyGround, TinyNet, run, tiny

from imgrestore import io, losses
from imgrestore.cli import train as command
from imgrestore.nets.deep_wiener import DeepWiener, DeepWienerConfig
from imgrestore.train import checkpoint, compiling, curves, ground, optimizers, report, scores
from imgrestore.train import options as told
from imgrestore.train.ground import TrainError
from imgrestore.train.tables import Table
from imgrestore.train.trainer import Trainer, device_of


@pytest.mark.parametrize(
    ("optimizer", "loss"),
    [(name, "mse") for name in told.OPTIMIZERS] + [("adamw", name) for name in told.LOSSES if name != "mse"],
)
def test_every_optimizer_and_loss_lowers_the_loss(optimizer, loss, tmp_path):
    rate = {"sgd": 0.1, "momentum": 0.02}.get(optimizer, 0.0)
    trainer = Trainer(tiny(tmp_path / "x.safetensors", optimizer=optimizer, loss=loss, lr=rate, steps=80), TinyGround)
    held = trainer.ground.batch(10**6, 0)

    def now(net):
        return trainer.ground.step_loss(net, held).item()

    before = now(trainer.net)
    start = [p.clone() for p in trainer.net.parameters()]
    for _ in range(80):
        trainer.train_step()
    after, averaged = now(trainer.net), now(trainer.ema)
    assert after < (0.5 * before if before > 0 else before - 0.5)
    assert averaged < (0.7 * before if before > 0 else before - 0.3)
    assert all(not torch.equal(a, b) for a, b in zip(start, trainer.net.parameters(), strict=True))


def test_the_names_of_the_command_line_are_those_of_the_library():
    assert [t.value for t in command.TaskName] == list(told.GROUNDS)
    assert [o.value for o in command.OptimizerName] == list(told.OPTIMIZERS)
    assert {name.value for name in command.LossName} == set(told.LOSSES) == set(losses.LOSSES)
    assert {c.value for c in command.CompileName} == set(told.COMPILE)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"optimizer": "lion"}, "--optimizer is 'lion'; expected one of adam"),
        ({"loss": "vgg"}, "--loss is 'vgg'"),
        ({"compile": "max"}, "--compile is 'max'"),
        ({"batch": 0}, "--batch is 0; expected at least 1"),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"log_every": 0}, "--log-every is 0"),
        ({"steps": 0, "minutes": 0.0}, "--minutes is 0.0"),
        ({"seed": -1}, "--seed is -1"),
        ({"seed": 10**12}, "--seed is 1000000000000; expected at most 4294967295"),
        ({"parts": 257}, "--parts is 257; expected at most 256"),
    ],
)
def test_options_without_sense_are_refused(more, message):
    with pytest.raises(ValueError, match=message):
        tiny("x.safetensors", **more)


def test_other_refusals():
    with pytest.raises(ValueError, match=r"--out is x.pt; expected a file ending in .safetensors"):
        tiny("x.pt")
    with pytest.raises(ValueError, match="--task is 'enlarge'"):
        told.Options("enlarge", "x.safetensors")
    with pytest.raises(TrainError, match="task is 'enlarge'; expected one of deblur"):
        ground.ground_of("enlarge")
    with pytest.raises(ValueError, match="--parts is 3; expected a multiple of the 2 processes"):
        tiny("x.safetensors", parts=3).shared_by(2)
    with pytest.raises(ValueError, match="--batch is 4; expected a multiple of its 3 parts"):
        tiny("x.safetensors", parts=3).shared_by(1)
    with pytest.raises(TrainError, match="--device is abacus"):
        device_of("abacus")
    with pytest.raises(
        TrainError, match="--flavour is 3; expected none: this net has --width, --blocks, --stages, --features"
    ):
        ground.net_config(DeepWienerConfig, {}, {"flavour": 3})


def test_a_task_begins_with_its_own_defaults(tmp_path, monkeypatch):
    given = {"out": "x.safetensors", "clean": str(tmp_path), "lr": None, "loss": None, "batch": None}
    chosen = ground.options_for("deblur", given)
    assert (chosen.batch, chosen.size, chosen.loss) == (64, 192, "psnr")
    assert chosen.lr == told.OPTIMIZERS["adamw"]
    assert ground.options_for("deblur", {**given, "batch": 6, "optimizer": "sgd"}).lr == told.OPTIMIZERS["sgd"]
    with pytest.raises(TrainError, match="--clean is missing: deblur is trained on it"):
        ground.options_for("deblur", {**given, "clean": ""})
    monkeypatch.setattr(ground.ground_of("deblur"), "takes", ())
    with pytest.raises(TrainError, match=r"--pairs is .*; expected none: deblur takes --clean"):
        ground.options_for("deblur", {**given, "pairs": str(tmp_path)})
    with pytest.raises(TrainError, match="nowhere: no such file or folder"):
        ground.options_for("deblur", {**given, "clean": str(tmp_path / "nowhere")})


def test_seeds_differ_by_step_part_and_seed():
    few = [tiny("x.safetensors", seed=seed) for seed in range(3)]
    found = {o.seed_of(step, part) for o in few for step in range(50) for part in range(8)}
    assert len(found) == 3 * 50 * 8
    most = tiny("x.safetensors", seed=2**32 - 1, parts=256)
    assert len({most.seed_of(step, part) for step in range(3) for part in range(256)}) == 3 * 256
    torch.Generator().manual_seed(most.seed_of(10**9, 255))


def test_the_schedule_warms_up_and_ends_low():
    steps = 10_000
    rates = [optimizers.rate_at(step, step / steps) for step in range(steps)]
    assert rates[0] == pytest.approx(1 / 300)
    assert np.argmax(rates) in range(295, 301)
    assert (np.diff(rates[:300]) > 0).all()
    assert (np.diff(rates[300:]) <= 0).all()
    assert rates[-1] == pytest.approx(1e-3, rel=0.01)
    assert optimizers.rate_at(2, 0.1) > 0.9  # a short run is warm sooner


def test_flat_parameters_are_not_decayed():
    net = TinyNet()
    groups = optimizers.optimizer_of("adamw", net, 0.1, 0.5).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(net.mix.weight), id(net.near.weight)}
    assert sum(len(group["params"]) for group in groups) == 4
    with pytest.raises(ValueError, match="optimizer is 'lion'"):
        optimizers.optimizer_of("lion", net, 0.1, 0.5)


def test_the_gradient_is_limited_to_twice_its_usual_norm():
    clip, unit = optimizers.Clip(torch.device("cpu")), torch.tensor([0.6, 0.8])
    for _ in range(3):
        clip([unit.clone()])
    assert float(clip.norm) == pytest.approx(1)
    large = unit * 50
    assert float(clip([large])) == pytest.approx(50)
    torch.testing.assert_close(large, 2 * unit)
    kept = clip.norm.clone()
    assert not torch.isfinite(clip([unit * float("nan")]))
    assert torch.equal(clip.norm, kept)


def test_a_table_loses_what_lies_past_the_checkpoint(tmp_path):
    table = Table(tmp_path / "log.csv")
    table.cut(3)
    assert table.rows() == []
    for step in range(1, 6):
        table.add({"step": step, "loss": step / 3, "memory": ""})
    with table.path.open("a") as stream:
        stream.write("6,1.")  # cut off
    assert [row["step"] for row in table.rows()] == [1, 2, 3, 4, 5]
    lines = table.path.read_text().splitlines()
    table.cut(3)
    assert table.path.read_text().splitlines() == lines[:4]
    table.add({"step": 4, "loss": 0.5, "memory": ""})
    with table.path.open() as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4"]
    table.cut(0)
    assert not table.path.exists()


def test_a_table_keeps_the_first_row_of_a_step_and_drops_damaged_ones(tmp_path):
    path = tmp_path / "val.csv"
    for loss in (1.0, 2.0):  # the second as after a resumption
        Table(path).add({"step": 0, "loss": loss})
    table = Table(path)
    for step in (3, 3, 2):
        table.add({"step": step, "loss": step})
    sound = path.read_text()
    assert sound == "step,loss\n0,1.0\n3,3\n"
    with path.open("ab") as stream:
        stream.write(b"\0\0\0,\0\0\n4,\0\0\n\xff\xfe,5\n6,0.1")
    assert [row["step"] for row in Table(path).rows()] == [0, 3]
    table.cut(9)
    assert path.read_text() == sound
    table.add({"step": 4, "loss": 4})
    assert [row["step"] for row in table.rows()] == [0, 3, 4]


def test_checkpoints_are_read_without_running_anything(tmp_path):
    path, cpu = tmp_path / "checkpoint.pt", torch.device("cpu")

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    torch.save({"fingerprint": "{}", "net": Bomb()}, path)
    with pytest.raises(TrainError, match="no checkpoint of this version, or damaged"):
        checkpoint.read(path, {}, cpu)
    path.write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(TrainError, match="damaged"):
        checkpoint.read(path, {}, cpu)
    assert not (tmp_path / "boom").exists()
    checkpoint.write(path, {"step": 3}, {"task": "deblur", "net": "A"})
    assert checkpoint.read(path, {"task": "deblur", "net": "A"}, cpu)["step"] == 3
    with pytest.raises(TrainError, match="another run: --task was deblur and is demoire; the net was A and is B"):
        checkpoint.read(path, {"task": "demoire", "net": "B"}, cpu)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(TrainError, match="damaged"):
        checkpoint.read(path, {}, cpu)


def test_a_folder_takes_one_run_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    (tmp_path / ".imgrestore-0123.tmp").write_bytes(b"half")
    other = (
        "import sys, pathlib; from imgrestore.train.checkpoint import *; alone(pathlib.Path(sys.argv[1])).__enter__()"
    )
    with checkpoint.alone(tmp_path):
        assert not (tmp_path / ".imgrestore-0123.tmp").exists()
        with pytest.raises(AssertionError, match="another run is at work"):
            child.run("-c", other, str(tmp_path))
    child.run("-c", other, str(tmp_path))


def test_curves_show_every_case(tmp_path):
    pytest.importorskip("matplotlib")
    log, val = Table(tmp_path / "log.csv"), Table(tmp_path / "val.csv")
    curves.draw(log, val, tmp_path / "empty.png")
    for step in range(1, 40):
        log.add({"step": step, "loss": 1 / step, "memory_gib": ""})
    for step in (0, 20, 40):
        val.add({"step": step, "minutes": step, "before easy": 30.0, "net easy": 30 + step / 10})
    curves.draw(log, val, tmp_path / "curves.png")
    empty, full = (io.read(tmp_path / f"{name}.png").pixels for name in ("empty", "curves"))
    assert (full < 128).sum() > 1.2 * (empty < 128).sum()
    colourful = np.ptp(full[..., :3].astype(int), axis=-1) > 60
    assert colourful[full.shape[0] // 2 :].sum() > 500
    assert not colourful[: full.shape[0] // 3].any()


def test_scores_and_sheets():
    white = torch.ones(2, 3, 8, 8)
    assert scores.psnr(white * 1.5, white) == pytest.approx(120)
    assert scores.psnr(white - 0.1, white) == pytest.approx(20, abs=1e-4)
    assert scores.gain({"before a": 1.0, "net a": 2.0, "net b": 5.0}) == 3.5
    page = scores.sheet([[torch.zeros(3, 5, 6)] * 3] * 2, gap=1)
    assert page.shape == (2 * 6 + 1, 3 * 7 + 1, 3)
    assert page.dtype == np.uint8
    assert (page == 0).sum() == 6 * 5 * 6 * 3


def test_parts_worth_compiling():
    net = DeepWiener(DeepWienerConfig(4, 8, (1, 1)))
    assert {id(p) for p in compiling.parts_of(net)} == {id(p) for p in [*net.unets, net.polish]}
    tiny_net = TinyNet()
    assert compiling.parts_of(tiny_net) == []
    tiny_net.compiled_parts = lambda: [tiny_net.near]
    assert compiling.parts_of(tiny_net) == [tiny_net.near]


def test_a_failed_compilation_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **k: (_ for _ in ()).throw(OSError("no compiler")))
    trainer = Trainer(tiny(tmp_path / "x.safetensors"), TinyGround)
    trainer.net.compiled_parts = lambda: [trainer.net.near]
    before, lines = copy.deepcopy(trainer.net.state_dict()), []
    compiling.compile_parts(trainer, "auto", lines.append)
    assert "compile: off is used" in lines
    assert any("conv failed, going on without: OSError: no compiler" in line for line in lines)
    assert all(torch.equal(before[key], value) for key, value in trainer.net.state_dict().items())
    assert torch.isfinite(trainer.train_step())


@pytest.mark.parametrize("mode", ["conv", "shift"])
def test_what_is_asked_for_is_compiled_though_it_is_slow(tmp_path, monkeypatch, mode):
    def compiled(self, **_):
        def slow(x):
            time.sleep(0.02)
            return self._call_impl(x)

        self._compiled_call_impl = slow

    monkeypatch.setattr(torch.nn.Module, "compile", compiled)
    trainer, lines = Trainer(tiny(tmp_path / "x.safetensors"), TinyGround), []
    trainer.net.compiled_parts = lambda: [trainer.net.near]
    compiling.compile_parts(trainer, mode, lines.append)
    assert f"compile: {mode} is used" in lines
    assert trainer.net.near._compiled_call_impl is not None
    assert not any("ms a step" in line for line in lines)
    assert all(p.grad is None for p in trainer.net.parameters())


def test_on_a_terminal_there_is_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    with report.reporting("deblur") as bar:
        bar.row("step 17, 1.00 min: loss 0.25")
        bar.moved(0.5, 17, 90.0)
        bar.say("a line [that] stays")
    shown = capsys.readouterr().out
    assert "a line [that] stays" in shown
    assert "50%" in shown
    assert "left | loss 0.25" in shown
    assert "1.5 min left" in shown
    with report.reporting("deblur", leads=False) as silence:
        silence.say("nothing")
        silence.row("nothing")
        silence.moved(0.5, 17, 90.0)
    assert capsys.readouterr().out == ""


def test_plain_lines_are_few(capsys):
    with report.reporting("deblur") as lines:
        for number in range(1, 31):
            lines.row(f"row {number}")
    assert capsys.readouterr().out.split("\n")[:-1] == [f"row {n}" for n in (1, 2, 3, 4, 10, 20, 30)]


def test_training_anew_leaves_nothing_of_the_old_run(tmp_path, monkeypatch):
    monkeypatch.setattr("imgrestore.train.run.export", lambda trainer: pytest.fail("signals do not export"))
    out = tmp_path / "x.safetensors"
    with pytest.raises(pytest.fail.Exception):
        run(tiny(out, steps=5), TinyGround)
    assert len(Table(out.with_suffix("") / "log.csv").rows()) == 5
    with pytest.raises(pytest.fail.Exception):
        run(tiny(out, steps=2, seed=1, resume=False), TinyGround)
    assert [row["step"] for row in Table(out.with_suffix("") / "log.csv").rows()] == [1, 2]
    assert [row["step"] for row in Table(out.with_suffix("") / "val.csv").rows()] == [0, 2]
