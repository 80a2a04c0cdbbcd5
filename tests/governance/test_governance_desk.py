"""People's door: the whole loop, lists and paging, abbreviations, refusals, alarm acts, load, export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from lifeline.core.errors import ConfigurationError
from lifeline.core.schema import TIME
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.errors import ConflictError, FieldError, ForbiddenError, IllegalActionError, UnknownIdError
from lifeline.governance.export import schema_of
from lifeline.governance.touched import Mark
from tests.governance.conftest import T0, Hands, cleared, raised

CONTRACT = {
    "alarms": (
        "alarm_id, rule_id, rule_version, point, raised_at, detected_at, cleared_at, value, limit, level, state"
    ),
    "events": (
        "event_id, level, status, utility, title, area_code, raised_at, detected_at, dispatched_at, accepted_at, "
        "resolved_at, closed_at, due_at, owner, alarm_count, cause, false_alarm, satisfaction, mode"
    ),
    "event_log": "event_id, at, actor, role, action, from_status, to_status, note",
}


def test_the_closed_loop_from_alarm_to_evaluation(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0)
    (event_id,) = hands.apply(alarm)
    steps = [
        ("file", "li", "operator", None, {}),
        ("dispatch", "wang", "dispatcher", None, {"owner": "Gas company", "due_at": T0 + 50_000_000}),
        ("accept", "zhao", "operator", None, {}),
        ("handle", "zhao", "operator", None, {}),
        ("co-handle", "zhao", "operator", None, {"co_owners": "Fire brigade"}),
        ("ask-extension", "zhao", "operator", "excavator is late", {"until": T0 + 60_000_000}),
        ("grant-extension", "wang", "dispatcher", None, {}),
        ("feed-back", "zhao", "operator", "flange tightened", {}),
        ("fail-check", "sun", "analyst", "still 12 %LEL", {}),
        ("handle", "zhao", "operator", None, {}),
        ("feed-back", "zhao", "operator", "flange replaced", {}),
        ("close", "sun", "analyst", None, {"cause": "leak"}),
        ("evaluate", "sun", "analyst", None, {"satisfaction": 5}),
    ]
    hands.apply(cleared(alarm, T0 + 9000), position=2)
    for number, (action, actor, role, note, fields) in enumerate(steps):
        hands.now = T0 + 100_000 + number
        hands.desk.act(event_id, action, Actor(actor, role), note, **fields)

    event = hands.desk.get_event(event_id)
    assert (event["status"], event["is_open"]) == ("evaluated", False)
    assert (event["owner"], event["co_owners"], event["cause"]) == ("Gas company", "Fire brigade", "leak")
    assert (event["false_alarm"], event["satisfaction"], event["due_at"]) == (False, 5, T0 + 60_000_000)
    times = [event[f"{name}_at"] - T0 - 100_000 for name in ("dispatched", "accepted", "resolved", "closed")]
    assert times == [1, 2, 10, 11]
    assert [entry["action"] for entry in event["log"]] == ["open", "return-to-normal", *(step[0] for step in steps)]
    assert event["log"][3]["fields"] == {"due_at": T0 + 50_000_000, "owner": "Gas company"}
    assert event["actions"] == ["reopen"]


def to_fed_back(hands: Hands, event_id: str) -> None:
    for action, role, note, fields in (
        ("file", "operator", None, {}),
        ("dispatch", "dispatcher", None, {"owner": "Gas company"}),
        ("accept", "operator", None, {}),
        ("handle", "operator", None, {}),
        ("feed-back", "operator", "done", {}),
    ):
        hands.desk.act(event_id, action, Actor("li", role), note, **fields)


def test_what_still_alarms_is_closed_only_with_a_note(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("stuck", 0, T0))
    to_fed_back(hands, event_id)

    with pytest.raises(FieldError, match="1 of 1 alarms still stand"):
        hands.desk.act(event_id, "close", Actor("sun", "analyst"), cause="sensor-fault")
    event = hands.desk.act(event_id, "close", Actor("sun", "analyst"), "sensor is on order", cause="sensor-fault")

    assert (event["status"], event["false_alarm"]) == ("closed", True)


def test_reopening_forgets_the_closing(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    to_fed_back(hands, event_id)
    hands.desk.act(event_id, "close", Actor("sun", "analyst"), "ok", cause="leak")

    event = hands.desk.act(event_id, "reopen", Actor("sun", "analyst"), "smells again")

    assert (event["status"], event["is_open"], event["closed_at"], event["cause"]) == ("reopened", True, None, None)
    assert hands.apply(raised("ch4.high", 0, T0 + 60_000), position=2) == []


def test_refusals_say_what_is_possible(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))

    with pytest.raises(IllegalActionError, match=r"new.*file, cancel, note"):
        hands.desk.act(event_id, "close", Actor("li", "dispatcher"), cause="leak")
    with pytest.raises(IllegalActionError, match="no action 'explode'"):
        hands.desk.act(event_id, "explode", Actor("li", "admin"))
    with pytest.raises(ForbiddenError, match="operator, dispatcher, admin, analyst"):
        hands.desk.act(event_id, "file", Actor("li", "viewer"))
    with pytest.raises(FieldError, match="needs note"):
        hands.desk.act(event_id, "cancel", Actor("li", "operator"), "  ")
    with pytest.raises(FieldError, match="does not take cause"):
        hands.desk.act(event_id, "file", Actor("li", "operator"), cause="leak")
    with pytest.raises(FieldError, match="no field 'colour'"):
        hands.desk.act(event_id, "file", Actor("li", "operator"), colour="green")
    with pytest.raises(FieldError, match="control characters"):
        hands.desk.act(event_id, "note", Actor("li", "operator"), "a\x1b[31mb")
    assert [entry["action"] for entry in hands.desk.get_event(event_id)["log"]] == ["open"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("supervision", 4), ("supervision", True), ("supervision", "x"), ("supervision", 1.5), ("supervision", "-1")],
)
def test_values_out_of_range_are_refused(hands: Hands, field: str, value: object) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))

    with pytest.raises(FieldError, match=field):
        hands.desk.act(event_id, "supervise", Actor("li", "dispatcher"), **{field: value})


def test_text_from_a_shell_is_read_as_numbers(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))

    assert hands.desk.act(event_id, "supervise", Actor("li", "dispatcher"), supervision="3")["supervision"] == 3


def test_two_people_at_once_the_second_is_told(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    seen = hands.desk.get_event(event_id)["version"]
    hands.desk.act(event_id, "file", Actor("li", "operator"), expected_version=seen)

    with pytest.raises(ConflictError, match="filed"):
        hands.desk.act(event_id, "cancel", Actor("wang", "operator"), "no", expected_version=seen)


def test_ids_may_be_abbreviated_and_unknown_ones_name_the_nearest(hands: Hands) -> None:
    opened = hands.apply(*(raised("stuck", point, T0) for point in range(4)))
    event_id = opened[0]

    assert hands.desk.get_event(event_id[:6].upper())["event_id"] == event_id
    with pytest.raises(UnknownIdError, match=f"{event_id}"):
        hands.desk.get_event(event_id[:-1] + ("0" if event_id[-1] != "0" else "1"))
    with pytest.raises(UnknownIdError, match=r"too short|several|nearest"):
        hands.desk.get_event(event_id[:1])
    with pytest.raises(UnknownIdError):
        hands.desk.get_event("")
    with pytest.raises(UnknownIdError, match="no alarm"):
        hands.desk.get_alarm("zzzz")


def test_filters_and_paging_cover_everything_once(hands: Hands) -> None:
    hands.apply(*(raised("stuck", point, T0 + second) for second in range(3) for point in range(4)))
    for event in hands.desk.list_events()[0]:
        hands.desk.act(event["event_id"], "cancel", Actor("li", "operator"), "test")
    hands.apply(*(raised("ch4.high", point, T0 + 60_000) for point in (0, 1, 3)), position=2)

    walked, cursor = [], None
    while True:
        rows, cursor = hands.desk.list_events(limit=2, cursor=cursor)
        walked += [row["event_id"] for row in rows]
        if cursor is None:
            break
    everything, end = hands.desk.list_events()
    assert end is None
    assert walked == [row["event_id"] for row in everything]
    assert len(set(walked)) == len(walked) == 7
    assert [row["detected_at"] for row in everything] == sorted((r["detected_at"] for r in everything), reverse=True)

    def count(**filters: object) -> int:
        return len(hands.desk.list_events(**filters)[0])

    assert (count(level="orange"), count(level=["orange", "blue"]), count(status="open")) == (3, 7, 3)
    assert (count(status=["cancelled"]), count(utility="gas"), count(since=T0 + 60_000)) == (4, 3, 3)
    assert (count(area="4101"), count(area="410102"), count(area="410105"), count(area="42")) == (7, 4, 3, 0)
    assert hands.desk.open_counts() == {("orange", "new"): 3}


@pytest.mark.parametrize(
    "filters",
    [
        {"level": "pink"},
        {"status": "done"},
        {"utility": "tv"},
        {"limit": 0},
        {"limit": 10**6},
        {"cursor": "x"},
        {"cursor": "12-'; drop table events"},
        {"cursor": "9" * 40 + "-aa"},
    ],
)
def test_a_filter_that_cannot_be_is_refused(hands: Hands, filters: dict[str, object]) -> None:
    with pytest.raises(FieldError):
        hands.desk.list_events(**filters)


def test_acknowledging_moves_between_the_four_states(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0)
    other = raised("ch4.high", 1, T0)
    hands.apply(alarm, other)

    assert hands.desk.ack(alarm.alarm_id, Actor("li", "operator"))["state"] == "acked"
    assert hands.desk.ack(alarm.alarm_id, Actor("wang", "operator"))["acked_by"] == "li"
    hands.apply(cleared(alarm, T0 + 9000), cleared(other, T0 + 9000), position=2)
    assert hands.desk.get_alarm(alarm.alarm_id)["state"] == "normal"
    assert hands.desk.get_alarm(other.alarm_id)["state"] == "returned-unacked"
    assert [entry["actor"] for entry in hands.desk.get_alarm(alarm.alarm_id)["log"]] == ["li"]
    assert len(hands.desk.list_alarms(state="normal")[0]) == 1
    assert len(hands.desk.list_alarms(active=True)[0]) == 0


def test_alarm_acts_are_refused_clearly(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0)
    hands.apply(alarm)
    desk = hands.desk

    with pytest.raises(IllegalActionError, match="shelve"):
        desk.act_alarm(alarm.alarm_id, "silence", Actor("li", "operator"))
    with pytest.raises(ForbiddenError):
        desk.suppress(alarm.alarm_id, Actor("li", "operator"), "noise")
    with pytest.raises(FieldError, match="until"):
        desk.shelve(alarm.alarm_id, Actor("li", "operator"), "noise", hands.now - 1)
    with pytest.raises(FieldError, match="7 days"):
        desk.shelve(alarm.alarm_id, Actor("li", "operator"), "noise", hands.now + 8 * 86_400_000)
    with pytest.raises(FieldError, match="note"):
        desk.shelve(alarm.alarm_id, Actor("li", "operator"), "", hands.now + 1000)
    assert desk.out_of_service(alarm.alarm_id, Actor("wang", "dispatcher"), "order 17")["state"] == "out-of-service"
    assert desk.act_alarm(alarm.alarm_id, "in-service", Actor("wang", "dispatcher"))["state"] == "unacked"


def test_alarm_load_counts_fixed_windows(hands: Hands) -> None:
    start = T0 - T0 % 600_000
    hands.apply(*(raised("ch4.high", 0, start + 1000 * i, delay=0) for i in range(12)))
    hands.apply(raised("stuck", 1, start + 1_900_000, delay=0), position=2)

    load = hands.desk.alarm_load(start, start + 3_600_000)

    assert load.windows == (12, 0, 0, 1, 0, 0)
    assert (load.max_per_window, load.mean_per_window, load.flood_share) == (12, 13 / 6, 1 / 6)
    assert load.top[0] == ("ch4.high", 0, 12, "G00000", "ch4")
    assert load.stale == 0
    assert hands.desk.alarm_load(start + 90_000_000, start + 90_600_000).stale == 13
    assert hands.desk.alarm_load(start, start + 3_600_000, utility="gas").windows[3] == 0
    with pytest.raises(FieldError):
        hands.desk.alarm_load(start, start)


def test_export_has_the_contracts_columns_first_and_times_as_times(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0)
    (event_id,) = hands.apply(alarm, raised("stuck", 1, T0))[:1]
    hands.apply(cleared(alarm, T0 + 9000), position=2)

    tables = hands.desk.snapshot_tables()

    for name, columns in CONTRACT.items():
        wanted = columns.split(", ")
        assert tables[name].column_names[: len(wanted)] == wanted
        assert tables[name].schema == schema_of(name)
        assert tables[name].num_rows > 0
        assert all(tables[name].schema.field(one).type == TIME for one in wanted if one.endswith("_at") or one == "at")
    row = tables["alarms"].filter(pa.compute.equal(tables["alarms"]["alarm_id"], alarm.alarm_id)).to_pylist()[0]
    assert (row["event_id"], row["value"], row["limit"], row["point"]) == (event_id, 26.5, 25.0, 0)
    assert int(row["cleared_at"].timestamp() * 1000) == T0 + 9000


def test_the_trace_names_what_has_changed_and_nothing_else(hands: Hands) -> None:
    def changed_since(mark: Mark) -> dict[str, list[object]]:
        found = hands.desk.changed(mark)
        assert found is not None
        assert found.complete
        assert found.end == hands.desk.newest_mark()
        keys = {"events": "event_id", "alarms": "alarm_id", "event_log": "action"}
        return {name: table[keys[name]].to_pylist() for name, table in found.tables.items()}

    start = hands.desk.newest_mark()
    alarm = raised("ch4.high", 0, T0)
    (event_id,) = hands.apply(alarm)
    assert changed_since(start) == {"events": [event_id], "alarms": [alarm.alarm_id], "event_log": ["open"]}
    mark = hands.desk.newest_mark()
    hands.desk.act(event_id, "file", Actor("li", "operator"))
    assert changed_since(mark) == {"events": [event_id], "alarms": [], "event_log": ["file"]}
    mark = hands.desk.newest_mark()
    hands.desk.ack(alarm.alarm_id, Actor("li", "operator"))
    hands.apply(position=9)
    assert changed_since(mark) == {"events": [], "alarms": [alarm.alarm_id], "event_log": []}
    assert hands.desk.changed(replace(mark, stamp=mark.stamp + 1)) is None
    assert hands.desk.changed(replace(hands.desk.newest_mark(), log=mark.log + 1)) is None, "of a log that went further"
    with pytest.raises(FieldError, match="no view 'rules'"):
        hands.desk.snapshot_tables(["rules"])


def test_an_empty_queue_exports_empty_tables(hands: Hands) -> None:
    assert {name: table.num_rows for name, table in hands.desk.snapshot_tables().items()} == dict.fromkeys(CONTRACT, 0)


def test_a_desk_without_a_database_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        GovernanceDesk(f"sqlite:///{tmp_path}/nothing.db", lambda: 0)


def test_keys_of_requests_are_forgotten_after_a_week(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    li = Actor("li", "operator")
    hands.desk.act(event_id, "note", li, "first", key="k")
    for days in (0, 6):
        hands.tick(days * 86_400)
        with pytest.raises(ConflictError, match="another request"):
            hands.desk.act(event_id, "note", li, "second", key="k")
    hands.tick(2 * 86_400)
    hands.tick(120)
    assert hands.desk.act(event_id, "note", li, "second", key="k")
