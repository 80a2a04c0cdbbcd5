"""The narrow waists. Rooms get these as arguments; the roof alone knows who stands behind them.

Verbs are few. Every method says when it may block and what it promises afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from lifeline.core.limits import READ_BYTES_MAX

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.batch import IngestBatch, LogRecord
    from lifeline.core.override import ParameterSpan

OnCommit = Callable[[BaseException | None], None]
"""Called once a batch is fsynced (None) or can never be (the error). Must return fast and never raise: it runs on
the log's own thread. Calls come in the order of the appends."""

Clock = Callable[[], int]
"""Now, epoch milliseconds UTC."""


@runtime_checkable
class Log(Protocol):
    """The truth. A reading exists when it is here."""

    def append(self, batch: IngestBatch, on_commit: OnCommit) -> None:
        """Queue a batch; blocks while the queue is full (that is the back-pressure).

        Batches are committed in the order of their appends, several in one fsync. After a failed write every batch
        that was queued gets the error, and so does every append until the log has reopened itself.
        """
        ...

    def offer(self, batch: IngestBatch, on_commit: OnCommit) -> bool:
        """Append without waiting; False, and nothing was done, when ``append`` would block."""
        ...

    def read(self, after: int, records_max: int = 64, bytes_max: int = READ_BYTES_MAX) -> list[LogRecord]:
        """Committed records with lsn > ``after`` in order, at least one if there is one; never blocks for new ones.

        Raises:
            CorruptionError: a committed record fails its checksum.
            LookupError: ``after + 1`` was trimmed away.
        """
        ...

    def wait(self, after: int, timeout_s: float) -> bool:
        """Block until a record past ``after`` is committed; False on time-out or once closed."""
        ...

    def trim(self, before: int) -> None:
        """Records with lsn < ``before`` may be deleted (whole segments go, when they hold nothing newer)."""
        ...

    @property
    def committed(self) -> int:
        """The lsn of the last committed record, 0 for an empty log."""
        ...

    @property
    def first(self) -> int:
        """The lowest lsn still readable."""
        ...

    @property
    def fault(self) -> str | None:
        """Why nothing is acknowledged right now, None when healthy."""
        ...

    def close(self) -> None:
        """Commit what is queued, then stop."""
        ...


@dataclass(frozen=True, slots=True)
class CollectorState:
    """A snapshot for status pages; ``last_error`` stays until the next connection is fully subscribed."""

    name: str
    connected: bool = False
    """Messages come: CONNACK has, and SUBACK too unless the broker kept our session."""
    granted_qos: dict[str, int] = field(default_factory=dict)
    """By filter as sent: 0, 1, or a refusal's code (0x80 and above)."""
    session_present: bool | None = None
    last_error: str | None = None
    warning: str | None = None
    """What works, but not as asked: a lower QoS, a refused filter, a lost session."""
    messages: int = 0
    bytes: int = 0
    unacknowledged: int = 0
    connected_since: int | None = None
    """Epoch ms."""
    reconnects: int = 0
    sessions_lost: int = 0
    """How often the broker had forgotten our session: messages of the outage may be missing each time."""
    dropped: int | None = None
    """Messages that the broker says it dropped since the start; None when not asked (``drops``) or silent."""
    taken_over: int = 0
    """How often another program with our client id threw us out."""


class Collector(Protocol):
    """What brings readings in. It alone talks to a broker, on threads of its own."""

    @property
    def state(self) -> CollectorState:
        """A snapshot; callable from any thread."""
        ...

    def start(self) -> None:
        """Connect and begin to read; returns at once."""
        ...

    def stop(self, timeout_s: float) -> bool:
        """Stop reading, acknowledge what gets committed, disconnect; False on time-out."""
        ...


class Follower(Protocol):
    """(state, position): reads the log, keeps something, and can be rebuilt by replay.

    One thread calls all methods. Consuming the same record twice, or records again after a crash, must change nothing.
    """

    name: str
    beat_s: float
    """It is given records at most once in so many seconds (200 ms at most): what came meanwhile comes together."""

    @property
    def position(self) -> int:
        """The lsn of the last consumed record."""
        ...

    @property
    def durable(self) -> int:
        """The lsn after which a restart resumes.

        The log is trimmed to the lowest ``durable`` of all followers.
        """
        ...

    def consume(self, records: Sequence[LogRecord]) -> None:
        """Take records in lsn order, without gap after ``position``."""
        ...

    def tick(self, now_ms: int) -> None:
        """Called after each ``consume`` and at least every 200 ms: the place for work by age (flush, snapshot)."""
        ...

    def close(self) -> None:
        """Flush and snapshot so that a restart has nothing to replay."""
        ...


class RuleEngine(Protocol):
    """Detection as a pure machine: records in, alarm changes out, state as bytes."""

    def process_all(self, records: Sequence[LogRecord]) -> list[AlarmChange]:
        """Alarm changes caused by records in lsn order, in a deterministic order that does not depend on batching."""
        ...

    @property
    def counters(self) -> dict[str, int]:
        """Readings that were not judged as they came, by reason; ``too_late`` is among them."""
        ...

    @property
    def log_time(self) -> int:
        """Everything that was received up to here (epoch ms) has been judged."""
        ...

    def override(self, spans: Sequence[ParameterSpan]) -> None:
        """All parameters that hold for a while, in place of those given before.

        The caller's duty: nothing changes about what was received up to ``log_time``.
        """
        ...

    @property
    def latching(self) -> Sequence[str]:
        """Ids of rules whose alarms stand until they are acknowledged."""
        ...

    def latched(self) -> Sequence[tuple[str, int, int]]:
        """Alarms whose condition is over and that only wait to be acknowledged: (rule id, point, onset)."""
        ...

    def acknowledge(self, rule_id: str, point: int, onset: int, now_ms: int, lsn: int = 0) -> AlarmChange | None:
        """Somebody acknowledged an alarm; its end, when that was all it waited for. Saying it again changes nothing."""
        ...

    @property
    def checkpoint_lsn(self) -> int:
        """The lsn of ``checkpoint``, for nothing."""
        ...

    def checkpoint(self) -> tuple[int, bytes | memoryview]:
        """(lsn, state): ``restore(state)``, then the log's records after ``lsn``, gives this engine, to the bit."""
        ...

    def lend_checkpoint(self) -> tuple[int, AbstractContextManager[Sequence[bytes | memoryview]]]:
        """``checkpoint`` of this moment, its state in parts; entered once and on any thread, while this engine goes on.

        Until it is left the parts stay as they are.
        """
        ...

    def snapshot(self) -> bytes | memoryview:
        """The state of this moment; a machine that takes it back takes older readings for too late."""
        ...

    def take_over(self, old: Self) -> tuple[int, list[AlarmChange]]:
        """Go on where ``old`` is: the lsn to read on from, and the ends of alarms whose rules are gone."""
        ...

    def restore(self, state: bytes | memoryview) -> None:
        """Take a state back. Raises ValueError when it was made by other rules or another format."""
        ...


class AlarmSink(Protocol):
    """The governance queue as the rules follower sees it."""

    def apply(self, changes: Sequence[AlarmChange], position: int, now_ms: int) -> list[str]:
        """Store changes and the log position in one durable transaction; returns the ids of events that it opened.

        Applying the same change twice has no effect. Raises UnavailableError when the database refuses.
        """
        ...

    def tick(self, now_ms: int) -> list[str]:
        """Work by age (shelves that run out); returns the ids of events that it opened."""
        ...

    @property
    def position(self) -> int:
        """The log position of the last transaction."""
        ...
