"""Deadlines are rows: reminded, escalated once a level, over restarts, outages and clocks that jump."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.governance.actor import Actor
from lifeline.governance.deadlines import STEPS
from tests.governance.conftest import T0, Hands, raised
from tests.queues import queue_file

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY = """
[[limit]]
stage = "handle"
within = "2h"
[escalation]
step = { red = "10min", orange = "10min", yellow = "10min", blue = "10min" }
"""


def told(hands: Hands, stage: str = "handle") -> list[tuple[str, str | None]]:
    feed, _ = hands.desk.list_escalations()
    return [(entry["name"], entry["centre"]) for entry in feed if entry["stage"] == stage]


def dispatched(hands: Hands, point: int = 1) -> str:
    hands.queue.close()
    hands.reopen(POLICY)
    (event_id,) = hands.apply(raised("ch4.high", point, T0))
    hands.walk(event_id, ("file", "li", "operator"), ("dispatch", "wang", "dispatcher"), owner="Water unit")
    return event_id


def test_reminder_then_township_district_city_each_once(hands: Hands) -> None:
    event_id = dispatched(hands)
    hands.walk(event_id, ("accept", "zhao", "operator"))
    due_at = hands.desk.get_event(event_id)["due_at"]
    assert due_at == hands.now + 7_200_000

    seen = []
    for _ in range(60):
        hands.tick(180)
        seen.append(len(told(hands)))

    assert told(hands) == [
        ("remind", "410102"),
        ("township", "410102001"),
        ("district", "410102"),
        ("city", "410100"),
    ]
    assert sorted(seen) == seen
    event = hands.desk.get_event(event_id)
    assert (event["supervision"], event["centre"], event["overdue_at"]) == (3, "410100", due_at)
    assert [entry["action"] for entry in event["log"]][-4:] == ["remind", "overdue", "overdue", "overdue"]
    assert [e["at"] - due_at for e in event["log"][-3:]] == pytest.approx([0, 600_000, 1_200_000], abs=180_000)


def test_no_township_means_the_next_centre_up(hands: Hands) -> None:
    event_id = dispatched(hands, point=0)
    hands.walk(event_id, ("accept", "zhao", "operator"))

    hands.tick(3 * 3600)

    assert told(hands) == [("township", "410105"), ("district", "410105"), ("city", "410100")]


def test_what_came_due_while_nobody_ran_is_made_up_for_once(hands: Hands) -> None:
    event_id = dispatched(hands)
    hands.walk(event_id, ("accept", "zhao", "operator"))
    hands.queue.close()

    hands.now += 5 * 3_600_000
    for _ in range(3):
        hands.reopen(POLICY)
        hands.tick(2)
        hands.queue.close()
    hands.reopen(POLICY)

    assert [name for name, _ in told(hands)] == ["township", "district", "city"]


def test_feeding_back_stops_the_clock_and_a_failed_check_starts_it_again(hands: Hands) -> None:
    event_id = dispatched(hands)
    hands.walk(
        event_id, ("accept", "zhao", "operator"), ("handle", "zhao", "operator"), ("feed-back", "zhao", "operator")
    )
    hands.tick(3 * 3600)
    assert told(hands) == []

    event = hands.walk(event_id, ("fail-check", "sun", "analyst"))
    assert event["due_at"] == hands.now + 7_200_000
    assert event["reworks"] == 1
    hands.tick(2 * 3600 + 1)

    assert [name for name, _ in told(hands)] == ["township"]


def test_an_extension_moves_the_deadline(hands: Hands) -> None:
    event_id = dispatched(hands)
    hands.walk(event_id, ("accept", "zhao", "operator"))
    until = hands.now + 10 * 3_600_000
    hands.desk.act(event_id, "ask-extension", Actor("zhao", "operator"), "excavator", until=until)
    hands.walk(event_id, ("grant-extension", "wang", "dispatcher"))

    hands.tick(5 * 3600)
    assert told(hands) == []
    hands.tick(5 * 3600 + 1)
    assert told(hands)[0][0] == "township"
    assert hands.desk.get_event(event_id)["extensions"] == 1


def test_a_suspended_event_has_as_much_time_left_afterwards(hands: Hands) -> None:
    event_id = dispatched(hands)
    hands.walk(event_id, ("accept", "zhao", "operator"), ("handle", "zhao", "operator"))
    hands.tick(3600)
    hands.walk(event_id, ("suspend", "wang", "dispatcher"))
    hands.tick(50 * 3600)
    assert told(hands) == []

    event = hands.walk(event_id, ("resume", "wang", "dispatcher"))

    assert event["due_at"] == hands.now + 3_600_000


def test_a_clock_that_jumps_ahead_fires_nothing_until_it_has_stood_by_it(hands: Hands) -> None:
    event_id = dispatched(hands)
    hands.walk(event_id, ("accept", "zhao", "operator"))
    hands.tick(1)

    hands.jumped_s += 86_400
    hands.tick(86_400)
    hands.tick(30)
    assert told(hands) == []
    hands.jumped_s -= 86_400
    hands.tick(-86_400)
    for _ in range(50):
        hands.tick(2)
    assert told(hands) == []
    hands.tick(3 * 3600)
    assert len(told(hands)) == 3


def test_a_clock_that_goes_back_repeats_nothing(hands: Hands) -> None:
    event_id = dispatched(hands)
    hands.walk(event_id, ("accept", "zhao", "operator"))
    hands.tick(2 * 3600 + 1)
    before = told(hands)

    hands.jumped_s -= 7200
    hands.tick(-7200)
    hands.tick(60)
    assert told(hands) == before
    hands.tick(3 * 3600)

    assert [name for name, _ in told(hands)] == ["township", "district", "city"]


def test_nobody_judges_and_triage_is_overdue(hands: Hands) -> None:
    hands.apply(raised("ch4.highhigh", 1, T0))

    hands.tick(6 * 60)

    assert ("township", "410102001") in told(hands, "triage")


def test_a_worse_alarm_brings_the_deadline_forward(hands: Hands) -> None:
    hands.apply(raised("stuck", 0, T0), raised("ch4.rate", 0, T0 + 1000))
    hands.apply(raised("ch4.highhigh", 0, T0 + 2000), position=2)

    hands.tick(6 * 60)

    triage = [
        entry["level"] for entry in hands.desk.list_escalations()[0] if entry["stage"] == "triage" and entry["step"]
    ]
    assert triage == ["red"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_restarts_and_jumps_escalate_once_a_level_and_never_early(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = random.Random(seed)
    hands = Hands(queue_file(tmp_path_factory.mktemp("clock") / "governance.db"))
    try:
        event_id = dispatched(hands)
        hands.walk(event_id, ("accept", "zhao", "operator"))
        due_at = hands.desk.get_event(event_id)["due_at"]
        for _ in range(40):
            if rng.random() < 0.2:
                hands.queue.close()
                hands.reopen(POLICY)
            if rng.random() < 0.2:
                back = rng.choice([60, 3600, 86_400])
                hands.jumped_s -= back
                hands.tick(-back)
            hands.tick(rng.choice([1, 5, 600, 1800, 7200]))
        hands.tick(max(0, due_at - hands.now) / 1000 + 2 * 86_400)
        hands.tick(120)
        feed = [entry for entry in hands.desk.list_escalations()[0] if entry["stage"] == "handle"]
        _check_feed(feed, due_at)
    finally:
        hands.close()


def _check_feed(feed: Sequence[dict[str, Any]], due_at: int) -> None:
    names = [entry["name"] for entry in feed]
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=STEPS.index)
    assert set(names) >= {"township", "district", "city"}
    assert all(entry["at"] >= due_at for entry in feed if entry["step"])
