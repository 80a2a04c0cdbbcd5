"""Readings of a history, held between looking at it and judging it.

For histories in small files, or in files that overlap: to read those anew costs 0.027 µs a reading and up, a copy in
large pages 0.011 to 0.020, most of it the clearing of pages (in small pages, as an allocator gives them, it would cost
more than reading: each is cleared as it is reached). What comes in large pieces is read anew for 0.010.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.core.batch import Readings
from lifeline.core.schema import LOG_READINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ROOM: Final = 512 << 20
"""Bytes that are held at most: some fifteen million readings."""
BATCH_ROWS: Final = 1 << 20
PIECE_ROWS: Final = 1 << 18
KINDS: Final = {field.name: np.dtype(field.type.to_pandas_dtype()) for field in LOG_READINGS}
SELDOM: Final = frozenset({"seq", "quality", "flags"})
"""Columns that are mostly nothing but zeros: what was never written is."""


class Hoard:
    """Readings in order, to be walked through again and again; nobody may write to them."""

    def __init__(self, room: int = ROOM) -> None:
        """``room``: bytes that it may hold."""
        self._most = room // sum(kind.itemsize for kind in KINDS.values())
        self._columns: dict[str, NDArray[Any]] = {}
        self._ends = [0]

    def take(self, rows: Readings) -> bool:
        """Hold a batch, or rows; False, and nothing is held any more, where there is no room for them."""
        start, end = self._ends[-1], self._ends[-1] + len(rows)
        if end <= self._most:
            with suppress(OSError):  # a system that promises no memory beyond what it has
                for name, kind in KINDS.items():
                    self._put(name, kind, start, getattr(rows, name))
                self._ends.append(end)
                return True
        self._most, self._columns, self._ends = 0, {}, [0]
        return False

    def _put(self, name: str, kind: np.dtype[Any], start: int, column: NDArray[Any]) -> None:
        if name not in self._columns:
            if name in SELDOM and not column.any():
                return
            self._columns[name] = _large_pages(self._most, kind)
        self._columns[name][start : start + len(column)] = column

    def batches(self, *, anew: bool) -> Iterator[Readings]:
        """What was taken: in the same batches, or cut anew where the time of receipt, which rises, is another."""
        return self._told(self._cut() if anew else self._ends[1:])

    def pieces(self) -> Iterator[Readings]:
        """What was taken, in pieces of about a size."""
        rows = self._ends[-1]
        return self._told([*range(PIECE_ROWS, rows, PIECE_ROWS), *([rows] if rows else [])])

    def _told(self, ends: list[int]) -> Iterator[Readings]:
        nothing = {name: np.zeros(max(ends, default=0), KINDS[name]) for name in SELDOM - set(self._columns)}
        start = 0
        for end in ends:
            yield _sealed(Readings(**{name: (self._columns | nothing)[name][start:end] for name in KINDS}))
            start = end

    def _cut(self) -> list[int]:
        rows, at, ends = self._ends[-1], 0, list[int]()
        while at < rows:
            at = min(at + BATCH_ROWS, rows)
            received = self._columns["received_at"]
            at += int(np.searchsorted(received[at:rows], received[at - 1], side="right"))
            ends.append(at)
        return ends


def _large_pages(rows: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """Room for a column; what is not written takes no memory."""
    memory = mmap.mmap(-1, max(rows * kind.itemsize, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, kind, rows)


def _sealed(rows: Readings) -> Readings:
    """Read-only, as what is read from a file: compiled code is made for the one or for the other."""
    for field in fields(rows):
        getattr(rows, field.name).flags.writeable = False
    return rows
