"""Many pictures on the workers of a dask scheduler: given out a few at a time, tried again, written down."""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from imgrestore.io.atomic import remove_leftovers
from imgrestore.job import Job, Work

from .extra import needed
from .orders import Order, Outcome, carry_out, states_of
from .report import Report
from .settled import Settled

__all__ = ["Manner", "Totals", "absolute", "restore_many", "tidy"]

# Pictures that a worker has at hand, the one in work among them; and seconds between counts of the workers.
AT_HAND, COUNTING = 3, 2.0


@dataclass
class Totals:
    """How many pictures came out how.

    Attributes
    ----------
    done, skipped, failed : int
    """

    done: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """All of them."""
        return self.done + self.skipped + self.failed

    def __str__(self) -> str:
        words = [f"{self.done} done", f"{self.skipped} skipped" * bool(self.skipped)]
        return ", ".join(word for word in (*words, f"{self.failed} failed" * bool(self.failed)) if word)


@dataclass(frozen=True)
class Manner:
    """How a batch is done.

    Attributes
    ----------
    resume : bool
        Skip what earlier runs finished, as the report and the files tell, and remove what they left unfinished.
    overwrite, verbose : bool
        As for `imgrestore.job.restore_file`.
    retries : int
        How often a picture is tried again.
    threads : int
        Of each worker; 0 for as many as it was given.
    """

    resume: bool = False
    overwrite: bool = False
    verbose: bool = False
    retries: int = 2
    threads: int = 0


def absolute(jobs: Iterable[Job], work: Work) -> tuple[list[Job], Work]:
    """The same with absolute paths: workers have working folders of their own.

    Parameters
    ----------
    jobs : iterable of Job
    work : Work

    Returns
    -------
    list of Job
    Work
    """

    def full(path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.abspath(path))

    settings = {name: full(value) if isinstance(value, Path) else value for name, value in work.settings.items()}
    moved = [
        Job(Path(os.path.abspath(one.source)), Path(os.path.abspath(one.target)), full(one.sheet), full(one.psf))
        for one in jobs
    ]
    return moved, replace(work, settings=settings)


def restore_many(
    client: Any,
    jobs: Sequence[Job],
    work: Work,
    report: Report,
    manner: Manner,
    totals: Totals,
    *,
    heard: Callable[[Order, Outcome], object] = lambda order, outcome: None,
    waiting: Callable[[], object] = lambda: None,
) -> None:
    """Restore pictures on workers.

    A picture that is broken fails at once. One whose file could not be read or written for another reason is tried
    again; so is one whose worker died. Whose workers die again and again is put off until all others are done, and
    then restored with no other beside it, so that it can only be its own doing, and not that of its neighbours.

    Parameters
    ----------
    client : distributed.Client
    jobs : sequence of Job
        With absolute paths, as `absolute` gives them.
    work : Work
    report : Report
    manner : Manner
    totals : Totals
        Counted on as pictures end.
    heard : callable
        Takes the order of a picture that ended, and its outcome.
    waiting : callable
        Called where there are no workers.

    Raises
    ------
    ConnectionError
        The scheduler is gone.
    RuntimeError
        A worker has another version of the package.
    """
    if manner.resume:
        tidy(jobs)
    run = _Run(client, work, report, manner, totals, heard)
    try:
        with run.prepared(waiting):
            run.over((_order(number, job, report, manner) for number, job in enumerate(jobs)), run.window)
            run.over(iter(run.suspects), lambda: 1, alone=True)
    except BaseException:
        run.abandon()
        raise
    tidy(jobs)


def tidy(jobs: Iterable[Job]) -> None:
    """Remove the temporary files that killed workers left where jobs write.

    Parameters
    ----------
    jobs : iterable of Job
    """
    folders = {path.parent for job in jobs for path in (job.target, job.sheet, job.psf) if path is not None}
    for folder in folders:
        if folder.is_dir():
            remove_leftovers(folder)


def _order(number: int, job: Job, report: Report, manner: Manner) -> Order:
    order = Order(number, job, states_of(job), overwrite=manner.overwrite, verbose=manner.verbose)
    before = report.before(order) if manner.resume else None
    return order if before is None else replace(order, before=before, resumed=True)


class _Run:
    """The pictures that are with the workers, and what is known of the others."""

    def __init__(
        self,
        client: Any,
        work: Work,
        report: Report,
        manner: Manner,
        totals: Totals,
        heard: Callable[[Order, Outcome], object],
    ) -> None:
        import cloudpickle

        self.client, self.report, self.manner, self.totals, self.heard = client, report, manner, totals, heard
        self.name = f"imgrestore-{secrets.token_hex(6)}"
        self.module = work.task.__module__
        self.address = client.scheduler.address
        # The processes of a cluster of this process's own get the interrupts of its terminal.
        self.quiet = client.cluster is not None
        self.packed = cloudpickle.dumps(work)
        self.suspects: list[Order] = []
        self._flying: dict[str, tuple[Order, Any]] = {}
        self._begun: Counter[int] = Counter()
        self._given: Counter[int] = Counter()
        self._errors: Counter[int] = Counter()
        self._counted = (0.0, 0)

    @contextmanager
    def prepared(self, waiting: Callable[[], object]) -> Iterator[None]:
        """Make the workers ready, and in the end have the scheduler forget that."""
        client = self.client
        if not client.nthreads():
            waiting()
        client.register_plugin(Settled(self.manner.threads, self.module, quiet=self.quiet), name=self.name)
        client.subscribe_topic(self.name, self._hear_of_begun)
        try:
            # A task, not data that is scattered: it is made again where all workers that have it die.
            with needed("dask").config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
                self.work = client.submit(_as_it_is, self.packed, key=f"{self.name}-work", pure=False)
            yield
        finally:
            if client.status == "running":
                client.unsubscribe_topic(self.name)
                client.unregister_worker_plugin(self.name)

    def window(self) -> int:
        """How many pictures may be with the workers."""
        when, count = self._counted
        if time.monotonic() - when > COUNTING:
            count = len(self.client.nthreads())
            self._counted = (time.monotonic(), count)
        return AT_HAND * max(1, count)

    def over(self, orders: Iterator[Order], window: Callable[[], int], *, alone: bool = False) -> None:
        """Give out orders until none is left; alone tells that no picture has others beside it."""
        completed = needed("distributed").as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        for order in islice(orders, window()):
            self._give(order, completed)
        for future, result in completed:
            order = self._flying.pop(future.key)[0]
            outcome = self._outcome(order, future.status, result)
            if outcome is None:
                self._give(order, completed)
            elif outcome.again == "alone" and not alone:
                self.suspects.append(order)
            else:
                self._end(order, outcome)
            for following in islice(orders, max(0, window() - len(self._flying))):
                self._give(following, completed)

    def abandon(self) -> None:
        """Let go of what is with the workers."""
        if self.client.status == "running":
            self.client.cancel([future for _, future in self._flying.values()], force=True)

    def _give(self, order: Order, completed: Any) -> None:
        self.report.begin(order)
        self._given[order.number] += 1
        key = f"{self.name}-{order.number}-{self._given[order.number]}"
        future = self.client.submit(carry_out, order, self.work, self.name, self.manner.threads, key=key, pure=False)
        self._flying[key] = order, future
        completed.add(future)

    def _outcome(self, order: Order, status: str, result: Any) -> Outcome | None:
        """What became of a picture; None where it is to be tried again."""
        if status == "finished":
            if result.again != "yes" or self._errors[order.number] >= self.manner.retries:
                return result
            self._errors[order.number] += 1
            return None
        error = result[1] if isinstance(result, tuple) else result
        if status != "error":
            raise ConnectionError(f"the scheduler {self.address} is gone")
        if isinstance(error, needed("distributed").KilledWorker):
            begun = max(1, self._begun[order.number])
            text = f"{begun} workers died over it, of too little memory or a crash in native code"
            return Outcome("failed", 0.0, getattr(error.last_worker, "address", ""), error=text, again="alone")
        return Outcome("failed", 0.0, error=f"{type(error).__name__}: {_line(error)}")

    def _end(self, order: Order, outcome: Outcome) -> None:
        # Dask begins a picture again by itself, and a worker may die before it tells what it began.
        attempts = max(self._begun.pop(order.number, 0), self._given.pop(order.number))
        self._errors.pop(order.number, None)
        setattr(self.totals, outcome.status, getattr(self.totals, outcome.status) + 1)
        self.report.end(order, outcome, attempts)
        self.heard(order, outcome)

    def _hear_of_begun(self, event: tuple[float, Any]) -> None:
        self._begun[event[1]["number"]] += 1


def _as_it_is(value: Any) -> Any:
    return value


def _line(error: object) -> str:
    return " ".join(str(error).split())
