"""Score the masks that a task finds on pictures whose damage was marked: ``imgrestore evaluate TASK DIR``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from imgrestore.evaluate_cases import find_marked
from imgrestore.evaluate_methods import METHODS, Rows, methods_of, timed
from imgrestore.metrics import balanced_error, intersection_over_union

__all__ = ["TASKS", "MaskMean", "MaskScore", "MaskScores", "evaluate_masks"]

# The tasks whose masks tell where damage is.
TASKS = ("deshadow", "dereflect", "despecular", "derust")


@dataclass(frozen=True)
class MaskScore:
    """How a method's mask of one picture agrees with the marked one.

    Attributes
    ----------
    picture, method : str
    iou : float
        Intersection over union.
    balanced_error : float
        As in `imgrestore.metrics.balanced_error`.
    precision, recall : float
        Shares of the found mask, and of the marked one, that belong to both; 1 where there is nothing to share.
    seconds : float
        What the call took.
    """

    picture: str
    method: str
    iou: float
    balanced_error: float
    precision: float
    recall: float
    seconds: float


@dataclass(frozen=True)
class MaskMean:
    """A method's scores over all pictures: means, and the median of the time."""

    method: str
    pictures: int
    iou: float
    balanced_error: float
    precision: float
    recall: float
    seconds: float


@dataclass(frozen=True)
class MaskScores(Rows[MaskScore]):
    """The scores of a task's masks, by picture and method."""

    row: ClassVar[type[Any]] = MaskScore

    def mean(self, method: str) -> MaskMean:
        """A method's scores over all pictures.

        Parameters
        ----------
        method : str
            One of `methods`.

        Returns
        -------
        MaskMean

        Raises
        ------
        ValueError
            Where the method was not scored.
        """
        own = self.of(method)
        return MaskMean(
            method,
            len(own),
            statistics.fmean(row.iou for row in own),
            statistics.fmean(row.balanced_error for row in own),
            statistics.fmean(row.precision for row in own),
            statistics.fmean(row.recall for row in own),
            statistics.median(row.seconds for row in own),
        )


def evaluate_masks(
    task: str,
    folder: str | Path,
    *,
    methods: Sequence[str] = METHODS,
    limit: int | None = None,
    weights: str | Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> MaskScores:
    """Compare the masks that a task finds with marked ones.

    Parameters
    ----------
    task : str
        deshadow, dereflect, despecular or derust.
    folder : path
        With the folders input and mask, whose pictures have the same names but for their suffixes; a mask is bright
        where there is damage.
    methods : sequence of str
        Methods of the task.
    limit : int, optional
        Only the first so many pictures, in the order of their names.
    weights : path, optional
        Weights of one's own for the net of "auto".
    progress : callable, optional
        Called with the number of pictures that are done, that of all, and the name of the next one.

    Returns
    -------
    MaskScores

    Raises
    ------
    FileNotFoundError
        Where there is no file of `weights`.
    ValueError
        Where the folder or one of its pictures is not as described, or a setting is none of those above. All pictures
        are read before the first is restored.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from imgrestore import io
    >>> from imgrestore.evaluate_masks import evaluate_masks
    >>> wall = np.full((96, 96, 3), 180, np.uint8)
    >>> mask = np.zeros((96, 96), np.uint8)
    >>> mask[30:70, 30:70] = 255
    >>> shaded = np.where(mask[..., None] > 0, wall // 2, wall)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, picture in (("input", shaded), ("mask", mask)):
    ...         os.mkdir(os.path.join(folder, name))
    ...         io.write(os.path.join(folder, name, "wall.png"), picture)
    ...     scores = evaluate_masks("deshadow", folder, methods=["classical"])
    >>> scores.mean("classical").iou > 0.8
    True
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; expected one of {', '.join(TASKS)}, whose masks tell where damage is")
    restore, settings = methods_of(task, methods, weights)
    sources = find_marked(folder, limit)
    for source in sources:
        source.load()
    rows: list[MaskScore] = []
    for number, source in enumerate(sources):
        if progress is not None:
            progress(number, len(sources), source.name)
        case = source.load()
        for method in methods:
            told = {**settings[method], "details": True}
            result, seconds = timed(restore, case.observed, told, f"{source.name}, {method}")
            rows.append(_score(source.name, method, result.mask, case.truth, seconds))
    if progress is not None:
        progress(len(sources), len(sources), "")
    return MaskScores(task, tuple(rows))


def _score(name: str, method: str, mask: Any, truth: np.ndarray, seconds: float) -> MaskScore:
    found = np.zeros_like(truth) if mask is None else np.asarray(mask)
    shared = int((found & truth).sum())
    precision, recall = (shared / int(one.sum()) if one.any() else 1.0 for one in (found, truth))
    iou, error = intersection_over_union(found, truth), balanced_error(found, truth)
    return MaskScore(name, method, iou, error, precision, recall, seconds)
