"""Deadlines: which limits run in which state, and what happens when one is near or over. Timers are rows; pure.

    stage     runs while                                   limit
    triage    new                                          policy
    dispatch  filed, returned, reopened                    policy
    accept    dispatched                                   policy
    handle    open, not yet fed back, not suspended        ``due_at``: the rule's, the dispatcher's or the policy's
    check     fed-back                                     policy

    time ──► remind ──► due: township's centre ──► district's ──► city's          each step once a deadline given

A timer is a row with its next step; firing it writes the escalation, the event, its log and the next step in one
transaction, and the database takes the same (event, stage, round, step) only once. So neither a restart nor a clock
that goes back repeats a step, and what came due while nobody ran is made up for, in order. Steps follow the deadline,
not the moment at which somebody looked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifeline.core.areas import CENTRES, by_digits
from lifeline.governance.actor import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifeline.governance.effects import Effects
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

STEPS: Final = ("remind", *CENTRES)
_NAMES: Final = {
    "remind": "催办：临近时限 / reminder: the deadline is near",
    "township": "超期，报乡镇（街道）中心 / overdue, township centre told",
    "district": "超期，报区（县）中心 / overdue, district centre told",
    "city": "超期，报市中心 / overdue, city centre told",
}
RUNNING_STAGES: Final = {
    "new": ("triage", "handle"),
    "filed": ("dispatch", "handle"),
    "returned": ("dispatch", "handle"),
    "reopened": ("dispatch", "handle"),
    "dispatched": ("accept", "handle"),
    "accepted": ("handle",),
    "handling": ("handle",),
    "co-handling": ("handle",),
    "extension-asked": ("handle",),
    "check-failed": ("handle",),
    "fed-back": ("check",),
}


def set_due(row: Row, due_at: int, kind: str, now_ms: int) -> None:
    """Give the event a deadline of handling, counted from now."""
    row.update(due_at=due_at, due_kind=kind, due_from=now_ms, round=row["round"] + 1)


def settle(effects: Effects, before: Mapping[str, Any] | None, row: Row, policy: Policy, now_ms: int) -> None:
    """Start and stop timers after the event has come from ``before`` (None: it is new) to ``row``."""
    had = RUNNING_STAGES.get(before["status"], ()) if before else ()
    wants = RUNNING_STAGES.get(row["status"], ())
    again = before is not None and before["due_at"] != row["due_at"]
    for stage in had:
        if stage not in wants or (stage == "handle" and row["due_at"] is None):
            effects.timers[row["event_id"], stage] = None
    for stage in wants:
        if stage == "handle":
            if row["due_at"] is not None and (again or stage not in had):
                row["round"] += not again  # the same deadline runs on after a pause: its steps are taken anew
                _start(effects, row, stage, row["due_at"], row["due_from"] or now_ms, policy)
        elif stage not in had or (before and before["status"] != row["status"]):
            limit = policy.deadline(stage, row["level"], row["kind"], row["mode"], now_ms)
            if limit is None:
                effects.timers[row["event_id"], stage] = None
            else:
                row["round"] += 1
                _start(effects, row, stage, limit[0], now_ms, policy)


def tighten(effects: Effects, row: Row, timers: list[Row], policy: Policy, now_ms: int) -> None:
    """Bring timers forward after the level or the mode has changed: a deadline never moves away by that."""
    for stage in RUNNING_STAGES.get(row["status"], ()):
        limit = policy.deadline(stage, row["level"], row["kind"], row["mode"], now_ms)
        known = next((timer for timer in timers if timer["stage"] == stage), None)
        if limit is None or (known is not None and (known["step"] > 0 or known["due_at"] <= limit[0])):
            continue
        if stage == "handle":
            set_due(row, *limit, now_ms)
        else:
            row["round"] += 1
        _start(effects, row, stage, limit[0], now_ms, policy)


def _start(effects: Effects, row: Row, stage: str, due_at: int, since: int, policy: Policy) -> None:
    since = min(since, due_at)
    effects.timers[row["event_id"], stage] = {
        "event_id": row["event_id"],
        "stage": stage,
        "round": row["round"],
        "step": 0,
        "at": since + round((due_at - since) * policy.escalation.remind),
        "due_at": due_at,
        "since": since,
    }


def fire(effects: Effects, timer: Row, row: Row, policy: Policy, now_ms: int) -> None:
    """Take every step of a timer whose time has come, and set the timer to its next one or take it away."""
    timer = dict(timer)
    while timer["at"] <= now_ms and timer["step"] < len(STEPS):
        step = timer["step"]
        if step or timer["due_at"] > now_ms:  # a reminder after the deadline would remind nobody
            _take_step(effects, timer, row, now_ms)
        timer["step"] += 1
        timer["at"] = timer["due_at"] if step == 0 else policy.next_centre(row["level"], timer["at"])
    key = timer["event_id"], timer["stage"]
    effects.timers[key] = timer if timer["step"] < len(STEPS) else None


def _take_step(effects: Effects, timer: Row, row: Row, now_ms: int) -> None:
    step, name = timer["step"], STEPS[timer["step"]]
    centre = centre_for(row, name) if step else row["centre"]
    if step:
        row["supervision"] = max(row["supervision"], step)
        row["centre"] = centre
        row["version"] += 1
        if timer["stage"] == "handle" and row["overdue_at"] is None:
            row["overdue_at"] = timer["due_at"]
    carried = {name: timer[name] for name in ("stage", "round", "due_at")} | {"step": name, "centre": centre}
    effects.say(row, now_ms, ENGINE, "overdue" if step else "remind", _NAMES[name], carried=carried)
    effects.escalations.append(
        {
            "event_id": row["event_id"],
            "stage": timer["stage"],
            "round": timer["round"],
            "step": step,
            "name": name,
            "at": now_ms,
            "due_at": timer["due_at"],
            "centre": centre,
            "unit": row["owner"],
            "level": row["level"],
        }
    )


def centre_for(row: Mapping[str, Any], level: str) -> str | None:
    """The area of the centre of ``level`` for an event, or the next one up where that level has none."""
    city = by_digits(row["district"] or row["area_code"], "city")
    chain = {"township": row["township"], "district": row["district"], "city": city}
    for candidate in CENTRES[CENTRES.index(level) :]:
        if chain[candidate]:
            return str(chain[candidate])
    return None
