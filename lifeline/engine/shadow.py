"""Candidates: rules that run over the log beside production and tell nobody.

They can neither slow nor endanger it. A thread of its own judges one record after the other and rests three times as
long as it worked, so it takes a quarter of one core at most. The log waits for no shadow: what was trimmed before it
was read is a *gap*, after which the candidates begin anew. Whatever goes wrong ends the shadow, with its reason, and
nothing else. The book of their alarms holds ``ROWS_MAX`` at most.

What is kept is replay-exact like production's: a checkpoint of the machine together with the book; what follows the
checkpoint in the log is judged again after a restart, and saying an alarm twice changes nothing.
"""

from __future__ import annotations

import logging
import math
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.batch import LogRecord
    from lifeline.core.override import ParameterSpan
    from lifeline.core.ports import Clock, Log, RuleEngine
    from lifeline.engine.snapshots import SnapshotStore

logger = logging.getLogger(__name__)

Row = dict[str, Any]

SHARE: Final = 0.25
"""Of one core."""
ROWS_MAX: Final = 20_000
"""Alarms in the book: a candidate that raises more is answered. 5 MB."""
SNAPSHOT_MS: Final = 60_000
WAIT_S: Final = 0.2
RECORDS_MAX: Final = 16
_LENGTHS: Final = struct.Struct("<II")
"""Bytes of head and book."""


class Candidate(NamedTuple):
    """A shadow rule: its version, the production rule that it is compared with, and a digest of its meaning."""

    version: int
    against: str
    meaning: str


class ShadowBook:
    """What candidates raised and when it ended, by alarm id; and since when each has been watching (log time)."""

    def __init__(self, candidates: Mapping[str, Candidate]) -> None:
        self.candidates = dict(candidates)
        self.rows: dict[str, Row] = {}
        self.since: dict[str, int] = {}
        """By rule id, epoch ms: earlier alarms are not compared."""
        self.at = 0
        """Log time up to which everything is in the book."""
        self.revision = 0
        """Rises with every change of the rows."""

    def take(self, changes: Iterable[AlarmChange], start: int, at: int) -> None:
        """What one record changed; ``start`` to ``at`` is its log time."""
        self.at = max(self.at, at)
        for rule_id in self.candidates:
            self.since.setdefault(rule_id, start)
        for change in changes:
            self.revision += 1
            if change.kind == "withdrawn":
                self.rows.pop(change.alarm_id, None)
                continue
            known = self.rows.get(change.alarm_id)
            if change.kind == "raised" or known is None:
                known = self.rows[change.alarm_id] = _row(change, known)
            if change.kind == "cleared":
                known["cleared_at"] = change.cleared_at
            elif change.kind == "reopened":
                known["cleared_at"] = None
        while len(self.rows) > ROWS_MAX:
            oldest = self.rows.pop(min(self.rows, key=lambda key: (self.rows[key]["detected_at"], key)))
            self.since[oldest["rule_id"]] = max(self.since[oldest["rule_id"]], oldest["detected_at"] + 1)

    def begin_anew(self) -> None:
        """After a gap: nothing that was said before can be compared with what follows."""
        self.rows.clear()
        self.since.clear()
        self.revision += 1

    def pack(self) -> bytes:
        """As JSON."""
        known = {name: [*one] for name, one in self.candidates.items()}
        return orjson.dumps({"candidates": known, "rows": self.rows, "since": self.since, "at": self.at})

    def load(self, packed: bytes | memoryview) -> None:
        """Take back what ``pack`` gave, of the candidates that are still the same."""
        kept = orjson.loads(packed)
        same = {name for name, one in self.candidates.items() if kept["candidates"].get(name) == [*one]}
        self.rows = {key: row for key, row in kept["rows"].items() if row["rule_id"] in same}
        self.since = {name: at for name, at in kept["since"].items() if name in same}
        self.at = kept["at"]


def _row(change: AlarmChange, known: Row | None) -> Row:
    return {
        "alarm_id": change.alarm_id,
        "rule_id": change.rule_id,
        "rule_version": change.rule_version,
        "point": change.point,
        "raised_at": change.raised_at,
        "detected_at": change.detected_at,
        "cleared_at": known["cleared_at"] if known else None,
        "value": None if math.isnan(change.value) else change.value,
        "level": change.level,
    }


class ShadowRun:
    """Runs candidates over the log, from where they were or from now on, until closed."""

    def __init__(
        self,
        log: Log,
        make: Callable[[], RuleEngine],
        candidates: Mapping[str, Candidate],
        snapshots: SnapshotStore,
        clock: Clock,
        judged: Callable[[], int] | None = None,
        spans: Callable[[], Sequence[ParameterSpan]] = tuple,
    ) -> None:
        """``make``: a machine of these candidates that has seen nothing.

        ``judged``: how far production is, which is never overtaken, so that ``spans`` (parameters that hold for a
        while) are all known that concern what is judged here. Default: production is at the log's end.
        """
        self._judged = judged or (lambda: log.committed)
        self._spans, self._known_spans = spans, spans()
        self.fault: str | None = None
        """Why it stands still, or could not keep its state."""
        self.gaps = 0
        """How often the log was trimmed before it was read here."""
        self.book = ShadowBook(candidates)
        self.busy_s = 0.0
        """CPU time spent."""
        self._log, self._make, self._snapshots, self._clock = log, make, snapshots, clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._machine = make()
        self._begun = self.position = log.committed
        self._resume()
        self._machine.override(self._known_spans)
        self._saved_at = clock()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop where it is, and keep the state; a restart goes on from there."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def copied(self) -> tuple[list[Row], dict[str, int], int]:
        """The book as it is now: rows, since when each candidate is compared, and the log time it is at."""
        with self._lock:
            return [dict(row) for row in self.book.rows.values()], dict(self.book.since), self.book.at

    def consume(self, record: LogRecord) -> None:
        """Judge one record."""
        changes = self._machine.process_all([record])
        received = record.readings.received_at
        start = int(received[0]) if len(received) else record.received_at
        with self._lock:
            self.book.take(changes, start, record.received_at)
            self.position = record.lsn

    def save(self) -> None:
        """Keep book and state: a checkpoint, and the state of this moment for when the log has lost what follows it.

        Raises:
            UnavailableError: the disk refuses.
        """
        lsn, checkpoint = self._machine.checkpoint()
        head = orjson.dumps({"begun": self._begun, "checkpoint": lsn, "bytes": len(checkpoint), "gaps": self.gaps})
        book = self.book.pack()
        parts = (_LENGTHS.pack(len(head), len(book)), head, book, checkpoint, self._machine.snapshot())
        self._snapshots.save(self.position, *parts)

    # --- how -----------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        stored = self._snapshots.load()
        if stored is None:
            return
        position, whole = stored
        try:
            head_bytes, book_bytes = _LENGTHS.unpack_from(whole)
            at = _LENGTHS.size + head_bytes
            head = orjson.loads(whole[_LENGTHS.size : at])
            states = whole[at + book_bytes :]
            start = max(head["checkpoint"], head["begun"])
            exact = start + 1 >= self._log.first
            self._machine.restore(states[: head["bytes"]] if exact else states[head["bytes"] :])
            self.book.load(whole[at : at + book_bytes])
        except (ValueError, KeyError, struct.error) as error:
            logger.warning("shadow rules begin anew: %s", error)
            self._snapshots.discard()
            self._machine = self._make()
            return
        self._begun, self.gaps = head["begun"], head["gaps"]
        self.position = min(start if exact else position, self._log.committed)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._log.wait(self.position, WAIT_S):
                    self._read()
                if self._clock() - self._saved_at >= SNAPSHOT_MS:
                    self._keep()
            self._keep()
        except Exception as error:
            logger.exception("shadow rules stopped at log record %d; production goes on", self.position)
            self.fault = f"stopped at log record {self.position}: {error!r}"

    def _read(self) -> None:
        judged = self._judged()  # asked first: what holds for these records is settled by then
        if (spans := self._spans()) != self._known_spans:
            self._machine.override(spans)
            self._known_spans = spans
        try:
            records = [one for one in self._log.read(self.position, RECORDS_MAX) if one.lsn <= judged]
        except LookupError:
            self.gaps += 1
            with self._lock:
                self.book.begin_anew()
                self._machine = self._make()
                self._machine.override(self._known_spans)
                self._begun = self.position = self._log.committed
            return
        if not records:
            self._stop.wait(WAIT_S)
        for record in records:
            began = time.thread_time()
            self.consume(record)
            busy = time.thread_time() - began
            self.busy_s += busy
            if self._stop.wait(busy * (1.0 / SHARE - 1.0)):
                return

    def _keep(self) -> None:
        self._saved_at = self._clock()
        try:
            self.save()
            self.fault = None
        except UnavailableError as error:
            self.fault = f"state not kept: {error}"
