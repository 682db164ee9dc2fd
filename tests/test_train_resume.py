"""What a resumed run writes down, and runs off the main thread."""

import signal
import threading

import pytest
from train_cases import TinyGround, tiny

from imgrestore.train import run as runs
from imgrestore.train.report import Silence
from imgrestore.train.tables import Table
from imgrestore.train.trainer import Trainer


@pytest.fixture(autouse=True)
def _no_export(monkeypatch):
    card = {"steps": 1, "sha256": "", "validation PSNR in dB after rounding to float16": {}}
    monkeypatch.setattr(runs, "export", lambda trainer: card)


def test_the_first_row_after_a_resumption_counts_its_own_steps(tmp_path):
    counted = []

    class Counting(runs.Run):
        def _row(self):
            counted.append(self.trainer.step - self.at)
            super()._row()

    for steps in (5, 8):
        Counting(Trainer(tiny(tmp_path / "x.safetensors", steps=steps), TinyGround), Silence()).run()
    assert counted == [1] * 8


def test_a_run_killed_before_its_first_step_is_validated_once_at_it(tmp_path):
    class Dying(TinyGround):
        def batch(self, step, part):
            if step == 0:
                raise ZeroDivisionError
            return super().batch(step, part)

    out = tmp_path / "x.safetensors"
    with pytest.raises(ZeroDivisionError):
        runs.Run(Trainer(tiny(out), Dying), Silence()).run()
    runs.Run(Trainer(tiny(out), TinyGround), Silence()).run()
    assert [row["step"] for row in Table(tmp_path / "x" / "val.csv").rows()] == [0, 8]


def test_off_the_main_thread_a_run_goes_without_signals(tmp_path):
    heard, ended = signal.getsignal(signal.SIGTERM), []

    def work():
        ended.append(runs.Run(Trainer(tiny(tmp_path / "x.safetensors"), TinyGround), Silence()).run())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert ended == [runs.FINISHED]
    assert signal.getsignal(signal.SIGTERM) is heard
