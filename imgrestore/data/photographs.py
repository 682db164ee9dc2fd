"""Photographs that show a damage, or none: what no forward model draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgrestore.data.damages import NONE
from imgrestore.data.pack import read_pack
from imgrestore.data.separation import reduced_to
from imgrestore.nets.diagnoser import DAMAGES

__all__ = ["labelled_folders", "photographs"]


def labelled_folders(entries: Sequence[str]) -> list[tuple[str, Path]]:
    """What the command line's ``--real`` says.

    Parameters
    ----------
    entries : sequence of str
        Each DAMAGE=FOLDER, where the damage is one of `imgrestore.nets.diagnoser.DAMAGES`, or "none".

    Returns
    -------
    list of (str, Path)

    Raises
    ------
    ValueError
        Where one is not of that kind, or the folder is not there.

    Examples
    --------
    >>> labelled_folders(["none=."])
    [('none', PosixPath('.'))]
    """
    found = []
    for entry in entries:
        damage, _, folder = entry.partition("=")
        if damage not in (*DAMAGES, NONE) or not Path(folder).is_dir() or not folder:
            raise ValueError(f"--real is {entry}; expected DAMAGE=FOLDER, of {', '.join(DAMAGES)} or {NONE}")
        found.append((damage, Path(folder)))
    return found


def photographs(entries: Sequence[str], side: int) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Read all of them.

    Parameters
    ----------
    entries : sequence of str
        As `labelled_folders` takes them.
    side : int
        Pictures whose shorter side is longer are reduced to it.

    Returns
    -------
    dict
        By damage, then by name: arrays of uint8, shape (H, W, 3). Names have the folder and what lies around it, since
        damaged pictures and their truths go by the same name in folders side by side.

    Raises
    ------
    ValueError
        As `labelled_folders` and `imgrestore.data.pack.read_pack`.
    """
    found: dict[str, dict[str, NDArray[np.uint8]]] = {}
    for damage, folder in labelled_folders(entries):
        around = "/".join(folder.resolve().parts[-3:])
        own = found.setdefault(damage, {})
        own |= {f"{around}/{name}": reduced_to(picture, side) for name, picture in read_pack(folder).items()}
    return found
