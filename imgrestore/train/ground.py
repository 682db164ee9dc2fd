"""What a task brings to be trained: its data, net, loss and validation; the trainer knows nothing else of it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from numpy.typing import NDArray
from torch import nn

from imgrestore.train.options import GROUNDS, ONLY, SIZES, Options
from imgrestore.train.scores import Measure

__all__ = ["CallError", "Ground", "TrainError", "ground_of", "net_config", "options_for", "reading"]

SOURCES = ("clean", "pairs", "masks", "textures", "classes")
Config = TypeVar("Config")


class TrainError(RuntimeError):
    """Training cannot begin or go on, for a reason that the message tells."""


class CallError(TrainError):
    """Training cannot begin since what was asked for makes no sense."""


class Ground(Protocol):
    """A task's training ground, made as ``ClassOfTheTask(options, device)``.

    Every process makes one of its own, with the same data.

    Attributes
    ----------
    needs, takes : tuple of str
        Which sources ("clean", "pairs", ...) have to be given, and which others may be.
    defaults : mapping
        Fields of `Options` that this task begins with where the user sets nothing.
    measure : Measure
        What its scores are; more is better.
    sets : list of str
        Names of the data sets (folders) that are trained on.
    held : list of str
        Names of the held-out pictures.
    count : int
        How many pictures are trained on.
    fingerprint : dict
        Further settings without which a run cannot be continued, as plain values: ``{"psfs": 20000}``.
    """

    needs: ClassVar[tuple[str, ...]]
    takes: ClassVar[tuple[str, ...]]
    defaults: ClassVar[Mapping[str, Any]]
    measure: ClassVar[Measure]
    sets: list[str]
    held: list[str]
    count: int
    fingerprint: dict[str, Any]

    def __init__(self, options: Options, device: torch.device) -> None: ...

    def net(self) -> nn.Module:
        """A new net, its size from ``options.net`` (see `net_config`); it has ``.config`` with ``to_dict()``."""

    def batch(self, step: int, part: int) -> Any:
        """One of the ``options.parts`` parts of a step's batch, ``options.part_size`` pictures.

        It depends on the seed, the step and the part alone (see ``options.seed_of``), never on what was drawn before.
        """

    def step_loss(self, net: nn.Module, batch: Any) -> torch.Tensor:
        """The loss, a scalar: a mean over the part's pictures. Called under autocast where bf16 is on."""

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Scores of fixed held-out cases: "before CASE" and "net CASE" of each. Without gradients."""

    def remarks(self, net: nn.Module) -> dict[str, Any]:
        """Other facts about the net for its card, by what they are; none by which it is chosen. Without gradients.

        Plain values, as JSON has them.
        """

    def samples(self, net: nn.Module) -> NDArray[Any]:
        """A sheet to look at (uint8, (H, W, 3)): a row of observed, classical, net, truth for some held-out crops."""


def ground_of(task: str) -> type[Ground]:
    """The class of a task's ground.

    Parameters
    ----------
    task : str
        One of `GROUNDS`.

    Returns
    -------
    type

    Raises
    ------
    CallError
        For any other name.
    """
    if task not in GROUNDS:
        raise CallError(f"task is {task!r}; expected one of {', '.join(GROUNDS)}")
    module, name = GROUNDS[task].split(":")
    found: type[Ground] = getattr(import_module(module), name)
    return found


def options_for(task: str, given: Mapping[str, Any]) -> Options:
    """The options of a run: what was given, else the task's defaults, else the general ones.

    Parameters
    ----------
    task : str
        One of `GROUNDS`.
    given : mapping
        Fields of `Options`; those that are None count as not given.

    Returns
    -------
    Options

    Raises
    ------
    CallError
        Where a source that the task needs is missing, a source or an option is given that it does not take, or a value
        makes no sense.
    """
    kind = ground_of(task)
    known = (*kind.needs, *kind.takes)
    taken = " and ".join(f"--{name}" for name in known)
    if not any(given.get(name) for name in known) and not kind.needs:
        raise CallError(f"{taken} are missing: {task} is trained on one of them at least")
    for source in SOURCES:
        if source in kind.needs and not given.get(source):
            raise CallError(f"--{source} is missing: {task} is trained on it; expected a folder or a packed file")
        if source not in known and given.get(source):
            raise CallError(f"--{source} is {given[source]}; expected none: {task} takes {taken}")
        if given.get(source) and not Path(given[source]).exists():
            raise CallError(f"--{source} {given[source]}: no such file or folder")
    for name, owner in ONLY.items():
        if task != owner and given.get(name) is not None:
            raise CallError(f"--{name} is {given[name]}; expected none: {owner} alone takes it")
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Options(task=task, **{**kind.defaults, **chosen})
    except ValueError as error:
        raise CallError(str(error)) from None


def net_config(kind: Callable[..., Config], defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Config:
    """A net's configuration from what the user set.

    Parameters
    ----------
    kind : dataclass
        The configuration's class.
    defaults : mapping
        The task's.
    given : mapping
        ``options.net``.

    Returns
    -------
    Config

    Raises
    ------
    CallError
        Where the net has no such number, or cannot be of that size.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name, value in given.items():
        if name not in known:
            offered = ", ".join(f"--{size}" for size in SIZES if size in known)
            raise CallError(f"--{name} is {_plain(value)}; expected none: this net has {offered}")
        if name in SIZES and min(value if isinstance(value, (tuple, list)) else (value,), default=0) < 1:
            raise CallError(f"--{name} is {_plain(value)}; expected at least 1")
    try:
        return kind(**{**defaults, **given})
    except ValueError as error:
        raise CallError(str(error)) from None


def _plain(value: Any) -> str:
    """As the command line takes it."""
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


@contextmanager
def reading(option: str, path: str) -> Iterator[None]:
    """Turn what goes wrong as a source is read into one clear error.

    Parameters
    ----------
    option : str
        One of `SOURCES`.
    path : str
        What the user gave.

    Raises
    ------
    TrainError
        Naming both.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainError(f"--{option} {path}: cannot be read ({error})") from None
