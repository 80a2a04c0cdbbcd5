"""Arrays of which nearly all entries are zero, kept by the places of the others: how checkpoints keep alarm states.

Of two million alarm states of a city some thousands are not at rest. Two copies of all of them, and the snapshot that a
restart reads, took a third of the rules' memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARE_MAX: Final = 8
"""At most one entry in so many is not zero; with more, a copy of the array is hardly larger."""


class Sparse:
    """A copy of an array of one dimension; reads and writes at places like an array."""

    def __init__(self, length: int, at: NDArray[np.int32], values: NDArray[Any]) -> None:
        self.length = length
        self.at = at
        """Places that are not zero, rising."""
        self.values = values

    @classmethod
    def of(cls, array: NDArray[Any]) -> Sparse | NDArray[Any]:
        """A copy of the array: sparse, unless too much of it is not zero."""
        at = np.flatnonzero(array)
        if array.ndim != 1 or len(at) * SHARE_MAX > len(array):
            return array.copy()
        return cls(len(array), at.astype(np.int32), array[at])

    def __len__(self) -> int:
        """Length of the array, zeros included."""
        return self.length

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the entries."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.at.nbytes + self.values.nbytes

    def __getitem__(self, places: NDArray[np.int32]) -> NDArray[Any]:
        """The entries at some places."""
        found = np.zeros(len(places), self.dtype)
        if len(self.at):
            k = np.minimum(np.searchsorted(self.at, places), len(self.at) - 1)
            there = self.at[k] == places
            found[there] = self.values[k[there]]
        return found

    def __setitem__(self, places: NDArray[np.int32], values: NDArray[Any]) -> None:
        """Put entries at some places, none of them twice."""
        kept = ~np.isin(self.at, places)
        some = values != 0
        at = np.concatenate([self.at[kept], places[some].astype(np.int32)])
        order = np.argsort(at, kind="stable")
        self.at = at[order]
        self.values = np.concatenate([self.values[kept], values[some]])[order]

    def put_into(self, array: NDArray[Any]) -> None:
        """Write it over the beginning of an array that is zero there; what stays zero is not touched."""
        array[self.at] = self.values
