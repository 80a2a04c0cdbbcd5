"""Counts what is durable: a follower without state of its own, read by the status and the metrics."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import numpy as np

from lifeline.core.schema import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.batch import LogRecord
    from lifeline.core.metrics import Metrics

RATE_WINDOW_MS: Final = 5_000
_LATE: Final = np.uint8(Flag.LATE)
_DUPLICATE: Final = np.uint8(Flag.DUPLICATE)
"""As wide as the column: a plain ``Flag`` makes numpy widen every row to eight bytes first, 16 times the work."""


class Tally:
    """Readings, repeats, late ones and rejects since the engine's start (a ``Follower``; needs no replay)."""

    name = "tally"
    beat_s = 0.1

    def __init__(self, metrics: Metrics, position: int) -> None:
        self._metrics = metrics
        self._position = position
        self.received = 0
        """Readings in the log, repeats included."""
        self.duplicates = 0
        self.late = 0
        self.rejected: Counter[str] = Counter()
        """Rejected objects by reason."""
        self.rejected_readings = 0
        """Readings within rejected objects, repeats excluded."""
        self._recent: deque[tuple[int, int]] = deque()
        self._recent_lock = threading.Lock()
        """The rate is asked for by other threads while records come in."""

    @property
    def position(self) -> int:
        """The lsn of the last counted record."""
        return self._position

    @property
    def durable(self) -> int:
        """Nothing is needed again."""
        return self._position

    def consume(self, records: Sequence[LogRecord]) -> None:
        """Count."""
        full = [record for record in records if len(record.readings)]
        if full:
            flags = np.concatenate([record.readings.flags for record in full])
            late = int(np.count_nonzero(flags & _LATE))
            self.received += len(flags)
            self.late += late
            self.duplicates += int(np.count_nonzero(flags & _DUPLICATE))
            self._metrics.readings_received.inc(len(flags))
            self._metrics.readings_late.inc(late)
            with self._recent_lock:
                self._recent.extend((record.received_at, len(record.readings)) for record in full)
        for record in records:
            if record.rejects is not None:
                self._count_rejects(record)
            self._position = record.lsn

    def _count_rejects(self, record: LogRecord) -> None:
        assert record.rejects is not None
        counts = record.rejects["reason"].value_counts()
        for entry in counts.to_pylist():
            self.rejected[entry["values"]] += entry["counts"]
            self._metrics.readings_rejected.labels(entry["values"]).inc(entry["counts"])
        reasons = record.rejects["reason"].to_numpy(zero_copy_only=False)
        readings = record.rejects["readings"].to_numpy(zero_copy_only=False)
        self.rejected_readings += int(readings[reasons != "duplicate"].sum())

    def readings_per_s(self, now_ms: int) -> float:
        """Mean rate over the last five seconds."""
        with self._recent_lock:
            while self._recent and self._recent[0][0] < now_ms - RATE_WINDOW_MS:
                self._recent.popleft()
            return sum(rows for _, rows in self._recent) * 1000 / RATE_WINDOW_MS

    def tick(self, now_ms: int) -> None:
        """Nothing ages here."""

    def close(self) -> None:
        """Nothing to keep."""
