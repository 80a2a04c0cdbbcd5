"""Older tables become today's with every row kept, and the steps lead exactly to the models, on both databases."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, Table, create_engine, inspect, select, update

from lifeline.governance import further, migrate
from lifeline.governance.actor import Actor
from lifeline.governance.database import Database
from lifeline.governance.further import count_further
from lifeline.governance.schema import SCHEMA_VERSION, meta, metadata
from lifeline.governance.settings import recount
from tests.governance.conftest import Hands
from tests.governance.test_governance_lists import cross

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

    from lifeline.governance.sums import Sums

VERSION_1 = Path(__file__).parent / "version_1.sql"
"""A queue as the first version left it: four alarms, an event walked to its close, an ack, a suppression."""


@pytest.fixture
def old_url(database_url: str) -> str:
    """The same version-1 content in each database; in SQLite from the file that version wrote."""
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(VERSION_1.read_text(encoding="utf-8"))
        return database_url
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(VERSION_1.read_text(encoding="utf-8"))
        source.row_factory = sqlite3.Row
        engine = create_engine(database_url)
        with engine.begin() as connection:
            migrate.upgrade(connection, 0, to=1)
            connection.execute(meta.delete())
            _copy(source, connection)
            connection.exec_driver_sql("DROP TABLE alembic_version")
        engine.dispose()
    return database_url


def _copy(source: sqlite3.Connection, target: Connection) -> None:
    known = MetaData()
    known.reflect(target)
    for table in known.sorted_tables:
        if table.name == "alembic_version":
            continue
        rows = [dict(row) for row in source.execute(f"SELECT * FROM {table.name}")]
        for row in rows:
            row.update(
                (c.name, bool(row[c.name]))
                for c in table.columns
                if str(c.type) == "BOOLEAN" and row[c.name] is not None
            )
        if rows:
            target.execute(table.insert(), rows)
    for name in ("event_log", "alarm_log"):
        target.exec_driver_sql(f"SELECT setval('{name}_entry_seq', (SELECT max(entry) FROM {name}))")


def snapshot(engine: Engine, columns: dict[str, list[str]] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table (or of these columns of these tables), by table."""
    found: dict[str, list[dict[str, Any]]] = {}
    with engine.connect() as connection:
        others = {"alembic_version", "meta"}
        names = columns or {name: [] for name in inspect(connection).get_table_names() if name not in others}
        for name, wanted in names.items():
            table = Table(name, MetaData(), autoload_with=connection)
            chosen = [table.c[one] for one in wanted] or list(table.c)
            rows = connection.execute(select(*chosen).order_by(*table.primary_key)).mappings()
            found[name] = [dict(row) for row in rows]
    return found


def test_version_1_becomes_todays_and_keeps_every_row(old_url: str) -> None:
    engine = create_engine(old_url)
    before = snapshot(engine)
    assert {name: len(rows) for name, rows in before.items()} == {
        "alarms": 4,
        "events": 3,
        "event_log": 9,
        "alarm_log": 2,
        "holds": 1,
        "followers": 1,
    }

    Database(old_url).close()

    columns = {name: list(rows[0]) for name, rows in before.items()}
    assert snapshot(engine, columns) == before
    with engine.connect() as connection:
        assert connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version")) == SCHEMA_VERSION
    engine.dispose()


def test_the_queue_goes_on_where_version_1_stopped(old_url: str) -> None:
    hands = Hands(old_url)

    assert hands.queue.position == 8
    rows, _ = hands.desk.list_events(status="closed")
    (shown,) = [hands.desk.get_event(row["event_id"]) for row in rows]
    assert [entry["action"] for entry in shown["log"]][-2:] == ["feed-back", "close"]
    hands.desk.act(shown["event_id"], "evaluate", Actor("li", "dispatcher"), satisfaction=5)
    hands.close()


def test_the_steps_lead_to_the_models(database_url: str) -> None:
    Database(database_url).close()

    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        migrated = indices(connection)
    engine.dispose()
    assert migrated == expected_indices(database_url)


def indices(connection: Connection) -> dict[str, str]:
    """Every index with its condition, as the database tells it."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    else:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    found = {row[0]: row[1] for row in connection.exec_driver_sql(query)}
    return {name: sql for name, sql in found.items() if not name.startswith("alembic")}


def expected_indices(database_url: str) -> dict[str, str]:
    """The same, made from the models in one go and rolled back."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
        found = indices(connection)
        connection.rollback()
    engine.dispose()
    return found


FORGOTTEN = (
    "DELETE FROM kpi_days WHERE substr(scope, 1, 1) = '+'",
    "DELETE FROM kpi_times WHERE substr(scope, 1, 1) = '+'",
    "DELETE FROM settings WHERE name = 'sums.further'",
)


def test_what_events_touch_is_found_in_a_queue_from_before(hands: Hands) -> None:
    """Tables as version 10 had them, made from today's: the step and the count after it bring back what was there."""
    cross(hands)
    hands.queue.close()
    engine = create_engine(hands.url)
    wanted = {"event_areas": [], "kpi_days": [], "kpi_times": [], "events": ["event_id", "also_in"]}
    before = snapshot(engine, wanted)
    assert len(before["event_areas"]) > 20
    with engine.begin() as connection:
        for statement in (
            "DROP INDEX events_open_by_district",
            "DROP TABLE regulations",
            "DROP TABLE event_areas",
            "ALTER TABLE events DROP COLUMN also_in",
            *FORGOTTEN,
            "UPDATE meta SET value = 10 WHERE name = 'schema_version'",
            "UPDATE alembic_version SET version_num = '0010'",
        ):
            connection.exec_driver_sql(statement)

    hands.reopen()
    with closing(Database(hands.url, create=False)) as database:
        assert count_further(database)
        assert snapshot(engine, wanted) == before
        assert not count_further(database)
    engine.dispose()


def test_sums_from_before_are_counted_beside_a_queue_that_goes_on(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done before the snapshot, and between it and the writing, counts once, as if it had always been kept."""
    cross(hands)
    crossing = [row["event_id"] for row in hands.desk.list_events(limit=1000)[0] if row["also_in"] and row["is_open"]]
    half = len(crossing) // 2
    assert half > 1
    engine = create_engine(hands.url)
    with engine.begin() as connection:
        for statement in FORGOTTEN:
            connection.exec_driver_sql(statement)
    taken_away = further._take_away

    def file(some: Sequence[str]) -> None:
        for event_id in some:
            hands.desk.act(event_id, "file", Actor("li", "operator"))

    def and_meanwhile(connection: Connection, sums: Sums) -> None:
        file(crossing[half:])
        taken_away(connection, sums)

    monkeypatch.setattr(further, "_take_away", and_meanwhile)
    file(crossing[:half])
    with closing(Database(hands.url, create=False)) as database:
        assert count_further(database)
        found = snapshot(engine, {"kpi_days": [], "kpi_times": []})
        with database.write() as connection:
            recount(connection, "UTC")
    assert found == snapshot(engine, {"kpi_days": [], "kpi_times": []})
    assert sum(row["filed"] for row in found["kpi_days"] if row["scope"] == "+all") > 0
    engine.dispose()


def test_an_engine_counts_them_on_its_own(hands: Hands) -> None:
    cross(hands)
    engine = create_engine(hands.url)
    before = snapshot(engine, {"kpi_days": []})
    with engine.begin() as connection:
        for statement in FORGOTTEN:
            connection.exec_driver_sql(statement)
    chore = further.FurtherSums(hands.url)
    until = time.monotonic() + 60
    while snapshot(engine, {"kpi_days": []}) != before and time.monotonic() < until:
        chore.keep()
        time.sleep(0.02)
    assert snapshot(engine, {"kpi_days": []}) == before
    engine.dispose()


def test_there_is_a_step_for_every_version() -> None:
    assert migrate.head() == migrate.revision(SCHEMA_VERSION)


def test_a_step_that_fails_leaves_the_old_tables(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine(old_url)
    before = snapshot(engine)

    def fails(*_: object) -> None:
        raise RuntimeError("the power goes out")

    monkeypatch.setattr(migrate, "_finish", fails)
    if SCHEMA_VERSION > 1:
        with pytest.raises(RuntimeError, match="power"):
            Database(old_url)

    assert snapshot(engine) == before
    with engine.connect() as connection:
        assert connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version")) == 1
        assert "alembic_version" not in inspect(connection).get_table_names()
    engine.dispose()


def test_a_database_between_versions_goes_on_from_there(database_url: str) -> None:
    """Stopped at any released step, as an upgrade that skips versions finds it."""
    for version in range(1, SCHEMA_VERSION + 1):
        engine = create_engine(database_url)
        with engine.begin() as connection:
            known = MetaData()
            known.reflect(connection)
            known.drop_all(connection)
            migrate.upgrade(connection, 0, to=version)
            assert connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version")) == version
            connection.execute(update(meta).where(meta.c.name == "revision.events").values(value=41))
        engine.dispose()
        database = Database(database_url)
        with database.read() as connection:
            assert connection.scalar(select(meta.c.value).where(meta.c.name == "revision.events")) == 41
        database.close()
