"""`map`: a task over a dask or zarr array, chunk by chunk, when it is asked for."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .extra import needed

if TYPE_CHECKING:
    from imgrestore.tiles import Prepared

__all__ = ["map"]

COLOURS = 4  # a last axis of so many at the most is channels, as for the tasks


def map(task: str, array: Any, *, channel_axis: Literal["auto", -1] | None = "auto", **options: Any) -> Any:
    """Restore a dask or zarr array, lazily.

    One large picture is looked at once, now and reduced, for all that concerns the whole of it: the PSF, the noise,
    the pattern, the light. That reads it once from end to end, chunk by chunk, and never holds it whole. Each chunk is
    then restored when its result is asked for, from its own pixels and as many beyond it as the method's support
    has, so that the result is that of the whole picture. Pictures of a batch are each restored by itself, and nothing
    is read before they are asked for.

    Parameters
    ----------
    task : str
        "deblur", "demoire", "deshadow", "dereflect", "despecular", "derust" or "restore".
    array : dask.array.Array, zarr.Array or ndarray
        A picture (H, W) or (H, W, C), or a batch (N, H, W) or (N, H, W, C); uint8, uint16 or floating point. A zarr
        array has its own chunks (or shards), an ndarray is cut as dask does by default.
    channel_axis : "auto", -1 or None
        "auto": a last axis of three is channels where it is not longer than 4, and of four always; None: the pictures
        of a batch have none; -1: the last axis is channels.
    **options
        Of `imgrestore.tiles.prepare` for a picture, of the task itself for a batch.

    Returns
    -------
    dask.array.Array
        Shape, dtype and chunks of `array`. Chunks that are smaller than what a tile sees beyond itself are computed
        together, and cut again.

    Raises
    ------
    ImportError
        dask is not installed.
    TypeError, ValueError
        The array is none of these, or the task or an option is not known.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from imgrestore import scale
    >>> blurred = da.from_array(np.random.default_rng(0).random((96, 128), np.float32), chunks=(48, 64))
    >>> sharp = scale.map("deblur", blurred, psf="gaussian:1", method="wiener")
    >>> sharp.shape, sharp.chunks == blurred.chunks
    ((96, 128), True)
    >>> sharp[:8, :8].compute().shape
    (8, 8)
    """
    _check_task(task)
    lazy = _as_dask(array)
    if _is_batch(lazy.shape, channel_axis):
        return _batch(task, lazy, channel_axis, options)
    return _picture(task, lazy, {"channel_axis": channel_axis, **options})


def _picture(task: str, array: Any, options: dict[str, Any]) -> Any:
    from imgrestore.tiles import prepare

    prepared = prepare(task, array, **options)
    da, dask = needed("dask.array"), needed("dask")
    merged = _merged(array, prepared.halo)
    seen = merged
    depth = {axis: prepared.halo for axis in (0, 1) if len(merged.chunks[axis]) > 1}
    if prepared.halo and depth:
        seen = da.overlap.overlap(merged, depth, boundary="none", allow_rechunk=False)
    # In the graph once, and sent once to each worker.
    shared = dask.delayed(prepared, name=f"prepared-{secrets.token_hex(8)}", traverse=False)
    result = seen.map_blocks(
        partial(_tile, edges=tuple(_edges(lengths) for lengths in merged.chunks[:2])),
        prepared=shared,
        dtype=array.dtype,
        chunks=merged.chunks,
        meta=np.empty((0,) * array.ndim, array.dtype),
        name=f"{task}-{secrets.token_hex(8)}",
    )
    return result.rechunk(array.chunks)


def _tile(
    block: np.ndarray, edges: tuple[tuple[int, ...], ...], prepared: Prepared, block_id: tuple[int, ...]
) -> np.ndarray:
    """Restore the middle of a chunk that has its neighbours' pixels around it."""
    from imgrestore.tiles import Window

    (top, bottom), (left, right) = (edge[i : i + 2] for edge, i in zip(edges, block_id, strict=False))
    return prepared(block, Window(top, left, bottom - top, right - left))


def _batch(task: str, array: Any, channel_axis: Any, options: dict[str, Any]) -> Any:
    import imgrestore

    # What is wrong with the call is told now, rather than of every picture.
    inspect.signature(getattr(imgrestore, task)).bind(None, **options)
    # Whole pictures: the chunks of the first axis stay as they are.
    whole = array.rechunk(dict.fromkeys(range(1, array.ndim), -1))
    axis = None if array.ndim == 3 else channel_axis
    result = whole.map_blocks(
        partial(_pictures, task=task, channel_axis=axis, options=options),
        dtype=array.dtype,
        chunks=whole.chunks,
        meta=np.empty((0,) * array.ndim, array.dtype),
        name=f"{task}-{secrets.token_hex(8)}",
    )
    return result.rechunk(array.chunks)


def _pictures(block: np.ndarray, task: str, channel_axis: Any, options: dict[str, Any]) -> np.ndarray:
    import imgrestore

    restored = getattr(imgrestore, task)
    return np.stack([restored(picture, channel_axis=channel_axis, **options) for picture in block])


def _check_task(task: str) -> None:
    from imgrestore.tiles import TASKS

    if task not in TASKS:
        raise ValueError(f"task is {task!r}; expected one of {', '.join(TASKS)}")


def _as_dask(array: Any) -> Any:
    da = needed("dask.array")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("array is a masked array; expected one without a mask")
    if isinstance(array, da.Array):
        lazy = array
    elif hasattr(array, "store") and hasattr(array, "chunks"):  # zarr, whose shards are what is read at once
        lazy = da.from_array(array, chunks=getattr(array, "shards", None) or array.chunks)
    elif isinstance(array, np.ndarray):
        lazy = da.from_array(array)
    else:
        raise TypeError(f"array is a {type(array).__name__}; expected an array of dask, zarr or NumPy")
    if any(not np.isfinite(length) for length in lazy.shape):
        raise ValueError(f"array has shape {lazy.shape}; expected one that is known: call compute_chunk_sizes() first")
    if lazy.dtype.kind not in "uf":
        raise TypeError(f"array has dtype {lazy.dtype}; expected uint8, uint16 or floating point")
    if 0 in lazy.shape:
        raise ValueError(f"array is empty (shape {lazy.shape}); expected at least one pixel")
    return lazy


def _is_batch(shape: Sequence[int], channel_axis: Any) -> bool:
    if channel_axis not in ("auto", -1, None):
        raise ValueError(f"channel_axis is {channel_axis!r}; expected 'auto', -1 or None")
    ndim = len(shape)
    if ndim == 3 and channel_axis == "auto" and shape[-1] > COLOURS:
        raise ValueError(
            f"array has shape {tuple(shape)}, which can be read in several ways: channel_axis=-1 says that the last "
            "axis is channels, channel_axis=None that it is a batch of pictures"
        )
    least, most = (2, 3) if channel_axis is None else (2 + (channel_axis == -1), 4)
    if not least <= ndim <= most:
        raise ValueError(
            f"array has shape {tuple(shape)} and channel_axis is {channel_axis!r}; expected (H, W), (H, W, C), "
            "(N, H, W) or (N, H, W, C)"
        )
    return ndim == 4 or (ndim == 3 and channel_axis is None)


def _merged(array: Any, halo: int) -> Any:
    """The array with all channels in a chunk, and no chunk smaller than the halo."""
    chunks = tuple(_at_least(lengths, halo) for lengths in array.chunks[:2])
    return array.rechunk((*chunks, *((length,) for length in array.shape[2:])))


def _at_least(lengths: Sequence[int], least: int) -> tuple[int, ...]:
    """Lengths that are neighbours put together until each is long enough; the last ones with those before them.

    Examples
    --------
    >>> _at_least((4, 4, 4, 4, 4), 6), _at_least((9, 9, 2), 6), _at_least((3, 2), 6)
    ((8, 12), (9, 11), (5,))
    """
    merged: list[int] = []
    for length in lengths:
        if merged and merged[-1] < least:
            merged[-1] += length
        else:
            merged.append(length)
    if len(merged) > 1 and merged[-1] < least:
        merged[-2:] = [merged[-2] + merged[-1]]
    return tuple(merged)


def _edges(lengths: Sequence[int]) -> tuple[int, ...]:
    return (0, *accumulate(lengths))
