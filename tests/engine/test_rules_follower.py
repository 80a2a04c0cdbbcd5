"""The rules follower: effects once, whatever is replayed, and nothing forgotten when the database refuses."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.core.alarm import AlarmChange, alarm_id
from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.metrics import Metrics
from lifeline.engine.rules_follower import (
    BEAT_S,
    FULL_BEAT_S,
    LONG_BEAT_S,
    SNAPSHOT_MS,
    RulesFollower,
    beat_at,
)
from lifeline.engine.snapshots import SnapshotStore


class Doubling:
    """A machine that raises an alarm whenever the running sum of values passes a multiple of ten."""

    def __init__(self) -> None:
        self.total = 0.0
        self.lsn = 0

    def process_all(self, records: Sequence[LogRecord]) -> list[AlarmChange]:
        changes = []
        for record in records:
            self.lsn = record.lsn
            for value, ts in zip(record.readings.value, record.readings.ts, strict=True):
                before, self.total = self.total, self.total + float(value)
                if int(before // 10) != int(self.total // 10):
                    changes.append(
                        AlarmChange(
                            kind="raised",
                            alarm_id=alarm_id("sum", 1, "D", "q", int(ts)),
                            rule_id="sum",
                            rule_version=1,
                            point=0,
                            raised_at=int(ts),
                            detected_at=record.received_at,
                            value=self.total,
                            limit=10.0,
                            level="blue",
                            lsn=record.lsn,
                        )
                    )
        return changes

    @property
    def counters(self) -> dict[str, int]:
        return {"too_late": 0}

    latching = ()

    def latched(self) -> list[tuple[str, int, int]]:
        return []

    log_time = 0

    def override(self, spans: object) -> None:
        assert not spans

    def acknowledge(self, rule_id: str, point: int, onset: int, now_ms: int, lsn: int = 0) -> None:
        raise AssertionError("nothing latches here")

    @property
    def checkpoint_lsn(self) -> int:
        return self.lsn

    def checkpoint(self) -> tuple[int, bytes]:
        return self.lsn, struct.pack("<d", self.total)

    def lend_checkpoint(self) -> tuple[int, AbstractContextManager[list[bytes]]]:
        lsn, state = self.checkpoint()
        return lsn, nullcontext([state])

    def take_over(self, old: Doubling) -> tuple[int, list[AlarmChange]]:
        self.total, self.lsn = old.total, old.lsn
        return self.lsn, []

    def restore(self, state: bytes | memoryview) -> None:
        if len(state) != 8:
            raise ValueError("not a state of this machine")
        (self.total,) = struct.unpack("<d", state)


class Ledger:
    """A sink that keeps identities, and refuses as often as told."""

    def __init__(self) -> None:
        self.alarms: dict[str, AlarmChange] = {}
        self.position = 0
        self.refuse = 0
        self.calls = 0

    def apply(self, changes: Sequence[AlarmChange], position: int, now_ms: int) -> list[str]:
        self.calls += 1
        if self.refuse:
            self.refuse -= 1
            raise UnavailableError("governance.db: database is locked")
        new = [change for change in changes if change.alarm_id not in self.alarms]
        self.alarms |= {change.alarm_id: change for change in new}
        self.position = position
        return [change.alarm_id for change in new]

    def tick(self, now_ms: int) -> list[str]:
        return []


def record(lsn: int, *values: float) -> LogRecord:
    rows = Readings.empty(len(values))
    rows.value[:] = values
    rows.ts[:] = lsn * 1000 + np.arange(len(values))
    return LogRecord(lsn, lsn * 1000, rows)


def follower(tmp_path: Path, sink: Ledger, now: int = 0) -> RulesFollower:
    clock = lambda: now
    made = RulesFollower(Doubling, sink, SnapshotStore(tmp_path, "rules"), clock, Metrics())
    made.open()
    return made


RECORDS = [record(n, 4.0, 5.0) for n in range(1, 21)]


def reference(tmp_path: Path) -> dict[str, AlarmChange]:
    sink = Ledger()
    follower(tmp_path / "reference", sink).consume(RECORDS)
    return sink.alarms


@pytest.mark.parametrize("crash_after", range(1, 20))
def test_a_crash_after_any_record_changes_nothing(tmp_path: Path, crash_after: int) -> None:
    sink = Ledger()
    first = follower(tmp_path, sink)
    first.consume(RECORDS[:5])
    first.snapshot()
    first.consume(RECORDS[5 : max(5, crash_after)])

    second = follower(tmp_path, sink)
    assert second.position == 5
    second.consume(RECORDS[second.position :])

    assert sink.alarms == reference(tmp_path)
    assert sink.position == 20


def test_refused_changes_are_stored_by_the_next_call(tmp_path: Path) -> None:
    sink = Ledger()
    rules = follower(tmp_path, sink)
    sink.refuse = 1
    with pytest.raises(UnavailableError):
        rules.consume(RECORDS[:10])

    rules.consume(RECORDS[rules.position :])

    assert sink.alarms == reference(tmp_path)


def test_a_snapshot_of_other_rules_is_discarded_and_the_log_replayed(tmp_path: Path) -> None:
    SnapshotStore(tmp_path, "rules").save(9, b"other rules")

    assert follower(tmp_path, Ledger()).position == 0


def test_it_snapshots_by_age_and_moves_its_durable_position(tmp_path: Path) -> None:
    rules = follower(tmp_path, Ledger())
    rules.consume(RECORDS)
    rules.tick(SNAPSHOT_MS - 1)
    assert rules.durable == 0

    ticked_until(rules, 20)


def ticked_until(rules: RulesFollower, durable: int) -> None:
    """It is written beside: the position moves at a later tick."""
    deadline = time.monotonic() + 20
    while rules.durable < durable:
        assert time.monotonic() < deadline
        rules.tick(SNAPSHOT_MS)


def test_nobody_waits_for_the_disk_to_take_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, gate = Ledger(), threading.Event()
    rules = follower(tmp_path, sink)
    save = SnapshotStore.save
    monkeypatch.setattr(SnapshotStore, "save", lambda *arguments: gate.wait(20) and save(*arguments))
    rules.consume(RECORDS[:10])
    rules.tick(SNAPSHOT_MS)
    rules.consume(RECORDS[10:])
    rules.tick(SNAPSHOT_MS)

    assert sink.alarms == reference(tmp_path)
    assert rules.durable == 0

    gate.set()
    assert rules._saving is not None
    rules._saving[1].result(20)
    rules.tick(SNAPSHOT_MS - 1)  # what is written is noted, and it is not yet time for the next
    assert rules.durable == 10

    assert follower(tmp_path, Ledger()).position == 10
    rules.close()
    assert follower(tmp_path, Ledger()).position == 20


def test_a_snapshot_that_the_disk_refuses_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = follower(tmp_path, Ledger())
    save, refuse = SnapshotStore.save, [True]

    def refusing(*arguments: Any) -> None:
        if refuse:
            refuse.clear()
            raise UnavailableError("full")
        save(*arguments)

    monkeypatch.setattr(SnapshotStore, "save", refusing)
    rules.consume(RECORDS)
    rules.tick(SNAPSHOT_MS)
    assert rules._saving is not None
    rules._saving[1].exception(20)
    with pytest.raises(UnavailableError, match="full"):
        rules.tick(SNAPSHOT_MS)

    ticked_until(rules, 20)
    assert follower(tmp_path, Ledger()).position == 20


def test_latency_counts_live_alarms_only(tmp_path: Path) -> None:
    rules = follower(tmp_path, Ledger(), now=50_000)
    rules.start_at(first=1, committed=10)
    rules.consume(RECORDS)

    assert rules.latencies_ms
    assert max(rules.latencies_ms) <= 50_000 - 11_000


def test_before_it_is_opened_nothing_is_judged_and_nothing_may_be_trimmed(tmp_path: Path) -> None:
    first = follower(tmp_path, Ledger())
    first.consume(RECORDS)
    first.snapshot()
    bound: list[Doubling] = []

    def bind() -> Doubling:
        bound.append(Doubling())
        return bound[-1]

    (tmp_path / "rules-put-aside.snap").write_bytes(b"somebody's copy")
    rules = RulesFollower(bind, Ledger(), SnapshotStore(tmp_path, "rules"), lambda: 0, Metrics())
    rules.start_at(first=7, committed=25)
    assert (rules.is_open, bound, rules.too_late) == (False, [], 0)
    assert rules.position == 20, "held against the log's end at a start: a log that was taken away is seen"
    assert rules.durable == 0, "until the checkpoint is known to be intact the log is kept whole"

    rules.open()
    assert (rules.is_open, len(bound), rules.position, rules.durable) == (True, 1, 20, 20)


@pytest.mark.parametrize("first", [1, 7])
def test_a_damaged_checkpoint_sends_it_back_to_where_the_log_begins(tmp_path: Path, first: int) -> None:
    whole = follower(tmp_path, Ledger())
    whole.consume(RECORDS)
    whole.snapshot()
    (snapshot,) = tmp_path.glob("rules-*.snap")
    snapshot.write_bytes(snapshot.read_bytes()[:-1])

    rules = RulesFollower(Doubling, Ledger(), SnapshotStore(tmp_path, "rules"), lambda: 0, Metrics())
    rules.start_at(first=first, committed=20)
    rules.open()
    assert (rules.position, rules.durable) == (first - 1, 0)


def test_its_beat_is_slower_at_a_full_rate_and_one_hold_up_does_not_slow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, now = follower(tmp_path, Ledger()), [100.0]
    monkeypatch.setattr("lifeline.engine.rules_follower.time.monotonic", lambda: now[0])
    lsn = 0

    def turn(rows: int, after_s: float) -> float:
        nonlocal lsn
        lsn += 1
        now[0] += after_s
        rules.consume([record(lsn, *[0.0] * rows)])
        return rules.beat_s

    rules._began = now[0]
    assert max(turn(2_000, 0.01) for _ in range(150)) == pytest.approx(0.011, rel=0.02), "200,000 a second"
    held_up = [turn(20_000, 0.1), turn(15_000, 0.01), turn(2_000, 0.01)]
    slowest = max(*held_up, *(turn(2_000, 0.01) for _ in range(200)))
    assert slowest == pytest.approx(0.011, rel=0.02), "what was held up comes at once"
    assert [turn(31_000, 0.05) for _ in range(40)][-1] == FULL_BEAT_S
    assert [turn(62_000, 0.1) for _ in range(20)][-1] == FULL_BEAT_S
    assert [turn(20_000, 0.1) for _ in range(20)][-1] == pytest.approx(0.011, rel=0.02)
    assert turn(1_000, 60.0) == BEAT_S

    assert [turn(62_000, 0.1) for _ in range(20)][-1] == FULL_BEAT_S
    assert turn(1, 0.1) == BEAT_S, "the stream is over: what trickles then is not held up"
    assert {turn(1, 0.1) for _ in range(30)} == {BEAT_S}
    assert [turn(62_000, 0.1) for _ in range(8)][-1] != FULL_BEAT_S, "its second has just begun"
    assert {turn(1, 0.1) for _ in range(30)} == {BEAT_S}, "nor by a second that began with the stream"


@given(rows_per_s=st.floats(0, 5e6))
def test_a_beat_is_as_long_as_a_turns_worth_of_rows_takes_and_never_holds_a_trickle_up(rows_per_s: float) -> None:
    beat = beat_at(rows_per_s)

    if rows_per_s < 50_000:
        assert beat == BEAT_S, "no load: a reading waits no longer than it must"
    elif rows_per_s < 400_000:
        assert BEAT_S <= beat <= LONG_BEAT_S
        assert beat * rows_per_s <= max(2_200, BEAT_S * rows_per_s) + 1, "no longer than pays"
    else:
        assert beat == FULL_BEAT_S
