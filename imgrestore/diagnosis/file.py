"""`diagnose` of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgrestore import io
from imgrestore.diagnosis.examine import diagnose
from imgrestore.diagnosis.report import Report

__all__ = ["diagnose_file", "diagnose_pages"]


def diagnose_file(path: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None) -> Report:
    """Read a picture and tell what is wrong with it; its alpha channel is left out.

    Parameters
    ----------
    path : path-like
        What `imgrestore.io.read` reads.
    weights : path-like, optional
        As `imgrestore.diagnose` takes them.

    Returns
    -------
    Report

    Raises
    ------
    imgrestore.io.PictureError
        Where it cannot be read.
    ValueError
        Where it has several pages, or `imgrestore.diagnose` refuses it.
    """
    picture = io.read(path)
    if picture.has_pages:
        raise ValueError(f"it has {picture.pages} pages; expected one picture")
    return _told(picture, picture.pixels, weights)


def diagnose_pages(
    path: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None
) -> Iterator[tuple[int | None, Report]]:
    """Read a picture and tell what is wrong with each of its pages.

    Parameters
    ----------
    path, weights
        As in `diagnose_file`.

    Yields
    ------
    page : int or None
        From 1; None for a picture without pages.
    report : Report

    Raises
    ------
    imgrestore.io.PictureError, ValueError
        As `diagnose_file` does, but for the number of pages.
    """
    picture = io.read(path)
    if not picture.has_pages:
        yield None, _told(picture, picture.pixels, weights)
        return
    for number, page in enumerate(picture.pixels, 1):
        yield number, _told(picture, page, weights)


def _told(picture: io.Picture, pixels: NDArray[Any], weights: str | os.PathLike[str] | None) -> Report:
    if picture.has_alpha:
        pixels = pixels[..., :-1]
    if pixels.dtype.kind in "iu" and pixels.dtype not in (np.uint8, np.uint16):
        pixels = pixels.astype(np.float64)
    return diagnose(pixels, weights=weights, channel_axis=-1 if pixels.ndim == 3 else None)
