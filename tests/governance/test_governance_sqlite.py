"""SQLite alone: promises read back, the lock file, readers that write no byte, and indices that are used."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select, text

from lifeline.core.errors import ConfigurationError, CorruptionError, UnavailableError
from lifeline.governance.database import Database
from lifeline.governance.schema import OPEN, WAITING, alarms, events, meta
from tests.governance.conftest import SQLITE_ONLY, T0, Hands, raised

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/deep/governance.db", lock_timeout_s=0.2)
    yield made
    made.close()


def is_locked(database: Database) -> bool:
    """Whether somebody holds the lock file, as another process would find."""
    descriptor = os.open(f"{database.place}.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_the_writer_keeps_its_promises(database: Database) -> None:
    with database.write() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


@pytest.mark.parametrize("deaf_to", ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"])
def test_a_sqlite_that_does_not_obey_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf_to: str) -> None:
    class Deaf(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if sql == "PRAGMA synchronous=FULL":  # builds differ in their default: FULL is this one's
                super().execute("PRAGMA synchronous=NORMAL")
            return super().execute("SELECT 1" if sql == f"PRAGMA {deaf_to}" else sql, *args)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, factory=Deaf))

    with pytest.raises(ConfigurationError, match=deaf_to.split("=", maxsplit=1)[0]) as caught:
        Database(f"sqlite:///{tmp_path}/governance.db")
    assert "local file system" in str(caught.value)


def test_writing_connecting_and_closing_happen_under_the_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    dispose, connect = database.backend.writer.dispose, database.backend._connect_writer
    monkeypatch.setattr(database.backend.writer, "dispose", lambda: (seen.append(is_locked(database)), dispose()))
    monkeypatch.setattr(database.backend, "_connect_writer", lambda: (seen.append(is_locked(database)), connect())[1])

    assert not is_locked(database)
    with database.write() as connection:
        connection.execute(insert(meta), [{"name": "x", "value": 1}])
        assert is_locked(database)
    assert not is_locked(database)
    database.close()

    assert seen == [True]
    assert not is_locked(database)
    assert not Path(f"{database.place}-wal").exists()


def test_a_held_lock_is_waited_for_and_then_named(database: Database) -> None:
    descriptor = os.open(f"{database.place}.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match=r"governance.db.lock: another process"), database.write():
            pass
    finally:
        os.close(descriptor)
    with database.write() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_two_writers_meet_at_our_lock_before_sqlites(database: Database) -> None:
    other = Database(database.url, lock_timeout_s=0.1)

    with database.write(), pytest.raises(UnavailableError, match=r"\.lock: another process"), other.write():
        pass
    other.close()


@SQLITE_ONLY
def test_readers_see_one_moment_and_write_no_byte(hands: Hands, tmp_path: Path) -> None:
    hands.apply(raised("ch4.high", 0, T0))
    files = [tmp_path / "governance.db", tmp_path / "governance.db-wal"]
    before = [file.read_bytes() for file in files]

    with hands.desk._database.read() as connection:
        hands.desk.list_events()
        count = "SELECT count(*) FROM alarms"
        assert connection.scalar(text(count)) == 1
        for statement in ("DELETE FROM alarms", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode=DELETE"):
            with closing(sqlite3.connect(f"file:{files[0]}?mode=ro", uri=True)) as other, pytest.raises(sqlite3.Error):
                other.execute(statement).fetchall()
        assert [file.read_bytes() for file in files] == before
        hands.apply(raised("ch4.high", 2, T0), position=2)
        assert connection.scalar(text(count)) == 1
    with hands.desk._database.read() as connection:
        assert connection.scalar(text(count)) == 2


def test_a_reader_may_open_and_be_the_last_to_close(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/governance.db"
    Database(url).close()
    reader = Database(url, create=False)
    writer = Database(url)
    with writer.write() as connection:
        connection.execute(insert(meta), [{"name": "x", "value": 1}])
    with reader.read() as connection:
        assert connection.scalar(text("SELECT value FROM meta WHERE name = 'x'")) == 1
        writer.close()
    reader.close()

    again = Database(url)
    with again.read() as connection:
        assert connection.scalar(text("SELECT value FROM meta WHERE name = 'x'")) == 1
    again.close()


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")

    before = path.read_bytes()

    for create in (True, False):
        with pytest.raises(ConfigurationError, match="not a Lifeline governance database"):
            Database(f"sqlite:///{path}", create=create)
    assert path.read_bytes() == before


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "governance.db"
    path.write_bytes(b"no database at all" * 1000)

    with pytest.raises(CorruptionError, match=str(path)):
        Database(f"sqlite:///{path}")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UnavailableError, match="file"):
        Database(f"sqlite:///{tmp_path}/file/governance.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(UnavailableError, match="unable to open"):
        Database(f"sqlite:///{tmp_path}/folder.db")


@SQLITE_ONLY
def test_the_frequent_queries_use_their_partial_indices(hands: Hands) -> None:
    """They are asked once a batch, a second or a screen, over tables that only grow."""
    of = {
        "events_open": select(events).where(OPEN).where(events.c.group_key.in_(["a", "b"])),
        "events_open_by_time": select(events).where(OPEN).order_by(events.c.detected_at.desc()),
        "alarms_by_event": select(alarms).where(alarms.c.event_id == "e"),
        "alarms_waiting": select(alarms).where(WAITING).order_by(alarms.c.detected_at, alarms.c.alarm_id),
    }
    with hands.desk._database.read() as connection:
        for index, query in of.items():
            sql = query.compile(connection, compile_kwargs={"literal_binds": True})
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
            assert f"USING INDEX {index}" in plan[0]
            assert not plan[1:]
