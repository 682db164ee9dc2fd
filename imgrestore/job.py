"""One picture file restored into another: what the single commands and a batch of workers both do.

Nothing heavy is imported before a file is restored.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrestore.job_tiles import UNASKED, Limits, goes_by_tiles, restore_by_tiles

if TYPE_CHECKING:
    import numpy as np

    from imgrestore.io import Picture
    from imgrestore.types import Restoration

__all__ = ["Job", "Watch", "Work", "one_line", "reason", "restore_file", "restore_picture"]

# Settings that are a picture of the same kind as the one to restore.
SECOND = ("flash", "polarized")


@dataclass(frozen=True)
class Job:
    """One picture to restore.

    Attributes
    ----------
    source, target : Path
    sheet : Path or None
        Where the sheet goes, if one is wanted.
    psf : Path or None
        Where the PSF goes, if it is to be kept.
    """

    source: Path
    target: Path
    sheet: Path | None = None
    psf: Path | None = None


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
    limits : Limits
        For pictures that are restored tile by tile.
    """

    task: Callable[..., Any]
    settings: dict[str, Any]
    space: int = 2
    has_progress: bool = False
    told: Callable[[Restoration], str | None] | None = None
    limits: Limits = UNASKED


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


def restore_file(
    job: Job, work: Work, moved: Callable[[str, float], object], *, overwrite: bool, verbose: bool
) -> list[str]:
    """Restore one file.

    Parameters
    ----------
    job : Job
        Folders that its results need are made.
    work : Work
    moved : callable
        As in `Watch`.
    overwrite : bool
        Whether to replace files that exist.
    verbose : bool
        Whether all notes are given.

    Returns
    -------
    list of str
        What a user should know of it.

    Raises
    ------
    FileExistsError
        A result exists, and `overwrite` is False.
    PictureError, ValueError, TypeError, OSError, ImportError
        It cannot be read, restored or written.
    """
    import numpy as np

    from imgrestore import io

    for path in (job.target, job.sheet, job.psf):
        if path is not None and path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists already; --overwrite replaces it")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if goes_by_tiles(job, work):
        return restore_by_tiles(job, work, moved, overwrite=overwrite, verbose=verbose)
    told: list[str] = []
    details = verbose or job.sheet is not None or job.psf is not None
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        picture = io.read(job.source)
        pixels, shown = restore_picture(picture, work, Watch(told.append, moved), details=details)
        if job.psf is not None and shown is not None and shown.psf is not None:
            from imgrestore.psf_file import write_psf

            write_psf(job.psf, shown.psf, overwrite=overwrite)
        if job.sheet is not None and shown is not None:
            from imgrestore.sheet import draw

            page = f" · page 1 of {picture.pages}" if picture.has_pages and work.space == 2 else ""
            io.write(job.sheet, np.asarray(draw(shown, title=job.source.name + page)), overwrite=overwrite)
        # Last, so that the rest is there where the picture is.
        io.write(job.target, pixels, like=picture, overwrite=overwrite)
    warned = dict.fromkeys(one_line(w.message) for w in heard if issubclass(w.category, UserWarning))
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


def _as_counts(pixels: np.ndarray | None) -> np.ndarray | None:
    return None if pixels is None else pixels.astype("float64")


def one_line(error: object) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


def reason(error: Exception, job: Job) -> str:
    """Why a file failed, in one line that does not name it twice.

    Parameters
    ----------
    error : Exception
    job : Job

    Returns
    -------
    str
    """
    text = one_line(error)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text:
        return "there is not enough memory for it"
    if not isinstance(error, (ValueError, TypeError, OSError, ImportError)):
        text = f"{type(error).__name__}: {text}"
    return text.removeprefix(f"cannot read {job.source}: ")
