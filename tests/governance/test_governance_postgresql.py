"""PostgreSQL alone: what its server must promise, what its errors mean, and what a crash of the server leaves."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from lifeline.core.errors import ConfigurationError, CorruptionError, UnavailableError
from lifeline.governance.database import Database
from tests.conftest import Postgres
from tests.governance.conftest import T0, Hands, raised

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTGRESQL_ONLY = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


def test_a_server_that_commits_without_waiting_is_told_to_wait(postgres: Postgres) -> None:
    url = postgres.database()
    postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    database = Database(url)

    with database.write() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"
    database.close()


def test_what_is_in_use_when_the_database_closes_is_closed_once_it_comes_back(postgres: Postgres) -> None:
    database = Database(postgres.schema())
    with database.read() as reading, database.write() as writing:
        raw = [each.connection.driver_connection for each in (reading, writing)]
        database.backend.close()
        assert not any(one.closed for one in raw if one)
    assert all(one.closed for one in raw if one)
    assert len(raw) == 2
    with database.read() as late:  # who asks once more leaves nothing behind either
        last = late.connection.driver_connection
    assert last is not None
    assert last.closed


@pytest.mark.parametrize("promise", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_sync_is_refused(postgres: Postgres, promise: str) -> None:
    url = postgres.database()
    postgres.execute(f"ALTER SYSTEM SET {promise} = off")
    postgres.execute("SELECT pg_reload_conf()")
    try:
        with pytest.raises(ConfigurationError, match=f"{promise} = 'off'.*set {promise} = 'on'"):
            Database(url)
    finally:
        postgres.execute("ALTER SYSTEM RESET ALL")
        postgres.execute("SELECT pg_reload_conf()")


def test_a_database_of_another_encoding_is_refused(postgres: Postgres) -> None:
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    with pytest.raises(ConfigurationError, match="server_encoding = 'LATIN1': text would not be safe"):
        Database(postgres.url("latin"))


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(ConfigurationError, match=r"lifeline-engine\[postgresql\]"):
        Database("postgresql+psycopg://lifeline@localhost/x")


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_shown() -> None:
    with pytest.raises(UnavailableError, match="refused") as caught:
        Database("postgresql+psycopg://lifeline:hush@127.0.0.1:1/x")
    assert "hush" not in str(caught.value)


@POSTGRESQL_ONLY
def test_damage_is_named(database_url: str) -> None:
    database = Database(database_url)

    def damaged() -> None:
        with database.read() as connection:
            connection.exec_driver_sql("DO $$ BEGIN RAISE 'page 7' USING ERRCODE = 'data_corrupted'; END $$")

    with pytest.raises(CorruptionError, match="page 7"):
        damaged()
    database.close()


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that may be crashed: it is nobody else's, and has few files to recover."""
    server = Postgres()
    yield server
    server.close()


def test_the_server_crashes_and_comes_back_with_everything_acknowledged(own_server: Postgres) -> None:
    """An immediate stop writes nothing on its way out. The queue's next call heals by itself."""
    hands = Hands(own_server.database())
    for number in range(1, 21):
        hands.apply(raised("ch4.high", 0, T0 + number), position=number)
    own_server.stop()
    with pytest.raises(UnavailableError):
        hands.apply(raised("ch4.high", 0, T0 + 21), position=21)
    assert hands.queue.position == 20
    own_server.start()

    hands.apply(raised("ch4.high", 0, T0 + 21), position=21)

    assert len(hands.desk.list_alarms()[0]) == 21
    hands.queue.close()
    assert hands.reopen().position == 21
    hands.close()
