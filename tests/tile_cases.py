"""The simplest task with a halo that is exactly known, for tests of everything that goes tile by tile."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from imgrestore.tiles import Prepared, run

HALO = 7
NOTE = "means were taken"


def box(picture):
    """The mean over a square around each pixel, reflected at the frame."""
    size = (2 * HALO + 1, 2 * HALO + 1, *(1,) * (picture.ndim - 2))
    means = uniform_filter(picture.astype(np.float64), size, mode="reflect")
    return (np.rint(means) if picture.dtype.kind in "iu" else means).astype(picture.dtype)


@dataclass(frozen=True)
class Box:
    """`box` of a tile."""

    def __call__(self, pixels, seen, core):
        return box(pixels)[core.inside(seen)]


def take_means(monkeypatch, notes=(NOTE,)):
    """Let every task be `box`; return the list of what will be prepared: task, source and options."""
    asked = []

    def prepare(task, source, **options):
        asked.append((task, source, options))
        return Prepared(task, source.shape, source.dtype, HALO, notes, 40.0, 1000, Box())

    monkeypatch.setattr(run, "prepare", prepare)
    return asked
