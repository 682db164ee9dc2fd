"""Writes docs/benchmarks.md and its picture from what `pytest benchmarks` measured: `python -m benchmarks.report`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import chart, probe
from benchmarks.common import LONG, ONCE, OURS

ROOT = Path(__file__).parents[1]
ISA_NAMES = {"avx512": "AVX-512", "avx2": "AVX2", "baseline": "baseline (SSE2)", "torch": "torch, no native code"}
ONLY = "†"

INTRODUCTION = """\
# Benchmarks

How long imgrestore takes beside other libraries, on one machine. `make bench` measures all anew and writes this page.

- **Whole calls**: from array to array, with everything that a call does each time. Only FFTW's plans are made
  beforehand (`FFTW_MEASURE`, at most {planning:g} s for each) and kept.
- **In turn**: in each round imgrestore and its peers are called one after the other, in one process, with {threads}
  threads for torch, OpenCV, SciPy's FFT and FFTW. scikit-image and `scipy.ndimage` run as they come, mostly on one
  thread.
- **Equal results**: before anything is timed, the results are compared. Below each table stands with what and how
  nearly, and whose result is another one by design.
- **Medians** of at least five rounds where a call takes less than {long:g} s, of three below {limit:g} s; longer
  calls are made once ({once}). In brackets are the quartiles of imgrestore, and the medians of the others. **2 ×
  means: takes twice as long as imgrestore.** Other instruction sets are held to the best one, each
  in a process of its own and without peers, which leaves caches warm: 1.2 × means 1.2 times as long.
- **Of the floor**: the least time in which this machine does the operations (at its peak of multiply-adds) or moves
  the bytes (from the cache or memory that they fit in), whichever is longer, over the time taken. Operations are
  counted for the usual algorithm, bytes as if every picture moved once a pass.
- Other machines have other ratios.
"""

CHART = """\
## Time against size

![Time for each megapixel against the side of square gray pictures](_static/{name})

Milliseconds for each megapixel (and step, where there are several) of square gray pictures. Lower is better; where a
line is level, time grows as the number of pixels.
"""

MEMORY = """\
## Peak memory

The most that a call has beyond its input and what was loaded before, its result included; each in a process of its own.
The last column tells it in pictures of that size in float32.

| call | by | memory | pictures |
| --- | --- | --: | --: |
"""


def main(arguments: list[str] | None = None) -> int:
    """Read the results, write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=probe.BUILD, help="folder of the JSON files")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder to write to")
    options = parser.parse_args(arguments)
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(options.results.glob("*.json"))]
    whole = [results for results in found if not results["ours_only"]]
    if len(whole) != 1:
        print(f"{options.results}: {len(whole)} results with peers, expected 1; run pytest benchmarks", file=sys.stderr)
        return 1
    (results,) = whole
    # The set in use comes first: the others are told by it, as it too was measured without peers.
    others = [other for other in found if other is not results and _same_run(other, results)]
    others.sort(key=lambda other: other["isa"] != results["isa"])
    if others and others[0]["isa"] != results["isa"]:
        others = []
    options.out.mkdir(parents=True, exist_ok=True)
    picture = chart.draw(results, options.out / "_static" / "benchmarks.svg")
    page = options.out / "benchmarks.md"
    page.write_text(write(results, others, picture), encoding="utf-8")
    print(f"wrote {page}" + (f" and {picture}" if picture else ""))
    return 0


def write(results: dict[str, Any], others: list[dict[str, Any]], picture: Path | None) -> str:
    """The page: what was measured with peers, and on other instruction sets without."""
    from benchmarks.peers import PLANNING_SECONDS

    threads = results["machine"]["threads"]
    parts = [INTRODUCTION.format(planning=PLANNING_SECONDS, threads=threads, long=LONG, limit=ONCE, once=ONLY)]
    if results["quick"]:
        parts.append("**These are from a quick run, with tiny pictures and two rounds. They show nothing of speed.**\n")
    parts.append(_machine(results))
    if picture is not None:
        parts.append(CHART.format(name=picture.name))
    for group in dict.fromkeys(row["group"] for row in results["comparisons"]):
        parts.append(section(group, results, others))
    if results["memory"]:
        parts.append(_memory(results["memory"]))
    return "\n".join(parts)


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def duration(seconds: float) -> str:
    """Three digits, in milliseconds or seconds."""
    return f"{_digits(seconds)} s" if seconds >= 1 else f"{_digits(1e3 * seconds)} ms"


def _digits(value: float) -> str:
    decimals = next((n for limit, n in ((99.95, 0), (9.995, 1), (0.9995, 2)) if value >= limit), 3)
    return f"{value:.{decimals}f}"


def _same_run(other: dict[str, Any], results: dict[str, Any]) -> bool:
    same = all(other["machine"][key] == results["machine"][key] for key in ("processor", "commit", "threads"))
    if not same or other["quick"] != results["quick"]:
        print(f"left out {other['isa']}: from another machine, commit or kind of run", file=sys.stderr)
        return False
    return True


def _machine(results: dict[str, Any]) -> str:
    machine, roofline = results["machine"], results.get("roofline")
    caches = ", ".join(f"{level} {size >> 10} KiB" for level, size in machine["caches"].items())
    rows = [
        ["processor", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"],
        ["caches, memory", f"{caches}; {machine['memory'] / 2**30:.0f} GiB" if machine["memory"] else caches],
        ["threads", str(machine["threads"])],
        ["instruction set", ISA_NAMES[results["isa"]]],
        ["compiler", machine["compiler"] or "none"],
        ["versions", ", ".join(f"{name} {number}" for name, number in machine["versions"].items())],
        ["commit", machine["commit"] or "unknown"],
    ]
    if roofline:
        copy = ", ".join(f"{level} {rate / 1e9:.0f}" for level, rate in roofline["copy"].items())
        peak, core = roofline["flops"] / 1e9, roofline["flops_core"] / 1e9
        rows.append(["multiply-adds, float32", f"{peak:.0f} GFLOP/s ({core:.0f} on one core), measured"])
        triad = f"triad from memory {roofline['triad'] / 1e9:.0f}"
        rows.append(["copying, read + written", f"{copy} GB/s; {triad}, measured"])
    if results.get("others") is not None:
        rows.append(["other processes meanwhile", f"{100 * results['others']:.0f} % of the processor time"])
    lines = [["", ""], ["---", "---"], *rows]
    return "## The machine\n\n" + "\n".join(f"| {a} | {b} |" for a, b in lines) + "\n"


def section(group: str, results: dict[str, Any], others: list[dict[str, Any]]) -> str:
    """The table of a group of comparisons, with what was measured and how nearly the results are equal."""
    rows = sorted((row for row in results["comparisons"] if row["group"] == group), key=_by_shape)
    peers = list(dict.fromkeys(name for row in rows for name in row["calls"] if name != OURS))
    steps = any(row["steps"] > 1 for row in rows)
    roofline = results.get("roofline")
    floors = roofline and any(row["work"] for row in rows)
    head = ["size", OURS, *(["a step"] if steps else []), *(ISA_NAMES[other["isa"]] for other in others[1:]), *peers]
    lines = []
    for row in rows:
        ours = row["calls"][OURS]
        line = [row["size"], _ours(ours)]
        if steps:
            line.append(duration(ours["median"] / row["steps"]))
        line += [_other_isa(row, other, others[0]) for other in others[1:]]
        line += [_peer(row["calls"].get(name), ours) for name in peers]
        if floors:
            line.append(_of_floor(row, roofline))
        lines.append(line)
    return "\n".join(
        [
            f"## {group}\n",
            rows[0]["about"] + "\n",
            table([*head, *(["of the floor"] if floors else [])], lines),
            *_notes(rows),
        ]
    )


def _by_shape(row: dict[str, Any]) -> tuple[int, int]:
    return row["size"].count("×"), row["pixels"]


def _ours(call: dict[str, Any]) -> str:
    if call["rounds"] == 1:
        return f"**{duration(call['median'])}**{ONLY}"
    return f"**{duration(call['median'])}** ({_digits_between(call)})"


def _digits_between(call: dict[str, Any]) -> str:
    scale = 1 if call["median"] >= 1 else 1e3
    return f"{_digits(scale * call['q1'])} to {_digits(scale * call['q3'])}"


def _peer(call: dict[str, Any] | None, ours: dict[str, Any]) -> str:
    if call is None:
        return ""
    once = ONLY if call["rounds"] == 1 else ""
    return f"{_digits(call['median'] / ours['median'])} × ({duration(call['median'])}){once}"


def _other_isa(row: dict[str, Any], other: dict[str, Any], base: dict[str, Any]) -> str:
    found = [
        r["calls"][OURS]["median"]
        for results in (other, base)
        for r in results["comparisons"]
        if (r["group"], r["size"]) == (row["group"], row["size"])
    ]
    return f"{_digits(found[0] / found[1])} ×" if len(found) == 2 else ""


def _of_floor(row: dict[str, Any], roofline: dict[str, Any]) -> str:
    if not row["work"]:
        return ""
    seconds, limit = probe.floor_seconds(roofline, **row["work"])
    return f"{100 * seconds / row['calls'][OURS]['median']:.0f} % ({limit})"


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    """What the results were held to, and who differs."""
    notes = []
    checked = [row for row in rows if row["reference"]]
    if checked:
        row = checked[0]
        errors = [call["error"] for r in checked for call in r["calls"].values() if not call["differs"]]
        rim = f", {row['margin']} pixels from the rim or further in" if row["margin"] else ""
        notes.append(
            f"Equal to {row['reference']} within {row['tolerance']:g} of the largest value{rim}; "
            f"the farthest is at {max(errors):.0e}."
        )
    differing = {name: call for row in rows for name, call in row["calls"].items() if call["differs"]}
    for name, call in differing.items():
        far = "" if call["error"] is None else f" (off by up to {call['error']:.0e})"
        notes.append(f"{name} differs by design{far}: {call['differs']}.")
    return [" ".join(notes) + "\n"] if notes else []


def _memory(records: list[dict[str, Any]]) -> str:
    lines = []
    for record in records:
        if (taken := record["bytes"]) is not None:
            call, pictures = f"{record['group']}, {record['size']}", taken / (4 * record["pixels"])
            lines.append(f"| {call} | {record['name']} | {taken / 2**20:.0f} MiB | {pictures:.1f} |\n")
    return MEMORY + "".join(lines)


if __name__ == "__main__":
    sys.exit(main())
