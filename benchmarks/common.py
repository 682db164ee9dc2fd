"""Comparisons: ours and its peers on the same input, first for equality, then for time, in turn in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import imgrestore.ops
from imgrestore._native import build_info

THREADS = 2
OURS = "imgrestore"

# Seconds of calling that each callable may take in one comparison, and how often it is called.
BUDGET = 0.8
MOST_ROUNDS = 200
LEAST_ROUNDS = 5
# A call that takes this long has fewer rounds. One that takes longer still has none: it was timed when it was checked.
LONG, LONG_ROUNDS = 0.5, 3
ONCE = 2.0


@dataclass(frozen=True)
class Work:
    """The least that a call has to do: float32 operations, bytes that must move, and bytes in use at once.

    `flops` counts a multiply-add as two. `traffic` counts every input and output once a pass.
    """

    flops: float
    traffic: float
    resident: float


@dataclass(frozen=True)
class Case:
    """One comparison.

    `calls` are whole calls by name; those that begin with "imgrestore" are ours, one of them is `OURS`. A call may
    have a `prepare` that is run before anything is timed (plans of FFTW). Each result must be within `tolerance` of the
    `reference` (the name of a call, or a callable that is run once), relative to its largest value; pixels nearer to
    the rim than `margin` are left out, where libraries see different borders. `differs` says of a call why its result
    is another one by design. `steps` are the iterations of a call, `pixels` counts every channel.
    """

    group: str
    size: str
    pixels: int
    calls: dict[str, Callable[[], Any]]
    reference: str | Callable[[], Any] | None = None
    tolerance: float = 1e-5
    margin: int = 0
    differs: dict[str, str] = field(default_factory=dict)
    steps: int = 1
    work: Work | None = None

    def __post_init__(self) -> None:
        if not all(side.isdecimal() for side in self.size.split(" × ")):
            raise ValueError(f"size is {self.size!r}; expected that of size_name")

    def ours(self) -> Case:
        """The same without peers and without the check: for a second instruction set."""
        calls = {name: call for name, call in self.calls.items() if name.startswith(OURS)}
        return Case(self.group, self.size, self.pixels, calls, steps=self.steps, work=self.work)


def set_threads() -> None:
    """Give torch and OpenCV the number of threads that everything is measured with."""
    torch.set_num_threads(THREADS)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(THREADS)


def isa_in_use() -> str:
    """The instruction set of the native library, or "torch" where there is none."""
    return build_info()["isa"]["in_use"] or "torch"


def op(name: str) -> Any:
    """An op of imgrestore, or a skipped benchmark where this version does not have it."""
    found = getattr(imgrestore.ops, name, None)
    if found is None:
        pytest.skip(f"this version has no op {name}")
    return found


def optional(**modules: Any) -> dict[str, Any]:
    """Those of the peers that are installed."""
    return {name: call for name, call in modules.items() if call is not None}


def compare(case: Case, run_rounds: Callable[..., None], *, quick: bool = False) -> dict[str, Any]:
    """Check a case, then time it: what is known of it as plain data.

    `run_rounds(ours, others, rounds)` has to call `others(round)` and then `ours()` in each round.
    """
    for call in case.calls.values():
        getattr(call, "prepare", lambda: None)()
    first, equal = _check(case)
    rounds = {name: _rounds(seconds, quick) for name, seconds in first.items()}
    times: dict[str, list[float]] = {name: [] if rounds[name] else [first[name]] for name in case.calls}

    def timed(name: str) -> None:
        begin = time.perf_counter()
        result = case.calls[name]()
        times[name].append(time.perf_counter() - begin)
        del result

    most = rounds[OURS]

    def others(number: int) -> None:
        for name in case.calls:
            share = min(rounds[name], most)
            if name != OURS and (number + 1) * share // most > number * share // most:  # evenly over the rounds
                timed(name)

    if most:
        run_rounds(lambda: timed(OURS), others, most)
    for name in case.calls:  # where ours is too long for rounds, its peers are not
        while len(times[name]) < min(rounds[name], LEAST_ROUNDS):
            timed(name)
    return record(case, times, equal)


def record(case: Any, times: dict[str, list[float]], errors: dict[str, float]) -> dict[str, Any]:
    """What is known of a case as plain data: the spread of each call's times, and how far its result is off."""
    return {
        "group": case.group,
        "size": case.size,
        "pixels": case.pixels,
        "steps": case.steps,
        "work": None if case.work is None else vars(case.work),
        "reference": case.reference if isinstance(case.reference, str) else "float64" if case.reference else None,
        "tolerance": case.tolerance,
        "margin": case.margin,
        "calls": {
            name: {**spread(times[name]), "error": errors.get(name), "differs": case.differs.get(name)}
            for name in times
        },
    }


def spread(times: list[float]) -> dict[str, Any]:
    """Median, quartiles and number of times."""
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return {"median": middle, "q1": low, "q3": high, "rounds": len(times)}


def size_name(shape: tuple[int, ...]) -> str:
    """A shape as it is written: 512 × 512."""
    return " × ".join(map(str, shape))


def _check(case: Case) -> tuple[dict[str, float], dict[str, float]]:
    """The seconds of a call of each, and how far its result is from the reference; an error where that is too far."""
    wanted = _inside(case.reference(), case.margin) if callable(case.reference) else None
    seconds, errors = {}, {}
    for name in sorted(case.calls, key=lambda name: name != case.reference):  # the reference first
        call = case.calls[name]
        begin = time.perf_counter()
        result = call()
        seconds[name] = time.perf_counter() - begin
        # An op's first call also loads what torch registers it with.
        if ONCE <= seconds[name] < 4 * ONCE and name == OURS:
            begin = time.perf_counter()
            result = call()
            seconds[name] = time.perf_counter() - begin
        if name == case.reference:
            wanted = _inside(result, case.margin)
        if wanted is not None:
            errors[name] = _error(_inside(result, case.margin), wanted)
            if name not in case.differs and not errors[name] <= case.tolerance:
                far = f"{errors[name]:.1e} from the reference, more than {case.tolerance}"
                raise AssertionError(f"{case.group}, {case.size}: {name} is {far}")
        result = None
        if seconds[name] < ONCE:  # the first call made plans and pages
            begin = time.perf_counter()
            call()
            seconds[name] = time.perf_counter() - begin
    return seconds, errors


def _inside(result: Any, margin: int) -> np.ndarray:
    array = result.detach().cpu().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)
    return array[margin : array.shape[0] - margin, margin : array.shape[1] - margin] if margin else array


def _error(found: np.ndarray, wanted: np.ndarray) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    largest = float(np.abs(wanted).max()) or 1.0
    # In parts, so that the check of a large picture does not need several more of them.
    edges = np.linspace(0, len(wanted), min(len(wanted), 16) + 1, dtype=int)
    worst = [float(np.abs(found[a:b] - wanted[a:b]).max()) for a, b in pairwise(edges) if b > a]
    return float("inf") if any(np.isnan(worst)) else max(worst) / largest


def _rounds(seconds: float, quick: bool) -> int:
    """How often to call again what took so long: 0 where the checked call has to do."""
    if quick:
        return 2
    if seconds >= ONCE:
        return 0
    return min(max(int(BUDGET / seconds), LEAST_ROUNDS if seconds < LONG else LONG_ROUNDS), MOST_ROUNDS)
