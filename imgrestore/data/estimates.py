"""Classical estimates of many pictures: computed side by side, once, and kept in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore.io.atomic import whole_file

__all__ = ["content_of", "kept_estimates"]

Item = dict[str, NDArray]


def kept_estimates(
    path: str | Path, work: Callable[..., Item], jobs: Sequence[tuple[Any, ...]], key: str, workers: int
) -> list[Item]:
    """Compute a record for every job, or read the records that an earlier call with the same key has kept.

    Parameters
    ----------
    path : path
        The ``.npz`` file that keeps them; written whole or not at all.
    work : callable
        ``work(*job)`` gives a dict of arrays, the same names for every job; it and the jobs can be pickled.
    jobs : sequence of tuple
    key : str
        What the records depend on. A file with another key, or a damaged one, is computed anew.
    workers : int
        Processes; 0 computes here.

    Returns
    -------
    list of dict of ndarray
        In the order of the jobs.
    """
    path = Path(path)
    print_ = hashlib.sha256(f"{key} {len(jobs)}".encode()).hexdigest()
    found = _read(path, print_, len(jobs))
    if found is not None:
        return found
    if workers:
        # Forked children of a process that holds a GPU or running threads can hang; spawned ones cannot.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_alone) as pool:
            items = list(pool.map(work, *zip(*jobs, strict=True), chunksize=4))
    else:
        items = [work(*job) for job in jobs]
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{i}/{name}": value for i, item in enumerate(items) for name, value in item.items()}
    with whole_file(path, overwrite=True) as stream:
        np.savez(stream, key=np.array(print_), **arrays)  # type: ignore[arg-type]
    return items


def content_of(pictures: Mapping[str, Sequence[NDArray]]) -> str:
    """What tells pictures from all others: their names, their order, and every value.

    Parameters
    ----------
    pictures : mapping of str to sequence of ndarray

    Returns
    -------
    str
        Their number and a part of a hash.
    """
    found = hashlib.sha256()
    for name, parts in pictures.items():
        found.update(name.encode())
        for part in parts:
            found.update(f"{part.shape} {part.dtype}".encode())
            found.update(part.tobytes())
    return f"{len(pictures)}, {found.hexdigest()[:16]}"


def _read(path: Path, key: str, count: int) -> list[Item] | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return None
            items: list[Item] = [{} for _ in range(count)]
            for name in stored.files:
                number, _, field = name.partition("/")
                if field:
                    items[int(number)][field] = stored[name]
            return items
    except Exception:  # whatever is wrong with a file that can be made anew
        return None


def _alone() -> None:
    torch.set_num_threads(1)
