"""`LocalLog`: the durable log of one engine, on local disk, behind ``lifeline.core.ports.Log``.

    appenders ──► queue (bounded; full = append blocks) ──► writer thread ──► Store.commit: one write, one fdatasync
     encode              ▲                                      │
                         │ a fault empties it                   ├──► on_commit callbacks, in append order
                         │                                      └──► readers wake (``wait``)
                  ┌──────┴─────┐
       healthy ──►│   faulted  │──reopen succeeds, listeners told──► healthy
                  └────────────┘
                   appends raise; the writer tries again with back-off

**Group commit without a timer**: the writer takes everything that waits as soon as its previous commit is done. Idle,
a single batch goes at once (low latency); under load groups grow by themselves (high throughput).

With nothing received for ``clock_record_ms`` the writer appends a *clock record*, so that time-driven rules replay
exactly and a dying disk is noticed at night too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from lifeline.core.errors import UnavailableError
from lifeline.core.limits import (
    BATCH_ROWS_MAX,
    CLOCK_RECORD_MS,
    LOG_QUEUE_BATCHES,
    READ_BYTES_MAX,
    SEGMENT_BYTES,
)
from lifeline.log.segment import CLOCK_BODY, Body, encode_body
from lifeline.log.store import Store
from lifeline.log.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    import pyarrow as pa

    from lifeline.core.batch import IngestBatch, LogRecord, Readings
    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import Clock, OnCommit
    from lifeline.log.files import Files
    from lifeline.log.recovery import Recovery

logger = logging.getLogger(__name__)

RETRY_MIN_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
"""Back-off between attempts to reopen. It starts anew only after a batch was really committed, so that a disk that is
nearly full does not make the engine flap."""

REJECTS_BYTES_MAX: Final = 256 << 20
"""Rejects in one record: far under the 2 GiB of Arrow's string offsets and the 4 GiB of the frame's lengths."""


@dataclass(frozen=True, slots=True)
class _Pending:
    bodies: tuple[Body, ...]
    received_at: int
    on_commit: OnCommit
    size: int


class LocalLog:
    """Append batches, read records, trim segments; see ``ports.Log`` for the contract of each verb.

    Args:
        directory: of the segments; created when missing, owned by this process until ``close``.
        clock: epoch milliseconds, for clock records. ``received_at`` never decreases, whatever the clock does: not of
            records, and not of their rows.
        metrics: gets ``log_commit`` (seconds of write and fdatasync of one group).
        files: the disk, another one in tests.
        segment_bytes: a segment longer than this is left for a new one.
        kept_bytes: so much is never trimmed.
        queue_batches: batches that may wait for the writer before ``append`` blocks.
        clock_record_ms: idle time before a clock record; 0 means never.
        retry_s: shortest and longest pause before the log tries to reopen itself.
        tail_bytes: of the newest records kept in memory for those who keep up; 0 reads everything from the disk.

    Raises:
        UnavailableError: another process owns the directory (named), or the disk refuses.
        CorruptionError: a durable record is damaged; file, offset and lsn are named.
        ConfigurationError: written by another version of this program.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        clock: Clock,
        metrics: Metrics | None = None,
        files: Files | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        kept_bytes: int = 0,
        queue_batches: int = LOG_QUEUE_BATCHES,
        clock_record_ms: int = CLOCK_RECORD_MS,
        retry_s: tuple[float, float] = (RETRY_MIN_S, RETRY_MAX_S),
        tail_bytes: int = 0,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._segment_bytes = segment_bytes
        self._queue_batches = queue_batches
        self._idle_s = clock_record_ms / 1000
        self._retry_s = retry_s
        self._changed = threading.Condition()
        """The queue, the fault, the end: for appenders and the writer."""
        self._news = threading.Condition()
        """A commit: for readers, whom an append does not concern."""
        self._queue: deque[_Pending] = deque()
        self._fault: str | None = None
        self._told = True
        """Listeners know of the last reopening; appends wait until they do."""
        self._closing = False
        self._listeners: list[Callable[[], None]] = []
        self._tail = Tail(tail_bytes)
        self._store = Store(Path(directory), files=files, segment_bytes=segment_bytes, kept_bytes=kept_bytes)
        self._order = threading.Lock()
        """Held from the stamp of a batch until it is queued."""
        self._stamped = self._store.received_at
        """When what was queued last was received: nothing after it is told as received before it."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    # --- the port ----------------------------------------------------------------------------------------------
    def append(self, batch: IngestBatch, on_commit: OnCommit) -> None:
        """Queue a batch; blocks while the queue is full.

        A batch of more than ``BATCH_ROWS_MAX`` rows becomes several records; ``on_commit`` follows the last of them.

        Raises:
            UnavailableError: the log is faulted or closed; ``on_commit`` will not be called.
        """
        self._refuse_callbacks()
        while not self._enqueue(batch, on_commit):
            with self._changed:
                while not self._room:
                    self._refuse()
                    self._changed.wait()

    def offer(self, batch: IngestBatch, on_commit: OnCommit) -> bool:
        """Queue a batch unless the queue is full; False when it is. Raises as ``append``."""
        return self._enqueue(batch, on_commit)

    def _enqueue(self, batch: IngestBatch, on_commit: OnCommit) -> bool:
        """False when there is no room. Whoever comes first is stamped and queued first."""
        with self._order:
            if self._fault is None and not self._room:
                return False
            stamped = self._stamped
            pending = self._encoded(batch, on_commit)
            with self._changed:
                self._refuse()
                if not self._room or stamped != self._stamped:  # the log was faulted meanwhile and has healed
                    return False
                self._stamped = pending.received_at
                self._queue.append(pending)
                self._changed.notify_all()
        return True

    def _tick(self) -> int | None:
        """The time of a clock record; None when there is something to write after all."""
        with self._order:  # nobody is stamped and not queued
            if self._queue:
                return None
            self._stamped = max(self._stamped, self._clock())
            return self._stamped

    @property
    def _room(self) -> bool:
        return len(self._queue) < self._queue_batches and self._told

    def _encoded(self, batch: IngestBatch, on_commit: OnCommit) -> _Pending:
        self._refuse_callbacks()
        self._refuse()
        batch = _by_the_clock(batch, self._stamped)
        bodies = tuple(encode_body(*part) for part in _parts(batch))
        return _Pending(bodies, batch.received_at, on_commit, sum(body.frame_bytes for body in bodies))

    def _refuse_callbacks(self) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("append from a callback of the log would wait for itself")

    def _refuse(self) -> None:
        if self._closing:
            raise UnavailableError(f"{self._store.directory}: the log is closed")
        if self._fault is not None:
            raise UnavailableError(self._fault)

    def read(self, after: int, records_max: int = 64, bytes_max: int = READ_BYTES_MAX) -> list[LogRecord]:
        """See ``ports.Log``. Columns are zero-copy views of a buffer, which lives as long as any of them."""
        records = self._tail.read(after, records_max, bytes_max) if after + 1 >= self._store.first else []
        return records or self._store.read(after, records_max, bytes_max)

    def wait(self, after: int, timeout_s: float) -> bool:
        """See ``ports.Log``."""
        if self._store.committed > after:
            return True
        if timeout_s > 0:
            with self._news:
                self._news.wait_for(lambda: self._closing or self._store.committed > after, timeout_s)
        return self._store.committed > after

    def trim(self, before: int) -> None:
        """See ``ports.Log``. Never raises: what a disk refuses to delete is tried again by the next call."""
        self._store.trim(before)

    @property
    def committed(self) -> int:
        """See ``ports.Log``."""
        return self._store.committed

    @property
    def first(self) -> int:
        """See ``ports.Log``; one past ``committed`` when no record is left."""
        return self._store.first

    @property
    def fault(self) -> str | None:
        """See ``ports.Log``."""
        return self._fault

    @property
    def recovery(self) -> Recovery:
        """What opening found: records, segments, bytes, the torn tail that was cut, seconds."""
        return self._store.recovery

    def on_reopen(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called, on the log's thread, after each recovery from a fault.

        Appends wait until all listeners returned: whoever remembers what it appended (the collector's window of
        identities) can forget what was refused before the first new batch is taken.
        """
        with self._changed:
            self._listeners.append(callback)

    def close(self) -> None:
        """Commit what is queued, seal the segment, stop. Reading still works afterwards. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._tell()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the writer thread -------------------------------------------------------------------------------------
    def _run(self) -> None:
        pause_s = self._retry_s[0]
        while (group := self._next_group()) is not None:
            error = self._commit(group)
            if error is None:
                pause_s = self._retry_s[0] if group else pause_s
                continue
            self._fail(group, error)
            pause_s = self._heal(pause_s)
        self._store.close()

    def _next_group(self) -> list[_Pending] | None:
        """What waits now; an empty group is a clock record; None means stop."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._queue or self._closing, self._idle_s or None):
                return []
            if not self._queue or self._fault is not None:
                return None
            group = [self._queue.popleft()]
            size = group[0].size
            while self._queue and size + self._queue[0].size <= self._segment_bytes:
                size += self._queue[0].size
                group.append(self._queue.popleft())
            self._changed.notify_all()
            return group

    def _commit(self, group: list[_Pending]) -> Exception | None:
        records = [(body, pending.received_at) for pending in group for body in pending.bodies]
        if not records:
            now = self._tick()
            if now is None:
                return None
            records = [(CLOCK_BODY, now)]
        first_lsn, received_at = self._store.committed + 1, self._store.received_at
        began = time.perf_counter()
        try:
            self._store.commit(records)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was acknowledged and the log must say so
            return error
        if self._metrics is not None:
            self._metrics.log_commit.observe(time.perf_counter() - began)
        self._tail.extend(first_lsn, records, received_at)
        self._call(group, None)  # first: who waits for an acknowledgement sends no more before it comes
        self._tell()
        return None

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()

    def _fail(self, group: list[_Pending], error: Exception) -> None:
        with self._changed:
            self._fault = str(error) if isinstance(error, UnavailableError) else f"{type(error).__name__}: {error}"
            group = [*group, *self._queue]
            self._queue.clear()
            self._changed.notify_all()
        logger.error("the log stops acknowledging: %s", self._fault)
        self._call(group, error if isinstance(error, UnavailableError) else UnavailableError(self._fault))

    def _call(self, group: list[_Pending], error: BaseException | None) -> None:
        for pending in group:
            try:
                pending.on_commit(error)
            except Exception:
                logger.exception("an on_commit callback raised; the log goes on")

    def _heal(self, pause_s: float) -> float:
        """Try to reopen until it works or the log closes; returns the pause for the next fault."""
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, pause_s):
                    return pause_s
            pause_s = min(2 * pause_s, self._retry_s[1])
            try:
                self._store.reopen()
                self._store.commit([(CLOCK_BODY, self._clock())])  # the proof: one real commit
                self._stamped = max(self._stamped, self._store.received_at)
            except Exception as error:  # noqa: BLE001 - stay faulted, say why, try again
                self._fault = str(error)
                continue
            self._recovered()
            return pause_s

    def _recovered(self) -> None:
        with self._changed:
            self._told = False
            self._fault = None
            listeners = list(self._listeners)
            self._changed.notify_all()
        logger.warning("the log has reopened itself and acknowledges again")
        for listener in listeners:
            try:
                listener()
            except Exception:
                logger.exception("an on_reopen listener raised; the log goes on")
        with self._changed:
            self._told = True
            self._changed.notify_all()


def _by_the_clock(batch: IngestBatch, now: int) -> IngestBatch:
    """The batch as received at ``now`` where it bears an earlier time.

    Collectors stamp what they read before they append it, and a system's clock may be set back. A lake knows the order
    of receipt by the rows' times alone, and a backtest must meet rows and ticks of the clock as they lie in the log.
    """
    rows = batch.readings
    if batch.received_at >= now and (not len(rows) or rows.received_at.min() >= now):
        return batch
    raised = replace(rows, received_at=np.maximum(rows.received_at, now))
    return replace(batch, received_at=max(batch.received_at, now), readings=raised)


def _parts(batch: IngestBatch) -> Iterator[tuple[Readings, pa.RecordBatch | None]]:
    """The batch cut so that each part fits a record; one part nearly always."""
    rejects = batch.rejects
    reject_rows = 0 if rejects is None else rejects.num_rows
    step = BATCH_ROWS_MAX
    if rejects is not None and rejects.nbytes > REJECTS_BYTES_MAX:
        step = max(1, min(step, reject_rows * REJECTS_BYTES_MAX // rejects.nbytes))
    if len(batch.readings) <= BATCH_ROWS_MAX and reject_rows <= step:
        yield batch.readings, rejects
        return
    for start in range(0, len(batch.readings), BATCH_ROWS_MAX):
        yield batch.readings.take(slice(start, start + BATCH_ROWS_MAX)), None
    for start in range(0, reject_rows, step):
        yield batch.readings.take(slice(0, 0)), rejects and rejects.slice(start, step)
