"""What one worker may use of its machine: so many threads, and one GPU."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from imgrestore.io.atomic import lock

__all__ = ["VARIABLES", "assigned", "claim", "device_here", "hold", "pin"]

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
"""What libraries look at as they are loaded for how many threads to take."""

# Locks of the places that this process took; they are the system's to release when it dies.
_HELD: list[Any] = []
# What was told to libraries in each thread: torch's number is each thread's own.
_PINNED = threading.local()


def assigned(place: int, count: int) -> str | None:
    """The device of a worker.

    Parameters
    ----------
    place : int
        The worker's among those of its machine, from 0.
    count : int
        GPUs of the machine.

    Returns
    -------
    str or None
        None where there is no GPU, and the tasks compute where they do by default.

    Examples
    --------
    >>> [assigned(place, 2) for place in range(3)], assigned(0, 0)
    (['cuda:0', 'cuda:1', 'cuda:0'], None)
    """
    return f"cuda:{place % count}" if count else None


def claim(folder: str | os.PathLike[str]) -> int:
    """Take the first place on this machine that no living process has taken.

    Workers come and go, under other addresses each time, and those of several schedulers share a machine: a file
    that is locked counts them right, and the system unlocks it whatever way a process ends.

    Parameters
    ----------
    folder : path-like
        Where the locks are kept; the same for all workers that share a machine.

    Returns
    -------
    int
        From 0. Always 0 on systems without such locks.
    """
    place = 0
    while (stream := hold(Path(folder) / f"imgrestore-worker-{_user()}-{place}.lock")) is None:
        place += 1
    _HELD.append(stream)
    return place


def hold(path: Path) -> Any:
    """Lock a file, which is made where there is none.

    Parameters
    ----------
    path : Path

    Returns
    -------
    file or None
        Locked as long as it is open; None where another process has locked it.
    """
    stream = open(path, "ab")  # noqa: SIM115
    if lock(stream) is False:
        stream.close()
        return None
    return stream


@lru_cache(maxsize=1)
def device_here() -> str | None:
    """The device of this process, which it keeps."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return assigned(claim(tempfile.gettempdir()), count) if count else None


def pin(threads: int) -> None:
    """Let what is computed in this thread take so many threads and no more, by libraries loaded now or later.

    Parameters
    ----------
    threads : int
    """
    for name in VARIABLES:
        os.environ[name] = str(threads)
    for library, function in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        if (loaded := sys.modules.get(library)) is not None and getattr(_PINNED, library, None) != threads:
            getattr(loaded, function)(threads)
            setattr(_PINNED, library, threads)


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
