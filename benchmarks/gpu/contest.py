"""A comparison on a device: results first, then times, in turn in one process and over several sets of inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from torch import Tensor

from benchmarks.common import OURS, Work, record, size_name
from benchmarks.gpu.watch import Watch, sets_for

# Calls are timed by the batch, of about so many seconds, for so many seconds in all.
BATCH, MOST_CALLS = 2e-3, 100
BUDGET, LEAST_ROUNDS, MOST_ROUNDS = 0.5, 5, 50

Call = Callable[[], Tensor]


@dataclass(frozen=True)
class Contest:
    """Ours and others on the same inputs.

    `inputs(seed)` gives a set of inputs on the device; each of `makers` makes of one set a call without arguments. What
    it does beforehand (plans, a graph) is not timed, but its memory is counted. Results have to be within `tolerance`
    of those of `reference`, relative to their largest value, but where `differs` says why not. `peak` names the kind of
    operations that `work` counts.
    """

    group: str
    about: str
    shape: tuple[int, ...]
    inputs: Callable[[int], tuple[Any, ...]]
    makers: dict[str, Callable[..., Call]]
    work: Work
    reference: str | None = "torch"
    tolerance: float = 1e-4
    differs: dict[str, str] = field(default_factory=dict)
    steps: int = 1
    peak: str = "flops"
    margin: int = 0

    @property
    def size(self) -> str:
        """The shape as it is written."""
        return size_name(self.shape)

    @property
    def pixels(self) -> int:
        """Of all pictures together."""
        return math.prod(self.shape)


class Rotation:
    """Calls on several sets of inputs, one after the other."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = cycle(calls)

    def __call__(self) -> Tensor:
        return next(self._calls)()


def run(contest: Contest, watch: Watch, cache: int, *, quick: bool) -> dict[str, Any]:
    """Check a contest, then time it: what is known of it as plain data, `failed` and `memory` by call included."""
    count = sets_for(contest.work.resident, cache, quick=quick)
    sets = [contest.inputs(seed) for seed in range(count)]
    errors, failed, memory = _check(contest, watch, sets[0])
    calls = {name: Rotation([make(*one) for one in sets]) for name, make in contest.makers.items() if name in memory}
    times = _times(calls, watch, count, quick=quick)
    told = record(contest, times, errors)
    if contest.reference in failed:
        told["reference"] = None
    return {**told, "about": contest.about, "peak": contest.peak, "sets": count, "failed": failed, "memory": memory}


def _check(
    contest: Contest, watch: Watch, inputs: tuple[Any, ...]
) -> tuple[dict[str, float], dict[str, str], dict[str, int | None]]:
    """How far each result is off, why calls failed, and the memory of those that did not."""
    errors: dict[str, float] = {}
    failed: dict[str, str] = {}
    memory: dict[str, int | None] = {}
    wanted = None
    for name in sorted(contest.makers, key=lambda name: name != contest.reference):  # the reference first
        make = contest.makers[name]
        try:
            make(*inputs)()  # compiles, chooses among kernels, makes plans
            result, memory[name] = watch.peak(lambda make=make: make(*inputs)())
        except Exception as error:  # of peers that this machine cannot run
            if name == OURS:
                raise
            failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            continue
        if name == contest.reference:
            wanted = result
        if wanted is not None:
            errors[name] = relative_error(result, wanted)
            if name not in contest.differs and not errors[name] <= contest.tolerance:
                far = f"{name} is {errors.pop(name):.1e} from {contest.reference}, more than {contest.tolerance}"
                if name.startswith(OURS):
                    raise AssertionError(far)
                failed[name] = far
                del memory[name]
        del result
    return errors, failed, memory


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """The largest difference as a part of the largest value; infinite where shapes differ or a number is none."""
    if found.shape != wanted.shape:
        return math.inf
    error = float((found.float() - wanted.float()).abs().max() / wanted.abs().max().float().clamp_min(1e-30))
    return math.inf if math.isnan(error) else error


def _times(calls: dict[str, Rotation], watch: Watch, count: int, *, quick: bool) -> dict[str, list[float]]:
    batches, rounds = {}, {}
    for name, call in calls.items():
        watch.seconds(call, count)  # each set once
        seconds = max(watch.seconds(call, 2), 1e-7)
        batches[name] = 1 if quick else min(max(round(BATCH / seconds), 1), MOST_CALLS)
        rounds[name] = 2 if quick else min(max(int(BUDGET / (seconds * batches[name])), LEAST_ROUNDS), MOST_ROUNDS)
    times: dict[str, list[float]] = {name: [] for name in calls}
    most = max(rounds.values())
    for number in range(most):
        for name, call in calls.items():
            share = rounds[name]
            if (number + 1) * share // most > number * share // most:  # evenly over the rounds
                times[name].append(watch.seconds(call, batches[name]))
    return times
