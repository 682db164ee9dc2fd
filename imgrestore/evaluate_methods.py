"""What is scored: a task's methods, as calls, and the rows of what they came to."""

from __future__ import annotations

import csv
import importlib
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args

from numpy.typing import NDArray

from imgrestore.io.atomic import whole_file

__all__ = ["METHODS", "Rows", "methods_of", "timed"]

METHODS = ("classical", "auto")


class _Row(Protocol):
    @property
    def method(self) -> str: ...


Row = TypeVar("Row", bound=_Row)


@dataclass(frozen=True)
class Rows(Generic[Row]):
    """A score for each picture and method.

    Attributes
    ----------
    task : str
    rows : tuple
        All methods of the first picture, then those of the next.
    """

    # What a row is, for subclasses to say.
    row: ClassVar[type[Any]]

    task: str
    rows: tuple[Row, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in their order."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    def of(self, method: str) -> list[Row]:
        """The rows of one of `methods`.

        Raises
        ------
        ValueError
            Where the method was not scored.
        """
        own = [row for row in self.rows if row.method == method]
        if not own:
            raise ValueError(f"method is {method!r}; expected one of {', '.join(self.methods)}")
        return own

    def to_csv(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write one line for each picture and method, with the fields of the rows.

        Parameters
        ----------
        path : path
            Written whole or not at all.
        overwrite : bool
            Replace a file that exists.

        Raises
        ------
        FileExistsError
            Where the file exists and may not be replaced.
        """
        text = StringIO()
        table = csv.writer(text, lineterminator="\n")
        names = [field.name for field in fields(self.row)]
        table.writerow(names)
        table.writerows([getattr(row, name) for name in names] for row in self.rows)
        with whole_file(Path(path), overwrite) as stream:
            stream.write(text.getvalue().encode())


def methods_of(
    task: str, methods: Sequence[str], weights: str | Path | None
) -> tuple[Callable[..., Any], dict[str, dict[str, Any]]]:
    """A task's function, and what each method tells it.

    Parameters
    ----------
    task : str
    methods : sequence of str
        Of the task; "classical" everywhere.
    weights : path, optional
        For "auto".

    Returns
    -------
    callable, dict of str to dict

    Raises
    ------
    FileNotFoundError
        Where there is no file of `weights`.
    ValueError
        Where the task has no such method, or no use for weights.
    """
    module = importlib.import_module(f"imgrestore.tasks.{task}")
    restore = getattr(module, task)
    known = tuple(dict.fromkeys(["classical", *get_args(module.Method)]))
    if isinstance(methods, str) or not methods:
        raise ValueError(f"methods is {methods!r}; expected a sequence of {', '.join(known)}")
    for method in methods:
        if method not in known:
            raise ValueError(f"method is {method!r}; {task} has {', '.join(known)}")
    if len(set(methods)) != len(methods):
        raise ValueError(f"methods is {', '.join(methods)}; expected each method once")
    settings: dict[str, dict[str, Any]] = {method: {"method": method} for method in methods}
    if "classical" in settings and "classical" not in get_args(module.Method):
        settings["classical"] = {"method": "auto", "refine": False}
    if weights is not None:
        if "weights" not in inspect.signature(restore).parameters:
            raise ValueError(f"weights is given, but {task} has no net that would take them")
        if "auto" not in settings:
            raise ValueError(f"weights is given, but of {', '.join(methods)} none is auto, which has the net")
        if not Path(weights).is_file():
            raise FileNotFoundError(f"weights {weights}: there is no such file")
        settings["auto"]["weights"] = weights
    return restore, settings


def timed(
    restore: Callable[..., Any], observed: NDArray[Any], settings: Mapping[str, Any], what: str
) -> tuple[Any, float]:
    """Call a task with a picture (H, W) or (H, W, C): its result, and the seconds that it took.

    Raises
    ------
    ValueError
        Where the task refuses the picture; the text says of what.
    """
    start = time.perf_counter()
    try:
        result = restore(observed, **settings, channel_axis=-1 if observed.ndim == 3 else None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what}: {error}") from error
    return result, time.perf_counter() - start
