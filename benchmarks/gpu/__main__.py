"""Measures on a GPU and writes docs/benchmarks-gpu.md: `python -m benchmarks.gpu`."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch

import benchmarks  # noqa: F401  (sets the environment)
from benchmarks import machine, probe
from benchmarks.common import OURS
from benchmarks.gpu import page
from benchmarks.gpu.cases import GROUPS, Place
from benchmarks.gpu.contest import BATCH, Contest, run
from benchmarks.gpu.watch import Watch, ceilings, watch_for
from benchmarks.report import ROOT, duration
from imgrestore import build_info

DOCS = ROOT / "docs"


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the results after each contest and the page at the end; 1 where anything of ours failed."""
    options = _options(arguments)
    device = torch.device(options.device)
    dry = options.quick or device.type != "cuda"
    folder = options.results or probe.BUILD / ("gpu-dry" if dry else "gpu")
    target = options.page or (folder if dry else DOCS) / "benchmarks-gpu.md"
    if dry and DOCS in target.resolve().parents:
        print(f"gpu-bench: FAILED: a dry run is not written to {DOCS}", file=sys.stderr)
        return 1
    if device.type == "cuda" and (why := _unfit()):
        print(f"gpu-bench: FAILED: {why}", file=sys.stderr)
        return 1
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    watch = watch_for(device)
    results = _begin(folder / "results.json", watch, options, dry)
    with torch.no_grad():
        _measure(results, folder / "results.json", Place(device, options.quick), watch, options)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page.write(results, BATCH), encoding="utf-8")
    if options.copies:
        options.copies.mkdir(parents=True, exist_ok=True)
        shutil.copy(target, options.copies / "benchmarks-gpu.md")
        shutil.copy(folder / "results.json", options.copies / "benchmarks-gpu.json")
    for text, figure, reached in page.target_rows(results):
        print(f"{text:72} {figure:28} {reached}")
    for group, why in results["failed"].items():
        print(f"gpu-bench: {group}: {why}")
    print(f"gpu-bench: {'FAILED' if results['failed'] else 'measured'}{', a dry run' if dry else ''}; wrote {target}")
    return 1 if results["failed"] else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu for a dry run")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that all runs, not how fast")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), help="these alone; others are kept as last measured")
    parser.add_argument(
        "--minutes", type=float, default=8, help="begin nothing after so long (a command may be cut off)"
    )
    parser.add_argument("--results", type=Path, help="folder of results.json (build/benchmarks/gpu)")
    parser.add_argument("--page", type=Path, help="the page to write (docs/benchmarks-gpu.md)")
    parser.add_argument("--copies", type=Path, help="a folder that gets copies of both")
    return parser.parse_args(arguments)


def _unfit() -> str | None:
    """Why nothing can be measured."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    cuda = build_info()["cuda"]
    return None if cuda["loaded"] else f"the CUDA kernels are not in use: {cuda['reason']}"


def _cupy() -> str | None:
    try:
        return str(importlib.import_module("cupy").__version__)
    except Exception:  # installed, but for another CUDA, for example
        return None


def _begin(path: Path, watch: Watch, options: argparse.Namespace, dry: bool) -> dict[str, Any]:
    """What is known before the first contest; with `only`, what was measured of the rest before."""
    results: dict[str, Any] = {
        "dry": dry,
        "quick": options.quick,
        "device": watch.facts(),
        "machine": machine.describe(),
        "cupy": _cupy(),
        "ceilings": ceilings(watch, quick=options.quick or dry),
        "comparisons": [],
        "failed": {},
    }
    if options.only and path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))
        if all(old.get(key) == results[key] for key in ("dry", "quick", "device", "machine", "cupy")):
            kept = [row for row in old["comparisons"] if row["part"] not in options.only]
            results["comparisons"] = kept
            results["failed"] = {
                name: why for name, why in old["failed"].items() if name.split(":")[0] not in options.only
            }
    return results


def _measure(results: dict[str, Any], path: Path, place: Place, watch: Watch, options: argparse.Namespace) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    for part in options.only or GROUPS:
        try:
            for contest in GROUPS[part](place):
                name = f"{part}: {contest.group}, {contest.size}"
                if time.monotonic() > end:
                    over = f"not begun: {options.minutes:g} minutes were over; run --only {part}"
                    results["failed"][name] = over
                    continue
                _one(results, name, part, contest, watch, options)
                path.write_text(json.dumps(results, indent=1), encoding="utf-8")
        except Exception as error:  # in making the inputs
            results["failed"][part] = _why(error)
    order = list(GROUPS)
    results["comparisons"].sort(key=lambda row: order.index(row["part"]))
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")


def _one(
    results: dict[str, Any], name: str, part: str, contest: Contest, watch: Watch, options: argparse.Namespace
) -> None:
    try:
        if watch.device.type == "cuda":
            torch.cuda.empty_cache()
        row = run(contest, watch, results["device"]["cache"], quick=options.quick)
    except Exception as error:  # the others are still worth measuring
        results["failed"][name] = _why(error)
        print(f"{contest.group}, {contest.size}: failed: {results['failed'][name]}", flush=True)
    else:
        results["comparisons"].append({**row, "part": part})
        _tell(contest, row)
    torch.compiler.reset()


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _tell(contest: Contest, row: dict[str, Any]) -> None:
    ours = row["calls"][OURS]["median"]
    others = [f"{name} {call['median'] / ours:.2f}×" for name, call in row["calls"].items() if name != OURS]
    others += [f"{name} failed" for name in row["failed"]]
    print(f"{contest.group}, {contest.size}: {duration(ours)}   {', '.join(others)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
