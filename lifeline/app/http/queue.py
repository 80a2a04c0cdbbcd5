"""The governance queue for the console."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from lifeline.console.problem import ProblemError
from lifeline.core.principal import Grant, narrowed
from lifeline.governance import alarms, states
from lifeline.governance.actor import Actor
from lifeline.governance.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    IllegalActionError,
    RefusedError,
    UnknownIdError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lifeline.app.http.points import Points
    from lifeline.console.ports import Page, Row, Within
    from lifeline.core.ports import Clock
    from lifeline.core.principal import Principal
    from lifeline.governance.desk import GovernanceDesk

KINDS_OF: Final[dict[type[RefusedError], str]] = {
    UnknownIdError: "not-found",
    ForbiddenError: "forbidden",
    IllegalActionError: "conflict",
    FieldError: "invalid",
    RefusedError: "conflict",
}


@contextmanager
def refusals(conflict: str = "conflict") -> Iterator[None]:
    """Refusals of the queue as problems; ``conflict``: what it is when somebody else was faster.

    Raises:
        ProblemError: in place of any ``RefusedError``.
    """
    try:
        yield
    except RefusedError as error:
        kind = conflict if isinstance(error, ConflictError) else KINDS_OF[type(error)]
        raise ProblemError(kind, str(error)) from error


class HttpQueue:
    """``lifeline.console.ports.QueuePort`` over a desk; one instance for all threads."""

    def __init__(self, desk: GovernanceDesk, points: Points, clock: Clock) -> None:
        self._desk = desk
        self._points = points
        self._clock = clock

    # --- reading -----------------------------------------------------------------------------------------------

    def list_events(self, within: Within, *, masked: bool, **filters: Any) -> Page:
        """As ``GovernanceDesk.list_events``."""
        with refusals():
            rows, following = self._desk.list_events(within=_reach(within, filters.pop("area", None)), **filters)
        if masked:
            self._points.mask_events(rows)
        return rows, following

    def get_event(self, event_id: str, *, masked: bool) -> Row:
        """As ``GovernanceDesk.get_event``; the engine's notes name devices, so they are masked with the alarms."""
        with refusals():
            row = self._desk.get_event(event_id)
        if masked:
            hidden = self._points.pseudonyms(alarm["device_id"] for alarm in row["alarms"])
            for entry in row["log"]:
                for device, mask in hidden.items():
                    entry["note"] = entry["note"].replace(device, mask)
            self._points.mask_events([row])
            self._points.mask_alarms(row["alarms"])
        return row

    def actions(self, who: Principal, event: Row) -> list[str]:
        """What the roles that ``who`` holds there may do."""
        held = who.roles_at(event["area_code"], event["utility"])
        return list(dict.fromkeys(action for role in held for action in states.legal(event["status"], role)))

    def list_alarms(self, within: Within, *, masked: bool, **filters: Any) -> Page:
        """As ``GovernanceDesk.list_alarms``; the state ``active`` is any in which the condition stands."""
        if filters.get("state") == ["active"]:
            filters |= {"state": None, "active": True}
        with refusals():
            rows, following = self._desk.list_alarms(within=_reach(within, filters.pop("area", None)), **filters)
        if masked:
            self._points.mask_alarms(rows)
        return rows, following

    def get_alarm(self, alarm_id: str, *, masked: bool) -> Row:
        """As ``GovernanceDesk.get_alarm``."""
        with refusals():
            row = self._desk.get_alarm(alarm_id)
        if masked:
            self._points.mask_alarms([row])
        return row

    def newest_change(self) -> int:
        """The number of the newest entry of the event log."""
        return self._desk.newest_change()

    def changes(self, after: int, limit: int) -> list[Row]:
        """Entries after a number, each with its event, masked: a stream has no purpose and no case."""
        rows = self._desk.changes(after, limit)
        self._points.mask_events([row["event"] for row in rows])
        return rows

    # --- acting ------------------------------------------------------------------------------------------------

    def act(
        self,
        who: Principal,
        event_id: str,
        action: str,
        fields: Mapping[str, Any],
        version: int | None,
        key: str | None,
    ) -> Row:
        """Act in the first role held there that may; a version that was named and is past is 412, not 409."""
        given = dict(fields)
        wanted = given.pop("role", None)
        note = given.pop("note", None)
        with refusals(conflict="conflict" if version is None else "changed"):
            event = self._desk.get_event(event_id)
            actor = self._actor(who, event, f"event {event_id!r}", states.roles_of(event["status"], action), wanted)
            row = self._desk.act(event["event_id"], action, actor, note, expected_version=version, key=key, **given)
        self._points.mask_events([row])
        return row

    def act_alarm(self, who: Principal, alarm_id: str, action: str, fields: Mapping[str, Any]) -> Row:
        """Acts on alarms change nothing when repeated, so they need no idempotency key."""
        minutes, until = fields.get("minutes"), fields.get("until")
        if minutes is not None:
            until = self._clock() + int(minutes * 60_000)
        known = alarms.ACTS.get(action)
        with refusals():
            alarm = self._desk.get_alarm(alarm_id)
            actor = self._actor(who, alarm, f"alarm {alarm_id!r}", known.roles if known else (), None)
            row = self._desk.act_alarm(alarm["alarm_id"], action, actor, fields.get("note"), until)
        self._points.mask_alarms([row])
        return row

    @staticmethod
    def _actor(who: Principal, row: Row, what: str, may: tuple[str, ...], wanted: str | None) -> Actor:
        """``who`` in the role to act in: among those held for this row, the one asked for, or the first that may."""
        if not who.sees(row["area_code"], row["utility"]):
            raise ProblemError("not-found", f"there is no {what} within your areas and utilities")
        held = who.roles_at(row["area_code"], row["utility"])
        if wanted is not None and wanted not in held:
            raise ProblemError("forbidden", f"you do not hold the role {wanted!r} for this area and utility")
        role = wanted or next((role for role in held if role in may), held[0])
        return Actor(who.name, role, address=who.address)


def _reach(within: Within, area: str | None) -> Within:
    """The caller's grants, narrowed to an area that was asked for."""
    if area is None:
        return within
    return narrowed([Grant("viewer")] if within is None else within, areas=(area,))
