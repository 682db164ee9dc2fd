"""Which files a command reads and which it writes, settled and checked before any work is done."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgrestore import io
from imgrestore.job import Job

PICTURES = frozenset({*io.SUPPORTED, ".zarr"})
"""What pictures are written as."""
SHEETS = (".png", ".jpg", ".jpeg", ".webp")
"""The formats in which a sheet is worth keeping."""
PSFS = (".npy", ".tif", ".tiff", ".png")
"""The formats in which a PSF is kept: exact, as float32, and scaled to 16 bits."""


class UsageError(ValueError):
    """The command cannot be carried out as it was given; nothing was read or written."""


@dataclass(frozen=True)
class _Found:
    path: Path
    inside: Path  # where it goes below a target folder
    from_many: bool  # a folder or a pattern gave it


def plan(
    inputs: Sequence[str],
    out: str,
    *,
    details: str | None = None,
    save_psf: str | None = None,
    recursive: bool = False,
) -> list[Job]:
    """Expand files, folders and patterns, and name the file that each picture is written to.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders (their pictures, sorted) and patterns that the shell left as they are.
    out : str
        A file for one picture, else a folder. A folder's own structure is kept below it.
    details : str, optional
        The sheet of one picture; for several a folder, or a name with ``{name}`` in it.
    save_psf : str, optional
        The same for the PSF.
    recursive : bool
        Go down into folders.

    Returns
    -------
    list of Job

    Raises
    ------
    UsageError
        Where a folder or pattern has no picture, or files would be written over each other or over an input.
    """
    found = _expand(inputs, recursive)
    single = len(found) == 1 and not (found[0].from_many and Path(out).suffix.lower() not in PICTURES)
    folder = _is_folder(out) or not single
    if folder:
        if Path(out).is_file() or (Path(out).suffix.lower() in PICTURES and not _is_folder(out)):
            raise UsageError(f"-o {out} is one file for {len(found)} pictures; expected a folder")
    else:
        _check_file(out, PICTURES, "-o")
    jobs = [
        Job(
            item.path,
            Path(out) / item.inside if folder else Path(out),
            None if details is None else _beside("--details", details, SHEETS, item.inside, len(found)),
            None if save_psf is None else _beside("--save-psf", save_psf, PSFS, item.inside, len(found)),
        )
        for item in found
    ]
    _check_apart(jobs)
    return jobs


def read_only(inputs: Sequence[str], *, sheet: str | None, recursive: bool) -> list[tuple[Path, Path | None]]:
    """Expand files, folders and patterns for a command that writes at most a sheet for each.

    Parameters
    ----------
    inputs : sequence of str
        As in `plan`.
    sheet : str or None
        As `details` in `plan`.
    recursive : bool
        Go down into folders.

    Returns
    -------
    list of (Path, Path or None)
        A picture, and where its sheet goes.

    Raises
    ------
    UsageError
        As in `plan`.
    """
    found = _expand(inputs, recursive)
    return [
        (item.path, None if sheet is None else _beside("--details", sheet, SHEETS, item.inside, len(found)))
        for item in found
    ]


def _expand(inputs: Sequence[str], recursive: bool) -> list[_Found]:
    found: dict[str, _Found] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir() and not io.is_zarr(path):
            pictures = sorted(p for p in (path.rglob("*") if recursive else path.iterdir()) if _is_picture(p))
            if not pictures:
                hint = "" if recursive else " (--recursive looks into its folders)"
                raise UsageError(f"{given}: no pictures in this folder{hint}")
            items = [_Found(p, p.relative_to(path), True) for p in pictures]
        elif not path.exists() and glob.has_magic(given):
            matches = sorted(Path(p) for p in glob.glob(given, recursive=True))
            items = [_Found(p, Path(p.name), True) for p in matches if _is_picture(p)]
            if not items:
                raise UsageError(f"{given}: no picture has a name like this")
        else:
            items = [_Found(path, Path(path.name), False)]
        for item in items:
            found.setdefault(os.path.realpath(item.path), item)
    return list(found.values())


def _is_picture(path: Path) -> bool:
    return io.is_picture(path) or (io.is_zarr(path) and not io.is_zarr(path.parent))


def _is_folder(text: str) -> bool:
    if Path(text).suffix.lower() == ".zarr":
        return False
    return Path(text).is_dir() or text.endswith(("/", os.sep))


def _check_file(text: str, suffixes: Sequence[str] | frozenset[str], option: str) -> None:
    path = Path(text)
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{option} {text}: expected a name in {', '.join(sorted(suffixes))}, or a folder with /")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {text}: there is no folder {path.parent}")


def _beside(option: str, text: str, suffixes: Sequence[str], inside: Path, count: int) -> Path:
    """The file that goes with one of several pictures; in a folder it has the first of the suffixes."""
    if "{name}" in text:
        path = Path(text.replace("{name}", "_".join(inside.with_suffix("").parts)))
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"{option} {text}: expected a name that ends in {', '.join(suffixes)}")
        return path
    if _is_folder(text) or (count > 1 and not Path(text).suffix and not Path(text).exists()):
        return Path(text) / inside.with_suffix(suffixes[0])
    if count > 1:
        raise UsageError(f"{option} {text} is one file for {count} pictures; expected a folder or {{name}}")
    _check_file(text, suffixes, option)
    return Path(text)


def _check_apart(jobs: Sequence[Job]) -> None:
    sources = {os.path.realpath(job.source) for job in jobs}
    taken: dict[str, Path] = {}
    for job in jobs:
        for target in (job.target, job.sheet, job.psf):
            if target is None:
                continue
            real = os.path.realpath(target)
            if real in sources:
                raise UsageError(f"{target} is an input and would be written over; choose another name")
            if real in taken:
                raise UsageError(f"{target} would be written for both {taken[real]} and {job.source}")
            taken[real] = job.source
