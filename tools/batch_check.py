"""Batches at full size: throughput of two workers, a killed worker, a killed client, a scheduler started apart.

    python tools/batch_check.py [--count 200] [--rounds 3] [--only throughput]

Pictures of 256 x 256 are cut from those of scikit-image and blurred. Throughput is that of deshadow, which takes about
a second of one core for each; workers and one process that knows nothing of them take turns. All else is done with
deblur. Each part prints what it found; the status is 1 where pictures were lost or done twice. Seconds are those of the
machine as it is, so its load is printed with them, and the seconds of the processor.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
SIDE = 256
TASK = ["--psf", "motion:9:30"]
# Pictures of one turn in the measurement.
SLICE = 20


def main() -> int:
    """Carry out what was asked for; the status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="pictures")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side in the measurement of throughput")
    parser.add_argument("--only", choices=sorted(PARTS), help="only this part")
    asked = parser.parse_args()
    sound = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(folder / "in", asked.count)
        print(f"{asked.count} pictures of {SIDE} x {SIDE}, {os.cpu_count()} cores, {loaded()}", flush=True)
        for part, check in PARTS.items():
            if asked.only in (None, part):
                print(f"\n{part}", flush=True)
                sound = check(folder, asked) and sound
    print("\nall as it should be" if sound else "\nNOT as it should be")
    return 0 if sound else 1


def throughput(folder: Path, asked: argparse.Namespace) -> bool:
    """Pictures a second of two workers and of one process, in turn."""
    from imgrestore.job import Job
    from imgrestore.scale.batch import Manner, Totals, absolute, restore_many
    from imgrestore.scale.cluster import local
    from imgrestore.scale.report import Report

    sources = sorted((folder / "in").iterdir())

    def two_workers(client: Any, pictures: list[Path], out: Path) -> None:
        jobs, same = absolute([Job(path, out / path.name) for path in pictures], work())
        report, totals = Report(out / "report.jsonl", "deshadow", "0"), Totals()
        restore_many(client, jobs, same, report, Manner(threads=1), totals)
        report.close(complete=True)
        assert totals.done == len(jobs), totals

    begun = time.perf_counter()
    with local(2, 1, 2) as client, ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        client.wait_for_workers(2)
        started = time.perf_counter() - begun
        workers = list(client.run(os.getpid).values())
        two_workers(client, sources[:12], folder / "warm-2")
        first = time.perf_counter() - begun - started
        print(f"two workers are there after {started:.1f} s; their first 12 pictures and all imports {first:.1f} s")
        lone = [pool.submit(os.getpid).result()]
        pool.submit(one_process, sources[:2], folder / "warm-1").result()
        print("seconds by the clock, and those of the processor: one process, two workers")
        ratios = []
        for turn in range(asked.rounds):
            pictures = [sources[(turn * SLICE + i) % len(sources)] for i in range(min(SLICE, len(sources)))]
            alone, own = timed(pool.submit(one_process, pictures, folder / f"one-{turn}").result, lone)
            both, theirs = timed(lambda: two_workers(client, pictures, folder / f"two-{turn}"), workers)  # noqa: B023
            ratios.append(alone / both)
            print(
                f"{len(pictures)} pictures  {alone:6.2f} ({own:5.2f})  {both:6.2f} ({theirs:5.2f})  "
                f"ratio {alone / both:.2f}  {loaded()}",
                flush=True,
            )
    same = all((folder / "one-0" / p.name).read_bytes() == p.read_bytes() for p in (folder / "two-0").glob("*.png"))
    print(f"median ratio {statistics.median(ratios):.2f}; the same files: {same}")
    return same


def work() -> Any:
    """The work of the measurement."""
    from imgrestore.job import Work
    from imgrestore.tasks.deshadow import deshadow

    return Work(deshadow, {"method": "auto"})


def one_process(pictures: list[Path], out: Path) -> None:
    """What a process does that restores one picture after the other."""
    from imgrestore.job import Job, restore_file

    for path in pictures:
        restore_file(Job(path, out / path.name), work(), lambda text, part: None, overwrite=False, verbose=False)


def timed(action: Callable[[], object], processes: list[int]) -> tuple[float, float]:
    """Seconds that something takes by the clock, and of the processor in the processes that do it."""
    import psutil

    def used() -> float:
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in processes)

    clock, before = time.perf_counter(), used()
    action()
    return time.perf_counter() - clock, used() - before


def killed_worker(folder: Path, asked: argparse.Namespace) -> bool:
    """Kill one of two workers in the midst of it."""
    out = folder / "killed-worker"
    batch = start_batch(folder / "in", out, "--workers", "2")
    wait_for(lambda: done(out) >= asked.count // 4, batch)
    victim = next(pid for pid in children(batch.pid) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(victim, signal.SIGKILL)
    status = batch.wait()
    found = lines(out)
    sound = status == 0 and len(found) == done(out) == asked.count and missing(folder, out) == 0
    again = sum(line["attempts"] > 1 for line in found)
    print(f"killed process {victim} after {asked.count // 4}: status {status}, {done(out)} done, {again} begun again")
    return sound


def killed_client(folder: Path, asked: argparse.Namespace) -> bool:
    """Kill the client in the midst of it, and resume."""
    out = folder / "killed-client"
    batch = start_batch(folder / "in", out, "--workers", "2")
    wait_for(lambda: done(out) >= asked.count // 3, batch)
    batch.kill()
    batch.wait()
    time.sleep(2)  # its workers end by themselves
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    known = len(lines(out))
    status = start_batch(folder / "in", out, "--workers", "2", "--resume").wait()
    resumed = lines(out)[known:]
    redone = [name for name, when in before.items() if (out / name).stat().st_mtime_ns != when]
    skipped = sum(line["status"] == "skipped" for line in resumed)
    print(
        f"{len(before)} finished at the kill, {known} of them in the report; resumed: status {status}, "
        f"{skipped} skipped, {len(resumed) - skipped} done, {len(redone)} done twice"
    )
    left = list(out.glob(".imgrestore-*"))
    return status == 0 and not redone and skipped == len(before) and missing(folder, out) == 0 and not left


def scheduler_apart(folder: Path, asked: argparse.Namespace) -> bool:
    """Start `dask scheduler` and two `dask worker` apart, and give their address."""
    out, known = folder / "apart", folder / "scheduler.json"
    words = [sys.executable, "-m", "dask"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment()}
    at = ["--host", "127.0.0.1", "--no-dashboard"]
    processes = [subprocess.Popen([*words, "scheduler", "--port", "0", "--scheduler-file", str(known), *at], **quiet)]
    try:
        wait_for(lambda: known.exists() and known.read_text().endswith("}"), processes[0])
        address = json.loads(known.read_text())["address"]
        worker = [*words, "worker", address, "--nthreads", "1", "--local-directory", str(folder), *at]
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        status = start_batch(folder / "in", out, "--scheduler", address).wait()
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()
    by = {line["worker"] for line in lines(out)}
    print(f"{address}: status {status}, {done(out)} done by {len(by)} workers")
    return status == 0 and missing(folder, out) == 0 and len(by) == 2


PARTS: dict[str, Callable[[Path, argparse.Namespace], bool]] = {
    "throughput": throughput,
    "killed-worker": killed_worker,
    "killed-client": killed_client,
    "scheduler-apart": scheduler_apart,
}


def make_pictures(folder: Path, count: int) -> None:
    """Cut pictures out of those of scikit-image, and blur them."""
    from scipy.ndimage import convolve
    from skimage import data

    from imgrestore import Psf, io

    folder.mkdir()
    scenes = [data.camera(), data.moon(), data.brick(), data.grass(), data.gravel()]
    psf, rng = Psf.parse(TASK[1]).array, np.random.default_rng(0)
    for number in range(count):
        scene = scenes[number % len(scenes)]
        top, left = (int(rng.integers(0, length - SIDE + 1)) for length in scene.shape)
        crop = scene[top : top + SIDE, left : left + SIDE].astype(float)
        observed = convolve(crop, psf, mode="reflect") + rng.normal(0, 2, crop.shape)
        io.write(folder / f"{number:04}.png", np.rint(observed).clip(0, 255).astype(np.uint8))


def start_batch(source: Path, out: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start ``imgrestore batch`` in a process of its own."""
    command = [sys.executable, "-m", "imgrestore", "batch", "deblur", str(source), "-o", str(out), *TASK, *words]
    return subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)


def environment() -> dict[str, str]:
    """That of this process, in which the package is found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def lines(out: Path) -> list[dict[str, Any]]:
    """The lines of a report that are about pictures and are whole."""
    path = out / "report.jsonl"
    texts = path.read_text().splitlines() if path.exists() else []
    return [line for text in texts if text.endswith("}") and "source" in (line := json.loads(text))]


def done(out: Path) -> int:
    """How many pictures were done, as the report tells."""
    return sum(line["status"] == "done" for line in lines(out))


def missing(folder: Path, out: Path) -> int:
    """How many pictures have no result that can be read."""
    from imgrestore import io

    def is_there(path: Path) -> bool:
        try:
            return io.read(out / path.name).pixels.shape == (SIDE, SIDE)
        except (OSError, ValueError):
            return False

    return sum(not is_there(path) for path in (folder / "in").iterdir())


def children(process: int) -> list[int]:
    """The processes that a process started, and that they did."""
    import psutil

    return [one.pid for one in psutil.Process(process).children(recursive=True)]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something holds, as long as a process lives."""
    while not condition():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with status {process.returncode}")
        time.sleep(0.1)


def loaded() -> str:
    """How busy the machine is."""
    return "load {:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())


if __name__ == "__main__":
    sys.exit(main())
