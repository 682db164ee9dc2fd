"""Two processes that train one net, over Gloo on the CPU."""

import signal
import socket
import time
from dataclasses import replace
from subprocess import PIPE, STDOUT

import child
import pytest
import torch
from safetensors import safe_open
from train_cases import TinyGround, arguments, draw_pictures, logged, tiny

from imgrestore.train.distributed import World
from imgrestore.train.tables import Table
from imgrestore.train.trainer import Trainer

TWO = """
import sys
from pathlib import Path
import torch
from train_cases import TinyGround, tiny
from imgrestore.train.report import reporting
from imgrestore.train.run import Run
from imgrestore.train.trainer import Trainer
from imgrestore.train import run as runs

runs.export = lambda trainer: {"steps": 0, "sha256": "", "validation PSNR in dB after rounding to float16": {}}
out, more = sys.argv[1], eval(sys.argv[2])
trainer = Trainer(tiny(out, **more), TinyGround)
with reporting("deblur", trainer.world.leads) as report:
    ended = Run(trainer, report).run()
torch.save({"net": trainer.net.state_dict(), "ema": trainer.ema.state_dict(), "step": trainer.step,
            "elapsed": trainer.elapsed, "ended": ended}, f"{out}.{trainer.world.rank}")
trainer.world.leave()
# Threads of the group that outlive it may abort the process at its end.
left = [name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")]
assert not any("gloo" in name for name in left), left
"""


def start_two(out, **more):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        child.start("-c", TWO, str(out), repr(more), changes={**meet, "RANK": str(rank)}, stdout=PIPE, stderr=STDOUT)
        for rank in range(2)
    ]


def finish(processes, out):
    """What each said, and what each has come to."""
    said = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return said, [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(2)]


def equal(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


def test_two_processes_train_as_one(tmp_path):
    out = tmp_path / "two.safetensors"
    said, (first, second) = finish(start_two(out, steps=12, batch=4), out)
    assert first["step"] == second["step"] == 12
    assert equal(first["net"], second["net"])
    assert equal(first["ema"], second["ema"])
    assert "on 2 x " in said[0]
    assert said[1] == ""

    # One process that takes the same four pictures in one batch.
    class Whole(TinyGround):
        def __init__(self, options, device):
            super().__init__(replace(options, parts=2), device)

        def batch(self, step, part):
            parts = [super(Whole, self).batch(step, number) for number in range(2)]
            return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))

    one = Trainer(tiny(tmp_path / "one.safetensors", steps=12), Whole)
    losses = [one.train_step().item() for _ in range(12)]
    for key, value in one.net.state_dict().items():
        torch.testing.assert_close(first["net"][key], value, rtol=1e-4, atol=1e-6)
    rows = Table(tmp_path / "two" / "log.csv").rows()
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert [row["loss"] for row in rows] == pytest.approx(losses, abs=2e-5)

    # And one that takes the two parts one after another: the same sums, so the same numbers.
    parts = Trainer(tiny(tmp_path / "parts.safetensors", steps=12, parts=2), TinyGround)
    for _ in range(12):
        parts.train_step()
    for key, value in parts.net.state_dict().items():
        torch.testing.assert_close(first["net"][key], value, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_a_signal_to_any_process_stops_all_and_they_go_on_by_the_clock_of_the_first(tmp_path):
    out = tmp_path / "signal.safetensors"
    processes = start_two(out, steps=10**6)
    deadline = time.monotonic() + 60
    while not (tmp_path / "signal" / "log.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    said, (first, second) = finish(processes, out)
    assert first["step"] == second["step"]
    assert second["ended"] == "SIGTERM"
    assert f"at step {first['step']}; the same command goes on from step {first['step']}" in said[0]
    seconds = first["elapsed"] + 1
    _, (more, other) = finish(start_two(out, steps=0, minutes=seconds / 60), out)
    assert more["step"] == other["step"] > first["step"]
    assert more["elapsed"] == other["elapsed"] >= seconds - 1e-6
    assert more["ended"] == other["ended"] == "finished"
    assert equal(more["net"], other["net"])
    assert list(logged(out)) == list(range(1, more["step"] + 1))


def test_parts_are_shared_out():
    assert [list(World(rank, 3).share(6)) for rank in range(3)] == [[0, 3], [1, 4], [2, 5]]
    assert list(World().share(2)) == [0, 1]
    assert World().agree(3.0, True) == (3.0, True, False)


@pytest.mark.slow
def test_torchrun_trains_the_command(tmp_path):
    folder = draw_pictures(tmp_path / "clean")
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    child.run("-m", "imgrestore", *arguments(folder, one, "--steps", "4", "--parts", "2"), OMP_NUM_THREADS="1")
    child.run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "imgrestore",
              *arguments(folder, two, "--steps", "4"), OMP_NUM_THREADS="1")  # fmt: skip
    for step, loss in logged(two).items():
        assert float(loss) == pytest.approx(float(logged(one)[step]), abs=1e-4)
    with safe_open(one, "pt") as a, safe_open(two, "pt") as b:
        for key in a.keys():  # noqa: SIM118
            torch.testing.assert_close(a.get_tensor(key), b.get_tensor(key), rtol=1e-2, atol=1e-4)
