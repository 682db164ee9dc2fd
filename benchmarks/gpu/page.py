"""The page of what was measured on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks import probe
from benchmarks.common import OURS
from benchmarks.report import section, table

INTRODUCTION = """\
# Benchmarks on a GPU

How long imgrestore's CUDA kernels take beside torch and CuPy, on one device. `make gpu` builds, tests and measures all
anew and writes this page.

- **Device time of whole calls**, from tensor to tensor: between two CUDA events, of a batch of calls that lasts about
  {batch:g} ms, with the device idle before. Where Python launches kernels more slowly than the device runs them, that
  shows. The median of several batches is told, in brackets the quartiles of imgrestore and the medians of the others.
  **2 × means: takes twice as long as imgrestore.**
- **In turn**: batch by batch, imgrestore and the others are called one after the other, in one process. Each goes
  through several sets of inputs, which together are larger than twice the second-level cache.
- **Equal results**: before anything is timed, the results are compared. Below each table stands with what and how
  nearly.
- torch runs with `cudnn.benchmark`, and without TF32 but where it says so. Plans, graphs and compiled code are made
  beforehand.
- **Of the floor**: the least time in which this device does the operations or moves the bytes, over the time taken.
  Operations are held to a product of large matrices in the same precision, bytes to a large copy; what is counted
  stands above each table. A picture that stays in the second-level cache can go below the floor of memory.
"""

LAST = ", channels last"
DRY = "**This is a dry run on {name}, with tiny pictures. It shows that all runs, and nothing of speed.**\n"


@dataclass(frozen=True)
class Target:
    """What a group should reach: times as fast as others at every size, or a part of the floor at one size."""

    group: str
    least: float
    against: tuple[str, ...] = ()
    size: str | None = None

    def text(self) -> str:
        """As it is printed."""
        if self.against:
            return f"{self.group}: {self.least:g} × as fast as {self.against[0]}"
        return f"{self.group}, {self.size}: {100 * self.least:g} % of the floor"

    def reached(self, results: dict[str, Any]) -> tuple[float, str] | None:
        """The least figure and its size, or None where it was not measured."""
        found = []
        for row in results["comparisons"]:
            title = row["group"]
            if title != self.group and not title.startswith(f"{self.group}, width"):
                continue
            if self.size not in (None, row["size"]):
                continue
            calls = row["calls"]
            if not self.against:
                seconds, _ = probe.floor_seconds(ceiling(results, row), **row["work"])
                found.append((seconds / calls[OURS]["median"], row["size"]))
            for name, call in calls.items():
                if name in self.against:
                    ours = f"{OURS}{LAST}" if name.endswith(LAST) else OURS
                    found.append((call["median"] / calls[ours]["median"], row["size"]))
        return min(found) if found else None


EAGER = ("torch", f"torch{LAST}")
COMPILED = ("torch.compile", f"torch.compile{LAST}")
TARGETS = (
    Target("richardson_lucy", 3, ("torch.fft loop",)),
    Target("richardson_lucy", 2, ("torch.fft loop as a graph",)),
    Target("richardson_lucy", 0.6, size="4096 × 4096"),
    Target("fft_filter", 1.5, ("torch.fft",)),
    Target("gated_block", 1, EAGER),
    Target("gated_block", 1, COMPILED),
)


def write(results: dict[str, Any], batch: float) -> str:
    """The page."""
    parts = [INTRODUCTION.format(batch=1e3 * batch)]
    if results["dry"]:
        parts.append(DRY.format(name=results["device"]["name"]))
    parts += [_machine(results), _targets(results)]
    for group in dict.fromkeys(row["group"] for row in results["comparisons"]):
        rows = [row for row in results["comparisons"] if row["group"] == group]
        # Groups are of one precision, and the floor is that of its operations.
        parts.append(section(group, {**results, "roofline": ceiling(results, rows[0])}, []))
    parts += [_memory(results["comparisons"]), _failures(results)]
    return "\n".join(part for part in parts if part)


def ceiling(results: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """What the device does at best of the operations of a row."""
    return {**results["ceilings"], "flops": results["ceilings"][row["peak"]]}


def target_rows(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Each target, the least that was found, and whether that is enough."""
    rows = []
    for target in TARGETS:
        found = target.reached(results)
        if found is None:
            rows.append((target.text(), "not measured", ""))
            continue
        figure = f"{found[0]:.2f} ×" if target.against else f"{100 * found[0]:.0f} %"
        rows.append((target.text(), f"{figure} at {found[1]}", "yes" if found[0] >= target.least else "no"))
    return rows


def _machine(results: dict[str, Any]) -> str:
    device, machine, top = results["device"], results["machine"], results["ceilings"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    rows = [["device", device["name"]]]
    if device["memory"]:
        rows[0][1] += f", capability {device['capability']}, {device['multiprocessors']} multiprocessors"
        rows.append(["memory, second-level cache", f"{device['memory'] >> 30} GiB, {device['cache'] >> 20} MiB"])
        rows.append(["driver, highest clock, power limit", device["driver"] or "unknown"])
        rows.append(["CUDA and cuDNN of torch", f"{device['toolkit']}, {device['cudnn']}"])
    rows += [
        ["copying, read + written", f"{top['copy']['memory'] / 1e9:.0f} GB/s, measured"],
        ["multiply-adds, float32", f"{top['flops'] / 1e12:.3g} TFLOP/s, measured"],
        ["multiply-adds, bfloat16", f"{top['flops_bfloat16'] / 1e12:.3g} TFLOP/s, measured"],
        ["processor", f"{machine['processor']}, {machine['cores']} cores"],
        ["versions", f"{versions}, CuPy {results['cupy'] or 'not there'}"],
        ["commit", machine["commit"] or "unknown"],
    ]
    return "## The device\n\n" + "\n".join(f"| {a} | {b} |" for a, b in [["", ""], ["---", "---"], *rows]) + "\n"


def _targets(results: dict[str, Any]) -> str:
    return "## Targets\n\n" + table(["target", "least found", "reached"], [list(row) for row in target_rows(results)])


def _memory(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        told = {name: taken for name, taken in row["memory"].items() if taken is not None}
        if OURS not in told:
            continue
        others = ", ".join(f"{name} {taken / 2**20:.0f}" for name, taken in told.items() if name != OURS)
        lines.append([f"{row['group']}, {row['size']}", f"{told[OURS] / 2**20:.0f}", others])
    if not lines:
        return ""
    note = "The most that a call has of torch's memory beyond its input, MiB, its result and its graph included.\n\n"
    return "## Peak memory\n\n" + note + table(["call", OURS, "others"], lines)


def _failures(results: dict[str, Any]) -> str:
    failed = [f"- {group}: {why}\n" for group, why in results["failed"].items()]
    for row in results["comparisons"]:
        failed += [f"- {row['group']}, {row['size']}: {name}: {why}\n" for name, why in row["failed"].items()]
    return "## Not measured\n\n" + "".join(failed) if failed else ""
