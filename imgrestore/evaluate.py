"""Score a task on pictures of which the truth is known: ``imgrestore evaluate``."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from imgrestore.evaluate_cases import TASKS, Case, find_sources
from imgrestore.evaluate_methods import METHODS, Rows, methods_of, timed
from imgrestore.metrics import WINDOW, psnr, psnr_fitted, ssim

__all__ = ["METHODS", "TASKS", "Mean", "Score", "Scores", "evaluate"]

INPUT = "input"


@dataclass(frozen=True)
class Score:
    """What a method made of one picture.

    Attributes
    ----------
    picture : str
        The file's name.
    method : str
        The method's name; "input" for the damaged picture itself.
    psnr, ssim : float
        As in `imgrestore.metrics`, psnr in dB.
    psnr_fitted : float
        PSNR in dB after the best change of exposure and colour.
    change : float
        PSNR less that of the input, in dB.
    seconds : float
        What the call took; 0 for the input.
    """

    picture: str
    method: str
    psnr: float
    ssim: float
    psnr_fitted: float
    change: float
    seconds: float


@dataclass(frozen=True)
class Mean:
    """A method's scores over all pictures.

    Attributes
    ----------
    method : str
    pictures : int
    psnr, ssim, psnr_fitted : float
        Means over the pictures.
    worst_change : float
        The least gain of any picture over the input in dB: negative where one became worse.
    seconds : float
        The median.
    """

    method: str
    pictures: int
    psnr: float
    ssim: float
    psnr_fitted: float
    worst_change: float
    seconds: float


@dataclass(frozen=True)
class Scores(Rows[Score]):
    """The scores of a task, by picture and method; those of the input come first."""

    row: ClassVar[type[Any]] = Score

    def mean(self, method: str) -> Mean:
        """A method's scores over all pictures.

        Parameters
        ----------
        method : str
            One of `methods`.

        Returns
        -------
        Mean

        Raises
        ------
        ValueError
            Where the method was not scored.
        """
        own = self.of(method)
        return Mean(
            method,
            len(own),
            statistics.fmean(row.psnr for row in own),
            statistics.fmean(row.ssim for row in own),
            statistics.fmean(row.psnr_fitted for row in own),
            min(row.change for row in own),
            statistics.median(row.seconds for row in own),
        )


def evaluate(
    task: str,
    folder: str | Path,
    *,
    methods: Sequence[str] = METHODS,
    limit: int | None = None,
    weights: str | Path | None = None,
    noise: float | None = None,
    seed: int = 0,
    psf: Any = None,
    with_mask: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Scores:
    """Score a task's methods on the pictures of a folder.

    Parameters
    ----------
    task : str
        deblur, demoire, deshadow, dereflect, despecular or derust.
    folder : path
        Real pairs: a folder with the folders input and gt, whose pictures have the same names but for their suffixes.
        Or clean pictures, each of which is damaged by the task's forward model in `imgrestore.degrade`; for deblur, by
        a PSF that the task is told, the scene going on past the frame, and noise.
    methods : sequence of str
        Methods of the task; for deblur "classical" is "auto" without the net.
    limit : int, optional
        Only the first so many pictures, in the order of their names.
    weights : path, optional
        Weights of one's own for the net of "auto", where the task has one.
    noise : float, optional
        Standard deviation of the noise of pictures that are made, for a range of 1: 0.01 for deblur by default, none
        besides the forward model's own for the others.
    seed : int
        Of the damages and the noise.
    psf : Psf, array or str, optional
        For deblur: what blurs every clean picture instead of PSFs that are drawn, or what blurred the real pairs, whose
        PSFs are estimated otherwise.
    with_mask : bool
        Hand the task the pictures of the folder mask beside input and gt.
    progress : callable, optional
        Called with the number of pictures that are done, that of all, and the name of the next one.

    Returns
    -------
    Scores
        Values from 0 to 1, clipped to that before they are compared.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        Where there is no such folder, or no file of `weights`.
    ValueError
        Where the folder or one of its pictures is not as described, or a setting is none of those above. Everything
        that can be seen without restoring anything is seen before.

    Examples
    --------
    >>> import os, tempfile
    >>> from skimage import data
    >>> from imgrestore import io
    >>> from imgrestore.evaluate import evaluate
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     io.write(os.path.join(folder, "camera.png"), data.camera()[:128, 200:328])
    ...     scores = evaluate("deblur", folder, methods=["tv"], psf="disk:3")
    >>> scores.methods, scores.mean("tv").worst_change > 2
    (('input', 'tv'), True)
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; expected one of {', '.join(TASKS)}")
    restore, settings = methods_of(task, methods, weights)
    sources = find_sources(task, folder, limit=limit, noise=noise, seed=seed, psf=psf, with_mask=with_mask)
    for source in sources:
        shape = source.load().truth.shape
        if min(shape[:2]) < WINDOW:
            raise ValueError(f"{source.name} has shape {shape}; expected sides of at least {WINDOW} pixels for SSIM")
    rows: list[Score] = []
    for number, source in enumerate(sources):
        if progress is not None:
            progress(number, len(sources), source.name)
        case = source.load()
        rows.append(_score(source.name, INPUT, case.observed, case, None, 0.0))
        before = rows[-1].psnr
        for method in methods:
            told = {**settings[method], **case.settings}
            result, seconds = timed(restore, case.observed, told, f"{source.name}, {method}")
            rows.append(_score(source.name, method, result, case, before, seconds))
    if progress is not None:
        progress(len(sources), len(sources), "")
    return Scores(task, tuple(rows))


def _score(name: str, method: str, result: np.ndarray, case: Case, before: float | None, seconds: float) -> Score:
    found = psnr(result, case.truth)
    change = 0.0 if before is None else found - before
    return Score(name, method, found, ssim(result, case.truth), psnr_fitted(result, case.truth), change, seconds)
