"""What the numbers were measured on, and with what."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import probe
from benchmarks.common import THREADS
from imgrestore._native import build_info

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "opencv-python-headless", "pyfftw", "pytest-benchmark")


def describe() -> dict[str, Any]:
    """The machine, the versions and the commit, as plain data."""
    info = build_info()
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "caches": probe.cache_sizes(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": THREADS,
        "isa": info["isa"]["in_use"],
        "supported": info["isa"]["supported"],
        "compiler": _compiler(),
        "versions": {
            "imgrestore": info["version"],
            "Python": info["python"],
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
        "commit": _commit(),
    }


def processor_time() -> tuple[float, float, float] | None:
    """Seconds of all cores since the start, those of them at work, and those at work for this process and its children.

    None where the system does not tell.
    """
    try:
        fields = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    tick = os.sysconf("SC_CLK_TCK")
    idle = fields[3] + fields[4]  # idle, and waiting for a disk
    return sum(fields) / tick, (sum(fields) - idle) / tick, sum(os.times()[:4])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name", platform.machine())
    family = ", ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    return f"{name} ({family})" if family else name


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _compiler() -> str | None:
    command = probe.compiler()
    return output_of(command, "--version") if command else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    git = ("git", "-C", str(probe.HERE.parent))
    commit = output_of(*git, "rev-parse", "--short=12", "HEAD")
    # The report that comes of this is left out: it does not make the sources differ from the commit.
    changed = output_of(*git, "status", "--porcelain", "--", "imgrestore", "csrc", "benchmarks")
    return f"{commit} with changes" if commit and changed else commit


def output_of(*command: str) -> str | None:
    """The first line that a program writes, or None where there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[0] if done.returncode == 0 and lines else None
