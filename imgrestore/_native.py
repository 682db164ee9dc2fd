"""The native library: found and loaded when an op is first used, and never a reason for an import to fail.

``IMGRESTORE_NATIVE=0`` in the environment turns it off, ``IMGRESTORE_ISA=baseline|avx2|avx512`` limits the instruction
set, ``IMGRESTORE_LIBRARY=path`` takes another build of it. They are read once, when the library is loaded.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ISA = ("baseline", "avx2", "avx512")

_lock = threading.RLock()
_tried = False
_path: str | None = None
_reason: str | None = None
_ops: dict[str, Any] = {}


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
    global _tried, _path, _reason
    if _tried:
        return _path is not None
    with _lock:
        if not _tried:
            try:
                _path = _load()
            except Exception as error:
                _reason = f"{type(error).__name__}: {error}"
            _tried = True
    return _path is not None


def reason() -> str | None:
    """Why there is no native library; None when there is one, or when nothing has asked for it yet."""
    return _reason


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
    """Whether native ops may be given these tensors.

    Not inside `torch.func` transforms or forward-mode derivatives: there the ops have no rules, and a missing
    forward-mode rule is a tangent of zero without a word. Not inside `torch.compile` either, which cannot tell whether
    that is so.
    """
    import torch
    from torch.autograd import forward_ad

    if torch.compiler.is_compiling():
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
        exists) and ``cuda`` (``loaded``, ``reason``).

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
        "native": {"loaded": available(), "path": _path, "reason": _reason},
        "isa": _isa(),
        "cuda": {"loaded": False, "reason": "this version has no CUDA kernels; CUDA tensors run on the torch twins"},
        "threads": torch.get_num_threads(),
    }


def _load() -> str:
    if os.environ.get("IMGRESTORE_NATIVE") == "0":
        raise RuntimeError("turned off by IMGRESTORE_NATIVE=0")
    path = os.environ.get("IMGRESTORE_LIBRARY") or _find()
    import torch

    torch.ops.load_library(path)
    return path


def _find() -> str:
    folder = Path(__file__).parent
    libraries = sorted(p for p in folder.glob("_C.*") if p.suffix in (".so", ".pyd", ".dylib"))
    if not libraries:
        raise FileNotFoundError(f"no _C library in {folder}: it was installed without native code")
    return str(libraries[0])


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
