"""A user's own weights, as tasks take them."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from torch import nn

from imgrestore.nets.weights import WeightsError, load_net

__all__ = ["own_net"]


def own_net(task: str, kind: type[nn.Module], weights: Any, method: str, refined: bool) -> nn.Module | None:
    """The net of a user's own weights.

    Parameters
    ----------
    task : str
        What the weights have to be for.
    kind : type
        The class that the net has to be of.
    weights : str, path-like or None
        A file that training wrote; None for the weights that ship.
    method : str
        Only "auto" has a net.
    refined : bool
        Whether the net is asked for at all.

    Returns
    -------
    Module or None
        None where `weights` is.

    Raises
    ------
    TypeError
        Where `weights` is no path.
    ValueError
        Where the net is not to take part (`WeightsError` where the file does not hold a net for the task).
    """
    if weights is None:
        return None
    if not isinstance(weights, (str, os.PathLike)):
        raise TypeError(f"weights is a {type(weights).__name__}; expected the path of a file, or None")
    if method != "auto" or not refined:
        other = f"method={method!r}" if method != "auto" else "refine=False"
        raise ValueError(f"weights and {other} are both given; expected one of them, as no net takes part then")
    path = os.fspath(weights)
    try:
        stat = os.stat(path)
    except OSError:
        return load_net(path, task)  # which tells what is wrong
    net = _read(task, path, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    if not isinstance(net, kind):
        raise WeightsError(f"{path}: weights of a {type(net).__name__}; expected those of a {kind.__name__}")
    return net


@lru_cache(maxsize=4)
def _read(task: str, path: str, *version: int) -> nn.Module:
    """The net in a file, kept for the next call as long as the file stays what it is."""
    return load_net(path, task).requires_grad_(False)
