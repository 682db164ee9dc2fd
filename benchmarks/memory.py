"""Peak memory of one call, in a process of its own: `measure`, and what its child process runs."""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import probe
from benchmarks.common import set_threads

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
WARM = 64


def measure(builder: Callable[..., Any], name: str, shape: tuple[int, ...], **arguments: Any) -> int | None:
    """The most bytes that a call has beyond what was there before it, its result included and its input not.

    None where the system does not tell. The call is run on a small picture first, so that libraries and plans of
    theirs are loaded.
    """
    if not CLEAR.exists():
        return None
    task = {"module": builder.__module__, "builder": builder.__name__, "name": name}
    task |= {"shape": shape, "arguments": arguments}
    path = os.pathsep.join([str(probe.HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", json.dumps(task)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"memory of {name}, {shape}: {done.stderr[-2000:]}")
    return int(done.stdout.splitlines()[-1])


def _child(task: dict[str, Any]) -> int:
    set_threads()
    builder = getattr(importlib.import_module(task["module"]), task["builder"])
    shape = tuple(task["shape"])
    small = tuple(n if n <= 4 else min(n, WARM) for n in shape)
    builder(small, **task["arguments"]).calls[task["name"]]()
    # Only the case's input is there beforehand: plans and buffers that a call prepares count as its own.
    call = builder(shape, **task["arguments"]).calls[task["name"]]
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    CLEAR.write_text("5")  # sets the high-water mark to what is there now
    before = _status("VmRSS")
    result = call()
    peak = _status("VmHWM")
    del result
    return peak - before


def _status(key: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return 1024 * int(line.split()[1])
    raise KeyError(key)


if __name__ == "__main__":
    print(_child(json.loads(sys.argv[1])))
