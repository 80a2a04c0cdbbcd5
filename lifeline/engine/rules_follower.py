"""The rules follower: log records in, alarms and events in the governance queue out.

Exactly once in effect, by three facts: the rule machine is deterministic, alarm identities are deterministic, and the
queue ignores what it has already stored. A restart takes the newest checkpoint of the machine and replays the log from
there; what the queue knows already changes nothing. The checkpoint lies some readings back, so that late readings are
put in their place across a restart too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from lifeline.core.errors import UnavailableError
from lifeline.core.limits import COMPANY_PER_S, LINGER_ROWS_PER_S

if TYPE_CHECKING:
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.batch import LogRecord
    from lifeline.core.metrics import Metrics
    from lifeline.core.override import ParameterSpan, Spans
    from lifeline.core.ports import AlarmSink, Clock, RuleEngine
    from lifeline.engine.snapshots import SnapshotStore

SNAPSHOT_MS: Final = 10_000
"""A restart replays this much of the log and what lies behind the machine's checkpoint (four readings of every point,
at most): 10 s of 220,000 readings/s is 2.2 million rows, some 0.6 s. Each takes 0.07 s of CPU and 60 MB of the disk."""

BEAT_S: Final = 0.01
FULL_BEAT_S: Final = 0.1
"""From ``LINGER_ROWS_PER_S`` on, where reads wait for company too: 5 % less of a core at 624,500 readings/s."""
LONG_BEAT_S: Final = 0.03
BEAT_ROWS: Final = 2_200
BEAT_ROWS_PER_S: Final = 50_000
"""A turn costs some 1.5 ms whatever it judges: of 2,000 rows, as they come from a broker, that is most of it. From
``BEAT_ROWS_PER_S`` on the beat is as long as ``BEAT_ROWS`` take: 20 ms at 110,000 a second, 10 at the
whole fleet's rate."""

RATE_S: Final = 1.0

LATENCIES_KEPT: Final = 100_000
ACKNOWLEDGED_MS: Final = 1_000
LATCHED_MAX: Final = 1_000
"""Latched alarms that the status names."""

Acknowledged = Callable[[Sequence[str]], list[tuple[str, int, int]]]
Bind = Callable[[], "RuleEngine"]
"""Makes a machine with its rules bound to the points: a second of work for a city."""


def beat_at(rows_per_s: float) -> float:
    """How long the rules do not look at the log again, having caught up with a stream of such a rate."""
    if rows_per_s >= LINGER_ROWS_PER_S:
        return FULL_BEAT_S
    if rows_per_s < BEAT_ROWS_PER_S:
        return BEAT_S
    return min(LONG_BEAT_S, max(BEAT_S, BEAT_ROWS / rows_per_s))


class RulesFollower:
    """Runs a rule machine over the log (see ``lifeline.core.ports.Follower``)."""

    name = "rules"
    beat_s = BEAT_S
    """After a pause a reading is judged at once; in a stream it waits 10 ms at most, and turns are larger and fewer."""

    def __init__(
        self,
        bind: Bind,
        sink: AlarmSink,
        snapshots: SnapshotStore,
        clock: Clock,
        metrics: Metrics,
        acknowledged: Acknowledged | None = None,
        spans: Spans | None = None,
    ) -> None:
        """``bind`` is called by ``open``, on the follower's own thread: readings are taken and kept meanwhile.

        ``acknowledged`` tells which alarms of the given rules people have seen; latched ones end by it.

        ``spans`` tells which parameters hold for a while, and settles from when on.
        """
        self._acknowledged = acknowledged
        self._asked_at = self._spans_at = 0
        self._spans = spans
        self._known_spans: Sequence[ParameterSpan] = () if spans is None else spans(None)
        self._bind = bind
        self._bound: RuleEngine | None = None
        self._sink = sink
        self._snapshots = snapshots
        self._clock = clock
        self._metrics = metrics
        self._pending: list[AlarmChange] = []
        self._live_from = 0
        """Log position at start: what is replayed up to there says nothing about latency."""
        self.latencies_ms: deque[int] = deque(maxlen=LATENCIES_KEPT)
        """Reading received → alarm committed, for alarms raised live."""
        self.alarms_raised = 0
        self.events_opened = 0
        self.latched: tuple[tuple[str, int, int], ...] = ()
        """Alarms whose condition is over and that only wait to be acknowledged, as of the last second."""
        self.reload_fault: str | None = None
        """Why changed rule files are not in force."""
        self._next: tuple[RuleEngine, Callable[[], None]] | None = None
        self._first = 1
        self._position, self._durable = snapshots.newest, 0
        self._snapshot_at = clock()
        self._began, self._rows = time.monotonic(), 0
        """Since when rows are counted, and how many."""
        self._saving: tuple[int, Future[None]] | None = None
        self._saver = ThreadPoolExecutor(1, "save-rules")
        """Writing and syncing 80 MB takes some 300 ms, for which no alarm should wait. They are read where they lie."""

    def open(self) -> None:
        """Bind the rules and take the newest checkpoint back; before the first record, and not again.

        Raises:
            UnavailableError: the disk refuses; nothing was done.
        """
        stored = self._snapshots.load()
        machine, lsn = self._bind(), 0
        if stored is not None:
            try:
                machine.restore(stored[1])
            except ValueError:
                self._snapshots.discard()
            else:
                lsn = stored[0]
        machine.override(self._known_spans)  # what is replayed is judged by what was in force
        self._position, self._durable = max(lsn, self._first - 1), lsn
        self._snapshot_at = self._clock()
        self._bound = machine

    @property
    def is_open(self) -> bool:
        """Whether readings are judged yet."""
        return self._bound is not None

    @property
    def _machine(self) -> RuleEngine:
        assert self._bound is not None, "open comes first"
        return self._bound

    @property
    def position(self) -> int:
        """The lsn of the last consumed record; before ``open`` that of the newest checkpoint."""
        return self._position

    @property
    def durable(self) -> int:
        """The lsn of the last snapshot: of a checkpoint of the machine, which lies some readings back.

        0 until it is opened: which of the snapshots is intact is known then.
        """
        return self._durable

    @property
    def spans(self) -> Sequence[ParameterSpan]:
        """Parameters that hold for a while, as they are in force."""
        return self._known_spans

    @property
    def too_late(self) -> int:
        """Readings that came too late to be put in their place."""
        return 0 if self._bound is None else self._bound.counters["too_late"]

    def hand_over(self, machine: RuleEngine, then: Callable[[], None]) -> None:
        """Other rules from the next turn on, when ``then`` is called too; callable from any thread.

        ``machine`` must be new: it takes over where the present one is.
        """
        self._next = machine, then

    def start_at(self, first: int, committed: int) -> None:
        """Told the log's extent before the first record: skips what was trimmed, and knows what is replay."""
        self._first = first
        self._position = max(self._position, first - 1)
        self._live_from = committed

    def consume(self, records: Sequence[LogRecord]) -> None:
        """Judge records and store what they cause.

        Raises:
            UnavailableError: the queue's database refuses. The changes are kept and stored by the next call.
        """
        self._store()
        if records:
            if records[-1].lsn > self._live_from:  # a replay is no stream
                self._keep_time(sum(len(record.readings) for record in records))
            self._pending += self._machine.process_all(records)
            self._position = records[-1].lsn
        self._store()

    def _keep_time(self, rows: int) -> None:
        """The beat goes by the rate of a second, not of a turn.

        What a hold-up of the disk has kept back comes at once; by its rate the turn after it would wait a full beat.
        But a turn of fewer rows than are any load (``COMPANY_PER_S``) says that the stream is over: a second that began
        with it would make what trickles afterwards wait for another one or two.
        """
        now = time.monotonic()
        self._rows += rows
        over = rows < COMPANY_PER_S * self.beat_s
        if now - self._began >= RATE_S or (over and self.beat_s > BEAT_S):
            beat_s = BEAT_S if over else beat_at(self._rows / (now - self._began))
            self.beat_s, self._began, self._rows = beat_s, now, 0

    def tick(self, now_ms: int) -> None:
        """Store what was refused before, let the queue do its work by age, snapshot by age."""
        self._store()
        self._change_over()
        self._override(now_ms)
        self._end_what_was_seen(now_ms)
        self.events_opened += len(self._sink.tick(now_ms))
        if self._saving is not None and self._saving[1].done():
            self._saved()
        if self._saving is None and now_ms - self._snapshot_at >= SNAPSHOT_MS:
            self._save()

    def _end_what_was_seen(self, now_ms: int) -> None:
        """Acknowledgements of latching rules, once a second; the database knows them, so none is lost by a restart."""
        latching = self._machine.latching
        if not latching:
            self.latched = ()
        if self._acknowledged is None or not latching or now_ms - self._asked_at < ACKNOWLEDGED_MS:
            return
        self._asked_at = now_ms
        for rule_id, point, onset in self._acknowledged(latching):
            change = self._machine.acknowledge(rule_id, point, onset, now_ms, self._position)
            if change is not None:
                self._pending.append(change)
        self._store()
        self.latched = tuple(self._machine.latched()[:LATCHED_MAX])

    def _override(self, now_ms: int) -> None:
        """Parameters that hold for a while, once a second.

        Not before all is judged that ever was (by an engine before this one, or before rules were changed): what is
        settled begins after it, and is durable before any reading is judged by it. So a replay repeats it.
        """
        recent = 0 <= now_ms - self._spans_at < ACKNOWLEDGED_MS
        if self._spans is None or recent or self._position < self._live_from:
            return
        self._spans_at = now_ms
        spans = self._spans(self._machine.log_time)
        if spans != self._known_spans:
            self._machine.override(spans)
            self._known_spans = spans

    def _change_over(self) -> None:
        """Take new rules into force: from the checkpoint on, so that they know the recent past."""
        if self._next is None:
            return
        (machine, then), self._next = self._next, None
        try:
            lsn, ended = machine.take_over(self._machine)
        except ValueError as error:
            self.reload_fault = f"rules not reloaded: {error}"
            return
        self._pending += ended
        self._store()  # under the old names and texts
        then()
        self._bound = machine
        self._live_from = max(self._live_from, self._position)
        self._position = max(lsn, self._first - 1)

    def snapshot(self) -> None:
        """Keep the machine's last checkpoint, and wait for it.

        Raises:
            UnavailableError: the disk refuses; the older snapshot stands.
        """
        self._saved()
        self._save()
        self._saved()

    def _save(self) -> None:
        """Take the checkpoint and let it be written, unless it was; ``durable`` moves when that is done."""
        if self._machine.checkpoint_lsn > self._durable:
            lsn, lent = self._machine.lend_checkpoint()
            self._saving = lsn, self._saver.submit(self._write, lsn, lent)
        self._snapshot_at = self._clock()

    def _write(self, lsn: int, lent: AbstractContextManager[Sequence[bytes | memoryview]]) -> None:
        """On the saver's thread."""
        with lent as parts:
            self._snapshots.save(lsn, *parts)

    def _saved(self) -> None:
        """Wait for what is being written."""
        if self._saving is None:
            return
        (lsn, writing), self._saving = self._saving, None
        try:
            writing.result()
        except UnavailableError:
            self._snapshot_at -= SNAPSHOT_MS  # try again at the next tick
            raise
        self._durable = lsn

    def close(self) -> None:
        """Store and snapshot: a restart has as little to replay as can be."""
        self._store()
        self.snapshot()
        self._saver.shutdown()

    def _store(self) -> None:
        if not self._pending:
            return
        opened = self._sink.apply(self._pending, self._position, self._clock())
        changes, self._pending = self._pending, []
        self.events_opened += len(opened)
        now = self._clock()
        for change in changes:
            if change.kind != "raised" or change.lsn <= self._live_from:
                continue
            self.alarms_raised += 1
            self._metrics.alarms_raised.labels(change.rule_id).inc()
            latency_ms = now - change.detected_at
            self.latencies_ms.append(latency_ms)
            self._metrics.ingest_to_event.observe(latency_ms / 1000)
