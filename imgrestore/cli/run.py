"""What the commands of all tasks do: read pictures, restore them, write them, and say what failed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from imgrestore.job import Work, one_line, reason, restore_file, restore_picture
from imgrestore.job_tiles import UNASKED, Limits

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Asked",
    "Limits",
    "Work",
    "carried_out",
    "on_device",
    "progress_bar",
    "read_mask",
    "read_pixels",
    "read_triple",
    "restore_picture",
    "run",
    "say",
]

FAILED, USAGE, INTERRUPTED = 1, 2, 130
# Characters of a file's name beside which there is room on a terminal for what is being done.
NAME_WIDTH = 24


@dataclass(frozen=True)
class Asked:
    """What the command of a task was asked to do.

    Attributes
    ----------
    name : str
        The command's.
    prepare : callable
        Gives the `Work`; what it raises is an error of usage.
    inputs, out, details, recursive, overwrite, verbose, save_psf
        As on the command line.
    """

    name: str
    prepare: Callable[[], Work]
    inputs: list[str]
    out: str
    details: str | None
    recursive: bool
    overwrite: bool
    verbose: bool
    save_psf: str | None


def run(
    name: str,
    prepare: Callable[[], Work],
    inputs: list[str],
    out: str,
    *,
    details: str | None,
    recursive: bool,
    overwrite: bool,
    verbose: bool,
    save_psf: str | None = None,
    limits: Limits = UNASKED,
) -> None:
    """Carry out a command.

    Parameters
    ----------
    name : str
        The command's.
    prepare : callable
        Gives the `Work`; what it raises is an error of usage, and nothing is restored.
    inputs, out, details, recursive, overwrite, verbose, save_psf
        As on the command line.
    limits : Limits
        For pictures that are restored tile by tile.

    Raises
    ------
    typer.Exit
        With status 2 for an error of usage, 1 where a picture failed, 130 where the user stopped it.
    """

    def ready() -> Work:
        limits.check(details, save_psf)
        return replace(prepare(), limits=limits)

    _HOW.get()(Asked(name, ready, inputs, out, details, recursive, overwrite, verbose, save_psf))


@contextmanager
def carried_out(how: Callable[[Asked], None]) -> Iterator[None]:
    """Within it, what the commands of tasks are asked for is carried out in another way than one by one, here.

    Parameters
    ----------
    how : callable
        Takes an `Asked`.
    """
    before = _HOW.set(how)
    try:
        yield
    finally:
        _HOW.reset(before)


def _one_by_one(asked: Asked) -> None:
    from .files import UsageError, plan

    overwrite, verbose = asked.overwrite, asked.verbose
    try:
        jobs = plan(asked.inputs, asked.out, details=asked.details, save_psf=asked.save_psf, recursive=asked.recursive)
        work = asked.prepare()
    except (UsageError, OSError, ValueError, TypeError, ImportError) as error:
        say(f"imgrestore {asked.name}: {one_line(error)}")
        raise typer.Exit(USAGE) from None
    failed = done = 0
    try:
        with progress_bar(len(jobs)) as (step, tell):
            for job in jobs:
                step(job.source.name, done + failed)
                moved = _steps_within(step, job.source.name, done + failed)
                try:
                    for note in restore_file(job, work, moved, overwrite=overwrite, verbose=verbose):
                        tell(f"{job.source}: {note}")
                    done += 1
                except Exception as error:
                    tell(f"{job.source}: {reason(error, job)}")
                    failed += 1
            step("", done + failed)
    except KeyboardInterrupt:
        say(f"interrupted: {done} of {len(jobs)} done")
        raise typer.Exit(INTERRUPTED) from None
    if failed:
        if len(jobs) > 1:
            say(f"{failed} of {len(jobs)} failed")
        raise typer.Exit(FAILED)


_HOW: ContextVar[Callable[[Asked], None]] = ContextVar("_HOW", default=_one_by_one)


def on_device(device: str | None) -> dict[str, str]:
    """The setting of a task that says where it computes.

    Parameters
    ----------
    device : str or None
        As on the command line.

    Returns
    -------
    dict
        Empty where nothing is said.

    Raises
    ------
    ValueError
        Where there is no such device: told now rather than of every picture.
    """
    from imgrestore.tasks.device import chosen

    return {} if device is None else {"device": str(chosen(device, None))}


def read_mask(path: Path | None) -> np.ndarray | None:
    """Read a mask from a picture.

    Parameters
    ----------
    path : Path or None

    Returns
    -------
    ndarray of bool or None
        True where the picture is brighter than half its range; colours are averaged, alpha is left off.
    """
    import numpy as np

    from imgrestore import io

    if path is None:
        return None
    picture = io.read(path)
    values = picture.pixels
    if picture.has_alpha:
        values = values[..., :-1]
    if values.ndim == 3 + picture.has_pages:
        values = values.mean(axis=-1)
    dtype = picture.pixels.dtype
    return values > (float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0) / 2


def read_pixels(path: Path | None) -> np.ndarray | None:
    """Read a second picture of the same scene.

    Parameters
    ----------
    path : Path or None

    Returns
    -------
    ndarray or None
    """
    from imgrestore import io

    return None if path is None else io.read(path).pixels


def read_triple(text: str, option: str) -> str | tuple[float, ...]:
    """Read three numbers, or the word auto.

    Parameters
    ----------
    text : str
        "auto" or "R,G,B".
    option : str
        What the error calls it.

    Returns
    -------
    str or tuple of float
    """
    if text == "auto":
        return text
    try:
        red, green, blue = (float(part) for part in text.split(","))
        sound = all(0 <= value < math.inf for value in (red, green, blue)) and red + green + blue > 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError(f"{option} is {text!r}; expected auto or three numbers R,G,B that are not negative")
    return red, green, blue


def _steps_within(step: Callable[[str, int], object], name: str, done: int) -> Callable[[str, float], None]:
    """What to call as one picture moves on: the bar says what is being done with it."""
    if len(name) > NAME_WIDTH:
        name = f"{name[: NAME_WIDTH - 1]}…"

    def moved(text: str, part: float) -> None:
        step(f"{name}: {text}", done)

    return moved


@contextmanager
def progress_bar(total: int) -> Iterator[tuple[Any, Any]]:
    """Two functions, one to advance a bar (on a terminal only) and one to print a line that does not break it.

    Parameters
    ----------
    total : int

    Yields
    ------
    callable, callable
        The first takes what is being done and how many are done, the second a line.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False, highlight=False)
    if not console.is_terminal:
        yield lambda name, done: None, say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield (
            lambda name, done: bar.update(task, description=name.replace("[", r"\["), completed=done),
            lambda line: console.print(line, soft_wrap=True),
        )


def say(line: str) -> None:
    """Print a line to standard error."""
    print(line, file=sys.stderr, flush=True)
