"""What a user sees of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Report", "Silence", "reporting"]

# Without a terminal every row of the log is a line at first, later every tenth.
FIRST_ROWS, EVERY = 4, 10


class Report(Protocol):
    """Who hears of a run."""

    def say(self, line: str) -> None:
        """Tell something that stays."""

    def row(self, line: str) -> None:
        """Tell how the training goes: a row of the log."""

    def moved(self, part: float, step: int, left: float) -> None:
        """A step was taken: the part of the schedule that is done, its number, the seconds that are left."""


class Silence:
    """Tells nobody: all processes but the first."""

    def say(self, line: str) -> None:
        """Do nothing."""

    def row(self, line: str) -> None:
        """Do nothing."""

    def moved(self, part: float, step: int, left: float) -> None:
        """Do nothing."""


class _Lines:
    def __init__(self) -> None:
        self.rows = 0

    def say(self, line: str) -> None:
        print(line, flush=True)

    def row(self, line: str) -> None:
        self.rows += 1
        if self.rows <= FIRST_ROWS or self.rows % EVERY == 0:
            print(line, flush=True)

    def moved(self, part: float, step: int, left: float) -> None:
        pass


@contextmanager
def reporting(task: str, leads: bool = True) -> Iterator[Report]:
    """A report for the terminal, if there is one, while the block runs.

    Parameters
    ----------
    task : str
        What is trained.
    leads : bool
        Whether this process speaks at all.

    Yields
    ------
    Report
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(markup=False, highlight=False)
    if not leads or not console.is_terminal:
        yield _Lines() if leads else Silence()
        return
    columns = (
        TextColumn(task),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("step {task.fields[step]}, {task.fields[left]} left | {task.fields[row]}"),
    )
    with Progress(*columns, console=console) as bar:
        running = bar.add_task("", total=1.0, step=0, left="?", row="")

        class Bar:
            def say(self, line: str) -> None:
                console.print(line, soft_wrap=True)

            def row(self, line: str) -> None:
                bar.update(running, row=line.split(": ")[-1])  # the bar shows step and time itself

            def moved(self, part: float, step: int, left: float) -> None:
                minutes = f"{left / 60:.1f} min" if left < 6000 else f"{left / 3600:.1f} h"
                bar.update(running, completed=part, step=step, left=minutes)

        yield Bar()
