"""Which sizes the transforms of the CUDA kernels cover."""

from __future__ import annotations

import math
from collections.abc import Sequence

LONGEST = 7680
MOST = 2**31 - 1


def smooth(*sizes: int) -> bool:
    """Whether all sizes are of the form 2^a 3^b 5^c."""
    for n in sizes:
        for prime in (2, 3, 5):
            while n % prime == 0:
                n //= prime
        if n != 1:
            return False
    return True


def smooth_from(n: int) -> int:
    """The smallest size of that form from n on."""
    while not smooth(n):
        n += 1
    return n


def covered(pictures: int, sizes: Sequence[int]) -> bool:
    """Whether pictures of these sizes can be transformed.

    Lines have to fit into a block's shared memory, and blocks and the places of a picture's half spectrum into 31 bits,
    however many columns of it make a tile, of which there are at most 8 (`fft_pictures` in csrc/cuda/fft_line.cu).
    """
    if max(sizes) > LONGEST or not smooth(*sizes):
        return False
    *rest, width = sizes
    lines, half = math.prod(rest), width // 2 + 1
    return pictures * lines * half <= MOST and lines * (half + 7) <= MOST
