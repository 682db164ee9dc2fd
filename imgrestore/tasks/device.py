"""Where a task computes: the device that a user asked for, and what has to go there."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["HERE", "chosen", "moved", "net_on"]

# Where nets are kept, and classical estimates are made.
HERE = torch.device("cpu")

EXPECTED = "expected None, 'cpu', 'cuda', 'cuda:1' or such, or a torch.device of these"


def chosen(device: Any, image: Any) -> torch.device:
    """The device that a task computes on.

    Parameters
    ----------
    device : str, torch.device or None
        What the user asked for. None: where the picture is.
    image : array
        NumPy arrays are on the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        Where it is no device, or one that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore.tasks.device import chosen
    >>> chosen(None, np.zeros((4, 4)))
    device(type='cpu')
    """
    if device is None:
        return image.device if isinstance(image, Tensor) else torch.device("cpu")
    try:
        found = torch.device(device) if isinstance(device, (str, torch.device)) else None
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {device!r}; {EXPECTED}")
    if found.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise ValueError(f"device is {str(found)!r}, but torch {torch.__version__} sees no CUDA device")
        if (found.index or 0) >= count:
            last = "only cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
            raise ValueError(f"device is {str(found)!r}, but torch sees {last}")
    return found


def moved(value: Any, device: torch.device | str) -> Any:
    """Tensors on a device, also those inside of mappings, sequences and dataclasses; all else as it is.

    Parameters
    ----------
    value : object
    device : torch.device or str

    Returns
    -------
    object
    """
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: moved(one, device) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(moved(one, device) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: moved(getattr(value, one.name), device) for one in fields(value)})
    return value


def net_on(net: nn.Module, device: torch.device) -> nn.Module:
    """A net on a device: itself on the CPU, where nets are kept, else a copy.

    Parameters
    ----------
    net : Module
        On the CPU.
    device : torch.device

    Returns
    -------
    Module
    """
    return net if device.type == "cpu" else copy.deepcopy(net).to(device)
