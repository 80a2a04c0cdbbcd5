"""One bit a point: 78 KB for a city, so that the nearest cache holds what is asked of every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def packed(of: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Words of 64 points each, as ``kernels.order.pick`` takes them; there is one at least."""
    found, bits = np.zeros(len(of) // 64 + 1, np.uint64), np.packbits(of, bitorder="little")
    found.view(np.uint8)[: len(bits)] = bits
    return found
