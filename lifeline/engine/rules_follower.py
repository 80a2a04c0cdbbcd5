"""The rules follower: log records in, alarms and events in the governance queue out.

Exactly once in effect, by three facts: the rule machine is deterministic, alarm identities are deterministic, and the
queue ignores what it has already stored. A restart takes the newest snapshot of the machine and replays the log from
there; what the queue knows already changes nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.batch import LogRecord
    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import AlarmSink, Clock, RuleEngine
    from lifeline.engine.snapshots import SnapshotStore

SNAPSHOT_MS: Final = 15_000
"""A restart replays at most this much of the log: 15 s of 420,000 readings/s is 6.3 million rows, about 2 s."""

LATENCIES_KEPT: Final = 100_000


class RulesFollower:
    """Runs a rule machine over the log (see ``lifeline.core.ports.Follower``)."""

    name = "rules"

    def __init__(
        self, machine: RuleEngine, sink: AlarmSink, snapshots: SnapshotStore, clock: Clock, metrics: Metrics
    ) -> None:
        self._machine = machine
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
        self._position = self._durable = 0
        stored = snapshots.load()
        if stored is not None:
            lsn, state = stored
            try:
                machine.restore(state)
            except ValueError:
                snapshots.discard()
            else:
                self._position = self._durable = lsn
        self._snapshot_at = clock()

    @property
    def position(self) -> int:
        """The lsn of the last consumed record."""
        return self._position

    @property
    def durable(self) -> int:
        """The lsn of the last snapshot."""
        return self._durable

    def start_at(self, first: int, committed: int) -> None:
        """Told the log's extent before the first record: skips what was trimmed, and knows what is replay."""
        self._position = max(self._position, first - 1)
        self._live_from = committed

    def consume(self, records: Sequence[LogRecord]) -> None:
        """Judge records and store what they cause.

        Raises:
            UnavailableError: the queue's database refuses. The changes are kept and stored by the next call.
        """
        self._store()
        for record in records:
            self._pending += self._machine.process(record)
            self._position = record.lsn
        self._store()

    def tick(self, now_ms: int) -> None:
        """Store what was refused before, let the queue do its work by age, snapshot by age."""
        self._store()
        self.events_opened += len(self._sink.tick(now_ms))
        if now_ms - self._snapshot_at >= SNAPSHOT_MS and self._position > self._durable:
            self.snapshot()

    def snapshot(self) -> None:
        """Keep the machine's state now."""
        self._snapshots.save(self._position, self._machine.snapshot())
        self._durable = self._position
        self._snapshot_at = self._clock()

    def close(self) -> None:
        """Store and snapshot: a restart has nothing to replay."""
        self._store()
        if self._position > self._durable:
            self.snapshot()

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
