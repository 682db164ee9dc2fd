"""What a training run is told. Without torch, since the command line's help reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["GROUNDS", "LOSSES", "ONLY", "OPTIMIZERS", "OWN_LOSSES", "SHIPPED", "SIZES", "Options"]

GROUNDS = {
    "deblur": "imgrestore.train.deblur:DeblurGround",
    "demoire": "imgrestore.train.demoire:DemoireGround",
    "deshadow": "imgrestore.train.deshadow:DeshadowGround",
    "dereflect": "imgrestore.train.dereflect:DereflectGround",
    "despecular": "imgrestore.train.despecular:DespecularGround",
    "derust": "imgrestore.train.derust:DerustGround",
    "diagnose": "imgrestore.train.diagnose:DiagnoseGround",
}
LOSSES = ("mse", "mae", "charbonnier", "ssim", "psnr", "psnr30")
# Tasks whose results are no pictures have a loss of their own.
OWN_LOSSES = {"diagnose": ("cross-entropy",)}
# With the learning rate that each begins with: at these a small deblurring net learned steadily.
OPTIMIZERS = {"adam": 1.5e-3, "adamw": 1.5e-3, "sgd": 2e-3, "momentum": 5e-4, "rmsprop": 5e-4}
COMPILE = ("off", "conv", "shift", "auto")
# Numbers of a net's size that the command line can set, as far as the net has them.
SIZES = ("width", "blocks", "stages", "features")
# The weights to begin with that ship.
SHIPPED = "shipped"
# Options that a single task has.
ONLY = {"iterations": "deblur", "psfs": "deblur", "real": "diagnose"}
# Up to these no two parts of a step share a seed, and torch takes every seed.
MOST_PARTS, MOST_SEED = 256, 2**32 - 1
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Options:
    """What a training run is told; ``imgrestore train --help`` says more.

    Attributes
    ----------
    task : str
        One of `GROUNDS`.
    out : str
        The weights' file; the run's folder lies beside it, under the same name without the suffix.
    clean, pairs, masks, textures : str
        Sources, empty where there is none: folders, or files packed by ``python -m imgrestore.data``.
    classes : str
        A folder of classes, as `imgrestore.data.classes.read_classes` takes it; empty where there is none.
    real : tuple of str
        For diagnose: photographs beside the clean pictures, as `imgrestore.data.photographs.labelled_folders` has it.
    minutes, steps : float, int
        The schedule's length; steps, where they are not 0, count instead of minutes.
    slice : float
        Stop after so many minutes, to be resumed; 0 for never.
    batch, parts : int
        Pictures of a step, and in how many parts they are drawn, 256 at the most: each process takes its share of the
        parts, one after another. 0 parts are one for each process.
    size : int
        Side of the crops, pixels.
    net : mapping
        What the user set of the net's size: width, blocks, stages, features.
    optimizer, loss : str
        One of `OPTIMIZERS`, one of `LOSSES` or of the task's own (`OWN_LOSSES`).
    lr, decay : float
        Learning rate at its highest (0 for the optimizer's own) and weight decay.
    seed, workers, validation : int
        Seed below 2^32, processes that prepare data, held-out pictures.
    log_every : int
        Steps between rows of ``log.csv``.
    validate_every, save_every : float
        Seconds.
    bf16 : bool or None
        Whether the net computes in bfloat16; None for on CUDA only.
    compile : str
        One of "off", "conv", "shift", "auto"; only "auto" times them.
    device : str
        Empty for CUDA where there is one, else the CPU.
    resume : bool
        Go on from the checkpoint, if there is one.
    iterations, psfs : int
        For deblur: iterations of the classical estimate, PSFs that are drawn.
    start : str
        Weights to begin with: "shipped" or a file; empty for a new net.
    patience : int
        Stop after so many validations in a row that are no better than the best; 0 for never.
    command : str
        What the card says the weights were made by.
    """

    task: str
    out: str
    clean: str = ""
    pairs: str = ""
    masks: str = ""
    textures: str = ""
    classes: str = ""
    real: tuple[str, ...] = ()
    minutes: float = 60.0
    steps: int = 0
    slice: float = 0.0
    batch: int = 16
    parts: int = 0
    size: int = 192
    net: Mapping[str, Any] = field(default_factory=dict)
    optimizer: str = "adamw"
    loss: str = "psnr"
    lr: float = 0.0
    decay: float = 1e-4
    seed: int = 0
    workers: int = 0
    validation: int = 16
    log_every: int = 50
    validate_every: float = 90.0
    save_every: float = 60.0
    bf16: bool | None = None
    compile: str = "off"
    device: str = ""
    resume: bool = True
    iterations: int = 15
    psfs: int = 20_000
    start: str = ""
    patience: int = 0
    command: str = ""

    def __post_init__(self) -> None:
        _one_of("task", self.task, tuple(GROUNDS))
        _one_of("optimizer", self.optimizer, tuple(OPTIMIZERS))
        _one_of("loss", self.loss, OWN_LOSSES.get(self.task, LOSSES))
        _one_of("compile", self.compile, COMPILE)
        if Path(self.out).suffix != SUFFIX:
            raise ValueError(f"--out is {self.out}; expected a file ending in {SUFFIX}")
        for name in ("batch", "size", "validation", "log_every", "iterations", "psfs"):
            _at_least(name, getattr(self, name), 1)
        free = ("steps", "slice", "parts", "lr", "decay", "seed", "workers", "validate_every", "save_every", "patience")
        for name in free:
            _at_least(name, getattr(self, name), 0)
        for name, most in (("parts", MOST_PARTS), ("seed", MOST_SEED)):
            if getattr(self, name) > most:
                raise ValueError(f"--{name} is {getattr(self, name)}; expected at most {most}")
        if not self.steps and not self.minutes > 0:
            raise ValueError(f"--minutes is {self.minutes}; expected more than 0, or --steps")
        if not self.lr:
            object.__setattr__(self, "lr", OPTIMIZERS[self.optimizer])

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.out).with_suffix("")

    @property
    def part_size(self) -> int:
        """Pictures in a part of a batch."""
        return self.batch // max(1, self.parts)

    def shared_by(self, processes: int) -> Options:
        """The same with the number of parts settled.

        Parameters
        ----------
        processes : int
            How many train together.

        Returns
        -------
        Options

        Raises
        ------
        ValueError
            Where the batch cannot be shared out evenly.
        """
        parts = self.parts or processes
        if parts % processes:
            raise ValueError(f"--parts is {parts}; expected a multiple of the {processes} processes")
        if self.batch % parts:
            raise ValueError(f"--batch is {self.batch}; expected a multiple of its {parts} parts")
        return replace(self, parts=parts)

    def seed_of(self, step: int, part: int = 0) -> int:
        """The seed of what is drawn in a step's part; another for every step and part.

        Parameters
        ----------
        step, part : int
            Counted from 0; at most 256 parts.

        Returns
        -------
        int
        """
        return (self.seed * 1_000_003 + step) * 257 + part

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint has to agree with for a run to go on from it.

        Returns
        -------
        dict
            Plain values. The length of the schedule, the device and how often things are written are free; whether
            the net computes in bfloat16 is settled by the trainer, which adds it.
        """
        names = ("task", "seed", "optimizer", "loss", "lr", "decay", "batch", "parts", "size", "validation")
        found = {name: getattr(self, name) for name in names}
        return {**found, "start": self.start} if self.start else found


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"--{name} is {value!r}; expected one of {', '.join(known)}")


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise ValueError(f"--{name.replace('_', '-')} is {value}; expected at least {least}")
