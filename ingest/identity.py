"""Recognising repeats: a reading that was delivered again, by the broker or by the device.

What a repeat is
    A row is *seen* when a row with the same point, event time, sequence number and value bits went through this window
    before. An object (what a device sent at once) is a *repeat* when every row of it was seen. So the same message
    delivered again is a repeat, also beside other objects or in another pack; a correction (the same time, another
    value), a further quantity of the same time, or the same value under another sequence number is genuinely new.

Why rows and not objects are remembered
    The window must be rebuilt from the log after a restart, and the log holds rows only: two objects of one device with
    the same time stand there side by side without a border. Row by row nothing is lost, and however objects were
    packed, cut or replayed, the answer is the same. The price is one fingerprint a reading instead of one an object.

How much is remembered
    Two generations of ``objects`` fingerprints each. When the younger is full, the older is emptied and becomes the
    younger: between one and two times ``objects`` readings back are recognised. A fingerprint is 64 bits of a
    bijective mix: two unlike rows share one with probability n / 2^64, for n remembered rows: 3e-13 a look-up with
    6 million. A row newer than all of its point is new without a look into the older generation.

Repeats in the log
    Rows flagged DUPLICATE are not remembered by ``rebuild``. When two collectors hold the same object, the second is
    flagged though it may reach the log first; if the process dies between the two, only the flagged one is there, and
    the redelivered one must count as the original. With the original in the log, its row makes the repeat known.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from ingest.payload.index import frozen
from ingest.payload.kernels.identity import mark_rows
from lifeline.core import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings

_NEVER = np.iinfo(np.int64).min


class IdentityWindow:
    """The rows seen lately; shared by all collectors of an engine (a lock makes each call atomic).

    With the default size: 64 MiB of tables and 8 bytes a point.
    """

    def __init__(self, objects: int = limits.IDENTITY_OBJECTS) -> None:
        """``objects``: fingerprints in each of two generations, at least 1."""
        if objects < 1:
            raise ValueError(f"an identity window needs room for 1 fingerprint at least, not {objects}")
        self._capacity = objects
        slots = 1 << (-(-objects * 4 // 3) - 1).bit_length()  # at most 3/4 full, and never quite full
        self._table = np.zeros((2, slots), np.uint64)
        self._state = np.zeros(3, np.int64)
        self._newest = np.full(1024, _NEVER, np.int64)
        self._lock = threading.Lock()

    @property
    def rows_kept(self) -> int:
        """How many rows back it is sure to remember, and has to be given by ``rebuild``."""
        return self._capacity

    def mark(self, readings: Readings, object_index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows belong to repeated objects (all rows of an object or none); remembers every row.

        Args:
            readings: rows in arrival order, each object's rows together.
            object_index: int64, equal within an object and unlike its neighbours'; the values mean nothing else.
        """
        with self._lock:
            return self._mark(readings, object_index)

    def rebuild(self, batches: Iterable[Readings]) -> None:
        """Forget everything, then remember the rows of these batches, oldest first.

        For the start, and after a failed commit: what had been marked but is not in the log must be new again when the
        broker delivers it once more. Give the log's newest ``rows_kept`` rows at least.
        """
        with self._lock:
            self._table = np.zeros(self._table.shape, self._table.dtype)  # new: pages are made as they are needed
            self._state[:] = 0
            self._newest[:] = _NEVER
            for batch in batches:
                rows = batch.unique()
                self._mark(rows, np.zeros(len(rows), np.int64))

    def _mark(self, readings: Readings, object_index: NDArray[np.int64]) -> NDArray[np.bool_]:
        rows = len(readings)
        repeated = np.zeros(rows, np.bool_)
        if rows == 0:
            return repeated
        top = int(readings.point.max())
        if top >= len(self._newest):
            grown = np.full(max(top + 1, 2 * len(self._newest)), _NEVER, np.int64)
            grown[: len(self._newest)] = self._newest
            self._newest = grown
        mark_rows(
            frozen(readings.point),
            frozen(readings.ts),
            frozen(readings.seq),
            frozen(readings.value).view(np.uint64),
            frozen(object_index),
            self._newest,
            self._table,
            self._state,
            self._capacity,
            repeated,
        )
        return repeated
