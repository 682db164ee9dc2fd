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
    """Whether the kernels transform pictures of these sizes: lines fit into shared memory, places into 31 bits."""
    return max(sizes) <= LONGEST and smooth(*sizes) and pictures * math.prod(sizes) <= MOST
