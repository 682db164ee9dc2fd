"""Score `imgrestore.diagnose` and `imgrestore.restore` on pictures that the forward models have damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imgrestore.data.damages import NONE, damaged
from imgrestore.data.pack import read_pack
from imgrestore.metrics import psnr
from imgrestore.nets.diagnoser import DAMAGES
from imgrestore.plan import FUNCTIONS, Restored, restore
from imgrestore.train.confusion import Confusion

__all__ = ["RestoreCase", "RestoreScore", "RestoreScores", "evaluate_restore", "restore_cases", "scored"]

CASES, SIZE = 300, 512
# Of thirty pictures four show each damage, and six none.
EACH, SOUND = 4, 6
ATTEMPTS = 16
# What a picture that did not change at all is said to have, dB.
SAME = 100.0

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class RestoreCase:
    """A damaged picture with its truth.

    Attributes
    ----------
    picture, truth : ndarray of uint8, shape (H, W, 3)
    damages : tuple of str
        Of `imgrestore.nets.diagnoser.DAMAGES`; empty for a sound picture.
    """

    picture: Pixels
    truth: Pixels
    damages: tuple[str, ...]


@dataclass(frozen=True)
class RestoreScore:
    """What became of one picture.

    Attributes
    ----------
    damages : tuple of str
        What it shows.
    first : str
        The diagnosis in a word.
    believed : tuple of str
        All that was believed.
    before, after : float
        PSNR of the picture and of what `restore` made of it, dB; of a sound picture it is that to itself.
    alone : tuple of float
        PSNR of what the task of each of its damages makes of it alone, dB.
    """

    damages: tuple[str, ...]
    first: str
    believed: tuple[str, ...]
    before: float
    after: float
    alone: tuple[float, ...]


@dataclass(frozen=True)
class RestoreScores:
    """The scores of many pictures.

    Attributes
    ----------
    scores : tuple of RestoreScore
    """

    scores: tuple[RestoreScore, ...]

    @property
    def confusion(self) -> Confusion:
        """The first answers for pictures with one damage or none."""
        labels = (*DAMAGES, NONE)
        some = [one for one in self.scores if len(one.damages) < 2]
        truth = [labels.index(one.damages[0] if one.damages else NONE) for one in some]
        return Confusion.of(labels, truth, [labels.index(one.first) for one in some])

    @property
    def gain(self) -> float:
        """Mean gain of `restore` over pictures that show damage, dB."""
        return _mean([one.after - one.before for one in self.scores if one.damages])

    @property
    def gain_alone(self) -> float:
        """Mean gain of the right task, of two right ones the better, dB."""
        return _mean([max(one.alone) - one.before for one in self.scores if one.damages])

    @property
    def least_sound(self) -> float:
        """Of sound pictures, the least PSNR to themselves, dB."""
        return min((one.after for one in self.scores if not one.damages), default=SAME)

    @property
    def harmed(self) -> int:
        """How many sound pictures come back at less than 45 dB."""
        return sum(one.after < 45 for one in self.scores if not one.damages)


def evaluate_restore(
    folder: str | Path,
    *,
    cases: int = CASES,
    seed: int = 0,
    two: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> RestoreScores:
    """Diagnose and restore damaged pictures, and compare with the task that would have been right.

    Parameters
    ----------
    folder : path
        Clean pictures, or a file packed by ``python -m imgrestore.data``; others than the nets were trained on.
    cases : int
        How many pictures are drawn from them: a fifth is sound, the others show each of the six damages equally often,
        mild to strong.
    seed : int
        The same seed and folder make the same pictures.
    two : bool
        All pictures show two damages.
    progress : callable, optional
        Called with the number of pictures that are done, that of all, and what the next one shows.

    Returns
    -------
    RestoreScores

    Raises
    ------
    FileNotFoundError
        Where there is no such folder or file.
    ValueError
        Where there are no pictures, or a number makes no sense.
    """
    if cases < 1 or seed < 0:
        raise ValueError(f"cases is {cases}, seed {seed}; expected at least 1 and 0")
    found = []
    for number, case in enumerate(restore_cases(list(read_pack(folder).values()), cases, seed, two=two)):
        if progress is not None:
            progress(number, cases, " and ".join(case.damages) or NONE)
        found.append(scored(case))
    if progress is not None:
        progress(cases, cases, "")
    return RestoreScores(tuple(found))


def restore_cases(
    pictures: Sequence[Pixels], count: int, seed: int = 0, *, two: bool = False, size: int = SIZE
) -> Iterator[RestoreCase]:
    """Draw damaged pictures with their truth.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (H, W, 3)
        Clean ones.
    count, seed, two
        As in `evaluate_restore`.
    size : int
        Longest side at the most, pixels.

    Yields
    ------
    RestoreCase
        As the forward models leave it, in 8 bits; a damage that changes the picture to less than 30 dB, at most.
    """
    kinds: list[tuple[str, ...]]
    if two:
        kinds = list(combinations(DAMAGES, 2))
    else:
        kinds = [(name,) for _ in range(EACH) for name in DAMAGES]
        for place in range(SOUND):
            kinds.insert(5 * place + 4, ())
    for number in range(count):
        names = kinds[number % len(kinds)]
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng((seed, number, attempt))
            clean, other = (pictures[int(rng.integers(len(pictures)))] for _ in range(2))
            case = damaged(clean, names, size, rng, other)
            if int(case.present.sum()) == len(names):
                first = case
                while first.twin is not None:
                    first = first.twin
                yield RestoreCase(*_framed(case.picture, first.picture, case.side), names)
                break


def scored(case: RestoreCase) -> RestoreScore:
    """Restore one picture, and see what its right tasks would have made of it alone.

    Parameters
    ----------
    case : RestoreCase

    Returns
    -------
    RestoreScore
    """
    done: Restored = restore(case.picture, details=True, channel_axis=-1)
    report = done.reports[0]
    # The first step saw the picture as it was: the task need not run again.
    known = {done.steps[0].damage: done.steps[0].restoration.image} if done.steps else {}
    alone = tuple(
        _psnr(known[name] if name in known else FUNCTIONS[name](case.picture, channel_axis=-1), case.truth)
        for name in case.damages
    )
    before = _psnr(case.picture, case.truth)
    return RestoreScore(case.damages, report.first, report.believed, before, _psnr(done.image, case.truth), alone)


def _framed(picture: torch.Tensor, truth: torch.Tensor, side: int) -> tuple[Pixels, Pixels]:
    """Both as a file would hold them, the part that is to be shown."""
    frame = []
    for planes in (picture, truth):
        # What a blur leaves of the scene is its middle.
        top, left = ((n - m) // 2 for n, m in zip(planes.shape[1:], picture.shape[1:], strict=True))
        height, width = (min(side, length) for length in picture.shape[1:])
        part = planes[:, top : top + height, left : left + width].clamp(0, 1)
        frame.append(np.ascontiguousarray((part * 255).round().byte().movedim(0, -1).numpy()))
    return frame[0], frame[1]


def _psnr(image: Pixels, truth: Pixels) -> float:
    return SAME if bool((image == truth).all()) else min(SAME, psnr(image, truth, data_range=255))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
