"""What the commands of all tasks do: read pictures, restore them, write them, and say what failed."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .large import UNASKED, Limits, goes_by_tiles, restore_by_tiles

if TYPE_CHECKING:
    import numpy as np

    from imgrestore.io import Picture
    from imgrestore.types import Restoration

    from .files import Job

__all__ = ["Watch", "Work", "on_device", "read_mask", "read_pixels", "read_triple", "restore_picture", "run"]

INTERRUPTED = 130
# Settings that are a picture of the same kind as the one to restore.
SECOND = ("flash", "polarized")
# Characters of a file's name beside which there is room on a terminal for what is being done.
NAME_WIDTH = 24


@dataclass(frozen=True)
class Work:
    """What is done to every picture.

    Attributes
    ----------
    task : callable
        A task of the library: ``task(pixels, details=..., channel_axis=..., **settings)``.
    settings : dict
        Its other keywords.
    space : int
        3 where a stack of pages is one volume; 2 where each page is a picture.
    has_progress : bool
        Whether the task takes ``progress``, a function of what is being done and the part that is done.
    told : callable, optional
        What a user is told of every result, or of every page's, unasked; None for nothing.
    """

    task: Callable[..., Any]
    settings: dict[str, Any]
    space: int = 2
    has_progress: bool = False
    told: Callable[[Restoration], str | None] | None = None


@dataclass(frozen=True)
class Watch:
    """Who hears of a picture while it is restored.

    Attributes
    ----------
    tell : callable
        Takes a line for the user.
    moved : callable
        Takes what is being done and the part of it that is done.
    """

    tell: Callable[[str], object] = lambda line: None
    moved: Callable[[str, float], object] = lambda text, part: None

    def of_page(self, number: int, count: int) -> Watch:
        """The same, with a page's number before each line."""
        return Watch(
            lambda line: self.tell(f"page {number}: {line}"),
            lambda text, part: self.moved(f"page {number} of {count}, {text}", part),
        )


NOBODY = Watch()


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
    from .files import UsageError, plan

    try:
        jobs = plan(inputs, out, details=details, save_psf=save_psf, recursive=recursive)
        limits.check(details, save_psf)
        work = prepare()
    except (UsageError, OSError, ValueError, TypeError, ImportError) as error:
        _say(f"imgrestore {name}: {_one_line(error)}")
        raise typer.Exit(2) from None
    failed = done = 0
    try:
        with _progress(len(jobs)) as (step, say):
            for job in jobs:
                step(job.source.name, done + failed)
                moved = _steps_within(step, job.source.name, done + failed)
                try:
                    for note in _restore(job, work, limits, moved, overwrite=overwrite, verbose=verbose):
                        say(f"{job.source}: {note}")
                    done += 1
                except Exception as error:
                    say(f"{job.source}: {_reason(error, job)}")
                    failed += 1
            step("", done + failed)
    except KeyboardInterrupt:
        _say(f"interrupted: {done} of {len(jobs)} done")
        raise typer.Exit(INTERRUPTED) from None
    if failed:
        if len(jobs) > 1:
            _say(f"{failed} of {len(jobs)} failed")
        raise typer.Exit(1)


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


def _restore(
    job: Job, work: Work, limits: Limits, moved: Callable[[str, float], object], *, overwrite: bool, verbose: bool
) -> list[str]:
    """Restore one file; what a user should know of it."""
    import numpy as np

    from imgrestore import io

    for path in (job.target, job.sheet, job.psf):
        if path is not None and path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists already; --overwrite replaces it")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if goes_by_tiles(job, work, limits):
        return restore_by_tiles(job, work, limits, moved, overwrite=overwrite, verbose=verbose)
    told: list[str] = []
    details = verbose or job.sheet is not None or job.psf is not None
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        picture = io.read(job.source)
        pixels, shown = restore_picture(picture, work, Watch(told.append, moved), details=details)
        io.write(job.target, pixels, like=picture, overwrite=overwrite)
        if job.psf is not None and shown is not None and shown.psf is not None:
            from .psf_file import write_psf

            write_psf(job.psf, shown.psf, overwrite=overwrite)
        if job.sheet is not None and shown is not None:
            from imgrestore.sheet import draw

            page = f" · page 1 of {picture.pages}" if picture.has_pages and work.space == 2 else ""
            io.write(job.sheet, np.asarray(draw(shown, title=job.source.name + page)), overwrite=overwrite)
    warned = dict.fromkeys(_one_line(w.message) for w in heard if issubclass(w.category, UserWarning))
    notes = shown.notes if verbose and shown is not None else ()
    return [*warned, *told, *(note for note in notes if not any(line.endswith(note) for line in told))]


def restore_picture(
    picture: Picture, work: Work, watch: Watch = NOBODY, *, details: bool
) -> tuple[np.ndarray, Restoration | None]:
    """Restore what was read from a file, pages and all.

    Parameters
    ----------
    picture : Picture
    work : Work
    watch : Watch
    details : bool
        Return the `Restoration` too: that of the stack, or of the first page.

    Returns
    -------
    pixels : ndarray
        Shape and dtype of the picture's.
    restoration : Restoration or None
    """
    import numpy as np

    pixels, volume = picture.pixels, work.space == 3
    if volume and not picture.has_pages:
        shape = work.settings["psf"].shape
        raise ValueError(f"the PSF is 3-D {shape} and this is one picture; expected a stack of pages")
    if volume or not picture.has_pages:
        return _restore_pixels(pixels, picture, work, work.settings, watch, details=details)
    mask = work.settings.get("mask")
    by_page = mask is not None and mask.shape == pixels.shape[:3]
    pages, first = [], None
    for number, page in enumerate(pixels):
        own = {**work.settings, "mask": mask[number]} if mask is not None and by_page else work.settings
        beside = watch.of_page(number + 1, len(pixels))
        result, shown = _restore_pixels(page, picture, work, own, beside, details=details and number == 0)
        first = first or shown
        pages.append(result)
    return np.stack(pages), first


def _restore_pixels(
    pixels: np.ndarray, picture: Picture, work: Work, settings: dict[str, Any], watch: Watch, *, details: bool
) -> tuple[np.ndarray, Restoration | None]:
    import numpy as np

    dtype, alpha = pixels.dtype, None
    has_channels = pixels.ndim > work.space
    if picture.has_alpha and pixels.shape[-1] not in (2, 4):
        pixels, alpha = pixels[..., :-1], pixels[..., -1:]
    # A file says whether its last channel is alpha, an array of 2 or 4 channels cannot.
    axis: Any = -1 if has_channels and (not picture.has_alpha or alpha is not None) else "auto"
    counts = dtype.kind in "iu" and dtype not in (np.uint8, np.uint16)
    if counts:
        pixels = pixels.astype(np.float64)
        settings = {name: _as_counts(value) if name in SECOND else value for name, value in settings.items()}
    if work.has_progress:
        settings = {**settings, "progress": watch.moved}
    asked = details or work.told is not None
    answer = work.task(pixels, **settings, details=asked, channel_axis=axis)
    result = answer.image if asked else answer
    line = None if work.told is None else work.told(answer)
    if line:
        watch.tell(line)
    if counts:
        limits = np.iinfo(dtype)
        result = np.rint(result).clip(limits.min, limits.max).astype(dtype)
    if alpha is not None:
        result = np.concatenate([result, alpha], axis=-1)
    return result, answer if details else None


def _steps_within(step: Callable[[str, int], object], name: str, done: int) -> Callable[[str, float], None]:
    """What to call as one picture moves on: the bar says what is being done with it."""
    if len(name) > NAME_WIDTH:
        name = f"{name[: NAME_WIDTH - 1]}…"

    def moved(text: str, part: float) -> None:
        step(f"{name}: {text}", done)

    return moved


@contextmanager
def _progress(total: int) -> Iterator[tuple[Any, Any]]:
    """Two functions, one to advance a bar (on a terminal only) and one to print a line that does not break it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False, highlight=False)
    if not console.is_terminal:
        yield lambda name, done: None, _say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield (
            lambda name, done: bar.update(task, description=name.replace("[", r"\["), completed=done),
            lambda line: console.print(line, soft_wrap=True),
        )


def _as_counts(pixels: np.ndarray | None) -> np.ndarray | None:
    return None if pixels is None else pixels.astype("float64")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _reason(error: Exception, job: Job) -> str:
    """Why a file failed, in one line that does not name it twice."""
    text = _one_line(error)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text:
        return "there is not enough memory for it"
    if not isinstance(error, (ValueError, TypeError, OSError, ImportError)):
        text = f"{type(error).__name__}: {text}"
    return text.removeprefix(f"cannot read {job.source}: ")
