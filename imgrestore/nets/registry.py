"""The nets that a file of weights may name, and how one is built before anything is known of the file's good will."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

__all__ = ["NETS", "classes", "hollow", "name_of"]

# Class of a net -> its module, and the class of its configuration there, which has `to_dict` and `from_dict`.
NETS = {
    "DeepWiener": ("imgrestore.nets.deep_wiener", "DeepWienerConfig"),
    "Diagnoser": ("imgrestore.nets.diagnoser", "DiagnoserConfig"),
    "Refiner": ("imgrestore.nets.refiner", "RefinerConfig"),
    "Separator": ("imgrestore.nets.separator", "SeparatorConfig"),
    "Verdict": ("imgrestore.nets.verdict", "VerdictConfig"),
}
# Calls of torch that a net may make for each tensor that it holds, while it is built; ours make five.
CALLS_FOR_EACH = 50


def classes(name: str) -> tuple[type[nn.Module], type[Any]]:
    """The class of a net and that of its configuration.

    Parameters
    ----------
    name : str
        One of the keys of `NETS`.

    Returns
    -------
    net, config : type

    Raises
    ------
    ValueError
        For any other name.
    """
    if name not in NETS:
        raise ValueError(f"the net is {name!r}; expected one of {', '.join(NETS)}")
    module, config = NETS[name]
    home = importlib.import_module(module)
    return getattr(home, name), getattr(home, config)


def name_of(net: nn.Module) -> str:
    """The name under which `NETS` has a net.

    Parameters
    ----------
    net : Module

    Returns
    -------
    str

    Raises
    ------
    TypeError
        Where it has none.
    """
    name = type(net).__name__
    if name not in NETS or type(net) is not classes(name)[0]:
        raise TypeError(f"net is a {name}; expected one of {', '.join(NETS)}")
    return name


def hollow(name: str, fields: Mapping[str, Any], tensors: int) -> nn.Module:
    """A net without its numbers: it takes no memory, however large the configuration says that it is.

    Its weights are to be assigned (``load_state_dict(..., assign=True)``).

    Parameters
    ----------
    name : str
        One of the keys of `NETS`.
    fields : mapping
        The configuration, as its ``to_dict`` gave it.
    tensors : int
        How many tensors there are for it; the building of a net with many more is broken off.

    Returns
    -------
    Module
        On the device ``meta``.

    Raises
    ------
    ValueError
        Where there is no such net, or none of this configuration.
    """
    net, config = classes(name)
    # Patience may end where a net turns gradients on again.
    as_now = torch.set_grad_enabled(torch.is_grad_enabled())
    try:
        with as_now, torch.device("meta"), _Patience(CALLS_FOR_EACH * (tensors + 1)):
            built = net(config.from_dict(fields))
    except Exception as error:  # a configuration read from a file may hold anything
        raise ValueError(f"no {name} has the configuration {_shortened(fields)} ({_shortened(error)})") from error
    return built


def is_hollow(net: nn.Module) -> bool:
    """Whether some of a net's numbers are still missing, be they parameters, buffers, or kept beside them."""
    kept = (value for module in net.modules() for value in vars(module).values() if isinstance(value, torch.Tensor))
    return any(tensor.is_meta for tensor in chain(net.parameters(), net.buffers(), kept))


class _Patience(TorchFunctionMode):
    """Lets so many calls of torch pass, and no more; and leaves tensors as they are that hold nothing to be filled.

    Torch would import its compiler to fill them, for more than a second.
    """

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ValueError("far larger than what the file holds")
        kwargs = kwargs or {}
        if func is torch.Tensor.normal_ or getattr(func, "__module__", None) == init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _shortened(value: object, most: int = 200) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
