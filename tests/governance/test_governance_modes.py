"""Emergencies: switched by people and rules, with an end; what changes meanwhile; the review afterwards."""

from __future__ import annotations

import pytest

from lifeline.core.errors import ConfigurationError
from lifeline.governance import reference
from lifeline.governance.actor import Actor
from lifeline.governance.database import Database
from lifeline.governance.errors import ConflictError, FieldError, ForbiddenError, UnknownIdError
from lifeline.governance.reports import Report
from tests.governance.conftest import T0, Hands, raised

WANG = Actor("wang", "dispatcher")
HOUR = 3_600_000


def storm(hands: Hands, area: str = "410105", hours: float = 2) -> dict[str, object]:
    return hands.desk.start_emergency(area, hands.now + round(hours * HOUR), "暴雨红色预警", WANG)


def test_open_events_of_the_area_take_the_mode_and_others_do_not(hands: Hands) -> None:
    here, there = hands.apply(raised("ch4.high", 0, T0), raised("ch4.high", 1, T0))

    mode = storm(hands)

    event = hands.desk.get_event(here)
    assert (event["mode"], event["incident_id"]) == ("emergency", mode["incident_id"])
    assert event["log"][-1]["action"] == "mode"
    assert hands.desk.get_event(there)["mode"] == "normal"
    incident = hands.desk.get_event(str(mode["incident_id"]))
    assert (incident["kind"], incident["level"], incident["area_code"]) == ("emergency", "red", "410105")


def test_low_alarms_go_into_the_incident_and_high_ones_are_dispatched_at_once(hands: Hands) -> None:
    mode = storm(hands)
    onset = hands.now
    hands.apply(raised("stuck", 0, onset), raised("ch4.rate", 0, onset), position=2)
    (high,) = hands.apply(raised("ch4.high", 2, onset), position=3)
    (elsewhere,) = hands.apply(raised("stuck", 1, onset), position=4)

    hands.tick(2)

    incident = hands.desk.get_event(str(mode["incident_id"]))
    assert (incident["alarm_count"], incident["level"]) == (2, "red")
    event = hands.desk.get_event(high)
    assert (event["status"], event["mode"], event["incident_id"]) == ("dispatched", "emergency", mode["incident_id"])
    assert [(entry["action"], entry["role"]) for entry in event["log"]][1:] == [
        ("file", "system"),
        ("dispatch", "system"),
    ]
    assert hands.desk.get_event(elsewhere)["status"] == "new"


def test_deadlines_tighten_and_do_not_move_away(hands: Hands) -> None:
    hands.apply(raised("ch4.high", 0, T0))  # orange: 15 minutes to be judged
    storm(hands)

    hands.tick(8 * 60)

    overdue = [entry for entry in hands.desk.list_escalations()[0] if entry["stage"] == "triage" and entry["step"]]
    overdue = [entry for entry in overdue if entry["level"] == "orange"]
    assert [entry["name"] for entry in overdue] == ["township"]


def lateness(hands: Hands, incident: object) -> list[tuple[str, str]]:
    return [(one["stage"], one["name"]) for one in hands.desk.list_escalations()[0] if one["event_id"] == incident]


@pytest.mark.parametrize("direct", ['["red"]', "[]"])
def test_the_incident_is_late_for_nothing_until_the_emergency_is_over(hands: Hands, direct: str) -> None:
    hands.reopen(f"[emergency]\ndirect = {direct}\n")
    incident = storm(hands)["incident_id"]
    for _ in range(5):
        hands.tick(0.3 * 3600)
    assert lateness(hands, incident) == []

    hands.desk.end_emergency("410105", "雨停", WANG)
    stage = {"new": "triage", "dispatched": "accept"}[hands.desk.get_event(str(incident))["status"]]
    assert lateness(hands, incident) == []  # its time begins now, and did not run meanwhile
    hands.tick(2 * 3600)
    assert (stage, "city") in lateness(hands, incident)


def test_a_limit_that_names_the_kind_holds_for_the_incident(hands: Hands) -> None:
    hands.reopen('[[limit]]\nstage = "triage"\nkind = "emergency"\nwithin = "20min"\n[emergency]\ndirect = []\n')
    incident = storm(hands)["incident_id"]

    hands.tick(15 * 60)  # tightened: ten minutes

    assert ("triage", "township") in lateness(hands, incident)


def test_it_ends_by_itself_with_a_review(hands: Hands) -> None:
    mode = storm(hands, hours=1)
    hands.apply(raised("ch4.high", 2, hands.now), raised("stuck", 0, hands.now), position=2)
    hands.tick(2)
    hands.tick(3600)

    (ended,) = hands.desk.list_emergencies()[0]
    assert (ended["ended_by"], ended["ended_at"]) == ("engine", hands.now)
    review = ended["review"]
    assert (review["events"], review["by_level"], review["alarms_folded"]) == (1, {"orange": 1}, 1)
    assert review["acts"]["dispatch"] == 1
    assert review["reason"] == "暴雨红色预警"
    incident = hands.desk.get_event(str(mode["incident_id"]))
    assert (incident["mode"], incident["log"][-1]["action"]) == ("normal", "emergency-ended")
    hands.tick(10)
    assert len(hands.desk.list_emergencies()[0]) == 1
    assert hands.apply(raised("stuck", 0, hands.now), position=3)


def test_the_review_counts_what_was_open_before_and_what_was_done_for_it_meanwhile(hands: Hands) -> None:
    (before,) = hands.apply(raised("ch4.rate", 0, T0))
    hands.desk.act(before, "note", WANG, "long before")
    hands.tick(60)
    storm(hands)
    hands.tick(60)
    hands.desk.act(before, "file", WANG)
    hands.tick(60)
    review = hands.desk.end_emergency("410105", "雨停", WANG)["review"]
    hands.desk.act(before, "dispatch", WANG)

    assert (review["events"], review["events_open_before"]) == (0, 1)
    assert (review["acts"]["file"], "note" in review["acts"]) == (1, False)
    assert WANG.id in review["people"]


def test_a_person_may_end_it_before(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    storm(hands)

    ended = hands.desk.end_emergency("410105", "雨停", WANG)

    assert ended["review"]["hours"] == 0
    assert hands.desk.get_event(event_id)["mode"] == "normal"
    with pytest.raises(UnknownIdError):
        hands.desk.end_emergency("410105", "again", WANG)


def test_reports_of_people_belong_to_it_too(hands: Hands) -> None:
    mode = storm(hands)

    answer = hands.desk.report(Report("citizen", "water", utility="water", area_code="410105001"), WANG)

    assert answer["event"]["incident_id"] == mode["incident_id"]


def test_a_rule_switches_it_on(hands: Hands) -> None:
    hands.queue.close()
    hands.reopen("[[emergency.trigger]]\nlevel='orange'\nevents=2\nwithin='10min'\nhours=1")
    hands.apply(raised("ch4.high", 0, T0))
    hands.tick(2)
    assert hands.desk.list_emergencies()[0] == []

    hands.desk.report(Report("citizen", "x", utility="gas", level="orange", area_code="410105"), WANG)
    hands.tick(2)
    assert hands.desk.list_emergencies()[0] == []  # what people tell does not switch a city's mode
    from dataclasses import replace

    hands.queue.rules = {name: replace(one, place="device") for name, one in hands.queue.rules.items()}
    hands.apply(raised("ch4.high", 2, hands.now), position=2)
    hands.tick(2)

    (mode,) = hands.desk.list_emergencies()[0]
    assert (mode["area_code"], mode["actor"]) == ("410105", "engine")
    assert "规则触发" in mode["reason"]
    hands.tick(2)
    assert len(hands.desk.list_emergencies()[0]) == 1


def replace_areas(hands: Hands, *rows: dict[str, object]) -> None:
    with hands.queue._database.write() as connection:
        reference.replace(connection, "areas", rows)


@pytest.mark.parametrize(("allowed", "asked", "lasts"), [(72, 100, 72), (72, 2, 2)])
def test_a_rule_switches_a_district_on_that_the_registry_does_not_list(
    hands: Hands, allowed: int, asked: int, lasts: int
) -> None:
    hands.queue.close()
    trigger = f"[[emergency.trigger]]\nlevel='orange'\nevents=1\nhours={asked}"
    hands.reopen(f"[emergency]\nhours_max={allowed}\n{trigger}")
    replace_areas(hands, {"area_code": "410102", "level": "district", "name": "中原区"})
    hands.apply(raised("ch4.high", 0, T0))

    hands.tick(2)

    (mode,) = hands.desk.list_emergencies()[0]
    assert (mode["area_code"], mode["until"] - mode["since"]) == ("410105", lasts * HOUR)


def test_what_people_tell_at_the_areas_centre_is_no_part_of_the_incident(hands: Hands) -> None:
    replace_areas(
        hands, {"area_code": "410105", "level": "district", "name": "金水区", "lon": 113.6801, "lat": 34.7901}
    )
    mode = storm(hands)

    answer = hands.desk.report(Report("citizen", "smell", service="gas-smell", lon=113.6801, lat=34.7901), WANG)

    assert answer["event_id"] != mode["incident_id"]
    assert (answer["merged"], answer["event"]["kind"]) == (False, "gas-leak")


OVERRIDES = '[emergency]\nreaders = ["operator"]\noverrides = { "ch4.high" = { limit = 20.0 } }'


def test_readers_hold_only_meanwhile(hands: Hands) -> None:
    hands.queue.close()
    hands.reopen(OVERRIDES)
    assert hands.desk.emergency_readers() == []
    storm(hands)

    assert hands.desk.emergency_readers() == [("410105", frozenset({"operator"}), 1, "暴雨红色预警")]
    hands.desk.end_emergency("410105", "over", WANG)
    assert hands.desk.emergency_readers() == []


def test_rule_parameters_hold_for_what_is_judged_after_the_switch_and_until_its_end(hands: Hands) -> None:
    hands.queue.close()
    hands.reopen(OVERRIDES)
    mode = storm(hands, hours=1)
    since = hands.now
    assert hands.desk.rule_spans() == []  # the rules have not been asked how far they are

    (span,) = hands.queue.spans(since - 5000)  # they lag behind: what was received before the switch is as before
    assert (span.area_code, span.since, span.until) == ("410105", since, since + HOUR)
    assert span.params == {"ch4.high": {"limit": 20.0}}
    assert hands.queue.spans(since + 60_000) == hands.desk.rule_spans() == [span]
    log = hands.desk.get_event(str(mode["incident_id"]))["log"]
    assert [(one["action"], one["actor"]) for one in log[1:]] == [("rules-overridden", "engine")]
    assert "ch4.high limit = 20" in log[1]["note"]

    hands.tick(600)
    hands.desk.end_emergency("410105", "over", WANG)
    (ended,) = hands.queue.spans(hands.now + 7)  # readings up to then were judged by it: they stay so
    assert (ended.since, ended.until) == (since, hands.now + 8)
    assert hands.queue.spans(hands.now + 1000) == [ended]
    actions = [one["action"] for one in hands.desk.get_event(str(mode["incident_id"]))["log"]]
    assert actions.count("rules-restored") == 1


def test_an_emergency_that_ends_by_itself_needs_no_second_word(hands: Hands) -> None:
    hands.queue.close()
    hands.reopen(OVERRIDES)
    storm(hands, hours=1)
    (span,) = hands.queue.spans(hands.now + 10)
    hands.tick(3700)
    assert hands.queue.spans(hands.now) == [span]
    assert span.until < hands.now


def test_the_parameters_of_the_smaller_area_win(hands: Hands) -> None:
    hands.queue.close()
    hands.reopen(OVERRIDES)
    storm(hands)
    storm(hands, "410100")
    assert [one.area_code for one in hands.queue.spans(hands.now)] == ["410100", "410105"]


def test_refusals(hands: Hands) -> None:
    with pytest.raises(ForbiddenError, match="switching the mode"):
        hands.desk.start_emergency("410105", hands.now + HOUR, "x", Actor("li", "operator"))
    with pytest.raises(ForbiddenError, match="outside"):
        hands.desk.start_emergency("410105", hands.now + HOUR, "x", Actor("w", "dispatcher", ("410102",)))
    with pytest.raises(FieldError, match="reason"):
        hands.desk.start_emergency("410105", hands.now + HOUR, " ", WANG)
    with pytest.raises(FieldError, match="72 h"):
        hands.desk.start_emergency("410105", hands.now + 100 * HOUR, "x", WANG)
    storm(hands)
    with pytest.raises(ConflictError, match="already"):
        storm(hands)


def test_a_policy_that_cannot_be_leaves_no_connection_open(hands: Hands) -> None:
    opened = []
    real = Database.close
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "close", lambda self: (opened.append(self), real(self))[1])
        with pytest.raises(ConfigurationError):
            hands.reopen('[[limit]]\nstage = "nope"\nwithin = "7min"\n')

    assert len(opened) == 1
