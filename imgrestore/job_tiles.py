"""Picture files that are restored tile by tile: which they are, and how."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgrestore.job import Job, Work

__all__ = ["IN_MEMORY", "MAX_MEMORY", "UNASKED", "Limits", "goes_by_tiles", "restore_by_tiles"]

MAX_MEMORY = "2GB"
IN_MEMORY = 100_000_000
"""TIFF files of more pixels go tile by tile unasked."""


@dataclass(frozen=True)
class Limits:
    """What was asked of tiles on the command line.

    Attributes
    ----------
    max_memory : str or None
        The most memory of the process; None is 2 GB.
    tile : int or None
        Rows and columns of a tile; None is as large as memory allows.
    """

    max_memory: str | None = None
    tile: int | None = None

    @property
    def asked(self) -> bool:
        """Whether every picture is to go tile by tile."""
        return self.max_memory is not None or self.tile is not None

    def check(self, details: str | None, save_psf: str | None) -> None:
        """Raise ValueError for what makes no sense, before any picture is read."""
        from imgrestore.tiles import parse_bytes

        if self.max_memory is not None:
            parse_bytes(self.max_memory, "--max-memory")
        for option, value in (("--details", details), ("--save-psf", save_psf)):
            if self.asked and value is not None:
                raise ValueError(
                    f"{option} goes with pictures that are restored whole, not with --max-memory or --tile"
                )


UNASKED = Limits()


def goes_by_tiles(job: Job, work: Work) -> bool:
    """Tell whether a picture is restored tile by tile.

    Parameters
    ----------
    job : Job
    work : Work

    Returns
    -------
    bool
        True where that was asked for, for Zarr, and for a page of TIFF of more than `IN_MEMORY` pixels that becomes
        TIFF again, if nothing is wanted of it that only a whole picture gives.
    """
    from imgrestore import io

    if work.limits.asked or ".zarr" in (job.source.suffix.lower(), job.target.suffix.lower()) or io.is_zarr(job.source):
        return True
    from imgrestore.job import SECOND
    from imgrestore.tiles import TASKS

    whole = job.sheet or job.psf or work.space == 3 or work.task.__name__ not in TASKS
    whole = whole or any(work.settings.get(name) is not None for name in SECOND)
    if whole or job.target.suffix.lower() not in io.FORMATS["TIFF"]:
        return False
    pages, height, width = io.tiff_size(job.source) or (0, 0, 0)
    return pages == 1 and height * width > IN_MEMORY


def restore_by_tiles(
    job: Job, work: Work, moved: Callable[[str, float], object], *, overwrite: bool, verbose: bool
) -> list[str]:
    """Restore one file tile by tile.

    Parameters
    ----------
    job : Job
    work : Work
    moved : callable
        Takes what is being done and the part of it that is done.
    overwrite, verbose : bool

    Returns
    -------
    list of str
        What a user should know of it.
    """
    from imgrestore import io
    from imgrestore.tiles import restore_large
    from imgrestore.types import Restoration

    if job.sheet is not None or job.psf is not None:
        raise ValueError("--details and --save-psf go with pictures that are restored whole; this goes tile by tile")
    pages = (io.tiff_size(job.source) or (1, 0, 0))[0] if job.source.is_file() else 1
    if pages > 1:
        raise ValueError(
            f"it is a stack of {pages} pages, which are restored whole: leave --max-memory and --tile away"
        )
    settings = {name: value for name, value in work.settings.items() if value is not None}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        summary = restore_large(
            work.task.__name__,
            job.source,
            job.target,
            max_memory=work.limits.max_memory or MAX_MEMORY,
            tile=work.limits.tile,
            overwrite=overwrite,
            progress=moved,
            **settings,
        )
    lines = list(dict.fromkeys(" ".join(str(w.message).split()) for w in heard if issubclass(w.category, UserWarning)))
    notes = sorted(summary.notes, key=lambda note: not note.startswith("nothing to"))
    told = None if work.told is None else work.told(Restoration(None, notes=tuple(notes)))
    if told:
        lines.append(told)
    if verbose:
        high, wide = summary.tile
        lines += [note for note in notes if told is None or not told.endswith(note)]
        lines.append(f"{summary.tiles} tiles of {high} x {wide} pixels with a halo of {summary.halo}")
        lines.append(f"at most {summary.predicted_bytes / 1e6:.0f} MB of memory expected")
    return lines
