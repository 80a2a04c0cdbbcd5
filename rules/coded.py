"""Numbers of which there are few different ones, kept as codes: limits and intervals of a rule's points.

A parameter that differs by kind of point has some values, an interval of reporting a dozen; as numbers they took 25
bytes a point of a city, as codes 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from rules.kernels import select

if TYPE_CHECKING:
    from numpy.typing import NDArray


FEW: Final = 32
"""So many different numbers are looked for one after another: a fifth of what a table of hashes takes, where most stand
beside their like."""


class Coded:
    """A column of float64 that grows at its end; what is read is what was put in, to the bit."""

    def __init__(self, values: NDArray[np.float64] | None = None) -> None:
        self.table = np.zeros(0)
        """The different numbers."""
        self.codes: NDArray[Any] = np.zeros(0, np.uint8)
        """Which of them each entry is; as wide as their number needs."""
        if values is not None:
            self.append(values)

    def append(self, values: NDArray[np.float64]) -> None:
        """Put numbers at the end."""
        bits = np.ascontiguousarray(values).view(np.int64)  # -0.0 is not 0.0
        if len(self.table) <= FEW:
            table, codes = np.zeros(FEW, np.int64), np.empty(len(bits), np.uint8)
            table[: len(self.table)] = self.table.view(np.int64)
            count = select.encode(bits, table, len(self.table), codes)
            if count >= 0:
                self.table = table[:count].view(np.float64).copy()
                self.codes = np.concatenate([self.codes, codes]) if len(self.codes) else codes
                return
        coded = pa.array(bits).dictionary_encode()
        found = coded.dictionary.to_numpy(zero_copy_only=False)
        known = {bits: k for k, bits in enumerate(self.table.view(np.int64).tolist())}
        places = np.array([known.setdefault(bits, len(known)) for bits in found.tolist()], np.int64)
        self.table = np.fromiter(known, np.int64, len(known)).view(np.float64)
        width = np.uint8 if len(known) <= 1 << 8 else np.uint16 if len(known) <= 1 << 16 else np.uint32
        new = places[coded.indices.to_numpy(zero_copy_only=False)].astype(width)
        self.codes = np.concatenate([self.codes.astype(width, copy=False), new])

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.codes)

    def __getitem__(self, places: NDArray[np.int32]) -> NDArray[np.float64]:
        """The numbers at some places."""
        found = np.empty(len(places))
        select.decode(places, self.codes, self.table, found)
        return found

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.table.nbytes + self.codes.nbytes
