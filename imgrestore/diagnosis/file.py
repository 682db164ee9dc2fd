"""`diagnose` of a file."""

from __future__ import annotations

import os

import numpy as np

from imgrestore import io
from imgrestore.diagnosis.examine import diagnose
from imgrestore.diagnosis.report import Report

__all__ = ["diagnose_file"]


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
    pixels = picture.pixels[..., :-1] if picture.has_alpha else picture.pixels
    if pixels.dtype.kind in "iu" and pixels.dtype not in (np.uint8, np.uint16):
        pixels = pixels.astype(np.float64)
    return diagnose(pixels, weights=weights, channel_axis=-1 if pixels.ndim == 3 else None)
