"""The life of an event, as ONE table; pure.

Rules of this file: everything that decides whether a step may be taken is in ``TABLE``; screens, docs, permissions
and tests are made from it. Steps follow the seven of digital city management (collect, file, dispatch, handle, feed
back, check and close, evaluate) plus what practice needs: cancelling, returning, extension, suspension, rework,
co-handling, reopening. Handlers (operator) and checkers (dispatcher, analyst) are different roles, and different
persons: who took a step marked ``hands`` on an event never takes one marked ``checks`` on it, in whatever role.
``admin`` may stand in for anybody, ``auditor`` and ``viewer`` only look.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

from lifeline.governance.errors import FieldError, ForbiddenError, IllegalActionError

STATES: Final[dict[str, tuple[str, str]]] = {
    "new": ("新报", "raised, nobody has judged it yet"),
    "explained": ("已归因", "put aside: a later alarm, with a case of its own, explains it"),
    "lapsed": ("随因消除", "was put aside and is over, as is what explained it: nobody has to act"),
    "cancelled": ("注销", "judged to be no case"),
    "filed": ("立案", "judged to be a case, waiting for a unit"),
    "dispatched": ("已派遣", "sent to a unit"),
    "accepted": ("已接受", "the unit has taken it"),
    "handling": ("处置中", "work is under way"),
    "co-handling": ("联合处置", "several units work on it"),
    "extension-asked": ("申请延期", "the unit wants more time"),
    "suspended": ("挂账", "cannot go on for a reason outside the unit"),
    "returned": ("退单", "the unit says it is not theirs"),
    "fed-back": ("已反馈", "the unit says it is done, not checked yet"),
    "check-failed": ("返工", "the check says it is not done"),
    "closed": ("结案", "checked and done"),
    "evaluated": ("已评价", "closed and rated"),
    "reopened": ("重新立案", "closed too early"),
}
"""Every state with its Chinese name and its meaning."""

EXPLAINED: Final = "explained"
LAPSED: Final = "lapsed"
CLOSED_STATES: Final = frozenset({LAPSED, "cancelled", "closed", "evaluated"})
OPEN_STATES: Final = tuple(state for state in STATES if state not in CLOSED_STATES)
"""Alarms fold into an event only while it is in one of these."""

ROLES: Final = ("viewer", "operator", "dispatcher", "analyst", "auditor", "admin")


SYSTEM: Final = "system"
"""Not a person: in an emergency high events are filed and dispatched at once, by the queue itself, and consequences are
put aside beneath their cause, told again, and over with it."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: in ``source``, a role of ``roles`` may do ``action``, which leads to ``target``."""

    source: str
    action: str
    target: str
    roles: tuple[str, ...]
    requires: tuple[str, ...] = ()
    """Fields that must be given (``note`` is the free text of the log)."""
    allows: tuple[str, ...] = ()
    """Fields that may be given."""
    stamps: str = ""
    """Column of the event that gets the time of the act."""
    hands: bool = False
    """Whoever does this handles the event."""
    checks: bool = False
    """Not for a person who has handled the event."""


_HANDLER: Final = ("operator", "admin")
_DISPATCHER: Final = ("dispatcher", "admin")
_CHECKER: Final = ("dispatcher", "analyst", "admin")
_DESK: Final = ("operator", "dispatcher", "admin")


def _cancel(source: str, roles: tuple[str, ...]) -> Transition:
    return Transition(source, "cancel", "cancelled", roles, ("note",), ("cause", "false_alarm"))


def _dispatch(source: str) -> Transition:
    roles, may_carry = (*_DISPATCHER, SYSTEM), ("owner", "co_owners", "due_at")
    return Transition(source, "dispatch", "dispatched", roles, (), may_carry, "dispatched_at")


def _handle(source: str) -> Transition:
    return Transition(source, "handle", "handling", _HANDLER, hands=True)


def _return(source: str) -> Transition:
    return Transition(source, "return", "returned", _DESK, ("note",))


def _extend(source: str) -> Transition:
    return Transition(source, "ask-extension", "extension-asked", _HANDLER, ("until", "note"), hands=True)


def _suspend(source: str) -> Transition:
    return Transition(source, "suspend", "suspended", _DISPATCHER, ("note",))


def _feed_back(source: str) -> Transition:
    return Transition(source, "feed-back", "fed-back", _HANDLER, ("note",), (), "resolved_at", hands=True)


def _reopen(source: str) -> Transition:
    return Transition(source, "reopen", "reopened", _CHECKER, ("note",))


def _standing(source: str) -> tuple[Transition, ...]:
    """Acts that leave the state as it is, possible while the event is open."""
    return (
        Transition(source, "note", source, (*_CHECKER, "operator"), ("note",)),
        Transition(source, "supervise", source, _CHECKER, ("supervision",)),
        Transition(source, "grade", source, _CHECKER, ("level", "note")),
    )


TABLE: Final[tuple[Transition, ...]] = (
    Transition("new", "file", "filed", (*_DESK, "analyst", SYSTEM), (), ("owner",)),
    _cancel("new", (*_DESK, "analyst")),
    Transition("new", "explain", EXPLAINED, (SYSTEM,)),
    Transition(EXPLAINED, "tell", "new", (SYSTEM,)),
    Transition(EXPLAINED, "lapse", LAPSED, (SYSTEM,)),
    Transition(LAPSED, "explain", EXPLAINED, (SYSTEM,)),
    Transition(EXPLAINED, "file", "filed", (*_DESK, "analyst"), (), ("owner",)),
    _cancel(EXPLAINED, (*_DESK, "analyst")),
    _dispatch("filed"),
    _cancel("filed", _DISPATCHER),
    Transition("dispatched", "accept", "accepted", _HANDLER, (), (), "accepted_at", hands=True),
    _return("dispatched"),
    _handle("accepted"),
    _return("accepted"),
    _extend("accepted"),
    Transition("handling", "co-handle", "co-handling", _DESK, ("co_owners",)),
    _extend("handling"),
    _suspend("handling"),
    _feed_back("handling"),
    _handle("co-handling"),
    _extend("co-handling"),
    _suspend("co-handling"),
    _feed_back("co-handling"),
    Transition("extension-asked", "grant-extension", "handling", _DISPATCHER, checks=True),
    Transition("extension-asked", "refuse-extension", "handling", _DISPATCHER, ("note",), checks=True),
    _feed_back("extension-asked"),
    Transition("suspended", "resume", "handling", _DISPATCHER, (), ("due_at",)),
    _dispatch("returned"),
    _cancel("returned", _DISPATCHER),
    Transition("fed-back", "close", "closed", _CHECKER, ("cause",), ("false_alarm",), "closed_at", checks=True),
    Transition("fed-back", "fail-check", "check-failed", _CHECKER, ("note",), checks=True),
    _handle("check-failed"),
    _dispatch("check-failed"),
    Transition("closed", "evaluate", "evaluated", _CHECKER, ("satisfaction",), checks=True),
    _reopen("closed"),
    _reopen("cancelled"),
    _reopen(LAPSED),
    _reopen("evaluated"),
    _dispatch("reopened"),
    _handle("reopened"),
    _cancel("reopened", _DISPATCHER),
    *(row for state in OPEN_STATES for row in _standing(state)),
)
"""The table. ``(source, action)`` is its key."""

BY_KEY: Final[dict[tuple[str, str], Transition]] = {(row.source, row.action): row for row in TABLE}
ACTIONS: Final[tuple[str, ...]] = tuple(dict.fromkeys(row.action for row in TABLE))
NAMES: Final = {
    "file": "立案", "cancel": "注销", "explain": "归于起因", "tell": "重新上报", "lapse": "随因消除",
    "dispatch": "派遣", "accept": "接受", "return": "退单", "handle": "处置", "ask-extension": "申请延期",
    "co-handle": "联合处置", "suspend": "挂账", "feed-back": "反馈",
    "grant-extension": "同意延期", "refuse-extension": "不同意延期", "resume": "恢复", "close": "结案",
    "fail-check": "核查不通过", "evaluate": "评价", "reopen": "重新立案", "note": "备注",
    "supervise": "督办", "grade": "定级",
}  # fmt: skip
"""Actions in Chinese."""
HANDS: Final[tuple[str, ...]] = tuple(dict.fromkeys(row.action for row in TABLE if row.hands))
"""Actions that make a person a handler of the event."""
CHECKS: Final = frozenset(row.action for row in TABLE if row.checks)
"""Actions that no handler of the event may take."""


def told(word: str) -> str:
    """A state or an action for people, in both languages."""
    chinese = STATES[word][0] if word in STATES else NAMES.get(word, "")
    return f"{word} {chinese}".strip()


def legal(status: str, role: str | None = None) -> tuple[str, ...]:
    """Actions possible in ``status``, for ``role`` or (None) for any person."""
    mine = {role} if role is not None else {*ROLES}
    return tuple(row.action for row in TABLE if row.source == status and mine & {*row.roles})


def roles_of(status: str, action: str) -> tuple[str, ...]:
    """Roles that may take ``action`` in ``status``; none when there is no such step."""
    row = BY_KEY.get((status, action))
    return row.roles if row else ()


def decide(status: str, action: str, role: str, given: frozenset[str]) -> Transition:
    """The row for taking ``action`` in ``status`` as ``role`` with the fields ``given`` (``note`` among them).

    Raises:
        IllegalActionError: the table has no such step; the legal ones are listed.
        ForbiddenError: the step exists, but not for this role.
        FieldError: a required field is missing or one is given that the step does not take.
    """
    row = BY_KEY.get((status, action))
    if row is None:
        steps = ", ".join(legal(status)) or "none"
        like = difflib.get_close_matches(action, ACTIONS, n=1)
        known = f"there is no action {action!r}" + (f" (did you mean {like[0]!r}?)" if like else "")
        article = "an" if status[0] in "aeiou" else "a"
        why = f"{action!r} is no step of {article} {status} event" if action in ACTIONS else known
        raise IllegalActionError(f"{why}; legal from here: {steps}")
    if role not in row.roles:
        may = ", ".join(legal(status, role)) or "nothing"
        raise ForbiddenError(f"{action!r} is for {', '.join(row.roles)}, not for {role!r}, which may do: {may}")
    missing = [name for name in row.requires if name not in given]
    if missing:
        raise FieldError(f"{action!r} needs {', '.join(missing)}")
    extra = sorted(given - {"note", *row.requires, *row.allows})
    if extra:
        takes = ", ".join(dict.fromkeys((*row.requires, *row.allows, "note")))
        raise FieldError(f"{action!r} does not take {', '.join(extra)}; it takes {takes}")
    return row
