"""The governance queue for the console."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.app.http.refusing import refusals, unknown
from lifeline.app.latched import is_latched
from lifeline.console.problem import OUTSIDE, ProblemError
from lifeline.core.personal import masked_text
from lifeline.core.principal import Grant, narrowed
from lifeline.governance import alarms, kpi, reach, reports, states
from lifeline.governance.actor import Actor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from lifeline.app.http.points import Points
    from lifeline.app.latched import Latched
    from lifeline.console.ports import Page, Row, Within
    from lifeline.core.ports import Clock
    from lifeline.core.principal import Principal
    from lifeline.governance.desk import GovernanceDesk

PAGES_MAX: Final = 20
"""Pages of the supervision feed looked through for one page of somebody with limits."""


class HttpQueue:
    """``lifeline.console.ports.QueuePort`` over a desk; one instance for all threads."""

    def __init__(
        self,
        desk: GovernanceDesk,
        points: Points,
        clock: Clock,
        timezone: str,
        latched: Callable[[], Latched] = frozenset,
    ) -> None:
        """``latched``: which alarms only their latch holds up, as the engine last told."""
        self._latched = latched
        self._desk = desk
        self._points = points
        self._clock = clock
        self._timezone = timezone

    # --- reading -----------------------------------------------------------------------------------------------

    def list_events(self, within: Within, *, masked: bool, **filters: Any) -> Page:
        """As ``GovernanceDesk.list_events``."""
        with refusals():
            rows, following = self._desk.list_events(within=_reach(within, filters.pop("area", None)), **filters)
        return self._shown(rows, masked=masked), following

    def get_event(self, event_id: str, *, masked: bool) -> Row:
        """As ``GovernanceDesk.get_event``; the engine's and people's words name devices: masked like the alarms."""
        with refusals(f"event {event_id!r}"):
            row = self._desk.get_event(event_id)
        row["reports_received"] = self._desk.reports_of(row["event_id"])
        if masked:
            devices = {alarm["device_id"] for alarm in row["alarms"]}
            texts = [(row, "title"), *((entry, "note") for entry in row["log"])]
            texts += [(entry, "description") for entry in row["reports_received"]]
            self._points.mask_texts(texts, devices)
            self._points.mask_alarms(row["alarms"])
        self._with_latch(row["alarms"])
        return self._shown([row], masked=masked)[0]

    def _shown(self, rows: list[Row], *, masked: bool) -> list[Row]:
        """Events as they leave, in place: what they touch beside their own place by codes."""
        for row in rows:
            row["also_in"] = reach.codes(row)
        if masked:
            self._points.mask_events(rows)
            for row in rows:
                if row["recheck"] is not None:
                    self._mask_evidence(row)
        return rows

    def _mask_evidence(self, row: Row) -> None:
        """What telemetry said at closing names the devices that it asked."""
        packed = row["recheck"] if isinstance(row["recheck"], str) else orjson.dumps(row["recheck"]).decode()
        told = {"recheck": packed}
        devices = {alarm["device_id"] for alarm in orjson.loads(packed).get("alarms", ())}
        self._points.mask_texts([(told, "recheck")], devices)
        row["recheck"] = told["recheck"] if isinstance(row["recheck"], str) else orjson.loads(told["recheck"])

    def sees(self, who: Principal, event: Row) -> bool:
        """Whether a place that it touches lies within the caller's reach: what crosses districts is of both."""
        return any(who.sees(*place) for place in _places(event))

    def actions(self, who: Principal, event: Row) -> list[str]:
        """What the roles that ``who`` holds there may do."""
        held = _held(who, event)
        return list(dict.fromkeys(action for role in held for action in states.legal(event["status"], role)))

    def list_alarms(self, within: Within, *, masked: bool, **filters: Any) -> Page:
        """As ``GovernanceDesk.list_alarms``; the state ``active`` is any in which the condition stands."""
        if filters.get("state") == ["active"]:
            filters |= {"state": None, "active": True}
        with refusals():
            rows, following = self._desk.list_alarms(within=_reach(within, filters.pop("area", None)), **filters)
        if masked:
            self._points.mask_alarms(rows)
        return self._with_latch(rows), following

    def _with_latch(self, rows: list[Row]) -> list[Row]:
        """Alarms with ``latched``, in place: the condition is over, an acknowledgement ends it."""
        held = self._latched()
        for row in rows:
            row["latched"] = is_latched(row, held)
        return rows

    def get_alarm(self, alarm_id: str, *, masked: bool) -> Row:
        """As ``GovernanceDesk.get_alarm``."""
        with refusals(f"alarm {alarm_id!r}"):
            row = self._desk.get_alarm(alarm_id)
        if masked:
            self._points.mask_texts([(entry, "note") for entry in row["log"]], {row["device_id"]})
            for entry in row["log"]:
                entry["note"] = masked_text(entry["note"] or "")
            self._points.mask_alarms([row])
        return self._with_latch([row])[0]

    def list_escalations(
        self, who: Principal, *, masked: bool, after: int, centre: str | None, limit: int
    ) -> tuple[list[Row], int | None]:
        """As ``GovernanceDesk.list_escalations``: of events that the caller may see, each named by title and place."""
        found: list[Row] = []
        following: int | None = after
        for _ in range(PAGES_MAX):
            with refusals():
                rows, following = self._desk.list_escalations_with_events(following or 0, centre, limit - len(found))
            found += [row for row in rows if self.sees(who, row["event"])]
            if following is None or len(found) >= limit:
                break
        self._shown(list({row["event_id"]: row["event"] for row in found}.values()), masked=masked)
        told = [_briefly(row) for row in found]
        for row in told if masked else ():
            row |= {name: row[name] and masked_text(row[name]) for name in ("title", "unit")}
        return told, following

    def newest_change(self) -> int:
        """The number of the newest entry of the event log."""
        return self._desk.newest_change()

    def changes(self, after: int, limit: int) -> list[Row]:
        """Entries after a number, each with its event, masked: a stream has no purpose and no case."""
        rows = self._desk.changes(after, limit)
        self._shown(list({row["event"]["event_id"]: row["event"] for row in rows}.values()), masked=True)
        return rows

    def kpi(self, who: Principal, start: date | None, end: date | None, **filters: Any) -> Row:
        """As ``GovernanceDesk.kpi``; whoever has limits names a district or a utility within them."""
        town, district, utility = filters.get("town"), filters.get("district"), filters.get("utility")
        by = filters.get("by")
        place = None if filters.get("rule") is not None or by == "rule" else town or district
        if not who.sees_all and not who.sees(place, utility):
            raise ProblemError("forbidden", "your grants have limits: name a district (or town) and a utility within")
        if by == "district" and not who.sees(None, utility):
            raise ProblemError("forbidden", "figures of all districts are for those who may see them all")
        today = kpi.today(self._clock(), self._timezone)
        with refusals():
            return self._desk.kpi(start or today - timedelta(29), end or today + timedelta(1), **filters)

    def proposal(self, event: Row) -> Row:
        """As ``GovernanceDesk.propose``."""
        with refusals(f"event {event['event_id']!r}"):
            return self._desk.propose(event["event_id"])

    def services(self) -> list[Row]:
        """What can be reported."""
        return [
            {"code": code, "utility": utility, "zh": zh, "en": en}
            for code, (utility, _, zh, en) in reports.SERVICES.items()
        ]

    def get_report(self, report_id: str) -> Row:
        """As ``GovernanceDesk.get_report``, without the ids of households' devices."""
        with refusals(f"report {report_id!r}"):
            row = self._desk.get_report(report_id)
        self._points.mask_texts([(row, "description")])
        return row

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
        missed = "conflict" if version is None else "changed"
        with self._masked(), refusals(f"event {event_id!r}", missed, recorded=True):
            event = self._desk.get_event(event_id)
            actor = self._actor(who, event, f"event {event_id!r}", states.roles_of(event["status"], action), wanted)
            row = self._desk.act(event["event_id"], action, actor, note, expected_version=version, key=key, **given)
        return self._shown([row], masked=True)[0]

    def act_alarm(self, who: Principal, alarm_id: str, action: str, fields: Mapping[str, Any]) -> Row:
        """Acts on alarms change nothing when repeated, so they need no idempotency key."""
        minutes, until = fields.get("minutes"), fields.get("until")
        if minutes is not None:
            until = self._clock() + int(minutes * 60_000)
        known = alarms.ACTS.get(action)
        with self._masked(), refusals(f"alarm {alarm_id!r}"):
            alarm = self._desk.get_alarm(alarm_id)
            actor = self._actor(who, alarm, f"alarm {alarm_id!r}", known.roles if known else (), None)
            row = self._desk.act_alarm(
                *(alarm["alarm_id"], action, actor, fields.get("note"), until), once=fields.get("once")
            )
        self._points.mask_alarms([row])
        return self._with_latch([row])[0]

    def report(self, who: Principal, fields: Mapping[str, Any], key: str | None) -> Row:
        """As ``GovernanceDesk.report``; an idempotency key stands in for a reference that was not given."""
        given = dict(fields)
        service = reports.SERVICES.get(given.get("service", ""))
        utility = given.get("utility") or (service[0] if service else None)
        held = [grant for grant in who.grants if grant.role in reports.CALLERS]
        fitting = [grant for grant in held if grant.covers(given.get("area_code"), utility)]
        if given.get("area_code") is None and given.get("lon") is not None:  # where it lies is found out by the queue
            fitting = fitting or [grant for grant in held if not grant.utilities or utility in grant.utilities]
        if not fitting:
            raise ProblemError("forbidden", "this area or utility lies outside your grants; name both")
        grant = fitting[0]
        actor = Actor(who.name, grant.role, grant.areas, grant.utilities, who.address)
        if key is not None and given.get("external_ref") is None:
            given["external_ref"] = f"{who.name}:{key}"[:200]
        with refusals():
            row = self._desk.report(reports.Report(**given), actor)
        return {name: row[name] for name in ("event_id", "report_id", "merged", "distance_m")}

    @contextmanager
    def _masked(self) -> Iterator[None]:
        """Why something is refused may name the devices that it hangs on: masked, as in what an act answers."""
        try:
            yield
        except ProblemError as problem:
            told = {"detail": problem.detail}
            self._points.mask_texts([(told, "detail")])
            problem.detail = masked_text(told["detail"])
            raise

    @staticmethod
    def _actor(who: Principal, row: Row, what: str, may: tuple[str, ...], wanted: str | None) -> Actor:
        """``who`` in the role to act in: among those held for this row, the one asked for, or the first that may."""
        if not any(who.sees(*place) for place in _places(row)):
            raise unknown(what, OUTSIDE)
        held = _held(who, row)
        if wanted is not None and wanted not in held:
            raise ProblemError("forbidden", f"you do not hold the role {wanted!r} for this area and utility")
        role = wanted or next((role for role in held if role in may), held[0])
        return Actor(who.name, role, address=who.address)


def _briefly(row: Row) -> Row:
    """A step of the supervision feed with what it is about."""
    event = row.pop("event")
    return row | {name: event[name] for name in ("title", "utility", "area_code", "also_in", "status", "supervision")}


def _places(row: Row) -> list[tuple[str | None, str | None]]:
    """(area, utility) of everything that an event touches; of an alarm its own."""
    return row.get("places") or [(row["area_code"], row["utility"])]


def _held(who: Principal, row: Row) -> tuple[str, ...]:
    """Roles held at any of its places."""
    return tuple(dict.fromkeys(role for place in _places(row) for role in who.roles_at(*place)))


def _reach(within: Within, area: str | None) -> Within:
    """The caller's grants, narrowed to an area that was asked for."""
    if area is None:
        return within
    return narrowed([Grant("viewer")] if within is None else within, areas=(area,))
