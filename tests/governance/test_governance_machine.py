"""A machine that walks events at random beside a model of the table: refusals change nothing, sums always agree."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import or_, select

from lifeline.governance.actor import Actor
from lifeline.governance.errors import RefusedError
from lifeline.governance.schema import MEASURES, events, kpi_days, kpi_times, tallies, timers
from lifeline.governance.settings import recount
from lifeline.governance.states import ACTIONS, BY_KEY, ROLES, SYSTEM
from lifeline.governance.steps import Act
from lifeline.governance.verify import verify_queue
from tests.governance.conftest import RULES, T0, Hands, cleared, raised
from tests.governance.conftest import rule as a_rule
from tests.queues import queue_file

PEOPLE = ("li", "wang", "zhao", "sun")
GIVEN: dict[str, Any] = {
    "owner": "Gas company",
    "co_owners": "Water company",
    "cause": "leak",
    "satisfaction": 4,
    "supervision": 2,
    "level": "red",
}


ACROSS = a_rule("zone", "orange", "zone-leak", "zone")
"""Its events take in both points, which lie in different districts."""


class Loop(RuleBasedStateMachine):
    """Two events, four people in any role, alarms that come and go, time that passes."""

    @initialize()
    def open(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.hands = Hands(queue_file(Path(self._folder.name) / "governance.db"))
        self.hands.queue.rules = RULES | {ACROSS.rule_id: ACROSS}
        self.alarms = [raised("ch4.high", 0, T0), raised("stuck", 1, T0)]
        self.ids = self.hands.apply(*self.alarms)
        self.status = dict.fromkeys(self.ids, "new")
        self.handlers: dict[str, set[str]] = {event_id: set() for event_id in self.ids}
        self.position = 1

    @rule(
        which=st.integers(0, 1),
        action=st.sampled_from(ACTIONS),
        person=st.sampled_from(PEOPLE),
        role=st.sampled_from(ROLES),
    )
    def act(self, which: int, action: str, person: str, role: str) -> None:
        """Any act by anybody: what the model forbids is refused and leaves the event as it was."""
        event_id = self.ids[which]
        step = BY_KEY.get((self.status[event_id], action))
        self._take(event_id, action, person, role, step)

    @rule(which=st.integers(0, 1), person=st.sampled_from(PEOPLE), choice=st.integers(0, 10**6))
    def act_legally(self, which: int, person: str, choice: int) -> None:
        """A step of the table by one who may: otherwise the walk would never get far."""
        event_id = self.ids[which]
        steps = [row for key, row in BY_KEY.items() if key[0] == self.status[event_id] and row.source != row.target]
        step = steps[choice % len(steps)]
        self._take(event_id, step.action, person, step.roles[choice % len(step.roles)], step)

    def _take(self, event_id: str, action: str, person: str, role: str, step: Any) -> None:
        before = self.hands.desk.get_event(event_id)
        names = step.requires if step else ()
        given = {name: GIVEN[name] for name in names if name in GIVEN}
        if "until" in names:
            given["until"] = self.hands.now + 3_600_000
        may = step is not None and role in step.roles and role != SYSTEM  # which no person is
        legal = may and not (step.checks and person in self.handlers[event_id])
        try:
            after = self.hands.desk.act(event_id, action, Actor(person, role), "because", **given)
        except RefusedError:
            assert not legal
            assert self.hands.desk.get_event(event_id) == before
            return
        assert legal
        assert (after["status"], after["version"]) == (step.target, before["version"] + 1)
        self.status[event_id] = step.target
        if step.hands:
            self.handlers[event_id].add(person)

    @rule(seconds=st.sampled_from([1, 600, 7200, 90_000]))
    def wait(self, seconds: int) -> None:
        self.hands.tick(seconds)

    @rule(rule_id=st.sampled_from([*sorted(RULES), ACROSS.rule_id]), point=st.integers(0, 1))
    def alarm(self, rule_id: str, point: int) -> None:
        self.position += 1
        change = raised(rule_id, point, self.hands.now, lsn=self.position)
        self.alarms.append(change)
        self._know(self.hands.apply(change, position=self.position))

    @rule()
    def clear(self) -> None:
        self.position += 1
        self._know(self.hands.apply(cleared(self.alarms.pop(), self.hands.now), position=self.position))
        self.alarms = self.alarms or [raised("stuck", 1, T0)]

    def _know(self, opened: list[str]) -> None:
        if opened:  # go on with the newest: an old one is closed or will be
            self.ids = [self.ids[1], opened[-1]]
            self.status[opened[-1]] = "new"
            self.handlers[opened[-1]] = set()

    @invariant()
    def sums_are_what_a_count_from_scratch_gives(self) -> None:
        if not hasattr(self, "hands"):
            return
        with self.hands.queue._database.write() as connection:
            before = sums(connection)
            recount(connection, "UTC")
            assert sums(connection) == before

    @invariant()
    def timers_run_only_for_open_events(self) -> None:
        if not hasattr(self, "hands"):
            return
        with self.hands.queue._database.read() as connection:
            running = select(timers.c.event_id).join(events, events.c.event_id == timers.c.event_id)
            assert list(connection.scalars(running.where(events.c.is_open.is_(False)))) == []

    def teardown(self) -> None:
        if hasattr(self, "hands"):
            with self._folder:
                self.hands.close()
                verify_queue(self.hands.url, full=True)


def sums(connection: Any) -> list[list[tuple[Any, ...]]]:
    found = []
    for table in (kpi_days, kpi_times, tallies):
        counted = or_(*(table.c[name] != 0 for name in (*MEASURES, "n") if name in table.c))
        query = select(table).where(counted).order_by(*table.primary_key)
        found.append([tuple(row) for row in connection.execute(query)])
    return found


TestLoop = Loop.TestCase
TestLoop.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_a_life_in_which_a_person_tries_the_role_of_the_queue_itself() -> None:
    loop = Loop()
    loop.open()
    loop.act_legally(which=0, person="li", choice=9)  # files it as ``system``

    assert loop.status[loop.ids[0]] == "new"
    loop.teardown()


def test_many_acts_at_once_share_a_commit_and_see_one_another(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    li = Actor("li", "operator")
    group = [
        Act(event_id, "file", li),
        Act(event_id, "file", li),
        Act(event_id, "cancel", li),
        Act(event_id, "dispatch", Actor("wang", "dispatcher"), fields={"owner": "Gas company"}),
        Act("nothing", "file", li),
        Act(event_id, "note", li, "once", key="k1"),
        Act(event_id, "note", li, "once", key="k1"),
        Act(event_id, "note", li, "twice", key="k1"),
    ]

    outcomes = hands.desk._take(group)

    assert [type(one).__name__ for one in outcomes] == [
        "dict",
        "IllegalActionError",
        "ForbiddenError",
        "dict",
        "UnknownIdError",
        "dict",
        "dict",
        "ConflictError",
    ]
    assert [entry["action"] for entry in hands.desk.get_event(event_id)["log"]] == ["open", "file", "dispatch", "note"]
    assert isinstance(outcomes[0], dict)
    assert outcomes[0]["status"] == "filed"


def test_key_figures_name_their_denominators(hands: Hands) -> None:
    first, second, third = hands.apply(raised("ch4.high", 0, T0), raised("ch4.high", 1, T0), raised("stuck", 2, T0))
    hands.apply(cleared(raised("ch4.high", 0, T0), T0 + 5000), position=2)
    steps = (("file", "li", "operator"), ("dispatch", "wang", "dispatcher"))
    hands.walk(first, *steps, owner="Gas company")
    hands.now += 60_000
    hands.walk(first, ("accept", "zhao", "operator"))
    hands.now += 600_000
    hands.walk(
        first, ("handle", "zhao", "operator"), ("feed-back", "zhao", "operator"), ("fail-check", "sun", "analyst")
    )
    hands.walk(first, ("handle", "zhao", "operator"), ("feed-back", "zhao", "operator"))
    hands.walk(first, ("close", "sun", "analyst"), cause="biogas")
    hands.walk(first, ("evaluate", "sun", "analyst"), satisfaction=5)
    hands.walk(second, *steps, owner="Water company")
    hands.walk(third, ("cancel", "li", "operator"))

    day = date(1970, 1, 1) + timedelta(days=T0 // 86_400_000)
    figures = hands.desk.kpi(day, day + timedelta(days=1), by="district")

    total = figures["total"]
    assert (total["filing_rate"], total["closing_rate"], total["on_time_rate"]) == (0.666667, 0.5, 0.5)
    assert (total["rework_rate"], total["satisfaction_rate"], total["false_alarm_rate"]) == (1, 1, 1)
    assert total["counts"]["due"] == 2
    city = hands.desk.kpi(day, day + timedelta(days=1))["total"]
    assert abs(city["response_median_s"] - 70) < 7
    assert abs(city["handling_median_s"] - 660) < 66
    month = hands.desk.kpi(day.replace(day=1), day + timedelta(days=1), by="district")["groups"]
    assert {row["district"]: row.get("handling_median_s") for row in month}["410102"] is None
    assert abs(next(row["handling_median_s"] for row in month if row["district"] == "410105") - 660) < 66
    assert {row["district"]: row["counts"]["received"] for row in figures["groups"]} == {"410105": 2, "410102": 1}
    assert figures["meaning"]["closing_rate"]["denominator"] == "due"
    by_unit = hands.desk.kpi(day, day + timedelta(days=1), by="unit")["groups"]
    assert {row["unit"]: row["counts"]["closed"] for row in by_unit} == {"Gas company": 1, "Water company": 0}
    by_rule = hands.desk.kpi(day, day + timedelta(days=1), by="rule")["groups"]
    assert {row["rule"]: row["false_alarm_rate"] for row in by_rule} == {"ch4.high": 1, "stuck": None}


def test_the_borders_of_days_are_the_sites_and_move_with_its_zone(hands: Hands) -> None:
    hands.apply(raised("ch4.high", 0, T0))
    hands.queue.close()
    hands.reopen(timezone="Pacific/Kiritimati")  # fourteen hours ahead

    local = date(1970, 1, 1) + timedelta(days=(T0 + 14 * 3_600_000) // 86_400_000)

    assert hands.desk.kpi(local, local + timedelta(days=1))["total"]["counts"]["received"] == 1
