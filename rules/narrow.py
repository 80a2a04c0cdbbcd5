"""Times kept in four bytes: how checkpoints keep when each point was heard last.

They are told from the newest of them, so that 24 days before it fit; the few that are older stand beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules.kernels.silence import NEVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEVER: Final = -1
_FAR: Final = (1 << 31) - 1
NARROW: Final = frozenset({"silence/point", "silence/device"})
"""Names of state that checkpoints keep so: nobody asks for single entries of it."""


class Narrow:
    """A copy of an array of int64 (ms, or NEVER)."""

    def __init__(self, array: NDArray[np.int64]) -> None:
        self._newest = int(array.max(initial=NEVER))
        if self._newest == NEVER:  # nobody was heard yet
            self._at, self._far = np.zeros(0, np.int32), array[:0].copy()
            self._age = np.full(len(array), _NEVER, np.int32)
            return
        known = array != NEVER
        age = np.where(known, np.int64(self._newest).view(np.uint64) - array.view(np.uint64), np.uint64(0))
        self._at = np.flatnonzero(age > _FAR).astype(np.int32)
        self._far = array[self._at]
        age[self._at] = 0
        self._age = age.astype(np.int32)
        self._age[~known] = _NEVER

    def array(self) -> NDArray[np.int64]:
        """What it is a copy of."""
        made = np.where(self._age == _NEVER, NEVER, self._newest - self._age.astype(np.int64))
        made[self._at] = self._far
        return made

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._age)

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self._age.nbytes + self._at.nbytes + self._far.nbytes
