"""Score a diagnosis on pictures that forward models have damaged, or on photographs: `imgrestore evaluate diagnose`."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch

from imgrestore import io
from imgrestore.data.damages import NONE, seeded_cases
from imgrestore.data.pack import read_pack
from imgrestore.diagnosis.file import diagnose_file
from imgrestore.evidence import diagnoser
from imgrestore.nets.diagnoser import DAMAGES
from imgrestore.train.confusion import Confusion
from imgrestore.train.diagnose import answer

__all__ = ["evaluate_diagnosis", "evaluate_photographs"]

CASES, SIZE = 600, 224


def evaluate_diagnosis(
    folder: str | Path,
    *,
    cases: int = CASES,
    size: int = SIZE,
    weights: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Confusion:
    """Count what a net takes damaged pictures for.

    Parameters
    ----------
    folder : path
        Clean pictures, or a file packed by ``python -m imgrestore.data``; others than the net was trained on.
    cases : int
        How many pictures are drawn from them: as many with each of the six damages as without any, each with its place
        in the picture, tones, noise and storage (`imgrestore.data.damages.seeded_cases`).
    size : int
        Longest side of these pictures at the most, pixels.
    weights : path-like, optional
        A file that ``imgrestore train diagnose`` wrote; the weights that ship by default.
    seed : int
        The same seed, folder and size make the same pictures.
    progress : callable, optional
        Called with the number of pictures that are done, that of all, and what the next one shows.

    Returns
    -------
    Confusion

    Raises
    ------
    FileNotFoundError
        Where there is no such folder or file.
    ValueError
        Where there are no pictures, or none that a damage can be seen on, a number makes no sense, the weights cannot
        be read, or their net does not tell the six damages.
    """
    if cases < 1 or size < 64 or seed < 0:
        raise ValueError(f"cases is {cases}, size {size}, seed {seed}; expected at least 1, 64 and 0")
    net = diagnoser(weights)
    if net.config.classes != DAMAGES or not net.config.several:
        raise ValueError(f"the net tells {', '.join(net.config.classes)}; expected {', '.join(DAMAGES)}")
    pictures = list(read_pack(folder).values())
    labels = (*DAMAGES, NONE)
    truth: list[int] = []
    answers: list[int] = []
    for picture, name in islice(seeded_cases(pictures, -(-cases // len(labels)), size, seed), cases):
        if progress is not None:
            progress(len(truth), cases, name)
        with torch.no_grad():
            answers.append(answer(net.diagnose(picture).logits[0], True))
        truth.append(labels.index(name))
    if not truth:
        raise ValueError(f"{folder} has no picture on which a damage can be seen")
    if progress is not None:
        progress(len(truth), len(truth), "")
    return Confusion.of(labels, truth, answers)


def evaluate_photographs(
    folder: str | Path,
    damage: str,
    *,
    limit: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Confusion:
    """Count what the whole diagnosis takes photographs for.

    Parameters
    ----------
    folder : path
        Photographs, all of which show one damage.
    damage : str
        Which: blur, moire, shadow, reflection, specular, rust or none.
    limit : int, optional
        Only the first so many.
    weights : path-like, optional
        As `imgrestore.diagnose` takes them.
    progress : callable, optional
        Called with the number of photographs that are done, that of all, and the name of the next one.

    Returns
    -------
    Confusion

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        Where there is no such folder.
    ValueError
        Where there are no pictures in it, one cannot be read, or the damage is another.
    """
    labels = (*DAMAGES, NONE)
    if damage not in labels:
        raise ValueError(f"damage is {damage!r}; expected one of {', '.join(labels)}")
    paths = [path for path in sorted(Path(folder).iterdir()) if io.is_picture(path)][:limit]
    if not paths:
        raise ValueError(f"{folder} holds no pictures")
    answers = []
    for number, path in enumerate(paths):
        if progress is not None:
            progress(number, len(paths), path.name)
        try:
            answers.append(labels.index(diagnose_file(path, weights).first))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    if progress is not None:
        progress(len(paths), len(paths), "")
    return Confusion.of(labels, [labels.index(damage)] * len(paths), answers)
