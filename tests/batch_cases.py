"""Tasks for batches that sleep, kill their workers or fail, as their pictures tell them to."""

import json
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import child
import numpy as np

from imgrestore import io
from imgrestore.job import Job, Work
from imgrestore.scale import orders
from imgrestore.scale.batch import Manner, Totals, absolute, restore_many
from imgrestore.scale.cluster import connected
from imgrestore.scale.report import Report, digest

KILLER, MORTAL, FLAKY = 66, 77, 88
# Before a process kills itself: its scheduler has heard that the picture was begun.
HEARD = 0.5


def slow(pixels, *, seconds=0.1, marks="", details=False, channel_axis="auto"):
    """The negative, after a while; pictures of some values kill the process, always or once, or fail once."""
    value = int(pixels[0, 0])
    first = not _is_marked(marks, value)
    time.sleep(seconds)
    if value == KILLER or (value == MORTAL and first):
        time.sleep(HEARD)
        os.kill(os.getpid(), signal.SIGKILL)
    if value == FLAKY and first:
        raise OSError(5, "the disk is away")
    return 255 - pixels


def _is_marked(folder, value):
    """Whether a picture of this value was seen before; from now on it was."""
    if value not in (MORTAL, FLAKY):
        return False
    try:
        open(os.path.join(folder, f"seen-{value}"), "x").close()
    except FileExistsError:
        return True
    return False


def pictures(folder, count):
    """So many small pictures, each of one value."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        io.write(folder / f"{i:03}.png", np.full((16, 16), 100 + i % 100, np.uint8))
    return sorted(folder.iterdir())


def lines(report):
    """The lines of a report that are about pictures."""
    if not report.exists():
        return []
    whole = [text for text in report.read_text().splitlines() if text.endswith("}")]
    return [line for line in map(json.loads, whole) if "source" in line]


def batch(client, folder, out, *, heard=lambda order, outcome: None, seconds=0.1, **manner):
    """Restore a folder with `slow`; the totals, and the lines of this run."""
    jobs = [Job(path, out / path.name) for path in sorted(folder.iterdir())]
    work = Work(slow, {"seconds": seconds, "marks": str(folder.parent)})
    jobs, work = absolute(jobs, work)
    manner, totals = Manner(threads=1, **manner), Totals()
    report = Report(out / "report.jsonl", "slow", digest(work.settings), resume=manner.resume)
    before = len(lines(report.path))
    try:
        restore_many(client, jobs, work, report, manner, totals, heard=heard)
    finally:
        report.close(complete=totals.ended == len(jobs))
    return totals, lines(report.path)[before:]


def busy():
    """Whether this worker is at a picture."""
    return orders._ONE.locked()


def main():
    """A client of its own: address of the scheduler, folder of the pictures, folder for the results."""
    address, source, target = sys.argv[1:]
    with connected(address) as client:
        batch(client, Path(source), Path(target))


@contextmanager
def cluster(folder, workers=2):
    """A scheduler and workers as `dask scheduler` and `dask worker` start them; yields the address."""
    scheduler_file, log = folder / "scheduler.json", open(folder / "log", "wb")  # noqa: SIM115
    words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--idle-timeout", "300s"]
    words += ["--scheduler-file", str(scheduler_file)]
    options = {"stdout": log, "stderr": log, "cwd": folder, "start_new_session": True}
    processes = [child.start("-m", "dask", "scheduler", *words, **options)]
    try:
        wait_for(lambda: scheduler_file.exists() and scheduler_file.read_text().endswith("}"), processes[0])
        address = json.loads(scheduler_file.read_text())["address"]
        words = ["--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--host", "127.0.0.1"]
        words += ["--death-timeout", "200s", "--local-directory", str(folder), address]
        processes += [child.start("-m", "dask", "worker", *words, **options) for _ in range(workers)]
        yield address
    finally:
        for process in reversed(processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)
        log.close()


def wait_for(condition, process=None, seconds=200):
    """Wait until something holds, as long as a process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        assert process is None or process.poll() is None, f"the process ended with {process.returncode}"
        time.sleep(0.02)
