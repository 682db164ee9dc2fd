"""``imgrestore deblur``: pictures in, sharper pictures out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from imgrestore.io import Picture
    from imgrestore.psf import Psf
    from imgrestore.types import Restoration

    from .files import Job

INTERRUPTED = 130


class MethodName(str, Enum):
    """The methods of `imgrestore.deblur`, for the command line's help."""

    auto = "auto"
    wiener = "wiener"
    rl = "rl"
    tv = "tv"
    hyperlaplacian = "hyperlaplacian"


class BoundaryName(str, Enum):
    """What the scene does beyond the frame, for the command line's help."""

    unknown = "unknown"
    zero = "zero"
    reflect = "reflect"
    periodic = "periodic"


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="IN", help="Pictures, folders of pictures, or patterns.")],
    out: Annotated[
        str,
        typer.Option("-o", "--out", metavar="OUT", help="A file for one picture, else a folder."),
    ],
    psf: Annotated[
        str | None,
        typer.Option(help="What blurred them: gaussian:SIGMA, disk:RADIUS, motion:LENGTH:ANGLE, or a file."),
    ] = None,
    method: Annotated[MethodName, typer.Option(help="How to deblur.")] = MethodName.auto,
    noise: Annotated[
        float | None,
        typer.Option(min=0, help="Standard deviation of the noise, in the pictures' units; estimated by default."),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture that is bright where pixels are good.")
    ] = None,
    boundary: Annotated[
        BoundaryName, typer.Option(help="What the scene does beyond the frame.")
    ] = BoundaryName.unknown,
    refine: Annotated[
        bool, typer.Option("--refine/--no-refine", help="Let the method auto refine photographs by the net.")
    ] = True,
    details: Annotated[
        str | None,
        typer.Option(
            metavar="SHEET", help="Draw input, result, residual and PSF: a file, or for several a folder or {name}.png."
        ),
    ] = None,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Go down into folders.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say what was estimated.")] = False,
) -> None:
    """Deblur pictures whose blur is known.

    Type, size, bit depth and metadata of each picture are kept.

    A stack of pages is deblurred as a volume with a 3-D PSF, else page by page.

    A file that fails is reported in one line while the others go on; the exit status is then 1.
    """
    from .files import UsageError, plan

    try:
        jobs = plan(inputs, out, details=details, recursive=recursive)
        known = _psf(psf)
        good = _mask(mask)
    except (UsageError, OSError, ValueError, TypeError, ImportError) as error:
        _say(f"imgrestore deblur: {_one_line(error)}")
        raise typer.Exit(2) from None
    settings = {
        "psf": known,
        "method": method.value,
        "noise": noise,
        "mask": good,
        "boundary": boundary.value,
        "refine": refine,
    }
    failed = done = 0
    try:
        with _progress(len(jobs)) as (step, say):
            for job in jobs:
                step(job.source.name, done + failed)
                try:
                    for note in _restore(job, settings, overwrite=overwrite, verbose=verbose):
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


def _psf(text: str | None) -> Psf:
    from imgrestore.psf import Psf

    if text is None:
        from imgrestore.tasks.deblur import NO_PSF

        raise ValueError(f"--psf is missing: {NO_PSF}")
    try:
        return Psf.parse(text)
    except FileNotFoundError:
        raise ValueError(
            f"--psf {text}: no such file, nor gaussian:SIGMA, disk:RADIUS or motion:LENGTH:ANGLE"
        ) from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"--psf {text}: {error}") from None


def _mask(path: Path | None) -> np.ndarray | None:
    """True where the mask's picture is brighter than half its range; colours are averaged, alpha is left off."""
    if path is None:
        return None
    from imgrestore import io

    picture = io.read(path)
    values = picture.pixels
    if picture.has_alpha:
        values = values[..., :-1]
    if values.ndim == 3 + picture.has_pages:
        values = values.mean(axis=-1)
    return values > _full(picture.pixels.dtype) / 2


def _full(dtype: np.dtype) -> float:
    import numpy as np

    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


def _restore(job: Job, settings: dict[str, Any], *, overwrite: bool, verbose: bool) -> list[str]:
    """Restore one file; what a user should know of it."""
    import numpy as np

    from imgrestore import io

    for path in (job.target, job.sheet):
        if path is not None and path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists already; --overwrite replaces it")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        picture = io.read(job.source)
        pixels, shown = deblur_picture(picture, settings, details=job.sheet is not None or verbose)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        io.write(job.target, pixels, like=picture, overwrite=overwrite)
        if job.sheet is not None and shown is not None:
            from imgrestore.sheet import draw

            page = f" · page 1 of {picture.pages}" if picture.has_pages and settings["psf"].ndim == 2 else ""
            job.sheet.parent.mkdir(parents=True, exist_ok=True)
            io.write(job.sheet, np.asarray(draw(shown, title=job.source.name + page)), overwrite=overwrite)
    notes = list(dict.fromkeys(_one_line(w.message) for w in heard if issubclass(w.category, UserWarning)))
    return [*notes, *(shown.notes if verbose and shown is not None else ())]


def deblur_picture(
    picture: Picture, settings: dict[str, Any], *, details: bool
) -> tuple[np.ndarray, Restoration | None]:
    """Deblur what was read from a file, pages and all.

    Parameters
    ----------
    picture : Picture
    settings : dict
        Keywords of `imgrestore.deblur`; ``psf`` is a `Psf`.
    details : bool
        Return the `Restoration` too: that of the stack, or of the first page.

    Returns
    -------
    pixels : ndarray
        Shape and dtype of the picture's.
    restoration : Restoration or None
    """
    import numpy as np

    pixels, volume = picture.pixels, settings["psf"].ndim == 3
    if volume and not picture.has_pages:
        raise ValueError(f"the PSF is 3-D {settings['psf'].shape} and this is one picture; expected a stack of pages")
    if volume or not picture.has_pages:
        return _deblur_pixels(pixels, picture, settings, details=details)
    mask = settings["mask"]
    by_page = mask is not None and mask.shape == pixels.shape[:3]
    pages, first = [], None
    for number, page in enumerate(pixels):
        own = {**settings, "mask": mask[number]} if by_page else settings
        result, shown = _deblur_pixels(page, picture, own, details=details and number == 0)
        first = first or shown
        pages.append(result)
    return np.stack(pages), first


def _deblur_pixels(
    pixels: np.ndarray, picture: Picture, settings: dict[str, Any], *, details: bool
) -> tuple[np.ndarray, Restoration | None]:
    import numpy as np

    from imgrestore.tasks.deblur import deblur

    dtype, alpha = pixels.dtype, None
    has_channels = pixels.ndim > settings["psf"].ndim
    if picture.has_alpha and pixels.shape[-1] not in (2, 4):
        pixels, alpha = pixels[..., :-1], pixels[..., -1:]
    # A file says whether its last channel is alpha, an array of 2 or 4 channels cannot.
    axis: Any = -1 if has_channels and (not picture.has_alpha or alpha is not None) else "auto"
    counts = dtype.kind in "iu" and dtype not in (np.uint8, np.uint16)
    if counts:
        pixels = pixels.astype(np.float64)
    answer = deblur(pixels, **settings, details=details, channel_axis=axis)
    result = answer.image if details else answer
    if counts:
        limits = np.iinfo(dtype)
        result = np.rint(result).clip(limits.min, limits.max).astype(dtype)
    if alpha is not None:
        result = np.concatenate([result, alpha], axis=-1)
    return result, answer if details else None


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
