"""A history without the rows of points that nothing is asked of: what is left of it says the same.

Of by far the most points no rule must be judged (``rules/narrowing.py``), no rule compares them with others, and nobody
need hear whether they live (``rules/hearing.py``). Their readings are counted, for the bound of lateness and the
evidence of an alarm are counted in readings of all points, and go no further than here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.core.batch import Readings
from rules.kernels import order
from rules.kernels import thinned as kernel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

BATCH_ROWS: Final = 1 << 20
"""Rows of the history in a batch, about."""


@dataclass(frozen=True, slots=True)
class Thinned(Readings):
    """Some rows of readings, and what there was between them. It is one record."""

    before: NDArray[np.int64]
    """How many readings that count were left out before each row."""
    left_out: NDArray[np.int64]
    """In all (``kernels.thinned``): repeats, bad and null ones, and readings that count."""

    @classmethod
    def joined(cls, parts: Sequence[Thinned]) -> Thinned:
        """One after the other."""
        if len(parts) == 1:
            return parts[0]
        left_out = np.cumsum([part.left_out for part in parts], axis=0)
        before = [part.before + so_far for part, so_far in zip(parts, [0, *left_out[:-1, kernel.USABLE]], strict=True)]
        rows = Readings.concat(parts)
        return _sealed(rows, np.concatenate(before), left_out[-1])


class Thinning:
    """Knows which points' rows must be told."""

    def __init__(self, told: NDArray[np.bool_], counted: NDArray[np.bool_]) -> None:
        """``told``: of each point; the readings of others are ``counted`` or not even that."""
        self._wanted = np.where(told, kernel.TOLD, np.where(counted, kernel.COUNTED, kernel.LEFT_OUT)).astype(np.uint8)

    def of(self, readings: Readings) -> Thinned:
        """The same rows in the order of receipt, thinned."""
        row, before = np.empty(len(readings), np.int32), np.empty(len(readings), np.int64)
        counts = np.zeros(4, np.int64)
        n = kernel.thin(
            *(readings.point, readings.received_at, readings.value, readings.quality, readings.flags),
            *(self._wanted, row, before, counts),
        )
        rows = Readings(*(order.taken(column, row[:n]) for column in _columns(readings)))
        return _sealed(rows, before[:n].copy(), counts)

    def batches(self, pieces: Iterable[Readings]) -> Iterator[Thinned]:
        """Pieces in the order of receipt, none of them empty, as batches of whole instants of receipt."""
        held: list[Thinned] = []
        rows = 0
        for piece in pieces:
            some = self.of(piece)
            if rows >= BATCH_ROWS and some.received_at[0] > held[-1].received_at[-1]:
                yield Thinned.joined(held)
                held, rows = [], 0
            held.append(some)
            rows += len(piece)
        if held:
            yield Thinned.joined(held)


def _columns(rows: Readings) -> list[NDArray[Any]]:
    return [getattr(rows, field.name) for field in fields(Readings)]


def _sealed(rows: Readings, before: NDArray[np.int64], left_out: NDArray[np.int64]) -> Thinned:
    """Read-only, as what is read from a file: compiled code is made for the one or for the other."""
    point, ts, received, value, seq, quality, flags = columns = _columns(rows)
    for column in columns:
        column.flags.writeable = False
    return Thinned(point, ts, received, value, seq, quality, flags, before, left_out)
