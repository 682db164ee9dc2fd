"""How much memory there is, and how large a tile may be."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgrestore.tiles.look import BAND, LEAST_CROP, LOOK_PIXELS, PLACES
from imgrestore.tiles.prepared import STEP_BYTES, Prepared

__all__ = ["check_look", "choose_tile", "held_bytes", "look_bytes", "parse_bytes", "predicted_bytes", "resident_bytes"]

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)}
_UNITS |= {f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)}
_UNITS |= {letter: 1000**power for power, letter in enumerate("KMGT", 1)}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)

STATM = Path("/proc/self/statm")
LEAST = 64
"""The smallest side of a tile that is chosen."""
MOST = 2048
"""The largest: beyond it caches hold less of a tile, and its pixels take longer than a smaller halo saves."""
STEP = 16
"""Sides are multiples of it, where the blocks of a file do not ask for more."""
STARTING = 120_000_000
"""What libraries load, and allocators keep, when a tile is first restored."""
LAYERS = (60.0, 330.0)
LOOKS = {
    "deblur": (80.0, 400.0),
    "demoire": (215.0, 0.0),
    "deshadow": LAYERS,
    "dereflect": LAYERS,
    "despecular": LAYERS,
    "derust": LAYERS,
    "restore": (80.0, 400.0),
}
"""What one pixel that is looked at takes: of each channel, and beside it; a tenth and more above what was measured."""
LOOKS_CLASSICAL = {"deblur": (45.0, 100.0), "demoire": (110.0, 0.0)}
"""The same where no net is asked for, as far as it is less."""
A_BAND = 24
"""What one value of a band takes while it is reduced, beside itself."""
A_STEP = 1000
"""What one pixel takes of the hungriest step of `restore`, where they are few."""


def parse_bytes(amount: int | float | str, name: str = "max_memory") -> int:
    """Read an amount of memory.

    Parameters
    ----------
    amount : int, float or str
        Bytes, or a number with a unit: kB, MB, GB and TB are powers of 1000, KiB, MiB, GiB and TiB of 1024.
    name : str
        What errors call it.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        Where it is no number and no text.
    ValueError
        Where it is no amount above 0.

    Examples
    --------
    >>> parse_bytes("2GB"), parse_bytes("1.5 GiB"), parse_bytes(10**9)
    (2000000000, 1610612736, 1000000000)
    """
    if isinstance(amount, bool) or not isinstance(amount, (int, float, str, np.integer, np.floating)):
        raise TypeError(f"{name} is {amount!r}; expected bytes as a number, or text such as '2GB' or '1.5GiB'")
    parts = _AMOUNT.fullmatch(str(amount)) if isinstance(amount, str) else None
    value = 0.0
    if parts is not None and parts[2].upper() in _UNITS:
        value = float(parts[1]) * _UNITS[parts[2].upper()]
    elif not isinstance(amount, str) and np.isfinite(amount):
        value = float(amount)
    if value < 1:
        raise ValueError(f"{name} is {amount!r}; expected bytes as a number, or text such as '2GB' or '1.5GiB'")
    return int(value)


def resident_bytes() -> int:
    """The memory that this process has now, in bytes; its peak so far, where a system tells no more.

    Returns
    -------
    int
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(ImportError):
        import psutil

        return int(psutil.Process().memory_info().rss)
    with contextlib.suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else 1024 * peak)
    return 400_000_000  # what the library and torch take where nothing tells


def held_bytes(limit: int) -> int:
    """The memory that counts as taken where a process may have no more than `limit`.

    Where that is much of the limit, freed memory that the C library only keeps for later is given back first, if it is
    glibc: in a process that has worked for hours it is often hundreds of megabytes.

    Parameters
    ----------
    limit : int
        Bytes.

    Returns
    -------
    int
        Bytes.
    """
    held = resident_bytes()
    if held <= limit // 2:
        return held
    with contextlib.suppress(OSError, TypeError, AttributeError):  # other systems have no such call
        ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()


def look_bytes(task: str, shape: Sequence[int], dtype: Any, pixels: int = LOOK_PIXELS, *, refined: bool = True) -> int:
    """Predict the memory that looking at a picture takes, before there are tiles.

    Parameters
    ----------
    task : str
        One of `imgrestore.tiles.TASKS`; nothing is known of any other.
    shape : sequence of int
        The picture's, with all channels that are read.
    dtype : dtype
        Of what is read.
    pixels : int
        How many are looked at.
    refined : bool
        Whether a net may be asked.

    Returns
    -------
    int
        Bytes at the peak, beside what the process has already.
    """
    if task not in LOOKS:
        return 0
    count, channels = shape[0] * shape[1], int(np.prod(shape[2:], dtype=np.int64))
    item = np.dtype(dtype).itemsize
    each, beside = LOOKS[task] if refined else LOOKS_CLASSICAL.get(task, LOOKS[task])
    steps = STEP_BYTES if task == "restore" else 0
    if count <= pixels:
        return STARTING + max(min(steps, count * A_STEP), int(count * (channels * (each + 2 * item) + beside)))
    # Of a larger one five parts are cut out, which are not smaller than they have to be.
    seen = min(count, max(pixels, len(PLACES) * LEAST_CROP**2))
    going_over = min(count * channels, BAND) * (item + A_BAND) + steps
    working = int(seen * (channels * each + beside))
    return STARTING + 3 * seen * channels * item + max(going_over, working)


def check_look(
    task: str, shape: Sequence[int], dtype: Any, max_memory: int | str, options: Mapping[str, Any], *, held: int = 0
) -> None:
    """Refuse what would not even do for a look.

    Parameters
    ----------
    task, shape, dtype
        As in `look_bytes`.
    max_memory : int or str
        The most memory that the process may have, as `parse_bytes` takes it.
    options : mapping
        What the task is told, and `look_pixels`.
    held : int
        The buffers of files, beside what the process has.

    Raises
    ------
    ValueError
        Where looking at the picture takes more.
    """
    pixels = options.get("look_pixels", LOOK_PIXELS)
    if not isinstance(pixels, int) or pixels < 1:
        return  # and `imgrestore.tiles.prepare` refuses it
    refined = bool(options.get("refine", True)) and options.get("method", "auto") == "auto"
    more = look_bytes(task, shape, dtype, pixels, refined=refined)
    if not more:
        return
    import imgrestore.tiles.deblur  # noqa: F401 - torch and all that comes with it is held before the first look

    limit = parse_bytes(max_memory)
    held += held_bytes(limit)
    if held + more > limit:
        raise ValueError(
            f"max_memory is {max_memory!r}; expected at least {_megabytes(held + more)} for {task} of {shape[0]} x "
            f"{shape[1]} pixels, as looking at it takes, of which the process has {_megabytes(held)} already"
        )


def predicted_bytes(
    prepared: Prepared, tile: tuple[int, int], shape: Sequence[int], dtype: Any, *, held: int = 0
) -> int:
    """Predict the most memory that the process will have while a picture is restored by tiles.

    Parameters
    ----------
    prepared : Prepared
    tile : (int, int)
        Rows and columns, without the halo.
    shape : sequence of int
        The picture's, with all channels that are read.
    dtype : dtype
        Of what is read.
    held : int
        What the process has already, and the buffers of files.

    Returns
    -------
    int
        Bytes.
    """
    one = int(np.prod(shape[2:], dtype=np.int64)) * np.dtype(dtype).itemsize
    core = min(tile[0], shape[0]) * min(tile[1], shape[1])
    seen = min(tile[0] + 2 * prepared.halo, shape[0]) * min(tile[1] + 2 * prepared.halo, shape[1])
    # The part as it was read and without alpha; the result, what it becomes in the file's dtype, and a copy to write.
    files = (2 * seen + 3 * core) * one
    return held + STARTING + prepared.fixed_bytes + int(seen * prepared.bytes_per_pixel) + files


def choose_tile(
    prepared: Prepared,
    shape: Sequence[int],
    dtype: Any,
    max_memory: int | str = "2GB",
    *,
    chunk: tuple[int, int] = (1, 1),
    held: int | None = None,
) -> tuple[int, int]:
    """Choose the largest tile with which a picture is restored within some memory.

    Tiles are about square, at most 2048 pixels long, and all of about the same size, so that none at the picture's end
    is mostly halo.

    Parameters
    ----------
    prepared : Prepared
        The task, that knows its halo and its working memory.
    shape : sequence of int
        The picture's: (H, W) or (H, W, C), with all channels that are read.
    dtype : dtype
        Of what is read.
    max_memory : int or str
        The most memory that the process may have, as `parse_bytes` takes it.
    chunk : (int, int)
        Rows and columns of the blocks that the result is stored in; larger tiles begin and end with them.
    held : int, optional
        What the process has already, with the buffers of files; measured by default.

    Returns
    -------
    (int, int)
        Rows and columns of a tile, without its halo.

    Raises
    ------
    ValueError
        Where the smallest tile takes more.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.tiles.prepared import Unchanged
    >>> shape = (5000, 5000)
    >>> prepared = Prepared("none", shape, np.dtype("uint8"), 32, (), 100.0, 0, Unchanged())
    >>> choose_tile(prepared, shape, np.uint8, "1GB", held=200_000_000)
    (1680, 1680)
    """
    limit = parse_bytes(max_memory)
    held = held_bytes(limit) if held is None else held
    for side in range(MOST, LEAST - 1, -STEP):
        tile = _even(shape[0], side, chunk[0]), _even(shape[1], side, chunk[1])
        if max(tile) <= side and predicted_bytes(prepared, tile, shape, dtype, held=held) <= limit:
            return tile
    least = predicted_bytes(prepared, (LEAST, LEAST), shape, dtype, held=held)
    raise ValueError(
        f"max_memory is {max_memory!r}; expected at least {_megabytes(least)} for {prepared.task} of {shape[0]} x "
        f"{shape[1]} pixels with a halo of {prepared.halo}, of which the process has {_megabytes(held)} already"
    )


def _even(length: int, side: int, chunk: int) -> int:
    """How long tiles are that cover a length, all of about the same size; more than `side` where chunks ask for it."""
    step = chunk if STEP <= chunk <= side else STEP
    each = -(-length // -(-length // side))
    return min(length, -(-each // step) * step)


def _megabytes(count: int) -> str:
    return f"{-(-count // 10**6)} MB"
