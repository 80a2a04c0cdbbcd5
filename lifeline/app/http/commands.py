"""Commands to devices for the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.app.http.refusing import refusals
from lifeline.console.problem import OUTSIDE, ProblemError
from lifeline.governance.actor import Actor
from lifeline.governance.outgoing.downlink import ORDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifeline.app.http.points import Points
    from lifeline.console.ports import Page, Row
    from lifeline.core.principal import Principal
    from lifeline.governance.desk import GovernanceDesk


class HttpCommands:
    """``lifeline.console.ports.CommandsPort`` over a desk and the registry."""

    def __init__(self, desk: GovernanceDesk, points: Points) -> None:
        self._desk = desk
        self._points = points

    def order(self, who: Principal, device: str, fields: Mapping[str, Any], key: str | None, *, masked: bool) -> Row:
        """Send a command; what lies outside the caller's reach is not there."""
        place = self._points.place_of(device, masked=masked)
        if place is None or not who.sees(place["area_code"], place["utility"]):
            raise ProblemError("not-found", f"there is no device {device!r} within your areas and utilities")
        given = dict(fields)
        action, event_id = given.pop("action"), given.pop("event_id", None)
        held = who.roles_at(place["area_code"], place["utility"])
        order = ORDERS.get(action)
        may = order.roles if order else ()
        role = next((role for role in held if role in may), held[0])
        with refusals(f"event {event_id!r}", recorded=True):
            if event_id is not None:
                event = self._desk.get_event(event_id)
                if not any(who.sees(*touched) for touched in event["places"]):
                    raise ProblemError(
                        "not-found", f"there is no event {event_id!r} within your areas and utilities", denied=OUTSIDE
                    )
                event_id = event["event_id"]
            actor = Actor(who.name, role, address=who.address)
            row = self._desk.command(
                actor, place["device_id"], action, place=place, event_id=event_id, key=key, **given
            )
        return self._shown([row], masked=masked)[0]

    def list_commands(self, who: Principal, *, masked: bool, **filters: Any) -> Page:
        """Newest first, those to devices within the caller's reach."""
        device = filters.get("device")
        if device is not None:
            place = self._points.place_of(device, masked=masked)
            filters["device"] = place["device_id"] if place else device
            if place is None:
                return [], None
        with refusals():
            rows, following = self._desk.list_commands(within=who.scope(), **filters)
        return self._shown(rows, masked=masked), following

    def get_command(self, who: Principal, command_id: str, *, masked: bool) -> Row:
        """One, with its reply."""
        with refusals(f"command {command_id!r}"):
            row = self._desk.get_command(command_id)
        if not who.sees(row["area_code"], row["utility"]):
            raise ProblemError(
                "not-found", f"there is no command {command_id!r} within your areas and utilities", denied=OUTSIDE
            )
        return self._shown([row], masked=masked)[0]

    def _shown(self, rows: list[Row], *, masked: bool) -> list[Row]:
        if not masked:
            return rows
        hidden = self._points.pseudonyms(row["device_id"] for row in rows)
        return [row | {"device_id": hidden.get(row["device_id"], row["device_id"])} for row in rows]
