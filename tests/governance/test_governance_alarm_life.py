"""One-shot shelves, limits to shelving, re-alarm, and alarms whose rules are gone (ISA-18.2, OPC UA Part 9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lifeline.governance.actor import Actor
from lifeline.governance.errors import FieldError
from tests.governance.conftest import RULES, SQLITE_ONLY, T0, Hands, cleared, raised

LI = Actor("li", "operator")
HOUR = 3_600_000


def actions(hands: Hands, alarm: Any) -> list[str]:
    return [entry["action"] for entry in hands.desk.get_alarm(alarm.alarm_id)["log"]]


def test_a_one_shot_shelf_ends_with_its_alarm_and_the_next_one_is_heard(hands: Hands) -> None:
    first, next_ = raised("ch4.high", 0, T0), raised("ch4.high", 0, T0 + HOUR)
    hands.apply(first)
    row = hands.desk.act_alarm(first.alarm_id, "shelve", LI, "valve works", once=True)
    assert (row["state"], row["shelved_until"]) == ("shelved", hands.now + 7 * 24 * HOUR)
    (hold,) = hands.desk.list_holds()
    assert (hold["once"], hold["device_id"], hold["quantity"]) == (True, "G00000", "ch4")
    hands.tick(86_400)
    assert hands.desk.get_alarm(first.alarm_id)["state"] == "shelved", "it lasts as long as its alarm"
    hands.apply(cleared(first, T0 + 5_000), next_, position=2)  # in one batch: the next is born loud
    assert hands.desk.list_holds() == []
    assert hands.desk.get_alarm(first.alarm_id)["state"] == "returned-unacked"
    assert actions(hands, first) == ["shelve", "unshelve"]
    assert hands.desk.get_alarm(next_.alarm_id)["state"] == "unacked"
    assert hands.desk.get_alarm(next_.alarm_id)["event_id"] is not None


@SQLITE_ONLY
def test_a_one_shot_shelf_is_for_an_alarm_that_stands_and_has_a_longest_time(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0)
    hands.apply(alarm)
    hands.desk.act_alarm(alarm.alarm_id, "shelve", LI, "works", hands.now + HOUR, once=True)
    hands.tick(3_601)
    assert hands.desk.get_alarm(alarm.alarm_id)["state"] == "unacked"
    assert hands.desk.list_holds() == []
    hands.apply(cleared(alarm, T0 + 5_000), position=2)
    with pytest.raises(FieldError, match="this one is over"):
        hands.desk.act_alarm(alarm.alarm_id, "shelve", LI, "works", once=True)
    with pytest.raises(FieldError, match="needs until"):
        hands.desk.act_alarm(alarm.alarm_id, "shelve", LI, "works")


@SQLITE_ONLY
def test_the_site_says_how_long_an_alarm_of_a_level_may_be_shelved(hands: Hands) -> None:
    hands.queue.close()
    hands.reopen('[alarm]\nshelve_max = { red = "1h", orange = "8h" }')
    red, orange = raised("ch4.highhigh", 0, T0), raised("ch4.high", 1, T0)
    hands.apply(red, orange)
    with pytest.raises(FieldError, match=r"the next 1 h.*no red alarm"):
        hands.desk.shelve(red.alarm_id, LI, "works", hands.now + 2 * HOUR)
    assert hands.desk.shelve(orange.alarm_id, LI, "works", hands.now + 2 * HOUR)["state"] == "shelved"
    row = hands.desk.act_alarm(red.alarm_id, "shelve", LI, "works", once=True)
    assert row["shelved_until"] == hands.now + HOUR


def test_an_alarm_that_stands_is_annunciated_again_until_it_is_over(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RULES, "ch4.high", replace(RULES["ch4.high"], realarm_s=1800))
    alarm, other = raised("ch4.high", 0, T0), raised("ch4.highhigh", 2, T0)
    hands.apply(alarm, other)
    hands.desk.ack(alarm.alarm_id, LI)
    hands.tick(1_790)
    assert hands.desk.get_alarm(alarm.alarm_id)["state"] == "acked", "the time runs from the acknowledgement"
    hands.tick(20)
    row = hands.desk.get_alarm(alarm.alarm_id)
    assert (row["state"], row["realarms"]) == ("unacked", 1)
    assert actions(hands, alarm) == ["ack", "re-alarm"]
    log = hands.desk.get_event(row["event_id"])["log"]
    assert [entry["action"] for entry in log if entry["action"] == "re-alarm"] == ["re-alarm"]
    hands.tick(1_801)
    assert hands.desk.get_alarm(alarm.alarm_id)["realarms"] == 2, "unacknowledged ones too"
    hands.desk.shelve(alarm.alarm_id, LI, "works", hands.now + 2 * HOUR)
    hands.tick(1_801)
    assert hands.desk.get_alarm(alarm.alarm_id)["realarms"] == 2, "who has shelved it is not called"
    hands.apply(cleared(alarm, T0 + 9_000_000), position=2)
    hands.tick(86_400)
    assert hands.desk.get_alarm(alarm.alarm_id)["realarms"] == 2
    assert hands.desk.get_alarm(other.alarm_id)["realarms"] == 0, "the rule declares no time"


def test_alarms_of_rules_that_are_gone_end_at_the_start_with_the_reason(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, changed, kept = raised("ch4.rate", 0, T0), raised("ch4.high", 1, T0), raised("stuck", 2, T0)
    hands.apply(gone, changed, kept, position=5)
    assert hands.queue.end_without_rule(hands.now) == 0
    monkeypatch.delitem(RULES, "ch4.rate")
    monkeypatch.setitem(RULES, "ch4.high", replace(RULES["ch4.high"], version=2))
    hands.queue.close()
    hands.reopen()
    assert hands.queue.end_without_rule(hands.now) == 2
    assert hands.queue.end_without_rule(hands.now) == 0
    assert hands.queue.position == 5
    for alarm, why in ((gone, "规则已移除 / the rule is gone"), (changed, "规则已修改 / the rule has changed")):
        row = hands.desk.get_alarm(alarm.alarm_id)
        assert (row["state"], row["cleared_at"]) == ("returned-unacked", hands.now)
        assert [(entry["action"], entry["note"]) for entry in row["log"]] == [("ended", why)]
        event = hands.desk.get_event(row["event_id"])
        assert event["normal_at"] == hands.now
        assert any(why in entry["note"] for entry in event["log"])
    assert hands.desk.get_alarm(kept.alarm_id)["state"] == "unacked"
    # a file that was empty for a moment: the rule is back and tells its alarm again, which no reading had ended
    monkeypatch.setitem(RULES, "ch4.rate", RULES["ch4.high"])
    for _ in range(2):  # a replay changes nothing
        hands.apply(gone, position=6)
        row = hands.desk.get_alarm(gone.alarm_id)
        assert (row["state"], row["cleared_at"]) == ("unacked", None)
        assert [entry["action"] for entry in row["log"]] == ["ended", "resumed"]
        assert hands.desk.get_event(row["event_id"])["active_count"] == 1
    for _ in range(2):  # what a reading ended stays ended, however often all of it is told again
        hands.apply(gone, cleared(gone, T0 + 9_000), position=7)
        hands.apply(gone, position=7)
        row = hands.desk.get_alarm(gone.alarm_id)
        assert (row["state"], row["cleared_at"]) == ("returned-unacked", T0 + 9_000)
        assert hands.desk.get_event(row["event_id"])["active_count"] == 0


def test_what_was_over_before_it_was_heard_of_is_historic(hands: Hands) -> None:
    uploaded = raised("ch4.high", 0, T0, delay=HOUR)
    seen = raised("ch4.high", 1, T0)
    hands.apply(uploaded, cleared(uploaded, T0 + 5_000), seen, cleared(seen, T0 + HOUR))
    rows, _ = hands.desk.list_alarms()
    assert {row["alarm_id"]: row["historic"] for row in rows} == {uploaded.alarm_id: True, seen.alarm_id: False}
    assert hands.desk.get_alarm(uploaded.alarm_id)["historic"]
