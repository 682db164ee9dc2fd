"""A PSF written to a file from which ``--psf`` reads it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imgrestore import io
from imgrestore.io.atomic import whole_file
from imgrestore.psf import Psf
from imgrestore.psf_field import PsfField

__all__ = ["write_psf"]


def write_psf(path: Path, psf: Any, *, overwrite: bool) -> None:
    """Write a PSF or a field of them, whole or not at all.

    Parameters
    ----------
    path : Path
        ``.npy`` keeps it exactly; TIFF takes it as float32, PNG (a 2-D one only) scaled to its maximum with 16 bits.
    psf : Psf or PsfField
        Its centre comes to the middle of the file, where reading supposes it. Fields are written to ``.npy`` only.
    overwrite : bool
        Whether to replace a file that exists.
    """
    values = psf.array if isinstance(psf, PsfField) else _centred(psf)
    if path.suffix.lower() == ".npy":
        with whole_file(path, overwrite) as stream:
            np.save(stream, values)
        return
    if path.suffix.lower() == ".png":
        values = np.rint(values / values.max() * np.iinfo(np.uint16).max).astype(np.uint16)
    else:
        values = values.astype(np.float32)
    io.write(path, io.Picture(values, has_pages=values.ndim == 3), overwrite=overwrite)


def _centred(psf: Psf) -> np.ndarray:
    """The values, with rims of nothing that bring the centre to ``size // 2``."""
    rims = []
    for size, centre in zip(psf.shape, psf.centre, strict=True):
        before, after = max(0, size - 1 - 2 * centre), max(0, 2 * centre - size)
        rims.append((before, after))
    return np.pad(psf.array, rims)
