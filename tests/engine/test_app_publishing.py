"""The catalog follows the queue by what has changed; at any moment it equals a whole rewrite, on both databases."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest

from lifeline.app.publishing import Publisher
from lifeline.governance.actor import Actor
from lifeline.lake.catalog import Catalog
from tests.governance.conftest import T0, Hands, cleared, raised, registry

CHIEF = Actor("chief", "dispatcher")
KEYS = {"events": "event_id", "alarms": "alarm_id", "event_log": "entry"}


class _Registry:
    def __init__(self) -> None:
        self._registry = registry()

    def current(self) -> object:
        return self._registry


class Shop:
    """A queue, the publisher beside it, and what an analyst sees."""

    def __init__(self, hands: Hands, root: Path) -> None:
        self.hands, self.root = hands, root
        self.source = _Registry()
        self.open()

    def open(self) -> None:
        self.catalog = Catalog(self.root)
        self.publisher = Publisher(self.catalog, self.hands.desk, self.source, lambda: self.hands.now, tail_rows=9)

    def check(self) -> None:
        self.publisher.publish_changes()
        wanted = self.hands.desk.snapshot_tables()
        with duckdb.connect(str(self.root / "catalog/lifeline.duckdb"), read_only=True) as connection:
            for name, key in KEYS.items():
                found = connection.sql(f"SELECT * FROM {name} ORDER BY {key}").to_arrow_table()
                rows = wanted[name].sort_by(key).select(found.column_names).to_pylist()
                assert found.to_pylist() == rows, name


@pytest.fixture
def hands(queue_url: str) -> object:
    made = Hands(queue_url)
    yield made
    made.close()


def test_the_catalog_equals_a_whole_rewrite_whatever_happened(hands: Hands, tmp_path: Path) -> None:
    """Alarms, clearings, late readings, acts, shelves, restarts, folds, in a random order of a fixed seed."""
    rng = random.Random(5)
    shop = Shop(hands, tmp_path)
    shop.check()
    standing: list[object] = []
    files: set[str] = set()
    for turn in range(1, 61):
        step = rng.choice(["raise", "raise", "clear", "act", "shelve", "restart", "check"])
        if step == "raise":
            rule = rng.choice(["ch4.high", "ch4.highhigh", "stuck"])
            standing.append(raised(rule, rng.randrange(4), T0 + turn * 1000, turn))
            hands.apply(standing[-1], position=turn)
        elif step == "clear" and standing:
            alarm = standing.pop(rng.randrange(len(standing)))
            hands.apply(cleared(alarm, T0 + turn * 1000), position=turn)
        elif step == "act":
            rows, _ = hands.desk.list_events(status="open")
            for row in rows[:2]:
                action = {"new": "file", "filed": "dispatch"}.get(row["status"], "note")
                hands.desk.act(row["event_id"], action, CHIEF, "because")
        elif step == "shelve" and standing:
            hands.desk.shelve(standing[-1].alarm_id, CHIEF, "works", hands.now + 60_000)
        elif step == "restart":
            shop.open()
        else:
            shop.check()
            files |= {Path(path).name for path in shop.publisher._tables.tables["events"].files}
    shop.check()

    assert len(files) > 1, "a tail was folded"
    assert shop.publisher._tables.mark[0] > 0


def test_without_a_change_nothing_is_written_and_a_change_writes_no_part(hands: Hands, tmp_path: Path) -> None:
    shop = Shop(hands, tmp_path)
    for number in range(30):
        hands.apply(raised("ch4.high", number % 4, T0 + number), position=number + 1)
    shop.check()
    shop.open()  # what the first process read once, the second finds in parts
    shop.check()
    catalog = tmp_path / "catalog/lifeline.duckdb"
    before, parts = catalog.stat().st_mtime_ns, sorted((tmp_path / "catalog/parts").glob("events-[0-9a-f]*"))
    shop.check()
    assert catalog.stat().st_mtime_ns == before
    event_id = hands.desk.list_events()[0][0]["event_id"]
    hands.desk.act(event_id, "note", CHIEF, "seen")
    shop.check()

    assert catalog.stat().st_mtime_ns > before
    assert sorted((tmp_path / "catalog/parts").glob("events-[0-9a-f]*")) == parts
    assert len(parts) > 0


def test_another_database_is_read_anew(hands: Hands, tmp_path: Path) -> None:
    """A backup that was put back knows our mark's number, but with another stamp; a fresh one does not know it."""
    shop = Shop(hands, tmp_path)
    hands.apply(raised("ch4.high", 0, T0), position=1)
    shop.check()
    with hands.queue._database.write() as connection:
        connection.exec_driver_sql("UPDATE touched SET stamp = stamp + 1")
        connection.exec_driver_sql("UPDATE events SET title = 'of another history'")
    hands.desk.act(hands.desk.list_events()[0][0]["event_id"], "file", CHIEF, "because")
    shop.publisher.publish_changes()  # finds that it is another one; the catalog of before still stands
    shop.check()


def test_the_trace_is_forgotten_once_it_is_in_parts(hands: Hands, tmp_path: Path) -> None:
    shop = Shop(hands, tmp_path)
    shop.check()
    for number in range(20):
        hands.apply(raised("stuck", number % 4, T0 + number * 1000), position=number + 1)
        hands.apply(
            cleared(raised("stuck", number % 4, T0 + number * 1000), T0 + number * 1000 + 5), position=number + 1
        )
    shop.check()
    shop.check()
    with hands.queue._database.read() as connection:
        (left,) = connection.exec_driver_sql("SELECT count(*) FROM touched").one()
    assert left == 1
    shop.open()
    shop.check()
