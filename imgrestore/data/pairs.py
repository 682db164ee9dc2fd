"""Real pairs of pictures: a damaged one and its truth, under the same name in two folders, or packed into one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imgrestore.data.pack import SUFFIXES, read_pack

__all__ = ["Pair", "read_pairs"]

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
INPUT, TRUTH = "input", "gt"


def read_pairs(source: str | Path, *, truth: str = TRUTH) -> dict[str, Pair]:
    """Read pairs of pictures.

    Parameters
    ----------
    source : path
        A folder with the folders ``input`` and ``gt``, which hold pictures of the same names (their suffixes may
        differ); or these two folders packed into one file by `imgrestore.data.pack`.
    truth : str
        The second folder: "mask" where what belongs to a picture is not the picture without damage.

    Returns
    -------
    dict of str to (ndarray, ndarray) of uint8, shape (H, W, 3)
        Name, without its suffix, to the damaged picture and the truth, in the order of the names.

    Raises
    ------
    ValueError
        Where a folder is missing, a picture has no twin, two of a folder differ in their suffixes alone, the sizes of a
        pair differ, or a picture cannot be read.
    """
    source = Path(source)
    if source.is_dir():
        missing = [name for name in (INPUT, truth) if not (source / name).is_dir()]
        if missing:
            raise ValueError(f"{source} has no folder {missing[0]}/; expected {INPUT}/ and {truth}/ of the same names")
        pictures = {**read_pack(source / INPUT), **read_pack(source / truth)}
    else:
        pictures = read_pack(source)
    sides: dict[str, dict[str, NDArray[np.uint8]]] = {INPUT: {}, truth: {}}
    for name, picture in pictures.items():
        folder, _, file = name.partition("/")
        if folder not in sides:
            raise ValueError(f"{source} holds {name}; expected names of {INPUT}/ and {truth}/")
        stem = _stem(file)
        if stem in sides[folder]:
            raise ValueError(f"{source}: {folder}/ has more than one picture {stem}, {file} being one; expected one")
        sides[folder][stem] = picture
    alone = sorted(set(sides[INPUT]) ^ set(sides[truth]))
    if alone:
        raise ValueError(f"{source}: {alone[0]} is only in one of {INPUT}/ and {truth}/; expected both of every pair")
    for name, observed in sides[INPUT].items():
        if observed.shape != sides[truth][name].shape:
            sizes = " and ".join(f"{a.shape[1]} x {a.shape[0]}" for a in (observed, sides[truth][name]))
            raise ValueError(f"{source}: the two pictures of {name} are {sizes} pixels; expected the same size")
    return {name: (sides[INPUT][name], sides[truth][name]) for name in sorted(sides[INPUT])}


def _stem(file: str) -> str:
    path = Path(file)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name
