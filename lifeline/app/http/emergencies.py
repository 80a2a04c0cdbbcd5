"""Normal and emergency (平急) for the console, and who reads more while one lasts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from lifeline.app.http.refusing import refusals
from lifeline.console.problem import OUTSIDE, ProblemError
from lifeline.core.areas import lies_in
from lifeline.core.principal import READERS, Grant
from lifeline.governance import modes, switching
from lifeline.governance.actor import Actor
from lifeline.governance.audit import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifeline.console.ports import Page, Row
    from lifeline.core.ports import Clock
    from lifeline.core.principal import Principal
    from lifeline.governance.desk import GovernanceDesk

PAGES_MAX: Final = 20
"""Pages of emergencies looked through for one page that somebody with limits may see."""
LOOK_MS: Final = 1_000
"""How long an emergency's readers are remembered: it is asked with every request."""
TOLD_MAX: Final = 100_000


class HttpEmergencies:
    """``lifeline.console.ports.EmergenciesPort`` over a desk."""

    def __init__(self, desk: GovernanceDesk) -> None:
        self._desk = desk

    def list_emergencies(
        self, who: Principal, *, running: bool | None, cursor: str | None, limit: int, area: str | None
    ) -> Page:
        """Newest first, those that touch the caller's areas."""
        found: list[Row] = []
        for _ in range(PAGES_MAX):
            with refusals():
                rows, cursor = self._desk.list_emergencies(area=area, running=running, cursor=cursor, limit=limit)
            seen = [_shown(who, row) for row in rows if _touches(who, row["area_code"])]
            if len(found) + len(seen) > limit:
                seen = seen[: limit - len(found)]
                cursor = str(seen[-1]["emergency_id"])
            found += seen
            if cursor is None or len(found) == limit:
                break
        return found, cursor

    def get_emergency(self, who: Principal, emergency_id: int) -> Row:
        """One; its review for those who may see the whole area."""
        with refusals(f"emergency {emergency_id}"):
            row = self._desk.get_emergency(emergency_id)
        if not _touches(who, row["area_code"]):
            raise _unknown(emergency_id)
        return _shown(who, row)

    def start_emergency(self, who: Principal, fields: Mapping[str, Any], key: str | None) -> Row:
        """Begin one until a time, or for so many hours."""
        area = fields["area_code"]
        with refusals(recorded=True):
            row = self._desk.start_emergency(
                area,
                fields.get("until"),
                fields["reason"],
                _actor(who, area),
                hours=fields.get("hours", 0.0),
                key=key,
            )
        return _shown(who, row)

    def end_emergency(self, who: Principal, emergency_id: int, reason: str) -> Row:
        """End one before its time; the row has the review."""
        row = self.get_emergency(who, emergency_id)
        actor = _actor(who, row["area_code"])
        if row["ended_at"] is not None:
            raise ProblemError("conflict", f"emergency {emergency_id} has ended already")
        with refusals(f"emergency {emergency_id}", recorded=True):
            return _shown(who, self._desk.end_emergency(row["area_code"], reason, actor))


def _actor(who: Principal, area: str) -> Actor:
    """``who`` in a role that may switch, held for the area and every utility of it."""
    held = who.roles_at(area, None)
    role = next((role for role in held if role in switching.SWITCHERS), None)
    if role is None:
        wanted = " or ".join(switching.SWITCHERS)
        raise ProblemError("forbidden", f"switching the mode of {area} needs {wanted} there, for all utilities")
    return Actor(who.name, role, address=who.address)


def _touches(who: Principal, area: str) -> bool:
    """Whether any of an area may be the caller's to read."""
    return any(
        grant.role in READERS and (grant.covers(area, None) or not grant.areas or _meets(grant, area))
        for grant in who.grants
    )


def _meets(grant: Grant, area: str) -> bool:
    return area.startswith(grant.prefixes) or lies_in(area, grant.areas)


def _shown(who: Principal, row: Row) -> Row:
    shown = {"emergency_id": row["entry"]} | {name: value for name, value in row.items() if name != "entry"}
    if not who.sees(row["area_code"], None):
        shown["review"] = None
    return shown


def _unknown(emergency_id: int) -> ProblemError:
    return ProblemError(
        "not-found", f"there is no emergency {emergency_id} within your areas and utilities", denied=OUTSIDE
    )


class EmergencyReaders:
    """``lifeline.identity.door.Widen``: who reads more while an emergency lasts.

    Roles that the emergency names may look at its area, of the utilities that they hold them for; they may do nothing
    more there. The first time that somebody does is an entry of the audit, with the emergency's reason.
    """

    def __init__(self, desk: GovernanceDesk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Sequence[modes.Readers] = ()
        self._asked_ms = 0
        self._told: set[tuple[str, int]] = set()

    def __call__(self, account: str, grants: Sequence[Grant], address: str) -> Sequence[Grant]:
        """What is added to an account's grants now."""
        more: list[Grant] = []
        for one in self._running():
            held = [grant for grant in grants if grant.role in one.roles]
            widened = [grant for grant in held if grant.areas and not one.area_code.startswith(grant.prefixes)]
            if widened:
                self._tell(account, one, widened[0].role, address)
            more += [Grant("viewer", (one.area_code,), grant.utilities) for grant in widened]
        return tuple(dict.fromkeys(more))

    def _running(self) -> Sequence[modes.Readers]:
        now = self._clock()
        with self._lock:
            if not 0 <= now - self._asked_ms < LOOK_MS:
                self._known, self._asked_ms = self._desk.emergency_readers(), now
            return self._known

    def _tell(self, account: str, one: modes.Readers, role: str, address: str) -> None:
        key = account, one.entry
        if key in self._told:
            return
        fields = {"emergency_id": one.entry}
        what = (account, "read.emergency", f"mode/{one.area_code}", role, address, "done", one.reason)
        self._desk.record(AuditEntry("read", *what, fields=fields))
        if len(self._told) >= TOLD_MAX:
            self._told.clear()
        self._told.add(key)
