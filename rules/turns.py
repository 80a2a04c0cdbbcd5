"""What a feature seldom changes, and what it was before: tables of slots of the day, of which one entry turns an hour.

A baseline keeps 288 bytes a point, of which a reading changes none and the end of an hour twelve. Two checkpoints of
all of it took a quarter of the rules' memory. Instead it is noted what each change overwrites, apart for the time
before the newer checkpoint and since; the notes undone, newest first, give the table as it was at either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.kernels import turns as kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PARTS_MAX: Final = 64
"""Notes of more batches than that are joined."""


class _Notes:
    """Notes in order: [state row, column] and the numbers that stood there."""

    def __init__(self, dtype: Any, turn: int) -> None:
        self.parts: list[tuple[NDArray[np.int32], NDArray[Any]]] = []
        self._dtype, self._turn = dtype, turn

    def add(self, at: NDArray[np.int32], before: NDArray[Any]) -> None:
        if len(self.parts) >= PARTS_MAX:
            self.parts = [self.whole()]
        self.parts.append((at, before))

    def whole(self) -> tuple[NDArray[np.int32], NDArray[Any]]:
        if not self.parts:
            return np.zeros((0, 2), np.int32), np.zeros((0, self._turn), self._dtype)
        at, before = zip(*self.parts, strict=True)
        return np.concatenate(at), np.concatenate(before)


class Turns:
    """Notes of one feature since the older checkpoint."""

    def __init__(self, dtype: Any, turn: int) -> None:
        """``turn``: how many numbers are overwritten at a time."""
        self._dtype, self._turn = dtype, turn
        self.clear()

    def clear(self) -> None:
        """Nothing has changed since either checkpoint."""
        self._notes = [_Notes(self._dtype, self._turn), _Notes(self._dtype, self._turn)]
        self.since = 1
        """What is noted from now on was done since the newer checkpoint (1), or before it and judged again (0)."""

    def mark(self) -> None:
        """There is a new checkpoint, and the oldest one is gone."""
        self._notes = [self._notes[1], _Notes(self._dtype, self._turn)]

    def note(self, kernel: Callable[..., int], arguments: tuple[Any, ...]) -> None:
        """Run a kernel over rows, the first of its arguments, and keep what it notes."""
        at, before = self.room(len(arguments[0]))
        self.keep(kernel(*arguments, at, before), at, before)

    def room(self, rows: int) -> tuple[NDArray[np.int32], NDArray[Any]]:
        """Where a kernel that is run over so many rows writes its notes."""
        return np.empty((rows, 2), np.int32), np.empty((rows, self._turn), self._dtype)

    def keep(self, made: int, at: NDArray[np.int32], before: NDArray[Any]) -> None:
        """Keep the first notes of those."""
        if made:
            self._notes[self.since].add(at[:made].copy(), before[:made].copy())

    def undo(self, state: NDArray[Any]) -> None:
        """Make a state of now that of the older checkpoint."""
        for notes in reversed(self._notes):
            kernels.undo(*notes.whole(), state)

    def rewind(self, slots: NDArray[np.int32], state: NDArray[Any]) -> None:
        """Make that of some slots so; it is as if they had not changed since."""
        chosen = np.zeros(len(state), bool)
        chosen[slots] = True
        for number in (1, 0):
            at, before = self._notes[number].whole()
            theirs = chosen[at[:, 0]]
            if theirs.any():
                kernels.undo(at[theirs], before[theirs], state)
                self._notes[number] = _Notes(self._dtype, self._turn)
                self._notes[number].add(at[~theirs], before[~theirs])

    @property
    def nbytes(self) -> int:
        """Memory."""
        return sum(at.nbytes + before.nbytes for notes in self._notes for at, before in notes.parts)
