"""From messages to the log and back: what every collector does with what it received.

    collector thread          appender thread            log's thread              collector thread
    offer(messages) ──queue──► log.append (may block) ──► fsync ──on_commit──queue──► settled() → PUBACKs
                 └─ log.offer, when it is small and nothing waits before it ─┘

Why the appender: ``append`` blocks while the log is full, and pings must go on; and encoding a large batch need not
hold up the reading. A small batch is encoded sooner than another thread wakes, so it goes straight to the log.
Nothing here is unbounded: the collector stops reading while ``room`` is false, that is with ``LOG_QUEUE_BATCHES``
batches decoded and uncommitted.

After a failed commit nothing more is appended until ``recover``: a batch that was decoded before the failure may hold
repeats of the readings that were lost, flagged as such, and must not become durable in their place.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from ingest.messages import Messages
from ingest.mqtt.received import Refused
from lifeline.core.batch import IngestBatch, Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.limits import BATCH_ROWS_MAX, LOG_QUEUE_BATCHES, REJECT_PAYLOAD_BYTES
from lifeline.core.schema import REJECTS, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ingest.drops import Drops
    from ingest.messages import Decoder
    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import Log

_LOG = logging.getLogger(__name__)

DIRECT_ROWS_MAX = 4096
"""A batch of so many rows is encoded in some 200 µs, its checksum included: less than waking the appender costs beside
other threads, and less than half of what decoding it took. Larger ones are laid out by Arrow."""


class Ticket(NamedTuple):
    """Who must acknowledge an offer, and up to where."""

    owner: object
    token: int


class Settled(NamedTuple):
    """The end of one offer: durable (``error`` None), or never to be."""

    ticket: Ticket
    error: BaseException | None


class _Job(NamedTuple):
    batch: IngestBatch
    ticket: Ticket
    last: bool


def reject_rows(refused: Iterable[Refused], received_at: int, broker: str) -> pa.RecordBatch:
    """Packets that never reached the decoder, as rows of ``schema.REJECTS``."""
    rows = [
        {
            "received_at": received_at,
            "broker": broker,
            "topic": item.topic.decode("utf-8", "backslashreplace"),
            "payload": item.payload[:REJECT_PAYLOAD_BYTES],
            "reason": item.reason.name,
            "detail": item.detail,
            "readings": 0,
        }
        for item in refused
    ]
    return pa.RecordBatch.from_pylist(rows, schema=REJECTS)


def merge_rejects(parts: Sequence[pa.RecordBatch | None]) -> pa.RecordBatch | None:
    """One record batch of all, None when there is nothing."""
    full = [part for part in parts if part is not None and part.num_rows]
    return pa.concat_batches(full) if full else None


def split(batch: IngestBatch, rows_max: int = BATCH_ROWS_MAX) -> list[IngestBatch]:
    """Parts of at most ``rows_max`` readings, in order; the rejects ride with the last."""
    count = len(batch.readings)
    if count <= rows_max:
        return [batch]
    parts = [
        IngestBatch(batch.received_at, batch.readings.take(slice(at, at + rows_max)))
        for at in range(0, count, rows_max)
    ]
    parts[-1] = IngestBatch(batch.received_at, parts[-1].readings, batch.rejects)
    return parts


class Intake:
    """One collector's way into the log. ``wake`` is called (any thread, fast) whenever ``settled`` has news."""

    def __init__(
        self,
        broker: str,
        decoder: Decoder,
        log: Log,
        metrics: Metrics | None,
        wake: Callable[[], None],
        drops: Drops | None = None,
    ) -> None:
        """``drops`` reads what the broker counts in its own topics; such messages are no readings."""
        self._drops = drops
        self._messages_received = None if metrics is None else metrics.messages_received.labels(broker)
        self._broker, self._decoder, self._log, self._metrics, self._wake = broker, decoder, log, metrics, wake
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._settled: deque[tuple[Settled, int]] = deque()
        self._failure: BaseException | None = None
        self._handed = self._appended = 0
        """Jobs given to the appender, and jobs that it is done with: each is counted by one thread alone."""
        self.outstanding = 0
        """Offers that are not settled; touched by the collector's thread alone."""
        self._thread = threading.Thread(target=self._append_all, name=f"append-{broker}", daemon=True)
        self._thread.start()

    @property
    def room(self) -> bool:
        """May the collector read on?"""
        return self.outstanding < LOG_QUEUE_BATCHES and self._failure is None

    def offer(self, messages: Messages, refused: Sequence[Refused], received_at: int, ticket: Ticket) -> int:
        """Decode now, append soon; never blocks. The buffer behind ``messages`` is free on return; the rows."""
        if self._drops is not None:
            messages = self._drops.take_out(messages)
        batch = self._decode(messages, received_at)
        if refused:
            rejects = merge_rejects([batch.rejects, reject_rows(refused, received_at, self._broker)])
            batch = IngestBatch(batch.received_at, batch.readings, rejects)
        self._count(batch, len(messages) + len(refused))
        self.outstanding += 1
        if not self._offered(batch, ticket):
            *early, last = split(batch)
            for part in early:
                self._jobs.put(_Job(part, ticket, last=False))
            self._jobs.put(_Job(last, ticket, last=True))
            self._handed += 1 + len(early)
        return len(batch.readings)

    def _offered(self, batch: IngestBatch, ticket: Ticket) -> bool:
        """Whether it went straight to the log."""
        rows = len(batch.readings)
        small = rows <= DIRECT_ROWS_MAX and batch.rejects is None
        if not small or self._handed != self._appended or self._failure is not None:
            return False
        done = self._on_commit(_Job(batch, ticket, last=True), rows)
        try:
            return self._log.offer(batch, done)
        except Exception as error:  # noqa: BLE001 - whatever the log raises, this batch is not durable
            done(error)
            return True

    def settled(self) -> list[Settled]:
        """What was settled since the last call, in the order of the offers."""
        news = []
        while self._settled:
            item, readings = self._settled.popleft()
            self.outstanding -= 1
            if self._metrics is not None:
                self._metrics.log_unacked.dec(readings)
            news.append(item)
        return news

    def recover(self) -> None:
        """Append again after a failure; only with nothing outstanding."""
        assert self.outstanding == 0
        self._failure = None

    @property
    def failed(self) -> bool:
        """A commit failed and ``recover`` was not called yet."""
        return self._failure is not None

    def close(self) -> None:
        """End the appender. What it still has is not appended: it was never acknowledged and comes again."""
        self._failure = self._failure or UnavailableError("the collector was stopped")
        self._jobs.put(None)

    # --- decoding ------------------------------------------------------------------------------------------------

    def _decode(self, messages: Messages, received_at: int) -> IngestBatch:
        if not len(messages):
            return IngestBatch(received_at, Readings.empty())
        try:
            return self._decoder.decode(messages, received_at, self._broker)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001
            # The decoder promises never to raise. If it does it is our bug, and the city must not stop for it.
            _LOG.exception("decoder failed on a batch of %d messages; trying them one by one", len(messages))
            return self._decode_singly(messages, received_at)

    def _decode_singly(self, messages: Messages, received_at: int) -> IngestBatch:
        parts, refused = [], []
        for i in range(len(messages)):
            try:
                parts.append(self._decoder.decode(_only(messages, i), received_at, self._broker))
            except Exception as error:  # noqa: BLE001 - see above: set aside with the bug's name, then go on
                detail = f"decoder failed: {type(error).__name__}: {error}"
                topic, payload = messages.topic(i), messages.payload(i)
                refused.append(Refused(Reason.malformed_payload, detail, topic, payload))
        rejects = merge_rejects([*(part.rejects for part in parts), reject_rows(refused, received_at, self._broker)])
        return IngestBatch(received_at, Readings.concat([part.readings for part in parts]), rejects)

    def _count(self, batch: IngestBatch, messages: int) -> None:
        metrics = self._metrics
        if metrics is None or self._messages_received is None:
            return
        # readings, late ones and rejects are counted where they are durable, behind the log
        self._messages_received.inc(messages)
        metrics.log_unacked.inc(len(batch.readings))

    # --- the appender's thread -----------------------------------------------------------------------------------

    def _append_all(self) -> None:
        readings = 0
        while (job := self._jobs.get()) is not None:
            readings += len(job.batch.readings)
            done = self._on_commit(job, readings)
            if job.last:
                readings = 0
            if self._failure is not None:
                done(self._failure)
            else:
                try:
                    self._log.append(job.batch, done)
                except Exception as error:  # noqa: BLE001 - whatever the log raises, this batch is not durable
                    done(error)
            self._appended += 1

    def _on_commit(self, job: _Job, readings: int) -> Callable[[BaseException | None], None]:
        def done(error: BaseException | None) -> None:
            if error is not None and self._failure is None:
                self._failure = error
            if job.last:
                self._settled.append((Settled(job.ticket, error or self._failure), readings))
                self._wake()

        return done


def _only(messages: Messages, i: int) -> Messages:
    one = slice(i, i + 1)
    return Messages(
        buffer=messages.buffer,
        payload_start=messages.payload_start[one],
        payload_len=messages.payload_len[one],
        topic_buffer=messages.topic_buffer,
        topic_start=messages.topic_start[one],
        topic_len=messages.topic_len[one],
        retain=messages.retain[one],
    )
