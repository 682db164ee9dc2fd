"""Training on pictures of one's own of which no truth is known.

What the task makes of them is taken for clean, damaged again by the forward model, and the net learns to come back from
there. So it gets to know the surfaces, the light and the noise of these pictures. It cannot learn what it does wrong on
them itself: the pictures that it has to come back to are its own.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from imgrestore import io
from imgrestore.data.pack import SUFFIXES, decoded
from imgrestore.nets.weights import WeightsError, load, load_net
from imgrestore.train.ground import CallError, TrainError
from imgrestore.train.options import GROUNDS, OPTIMIZERS, SHIPPED

__all__ = ["adapted", "start_of"]

# The learning rate is so many times smaller than that of a net that knows nothing, and training stops after so many
# validations in a row that are no better.
SLOWER, PATIENCE = 5.0, 4
# Pictures with a shorter side of at least so many pixels are cut into four, so that one picture can be held out from.
HALVED = 256
# Parts to learn from: one of them is held out.
FEWEST = 2
FOLDER = "own"


def adapted(
    task: str, given: Mapping[str, Any], on: Sequence[str | Path], weights: str | Path | None
) -> dict[str, Any]:
    """What a run on unlabelled pictures is told: their restored parts are its clean pictures.

    They are written into the run's folder.

    Parameters
    ----------
    task : str
        A task with a net that restores pictures.
    given : mapping
        Fields of `imgrestore.train.options.Options`, as `imgrestore.train.ground.options_for` takes them.
    on : sequence of path
        Pictures, and folders of pictures.
    weights : path, optional
        Those to begin with; by default those that ship.

    Returns
    -------
    dict
        `given`, completed.

    Raises
    ------
    CallError
        Where the task restores nothing, or clean pictures or pairs are given as well.
    TrainError
        Where there are no pictures, one cannot be read, or there are no weights to begin with.
    """
    restore = _restoring(task)
    for source in ("clean", "pairs", "classes"):
        if given.get(source):
            raise CallError(f"--on and --{source} are both given; expected one of them")
    if given.get("net"):
        raise CallError(f"--on goes on with a net as it is; expected no {', '.join('--' + n for n in given['net'])}")
    start = SHIPPED if weights is None else str(weights)
    config: Any = start_of(task, start).config
    settings = {} if weights is None else {"weights": weights}
    folder = Path(given["out"]).with_suffix("") / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    written = set()
    for number, path in enumerate(_files(on)):
        restored = np.asarray(restore(_read(path), **settings))
        for part, piece in enumerate(_parts(restored)):
            written.add(folder / f"{number:04d}_{part}.png")
            io.write(folder / f"{number:04d}_{part}.png", piece, overwrite=True)
    # Those of an earlier call with other pictures.
    for left in set(folder.glob("*.png")) - written:
        left.unlink(missing_ok=True)
    if len(written) < FEWEST:
        raise TrainError(
            f"--on gives {len(written)} picture{'s' * (len(written) != 1)} to learn from; expected {FEWEST} or more, "
            f"or one with a side of at least {HALVED} pixels"
        )
    optimizer = given.get("optimizer") or "adamw"
    return {
        **given,
        "clean": str(folder),
        "start": start,
        "net": config.to_dict(),
        "lr": given.get("lr") or OPTIMIZERS[optimizer] / SLOWER,
        "patience": PATIENCE if given.get("patience") is None else given["patience"],
    }


def start_of(task: str, start: str) -> nn.Module:
    """The net that a run begins with.

    Parameters
    ----------
    task : str
    start : str
        "shipped", or a file of weights.

    Returns
    -------
    Module

    Raises
    ------
    TrainError
        Where there is none.
    """
    try:
        return load(task) if start == SHIPPED else load_net(start, task)
    except WeightsError as error:
        raise TrainError(f"there is no net to begin with: {error}") from None


def _restoring(task: str) -> Any:
    """The task's function, where it has a net."""
    function = _function(task)
    if function is None:
        able = ", ".join(name for name in GROUNDS if _function(name) is not None)
        raise CallError(f"--on is given, but {task} refines no pictures by a net; expected one of {able}")
    return function


def _function(task: str) -> Any:
    try:
        function = getattr(importlib.import_module(f"imgrestore.tasks.{task}"), task)
    except ModuleNotFoundError:
        return None
    return function if "weights" in inspect.signature(function).parameters else None


def _files(on: Sequence[str | Path]) -> list[Path]:
    found: list[Path] = []
    for source in map(Path, on):
        if source.is_dir():
            found += sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
        elif source.is_file():
            found.append(source)
        else:
            raise TrainError(f"--on {source}: no such file or folder")
    if not found:
        raise TrainError(f"--on {', '.join(map(str, on))}: there are no pictures")
    return found


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return np.array(decoded(path.read_bytes(), str(path)))
    except (OSError, ValueError) as error:
        raise TrainError(f"--on {path}: cannot be read ({error})") from None


def _parts(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The quarters of a picture that is large enough, else the picture."""
    height, width = picture.shape[:2]
    if min(height, width) < HALVED:
        return [picture]
    rows, columns = (slice(0, height // 2), slice(height // 2, None)), (slice(0, width // 2), slice(width // 2, None))
    return [np.ascontiguousarray(picture[down, across]) for down in rows for across in columns]
