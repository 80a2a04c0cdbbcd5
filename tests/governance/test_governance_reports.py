"""What people tell joins the event that the sensors have opened, or opens one; the same caller is taken once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lifeline.governance.actor import Actor
from lifeline.governance.errors import FieldError, ForbiddenError
from lifeline.governance.reports import SERVICES, SOURCES, Report
from tests.governance.conftest import T0, Hands, cleared, raised

DESK = Actor("hotline", "reporter")
SMELL = Report("citizen", "strong smell of gas", service="gas-smell", lon=113.6801, lat=34.7901, external_ref="C-1")


def test_a_smell_near_a_sensors_event_joins_it(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))

    answer = hands.desk.report(SMELL, DESK)

    assert (answer["event_id"], answer["merged"]) == (event_id, True)
    assert answer["distance_m"] == pytest.approx(14.4, abs=1)
    event = hands.desk.get_event(event_id)
    assert (event["reports"], event["source"]) == (1, "telemetry")
    assert event["log"][-1]["action"] == "report"
    assert [one["description"] for one in hands.desk.reports_of(event_id)] == ["strong smell of gas"]


@pytest.mark.parametrize(
    "report",
    [
        Report("citizen", "smell", service="gas-smell", lon=113.72, lat=34.79),
        Report("citizen", "water on the road", service="water-leak", lon=113.6801, lat=34.7901),
        Report("110", "smell", service="gas-smell", address="Jingba Road 7"),
    ],
    ids=["far away", "another utility", "no position"],
)
def test_what_is_something_else_opens_an_event_of_its_own(hands: Hands, report: Report) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))

    answer = hands.desk.report(report, DESK)

    assert answer["event_id"] != event_id
    assert not answer["merged"]
    event = hands.desk.get_event(answer["event_id"])
    assert (event["status"], event["source"], event["reports"]) == ("new", report.source, 1)
    assert event["log"][0]["action"] == "open"


def test_an_alarm_joins_what_was_told_nearby_before(hands: Hands) -> None:
    told = hands.desk.report(SMELL, DESK)["event_id"]
    hands.tick(60)
    first, second = raised("ch4.rate", 0, hands.now - 2000), raised("ch4.high", 0, hands.now - 1000)

    assert hands.apply(first, second, position=2) == []
    hands.apply(first, second, position=2)  # again, as after a crash

    event = hands.desk.get_event(told)
    assert [alarm["rule_id"] for alarm in event["alarms"]] == ["ch4.rate", "ch4.high"]
    assert (event["source"], event["level"], event["rule_id"], event["reports"]) == ("citizen", "orange", "ch4.high", 1)
    assert [entry["action"] for entry in event["log"]] == ["open", "confirm", "escalate"]
    assert event["due_at"] == hands.now - 1000 + 2000 + 1_800_000
    assert hands.desk.list_events()[1] is None and len(hands.desk.list_events()[0]) == 1

    # it is telemetry's from now on: closing asks it, and the next alarm there joins too
    hands.walk(
        told,
        ("file", "li", "operator"),
        ("dispatch", "wang", "dispatcher"),
        ("accept", "zhao", "operator"),
        ("handle", "zhao", "operator"),
        ("feed-back", "zhao", "operator"),
    )
    with pytest.raises(FieldError, match="still stand"):
        hands.desk.act(told, "close", Actor("sun", "analyst"), cause="leak")
    hands.apply(cleared(first, hands.now), cleared(second, hands.now), position=3)
    closed = hands.desk.act(told, "close", Actor("sun", "analyst"), cause="leak")
    assert closed["verified"] is True


@pytest.mark.parametrize("what", ["far away", "another utility", "long ago", "judged to be none", "a sensor's fault"])
def test_an_alarm_about_something_else_opens_an_event_of_its_own(hands: Hands, what: str) -> None:
    told = {"service": "water-leak"} if what == "another utility" else {"service": "gas-smell"}
    lon = 113.72 if what == "far away" else 113.6801
    event_id = hands.desk.report(Report("patrol", "smell", lon=lon, lat=34.7901, **told), DESK)["event_id"]
    if what == "judged to be none":
        hands.walk(event_id, ("cancel", "li", "operator"))
    hands.tick(3 * 3600 if what == "long ago" else 60)
    if what == "a sensor's fault":
        hands.queue.rules = {name: replace(one, category="device") for name, one in hands.queue.rules.items()}
    (opened,) = hands.apply(raised("ch4.high", 0, hands.now), position=2)
    assert opened != event_id
    assert hands.desk.get_event(event_id)["alarm_count"] == 0


def test_a_second_report_nearby_is_told_what_the_alarm_has_joined(hands: Hands) -> None:
    policy = "[report]\nradius_m = 200"
    hands.queue.close()
    hands.reopen(policy)
    near = hands.desk.report(Report("citizen", "smell", utility="gas", lon=113.6811, lat=34.79), DESK)["event_id"]
    far = hands.desk.report(Report("110", "smell", utility="gas", lon=113.6784, lat=34.79), DESK)["event_id"]
    assert near != far
    hands.apply(raised("ch4.high", 0, hands.now), position=2)
    assert hands.desk.get_event(near)["alarm_count"] == 1
    assert hands.desk.get_event(far)["related_id"] == near


def test_two_callers_about_one_place_are_one_case(hands: Hands) -> None:
    first = hands.desk.report(SMELL, DESK)
    second = hands.desk.report(Report("119", "fire brigade smells gas", utility="gas", lon=113.6802, lat=34.79), DESK)

    assert second["event_id"] == first["event_id"]
    assert second["merged"]


def test_the_same_reference_again_changes_nothing(hands: Hands) -> None:
    first = hands.desk.report(SMELL, DESK)
    again = hands.desk.report(SMELL, DESK)

    assert (again["report_id"], again["event_id"]) == (first["report_id"], first["event_id"])
    assert hands.desk.get_event(first["event_id"])["reports"] == 1
    assert hands.desk.get_report(first["report_id"])["event"]["event_id"] == first["event_id"]


def test_a_reported_event_walks_the_loop_without_telemetry(hands: Hands) -> None:
    event_id = hands.desk.report(Report("patrol", "cover gone", service="manhole", area_code="410105001"), DESK)[
        "event_id"
    ]

    event = hands.walk(
        event_id,
        ("file", "li", "operator"),
        ("dispatch", "wang", "dispatcher"),
        ("accept", "zhao", "operator"),
        ("handle", "zhao", "operator"),
        ("feed-back", "zhao", "operator"),
        ("close", "sun", "analyst"),
        cause="third party damage",
    )

    assert (event["status"], event["cause"], event["verified"]) == ("closed", "third-party-damage", None)
    assert (event["district"], event["township"]) == ("410105", "410105001")


def test_every_source_and_service_is_taken(hands: Hands) -> None:
    for number, source in enumerate(SOURCES):
        for place, service in enumerate(SERVICES):
            lon = 113.0 + 0.01 * number
            report = Report(source, "x", service=service, lon=lon, lat=34.0 + 0.01 * place)
            assert hands.desk.report(report, DESK)["event"]["kind"] == SERVICES[service][1]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (Report("radio", "x", address="y"), "no source 'radio'"),
        (Report("citizen", "  ", address="y"), "description"),
        (Report("citizen", "x"), "say where"),
        (Report("citizen", "x", lon=1.0), "both lon and lat"),
        (Report("citizen", "x", lon=float("nan"), lat=1.0), "lon nan"),
        (Report("citizen", "x", service="tv", address="y"), "no service"),
        (Report("citizen", "x", utility="tv", address="y"), "no utility"),
        (Report("citizen", "x" * 5000, address="y"), "4000"),
        (Report("citizen", "x", area_code="4101'; drop"), "no area code"),
        (Report("citizen", "x", address="y", at=T0 * 2), "past"),
    ],
)
def test_wrong_reports_are_refused(hands: Hands, report: Report, said: str) -> None:
    with pytest.raises(FieldError, match=said):
        hands.desk.report(report, DESK)
    assert hands.desk.list_events()[0] == []


def test_who_may_not_report_and_where(hands: Hands) -> None:
    with pytest.raises(ForbiddenError, match="reporting is for"):
        hands.desk.report(SMELL, Actor("v", "viewer"))
    with pytest.raises(ForbiddenError, match="outside"):
        hands.desk.report(Report("patrol", "x", area_code="410102"), Actor("p", "operator", ("410105",)))
