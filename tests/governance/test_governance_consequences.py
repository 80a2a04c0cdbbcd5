"""Alarms that another alarm explains: suppressed by design, folded beneath it in a flood, and released again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select

from lifeline.core.alarm import AlarmChange
from lifeline.governance.actor import Actor
from lifeline.governance.schema import alarm_log, alarms, causes, event_log, events
from tests.governance.conftest import RULES, T0, Hands, cleared, raised, rule
from tests.queues import queue_file

PUMP_OFF = replace(rule("pump.off", "blue", "state", "zone"), announce=False)
BURST = rule("burst", "red", "burst", "zone")
LOW = replace(
    rule("low", "yellow", "low-pressure", "device"), suppressed_by=("pump.off",), suppressed_at="zone",
    folds_under=("burst",), folds_at="zone",
)  # fmt: skip


@pytest.fixture(autouse=True)
def related() -> Iterator[None]:
    """Every device of the small city lies in zone Z-1."""
    more = {one.rule_id: one for one in (PUMP_OFF, BURST, LOW)}
    RULES.update(more)
    yield
    for name in more:
        RULES.pop(name, None)


@pytest.fixture
def city(database_url: str) -> Iterator[Hands]:
    """After the rules are known."""
    made = Hands(database_url)
    yield made
    made.close()


def state(hands: Hands, alarm: AlarmChange) -> tuple[str, str | None, str | None]:
    row = hands.desk.get_alarm(alarm.alarm_id)
    return row["state"], row["cause_id"], row["event_id"]


def test_an_alarm_is_suppressed_while_its_cause_stands_and_heard_when_that_ends(city: Hands) -> None:
    cause, low = raised("pump.off", 0, T0), raised("low", 2, T0 + 1000)
    assert city.apply(cause, low) == []
    assert state(city, cause) == ("suppressed", None, None), "a state tells nobody"
    assert state(city, low) == ("suppressed", cause.alarm_id, None)
    assert city.desk.alarm_load(T0, T0 + 600_000).windows == (0,)
    city.tick(10)
    assert city.desk.list_events()[0] == []
    city.apply(cleared(cause, T0 + 60_000), position=2)
    city.tick(10)
    row = city.desk.get_alarm(low.alarm_id)
    assert (row["state"], row["event_id"] is not None) == ("unacked", True)
    assert [entry["action"] for entry in row["log"]] == ["unsuppress"]


def test_a_cause_that_comes_later_suppresses_what_stands_and_a_second_one_holds_it(city: Hands) -> None:
    low, first, second = raised("low", 2, T0), raised("pump.off", 0, T0 + 1000), raised("pump.off", 1, T0 + 2000)
    city.apply(low)
    city.apply(first, second, position=2)
    assert state(city, low)[:2] == ("suppressed", first.alarm_id)
    city.apply(cleared(first, T0 + 60_000), position=3)
    assert state(city, low)[:2] == ("suppressed", second.alarm_id)
    city.desk.suppress(low.alarm_id, Actor("wang", "dispatcher"), "by hand too")
    city.apply(cleared(second, T0 + 61_000), position=4)
    assert state(city, low)[0] == "suppressed", "what people suppressed stays so"


def flood(start: int = T0) -> list[AlarmChange]:
    """Ten alarms of one console (point 0 and 2 are gas in 410105)."""
    return [raised("ch4.rate", 2 * (k % 2), start + k * 1000) for k in range(10)]


def test_in_a_flood_consequences_fold_beneath_the_alarm_that_names_the_cause(city: Hands) -> None:
    burst, calm, folded = raised("burst", 0, T0 - 5000), raised("low", 2, T0 - 4000), raised("low", 2, T0 + 20_000)
    city.apply(burst, calm)
    assert state(city, calm)[1] is None, "no flood yet: it has an event of its own"
    city.apply(cleared(calm, T0 - 1000), *flood(), position=2)
    before = city.desk.get_event(state(city, burst)[2] or "")
    assert city.apply(folded, position=3) == []
    assert state(city, folded)[1:] == (burst.alarm_id, state(city, burst)[2])
    event = city.desk.get_event(before["event_id"])
    assert (event["alarm_count"], event["title"], event["rule_id"]) == (2, before["title"], "burst")
    assert [entry["action"] for entry in event["log"]].count("fold") == 1
    later = raised("low", 2, T0 + 3_600_000)
    city.apply(cleared(folded, T0 + 30_000), later, position=4)
    assert state(city, later)[1] is None, "the flood is over"


def test_a_cause_that_comes_after_its_consequence_is_named_in_the_new_event(city: Hands) -> None:
    low, burst = raised("low", 2, T0), raised("burst", 0, T0 + 20_000)
    city.apply(low, *flood(), burst)
    event = city.desk.get_event(state(city, low)[2] or "")
    assert event["related_id"] == state(city, burst)[2]
    assert "consequence" in [entry["action"] for entry in event["log"]]


def rows_of(url: str) -> list[Any]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [
            sorted(repr(sorted((k, v) for k, v in row.items() if k not in {"stored_at", "entry"}))
                   for row in connection.execute(select(table)).mappings())
            for table in (alarms, events, event_log, alarm_log, causes)
        ]  # fmt: skip
    engine.dispose()
    return found


CHANGES = st.lists(
    st.tuples(st.sampled_from(["pump.off", "burst", "low", "ch4.rate"]), st.sampled_from([0, 1, 2])), max_size=24
)


@settings(max_examples=12, deadline=None)
@given(CHANGES, st.lists(st.integers(1, 23), max_size=5))
def test_any_split_into_batches_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int]], edges: list[int]
) -> None:
    """Each (rule, point) alternates between raised and cleared."""
    up: dict[tuple[str, int], AlarmChange] = {}
    changes = flood(T0 - 60_000)
    for k, key in enumerate(drawn):
        if key in up:
            changes.append(cleared(up.pop(key), T0 + k * 1000))
        else:
            up[key] = raised(*key, T0 + k * 1000)
            changes.append(up[key])
    found = []
    for cuts in ([], edges):
        url = queue_file(tmp_path_factory.mktemp("q") / "governance.db")
        hands = Hands(url)
        bounds = sorted({0, len(changes), *(edge for edge in cuts if edge < len(changes))})
        for a, b in itertools.pairwise(bounds):
            hands.apply(*changes[a:b], position=b)
        hands.close()
        found.append(rows_of(url))
    assert found[0] == found[1]


def test_rules_that_say_otherwise_release_what_they_suppressed(tmp_path: Path) -> None:
    hands = Hands(queue_file(tmp_path / "governance.db"))
    cause, low = raised("pump.off", 0, T0), raised("low", 2, T0 + 1000)
    hands.apply(cause, low)
    hands.tick(2)
    assert state(hands, low)[0] == "suppressed"
    RULES["low"] = replace(LOW, suppressed_by=(), suppressed_at="")
    hands.queue.close()
    hands.reopen()
    hands.tick(2)
    hands.tick(2)
    row = hands.desk.get_alarm(low.alarm_id)
    assert (row["state"], row["event_id"] is not None) == ("unacked", True)
    assert row["log"][-1]["action"] == "unsuppress"
    hands.close()
