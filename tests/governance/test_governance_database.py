"""What both databases promise: turns, transactions, snapshots, and errors that name place and remedy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import ProgrammingError

from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.governance.database import Database
from lifeline.governance.schema import meta

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url, lock_timeout_s=0.2)
    yield made
    made.close()


def count_of(database: Database, name: str) -> int | None:
    with database.read() as connection:
        return connection.scalar(select(meta.c.value).where(meta.c.name == name))


def test_threads_take_turns(database: Database) -> None:
    inside = threading.Event()
    leave = threading.Event()

    def hold() -> None:
        with database.write():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(UnavailableError, match="another thread"), database.write():
        pass
    leave.set()
    thread.join()
    with database.write() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_writers_of_other_processes_wait_and_then_say_so(database: Database) -> None:
    other = Database(database.url, lock_timeout_s=0.1)

    with database.write(), pytest.raises(UnavailableError, match="another process"), other.write():
        pass

    with other.write() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    other.close()


def test_no_update_is_lost_between_writers(database: Database) -> None:
    """A counter read and written by two handles at once: each transaction sees the one before."""
    others = [Database(database.url) for _ in range(2)]

    def count(handle: Database) -> None:
        for _ in range(25):
            with handle.write() as connection:
                now = connection.scalar(select(meta.c.value).where(meta.c.name == "revision.alarms")) or 0
                connection.execute(update(meta).where(meta.c.name == "revision.alarms").values(value=now + 1))

    threads = [threading.Thread(target=count, args=(handle,)) for handle in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert count_of(database, "revision.alarms") == 50
    for handle in others:
        handle.close()


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def half_done() -> None:
        with database.write() as connection:
            connection.execute(insert(meta), [{"name": "x", "value": 1}])
            connection.exec_driver_sql("SELECT 1 FROM nowhere")

    with pytest.raises((UnavailableError, ProgrammingError), match="nowhere"):
        half_done()

    assert count_of(database, "x") is None


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.read() as connection:
        revision = select(meta.c.value).where(meta.c.name == "revision.alarms")
        before = connection.scalar(revision)
        with database.write() as writer:
            writer.execute(update(meta).where(meta.c.name == "revision.alarms").values(value=1))
        assert connection.scalar(revision) == before
    assert count_of(database, "revision.alarms") == 1


def test_a_reader_cannot_write(database: Database) -> None:
    def write() -> None:
        with database.read() as connection:
            connection.execute(insert(meta), [{"name": "x", "value": 1}])

    with pytest.raises(UnavailableError, match=r"readonly|read-only"):
        write()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("governance.db", "is no URL"),
        ("sqlite://", "neither a SQLite file nor"),
        ("sqlite:///:memory:", "neither a SQLite file nor"),
        ("postgresql+psycopg://u:secret@h", "neither a SQLite file nor"),
        ("postgresql+asyncpg://u:secret@h/db", "neither a SQLite file nor"),
        ("mysql://u:secret@h/db", "neither a SQLite file nor"),
    ],
)
def test_a_url_that_cannot_be_served_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("version", "remedy"), [(99, "upgrade Lifeline"), (0, "backup")])
def test_another_schema_version_is_refused(database_url: str, version: int, remedy: str) -> None:
    database = Database(database_url)
    with database.write() as connection:
        connection.execute(update(meta).where(meta.c.name == "schema_version").values(value=version))
    database.close()

    for create in (True, False):
        with pytest.raises(ConfigurationError, match=f"version {version}.*{remedy}"):
            Database(database_url, create=create)


def test_a_database_of_somebody_else_is_refused(database_url: str) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (x integer)")
    engine.dispose()

    for create in (True, False):
        with pytest.raises(ConfigurationError, match="not a Lifeline governance database"):
            Database(database_url, create=create)
