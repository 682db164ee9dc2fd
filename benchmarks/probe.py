"""The roofline of this machine, measured: float32 multiply-adds, and bytes from the caches and from memory.

`python -m benchmarks.probe` prints it. The probe is C++ that is compiled here and now, for the instruction set in use.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "benchmarks"
SOURCES = ("probe.cpp", "probe_kernels.h")
ISA = ("baseline", "avx2", "avx512")
LANES = {"baseline": 4, "avx2": 8, "avx512": 16}
SUMS = 12
COPY, STREAM, TRIAD = range(3)
# What a cache level has where the system does not tell.
USUAL_CACHES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}


def measure(isa: str, threads: int, *, quick: bool = False) -> dict[str, Any] | None:
    """The roofline of an instruction set: operations and bytes a second. None where it cannot be compiled.

    Keys: `flops_core` and `flops` (all threads), `copy` and `copy_core` (bytes read and written from each of L2, L3 and
    memory), `triad` (from memory), `caches` (bytes), `threads`, `isa`.
    """
    library = _library()
    if library is None:
        return None
    number, seconds = ISA.index(isa), 0.01 if quick else 0.08
    caches = cache_sizes()
    # Half of L2 for each core; several L2, yet within L3; and far more than L3. (A copy has two buffers.)
    size = {
        "L2": caches["L2"] // 2,
        "L3": min(4 * caches["L2"], caches["L3"] // (2 * threads)),
        "memory": 8 << 20 if quick else max(4 * caches["L3"], 64 << 20),
    }
    floats = {level: max(total // 8 // 64, 1) * 64 for level, total in size.items()}

    def flops(crew: int) -> float:
        rounds = 1_000_000

        def once(n: int) -> float:
            return library.probe_multiply_add(number, crew, n)

        return 2.0 * SUMS * LANES[isa] * crew * _best(once, rounds, seconds)

    def rate(crew: int, level: str, what: int) -> float:
        n = floats[level]

        def once(repeats: int) -> float:
            return library.probe_bytes(number, crew, what, n, repeats)

        return (3 if what == TRIAD else 2) * 4.0 * n * crew * _best(once, 1, seconds)

    def copies(crew: int) -> dict[str, float]:
        rates = {level: rate(crew, level, COPY) for level in floats}
        rates["memory"] = max(rates["memory"], rate(crew, "memory", STREAM))
        return rates

    return {
        "isa": isa,
        "threads": threads,
        "caches": caches,
        "flops_core": flops(1),
        "flops": flops(threads),
        "copy_core": copies(1),
        "copy": copies(threads),
        "triad": rate(threads, "memory", TRIAD),
    }


def better(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The higher of two measurements in each place: what disturbed one may have spared the other."""
    best = dict(one)
    for key, value in other.items():
        if isinstance(value, dict):
            best[key] = better(one[key], value)
        elif isinstance(value, float):
            best[key] = max(one[key], value)
    return best


def floor_seconds(roofline: dict[str, Any], flops: float, traffic: float, resident: float) -> tuple[float, str]:
    """The least time that this machine needs for a call, and what sets it: "compute", "L2", "L3" or "memory".

    `traffic` is the bytes that must move, `resident` those in use at once, which says what level they can be in.
    """
    caches = roofline["caches"]
    if resident <= roofline["threads"] * caches["L2"]:
        level = "L2"
    else:
        level = "L3" if resident <= caches["L3"] else "memory"
    compute, moving = flops / roofline["flops"], traffic / roofline["copy"][level]
    return (compute, "compute") if compute >= moving else (moving, level)


def cache_sizes() -> dict[str, int]:
    """Bytes of L1 (data) and L2 of a core, and of L3."""
    sizes = dict(USUAL_CACHES)
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction" and f"L{level}" in sizes:
            sizes[f"L{level}"] = int(size[:-1]) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[size[-1]]
    return sizes


def compiler() -> str | None:
    """The C++ compiler that the native library is built with, too."""
    return shutil.which(os.environ.get("CXX", "g++"))


def _best(once: Any, amount: int, seconds: float) -> float:
    """The best of several runs, as amount a second, each long enough to be timed."""
    took = once(amount)
    while took < seconds / 4:
        amount = max(2 * amount, int(amount * seconds / 3 / max(took, 1e-7)))
        took = once(amount)
    return amount / min(took, *(once(amount) for _ in range(4)))


def _library() -> Any | None:
    command = compiler()
    if command is None:
        return None
    text = b"".join((HERE / name).read_bytes() for name in SOURCES)
    path = BUILD / f"probe-{hashlib.sha256(text).hexdigest()[:12]}.so"
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        flags = ["-O2", "-std=gnu++17", "-ffp-contract=fast", "-Wno-psabi", "-shared", "-fPIC", "-pthread"]
        full = [command, *flags, str(HERE / SOURCES[0]), "-o", str(fresh)]
        built = subprocess.run(full, capture_output=True, text=True)
        if built.returncode:
            print(f"benchmarks: no roofline, the probe does not compile: {built.stderr[-500:]}", file=sys.stderr)
            return None
        fresh.replace(path)
    library = ctypes.CDLL(str(path))
    library.probe_multiply_add.restype = library.probe_bytes.restype = ctypes.c_double
    library.probe_multiply_add.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.probe_bytes.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    return library


if __name__ == "__main__":
    from benchmarks.common import THREADS, isa_in_use

    json.dump(measure(isa_in_use(), THREADS), sys.stdout, indent=1)
