"""Points by sort (``rules/census.py``): sorts told apart by one more column, and the points of some of them."""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import I32, I64, U16, Mask


@njit(cache=True, nogil=True)
def meet(of: U16, codes: I32, size: int, there: Mask) -> None:
    """Which pairs of a sort and a code there are: ``there`` [sorts * size]. ``of`` and ``codes``: by point."""
    for i in range(len(of)):
        there[index(np.int64(of[i]) * size + codes[i])] = True


@njit(cache=True, nogil=True)
def rename(of: U16, codes: I32, size: int, number: U16) -> None:
    """Sorts as the pairs are numbered."""
    for i in range(len(of)):
        of[i] = number[index(np.int64(of[i]) * size + codes[i])]


@njit(cache=True, nogil=True)
def extents(of: U16, counts: I64, first: I64, last: I64) -> None:
    """How many points each sort has, zeros before, and the first and the last of them."""
    for i in range(len(of)):
        sort = index(of[i])
        if counts[sort] == 0:
            first[sort] = i
        counts[sort] += 1
        last[sort] = i


@njit(cache=True, nogil=True)
def points_of(of: U16, wanted: Mask, first: int, last: int, out: I32) -> None:
    """Points of the sorts that are wanted, rising; all lie from ``first`` to ``last``. One more place is written to."""
    n = 0
    for i in range(first, last + 1):
        out[index(n)] = i  # a branch would be guessed wrong: neighbours are of many sorts
        n += wanted[index(of[i])]


@njit(cache=True, nogil=True)
def wanted_at(of: U16, wanted: Mask, points: I32, out: Mask) -> None:
    """Whether the sort of each of some points is wanted."""
    for i in range(len(points)):
        out[i] = wanted[index(of[index(points[i])])]
