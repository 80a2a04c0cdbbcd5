"""Arrays of which nearly all entries are zero, kept by the places of the others: how checkpoints keep alarm states.

Of two million alarm states of a city some thousands are not at rest (``rules/alarms.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sparse:
    """A copy of an array of one dimension; reads and writes at places like an array."""

    def __init__(self, length: int, at: NDArray[np.int32], values: NDArray[Any]) -> None:
        self.length = length
        self.at = at
        """Places that are not zero, rising."""
        self.values = values

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
