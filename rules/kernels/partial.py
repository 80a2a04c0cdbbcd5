"""What each member of a group does beyond what the others let expect (partial correlation; Whittaker 1990)."""

import numpy as np
from numba import njit

from rules.kernels.types import F64, Mask


@njit(cache=True, nogil=True)
def _inverse(together: F64, known: Mask, out: F64) -> None:
    """``out``: the inverse of a positive definite matrix's rows and columns that are ``known``; 0 elsewhere.

    By Gauss and Jordan without exchanges of rows, which such a matrix does not need, in a fixed order.
    """
    m = len(known)
    left = together.copy()
    for j in range(m):
        for k in range(m):
            out[j, k] = 1.0 if j == k and known[j] else 0.0
    for p in range(m):
        if not known[p]:
            continue
        pivot = left[p, p]
        for k in range(m):
            left[p, k] /= pivot
            out[p, k] /= pivot
        for j in range(m):
            if j == p or not known[j]:
                continue
            factor = left[j, p]
            for k in range(m):
                left[j, k] -= factor * left[p, k]
                out[j, k] -= factor * out[p, k]


@njit(cache=True, nogil=True)
def apart(z: F64, known: Mask, of: Mask, together: F64, inverse: F64) -> None:
    """Take from the distance of each known member what the others' let expect; ``inverse`` is that of members ``of``.

    Given the others its variance is one over the diagonal of the inverse (partial correlation; Whittaker 1990).
    """
    m = len(z)
    other = False
    for j in range(m):
        other |= known[j] != of[j]
    if other:
        _inverse(together, known, inverse)
        of[:] = known
    alone = z.copy()
    for j in range(m):
        if known[j]:
            total = 0.0
            for k in range(m):
                if known[k]:
                    total += inverse[j, k] * alone[k]
            z[j] = total / np.sqrt(inverse[j, j])
