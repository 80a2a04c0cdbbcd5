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

from benchmarks.quality.desk import Desk
from lifeline.core.alarm import AlarmChange, RuleInfo
from lifeline.governance.actor import Actor
from lifeline.governance.reports import Report
from lifeline.governance.schema import alarm_log, alarms, causes, event_log, events, timers
from lifeline.governance.verify import verify_queue
from tests.governance.conftest import RULES, T0, Hands, cleared, raised, registry, rule
from tests.queues import queue_file

PUMP_OFF = replace(rule("pump.off", "blue", "state", "zone"), announce=False)
BURST = rule("burst", "red", "burst", "zone")
LOW = replace(
    rule("low", "yellow", "low-pressure", "device"), suppressed_by=("pump.off",), suppressed_at="zone",
    folds_under=("burst",), folds_at="zone",
)  # fmt: skip
MINUTE = 60_000
SLOW = replace(rule("slow", "blue", "leak", "device"), suppressed_by=("pump.off",), suppressed_at="zone", settle_s=3600)
"""Told an hour after its cause has ended, if it still stands."""


@pytest.fixture(autouse=True)
def related() -> Iterator[None]:
    """Every device of the small city lies in zone Z-1."""
    more = {one.rule_id: one for one in (PUMP_OFF, BURST, LOW, SLOW)}
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


def tick_at(hands: Hands, at: int) -> None:
    hands.now = at
    hands.tick()


def test_what_stands_a_settle_time_after_its_cause_is_told_then_and_what_clears_before_never(city: Hands) -> None:
    cause, stays, clears = raised("pump.off", 0, T0), raised("slow", 1, T0 + 1000), raised("slow", 2, T0 + 1000)
    city.apply(cause, stays, clears)
    ended = cleared(cause, T0 + 10 * MINUTE)
    city.apply(ended, position=2)
    tick_at(city, ended.detected_at + 59 * MINUTE)
    assert state(city, stays) == ("suppressed", cause.alarm_id, None), "it may be about to clear"
    city.apply(cleared(clears, T0 + 50 * MINUTE), position=3)
    city.reopen()  # as after a crash: the time is in the rows
    tick_at(city, ended.detected_at + 60 * MINUTE - 1)
    assert state(city, stays)[2] is None
    city.now += 2000
    city.tick()
    city.tick(2)
    row = city.desk.get_alarm(stays.alarm_id)
    assert (row["state"], row["cause_id"], row["event_id"] is not None) == ("unacked", None, True)
    assert [(e["action"], e["at"]) for e in row["log"]] == [("unsuppress", ended.detected_at + 60 * MINUTE)]
    assert "未恢复" in row["log"][0]["note"], "for both languages' readers"
    assert "still stands" in row["log"][0]["note"]
    assert state(city, clears) == ("suppressed", cause.alarm_id, None)
    assert city.desk.alarm_load(T0, T0 + 600_000).windows == (1,), "only what was told counts"


def test_a_red_alarm_waits_for_no_settle_time(city: Hands) -> None:
    RULES["slow"] = replace(SLOW, level="red")  # as a rule set of an older release may have it
    cause, red = raised("pump.off", 0, T0), raised("slow", 1, T0 + 1000)
    city.apply(cause, red)
    city.apply(cleared(cause, T0 + MINUTE), position=2)
    assert state(city, red)[0] == "unacked"
    city.tick(2)
    assert state(city, red)[2] is not None


def test_a_new_cause_or_the_old_one_again_holds_on_what_waits(city: Hands) -> None:
    first, second, slow = raised("pump.off", 0, T0), raised("pump.off", 2, T0 + 30 * MINUTE), raised("slow", 1, T0)
    ended = cleared(first, T0 + 10 * MINUTE)
    city.apply(first, slow, ended)
    city.apply(second, position=2)
    assert state(city, slow)[:2] == ("suppressed", second.alarm_id)
    tick_at(city, ended.detected_at + 61 * MINUTE)
    city.tick(2)
    assert state(city, slow)[2] is None, "the second stands"
    over = cleared(second, T0 + 90 * MINUTE)
    city.apply(over, position=3)
    again = replace(over, kind="reopened", cleared_at=None, revised=True)
    city.apply(again, position=4)
    tick_at(city, over.detected_at + 61 * MINUTE)
    city.tick(2)
    assert state(city, slow) == ("suppressed", second.alarm_id, None), "late readings: it had not ended"
    city.apply(replace(over, kind="withdrawn", cleared_at=second.raised_at, revised=True), position=5)
    assert state(city, slow)[:2] == ("unacked", None), "there was no second cause: nothing is waited for"


def test_rules_that_settle_sooner_are_heeded_when_they_are_read(city: Hands) -> None:
    cause, slow = raised("pump.off", 0, T0), raised("slow", 1, T0)
    ended = cleared(cause, T0 + MINUTE)
    city.apply(cause, slow, ended)
    tick_at(city, ended.detected_at + 20 * MINUTE)
    assert state(city, slow)[2] is None
    RULES["slow"] = replace(SLOW, settle_s=600)
    city.queue.rules = RULES
    city.tick(2)
    city.tick(2)
    assert state(city, slow)[2] is not None


class Told:
    """A machine that only knows its rules; nobody's acknowledgement ends a latch."""

    def info(self) -> dict[str, RuleInfo]:
        return RULES

    def acknowledge(self, *_of: object) -> None:
        return


def test_what_the_benchmark_counts_as_told_is_what_the_queue_tells(tmp_path: Path) -> None:
    """Causes that come, go and come again, over what clears before, at and after the settle time."""
    hands = Hands(queue_file(tmp_path / "governance.db"))
    first, second = raised("pump.off", 0, T0), raised("pump.off", 2, T0 + 100 * MINUTE)
    slow = [raised("slow", k, T0 + k * MINUTE) for k in range(4)]
    changes = [first, *slow, cleared(first, T0 + 20 * MINUTE), cleared(slow[0], T0 + 50 * MINUTE)]
    changes += [cleared(slow[1], T0 + 82 * MINUTE), second, raised("slow", 1, T0 + 101 * MINUTE)]
    changes += [cleared(second, T0 + 110 * MINUTE), cleared(slow[2], T0 + 120 * MINUTE)]
    desk, position = Desk(Told(), registry()), 0  # type: ignore[arg-type] # what of a machine it asks
    for minute in range(240):
        now = T0 + minute * MINUTE
        due = [change for change in changes[position:] if change.detected_at <= now]
        desk.take(due)
        desk.until(now)
        position += len(due)
        hands.now = now
        hands.apply(*due, position=position)
        hands.tick()
    ours = {key: row["event_id"] is not None for key, row in desk.alarms.items()}
    theirs = {key: hands.desk.get_alarm(key)["event_id"] is not None for key in ours}
    hands.close()
    assert position == len(changes)
    assert ours == theirs
    assert [theirs[one.alarm_id] for one in slow] == [False, True, True, True]


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
    assert (event["related_id"], event["status"]) == (state(city, burst)[2], "explained")
    assert "explain" in [entry["action"] for entry in event["log"]]


@pytest.mark.parametrize(
    ("before_s", "filed", "refers"),
    [(-1, False, True), (-1, True, False), (60, False, True), (1800, False, False)],
    ids=["after the cause", "somebody has it", "a minute before the cause", "long before the cause"],
)
def test_a_consequence_that_came_before_the_flood_was_one_refers_to_its_cause_when_it_is(
    city: Hands, before_s: int, *, filed: bool, refers: bool
) -> None:
    """The eleventh alarm, a consequence too, folds beneath the burst; the event of the first one says so then."""
    first, burst, eleventh = (
        raised("low", 2, T0 - before_s * 1000),
        raised("burst", 0, T0),
        raised("low", 0, T0 + 20_000),
    )
    city.apply(*sorted((first, burst), key=lambda one: one.raised_at))
    opened, cause = state(city, first)[2] or "", state(city, burst)[2]
    if filed:
        city.desk.act(opened, "file", Actor("wang", "operator"))
    city.apply(*flood(T0 + 5000)[: 9 if before_s > 600 else 8], position=2)
    assert city.desk.get_event(opened)["related_id"] is None, "ten alarms are no flood"
    city.apply(eleventh, position=3)
    assert state(city, eleventh)[1:] == (burst.alarm_id, cause)
    event = city.desk.get_event(opened)
    assert event["related_id"] == (cause if refers else None)
    assert [entry["action"] for entry in event["log"]].count("explain") == refers
    assert event["status"] == ("explained" if refers else "filed" if filed else "new")


def test_a_second_flood_tells_those_that_opened_events_between_the_two(city: Hands) -> None:
    """All in one batch, in which the first flood's consequences were told already."""
    burst, folded, between = raised("burst", 0, T0), raised("low", 2, T0 + 20_000), raised("low", 2, T0 + 60 * MINUTE)
    last = raised("low", 0, T0 + 61 * MINUTE)
    city.apply(burst, *flood(T0 + 1000), folded, cleared(folded, T0 + MINUTE), between, *flood(T0 + 60 * MINUTE), last)
    cause = state(city, burst)[2]
    assert [state(city, alarm)[2] == cause for alarm in (folded, between, last)] == [True, False, True]
    assert city.desk.get_event(state(city, between)[2] or "")["related_id"] == cause


def timers_of(hands: Hands, event_id: str) -> dict[str, int]:
    with hands.queue._database.read() as connection:
        found = connection.execute(select(timers).where(timers.c.event_id == event_id)).mappings()
        return {row["stage"]: row["due_at"] for row in found}


def test_what_a_later_cause_explains_leaves_the_feed_has_no_deadline_and_comes_back_when_it_outlasts_it(
    city: Hands,
) -> None:
    """A cause that is a state of the plant; nobody is told of an overdue case while it stands."""
    low, cause = raised("low", 2, T0), raised("pump.off", 0, T0 + 1000)
    (opened,) = city.apply(low)
    assert timers_of(city, opened).keys() == {"triage", "handle"}
    city.apply(cause, position=2)
    assert state(city, low) == ("suppressed", cause.alarm_id, opened)
    assert city.desk.list_events(status="new")[0] == []
    assert timers_of(city, opened) == {}
    tick_at(city, T0 + 600 * MINUTE)
    event = city.desk.get_event(opened)
    assert (event["status"], event["is_open"]) == ("explained", True)
    assert (event["overdue_at"], event["supervision"]) == (None, 0)
    assert event["actions"] == ["file", "cancel", "note", "supervise", "grade"]
    assert city.desk.open_counts() == {("yellow", "explained"): 1}
    over = cleared(cause, T0 + 601 * MINUTE)
    city.apply(over, position=3)
    event = city.desk.get_event(opened)
    assert [entry["action"] for entry in event["log"]] == ["open", "explain", "tell"]
    assert "未恢复" in event["log"][-1]["note"], "for both languages' readers"
    assert (event["status"], event["due_at"]) == ("new", over.detected_at + 1_800_000)
    assert timers_of(city, opened) == {"triage": over.detected_at + 60 * MINUTE, "handle": event["due_at"]}
    city.apply(cleared(low, T0 + 602 * MINUTE), position=4)
    assert "1 events" in verify_queue(city.url, full=True), "the log tells the row"


def test_after_a_burst_is_over_what_still_stands_is_its_own_again_and_what_has_folded_is_not(city: Hands) -> None:
    first, burst, folded = raised("low", 2, T0), raised("burst", 0, T0 + 20_000), raised("low", 0, T0 + 21_000)
    city.apply(first, *flood(), burst, folded)
    opened, cause = state(city, first)[2] or "", state(city, burst)[2]
    assert city.desk.get_event(opened)["status"] == "explained"
    assert state(city, first)[:2] == ("unacked", burst.alarm_id)
    over = cleared(burst, T0 + 30 * MINUTE)
    city.apply(over, position=2)
    assert (state(city, first)[1], city.desk.get_event(opened)["status"]) == (None, "new")
    assert state(city, folded)[1:] == (burst.alarm_id, cause)
    assert [entry["action"] for entry in city.desk.get_alarm(first.alarm_id)["log"]] == ["explain", "tell"]


@pytest.mark.parametrize("what", ["acknowledged", "filed", "told of by people", "others stand in it"])
def test_what_somebody_has_or_what_stands_for_itself_is_never_put_aside(city: Hands, what: str) -> None:
    low, cause = raised("low", 2, T0), raised("pump.off", 0, T0 + 60_000)
    (opened,) = city.apply(low)
    if what == "acknowledged":
        city.desk.ack(low.alarm_id, Actor("wang", "operator"))
    elif what == "filed":
        city.desk.act(opened, "file", Actor("wang", "operator"))
    elif what == "told of by people":
        place = city.desk.get_event(opened)
        told = Report("citizen", "no water", utility="gas", lon=place["lon"], lat=place["lat"], at=T0 + 5000)
        assert city.desk.report(told, Actor("li", "operator"))["event_id"] == opened
    else:
        RULES["other"] = rule("other", "blue", "low-pressure", "device")
        city.apply(raised("other", 2, T0 + 1000))
        del RULES["other"]
    before = city.desk.get_event(opened)["status"]
    city.apply(cause, position=2)
    assert state(city, low)[1] == cause.alarm_id, "the alarm is suppressed by design all the same"
    assert city.desk.get_event(opened)["status"] == before
    assert timers_of(city, opened).keys() & {"triage", "dispatch"}


@pytest.mark.parametrize("by", ["an alarm that nothing explains", "people"])
def test_an_event_that_is_put_aside_is_told_when_it_turns_out_to_be_more(city: Hands, by: str) -> None:
    low, cause = raised("low", 2, T0), raised("pump.off", 0, T0 + 1000)
    (opened,) = city.apply(low, cause)
    if by == "people":
        place = city.desk.get_event(opened)
        told = Report("citizen", "no water", utility="gas", lon=place["lon"], lat=place["lat"], at=T0 + 5000)
        assert city.desk.report(told, Actor("li", "operator"))["event_id"] == opened
    else:
        RULES["other"] = rule("other", "orange", "low-pressure", "device")
        city.apply(raised("other", 2, T0 + 9000), position=2)
        del RULES["other"]
    event = city.desk.get_event(opened)
    assert (event["status"], event["level"]) == ("new", "yellow" if by == "people" else "orange")
    assert timers_of(city, opened).keys() == {"triage", "handle"}


def test_a_settle_time_holds_for_events_that_are_put_aside_and_a_restart_keeps_it(city: Hands) -> None:
    slow, cause = raised("slow", 1, T0), raised("pump.off", 0, T0 + 1000)
    (opened,) = city.apply(slow, cause)
    ended = cleared(cause, T0 + 10 * MINUTE)
    city.apply(ended, position=2)
    city.reopen()
    tick_at(city, ended.detected_at + 59 * MINUTE)
    assert city.desk.get_event(opened)["status"] == "explained"
    tick_at(city, ended.detected_at + 61 * MINUTE)
    event = city.desk.get_event(opened)
    assert (event["status"], event["due_at"]) == ("new", city.now + 1_800_000)


def test_rules_that_say_otherwise_tell_what_was_put_aside_in_a_flood(city: Hands) -> None:
    first, burst = raised("low", 2, T0), raised("burst", 0, T0 + 20_000)
    city.apply(first, *flood(), burst)
    opened = state(city, first)[2] or ""
    RULES["low"] = replace(LOW, folds_under=(), folds_at="")
    city.queue.rules = RULES
    city.tick(2)
    assert (state(city, first)[1], city.desk.get_event(opened)["status"]) == (None, "new")


def aside_by_burst(city: Hands) -> tuple[AlarmChange, AlarmChange, str, str]:
    """A consequence that came first, the burst that explains it in a flood; their events."""
    low, burst = raised("low", 2, T0), raised("burst", 0, T0 + 20_000)
    city.apply(low, *flood(), burst)
    opened, case = state(city, low)[2] or "", state(city, burst)[2] or ""
    assert city.desk.get_event(opened)["status"] == "explained"
    return low, burst, opened, case


def actions(hands: Hands, event_id: str) -> list[str]:
    return [entry["action"] for entry in hands.desk.get_event(event_id)["log"]]


def test_what_is_put_aside_lapses_when_it_and_its_cause_are_over_once_for_all(city: Hands) -> None:
    low, burst, opened, case = aside_by_burst(city)
    over = [cleared(low, T0 + 10 * MINUTE), cleared(burst, T0 + 20 * MINUTE)]
    city.apply(over[0], position=2)
    tick_at(city, T0 + 15 * MINUTE)
    assert city.desk.get_event(opened)["status"] == "explained", "whether it was one is not known before its cause ends"
    city.apply(over[1], position=3)
    city.reopen()  # killed before its tick
    city.apply(*over, position=3)
    tick_at(city, T0 + 21 * MINUTE)
    city.tick(5)
    event = city.desk.get_event(opened)
    assert (event["status"], event["is_open"], event["closed_at"]) == ("lapsed", False, None)
    assert actions(city, opened) == ["open", "explain", "return-to-normal", "lapse"]
    last = event["log"][-1]
    assert (last["actor"], last["at"]) == ("engine", T0 + 21 * MINUTE)
    assert f"起因已消除 / its alarms and their cause are over: {case} · burst" in last["note"]
    assert event["actions"] == ["reopen"]
    assert city.desk.get_event(case)["status"] == "new", "people close the case of the cause"
    assert city.desk.open_counts().get(("yellow", "lapsed")) is None
    assert "events" in verify_queue(city.url, full=True)


@pytest.mark.parametrize("settled", [False, True], ids=["in its settle time", "after it"])
def test_what_outlasts_its_cause_lapses_if_it_clears_before_it_is_told(city: Hands, *, settled: bool) -> None:
    slow, cause = raised("slow", 1, T0), raised("pump.off", 0, T0 + 1000)
    (opened,) = city.apply(slow, cause)
    city.apply(cleared(cause, T0 + 10 * MINUTE), position=2)
    tick_at(city, T0 + (80 if settled else 40) * MINUTE)
    city.apply(cleared(slow, city.now - 1000), position=3)
    city.tick(2)
    event = city.desk.get_event(opened)
    assert event["status"] == ("new" if settled else "lapsed"), "what people were told of, people close"
    assert settled or f"{cause.alarm_id} · pump.off" in event["log"][-1]["note"]


def test_late_readings_bring_back_what_has_lapsed(city: Hands) -> None:
    low, burst, opened, _ = aside_by_burst(city)
    ended = cleared(low, T0 + 10 * MINUTE)
    city.apply(ended, cleared(burst, T0 + 20 * MINUTE), position=2)
    tick_at(city, T0 + 21 * MINUTE)
    assert city.desk.get_event(opened)["status"] == "lapsed"
    city.apply(replace(ended, kind="reopened", cleared_at=None, revised=True), position=3)
    city.tick(2)
    event = city.desk.get_event(opened)
    assert (event["status"], event["is_open"]) == ("new", True)
    assert event["due_at"] > city.now, "a whole deadline"
    assert actions(city, opened)[-4:] == ["lapse", "active-again", "explain", "tell"]
    assert "events" in verify_queue(city.url, full=True)


def test_what_has_lapsed_is_explained_again_when_neither_had_ended(city: Hands) -> None:
    low, burst, opened, _ = aside_by_burst(city)
    ended = [cleared(low, T0 + 10 * MINUTE), cleared(burst, T0 + 20 * MINUTE)]
    city.apply(*ended, position=2)
    tick_at(city, T0 + 21 * MINUTE)
    city.apply(*(replace(one, kind="reopened", cleared_at=None, revised=True) for one in ended), position=3)
    city.tick(2)
    assert city.desk.get_event(opened)["status"] == "explained"
    city.apply(*(replace(one, cleared_at=T0 + 30 * MINUTE) for one in ended), position=4)
    tick_at(city, T0 + 31 * MINUTE)
    assert city.desk.get_event(opened)["status"] == "lapsed"


def test_what_is_over_is_told_when_late_readings_take_its_cause_back(city: Hands) -> None:
    low, burst, opened, _ = aside_by_burst(city)
    city.apply(cleared(low, T0 + 10 * MINUTE), position=2)
    gone = replace(cleared(burst, T0 + 11 * MINUTE), kind="withdrawn", cleared_at=burst.raised_at, revised=True)
    city.apply(gone, position=3)
    city.tick(2)
    assert city.desk.get_event(opened)["status"] == "new"
    assert "起因不成立" in city.desk.get_event(opened)["log"][-1]["note"]


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_closing_the_case_of_a_cause_that_stands_tells_what_it_explains(city: Hands, how: str) -> None:
    _, burst, opened, case = aside_by_burst(city)
    tick_at(city, T0 + 300 * MINUTE)
    assert [city.desk.get_event(one)["explains"] for one in (case, opened)] == [1, 0], (
        "who looks before closing sees it"
    )
    handled = (("file", "li", "operator"), ("dispatch", "wang", "dispatcher"), ("accept", "li", "operator"))
    handled = (*handled, ("handle", "li", "operator"), ("feed-back", "li", "operator"), ("close", "wang", "dispatcher"))
    if how == "closed":
        city.walk(case, *handled, cause="burst")
    else:
        city.walk(case, ("cancel", "li", "operator"))
    event = city.desk.get_event(opened)
    assert (event["status"], event["due_at"]) == ("new", city.now + 1_800_000)
    assert timers_of(city, opened).keys() == {"triage", "handle"}
    assert "起因的事件已结" in event["log"][-1]["note"]
    told = city.desk.get_event(case)["log"][-1]
    assert (told["action"], told["role"]) == ("untied", "system")
    assert "1 起事件恢复新报 / 1 events" in told["note"]
    assert city.desk.get_event(case)["explains"] == 0
    city.apply(cleared(burst, city.now), position=2)
    city.tick(2)
    assert actions(city, opened) == ["open", "explain", "tell"], "it is told once"
    assert "events" in verify_queue(city.url, full=True)


def test_what_is_over_lapses_with_the_case_that_people_close(city: Hands) -> None:
    low, _, opened, case = aside_by_burst(city)
    city.apply(cleared(low, T0 + 10 * MINUTE), position=2)
    city.tick(2)
    city.walk(case, ("cancel", "li", "operator"))
    assert city.desk.get_event(opened)["status"] == "lapsed"
    assert actions(city, case)[-1] == "cancel", "nothing has come back"


def test_nothing_is_put_aside_beneath_a_case_that_is_closed(city: Hands) -> None:
    """A cause whose clearing late readings take back after people have closed its case."""
    RULES["off"] = replace(PUMP_OFF, rule_id="off", announce=True)
    RULES["low"] = replace(LOW, suppressed_by=("off",))
    city.queue.rules = RULES
    off = raised("off", 0, T0)
    (case,) = city.apply(off)
    ended = cleared(off, T0 + MINUTE)
    city.apply(ended, position=2)
    city.walk(case, ("cancel", "li", "operator"))
    (opened,) = city.apply(raised("low", 2, T0 + 2 * MINUTE), position=3)
    city.apply(replace(ended, kind="reopened", cleared_at=None, revised=True), position=4)
    del RULES["off"]
    assert city.desk.get_event(opened)["status"] == "new"


@settings(max_examples=12, deadline=None)
@given(
    st.permutations([*range(10), "low 0", "low 2", "burst"]),
    st.lists(st.integers(1, 13), max_size=4),
    st.permutations(range(4)),
)
def test_in_whatever_order_a_cause_and_its_consequences_come_people_have_one_case(
    tmp_path_factory: pytest.TempPathFactory, order: list[int | str], edges: list[int], ends: list[int]
) -> None:
    """Of the burst and what it explains; the next consequence finds the flood known, whenever its alarms came.

    In whatever order they end: what was told is open, what was put aside has lapsed when all of them have.
    """
    hands = Hands(queue_file(tmp_path_factory.mktemp("q") / "governance.db"))
    changes = []
    for k, one in enumerate(order):
        name, _, point = one.partition(" ") if isinstance(one, str) else ("ch4.rate", "", str(2 * (one % 2)))
        changes.append(raised(name, int(point or 0), T0 + k * 1000))
    changes.append(raised("low", 0, T0 + 60_000))
    bounds = sorted({0, len(changes), *edges})
    for a, b in itertools.pairwise(bounds):
        hands.apply(*changes[a:b], position=b)
    waiting = hands.desk.list_events(status="new")[0]
    burst = next(change for change in changes if change.rule_id == "burst")
    lows = [hands.desk.get_alarm(change.alarm_id) for change in changes if change.rule_id == "low"]
    assert sorted(row["kind"] for row in waiting) == ["burst", "gas-leak"]
    assert {row["cause_id"] for row in lows} == {burst.alarm_id}
    aside = hands.desk.list_events(status="explained")[0]
    assert {row["event_id"] for row in lows} == {row["event_id"] for row in aside} | {
        row["event_id"] for row in waiting if row["kind"] == "burst"
    }
    assert all(timers_of(hands, row["event_id"]) == {} for row in aside)
    over = [change for change in changes if change.rule_id in {"low", "burst"}]
    for k, end in enumerate(ends):
        hands.apply(cleared(over[end], T0 + (10 + k) * MINUTE), position=100 + k)
        tick_at(hands, T0 + (10 + k) * MINUTE + 1000)
    left = [hands.desk.get_event(row["event_id"]) for row in aside]
    assert {row["status"] for row in left} <= {"lapsed", "new"}
    for row in left:
        stood = any(
            lows_end > ends.index(over.index(burst))
            for lows_end in (ends.index(k) for k, one in enumerate(over) if state(hands, one)[2] == row["event_id"])
        )
        assert row["status"] == ("new" if stood else "lapsed")
    hands.close()


def rows_of(url: str) -> list[Any]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [
            sorted(repr(sorted((k, v) for k, v in row.items() if k not in {"stored_at", "entry"}))
                   for row in connection.execute(select(table)).mappings())
            for table in (alarms, events, event_log, alarm_log, causes, timers)
        ]  # fmt: skip
    engine.dispose()
    return found


NAMES = ["pump.off", "burst", "low", "slow", "ch4.rate"]
CHANGES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([0, 1, 2])), max_size=24)


@settings(max_examples=12, deadline=None)
@given(CHANGES, st.lists(st.integers(1, 33), max_size=5), st.integers(0, 8))
def test_any_split_into_batches_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int]], edges: list[int], calm: int
) -> None:
    """Each (rule, point) alternates between raised and cleared; the first ``calm`` come before the flood."""
    up: dict[tuple[str, int], AlarmChange] = {}
    changes: list[AlarmChange] = []
    for k, key in enumerate(drawn):
        if k == min(calm, len(drawn) - 1):
            changes += flood(T0 + len(changes) * 1000)
        at = T0 + len(changes) * 1000
        if key in up:
            changes.append(cleared(up.pop(key), at))
        else:
            up[key] = raised(*key, at)
            changes.append(up[key])
    found = []
    for cuts in ([], edges):
        url = queue_file(tmp_path_factory.mktemp("q") / "governance.db")
        hands = Hands(url)
        bounds = sorted({0, len(changes), *(edge for edge in cuts if edge < len(changes))})
        for a, b in itertools.pairwise(bounds):
            hands.apply(*changes[a:b], position=b)
        tick_at(hands, T0 + MINUTE)
        tick_at(hands, T0 + 2 * MINUTE)
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
