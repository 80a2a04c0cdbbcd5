"""The one way in for what people do to events: ``take_acts``.

Event, log, timers, sums and journal are written in one transaction; many acts at once share it, and one of them
refused leaves the others alone.

    act ─┐
    act ─┼─► GroupCommit ─► take_acts: fetch rows ─► steps.take, one by one (pure) ─► store ─► commit (one fsync)
    act ─┘
"""

from __future__ import annotations

import threading
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import orjson
from sqlalchemy import select, tuple_

from lifeline.core.errors import UnavailableError
from lifeline.governance import lapses
from lifeline.governance.asking import fetch
from lifeline.governance.effects import Effects
from lifeline.governance.errors import ConflictError, RefusedError
from lifeline.governance.journal import Change
from lifeline.governance.recheck import recheck
from lifeline.governance.reference import Router
from lifeline.governance.schema import EVENTS, event_log, events, idempotency
from lifeline.governance.statements import insert_rows, resolve
from lifeline.governance.states import CHECKS, HANDS
from lifeline.governance.steps import Act, Facts, take
from lifeline.governance.store import store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from lifeline.governance.journal import Journal
    from lifeline.governance.policy import Policy
    from lifeline.governance.recheck import LastReadings

Row = dict[str, Any]
Outcome = Row | RefusedError

_HANDLERS: Final = select(event_log.c.event_id, event_log.c.actor).where(event_log.c.action.in_(HANDS)).distinct()
GROUP_ACTS_MAX: Final = 256
"""Acts in one transaction: about 50 ms of work, so the engine's alarms wait no longer than that behind people."""


def take_acts(
    connection: Connection,
    acts: Sequence[Act],
    now_ms: int,
    *,
    policy: Policy,
    journal: Journal,
    last_readings: LastReadings | None = None,
) -> list[Outcome]:
    """Carry out acts in their order; for each the event's row afterwards, or why it was refused.

    A refusal goes to the journal as well. Acts on the same event see one another.
    """
    batch = _Batch(connection, acts)

    def evidence(row: Row) -> Row:
        return recheck(connection, row, last_readings, now_ms)

    router = Router(connection)

    outcomes: list[Outcome] = []
    for act in acts:
        try:
            batch.resolve(act)
            facts = Facts(policy, now_ms, batch.handlers(act), evidence, router.propose)
            outcomes.append(batch.take(act, facts))
        except RefusedError as error:
            outcomes.append(error)
            batch.refuse(act, error, now_ms)
    lapses.after_closing(connection, batch.effects, policy, now_ms)
    store(connection, batch.effects, journal, policy.timezone)
    insert_rows(connection, idempotency, batch.new_keys)
    # a later act of the group may change the row again: everybody gets it as it was after his own
    return outcomes


class _Batch:
    """Rows of the events that a group of acts is about."""

    def __init__(self, connection: Connection, acts: Sequence[Act]) -> None:
        self.effects = Effects()
        self.new_keys: list[Row] = []
        self._connection = connection
        self._ids = {act.event_id: act.event_id for act in acts}
        found = fetch(connection, EVENTS, events.c.event_id, self._ids)
        self.effects.hold(found)
        self._handlers = self._find_handlers(acts)
        self._keys = self._known_keys([(act.actor.id, act.key) for act in acts if act.key is not None])

    def take(self, act: Act, facts: Facts) -> Row:
        """One act. Raises RefusedError."""
        event_id = self._ids[act.event_id]
        if act.key is not None:
            digest = _digest(act, event_id)
            known = self._keys.get((act.actor.id, act.key))
            if known is not None:
                if known != digest:
                    raise ConflictError(f"the key {act.key!r} was used for another request")
                return dict(self.effects.events[event_id])
            row = dict(take(self.effects, act, self.effects.events[event_id], facts))
            self._keys[act.actor.id, act.key] = digest
            used = {"actor": act.actor.id, "key": act.key, "digest": digest}
            self.new_keys.append(used | {"object_id": event_id, "at": facts.now_ms})
            return row
        return dict(take(self.effects, act, self.effects.events[event_id], facts))

    def refuse(self, act: Act, error: RefusedError, now_ms: int) -> None:
        """A refusal for the journal."""
        event_id = self._ids.get(act.event_id, act.event_id)
        row = self.effects.events.get(event_id)
        status = row["status"] if row else ""
        given = {name: str(value)[:200] for name, value in act.fields.items()}
        note = (act.note or "")[:4000]
        self.effects.changes.append(
            Change(act.actor, now_ms, "event", event_id, act.action, status, status, note, given, refused=str(error))
        )

    def handlers(self, act: Act) -> set[str]:
        """Who has handled the event: looked up where somebody checks, and kept up to date by the acts of the group."""
        return self._handlers.setdefault(self._ids[act.event_id], set())

    def _find_handlers(self, acts: Sequence[Act]) -> dict[str, set[str]]:
        """Of the events that somebody checks in this group."""
        checked = {act.event_id for act in acts if act.action in CHECKS}
        found: dict[str, set[str]] = {}
        if checked:
            for row in fetch(self._connection, _HANDLERS, event_log.c.event_id, checked):
                found.setdefault(row["event_id"], set()).add(row["actor"])
        return found

    def resolve(self, act: Act) -> None:
        """Find the event of an abbreviated id. Raises UnknownIdError."""
        event_id = self._ids[act.event_id]
        if event_id not in self.effects.events:
            event_id = resolve(self._connection, events.c.event_id, act.event_id, "event")
            self._ids[act.event_id] = event_id
            self._handlers |= self._find_handlers([replace(act, event_id=event_id)])
            self.effects.hold(fetch(self._connection, EVENTS, events.c.event_id, [event_id]))

    def _known_keys(self, pairs: Sequence[tuple[str, str | None]]) -> dict[tuple[str, str], str]:
        if not pairs:
            return {}
        query = select(idempotency).where(tuple_(idempotency.c.actor, idempotency.c.key).in_(pairs))
        rows = self._connection.execute(query).mappings()
        return {(row["actor"], row["key"]): row["digest"] for row in rows}


def _digest(act: Act, event_id: str) -> str:
    given = {name: str(value) for name, value in act.fields.items() if value is not None}
    text = orjson.dumps([event_id, act.action, act.note or "", given], option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=16).hexdigest()


Q = TypeVar("Q")
A = TypeVar("A")


class GroupCommit(Generic[Q, A]):
    """Requests of many threads in shared transactions, without a thread or a timer of its own.

    Whoever finds nobody committing commits for all that wait; those who come meanwhile form the next group. Alone, a
    request is committed at once; under load groups grow by themselves.
    """

    def __init__(self, commit: Callable[[list[Q]], Sequence[A]], group_max: int = GROUP_ACTS_MAX) -> None:
        self._commit = commit
        self._group_max = group_max
        self._waiting: list[_Waiting[Q, A]] = []
        self._leading = False
        """Whether somebody is committing, or has been told to."""
        self._guard = threading.Lock()

    def submit(self, request: Q) -> A:
        """The request's answer once it is durable. Raises what ``commit`` raised for the group."""
        mine: _Waiting[Q, A] = _Waiting(request)
        with self._guard:
            lead, self._leading = not self._leading, True
            self._waiting.append(mine)
        if not lead:
            mine.woken.wait()
        if not mine.done:
            self._lead()
        if mine.error is not None:
            raise mine.error
        return mine.answers[0]

    def _lead(self) -> None:
        """Commit for all that wait, then wake them and the first of those who have come meanwhile: he leads next."""
        with self._guard:
            group, self._waiting = self._waiting[: self._group_max], self._waiting[self._group_max :]
        try:
            self._carry_out(group)
        finally:
            with self._guard:
                self._leading = bool(self._waiting)
                following = self._waiting[:1]
            for one in (*group, *following):
                one.woken.set()

    def _carry_out(self, group: list[_Waiting[Q, A]]) -> None:
        try:
            answers = self._commit([one.request for one in group])
            for one, answer in zip(group, answers, strict=True):
                one.answers.append(answer)
        except Exception as error:  # noqa: BLE001 - raised again in every thread that waits for it
            for one in group:
                one.error = error
        finally:
            for one in group:
                one.done = True
                if not one.answers and one.error is None:  # Ctrl-C in the thread that was committing
                    one.error = UnavailableError("the commit was interrupted: look again whether it happened")


class _Waiting(Generic[Q, A]):
    """A request and what became of it."""

    __slots__ = ("answers", "done", "error", "request", "woken")

    def __init__(self, request: Q) -> None:
        self.request = request
        self.answers: list[A] = []
        self.error: BaseException | None = None
        self.done = False
        self.woken = threading.Event()
