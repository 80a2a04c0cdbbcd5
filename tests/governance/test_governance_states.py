"""The transition table: every legal step is taken, every illegal one refused and nothing changed; docs equal it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from lifeline.governance import diagram
from lifeline.governance.actor import Actor
from lifeline.governance.acts import Outcome, take_acts
from lifeline.governance.books import Books
from lifeline.governance.errors import FieldError, ForbiddenError, IllegalActionError, RefusedError
from lifeline.governance.events import get_event, unpacked
from lifeline.governance.schema import events
from lifeline.governance.settings import current_policy
from lifeline.governance.states import (
    ACTIONS,
    BY_KEY,
    CLOSED_STATES,
    NAMES,
    OPEN_STATES,
    ROLES,
    STATES,
    SYSTEM,
    TABLE,
    Transition,
    decide,
    legal,
)
from lifeline.governance.steps import Act
from tests.governance.conftest import T0, Hands, raised

DOCS = Path(__file__).parents[2] / "docs" / "governance.md"

VALUES = {
    "note": "because",
    "owner": "Gas company",
    "co_owners": "Water company",
    "until": T0 + 90_000_000,
    "due_at": T0 + 80_000_000,
    "cause": "leak",
    "false_alarm": False,
    "satisfaction": 4,
    "supervision": 2,
    "level": "red",
}


def test_docs_equal_the_table() -> None:
    text = DOCS.read_text(encoding="utf-8")

    assert diagram.rewrite(text) == text, "run: python -m lifeline.governance.diagram docs/governance.md"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="begin: made from"):
        diagram.rewrite("# nothing")


def test_a_word_that_is_no_action_is_told_with_the_nearest_one() -> None:
    with pytest.raises(
        IllegalActionError, match=r"no action 'flie' \(did you mean 'file'\?\); legal from here: file, "
    ):
        decide("new", "flie", "operator", frozenset())
    with pytest.raises(IllegalActionError, match="'close' is no step of a new event; legal from here: file, "):
        decide("new", "close", "operator", frozenset())


def test_the_table_is_sound() -> None:
    assert list(NAMES) == list(ACTIONS)
    assert len(BY_KEY) == len(TABLE)
    assert {row.source for row in TABLE} | {row.target for row in TABLE} == set(STATES)
    assert all(row.roles and set(row.roles) <= {*ROLES, SYSTEM} - {"viewer", "auditor"} for row in TABLE)
    assert all({*row.requires, *row.allows} <= set(VALUES) for row in TABLE)
    assert {row.stamps for row in TABLE} - {""} <= set(events.c.keys())


def test_every_state_is_reached_from_new_and_leads_to_an_end() -> None:
    def reach(start: set[str], steps: dict[str, set[str]]) -> set[str]:
        seen: set[str] = set()
        while start:
            seen |= start
            start = set().union(*(steps.get(state, set()) for state in start)) - seen
        return seen

    forth: dict[str, set[str]] = {}
    back: dict[str, set[str]] = {}
    for row in TABLE:
        forth.setdefault(row.source, set()).add(row.target)
        back.setdefault(row.target, set()).add(row.source)

    assert reach({"new"}, forth) == set(STATES)
    assert reach({"evaluated"}, back) == set(STATES)


def test_who_handles_does_not_check_and_who_checks_does_not_handle() -> None:
    handles = {role for row in TABLE if row.action == "feed-back" for role in row.roles}
    checks = {role for row in TABLE if row.action in {"close", "fail-check", "evaluate"} for role in row.roles}

    assert handles & checks == {"admin"}


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("action", [*ACTIONS, "explode"])
def test_pure_matrix(status: str, action: str) -> None:
    row = BY_KEY.get((status, action))
    for role in ROLES:
        if row is None:
            with pytest.raises(IllegalActionError, match="legal from here"):
                decide(status, action, role, frozenset(VALUES))
        elif role not in row.roles:
            with pytest.raises(ForbiddenError):
                decide(status, action, role, frozenset(row.requires))
        else:
            assert decide(status, action, role, frozenset(row.requires)) is row
            for name in row.requires:
                with pytest.raises(FieldError, match=name):
                    decide(status, action, role, frozenset(row.requires) - {name})


def test_whole_matrix_through_the_database(hands: Hands) -> None:
    """17 states x all actions x roles: a refusal leaves the row and the log as they were, a step writes one line.

    Every case begins from the same stored event: what is refused shares a call, as acts of many people do; each step
    that is taken is taken back to its savepoint.
    """
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    roles = ("viewer", "operator", "analyst")
    taken = 0
    with hands.queue._database.write() as connection:
        for status in STATES:
            values = {"status": status, "is_open": status not in CLOSED_STATES}
            connection.execute(update(events).where(events.c.event_id == event_id).values(values))
            before = get_event(connection, event_id)
            cells = [(BY_KEY.get((status, action)), action, role) for action in ACTIONS for role in roles]
            steps = [(row, action, role) for row, action, role in cells if row is not None and role in row.roles]
            refused = [_matrix_act(event_id, cell) for cell in cells if cell not in steps]

            outcomes = _take(connection, hands, refused)

            assert [type(one) for one in outcomes if not isinstance(one, RefusedError)] == []
            assert len(outcomes) == len(refused) > 0
            assert get_event(connection, event_id) == before
            for row, action, role in steps:
                savepoint = connection.begin_nested()
                (after,) = _take(connection, hands, [_matrix_act(event_id, (row, action, role))])
                assert not isinstance(after, RefusedError), (status, action, role, after)
                assert after["status"] == row.target
                assert after["is_open"] == (row.target in OPEN_STATES)
                shown = get_event(connection, event_id)
                assert shown["log"][:-1] == before["log"]
                last = shown["log"][-1]
                assert (last["action"], last["from_status"], last["to_status"]) == (action, status, row.target)
                assert {name: shown[name] for name in after} == unpacked(after)
                savepoint.rollback()
                taken += 1
            assert get_event(connection, event_id) == before
    assert taken == sum(role in row.roles for row in TABLE for role in roles)


def _matrix_act(event_id: str, cell: tuple[Transition | None, str, str]) -> Act:
    row, action, role = cell
    given = {name: VALUES[name] for name in row.requires} if row else {}
    note = str(given.pop("note", "because"))
    return Act(event_id, action, Actor(f"{role}-1", role), note, fields=given)


def _take(connection: Connection, hands: Hands, acts: list[Act]) -> list[Outcome]:
    """What the desk does inside its transaction."""
    policy = current_policy(connection)
    return take_acts(connection, acts, hands.now, policy=policy, journal=Books(lambda: hands.now))


def test_legal_lists_by_role() -> None:
    assert legal("new", "operator") == ("file", "cancel", "note")
    assert legal("evaluated") == ("reopen",)
    assert legal("closed", "viewer") == ()
