"""What a batch writes down as it goes on: a report that is read by people, and what was begun, for a run that resumes.

Both are JSON lines that are appended and flushed one by one, so that a killed process loses none.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgrestore import __version__

from .orders import NOTHING, Order, Outcome, State, state_of
from .places import hold

__all__ = ["Report", "digest"]

DIGITS = 16


@dataclass(frozen=True)
class _Known:
    """What an earlier run wrote down of a target: what it was made from and how, and what lay there before."""

    source: str
    state: State
    settings: str
    before: tuple[State, State, State]
    size: int | None


class Report:
    """The report of a batch, and beside it, while it runs, the list of what was begun.

    Parameters
    ----------
    path : Path
        Appended to where it exists; its folder is made.
    task : str
    settings : str
        Their digest.
    resume : bool
        Whether what earlier runs wrote is heeded.

    Raises
    ------
    BlockingIOError
        Another batch is writing to it.
    OSError
        It cannot be written.
    """

    def __init__(self, path: Path, task: str, settings: str, *, resume: bool = False) -> None:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder; expected a file for the report")
        self.path, self.task, self.settings = path, task, settings
        self.begun = path.with_name(f"{path.name}.begun")
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = hold(path)
        if stream is None:
            raise BlockingIOError(f"{path}: another batch is writing to this report")
        self._report = stream
        self._known: dict[str, _Known] = {}
        if resume:
            self._known.update(_finished(path))
            self._known.update(_started(self.begun))
        self._begun = open(self.begun, "ab")  # noqa: SIM115
        for written in (self._report, self._begun):
            _end_last_line(written)

    def head(self, **facts: Any) -> None:
        """Write the line that begins a run: the task, the settings' digest, the version, and what else is told."""
        self._write(self._report, {"run": self.task, "settings": self.settings, "version": __version__, **facts})

    def before(self, order: Order) -> tuple[State, State, State] | None:
        """What lay at the targets before an earlier run began with the same picture and settings; None for no such."""
        known = self._known.get(str(order.job.target))
        source = str(order.job.source)
        if known is None or (known.source, known.settings) != (source, self.settings):
            return None
        if known.state is None or known.state != state_of(order.job.source):
            return None
        now = state_of(order.job.target)
        if known.size is not None and now is not None and now[0] != known.size:
            return None  # somebody wrote another file there
        return known.before

    def begin(self, order: Order) -> None:
        """Write down that a picture is given to a worker."""
        job = order.job
        self._write(
            self._begun,
            {
                "source": str(job.source),
                "state": state_of(job.source),
                "target": str(job.target),
                "before": order.before,
                "settings": self.settings,
            },
        )

    def end(self, order: Order, outcome: Outcome, attempts: int) -> None:
        """Write the line of a picture."""
        job = order.job
        self._write(
            self._report,
            {
                "source": str(job.source),
                "target": str(job.target),
                "status": outcome.status,
                "seconds": round(outcome.seconds, 3),
                "worker": outcome.worker,
                "attempts": attempts,
                "notes": list(outcome.notes),
                "error": outcome.error,
                "task": self.task,
                "settings": self.settings,
                "version": __version__,
                "state": state_of(job.source),
                "bytes": outcome.size,
            },
        )

    def close(self, *, complete: bool) -> None:
        """Close both; where every picture has its line, the list of what was begun goes."""
        self._begun.close()
        if complete or not self.begun.stat().st_size:
            self.begun.unlink(missing_ok=True)
        self._report.close()

    @staticmethod
    def _write(stream: Any, line: Mapping[str, Any]) -> None:
        stream.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")
        stream.flush()


def digest(value: Any) -> str:
    """A short text that is the same for the same settings.

    Parameters
    ----------
    value : object
        Of a path the file's content counts.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> one = digest({"method": "rl", "mask": np.eye(3)})
    >>> one == digest({"mask": np.eye(3), "method": "rl"}), one == digest({"method": "rl", "mask": None})
    (True, False)
    """
    found = hashlib.blake2b(digest_size=DIGITS // 2)
    _take(found, value)
    return found.hexdigest()


def _take(found: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for name in sorted(value):
            found.update(f"{name}=".encode())
            _take(found, value[name])
    elif isinstance(value, np.ndarray):
        found.update(f"{value.dtype.str}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Path):
        found.update(value.read_bytes())
    elif isinstance(value, (str, int, float, bool, type(None))):
        found.update(f"{type(value).__name__}:{value!r};".encode())
    elif isinstance(value, (tuple, list)):
        found.update(f"{len(value)}[".encode())
        for one in value:
            _take(found, one)
    elif hasattr(value, "__dict__") or hasattr(value, "__slots__"):
        found.update(type(value).__qualname__.encode())
        slots = {name: getattr(value, name) for name in getattr(value, "__slots__", ()) if hasattr(value, name)}
        _take(found, {**slots, **getattr(value, "__dict__", {})})
    else:
        found.update(pickle.dumps(value, protocol=4))


def _finished(path: Path) -> dict[str, _Known]:
    return {
        line["target"]: _Known(line["source"], _state(line["state"]), line["settings"], NOTHING, line["bytes"])
        for line in _lines(path)
        if line.get("status") in ("done", "skipped")
    }


def _started(path: Path) -> dict[str, _Known]:
    found = {}
    for line in _lines(path):
        target, sheet, psf = (_state(one) for one in line["before"])
        state = _state(line["state"])
        found[line["target"]] = _Known(line["source"], state, line["settings"], (target, sheet, psf), None)
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        for text in stream:
            try:
                line = json.loads(text)
            except ValueError:  # cut off as its writer was killed
                continue
            if isinstance(line, dict) and "target" in line:
                yield line


def _state(value: Any) -> State:
    return None if value is None else (int(value[0]), int(value[1]))


def _end_last_line(stream: Any) -> None:
    """Let the next line begin a line, where the last one was cut off."""
    path = Path(stream.name)
    if path.stat().st_size:
        with open(path, "rb") as written:
            written.seek(-1, os.SEEK_END)
            if written.read(1) != b"\n":
                stream.write(b"\n")
