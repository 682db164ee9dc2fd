"""What the tests of files by windows share: the windows, reading them, and writing all parts."""

import itertools

import numpy as np

from imgrestore import io
from imgrestore.io import Rectangle

SIZE = (130, 145)
WINDOWS = (Rectangle(0, 0, *SIZE), Rectangle(3, 7, 60, 41), Rectangle(64, 70, 1, 1), Rectangle(125, 136, 5, 9))


def part(pixels, window):
    return pixels[window.top : window.top + window.height, window.left : window.left + window.width]


def same_by_windows(path, pixels, page=None):
    with io.open_source(path, page=page) as source:
        assert (source.shape, source.dtype) == (pixels.shape, pixels.dtype)
        assert source.like.pixels.shape == pixels.shape
        for window in WINDOWS:
            if window.top + window.height <= pixels.shape[0] and window.left + window.width <= pixels.shape[1]:
                read = source.read(window)
                np.testing.assert_array_equal(read, part(pixels, window))
                assert read.flags.c_contiguous
                assert read.flags.writeable
                assert read.dtype.isnative
    return source


def fill(target, pixels, step=(50, 64)):
    """Write all parts, the last first."""
    corners = itertools.product(*(range(0, length, by) for length, by in zip(pixels.shape, step, strict=False)))
    for top, left in reversed(list(corners)):
        high, wide = min(step[0], pixels.shape[0] - top), min(step[1], pixels.shape[1] - left)
        window = Rectangle(top, left, high, wide)
        target.write(window, part(pixels, window))
