"""Lists by any filter and any rights are what a look at every row gives; groups of acts share a commit."""

from __future__ import annotations

import itertools
import random
import threading
from typing import Any

import pytest

from lifeline.core.errors import UnavailableError
from lifeline.core.principal import Grant
from lifeline.governance.actor import Actor
from lifeline.governance.acts import GroupCommit
from lifeline.governance.reports import Report
from lifeline.governance.states import OPEN_STATES
from tests.governance.conftest import T0, Hands, raised

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


def test_every_filter_gives_what_a_look_at_every_row_gives(hands: Hands) -> None:
    fill(hands)
    everything, _ = hands.desk.list_events(limit=1000)
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
        wanted = [row["event_id"] for row in everything if fits(row, within, **filters)]
        assert [row["event_id"] for row in found] == wanted, (filters, within)
        assert cursor is None


def fits(row: dict[str, Any], within: list[Grant] | None, **wanted: Any) -> bool:
    statuses = {"open": OPEN_STATES, None: (row["status"],)}.get(wanted["status"], (wanted["status"],))
    levels = [wanted["level"]] if isinstance(wanted["level"], str) else wanted["level"] or [row["level"]]
    in_area = wanted["area"] is None or Grant("x", (wanted["area"],)).covers(row["area_code"], row["utility"])
    return (
        row["level"] in levels
        and row["status"] in statuses
        and in_area
        and wanted["utility"] in {None, row["utility"]}
        and row["detected_at"] >= (wanted["since"] or 0)
        and (within is None or any(grant.covers(row["area_code"], row["utility"]) for grant in within))
    )


@pytest.mark.parametrize(
    "filters", [{"level": "blue"}, {"status": "open", "area": "410105"}, {"area": "410105001"}, {}]
)
def test_pages_join_without_gap_or_repeat(hands: Hands, filters: dict[str, Any]) -> None:
    fill(hands)
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
