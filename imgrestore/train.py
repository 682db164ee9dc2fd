"""The training ground: a restartable trainer, and the deblurring net on it.

    python -m imgrestore.train deblur --clean clean.npz --minutes 25 --out runs/deblur

The schedule follows the wall clock (``--minutes``) or the step count (``--steps``). A run that was stopped, or killed,
goes on from its last checkpoint with ``--resume``; with ``--steps`` it then gives the same losses as one never stopped,
since every batch is drawn from the seed and the step's number.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from imgrestore.losses import LOSSES
from imgrestore.nets.blocks import set_depthwise
from imgrestore.nets.deep_wiener import DeepWienerConfig
from imgrestore.nets.weights import load_net
from imgrestore.train_deblur import DeblurGround


@dataclass(frozen=True)
class Options:
    """What a training run is told; see ``python -m imgrestore.train --help``."""

    task: str
    clean: str
    out: str
    minutes: float = 25.0
    steps: int = 0
    slice: float = 0.0
    batch: int = 64
    size: int = 192
    width: int = 40
    blocks: str = "2,3,5"
    stages: int = 2
    features: int = 16
    lr: float = 1.5e-3
    decay: float = 1e-4
    loss: str = "psnr"
    iterations: int = 15
    psfs: int = 20_000
    workers: int = 0
    seed: int = 0
    compile: str = "off"
    bf16: bool = True
    resume: bool = False
    device: str = ""
    log_every: int = 50
    validate_every: float = 90.0
    save_every: float = 60.0
    validation: int = 16

    def config(self) -> DeepWienerConfig:
        """The net asked for."""
        blocks = tuple(int(b) for b in self.blocks.split(","))
        return DeepWienerConfig(self.features, self.width, blocks, self.stages)


class Trainer:
    """Trains a net on a ground, and can be stopped at any moment.

    Parameters
    ----------
    options : Options
        The run's.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.out = Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(options.seed)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        self.ground = DeblurGround(options, self.device)
        self.net = self.ground.net().to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(self.net).requires_grad_(False).eval()
        flat = [p for p in self.net.parameters() if p.ndim < 2 or p.shape[1:].numel() == 1]
        deep = [p for p in self.net.parameters() if not (p.ndim < 2 or p.shape[1:].numel() == 1)]
        groups: list[dict[str, Any]] = [{"params": deep, "weight_decay": options.decay}]
        groups.append({"params": flat, "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.99), fused=True)
        # Scale 1: used only since it skips steps with infinite gradients without waiting for the device.
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=1.0, growth_interval=2**30)
        self.step, self.elapsed = 0, 0.0
        self.norm = torch.zeros((), device=self.device)  # running mean of the gradient's norm
        self.stop = False

    # One step

    def progress(self) -> float:
        """Position in the schedule, 0 to 1."""
        if self.options.steps:
            return self.step / self.options.steps
        return self.elapsed / (60 * self.options.minutes)

    def train_step(self) -> torch.Tensor:
        """Take one step; returns the loss, detached, still on the device."""
        warm = min(1.0, (self.step + 1) / 300)
        rate = self.options.lr * warm * max(1e-3, 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress()))))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.ground.batch(self.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            loss = self.ground.step_loss(self.net, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        self._clip()
        self.scaler.step(self.optimizer)
        self.scaler.update(1.0)
        decay = min(0.999, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()), 1 - decay)
        self.step += 1
        return loss.detach()

    def _clip(self) -> None:
        """Limit the gradient to twice its usual norm, whatever the loss's scale."""
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        norm = torch.stack(torch._foreach_norm(grads)).norm()
        usual = torch.where(self.norm > 0, self.norm, norm)
        torch._foreach_mul_(grads, (2 * usual / (norm + 1e-12)).clamp(max=1.0))
        sound = torch.isfinite(norm)
        self.norm = torch.where(sound, torch.lerp(usual, torch.minimum(norm, 2 * usual), 0.02), self.norm)

    # The loop

    def run(self) -> None:
        """Train until the schedule or the slice ends, or a signal comes; finish with an export."""
        handlers = {number: signal.signal(number, self._ask_stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._run()
        finally:
            for number, handler in handlers.items():
                if handler is not None:  # one that was not set from Python cannot be set again
                    signal.signal(number, handler)

    def _run(self) -> None:
        o = self.options
        compile_blocks(self, o.compile)
        size = sum(p.numel() for p in self.net.parameters())
        print(f"{o.task}: {size / 1e6:.2f} M parameters on {machine(self.device)}, {len(self.ground.pictures)} pictures"
              f" of {', '.join(self.ground.sets)}, from step {self.step}", flush=True)  # fmt: skip
        began = logged = validated = saved = time.monotonic()
        before, since, losses = self.elapsed, self.step, []
        self._validate()
        while self.progress() < 1 and not self.stop:
            losses.append(self.train_step())
            now = time.monotonic()
            self.elapsed = before + now - began
            if self.step % o.log_every == 0:
                loss = float(torch.stack(losses).mean())
                now = time.monotonic()
                rate = (self.step - since) / (now - logged)
                self._log(loss, rate)
                logged, since, losses = now, self.step, []
            if now - validated > o.validate_every:
                self._validate()
                validated = logged = time.monotonic()
                since, losses = self.step, []
            if now - saved > o.save_every:
                self.save()
                saved = time.monotonic()
            if o.slice and now - began > 60 * o.slice:
                break
        self.save()
        export(self, self._validate())
        print(f"stopped at step {self.step}, {self.elapsed / 60:.1f} minutes", flush=True)

    def _ask_stop(self, *_: object) -> None:
        self.stop = True

    def _log(self, loss: float, rate: float) -> None:
        memory = torch.cuda.max_memory_allocated() / 2**30 if self.device.type == "cuda" else 0.0
        row: dict[str, float] = {
            "step": self.step,
            "minutes": round(self.elapsed / 60, 3),
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss": round(loss, 5),
            "norm": round(float(self.norm), 5),
            "steps_per_s": round(rate, 2),
            "pictures_per_s": round(rate * self.options.batch, 1),
            "memory_gib": round(memory, 2),
        }
        self._csv("log.csv", row)
        if self.step % (10 * self.options.log_every) == 0 or self.step <= 4 * self.options.log_every:
            print(" ".join(f"{key} {value:.6g}" for key, value in row.items()), flush=True)

    def _validate(self) -> dict[str, float]:
        scores = self.ground.validate(self.ema)
        self._csv("val.csv", {"step": self.step, "minutes": round(self.elapsed / 60, 3), **scores})
        text = " | ".join(
            f"{name} {scores['x0 ' + name]:.2f} -> {scores['net ' + name]:.3f}" for name in self.ground.cases
        )
        print(f"val step {self.step} {self.elapsed / 60:.1f} min: {text}", flush=True)
        return scores

    def _csv(self, name: str, row: dict[str, float]) -> None:
        path = self.out / name
        fresh = not path.exists()
        with path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    # Checkpoints

    def save(self) -> None:
        """Write everything needed to go on, atomically."""
        state = {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "norm": self.norm,
            "step": self.step,
            "elapsed": self.elapsed,
            "config": json.dumps(self.options.config().to_dict()),
        }
        temporary = self.out / f"checkpoint.{os.getpid()}.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.out / "checkpoint.pt")

    def load(self) -> bool:
        """Go on from the last checkpoint, if there is one."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        if json.loads(state["config"]) != json.loads(json.dumps(self.options.config().to_dict())):
            raise ValueError(f"{path} holds another net ({state['config']}); expected {self.options.config()}")
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.norm, self.step, self.elapsed = state["norm"], state["step"], state["elapsed"]
        return True


def compile_blocks(trainer: Trainer, mode: str) -> None:
    """Compile the net's blocks in place; where that fails, go on without.

    Parameters
    ----------
    trainer : Trainer
        Its net is compiled, its EMA copy is not. The trial's gradients are dropped: nothing is learned.
    mode : {"off", "conv", "shift", "auto"}
        How depthwise convolutions are computed (see `DepthwiseConv`); ``auto`` times them and keeps the fastest.
    """
    if mode == "off":
        return
    parts = [*trainer.net.unets, trainer.net.polish]

    def prepare(way: str) -> None:
        torch.compiler.reset()
        for part in parts:
            part._compiled_call_impl = None
        set_depthwise(trainer.net, "shift" if way == "shift" else "conv")
        if way != "off":
            for part in parts:
                part.compile(dynamic=False)

    def trial(way: str, count: int) -> float:
        prepare(way)
        began = time.monotonic()
        for step in range(count + 4):
            if step == 4:
                _wait(trainer.device)
                print(f"compile {way}: ready after {time.monotonic() - began:.0f} s", flush=True)
                began = time.monotonic()
            with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.options.bf16):
                loss = trainer.ground.step_loss(trainer.net, trainer.ground.batch(step))
            loss.backward()
            if not torch.isfinite(loss):
                raise ArithmeticError(f"the loss is {float(loss)}")
        _wait(trainer.device)
        trainer.optimizer.zero_grad(set_to_none=True)
        return (time.monotonic() - began) / count

    times: dict[str, float] = {}
    for way in ("off", "conv", "shift") if mode == "auto" else ("off", mode):
        try:
            times[way] = trial(way, 20 if trainer.device.type == "cuda" else 1)
            print(f"compile {way}: {1000 * times[way]:.1f} ms a step without the optimizer", flush=True)
        except Exception as error:
            print(f"compile {way} failed, going on without: {type(error).__name__}: {str(error)[:400]}", flush=True)
    trainer.optimizer.zero_grad(set_to_none=True)
    best = min(times, key=lambda way: times[way]) if times else "off"
    print(f"compile: {best} is used", flush=True)
    prepare(best)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def machine(device: torch.device) -> str:
    """What a run was made on."""
    return torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU"


def export(trainer: Trainer, scores: dict[str, float]) -> Path:
    """Write the EMA weights as float16 safetensors, with a card beside them.

    Parameters
    ----------
    trainer : Trainer
        A trainer, best at the end of its schedule.
    scores : dict
        Its validation scores.

    Returns
    -------
    Path
        The weights' file.
    """
    path = trainer.out / f"{trainer.options.task}.safetensors"
    config = json.dumps(trainer.options.config().to_dict())
    weights = {key: value.detach().half().cpu().contiguous() for key, value in trainer.ema.state_dict().items()}
    save_file(weights, path, {"task": trainer.options.task, "net": "DeepWiener", "config": config})
    rounded = load_net(path).to(trainer.device)
    card = {
        "task": trainer.options.task,
        "net": "DeepWiener",
        "config": json.loads(config),
        "parameters": sum(p.numel() for p in trainer.ema.parameters()),
        "data": trainer.ground.sets,
        "pictures": len(trainer.ground.pictures),
        "held out": trainer.ground.held,
        "command": " ".join(["python -m imgrestore.train", *sys.argv[1:]]),
        "minutes": round(trainer.elapsed / 60, 2),
        "steps": trainer.step,
        "machine": machine(trainer.device),
        "torch": torch.__version__,
        "validation PSNR in dB": {key: round(value, 3) for key, value in scores.items()},
        "validation PSNR in dB after rounding to float16": {
            key: round(value, 3) for key, value in trainer.ground.validate(rounded).items()
        },
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2), flush=True)
    return path


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["deblur"])
    parser.add_argument(
        "--clean", required=True, help="a folder of clean pictures, or a file packed by imgrestore.data"
    )
    parser.add_argument("--out", required=True, help="folder for checkpoint, logs and weights")
    parser.add_argument("--steps", type=int, default=0, help="schedule by steps, not by --minutes")
    parser.add_argument("--slice", type=float, default=0.0, help="stop after this many minutes, to be resumed")
    parser.add_argument("--compile", default="off", choices=["off", "conv", "shift", "auto"])
    parser.add_argument("--loss", default="psnr", choices=sorted(LOSSES))
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--device", default="")
    parser.add_argument("--blocks", default=Options.blocks, help="blocks of each level, the last the bottom's")
    numbers: dict[str, Callable[[str], Any]] = {
        "minutes": float, "batch": int, "size": int, "width": int, "stages": int, "features": int, "lr": float,
        "decay": float, "iterations": int, "psfs": int, "workers": int, "seed": int, "log_every": int,
        "validate_every": float, "save_every": float, "validation": int,
    }  # fmt: skip
    for name, kind in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(Options, name))
    options = Options(**vars(parser.parse_args(arguments)))
    trainer = Trainer(options)
    if options.resume:
        trainer.load()
    trainer.run()


if __name__ == "__main__":
    main()
