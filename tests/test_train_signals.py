"""Runs that a signal stops: what they finish, what they say, and that they can go on."""

import signal
import time
from subprocess import PIPE

import child
import pytest
from train_cases import Interrupted, TinyGround, arguments, command, draw_pictures, logged, options, run, tiny

from imgrestore.train import deblur
from imgrestore.train import run as runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_pictures(tmp_path_factory.mktemp("clean") / "shapes")


def test_a_signal_finishes_the_step_and_saves(folder, tmp_path):
    out, before = tmp_path / "x.safetensors", signal.getsignal(signal.SIGTERM)
    trainer, ended = run(options(folder, out, steps=6), Interrupted)
    assert ended == "SIGTERM"
    assert trainer.step == trainer.saved == 3
    assert not out.exists()
    assert signal.getsignal(signal.SIGTERM) is before
    trainer, ended = run(options(folder, out, steps=6))
    assert ended == runs.FINISHED
    assert list(logged(out)) == [1, 2, 3, 4, 5, 6]


def test_a_second_signal_ends_at_once(tmp_path):
    class Impatient(TinyGround):
        def batch(self, step, part):
            if step == 2:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return super().batch(step, part)

    with pytest.raises(KeyboardInterrupt):
        run(tiny(tmp_path / "x.safetensors"), Impatient)


def says_where(said, out, number):
    """Whether a run's last words name the signal that stopped it and the step from which it goes on."""
    last = list(logged(out))[-1]
    return f"stopped by {number.name}" in said and f"the same command goes on from step {last}" in said


def test_the_command_told_to_stop_says_where(folder, tmp_path, monkeypatch):
    out, batch = tmp_path / "x.safetensors", deblur.DeblurGround.batch

    def interrupted(self, step, part):
        if step == 2:
            signal.raise_signal(signal.SIGTERM)
        return batch(self, step, part)

    monkeypatch.setattr(deblur.DeblurGround, "batch", interrupted)
    result = command(*arguments(folder, out, "--steps", "6"))
    assert result.exit_code == 128 + signal.SIGTERM
    assert says_where(result.output, out, signal.SIGTERM)


@pytest.mark.slow
def test_a_process_told_to_stop_says_where(folder, tmp_path):
    out = tmp_path / "x.safetensors"
    process = child.start("-m", "imgrestore", *arguments(folder, out, "--steps", "100000"), stdout=PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out.with_suffix("") / "log.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert says_where(said, out, signal.SIGINT)
