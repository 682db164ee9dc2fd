"""What a worker is asked to do with one picture, and what it answers.

A worker may die after it has written a picture and before anyone heard of it, and so may the one who asked. An order
therefore says what lay at the target's place when it was given out first: what lies there now, if it is something else,
is the finished picture, as files are written whole or not at all.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from imgrestore.job import Job, Work, reason, restore_file

__all__ = ["NOTHING", "Order", "Outcome", "carry_out", "restore", "state_of", "states_of"]

# Errors of files that are no better a moment later.
LASTING = (FileExistsError, IsADirectoryError, NotADirectoryError)

State = tuple[int, int] | None
NOTHING: tuple[State, State, State] = (None, None, None)
"""The state of three files that are not there."""

# One picture at a time in a process, whatever number of threads dask gave it: they are the picture's.
_ONE = threading.Lock()


@dataclass(frozen=True)
class Order:
    """One picture to restore.

    Attributes
    ----------
    number : int
        Of the picture, among all.
    job : Job
    before : tuple of State
        What `states_of` the job was when it was given out first.
    resumed : bool
        Whether that was in another run.
    overwrite, verbose : bool
        As for `imgrestore.job.restore_file`.
    """

    number: int
    job: Job
    before: tuple[State, State, State] = NOTHING
    resumed: bool = False
    overwrite: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes
    ----------
    status : {"done", "skipped", "failed"}
        Skipped is what another run had finished.
    seconds : float
    worker : str
        Its address.
    notes : tuple of str
        What a user should know.
    error : str, optional
        Why it failed.
    again : {"no", "yes", "alone"}
        Whether another attempt may help: alone where memory was short.
    size : int, optional
        Bytes of the target.
    """

    status: Literal["done", "skipped", "failed"]
    seconds: float
    worker: str = ""
    notes: tuple[str, ...] = ()
    error: str | None = None
    again: Literal["no", "yes", "alone"] = "no"
    size: int | None = None


def state_of(path: Path | None) -> State:
    """What tells whether a file is still the same on every machine that sees it: bytes, and milliseconds of its age."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_size, found.st_mtime_ns // 1_000_000)


def states_of(job: Job) -> tuple[State, State, State]:
    """The state of all that a job writes, None for what is not there."""
    return state_of(job.target), state_of(job.sheet), state_of(job.psf)


def restore(order: Order, work: Work, worker: str = "") -> Outcome:
    """Restore one picture, if it has not been; never raises for what is wrong with the picture.

    Parameters
    ----------
    order : Order
    work : Work
    worker : str
        Whose name goes into the outcome.

    Returns
    -------
    Outcome
    """
    job, start = order.job, time.perf_counter()

    def outcome(status: Literal["done", "skipped", "failed"], **more: Any) -> Outcome:
        return Outcome(status, time.perf_counter() - start, worker, **more)

    try:
        if _is_finished(order):
            note = "finished already" if order.resumed else "finished by an earlier attempt"
            size = job.target.stat().st_size
            return outcome("skipped" if order.resumed else "done", notes=(note,), size=size)
        # What is there although there was nothing has been left by an earlier attempt.
        overwrite = order.overwrite or not any(order.before)
        notes = restore_file(job, work, _nobody, overwrite=overwrite, verbose=order.verbose)
        return outcome("done", notes=tuple(notes), size=job.target.stat().st_size)
    except Exception as error:
        return outcome("failed", error=reason(error, job), again=_may_help(error))


def carry_out(order: Order, packed: bytes, topic: str, threads: int) -> Outcome:
    """Do as `restore`, as a task of dask.

    Parameters
    ----------
    order : Order
    packed : bytes
        The `Work`, pickled: the same for all pictures, so it is unpacked once.
    topic : str
        Under which the scheduler is told that the picture has been begun.
    threads : int
        How many to compute with; 0 for as many as dask gave the worker.

    Returns
    -------
    Outcome
    """
    from distributed import get_worker

    from .places import pin

    worker = get_worker()
    with _ONE:
        worker.log_event(topic, {"number": order.number})
        pin(threads or worker.state.nthreads)
        return restore(order, _unpacked(packed), worker.address)


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> Work:
    """The work, to be done on the GPU of this worker where it has one and the user names none."""
    import inspect
    import pickle

    from .places import device_here

    work: Work = pickle.loads(packed)
    if "device" in work.settings or "device" not in inspect.signature(work.task).parameters:
        return work
    device = device_here()
    return work if device is None else replace(work, settings={**work.settings, "device": device})


def _is_finished(order: Order) -> bool:
    """Whether the target has been written since the order was first given out, and holds what it should."""
    from imgrestore import io

    job = order.job
    now = state_of(job.target)
    if now is None or now == order.before[0]:
        return False
    source = io.read(job.source)
    try:
        target = io.read(job.target)
    except (ValueError, OSError):
        return False
    return bool(target.pixels.shape == source.pixels.shape and target.pixels.dtype == source.pixels.dtype)


def _may_help(error: Exception) -> Literal["no", "yes", "alone"]:
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error) or "CUDA out of memory" in str(error):
        return "alone"
    return "yes" if isinstance(error, OSError) and not isinstance(error, LASTING) else "no"


def _nobody(text: str, part: float) -> None:
    """Hear nothing of how far a picture is."""
