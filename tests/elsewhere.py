"""A CUDA device that is none: tensors whose data lie on the CPU, but that may not be mixed with those of the CPU.

Within `simulated` torch seems to have one CUDA device. What is sent there is an `Elsewhere`: operations compute as
ever, but one with a tensor of the CPU that is more than a number is an error, as on a GPU, and so is a way to NumPy.
"""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

CUDA = torch.device("cuda", 0)
plain = torch._C.DisableTorchFunctionSubclass


class Elsewhere(torch.Tensor):
    """A tensor on the device."""


def is_there(value):
    return isinstance(value, Elsewhere)


def there(value):
    with plain():
        return value if is_there(value) or not isinstance(value, torch.Tensor) else value.as_subclass(Elsewhere)


def here(value):
    with plain():
        return value.as_subclass(torch.Tensor) if is_there(value) else value


def means_cuda(value):
    return (isinstance(value, torch.device) and value.type == "cuda") or (
        isinstance(value, str) and value.split(":")[0] == "cuda"
    )


def means_cpu(value):
    return (isinstance(value, torch.device) and value.type == "cpu") or value == "cpu"


# Where the other tensor may be anywhere: its values are copied, it is an index, or only its kind is asked for.
MIXED = ("copy_", "__setitem__", "__getitem__", "type_as", "index_put_", "index_put")
MOVING = ("to", "cpu", "cuda", "type_as")
TO_NUMPY = ("numpy", "__array__")


class Simulation(TorchFunctionMode):
    """Keeps tensors of the device and of the CPU apart."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return self._attribute(func, args, kwargs)
        if name == "_has_compatible_shallow_copy_type":
            return False  # so that modules take what they are sent as new parameters
        if name in MOVING and args and isinstance(args[0], torch.Tensor):
            return self._move(func, name, args, kwargs)
        flat = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
        away = [value for value in flat if is_there(value)]
        if away and name in TO_NUMPY:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        with plain():
            strangers = [value for value in flat if not is_there(value) and value.dim() > 0]
        if away and strangers and name not in MIXED:
            raise RuntimeError(f"{name}: expected all tensors on the same device, found cuda:0 and cpu")
        asked = kwargs.get("device")
        if means_cuda(asked):
            kwargs["device"] = "cpu"
        elif asked is not None and means_cpu(asked):
            away = []
        with plain():
            out = func(*args, **kwargs)
        if name == "__setitem__":
            return out
        # Some results are told by the kind of the arguments; what is made in place stays what it was.
        first_there = is_there(args[0]) if name in MIXED and args and isinstance(args[0], torch.Tensor) else None
        if means_cuda(asked) or (first_there if first_there is not None else bool(away)):
            return tree_map(there, out)
        return tree_map(here, out)

    def _attribute(self, func, args, kwargs):
        attribute = getattr(func.__self__, "__name__", "")
        if is_there(args[0]) and attribute == "device":
            return CUDA
        if is_there(args[0]) and attribute == "is_cuda":
            return True
        with plain():
            out = func(*args, **kwargs)
        return tree_map(there, out) if is_there(args[0]) else out

    def _move(self, func, name, args, kwargs):
        target = {"cpu": "cpu", "cuda": "cuda"}.get(name)
        rest = list(args[1:])
        for value in [*rest, *kwargs.values()]:
            if isinstance(value, torch.Tensor):
                target = "cuda" if is_there(value) else "cpu"
            elif means_cuda(value):
                target = "cuda"
            elif isinstance(value, (str, torch.device)):
                target = "cpu"
        if name == "cuda":
            rest = []
        rest = ["cpu" if means_cuda(value) else value for value in rest]
        kwargs = {key: "cpu" if means_cuda(value) else value for key, value in kwargs.items()}
        with plain():
            out = args[0].clone() if name == "cuda" else func(args[0], *rest, **kwargs)
        if target is None:
            target = "cuda" if is_there(args[0]) else "cpu"
        return there(out) if target == "cuda" else here(out)


@contextlib.contextmanager
def simulated(monkeypatch):
    """Torch with a CUDA device, as far as tensors and their places go."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with Simulation():
        yield CUDA
