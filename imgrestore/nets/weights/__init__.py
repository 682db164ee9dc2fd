"""The trained weights that ship with the package: safetensors with a known hash, each with a card beside it."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

from imgrestore.nets.deep_wiener import DeepWiener, DeepWienerConfig

__all__ = ["SHA256", "WeightsError", "load", "load_net"]

HERE = Path(__file__).parent
SHA256 = {"deblur": "f49aca9389fa7d5dd7a27d8b9ddb772b3b0712ed145a4950605a6ce73cb300e4"}


class WeightsError(RuntimeError):
    """Weights that are missing, damaged, or not those that this version was released with."""


@lru_cache
def load(task: str) -> DeepWiener:
    """The net of a task, with the weights that ship with this version.

    Parameters
    ----------
    task : str
        One of the keys of `SHA256`.

    Returns
    -------
    DeepWiener
        In float32, on the CPU, without gradients to its parameters. Kept for the next call.

    Raises
    ------
    WeightsError
        Where the file is missing or has another hash.

    Examples
    --------
    >>> from imgrestore.nets.weights import load
    >>> sum(p.numel() for p in load("deblur").parameters())
    1389082
    """
    path = HERE / f"{task}.safetensors"
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"the weights {path.name} cannot be read ({error.strerror})") from error
    if found != SHA256[task]:
        raise WeightsError(f"the weights {path.name} have the hash {found[:12]}..., expected {SHA256[task][:12]}...")
    return load_net(path).requires_grad_(False)


def load_net(path: str | Path) -> DeepWiener:
    """Read a net from a file that training wrote.

    Parameters
    ----------
    path : str or Path
        A safetensors file; its metadata hold the net's size.

    Returns
    -------
    DeepWiener
        In float32, on the CPU.

    Raises
    ------
    WeightsError
        Where the file is no such file.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            net = DeepWiener(DeepWienerConfig.from_dict(json.loads(stored.metadata()["config"])))
            net.load_state_dict({key: stored.get_tensor(key).float() for key in stored.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: not the weights of a net ({error})") from error
    return net.eval()
