"""``verify_queue(full=True)``: a value that was changed behind the queue's back is named where anything repeats it."""

from __future__ import annotations

import random
import sqlite3
import struct
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy import create_engine

from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.governance.actor import Actor
from lifeline.governance.database import Database
from lifeline.governance.errors import ForbiddenError
from lifeline.governance.reports import Report
from lifeline.governance.schema import metadata
from lifeline.governance.sqlite import SqliteBackend
from lifeline.governance.verify import verify_queue
from tests.governance.conftest import T0, Hands, cleared, raised
from tests.queues import queue_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLIPS = 50
LI, WANG, SUN = Actor("li", "dispatcher"), Actor("wang", "operator"), Actor("sun", "analyst")
HOUR_MS = 3_600_000
NOT_HERE = ("audit", "audit_nodes", "alembic_version", "meta", "settings", "touched")
"""Hashed, or not of cases."""
UNTOLD = {
    *("events.title", "events.due_from", "events.stored_at", "events.round", "events.centre", "events.routing"),
    *("events.recheck", "events.lon", "events.lat", "events.asset_kind", "events.category", "events.co_owners"),
    *("events.due_at", "events.district", "events.township", "events.source", "events.level", "events.mode"),
    *("events.utility", "events.area_code", "events.raised_at", "events.incident_id", "events.related_id"),
    *("alarms.point", "alarms.detected_at", "alarms.value", "alarms.limit", "alarms.level", "alarms.utility"),
    *("alarms.area_code", "alarms.lsn", "alarms.detail", "alarms.shelved_until", "alarms.clear_detected_at"),
    *("alarms.cleared_at", "alarms.clear_value", "alarms.clear_lsn", "alarms.stored_at", "alarms.acked"),
    *("event_log.note", "event_log.fields", "event_log.actor", "event_log.role", "event_log.at", "event_log.entry"),
    *("alarm_log.note", "alarm_log.at", "alarm_log.entry", "alarm_log.actor", "alarm_log.action"),
    *("escalations.unit", "escalations.level", "escalations.step", "escalations.entry"),
    *("timers.round", "timers.step", "timers.at", "timers.since", "timers.due_at", "timers.stage"),
}
"""Columns in which a value that nothing repeats may pass for another one; their other values are seen (``cells``)."""
SEEN = ("events", "alarms", "event_log", "alarm_log", "escalations", "event_areas", "tallies", "kpi_days")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A queue in which much has happened: alarms, holds, acts, a check that failed, reports, deadlines, escalations."""
    path = tmp_path_factory.mktemp("integrity") / "governance.db"
    hands = Hands(queue_file(path))
    live(hands)
    hands.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def live(hands: Hands) -> None:
    """Everything that leaves other rows."""
    first, second, third = raised("ch4.high", 0, T0), raised("stuck", 1, T0 + 5), raised("ch4.rate", 1, T0 + 9)
    event, _, other = hands.apply(first, second, third)
    hands.apply(raised("ch4.highhigh", 0, T0 + 1000, 2), position=2)
    hands.desk.ack(second.alarm_id, WANG)
    hands.desk.shelve(third.alarm_id, LI, "known", hands.now + HOUR_MS)
    hands.desk.report(Report("citizen", "it smells", "gas-smell", lon=113.68, lat=34.79), LI)
    hands.desk.report(Report("110", "water on the road", "water-leak", area_code="410102001"), LI)
    for seconds in (400, 3000, 9000):
        hands.tick(seconds)
    steps = ("file", LI), ("dispatch", LI), ("accept", WANG), ("handle", WANG)
    for action, who in steps:
        hands.desk.act(event, action, who, "because", **({"owner": "unit 3"} if action == "dispatch" else {}))
        hands.now += 60_000
    hands.desk.act(event, "ask-extension", WANG, "later", until=hands.now + 9 * HOUR_MS)
    hands.desk.act(event, "grant-extension", LI, "granted")
    hands.apply(cleared(first, T0 + 60_000, 3), cleared(second, T0 + 60_000, 3), position=3)
    hands.apply(cleared(raised("ch4.highhigh", 0, T0 + 1000, 2), T0 + 61_000, 4), position=4)
    for action, who, fields in (
        ("feed-back", WANG, {}),
        ("fail-check", LI, {}),
        ("handle", WANG, {}),
        ("feed-back", WANG, {}),
        ("close", SUN, {"cause": "leak"}),
        ("evaluate", SUN, {"satisfaction": 4}),
    ):
        hands.desk.act(event, action, who, "because", **fields)
        hands.now += 60_000
    hands.desk.act(other, "grade", SUN, "worse than it looks", level="orange")


class Cell(NamedTuple):
    """A value in a database."""

    table: str
    key: tuple[Any, ...]
    column: str
    value: Any


def cells(database: sqlite3.Connection) -> Iterator[Cell]:
    """Every value that is there."""
    for table in metadata.sorted_tables:
        if table.name in NOT_HERE:
            continue
        keys = [column.name for column in table.primary_key.columns]
        found = database.execute(f'SELECT * FROM "{table.name}"')
        names = [one[0] for one in found.description]
        for values in found.fetchall():
            row = dict(zip(names, values, strict=True))
            for name in names:
                if row[name] not in {None, ""}:
                    yield Cell(table.name, tuple(row[key] for key in keys), name, row[name])


def flipped(cell: Cell, draw: random.Random) -> Any:
    """The value with one bit changed, as a page with that bit changed has it."""
    if isinstance(cell.value, int):
        return cell.value ^ 1 << draw.randrange(max(cell.value.bit_length(), 1))
    raw = bytearray(struct.pack("<d", cell.value) if isinstance(cell.value, float) else cell.value.encode())
    raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
    return struct.unpack("<d", raw)[0] if isinstance(cell.value, float) else bytes(raw)


def put(database: sqlite3.Connection, cell: Cell, value: Any) -> None:
    """Write it without regard for keys of other tables."""
    keys = [column.name for column in metadata.tables[cell.table].primary_key.columns]
    where = " AND ".join(f'"{key}" = ?' for key in keys)
    setting = f'"{cell.column}" = ' + ("CAST(? AS TEXT)" if isinstance(value, bytes) else "?")
    database.execute("PRAGMA foreign_keys = OFF")
    database.execute(f'UPDATE "{cell.table}" SET {setting} WHERE {where}', (value, *cell.key))
    database.commit()


def verdict(path: Path, *, full: bool) -> str:
    try:
        verify_queue(f"sqlite:///{path}", full=full)
    except CorruptionError as error:
        return str(error)
    return ""


def test_who_only_reads_needs_no_lock_and_verifies_a_read_only_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = queue_file(tmp_path / "governance.db")

    def refuse(_: SqliteBackend) -> int:
        raise UnavailableError("governance.db.lock: Read-only file system")

    monkeypatch.setattr(SqliteBackend, "_lock_file", refuse)
    database = Database(url, create=False)
    assert "integrity ok" in verify_queue(url)
    database.close()
    database = Database(url, create=False)
    with pytest.raises(UnavailableError, match="Read-only"), database.write():
        pass
    database.close()


def test_what_was_lived_is_whole(lived: Path) -> None:
    assert verify_queue(f"sqlite:///{lived}", full=True).startswith("4 events, 4 alarms")


def test_both_databases_are_held_together(hands: Hands) -> None:
    live(hands)

    assert verify_queue(hands.url, full=True).startswith("4 events, 4 alarms")

    engine = create_engine(hands.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET returns = 7 WHERE satisfaction = 4")
    engine.dispose()
    with pytest.raises(CorruptionError, match=r"events [0-9a-f]{20}: returns is 7, its log and alarms say"):
        verify_queue(hands.url, full=True)


def test_an_emergency_that_people_switch_and_the_engine_works_in_is_whole(hands: Hands) -> None:
    (before,) = hands.apply(raised("stuck", 0, T0))
    hands.desk.start_emergency("410105", hands.now + HOUR_MS, "rain", LI)
    (high,) = hands.apply(raised("ch4.high", 2, hands.now, 2), position=2)
    hands.tick(2)
    hands.desk.end_emergency("410105", "over", LI)

    assert [line["actor"] for line in hands.desk.get_event(before)["log"]] == ["engine", "li", "li"]
    assert [line["role"] for line in hands.desk.get_event(high)["log"][1:3]] == ["system", "system"]
    assert verify_queue(hands.url, full=True)


def test_nobody_is_the_system_and_a_log_in_which_somebody_was_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "governance.db"
    hands = Hands(queue_file(path))
    (event,) = hands.apply(raised("ch4.high", 0, T0))
    for name in ("li", "engine"):
        with pytest.raises(ForbiddenError, match="'system' is the queue itself"):
            hands.desk.act(event, "file", Actor(name, "system"), "because")
        with pytest.raises(ForbiddenError, match="'system' is the queue itself"):
            hands.desk.start_emergency("410102", hands.now + HOUR_MS, "rain", Actor(name, "system"))
    with monkeypatch.context() as before:  # it was refused
        before.setattr(Actor, "check", lambda *_: None)
        hands.desk.act(event, "file", Actor("li", "system"), "because")
    hands.close()

    assert verdict(path, full=True) == ""

    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE event_log SET actor = 'enginm' WHERE action = 'file'")
        database.commit()
    assert "'enginm' is not the 'system' of entry" in verdict(path, full=True)


def test_a_flipped_bit_is_named_where_anything_repeats_the_value(lived: Path, tmp_path: Path) -> None:
    path, draw, named = tmp_path / "governance.db", random.Random(6), 0
    with closing(sqlite3.connect(lived)) as database:
        found = [cell for cell in cells(database) if cell.table in SEEN]
    for cell in draw.sample(found, FLIPS):
        path.write_bytes(lived.read_bytes())
        with closing(sqlite3.connect(path)) as database, suppress(sqlite3.IntegrityError):  # the key of another row
            put(database, cell, flipped(cell, draw))
        told = path.read_bytes() == lived.read_bytes() or verdict(path, full=True)
        assert told or f"{cell.table}.{cell.column}" in UNTOLD, cell
        named += bool(told)
    assert named > FLIPS * 0.7
