"""Alarm changes become alarms and events: grouping, escalation, return to normal, replay, holds."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import or_, select

from lifeline.core.errors import UnavailableError
from lifeline.core.ports import AlarmSink
from lifeline.governance.actor import Actor
from lifeline.governance.queue import GovernanceQueue
from lifeline.governance.schema import (
    MEASURES,
    alarm_log,
    alarms,
    event_log,
    events,
    followers,
    holds,
    kpi_days,
    kpi_times,
    tallies,
    timers,
)
from tests.governance.conftest import RULES, SQLITE_ONLY, T0, Hands, cleared, raised
from tests.queues import queue_file

if TYPE_CHECKING:
    from lifeline.core.alarm import AlarmChange


def tables(hands: Hands) -> dict[str, list[tuple[object, ...]]]:
    """Every table, without the wall clock of the storing."""
    found = {}
    with hands.queue._database.read() as connection:
        for table in (alarms, events, event_log, alarm_log, holds, followers, timers):
            columns = [column for column in table.columns if column.name != "stored_at"]
            query = select(*columns).order_by(*table.primary_key.columns)
            found[table.name] = [tuple(row) for row in connection.execute(query)]
        for table in (kpi_days, kpi_times, tallies):
            counted = or_(*(table.c[name] != 0 for name in (*MEASURES, "n") if name in table.c))
            query = select(table).where(counted).order_by(*table.primary_key.columns)
            found[table.name] = [tuple(row) for row in connection.execute(query)]
    return found


def actions(hands: Hands, event_id: str) -> list[str]:
    return [entry["action"] for entry in hands.desk.get_event(event_id)["log"]]


def test_the_queue_is_an_alarm_sink(hands: Hands) -> None:
    sink: AlarmSink = hands.queue

    assert isinstance(sink, GovernanceQueue)
    assert sink.position == 0


def test_first_alarm_opens_an_event_with_title_place_and_deadline(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0, lsn=7)

    (event_id,) = hands.apply(alarm, position=7)

    event = hands.desk.get_event(event_id)
    assert event["title"] == "甲烷orange / Methane orange · V-0 · 金水区"
    assert (event["level"], event["status"], event["utility"]) == ("orange", "new", "gas")
    assert (event["area_code"], event["place_kind"], event["place"]) == ("410105", "asset", "V-0")
    assert (event["raised_at"], event["detected_at"]) == (T0, T0 + 2000)
    assert event["due_at"] == T0 + 2000 + 1_800_000
    assert (event["alarm_count"], event["active_count"], event["lsn"]) == (1, 1, 7)
    assert [a["alarm_id"] for a in event["alarms"]] == [alarm.alarm_id]
    assert (event["alarms"][0]["state"], event["alarms"][0]["value"]) == ("unacked", 26.5)
    assert hands.queue.position == 7


def test_alarms_of_one_kind_at_one_place_share_an_event(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0), raised("ch4.rate", 2, T0 + 5))

    opened = hands.apply(raised("ch4.high", 2, T0 + 10), position=2)

    assert opened == []
    assert hands.desk.get_event(event_id)["alarm_count"] == 3


def test_other_kinds_and_other_places_get_their_own(hands: Hands) -> None:
    opened = hands.apply(raised("ch4.high", 0, T0), raised("stuck", 0, T0), raised("ch4.high", 1, T0))

    assert len(set(opened)) == 3


def test_a_point_without_asset_is_its_own_place(hands: Hands) -> None:
    opened = hands.apply(raised("ch4.high", 1, T0), raised("ch4.high", 3, T0))

    assert [hands.desk.get_event(one)["place"] for one in opened] == ["G00001", "G00003"]


def test_a_worse_alarm_escalates_level_title_and_deadline(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.rate", 0, T0))
    before = hands.desk.get_event(event_id)

    hands.apply(raised("ch4.highhigh", 0, T0 + 60_000), position=2)
    hands.apply(raised("ch4.high", 2, T0 + 70_000), position=3)

    event = hands.desk.get_event(event_id)
    assert (before["level"], event["level"]) == ("yellow", "red")
    assert event["title"].startswith("甲烷red")
    assert event["due_at"] == T0 + 62_000 + 300_000
    assert event["version"] == before["version"] + 1
    assert actions(hands, event_id) == ["open", "escalate"]


def test_return_to_normal_is_logged_and_the_event_stays_open(hands: Hands) -> None:
    first, second = raised("ch4.high", 0, T0), raised("ch4.high", 2, T0)
    (event_id,) = hands.apply(first, second)

    hands.apply(cleared(first, T0 + 9000), position=2)
    between = hands.desk.get_event(event_id)
    hands.apply(cleared(second, T0 + 9900), position=3)
    after = hands.desk.get_event(event_id)
    hands.apply(raised("ch4.high", 0, T0 + 20_000), position=4)

    assert (between["active_count"], between["normal_at"]) == (1, None)
    assert (after["active_count"], after["normal_at"], after["status"]) == (0, T0 + 10_400, "new")
    assert after["alarms"][0]["state"] == "returned-unacked"
    assert actions(hands, event_id) == ["open", "return-to-normal", "active-again"]


def test_a_closed_event_takes_no_more_alarms(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    hands.desk.act(event_id, "cancel", Actor("li", "operator"), "test of the detector")

    (other,) = hands.apply(raised("ch4.high", 0, T0 + 60_000), position=2)

    assert other != event_id
    assert hands.desk.get_event(event_id)["alarm_count"] == 1


def test_replay_after_people_acted_changes_nothing(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0)
    (event_id,) = hands.apply(alarm, position=5)
    hands.apply(cleared(alarm, T0 + 4000), position=6)
    hands.desk.ack(alarm.alarm_id, Actor("li", "operator"))
    hands.desk.act(event_id, "cancel", Actor("li", "operator"), "test of the detector")
    before, log = tables(hands), hands.desk.newest_mark().log

    assert hands.apply(alarm, position=5) == []
    assert hands.apply(cleared(alarm, T0 + 8000), position=6) == []
    assert hands.apply(cleared(alarm, T0 + 4000), position=3) == []

    assert tables(hands) == before
    assert hands.desk.newest_mark().log == log
    hands.queue.close()
    assert hands.reopen().position == 6


def test_position_alone_moves_on_and_survives(hands: Hands) -> None:
    untouched = hands.desk.newest_mark()
    hands.apply(position=41)
    hands.apply(position=17)

    hands.queue.close()
    assert hands.reopen().position == 41
    assert hands.desk.newest_mark() == untouched


def test_a_clearing_of_an_unknown_alarm_is_kept_as_a_historic_one(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0)

    (event_id,) = hands.apply(cleared(alarm, T0 + 9000))
    hands.apply(alarm, position=2)

    event = hands.desk.get_event(event_id)
    assert (event["alarm_count"], event["active_count"]) == (1, 0)
    assert (event["alarms"][0]["raised_at"], event["alarms"][0]["cleared_at"]) == (T0, T0 + 9000)


def test_an_alarm_of_an_unknown_rule_and_point_is_kept(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("gone", 99, T0))

    event = hands.desk.get_event(event_id)
    assert (event["kind"], event["place"], event["due_at"]) == ("gone", "point-99", None)


def test_nan_limit_is_null(hands: Hands) -> None:
    alarm = raised("stuck", 0, T0)

    hands.apply(type(alarm)(**{name: getattr(alarm, name) for name in alarm.__slots__} | {"limit": float("nan")}))

    rows, _ = hands.desk.list_alarms()
    assert rows[0]["limit"] is None


def test_a_shelved_rule_is_quiet_on_its_point_until_the_shelf_runs_out(hands: Hands) -> None:
    first = raised("ch4.high", 0, T0)
    hands.apply(first)
    hands.desk.shelve(first.alarm_id, Actor("li", "operator"), "being repaired", hands.now + 60_000)
    (event,), _ = hands.desk.list_events()
    hands.desk.act(event["event_id"], "cancel", Actor("li", "operator"), "being repaired")

    again = raised("ch4.high", 0, hands.now + 10_000)
    assert hands.apply(again, position=2) == []
    assert hands.apply(raised("ch4.high", 2, hands.now + 10_000), position=3) != []
    assert hands.desk.get_alarm(again.alarm_id)["state"] == "shelved"
    assert hands.queue.tick(hands.now + 59_000) == []
    assert len(hands.desk.list_holds()) == 1

    hands.queue.tick(hands.now + 61_000)

    alarm = hands.desk.get_alarm(again.alarm_id)
    assert alarm["state"] == "unacked"
    assert alarm["event_id"] is not None
    assert [entry["action"] for entry in alarm["log"]] == ["unshelve"]
    assert hands.desk.list_holds() == []


def test_suppression_ends_by_hand_and_what_stands_opens_an_event(hands: Hands) -> None:
    first = raised("ch4.high", 0, T0)
    hands.apply(first)
    (event,), _ = hands.desk.list_events()
    hands.desk.act(event["event_id"], "cancel", Actor("wang", "dispatcher"), "season is over")
    hands.desk.suppress(first.alarm_id, Actor("wang", "dispatcher"), "season is over")
    hands.apply(cleared(first, T0 + 9000), position=2)
    standing, gone = raised("ch4.high", 0, T0 + 20_000), raised("ch4.high", 0, T0 + 10_000)
    hands.apply(gone, cleared(gone, T0 + 15_000), standing, position=3)

    hands.desk.act_alarm(first.alarm_id, "unsuppress", Actor("wang", "dispatcher"))
    (opened,) = hands.queue.tick(T0 + 60_000)

    event = hands.desk.get_event(opened)
    assert [a["alarm_id"] for a in event["alarms"]] == [standing.alarm_id]
    assert event["detected_at"] == T0 + 60_000
    assert hands.queue.tick(T0 + 62_000) == []


def test_a_refused_database_stores_nothing_and_the_next_try_all(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifeline.governance import queue as module

    store = module.store

    def fails(connection: Any, *args: Any) -> None:
        store(connection, *args)
        sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql(
            "SELECT 1 FROM nowhere" if sqlite else "SELECT pg_terminate_backend(pg_backend_pid())"
        )

    monkeypatch.setattr(module, "store", fails)
    with pytest.raises(UnavailableError, match=r"nowhere|terminating"):
        hands.apply(raised("ch4.high", 0, T0), position=3)
    monkeypatch.setattr(module, "store", store)

    assert hands.queue.position == 0
    assert tables(hands)["alarms"] == []
    assert len(hands.apply(raised("ch4.high", 0, T0), position=3)) == 1


@SQLITE_ONLY
def test_a_full_disk_is_unavailable_and_heals(hands: Hands) -> None:
    hands.apply(raised("ch4.high", 0, T0), position=1)
    with hands.queue._database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    many = [raised("ch4.high", 0, T0 + 1000 * number) for number in range(1, 1000)]

    with pytest.raises(UnavailableError, match="full"):
        hands.apply(*many, position=2)
    assert hands.queue.position == 1
    assert len(tables(hands)["alarms"]) == 1

    hands.apply(*many, position=2)
    assert len(tables(hands)["alarms"]) == 1000


# --- any split, any repetition, any crash: the same tables ---------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[AlarmChange]:
    """Changes as rules make them: a raise, perhaps its clearing later, in order of the log."""
    episodes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["ch4.rate", "ch4.high", "ch4.highhigh", "stuck", "gone"]),
                st.integers(0, 3),
                st.integers(0, 30),
                st.one_of(st.none(), st.integers(1, 30)),
            ),
            max_size=14,
            unique_by=lambda episode: episode[:3],
        )
    )
    changes = []
    for rule_id, point, start, length in episodes:
        alarm = raised(rule_id, point, T0 + start * 1000, lsn=start + 1)
        changes.append((start, 0, alarm))
        if length is not None:
            changes.append((start + length, 1, cleared(alarm, T0 + (start + length) * 1000, lsn=start + length + 1)))
    return [change for _, _, change in sorted(changes, key=lambda one: (one[0], one[1], one[2].alarm_id))]


class Crash(Exception):  # noqa: N818 not an error: the power goes out
    pass


@settings(max_examples=25, deadline=None)
@given(history=histories(), seed=st.integers(0, 2**32))
def test_splits_repeats_and_crashes_give_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory, history: list[AlarmChange], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    once, torn = Hands(queue_file(folder / "once.db")), Hands(queue_file(folder / "torn.db"))
    try:
        once.apply(*history, position=len(history) or 1)
        _apply_torn(torn, history, random.Random(seed))
        assert tables(torn) == tables(once)
    finally:
        once.close()
        torn.close()


def _apply_torn(hands: Hands, history: list[AlarmChange], rng: random.Random) -> None:
    """In random batches from a random earlier place each, some rolled back half-way, some after a restart."""
    from lifeline.governance import queue as module

    store = module.store

    def crashing(connection: Any, *args: Any) -> None:
        store(connection, *args)
        raise Crash

    done = 0
    while done < (len(history) or 1):
        start = rng.randint(0, done)
        end = rng.randint(done, len(history)) or 1
        batch = history[start:end]
        if rng.random() < 0.3:
            module.store = crashing
            try:
                with pytest.raises(Crash):
                    hands.queue.apply(batch, end + 1, hands.now)
            finally:
                module.store = store
            if rng.random() < 0.3:
                hands.queue.close()
                hands.reopen()
            continue
        hands.queue.apply(batch, end, hands.now)
        done = max(done, end)


def test_late_readings_take_words_back(hands: Hands) -> None:
    """Other ends, ends that were none, alarms that were none; and saying all of it again changes nothing."""
    first, second = raised("ch4.high", 0, T0), raised("ch4.high", 1, T0 + 1000)
    ended, reopened = cleared(first, T0 + 5000), replace(cleared(first, T0), kind="reopened", cleared_at=None)
    other = replace(cleared(first, T0 + 8000), revised=True)
    withdrawn = replace(cleared(second, second.raised_at), kind="withdrawn", revised=True)
    said = (first, second, ended, reopened, cleared(first, T0 + 7000), other, withdrawn)
    for change in said:
        hands.apply(change)
    rows = {row["alarm_id"]: row for row in hands.desk.list_alarms()[0]}
    assert (rows[first.alarm_id]["active"], rows[first.alarm_id]["cleared_at"]) == (False, T0 + 8000)
    assert (rows[second.alarm_id]["active"], rows[second.alarm_id]["cleared_at"]) == (False, second.raised_at)
    events_before = [
        (row["event_id"], row["active_count"], row["normal_at"] is None) for row in hands.desk.list_events()[0]
    ]
    assert all(count == 0 for _, count, _ in events_before)
    hands.apply(replace(withdrawn, alarm_id="0" * 24))  # never heard of
    assert len(hands.desk.list_alarms()[0]) == 2
    again = replace(second, revised=True)
    for change in (
        again,
        again,
        second,
    ):  # said, said once more, and replayed as first said
        hands.apply(change)
        (row,) = [row for row in hands.desk.list_alarms()[0] if row["alarm_id"] == second.alarm_id]
        assert (row["active"], row["cleared_at"], row["clear_lsn"]) == (True, None, None)
        (event,) = [one for one in hands.desk.list_events()[0] if one["active_count"]]
        assert (event["active_count"], event["normal_at"]) == (1, None)
    hands.apply(withdrawn)
    better = replace(first, detected_at=T0 + 9, value=30.0, revised=True)
    hands.apply(better)
    assert {row["value"] for row in hands.desk.list_alarms()[0]} == {30.0, 26.5}


def test_a_rehearsal_leaves_nothing(hands: Hands) -> None:
    hands.apply(raised("stuck", 3, T0))
    before, position = tables(hands), hands.queue.position

    hands.queue.rehearse(T0 + 1)

    assert tables(hands) == before
    assert hands.queue.position == position
    assert hands.apply(raised(next(iter(RULES)), 0, T0)), "and the first alarm after it opens its event"
