"""`MemoryLog`: `ports.Log` in memory, with the failures a real disk has.

    append ──► queue ──► committed          hold()     batches stay in the queue (append blocks when it is full)
                 │           │              release()  commits them
                 │           └─ damage(lsn) fail()     the queue gets the error, append raises
                 └─ crash() forgets it      heal()     listeners are told, append works again

Deterministic: there is no thread. ``append`` commits on the caller's thread before it returns, and runs the callback
there, in the order of the appends; ``release``, ``fail`` and ``close`` do so for what was held. Clock records are
written only by ``tick``.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.core.limits import LOG_QUEUE_BATCHES, READ_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from lifeline.core.batch import IngestBatch
    from lifeline.core.ports import OnCommit

logger = logging.getLogger(__name__)


class MemoryLog:
    """A log that forgets everything with the process.

    Args:
        queue_batches: how many batches may be held before ``append`` blocks.
        first_lsn: the number of the first record, as after a trim.
    """

    def __init__(self, *, queue_batches: int = LOG_QUEUE_BATCHES, first_lsn: int = 1) -> None:
        self._queue_batches = queue_batches
        self._changed = threading.Condition()
        self._committing = threading.RLock()
        self._queue: deque[tuple[IngestBatch, OnCommit]] = deque()
        self._records: deque[LogRecord] = deque()
        self._first = first_lsn
        self._committed = first_lsn - 1
        self._received_at: int | None = None
        self._damaged: set[int] = set()
        self._listeners: list[Callable[[], None]] = []
        self._fault: str | None = None
        self._held = False
        self._closed = False
        self._caller: int | None = None
        """The thread that runs a callback."""

    # --- the port ----------------------------------------------------------------------------------------------
    def append(self, batch: IngestBatch, on_commit: OnCommit) -> None:
        """See ``ports.Log``. Raises UnavailableError while failed or closed; ``on_commit`` is then not called."""
        if self._caller == threading.get_ident():
            raise RuntimeError("append from a callback of the log would wait for itself")
        with self._changed:
            self._refuse()
            while len(self._queue) >= self._queue_batches:
                self._changed.wait()
                self._refuse()
            self._queue.append((batch, on_commit))
        self._drain()

    def offer(self, batch: IngestBatch, on_commit: OnCommit) -> bool:
        """See ``ports.Log``; raises as ``append``."""
        with self._changed:
            self._refuse()
            if len(self._queue) >= self._queue_batches:
                return False
        self.append(batch, on_commit)
        return True

    def read(self, after: int, records_max: int = 64, bytes_max: int = READ_BYTES_MAX) -> list[LogRecord]:
        """See ``ports.Log``."""
        with self._changed:
            if after + 1 < self._first:
                raise LookupError(f"lsn {after + 1} was trimmed; the log begins with {self._first}")
            found: list[LogRecord] = []
            size = 0
            for lsn in range(after + 1, min(self._committed, after + records_max) + 1):
                record = self._records[lsn - self._first]
                size += _size(record)
                if found and size > bytes_max:
                    break
                if lsn in self._damaged:
                    raise CorruptionError(f"memory: offset 0: lsn {lsn}: damaged on purpose")
                found.append(record)
            return found

    def wait(self, after: int, timeout_s: float) -> bool:
        """See ``ports.Log``."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._committed > after, timeout_s)
            return self._committed > after

    def trim(self, before: int) -> None:
        """See ``ports.Log``. A record is a segment here."""
        with self._changed:
            while self._records and self._first < before:
                self._records.popleft()
                self._first += 1

    @property
    def committed(self) -> int:
        """See ``ports.Log``."""
        return self._committed

    @property
    def first(self) -> int:
        """See ``ports.Log``."""
        return self._first

    @property
    def fault(self) -> str | None:
        """See ``ports.Log``."""
        return self._fault

    def close(self) -> None:
        """Commit what is held, then refuse. May be called twice."""
        with self._changed:
            self._closed = True
            self._held = False
            self._changed.notify_all()
        self._drain()

    def on_reopen(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called by each ``heal``."""
        self._listeners.append(callback)

    # --- failure modes -----------------------------------------------------------------------------------------
    def tick(self, now_ms: int) -> None:
        """Write a clock record."""
        with self._committing, self._changed:
            self._store(now_ms, Readings.empty(), None)
            self._changed.notify_all()

    def hold(self) -> None:
        """Stop committing: the disk hangs."""
        self._held = True

    def release(self) -> None:
        """Commit what was held and go on."""
        self._held = False
        self._drain()

    def fail(self, reason: str = "memory: fdatasync failed: EIO") -> None:
        """The disk refuses: held batches get the error, ``append`` raises until ``heal``."""
        with self._committing:
            with self._changed:
                self._fault = reason
                doomed = list(self._queue)
                self._queue.clear()
                self._changed.notify_all()
            for _, on_commit in doomed:
                self._call(on_commit, UnavailableError(reason))

    def heal(self) -> None:
        """The log has reopened itself; listeners are told before ``append`` works again."""
        with self._committing:
            for listener in self._listeners:
                listener()
            with self._changed:
                self._fault = None
                self._changed.notify_all()

    def damage(self, lsn: int) -> None:
        """Reading this record raises CorruptionError from now on."""
        self._damaged.add(lsn)

    def crash(self) -> MemoryLog:
        """Power is cut: what a new process finds. Held batches are gone and their callbacks never called."""
        with self._changed:
            self._queue.clear()
            self._closed = True
            self._changed.notify_all()
            found = MemoryLog(queue_batches=self._queue_batches, first_lsn=self._first)
            found._records = deque(self._records)
            found._committed = self._committed
            found._received_at = self._received_at
            found._damaged = set(self._damaged)
            return found

    # --- inside ------------------------------------------------------------------------------------------------
    def _refuse(self) -> None:
        if self._closed:
            raise UnavailableError("memory: the log is closed")
        if self._fault is not None:
            raise UnavailableError(self._fault)

    def _drain(self) -> None:
        with self._committing:
            while True:
                with self._changed:
                    if self._held or not self._queue:
                        return
                    batch, on_commit = self._queue.popleft()
                    self._store(batch.received_at, batch.readings, batch.rejects)
                    self._changed.notify_all()
                self._call(on_commit, None)

    def _call(self, on_commit: OnCommit, error: BaseException | None) -> None:
        self._caller = threading.get_ident()
        try:
            on_commit(error)
        except Exception:
            logger.exception("an on_commit callback raised; the log goes on")
        finally:
            self._caller = None

    def _store(self, received_at: int, readings: Readings, rejects: pa.RecordBatch | None) -> None:
        if self._received_at is not None:
            received_at = max(self._received_at, received_at)
            readings = replace(readings, received_at=np.maximum(readings.received_at, self._received_at))
        self._received_at = received_at
        self._committed += 1
        self._records.append(LogRecord(self._committed, self._received_at, readings, rejects))


def _size(record: LogRecord) -> int:
    return 64 + 34 * len(record.readings) + (0 if record.rejects is None else record.rejects.nbytes)
