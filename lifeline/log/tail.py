"""What was committed last, kept as it was written, so that followers who keep up need not read it from the disk again.

    Store.commit ──► Tail.extend ──► read(after): from here, or by whoever lags from the segments
                     │
                     └ oldest out: past ``bytes_max``, or older than KEEP_S

Five followers read each record. From a segment each read costs a copy and a checksum: a fifth of the engine's work at
full load. Here they share the very buffers that were handed to the disk, read-only and decoded as from a segment by
whoever comes first, so nobody can tell the difference. Only what is committed enters; the segments remain the truth.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lifeline.log.segment import decode_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.batch import LogRecord
    from lifeline.log.segment import Body

TAIL_BYTES: Final = 64 << 20
KEEP_S: Final = 2.0
"""Whoever is further behind reads segments. The whole fleet at 1 Hz fills 15 MB in it."""


@dataclass(slots=True)
class _Entry:
    lsn: int
    received_at: int
    body: Body
    until: float
    record: LogRecord | None = None

    def decoded(self) -> LogRecord:
        """The record; two readers at once may make two equal ones, of which one stays."""
        record = self.record
        if record is None:
            record = self.record = decode_body(self.body, self.lsn, self.received_at)
        return record


class Tail:
    """A bounded run of records without a gap; the writer extends it, any thread reads."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries: deque[_Entry] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def extend(self, first_lsn: int, records: Sequence[tuple[Body, int]], received_at: int) -> None:
        """Records just committed, from ``first_lsn`` on, as they were given to the store whose clock was there."""
        now = time.monotonic()
        with self._lock:
            if self._entries and self._entries[-1].lsn + 1 != first_lsn:
                self._entries.clear()
                self._bytes = 0
            for lsn, (body, arrived_at) in enumerate(records, first_lsn):
                received_at = max(received_at, arrived_at)
                self._entries.append(_Entry(lsn, received_at, body, now + KEEP_S))
                self._bytes += body.frame_bytes
            while self._entries and (self._bytes > self._bytes_max or self._entries[0].until < now):
                self._bytes -= self._entries.popleft().body.frame_bytes

    def read(self, after: int, records_max: int, bytes_max: int) -> list[LogRecord]:
        """As ``ports.Log.read``; [] when the record after ``after`` is not here."""
        chosen: list[_Entry] = []
        with self._lock:
            first = self._entries[0].lsn if self._entries else after + 2
            if after + 1 < first:
                return []
            for at in range(after + 1 - first, min(after + 1 - first + records_max, len(self._entries))):
                entry = self._entries[at]
                bytes_max -= entry.body.frame_bytes
                if chosen and bytes_max < 0:
                    break
                chosen.append(entry)
        return [entry.decoded() for entry in chosen]
