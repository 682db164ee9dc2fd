"""The run's CSV files: a row is written once, and rows past the checkpoint go when a run is resumed."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from imgrestore.train.checkpoint import write_bytes

__all__ = ["Table"]


class Table:
    """A CSV file with a column ``step`` that only rises.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: float | None = None  # the last row's step, once it is known

    def rows(self) -> list[dict[str, float]]:
        """What it holds; a row that is damaged or was cut off in writing is left out."""
        return [numbers for _, numbers in self._read()[1]]

    def cut(self, step: int) -> None:
        """Drop the rows past a step, and those that are damaged or were cut off.

        Parameters
        ----------
        step : int
            The checkpoint's.
        """
        head, rows = self._read()
        kept = [line for line, numbers in rows if numbers["step"] <= step]
        self.last = None
        if kept:
            write_bytes(self.path, "".join([head, *kept]).encode())
        else:
            self.path.unlink(missing_ok=True)

    def add(self, row: dict[str, float | str]) -> None:
        """Append a row, unless the table is at its step already: then it is left as it is.

        Parameters
        ----------
        row : dict
            The first row's keys become the header.
        """
        new = not self.path.exists()
        if new or self.last is None:
            self.last = max((numbers["step"] for numbers in self.rows()), default=-math.inf)
        if float(row["step"]) <= self.last:
            return
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
        with self.path.open("a", newline="") as file:
            file.write(stream.getvalue())
        self.last = float(row["step"])

    def _read(self) -> tuple[str, list[tuple[str, dict[str, float]]]]:
        """The header's line; of every sound row the line as it was written, and its numbers."""
        if not self.path.exists():
            return "", []
        # A machine that went down may have left anything in the last lines.
        head, *lines = self.path.read_text(errors="replace").splitlines(keepends=True) or [""]
        names = head.strip().split(",")
        found = ((line, _numbers(names, line)) for line in lines)
        return head, [(line, numbers) for line, numbers in found if numbers is not None]


def _numbers(names: list[str], line: str) -> dict[str, float] | None:
    """A row's numbers by column, NaN where there is none; None for a row that is not whole."""
    fields = line.rstrip("\n").split(",")
    if "step" not in names or len(fields) != len(names) or not line.endswith("\n"):
        return None
    try:
        return {name: float(field) if field else math.nan for name, field in zip(names, fields, strict=True)}
    except ValueError:
        return None
