"""A whole run: from the checkpoint, if there is one, to the end of the schedule, the slice, or a signal."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from imgrestore import io
from imgrestore.train import curves
from imgrestore.train.card import export
from imgrestore.train.checkpoint import alone
from imgrestore.train.compiling import compile_parts
from imgrestore.train.ground import TrainError
from imgrestore.train.options import Options
from imgrestore.train.report import Report, reporting
from imgrestore.train.scores import Measure, gain
from imgrestore.train.tables import Table
from imgrestore.train.trainer import Best, Trainer, machine

__all__ = ["FINISHED", "SLICE", "Run", "train"]

FINISHED, SLICE = "finished", "slice"
CHECK_EVERY = 10
# Drawing takes a second or two.
DRAW_EVERY = 60.0
# Training takes at least so many times as long as validation.
PATIENCE = 10
OUTPUTS = ("checkpoint.pt", "best.pt", "log.csv", "val.csv", "curves.png", "samples.png")


def train(options: Options) -> str:
    """Train a net, from its last checkpoint on, and export it.

    Parameters
    ----------
    options : Options
        See `imgrestore.train.ground.options_for`.

    Returns
    -------
    str
        "finished" at the end of the schedule or "slice" at that of the slice, after both of which the best net is
        exported; else the name of the signal that ended the run, such as "SIGTERM".

    Raises
    ------
    TrainError
        With the reason, and with what is kept: the last checkpoint is whole whatever happened. Where the call makes no
        sense it is a `CallError`.
    """
    trainer: Trainer | None = None
    try:
        _check_out(options)
        trainer = Trainer(options)
        with reporting(options.task, trainer.world.leads) as report:
            return Run(trainer, report).run()
    except TrainError as error:
        raise type(error)(f"{error}{_kept(trainer)}") from error
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        raise TrainError(
            f"there is not enough memory for --batch {options.batch} and --size {options.size}: "
            f"make one smaller, or take the batch in --parts{_kept(trainer)}"
        ) from error
    except OSError as error:
        raise TrainError(f"{error.filename or options.out}: {error.strerror or error}{_kept(trainer)}") from error
    finally:
        if trainer is not None:
            trainer.world.leave()


class Run:
    """The loop around a trainer.

    Parameters
    ----------
    trainer : Trainer
    report : Report
        Hears how it goes.
    """

    def __init__(self, trainer: Trainer, report: Report) -> None:
        self.trainer, self.report = trainer, report
        folder = trainer.options.folder
        self.log, self.scores = Table(folder / "log.csv"), Table(folder / "val.csv")
        self.last: tuple[int, dict[str, float]] | None = None  # the last validation: step and scores
        self.drawn = -math.inf
        self.can_draw = True
        self.since, self.at = 0.0, 0  # where the row of the log began: time and step
        self.pause = trainer.options.validate_every
        self.worse = 0  # validations in a row that were no better than the best

    def run(self) -> str:
        """Carry it out; returns how it ended, see `train`."""
        t = self.trainer
        with contextlib.ExitStack() as stack:
            if t.world.leads:
                t.options.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(alone(t.options.folder))
            self._begin()
            compile_parts(t, t.options.compile, self.report.say)
            asked = stack.enter_context(_signals())
            if t.step == 0:
                self._validate()
            ended = self._steps(asked)
            self._save()
            if ended in (FINISHED, SLICE):
                self._finish()
            else:
                self.report.say(
                    f"stopped by {ended} after {t.elapsed / 60:.1f} minutes, at step {t.step}; "
                    f"the same command goes on from step {t.saved}"
                )
        t.world.wait()
        return ended

    def _begin(self) -> None:
        t, o = self.trainer, self.trainer.options
        went_on = t.load() if o.resume else False
        t.world.wait()  # before the first process writes, all have read
        if t.world.leads:
            if went_on:
                self.log.cut(t.step)
                self.scores.cut(t.step)
            else:
                for name in OUTPUTS:
                    (o.folder / name).unlink(missing_ok=True)
        size = sum(p.numel() for p in t.net.parameters())
        self.report.say(
            f"{o.task}: {size / 1e6:.2f} M parameters on {machine(t.device, t.world.size)}, {t.ground.count} pictures "
            f"of {', '.join(t.ground.sets)}, {len(t.ground.held)} held out, from step {t.step}"
        )

    def _steps(self, asked: list[str]) -> str:
        """Take steps until something ends them."""
        t, o = self.trainer, self.trainer.options
        before = t.elapsed
        began = validated = saved = self.since = time.monotonic()
        self.at = t.step
        while True:
            now = time.monotonic()
            worse = o.patience > 0 and self.worse >= o.patience
            t.elapsed, stop, enough = t.world.agree(before + now - began, bool(asked), worse)
            if stop:
                return asked[0] if asked else "a signal to another process"
            if t.progress() >= 1:
                t.check()
                return FINISHED
            if enough:
                self.report.say(f"enough at step {t.step}: {o.patience} validations in a row were no better")
                return FINISHED
            if o.slice and t.elapsed - before >= 60 * o.slice:
                return SLICE
            t.train_step()
            if t.step % CHECK_EVERY == 0:
                t.check()
            if t.step % o.log_every == 0:
                self._row()
            self.report.moved(t.progress(), t.step, self._left(before, began))
            now = time.monotonic()
            if t.world.leads and now - validated >= self.pause and t.check():
                self._validate()
                saved = validated = self.since = time.monotonic()
                self.at = t.step
            elif t.world.leads and now - saved >= o.save_every:
                self._save()
                saved = time.monotonic()

    def _save(self) -> None:
        """Write a checkpoint, unless the net may be broken: then the one before is worth more."""
        if self.trainer.world.leads and self.trainer.check():
            self.trainer.save()

    def _left(self, before: float, began: float) -> float:
        """Seconds until the schedule ends."""
        t, o = self.trainer, self.trainer.options
        if not o.steps:
            return max(0.0, 60 * o.minutes - t.elapsed)
        spent = before + time.monotonic() - began
        return spent * (o.steps - t.step) / max(1, t.step)

    def _row(self) -> None:
        """Log the mean loss since the last row."""
        t, o = self.trainer, self.trainer.options
        loss, now = float(torch.stack(t.pending).mean()), time.monotonic()
        rate = (t.step - self.at) / max(1e-9, now - self.since)
        t.pending, self.since, self.at = [], now, t.step
        if not t.world.leads:
            return
        row: dict[str, float | str] = {
            "step": t.step,
            "minutes": round(t.elapsed / 60, 3),
            "lr": t.optimizer.param_groups[0]["lr"],
            "loss": round(loss, 5),
            "norm": round(float(t.clip.norm), 5),
            "steps_per_s": round(rate, 3),
            "pictures_per_s": round(rate * o.batch, 2),
            "memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if t.device.type == "cuda" else "",
        }
        self.log.add(row)
        best = "" if t.best is None else f", val {t.best.gain:.2f}{t.ground.measure.unit}"
        self.report.row(
            f"step {t.step}, {t.elapsed / 60:.2f} min: loss {loss:.5g}, lr {row['lr']:.3g}, "
            f"{row['pictures_per_s']} pictures/s{best}"
        )

    def _validate(self) -> None:
        """Score the averaged net, keep it where it is the best, and draw."""
        t = self.trainer
        if not t.world.leads or (self.last is not None and self.last[0] == t.step):
            return
        began = time.monotonic()
        scores = t.ground.validate(t.ema)
        self.pause = max(t.options.validate_every, PATIENCE * (time.monotonic() - began))
        self.last = (t.step, scores)
        self.scores.add({"step": t.step, "minutes": round(t.elapsed / 60, 3), **_digits(scores)})
        self.report.say(f"validation at step {t.step}, {t.elapsed / 60:.1f} min: {_told(scores, t.ground.measure)}")
        if math.isfinite(gain(scores)) and (t.best is None or gain(scores) > t.best.gain):
            t.keep_best(Best(t.step, gain(scores), scores))
            self.worse = 0
        else:
            self.worse += 1
        self._save()
        if time.monotonic() - self.drawn > DRAW_EVERY:
            self._draw()

    def _draw(self) -> None:
        """Draw the curves and a sheet of samples; training does not depend on them."""
        t, folder = self.trainer, self.trainer.options.folder
        io.write(folder / "samples.png", t.ground.samples(t.ema), overwrite=True)
        if self.can_draw:
            try:
                curves.draw(self.log, self.scores, folder / "curves.png", t.ground.measure.title)
            except ImportError as error:
                self.can_draw = False
                self.report.say(f"no curves are drawn: {error}; pip install 'imgrestore[train]'")
        self.drawn = time.monotonic()

    def _finish(self) -> None:
        """Validate, draw and export."""
        t = self.trainer
        if not t.world.leads:
            return
        if not self.scores.rows() or self.scores.rows()[-1]["step"] < t.step:
            self._validate()
        self._draw()
        card = export(t)
        if card["steps"] == 0:
            self.report.say("no step scored better than the net did untrained, and so that is what is exported")
        told = _told(card[f"validation {t.ground.measure.title} after rounding to float16"], t.ground.measure)
        self.report.say(f"{t.options.out}: the net of step {card['steps']}, {card['sha256'][:12]}: {told}")


def _check_out(options: Options) -> None:
    """Refuse to write over weights that no run beside them made."""
    out = Path(options.out)
    if options.resume and out.exists() and not (options.folder / "checkpoint.pt").exists():
        raise TrainError(f"--out {out} exists, and no run to go on from lies in {options.folder}; "
                         f"choose another file, or --no-resume to replace it")  # fmt: skip
    if options.folder.exists() and not options.folder.is_dir():
        raise TrainError(f"--out is {out}: {options.folder}, where the run's files go, is no folder")


@contextlib.contextmanager
def _signals() -> Iterator[list[str]]:
    """The names of the signals that asked for an end; a second one ends at once. Only the main thread hears any."""
    asked: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signal.Signals(number).name)

    handlers = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # one that was not set from Python cannot be set again
                signal.signal(number, handler)


def _kept(trainer: Trainer | None) -> str:
    if trainer is None:
        return ""
    if trainer.saved is None:
        return ". There is no checkpoint yet"
    return f". The last checkpoint is that of step {trainer.saved}, in {trainer.options.folder}"


def _is_lack_of_memory(error: BaseException) -> bool:
    text = str(error)
    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or "DefaultCPUAllocator" in text
        or "out of memory" in text.lower()
    )


def _digits(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in scores.items()}


def _told(scores: dict[str, float], measure: Measure) -> str:
    cases = [name.removeprefix("net ") for name in scores if name.startswith("net ")]
    found = ((case, scores[f"before {case}"], scores[f"net {case}"]) for case in cases)
    return " | ".join(f"{case} {before:.2f} -> {after:.3f}{measure.unit}" for case, before, after in found)
