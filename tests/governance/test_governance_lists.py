"""Lists by any filter and any rights are what a look at every row gives; groups of acts share a commit."""

from __future__ import annotations

import itertools
import random
import threading
from typing import Any

import pyarrow as pa
import pytest

from lifeline.core.alarm import AlarmChange, alarm_id
from lifeline.core.errors import UnavailableError
from lifeline.core.principal import Grant
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS as AREA_COLUMNS
from lifeline.core.schema import POINTS
from lifeline.governance.actor import Actor
from lifeline.governance.acts import GroupCommit
from lifeline.governance.places import PlaceLookup
from lifeline.governance.reports import Report
from lifeline.governance.states import OPEN_STATES
from tests.governance.conftest import T0, Hands, raised, rule

AREAS = ("410105", "410105001", "41010500100101", "R4101050010007", "410102001", "410102", "411000001")
GRANTS = (
    None,
    [Grant("viewer")],
    [Grant("viewer", ("410105",))],
    [Grant("viewer", ("410105001",), ("gas",))],
    [Grant("viewer", ("410100",), ("water", "heat"))],
    [Grant("viewer", ("410105",)), Grant("viewer", ("410102",), ("gas",))],
    [Grant("viewer", ("410105", "410102001"))],
)


def fill(hands: Hands) -> None:
    """Sixty reported events over areas, utilities and levels, some cancelled; one without area and utility."""
    rng = random.Random(3)
    caller = Actor("hotline", "dispatcher")
    for number in range(60):
        hands.now += 1000 * rng.randint(0, 2)
        report = Report(
            "citizen",
            f"report {number}",
            utility=rng.choice(["gas", "water", "heat"]),
            level=rng.choice(["red", "blue"]),
            area_code=rng.choice(AREAS),
        )
        event_id = hands.desk.report(report, caller)["event_id"]
        if rng.random() < 0.3:
            hands.desk.act(event_id, "cancel", caller, "not ours")
    hands.desk.report(Report("110", "somewhere", address="?"), caller)


def cross(hands: Hands) -> None:
    """Twelve zones of four devices over areas and utilities: an event each, some cancelled; reports join some."""
    rng = random.Random(7)
    rows = [
        {"point": i, "device_id": f"X{i}", "quantity": "ch4", "utility": rng.choice(["gas", "water", None]),
         "area_code": rng.choice((*AREAS, None)), "zone": f"Z-{i // 4}", "lon": 100 + i // 4, "lat": 30.0}
        for i in range(48)
    ]  # fmt: skip
    known = Registry(pa.Table.from_pylist(rows, POINTS), pa.Table.from_pylist([], AREA_COLUMNS))
    hands.queue.rules = {"zone": rule("zone", "red", place="zone")}
    hands.queue._places = PlaceLookup(lambda: known)
    opened = []
    for point in range(48):
        hands.now += 1000 * rng.randint(0, 2)
        onset = hands.now - 2000
        key = alarm_id("zone", 1, f"X{point}", "ch4", onset)
        opened += hands.apply(AlarmChange("raised", key, "zone", 1, point, onset, hands.now, 1.0, 0.0, "red", 1))
    caller = Actor("hotline", "dispatcher")
    for zone in range(0, 12, 3):
        where = {"lon": 100.0 + zone, "lat": 30.0, "area_code": rng.choice(AREAS)}
        assert hands.desk.report(Report("patrol", "gas", **where), caller)["merged"]
    for event_id in opened[::4]:
        hands.desk.act(event_id, "cancel", caller, "not ours")


def places_of(hands: Hands, row: dict[str, Any]) -> set[tuple[str | None, str | None]]:
    """Area and utility of an event, of every alarm and of every report, one by one."""
    alarms, _ = hands.desk.list_alarms(event_id=row["event_id"], limit=1000)
    reports = [one | {"utility": one["utility"] or row["utility"]} for one in hands.desk.reports_of(row["event_id"])]
    merged = [one for one in reports if one["merged"] and one["area_code"]]
    return {(one["area_code"], one["utility"]) for one in (row, *alarms, *merged)}


def test_every_filter_gives_what_a_look_at_every_row_gives(hands: Hands) -> None:
    fill(hands)
    cross(hands)
    everything, _ = hands.desk.list_events(limit=1000)
    places = {row["event_id"]: places_of(hands, row) for row in everything}
    assert sum(len(found) > 1 for found in places.values()) > 8
    for row in everything:
        assert set(hands.desk.get_event(row["event_id"])["places"]) == places[row["event_id"]]
    since = everything[30]["detected_at"]
    choices = itertools.product(
        (None, "red", ["red", "blue"]),
        (None, "open", "cancelled"),
        (None, "410100", "410105", "410105001", "41010500100101", "42"),
        (None, "heat"),
        (None, since),
        GRANTS,
    )
    some = random.Random(5).sample(list(choices), 250)
    for level, status, area, utility, start, within in some:
        filters: dict[str, Any] = {"level": level, "status": status, "area": area, "utility": utility, "since": start}
        found, cursor = hands.desk.list_events(**filters, within=within, limit=1000)
        wanted = [row["event_id"] for row in everything if fits(row, places[row["event_id"]], within, **filters)]
        assert [row["event_id"] for row in found] == wanted, (filters, within)
        assert cursor is None


def fits(row: dict[str, Any], places: set[Any], within: list[Grant] | None, **wanted: Any) -> bool:
    statuses = {"open": OPEN_STATES, None: (row["status"],)}.get(wanted["status"], (wanted["status"],))
    levels = [wanted["level"]] if isinstance(wanted["level"], str) else wanted["level"] or [row["level"]]
    return (
        row["level"] in levels
        and row["status"] in statuses
        and row["detected_at"] >= (wanted["since"] or 0)
        and any(
            (wanted["area"] is None or Grant("x", (wanted["area"],)).covers(area, utility))
            and wanted["utility"] in {None, utility}
            and (within is None or any(grant.covers(area, utility) for grant in within))
            for area, utility in places
        )
    )


@pytest.mark.parametrize(
    "filters", [{"level": "blue"}, {"status": "open", "area": "410105"}, {"area": "410105001"}, {}]
)
def test_pages_join_without_gap_or_repeat(hands: Hands, filters: dict[str, Any]) -> None:
    fill(hands)
    cross(hands)
    whole, _ = hands.desk.list_events(**filters, limit=1000)
    walked: list[str] = []
    cursor = None
    while True:
        rows, cursor = hands.desk.list_events(**filters, limit=7, cursor=cursor)
        walked += [row["event_id"] for row in rows]
        if cursor is None:
            break

    assert walked == [row["event_id"] for row in whole]


def test_sixteen_people_at_once_lose_no_act(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))

    def person(number: int) -> None:
        for count in range(8):
            hands.desk.act(event_id, "note", Actor(f"p{number}", "operator"), f"{number}.{count}")

    threads = [threading.Thread(target=person, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    event = hands.desk.get_event(event_id)
    notes = [entry["note"] for entry in event["log"] if entry["action"] == "note"]
    assert sorted(notes) == sorted(f"{n}.{c}" for n in range(16) for c in range(8))
    assert event["version"] == 129
    for number in range(16):
        mine = [note for note in notes if note.startswith(f"{number}.")]
        assert mine == [f"{number}.{count}" for count in range(8)]


def test_a_group_that_cannot_be_committed_fails_for_all_and_the_next_goes_on() -> None:
    groups: list[int] = []
    gate = threading.Event()

    def commit(requests: list[int]) -> list[int]:
        groups.append(len(requests))
        gate.wait(10)
        if len(groups) == 2:
            raise UnavailableError("the disk is full")
        return [request * 2 for request in requests]

    group: GroupCommit[int, int] = GroupCommit(commit, group_max=8)
    answers: dict[int, object] = {}

    def ask(number: int) -> None:
        try:
            answers[number] = group.submit(number)
        except UnavailableError as error:
            answers[number] = str(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    while len(group._waiting) + sum(groups) < 20:
        pass
    gate.set()
    for thread in threads:
        thread.join(10)

    assert len(answers) == 20
    failed = [number for number, answer in answers.items() if answer == "the disk is full"]
    assert len(failed) == groups[1]
    assert all(answers[number] == number * 2 for number in answers if number not in failed)
    assert max(groups) == 8
    assert group.submit(21) == 42
