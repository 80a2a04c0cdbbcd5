"""One act on one event: what the table allows becomes values of the row; pure. Nothing is changed before all is judged.

What the table says in words is enforced here: who handled an event never checks it (the person, not only the role),
and an event from telemetry is closed on the evidence of telemetry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from lifeline.governance import deadlines, fields
from lifeline.governance.causes import FALSE_CAUSES
from lifeline.governance.errors import ConflictError, FieldError, ForbiddenError
from lifeline.governance.states import CLOSED_STATES, Transition, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lifeline.governance.actor import Actor
    from lifeline.governance.dispatch import Route
    from lifeline.governance.effects import Effects
    from lifeline.governance.policy import Policy

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody wants done to an event (id or unique beginning of it)."""

    event_id: str
    action: str
    actor: Actor
    note: str | None = None
    expected_version: int | None = None
    """Refuse when the event has moved on since the caller saw that version."""
    key: str | None = None
    """Idempotency key: the same act with the same key is carried out once."""
    fields: Mapping[str, object] = field(default_factory=dict)

    def carried(self) -> Row:
        """Checked fields, the note among them. Raises FieldError."""
        return fields.parse({**self.fields, "note": (self.note or "").strip() or None})


@dataclass(frozen=True, slots=True)
class Facts:
    """What an act must know beside the event's row."""

    policy: Policy
    now_ms: int
    handlers: set[str]
    """Persons who have handled this event."""
    recheck: Callable[[Row], Row]
    """Ask telemetry: evidence with a ``verdict``."""
    propose: Callable[[Row], Route]
    """Ask the responsibility matrix."""


def take(effects: Effects, act: Act, row: Row, facts: Facts) -> Row:
    """Carry out an act on a row of ``effects``; returns the row.

    Raises:
        IllegalActionError, ForbiddenError, FieldError, ConflictError: nothing was changed.
    """
    carried = act.carried()
    act.actor.check(row, f"event {row['event_id']}")
    if act.expected_version is not None and row["version"] != act.expected_version:
        raise ConflictError(
            f"event {row['event_id']} is at version {row['version']} ({row['status']}), "
            f"not {act.expected_version}: look again, then decide"
        )
    step = decide(row["status"], act.action, act.actor.role, frozenset(carried))
    if step.checks and act.actor.id in facts.handlers:
        raise ForbiddenError(
            f"{act.actor.id!r} has handled event {row['event_id']} and cannot {act.action!r} it: "
            "the checker is never the handler (核查与处置分离)"
        )
    after = dict(row) | _values(row, step, carried, facts)
    after["version"] = row["version"] + 1
    deadlines.settle(effects, row, after, facts.policy, facts.now_ms)
    before = row["status"]
    row.update(after)
    note = carried.pop("note", "")
    effects.say(row, facts.now_ms, act.actor, act.action, note, before=before, carried=carried)
    if step.hands:
        facts.handlers.add(act.actor.id)
    return row


def _values(row: Row, step: Transition, carried: Row, facts: Facts) -> Row:
    """Columns that the step writes."""
    now_ms = facts.now_ms
    values: Row = {"status": step.target, "is_open": step.target not in CLOSED_STATES}
    if step.stamps:
        values[step.stamps] = now_ms
        first = f"first_{step.stamps}"
        if first in row and row[first] is None:
            values[first] = now_ms
    for name in ("owner", "co_owners", "cause", "false_alarm", "satisfaction", "supervision", "level"):
        if name in carried:
            values[name] = carried[name]
    special = _SPECIAL.get(step.action)
    if special is not None:
        values |= special(row, carried, facts)
    elif row["status"] == "extension-asked" and step.source != step.target:
        values["extension_until"] = None
    if "due_at" in carried:
        if carried["due_at"] <= now_ms:
            raise FieldError(f"due_at must lie ahead of now ({now_ms}), not at {carried['due_at']}")
        values |= _due(row, carried["due_at"], "natural", now_ms)
    return values


def _due(row: Row, due_at: int, kind: str, now_ms: int) -> Row:
    changed = {"round": row["round"]}
    deadlines.set_due(changed, due_at, kind, now_ms)
    return changed


def _file(row: Row, _: Row, facts: Facts) -> Row:
    return {"filed_at": row["filed_at"] or facts.now_ms}


def _dispatch(row: Row, carried: Row, facts: Facts) -> Row:
    """To the unit that the matrix proposes, or that the dispatcher names; the proposal is on record either way."""
    proposal = facts.propose(row)
    routing = proposal.routing
    if "owner" in carried and carried["owner"] != proposal.unit:
        routing = {"by": "hand", "unit": carried["owner"], "proposed": proposal.routing}
    values: Row = {
        "filed_at": row["filed_at"] or facts.now_ms,
        "owner": carried.get("owner", proposal.unit),
        "co_owners": carried.get("co_owners", ", ".join(proposal.co_units) or None),
        "centre": proposal.centre,
        "routing": orjson.dumps(routing).decode(),
    }
    limit = facts.policy.deadline("handle", row["level"], row["kind"], row["mode"], facts.now_ms)
    return values | (_due(row, *limit, facts.now_ms) if limit else {})


def _return(row: Row, _: Row, __: Facts) -> Row:
    return {"returns": row["returns"] + 1, "owner": None, "co_owners": None}


def _ask_extension(_: Row, carried: Row, facts: Facts) -> Row:
    if carried["until"] <= facts.now_ms:
        raise FieldError(f"until must lie ahead of now ({facts.now_ms}), not at {carried['until']}")
    return {"extension_until": carried["until"]}


def _grant(row: Row, _: Row, facts: Facts) -> Row:
    due = _due(row, row["extension_until"], "natural", facts.now_ms)
    return due | {"extension_until": None, "extensions": row["extensions"] + 1}


def _suspend(_: Row, __: Row, facts: Facts) -> Row:
    return {"suspended_at": facts.now_ms}


def _resume(row: Row, carried: Row, facts: Facts) -> Row:
    """The clock stood still while the event was suspended: what was left of the deadline is left now."""
    values: Row = {"suspended_at": None}
    since, due_at = row["suspended_at"], row["due_at"]
    if "due_at" in carried or since is None or due_at is None or due_at <= since:
        return values
    if row["due_kind"] == "working":
        calendar = facts.policy.working
        return values | _due(row, calendar.add(facts.now_ms, calendar.between(since, due_at)), "working", facts.now_ms)
    return values | _due(row, facts.now_ms + due_at - since, "natural", facts.now_ms)


def _again(row: Row, facts: Facts) -> Row:
    """What is left of the deadline stays; once it is over, a rework gets the time that the work had."""
    if row["due_at"] is not None and row["due_at"] > facts.now_ms:
        return {}
    limit = facts.policy.deadline("handle", row["level"], row["kind"], row["mode"], facts.now_ms)
    if limit:
        return _due(row, *limit, facts.now_ms)
    if row["due_at"] is None or row["due_from"] is None:
        return {}
    return _due(row, facts.now_ms + row["due_at"] - row["due_from"], "natural", facts.now_ms)


def _fail_check(row: Row, _: Row, facts: Facts) -> Row:
    return {"reworks": row["reworks"] + 1} | _again(row, facts)


def _reopen(row: Row, _: Row, facts: Facts) -> Row:
    gone = dict.fromkeys(("closed_at", "resolved_at", "cause", "false_alarm", "satisfaction", "verified", "recheck"))
    was_closed = row["closed_at"] is not None
    return gone | {"reworks": row["reworks"] + was_closed} | _again(row, facts)


def _close(row: Row, carried: Row, facts: Facts) -> Row:
    values: Row = {"false_alarm": carried.get("false_alarm", carried["cause"] in FALSE_CAUSES)}
    if row["source"] != "telemetry" and row["rule_id"] is None:
        return values
    evidence = facts.recheck(row)
    if evidence["verdict"] != "passed" and "note" not in carried:
        raise FieldError(f"{evidence['why']}; closing all the same needs a note that says why")
    recheck = orjson.dumps(evidence).decode()
    return values | {"verified": evidence["verdict"] == "passed", "recheck": recheck}


_SPECIAL: dict[str, Callable[[Row, Row, Facts], Row]] = {
    "file": _file,
    "dispatch": _dispatch,
    "return": _return,
    "ask-extension": _ask_extension,
    "grant-extension": _grant,
    "suspend": _suspend,
    "resume": _resume,
    "fail-check": _fail_check,
    "reopen": _reopen,
    "close": _close,
}
