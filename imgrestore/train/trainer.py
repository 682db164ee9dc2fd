"""A net in training: its steps, its average, its checkpoints."""

from __future__ import annotations

import copy
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from imgrestore.train import checkpoint
from imgrestore.train.adapt import start_of
from imgrestore.train.distributed import join
from imgrestore.train.ground import CallError, Ground, TrainError, ground_of
from imgrestore.train.optimizers import Clip, optimizer_of, rate_at
from imgrestore.train.options import Options

__all__ = ["Best", "Trainer", "device_of", "machine"]

# Steps in a row without a finite gradient after which a run is given up.
MOST_BAD = 20
MOST_EMA = 0.999


@dataclass(frozen=True)
class Best:
    """The best net that a validation found.

    Attributes
    ----------
    step : int
    gain : float
        What nets are ranked by.
    scores : dict
        The validation's.
    """

    step: int
    gain: float
    scores: dict[str, float]


class Trainer:
    """Takes a net's steps on a ground, and can be stopped between any two of them.

    Parameters
    ----------
    options : Options
        The run's.
    ground : callable, optional
        What makes the ground of options and device; the task's by default.

    Attributes
    ----------
    step : int
        Steps taken.
    elapsed : float
        Seconds of training, over all resumptions.
    pending : list of Tensor
        Losses since the last row of the log.
    best : Best or None
    saved : int or None
        The step of the last checkpoint.
    """

    def __init__(self, options: Options, ground: Callable[[Options, torch.device], Ground] | None = None) -> None:
        self.device = device_of(options.device)
        self.world = join(self.device)
        try:
            self.options = options.shared_by(self.world.size)
        except ValueError as error:
            raise CallError(str(error)) from None
        self.bf16 = self.device.type == "cuda" if options.bf16 is None else options.bf16
        torch.manual_seed(options.seed)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        self.ground = (ground or ground_of(options.task))(self.options, self.device)
        net = self.ground.net()
        if options.start:
            net.load_state_dict(start_of(options.task, options.start).state_dict())
        net = net.to(self.device)
        self.net: nn.Module = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(self.net).requires_grad_(False).eval()
        self.optimizer = optimizer_of(options.optimizer, self.net, options.lr, options.decay)
        # Scale 1: used only since it skips steps with infinite gradients without waiting for the device.
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=1.0, growth_interval=2**30)
        self.clip = Clip(self.device)
        self.bad = torch.zeros((), dtype=torch.int64, device=self.device)
        self.step, self.elapsed = 0, 0.0
        self.pending: list[torch.Tensor] = []
        self.best: Best | None = None
        self.saved: int | None = None

    # One step

    def progress(self) -> float:
        """Position in the schedule, 0 to 1 at its end."""
        if self.options.steps:
            return self.step / self.options.steps
        return self.elapsed / (60 * self.options.minutes)

    def loss_of(self, step: int, part: int) -> torch.Tensor:
        """The loss of one part of a step's batch; all that is random in it follows from the seed, step and part."""
        # torch.manual_seed would do this for devices that are not used, too, and takes longer than a small step.
        torch.default_generator.manual_seed(self.options.seed_of(step, part))
        if self.device.type == "cuda":
            torch.cuda.manual_seed(self.options.seed_of(step, part))
        batch = self.ground.batch(step, part)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.ground.step_loss(self.net, batch)

    def train_step(self) -> torch.Tensor:
        """Take one step; returns the loss of the whole batch, detached, still on the device."""
        o = self.options
        for group in self.optimizer.param_groups:
            group["lr"] = o.lr * rate_at(self.step, self.progress())
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for part in self.world.share(o.parts):
            loss = self.loss_of(self.step, part) / o.parts
            self.scaler.scale(loss).backward()
            total += loss.detach().float()
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        self.world.add_up([*grads, total])
        self.scaler.unscale_(self.optimizer)
        norm = self.clip(grads)
        self.scaler.step(self.optimizer)
        self.scaler.update(1.0)
        self.bad = torch.where(torch.isfinite(norm) & torch.isfinite(total), 0, self.bad + 1)
        self._average()
        self.step += 1
        self.pending.append(total)
        return total

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(MOST_EMA, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()), 1 - decay)
        for kept, new in zip(self.ema.buffers(), self.net.buffers(), strict=True):
            kept.copy_(new)

    def check(self) -> bool:
        """Whether the last step was sound; waits for the device.

        Raises
        ------
        TrainError
            Where many in a row were not.
        """
        bad = int(self.bad)
        if bad >= min(MOST_BAD, self.options.steps or MOST_BAD):
            raise TrainError(
                f"the loss or its gradient was not finite in the last {bad} steps, up to step {self.step}; "
                f"try a lower --lr than {self.options.lr:g}, or another --loss"
            )
        return bad == 0

    # Checkpoints

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint has to agree with."""
        net: Any = self.net
        return {
            **self.options.fingerprint(),
            **self.ground.fingerprint,
            "bf16": self.bf16,
            "net": f"{type(net).__name__} {json.dumps(net.config.to_dict())}",
            "sets": self.ground.sets,
            "pictures": self.ground.count,
            "held": self.ground.held,
        }

    def save(self) -> None:
        """Write all that is needed to go on, except the best net, which has a file of its own (`keep_best`)."""
        state = {
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "norm": self.clip.norm,
            "bad": self.bad,
            "pending": torch.stack(self.pending) if self.pending else torch.zeros(0),
            "step": self.step,
            "elapsed": self.elapsed,
        }
        checkpoint.write(self.options.folder / "checkpoint.pt", state, self.fingerprint())
        self.saved = self.step

    def load(self) -> bool:
        """Go on from the last checkpoint, if there is one.

        Returns
        -------
        bool
            Whether there was.

        Raises
        ------
        TrainError
            Where it is damaged or was made with other options.
        """
        path = self.options.folder / "checkpoint.pt"
        if not path.exists():
            return False
        state = checkpoint.read(path, self.fingerprint(), self.device)
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.clip.norm, self.bad = state["norm"], state["bad"]
        self.pending = list(state["pending"])
        self.step, self.elapsed, self.saved = state["step"], state["elapsed"], state["step"]
        kept = self.options.folder / "best.pt"
        if kept.exists():
            found = checkpoint.read(kept, self.fingerprint(), self.device)
            self.best = Best(found["step"], found["gain"], json.loads(found["scores"]))
        return True

    def keep_best(self, best: Best) -> None:
        """Write the average's weights as the best so far."""
        state = {"ema": self.ema.state_dict(), "step": best.step, "gain": best.gain, "scores": json.dumps(best.scores)}
        checkpoint.write(self.options.folder / "best.pt", state, self.fingerprint())
        self.best = best

    def best_net(self) -> nn.Module:
        """The best net so far, a copy.

        Raises
        ------
        TrainError
            Where no validation gave a finite score.
        """
        if self.best is None:
            raise TrainError("no validation gave a finite score: there is no net to export")
        found = checkpoint.read(self.options.folder / "best.pt", self.fingerprint(), self.device)
        net = copy.deepcopy(self.ema)
        net.load_state_dict(found["ema"])
        return net


def device_of(name: str) -> torch.device:
    """Where to compute.

    Parameters
    ----------
    name : str
        As torch names it; empty for CUDA where there is one, else the CPU. Of several CUDA devices each process that
        ``torchrun`` starts takes its own.

    Returns
    -------
    torch.device

    Raises
    ------
    TrainError
        Where there is no such device.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).split("\n")[0]
        raise TrainError(f"--device is {name}; expected one that is here, such as cpu ({why})") from None
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def machine(device: torch.device, processes: int = 1) -> str:
    """What a run was made on.

    Parameters
    ----------
    device : torch.device
    processes : int

    Returns
    -------
    str
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    return name if processes == 1 else f"{processes} x {name}"
