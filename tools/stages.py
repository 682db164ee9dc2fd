"""Print how long each stage of deblurring without a PSF takes: ``python tools/stages.py``.

A photograph that scikit-image ships, brought to the size, gray, blurred by a path of a shaken camera, with 1 % noise.
"""

from __future__ import annotations

import itertools
import re
import statistics
import sys
import time

import cv2
import numpy as np
from scipy.signal import fftconvolve
from skimage import data

import imgrestore
from imgrestore.degrade.blur import sample_psf

STAGES = ("spectrum and fits", "writing", "camera shake", "polishing", "judging", "deblurring")
RUNS = 3


def stage(text: str) -> str:
    """The stage that a line of progress belongs to."""
    words = dict(zip(("fitting", "blurred", "camera", "polishing", "judging"), STAGES[:-1], strict=True))
    return words.get(re.split(r"\W", text)[0], STAGES[-1])


def blurred(size: int) -> np.ndarray:
    """A picture of this size."""
    psf = sample_psf(np.random.default_rng(4), "shake", max_size=21)
    scene = cv2.resize(data.astronaut(), (size + len(psf) - 1,) * 2) @ (0.299, 0.587, 0.114) / 255
    seen = fftconvolve(scene, psf, mode="valid")[:size, :size]
    return seen + np.random.default_rng(0).normal(0, 0.01, seen.shape)


def times(picture: np.ndarray) -> dict[str, float]:
    """Seconds of each stage of one run."""
    told = [(STAGES[0], time.perf_counter())]
    imgrestore.deblur(picture, progress=lambda text, part: told.append((stage(text), time.perf_counter())))
    told.append(("", time.perf_counter()))
    found = dict.fromkeys(STAGES, 0.0)
    for (name, start), (_, stop) in itertools.pairwise(told):
        found[name] += stop - start
    return found


def main(sizes: list[int]) -> None:
    """One line for each size: medians."""
    print("| pixels |", " | ".join(STAGES), "| together |")
    print("|---|" + "--:|" * (len(STAGES) + 1))
    for size in sizes:
        picture = blurred(size)
        times(picture)
        runs = [times(picture) for _ in range(RUNS)]
        medians = [statistics.median(run[name] for run in runs) for name in STAGES]
        print(f"| {size} × {size} |", " | ".join(f"{m:.2f} s" for m in [*medians, sum(medians)]), "|", flush=True)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [255, 512, 1024])
