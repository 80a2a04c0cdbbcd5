"""Candidates beside production: exact like it, bounded, and never a danger to it."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lifeline.app.shadow import EVERY_MS, VIEW, ShadowDesk
from lifeline.cli.main import app
from lifeline.core.alarm import AlarmChange
from lifeline.core.batch import IngestBatch, Readings
from lifeline.core.metrics import Metrics
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.engine import shadow
from lifeline.engine.rules_follower import RulesFollower
from lifeline.engine.shadow import Candidate, ShadowBook, ShadowRun
from lifeline.engine.snapshots import SnapshotStore
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from lifeline.lake.catalog import Catalog
from lifeline.testing import MemoryLog
from rules import backtest
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet, digest
from tests.queues import queue_file

T0 = 1_795_000_000_000
TEXTS = 'title = { zh = "甲烷", en = "Methane" }\nlevel = "orange"\ncategory = "process"\nrespond_within = "30min"\n'
TEXTS += 'cause = "leak"\nconsequence = "explosion"\naction = "go"\nwhere = "quantity = \'ch4\'"\n'


def rule(rule_id: str, limit: float, tail: str = "") -> str:
    head = f'[[rule]]\nid = "{rule_id}"\n{TEXTS}raise = "value >= limit"\nclear = "value < limit - 5"\n'
    return head + f"params = {{ limit = {limit} }}\n{tail}\n"


RULES = RuleSet.parse(
    rule("gas.ch4.high", 25.0, "version = 1")
    + rule("gas.ch4.high", 15.0, "version = 2\nshadow = true")
    + rule("gas.ch4.slow", 15.0, 'version = 1\nshadow = "gas.ch4.high"\nraise_after = { samples = 3 }')
)
KNOWN = {one.id: Candidate(one.version, one.shadow, digest(one.meaning)) for one in RULES.shadow}


def points(devices: int) -> Registry:
    rows = [
        {"point": d, "device_id": f"D{d}", "quantity": "ch4", "utility": "gas", "kind": "well"} for d in range(devices)
    ]
    return Registry(pa.Table.from_pylist([{f.name: r.get(f.name) for f in POINTS} for r in rows], schema=POINTS))


REGISTRY = points(6)


def stream(seed: int, rows: int = 150) -> Readings:
    """Values around both limits; some readings come late."""
    rng = random.Random(seed)
    made = Readings.empty(rows)
    received = T0
    for k in range(rows):
        received += rng.choice([0, 500, 9_000])
        made.point[k], made.received_at[k] = rng.randrange(6), received
        made.ts[k] = received - rng.choice([0, 0, 1_000, 40_000])
        made.value[k] = rng.choice([5.0, 16.0, 18.0, 30.0])
    return made


def append(log: MemoryLog, part: Readings) -> None:
    at = int(part.received_at.max())
    log.append(IngestBatch(readings=part, received_at=at, rejects=None), lambda _: None)


def make(registry: Registry = REGISTRY) -> RuleMachine:
    return RuleMachine(RULES.candidates, registry, "UTC")


def run_on(log: MemoryLog, folder: Path) -> ShadowRun:
    return ShadowRun(log, make, KNOWN, SnapshotStore(folder, "shadow"), lambda: T0)


def feed(run: ShadowRun, log: MemoryLog) -> None:
    """What the thread does, without the rests."""
    for record in log.read(run.position, 10_000):
        run.consume(record)


def plain(rows: Any) -> list[tuple[Any, ...]]:
    return sorted((r["alarm_id"], r["point"], r["raised_at"], r["cleared_at"]) for r in rows)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 149), max_size=6), st.integers(0, 6))
def test_a_shadow_that_is_restarted_says_what_a_backtest_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int, edges: list[int], stop: int
) -> None:
    """However the log is cut, and wherever it is stopped: checkpoint, log and book give the same alarms."""
    rows, folder, log = stream(seed), tmp_path_factory.mktemp("s"), MemoryLog()
    run = run_on(log, folder)
    bounds = sorted({0, 150, *edges})
    for k, (a, b) in enumerate(itertools.pairwise(bounds)):
        append(log, rows.take(np.arange(a, b)))
        feed(run, log)
        if k == stop:
            run.save()
            run = run_on(log, folder)
            feed(run, log)
    found, since, at = run.copied()
    expected = backtest.run(RULES.candidates, REGISTRY, [rows]).alarms.to_pylist()
    ms = lambda value: None if value is None else round(value.timestamp() * 1000)
    told = [row | {"raised_at": ms(row["raised_at"]), "cleared_at": ms(row["cleared_at"])} for row in expected]
    assert plain(found) == plain(told)
    assert set(since) == set(KNOWN)
    assert at == int(rows.received_at.max())


def test_what_the_log_has_lost_is_bridged_by_the_state_of_the_moment(tmp_path: Path) -> None:
    log, rows = MemoryLog(), stream(3)
    rows.ts[:] = rows.received_at[:] = T0 + 1000 * np.arange(150)
    run = run_on(log, tmp_path)
    append(log, rows.take(np.arange(100)))
    feed(run, log)
    run.save()
    log.trim(log.committed + 1)
    append(log, rows.take(np.arange(100, 150)))
    again = run_on(log, tmp_path)
    assert again.position == run.position
    feed(again, log)
    feed(run, log)
    assert [r["alarm_id"] for r in again.copied()[0]] == [r["alarm_id"] for r in run.copied()[0]]
    assert again.gaps == 0


def wait_for(what: Any) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_log_that_was_trimmed_is_a_gap_and_the_book_begins_anew(tmp_path: Path) -> None:
    log = MemoryLog()
    run = run_on(log, tmp_path)
    for part in (np.arange(50), np.arange(50, 100)):
        append(log, stream(1).take(part))
    log.trim(2)
    run.start()
    wait_for(lambda: run.position == 2)
    run.close()
    assert (run.gaps, run.copied()[0], run.fault) == (1, [], None)
    assert run_on(log, tmp_path).gaps == 1


def test_a_defect_ends_the_shadow_and_says_so(tmp_path: Path) -> None:
    log = MemoryLog()
    run = ShadowRun(log, lambda: make(points(1)), KNOWN, SnapshotStore(tmp_path, "shadow"), lambda: T0)
    run.start()
    append(log, stream(1))
    wait_for(lambda: run.fault)
    run.close()
    assert "not in the registry" in str(run.fault)


def test_the_book_is_bounded_and_compares_only_what_it_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "ROWS_MAX", 3)
    book = ShadowBook({"a.b": Candidate(1, "a.b", "m")})
    changes = [AlarmChange("raised", f"{k}", "a.b", 1, k, T0 + k, T0 + k, 1.0, 1.0, "blue", k) for k in range(5)]
    book.take(changes, T0, T0 + 4)
    assert list(book.rows) == ["2", "3", "4"]
    assert book.since == {"a.b": T0 + 2}
    other = ShadowBook({"a.b": Candidate(1, "a.b", "other meaning")})
    other.load(book.pack())
    assert (other.rows, other.since) == ({}, {})


class Site:
    """Production and its candidates on one log, as the engine has them."""

    def __init__(self, folder: Path) -> None:
        self.now = T0
        self.log = MemoryLog()
        url = queue_file(folder / "governance.db")
        self.queue = GovernanceQueue(url, RULES.info(), PlaceLookup(lambda: REGISTRY), lambda: self.now)
        self.desk = GovernanceDesk(url, lambda: self.now)
        self.metrics, self.catalog = Metrics(), Catalog(folder)
        self.catalog.publish_table("points", REGISTRY.points)
        machine = RuleMachine(RULES, REGISTRY, "UTC")
        self.rules = RulesFollower(
            lambda: machine, self.queue, SnapshotStore(folder / "state", "rules"), lambda: self.now, self.metrics
        )
        self.rules.open()
        self.shadow = ShadowDesk(
            *(self.log, PlaceSource(), SnapshotStore(folder / "state", "shadow"), self.desk, self.catalog),
            *(self.metrics, lambda: self.now),
            production=self.rules,
        )

    def turn(self) -> None:
        self.rules.consume(self.log.read(self.rules.position))
        run = self.shadow._run
        wait_for(lambda: run is None or run.position == self.log.committed)
        self.now += EVERY_MS
        self.shadow.keep()
        self.catalog.publish()


class PlaceSource:
    def current(self) -> Registry:
        return REGISTRY

    def register(self, pairs: list[tuple[str, str, str]]) -> Registry:
        raise NotImplementedError


def test_only_the_difference_is_told_and_neither_alarm_nor_event_comes_of_it(tmp_path: Path) -> None:
    site = Site(tmp_path / "var")
    site.shadow.use(RULES, "UTC")
    rows = Readings.empty(8)
    rows.point[:] = [0, 1, 2, 0, 1, 1, 1, 2]
    rows.value[:] = [30.0, 16.0, 5.0, 2.0, 16.0, 16.0, 16.0, 30.0]
    rows.ts[:] = rows.received_at[:] = T0 + 1000 * np.arange(8)
    append(site.log, rows)
    site.turn()
    alarms = site.desk.list_alarms(limit=100)[0]
    assert {(row["rule_id"], row["rule_version"]) for row in alarms} == {("gas.ch4.high", 1)}
    assert len(alarms) == len(site.desk.list_events()[0]) == 2
    figures = {one["rule_id"]: one for one in site.shadow.status()["rules"]}
    counts = lambda rule: [figures[rule][name] for name in ("same", "raised", "missed", "times")]
    assert counts("gas.ch4.high") == [2, 1, 0, 0], "both at 30 are the same; 16 %LEL is the candidate's alone"
    assert counts("gas.ch4.slow") == [0, 1, 2, 0], "three in a row at point 1 only"
    value = site.metrics.registry.get_sample_value
    assert value("lifeline_shadow_alarms", {"rule": "gas.ch4.slow", "difference": "missed"}) == 2

    from lifeline.lake.query import open_catalog

    with open_catalog(tmp_path / "var") as db:
        told = db.sql(f"SELECT rule_id, difference, point FROM {VIEW} ORDER BY ALL").fetchall()
    assert told == [
        ("gas.ch4.high", "raised", 1), ("gas.ch4.slow", "missed", 0),
        ("gas.ch4.slow", "missed", 2), ("gas.ch4.slow", "raised", 1),
    ]  # fmt: skip
    site.shadow.use(RuleSet(RULES.rules), "UTC")
    site.turn()
    assert site.shadow.status()["rules"] == []
    with open_catalog(tmp_path / "var") as db:
        assert db.sql(f"SELECT count(*) FROM {VIEW}").fetchall() == [(0,)]
    site.desk.close()
    site.queue.close()


def test_the_command_shows_figures_and_differences(tmp_path: Path) -> None:
    import orjson

    folder = tmp_path / "site"
    run = CliRunner().invoke
    assert run(app, ["init", str(folder)]).exit_code == 0
    config = folder / "lifeline.toml"
    assert run(app, ["rules", "shadow", "-c", str(config)]).exit_code == 1, "no engine has run here yet"
    site = Site(folder / "var")
    site.shadow.use(RULES, "UTC")
    append(site.log, stream(5))
    site.turn()
    site.shadow.close()
    (folder / "var" / "state").mkdir(exist_ok=True)
    (folder / "var" / "state" / "status.json").write_bytes(orjson.dumps({"shadow": site.shadow.status()}))
    told = orjson.loads(run(app, ["rules", "shadow", "-c", str(config), "--json"]).stdout)
    assert {one["rule_id"] for one in told["rules"]} == set(KNOWN)
    assert {"raised", "missed"} <= {row["difference"] for row in told["differences"]}
    listed = orjson.loads(run(app, ["alarms", "list", "--state", "active", "-c", str(config), "--json"]).stdout)
    assert {row["active"] for row in listed["alarms"]} <= {True}
    text = run(app, ["rules", "shadow", "-c", str(config)]).stdout
    assert "gas.ch4.slow" in text
    assert "missed" in text
    site.desk.close()
    site.queue.close()
