"""The native libraries: found and loaded when an op is first used, and never a reason for an import to fail.

There are two: one for the CPU, which also defines the ops, and one with the same ops for CUDA, loaded when the first
CUDA tensor comes. ``IMGRESTORE_NATIVE=0`` in the environment turns both off, ``IMGRESTORE_CUDA=0`` the second;
``IMGRESTORE_ISA=baseline|avx2|avx512`` limits the CPU's instruction set; ``IMGRESTORE_LIBRARY=path`` and
``IMGRESTORE_CUDA_LIBRARY=path`` take another build. They are read once, when a library is loaded.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ISA = ("baseline", "avx2", "avx512")

_LEAST = (8, 0)  # the oldest compute capability that has the kernels' matrix products of bfloat16

_lock = threading.RLock()
_ops: dict[str, Any] = {}
_runs: dict[int, bool] = {}


class _Library:
    """One of the two: whether it is loaded, from where, or why it is not."""

    def __init__(self, load: Callable[[], str]) -> None:
        self._load = load
        self._tried = False
        self.path: str | None = None
        self.reason: str | None = None

    def loaded(self) -> bool:
        """Whether it is there, after trying to load it once."""
        if not self._tried:
            with _lock:
                if not self._tried:
                    try:
                        self.path = self._load()
                    except Exception as error:
                        self.reason = f"{type(error).__name__}: {error}"
                    self._tried = True
        return self.path is not None


def available() -> bool:
    """Whether the native library is loaded, after trying to load it once.

    Returns
    -------
    bool
        When False, `reason` says why.

    Examples
    --------
    >>> from imgrestore import _native
    >>> _native.available() or _native.reason() is not None
    True
    """
    return _cpu.loaded()


def reason() -> str | None:
    """Why there is no native library; None when there is one, or when nothing has asked for it yet."""
    return _cpu.reason


def on_cuda(x: Any) -> bool:
    """Whether a tensor lies on a CUDA device."""
    return bool(x.device.type == "cuda")


def _runs_on(device: Any) -> bool:
    """Whether a CUDA device is one that kernels are compiled for."""
    found = _runs.get(device.index)
    if found is None:
        import torch

        found = torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= _LEAST
        _runs[device.index] = found
    return found


def op(name: str, register: Callable[[], None]) -> Any | None:
    """Give the native op of a name, or None where the library is not loaded.

    Parameters
    ----------
    name : str
        The op's name in the namespace ``imgrestore``.
    register : callable
        Called once, before the op is first given out: registers its fake and its backward.

    Returns
    -------
    torch._ops.OpOverload or None
    """
    found = _ops.get(name)
    if found is not None or not available():
        return found
    with _lock:
        if name not in _ops:
            import torch

            overload = getattr(torch.ops.imgrestore, name).default
            register()
            _ops[name] = overload
        return _ops[name]


def takes(*tensors: Any) -> bool:
    """Whether native ops may be given these tensors, which lie on one device.

    Not on a device that no library is loaded for, nor on a GPU older than the kernels are compiled for. Not inside
    `torch.func` transforms or forward-mode derivatives: there the ops have no rules, and a missing forward-mode rule is
    a tangent of zero without a word. Not inside `torch.compile` either, which cannot tell whether that is so.
    """
    import torch
    from torch.autograd import forward_ad

    if torch.compiler.is_compiling():
        return False
    device = tensors[0].device
    if not (device.type == "cpu" or (device.type == "cuda" and _cuda.loaded() and _runs_on(device))):
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return not any(wrapped(t) or forward_ad.unpack_dual(t).tangent is not None for t in tensors)


def build_info() -> dict[str, Any]:
    """What this installation is made of, as plain data.

    Returns
    -------
    dict
        ``version``, ``torch``, ``python``, ``threads`` (of torch), and three dicts: ``native`` (``loaded``, ``path``,
        ``reason``), ``isa`` (``in_use``, ``compiled``, ``supported``, ``reason`` when a better one than that in use
        exists) and ``cuda`` (``loaded``, ``path``, ``reason``, and ``devices``, the names of those that torch sees).

    Examples
    --------
    >>> from imgrestore._native import build_info
    >>> sorted(build_info())
    ['cuda', 'isa', 'native', 'python', 'threads', 'torch', 'version']
    """
    import torch

    from imgrestore import __version__

    return {
        "version": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "native": {"loaded": available(), "path": _cpu.path, "reason": _cpu.reason},
        "isa": _isa(),
        "cuda": {"loaded": _cuda.loaded(), "path": _cuda.path, "reason": _cuda.reason, "devices": _devices()},
        "threads": torch.get_num_threads(),
    }


def _load() -> str:
    if os.environ.get("IMGRESTORE_NATIVE") == "0":
        raise RuntimeError("turned off by IMGRESTORE_NATIVE=0")
    return _load_from(os.environ.get("IMGRESTORE_LIBRARY") or _find("_C", "without native code"))


def _load_cuda() -> str:
    if not available():
        raise RuntimeError(f"it needs the native library for the CPU, which is not loaded ({reason()})")
    if os.environ.get("IMGRESTORE_CUDA") == "0":
        raise RuntimeError("turned off by IMGRESTORE_CUDA=0")
    import torch

    wish = os.environ.get("IMGRESTORE_CUDA_LIBRARY")
    if torch.version.cuda is None and not wish:
        raise RuntimeError(f"torch {torch.__version__} was built without CUDA")
    return _load_from(wish or _find("_C_cuda", "without CUDA kernels"))


def _load_from(path: str) -> str:
    import torch

    torch.ops.load_library(path)
    return path


def _find(name: str, without: str) -> str:
    folder = Path(__file__).parent
    libraries = sorted(p for p in folder.glob(f"{name}.*") if p.suffix in (".so", ".pyd", ".dylib"))
    if not libraries:
        raise FileNotFoundError(f"no {name} library in {folder}: it was installed {without}")
    return str(libraries[0])


_cpu = _Library(_load)
_cuda = _Library(_load_cuda)


def _devices() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _isa() -> dict[str, Any]:
    if not available():
        return {"in_use": None, "compiled": [], "supported": [], "reason": "no native library"}
    import torch

    in_use, compiled, supported = (int(torch.ops.imgrestore.isa(what)) for what in range(3))
    info: dict[str, Any] = {
        "in_use": _ISA[in_use],
        "compiled": [name for i, name in enumerate(_ISA) if compiled >> i & 1],
        "supported": [name for i, name in enumerate(_ISA) if supported >> i & 1],
        "reason": None,
    }
    wish = os.environ.get("IMGRESTORE_ISA")
    better = _ISA[in_use + 1 :]
    if wish and wish not in _ISA:
        info["reason"] = f"IMGRESTORE_ISA={wish} is none of {', '.join(_ISA)} and was ignored"
    elif wish and _ISA.index(wish) > in_use:
        info["reason"] = f"IMGRESTORE_ISA={wish} cannot run here"
    elif wish and better:
        info["reason"] = f"limited by IMGRESTORE_ISA={wish}"
    elif better and compiled >> (in_use + 1):
        info["reason"] = f"this processor does not have {better[0]}"
    elif better:
        info["reason"] = f"{better[0]} is not compiled for this kind of processor"
    return info
