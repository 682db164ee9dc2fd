"""Checkpoints: written whole or not at all, read without running what they hold, refused where they do not fit."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from imgrestore.io.atomic import whole_file
from imgrestore.train.ground import TrainError

__all__ = ["agree", "alone", "read", "write", "write_bytes"]

WORDS = {
    "net": "the net",
    "sets": "the data sets",
    "pictures": "the number of pictures",
    "held": "the held-out pictures",
    "content": "what the pictures hold",
    "draws": "what is drawn",
}
LONGEST = 120


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; what was there before stays until then.

    Parameters
    ----------
    path : Path
    data : bytes

    Raises
    ------
    TrainError
        Where it cannot be written, such as on a full disk.
    """
    try:
        with whole_file(path, overwrite=True) as stream:
            stream.write(data)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else os.strerror(error.errno) if error.errno else str(error)
        raise TrainError(f"{path} cannot be written: {why}") from error


def write(path: Path, state: dict[str, Any], fingerprint: dict[str, Any]) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    path : Path
    state : dict
        Tensors and plain values.
    fingerprint : dict
        What the run was made with; plain values.

    Raises
    ------
    TrainError
        Where it cannot be written.
    """
    stream = io.BytesIO()
    torch.save({**state, "fingerprint": json.dumps(fingerprint)}, stream)
    write_bytes(path, stream.getvalue())


def read(path: Path, fingerprint: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Read a checkpoint; no objects but tensors and plain values are ever made of it.

    Parameters
    ----------
    path : Path
    fingerprint : dict
        What this run is made with.
    device : torch.device
        Where the tensors come to.

    Returns
    -------
    dict

    Raises
    ------
    TrainError
        Where it is damaged, or was made with anything else.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        made_with = json.loads(state["fingerprint"])
    except Exception as error:
        # torch tells a damaged file by a dozen types of error, and goes on for many lines.
        why = str(error).strip().split("\n")[0][:LONGEST]
        raise TrainError(
            f"{path} is no checkpoint of this version, or damaged ({why}); --no-resume starts anew"
        ) from error
    agree(path, made_with, fingerprint)
    found: dict[str, Any] = state
    return found


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs, and clear away what a killed one left half written.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    TrainError
        Where another run is at work in it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with (folder / "lock").open("w") as stream:
        try:
            # The system lets go of it however the process ends.
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TrainError(f"another run is at work in {folder}; choose another --out, or wait for it") from None
        for left in folder.glob(".imgrestore-*.tmp"):
            left.unlink(missing_ok=True)
        yield


def agree(path: Path, made_with: dict[str, Any], asked: dict[str, Any]) -> None:
    """Refuse a checkpoint that was made with anything else than what is asked for.

    Parameters
    ----------
    path : Path
        Named in the error.
    made_with, asked : dict
        Fingerprints.

    Raises
    ------
    TrainError
        Naming all that differs.
    """
    plain = json.loads(json.dumps(asked))
    names = [name for name in {**plain, **made_with} if plain.get(name) != made_with.get(name)]
    if not names:
        return
    told = (f"{WORDS.get(n, f'--{n}')} was {_short(made_with.get(n))} and is {_short(plain.get(n))}" for n in names)
    raise TrainError(f"{path} belongs to another run: {'; '.join(told)}. --no-resume starts anew")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
