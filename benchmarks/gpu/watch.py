"""How time and memory are taken, on a GPU and, for dry runs, on the CPU; and what the device can do at best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.machine import output_of

# What all input sets of a call fill together, in sizes of the second-level cache, and the most of them.
TIMES_CACHE = 2
MOST_SETS = 32


class CudaWatch:
    """Time between two events on the stream in use, with the device idle before the first."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._begin, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def seconds(self, call: Callable[[], Any], count: int) -> float:
        """The mean time of calls that are made one after the other, without waiting for any."""
        torch.cuda.synchronize(self.device)
        self._begin.record()
        for _ in range(count):
            call()
        self._end.record()
        self._end.synchronize()
        return self._begin.elapsed_time(self._end) / 1e3 / count

    def peak(self, call: Callable[[], Any]) -> tuple[Any, int | None]:
        """A call's result, and the most bytes of torch's that it had at once beyond what there was before."""
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        result = call()
        torch.cuda.synchronize(self.device)
        return result, torch.cuda.max_memory_allocated(self.device) - before

    def facts(self) -> dict[str, Any]:
        """The device, as plain data."""
        told = torch.cuda.get_device_properties(self.device)
        query = ("nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,power.limit", "--format=csv,noheader")
        return {
            "name": told.name,
            "capability": f"{told.major}.{told.minor}",
            "multiprocessors": told.multi_processor_count,
            "memory": told.total_memory,
            "cache": getattr(told, "L2_cache_size", 0) or 64 << 20,
            "driver": output_of(*query),
            "toolkit": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }


class CpuWatch:
    """The same by the clock, for a run that only shows that all runs."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def seconds(self, call: Callable[[], Any], count: int) -> float:
        """As `CudaWatch.seconds`."""
        begin = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - begin) / count

    def peak(self, call: Callable[[], Any]) -> tuple[Any, int | None]:
        """The result alone."""
        return call(), None

    def facts(self) -> dict[str, Any]:
        """As `CudaWatch.facts`, as far as there is anything to tell."""
        empty = dict.fromkeys(("capability", "multiprocessors", "memory", "driver", "toolkit", "cudnn"))
        return {"name": "the CPU", "cache": 1 << 20, **empty}


Watch = CudaWatch | CpuWatch


def watch_for(device: torch.device) -> Watch:
    """The watch of a device."""
    return CudaWatch(device) if device.type == "cuda" else CpuWatch(device)


def sets_for(resident: float, cache: int, *, quick: bool) -> int:
    """How many input sets are taken in turn, so that a call finds none of its own in the cache."""
    return 2 if quick else min(MOST_SETS, int(TIMES_CACHE * cache / max(resident, 1)) + 2)


def ceilings(watch: Watch, *, quick: bool) -> dict[str, Any]:
    """What the device does at best, a second, in the form that `benchmarks.probe.floor_seconds` takes.

    The bytes of a large copy, read and written; and the operations of products of large matrices, in float32 (without
    TF32) and in bfloat16, a multiply-add counted as two.
    """
    floats, side = (1 << 18, 128) if quick else (1 << 28, 8192)

    def best(call: Callable[[], Any], count: int) -> float:
        watch.seconds(call, 2)
        return statistics.median(watch.seconds(call, count) for _ in range(5))

    def copying() -> float:
        source = torch.rand(floats, device=watch.device)
        target = torch.empty_like(source)
        return 2 * 4 * floats / best(lambda: target.copy_(source), 10)

    def product(dtype: torch.dtype) -> float:
        a, b = (torch.randn(side, side, device=watch.device, dtype=dtype) for _ in range(2))
        out = torch.empty_like(a)
        return 2 * side**3 / best(lambda: torch.mm(a, b, out=out), 3)

    return {
        "caches": {"L2": 0, "L3": 0},  # the floor is that of memory, though small pictures stay in the cache
        "threads": 1,
        "copy": {"memory": copying()},
        "flops": product(torch.float32),
        "flops_bfloat16": product(torch.bfloat16),
    }
