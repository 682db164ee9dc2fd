"""Which classes are taken for which: the scores of a classifier."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Confusion"]


@dataclass(frozen=True)
class Confusion:
    """How often pictures of each class were taken for each class.

    Attributes
    ----------
    names : tuple of str
        The classes.
    counts : ndarray of int64, shape (classes, classes)
        A row for each true class, a column for each answer.

    Examples
    --------
    >>> from imgrestore.train.confusion import Confusion
    >>> found = Confusion.of(("blur", "none"), [0, 0, 1, 1], [0, 1, 1, 1])
    >>> found.accuracy, round(found.f1["blur"], 3)
    (0.75, 0.667)
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, names: Sequence[str], truth: Sequence[int], answers: Sequence[int]) -> Confusion:
        """Count the answers; both sequences hold indices of names."""
        counts = np.zeros((len(names), len(names)), np.int64)
        np.add.at(counts, (np.asarray(truth, int), np.asarray(answers, int)), 1)
        return cls(tuple(names), counts)

    @property
    def accuracy(self) -> float:
        """The part of all pictures whose class was found."""
        return float(np.trace(self.counts) / max(1, self.counts.sum()))

    @property
    def f1(self) -> dict[str, float]:
        """Of each class twice the pictures found, over all that are of it and all that were taken for it."""
        right = np.diag(self.counts)
        among = self.counts.sum(0) + self.counts.sum(1)
        return {name: float(2 * r / max(1, n)) for name, r, n in zip(self.names, right, among, strict=True)}

    @property
    def macro_f1(self) -> float:
        """The mean of `f1` over the classes that occur, in truth or in answers."""
        occurring = self.counts.sum(0) + self.counts.sum(1) > 0
        values = [value for value, there in zip(self.f1.values(), occurring, strict=True) if there]
        return sum(values) / max(1, len(values))

    def commonest(self) -> Confusion:
        """The same pictures, all of them taken for the class that most of them are of."""
        counts = np.zeros_like(self.counts)
        counts[:, int(self.counts.sum(1).argmax())] = self.counts.sum(1)
        return Confusion(self.names, counts)

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Answers by name, by the true class's name."""
        return {
            name: dict(zip(self.names, map(int, row), strict=True))
            for name, row in zip(self.names, self.counts, strict=True)
        }

    def to_csv(self) -> str:
        """A table: the first row names the answers, the first column the true classes."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["truth", *self.names])
        table.writerows([name, *map(int, row)] for name, row in zip(self.names, self.counts, strict=True))
        return text.getvalue()
