"""What people tell: citizens, patrols, 110/119/120, utilities and superiors report into the same queue.

A report opens an event, or joins one that is there: the nearest open event of the same utility within the policy's
radius and time. The other way round, alarms join what was told before (``fold``). Two people who smell the same leak,
and the sensor that measures it, are one case. Reports with a reference of their own (the caller's number) are taken
once. Opens no transaction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import or_, select

from lifeline.core.schema import LEVELS, UTILITIES
from lifeline.governance import aside, deadlines
from lifeline.governance.asking import fetch
from lifeline.governance.blank import blank_event
from lifeline.governance.effects import Effects
from lifeline.governance.emergency import EMERGENCY
from lifeline.governance.errors import FieldError, ForbiddenError, UnknownIdError
from lifeline.governance.fields import text
from lifeline.governance.hand import REPORTED
from lifeline.governance.modes import mode_at
from lifeline.governance.nearby import box, distance_m
from lifeline.governance.reach import places
from lifeline.governance.reference import area_at, around
from lifeline.governance.schema import EVENTS, OPEN, events, reports
from lifeline.governance.statements import insert_rows
from lifeline.governance.store import store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lifeline.governance.actor import Actor
    from lifeline.governance.journal import Journal
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

SOURCES: Final[dict[str, str]] = {
    "citizen": "群众上报",
    "patrol": "巡查上报",
    "110": "110 报警",
    "119": "119 报警",
    "120": "120 急救",
    "utility": "权属单位",
    "superior": "上级交办",
}
"""Who reports, with the Chinese name. Telemetry is not among them: it reports by rules."""

SERVICES: Final[dict[str, tuple[str, str, str, str]]] = {
    "gas-smell": ("gas", "gas-leak", "燃气异味", "Smell of gas"),
    "gas-outage": ("gas", "gas-supply", "停气", "No gas"),
    "water-leak": ("water", "water-leak", "供水漏损", "Water leak or burst"),
    "water-outage": ("water", "water-supply", "停水或水压低", "No water or low pressure"),
    "water-quality": ("water", "water-quality", "水质异常", "Discoloured or smelling water"),
    "heat-leak": ("heat", "heat-leak", "供热管网泄漏", "Leak of the heating network"),
    "heat-cold": ("heat", "heat-supply", "室温不达标", "Rooms stay cold"),
    "manhole": ("gas", "manhole", "井盖缺失或移位", "Manhole cover missing or moved"),
}
"""Service code (Open311) → utility, kind of event, Chinese and English name."""

CALLERS: Final = ("operator", "dispatcher", "admin", "reporter")
"""Roles that may report."""
NEAREST_MAX: Final = 500
"""Open events within the square round a report that are looked at."""
AT_AHEAD_MS: Final = 600_000
"""How far ahead of our clock a report's time may lie."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report: a ``service`` or ``utility``, words, and a place by ``lon``/``lat``, ``area_code`` or ``address``."""

    source: str
    description: str
    service: str | None = None
    utility: str | None = None
    kind: str | None = None
    level: str | None = None
    lon: float | None = None
    lat: float | None = None
    area_code: str | None = None
    address: str | None = None
    at: int | None = None
    """When it was seen, epoch ms; now if not given."""
    reporter: str | None = None
    contact: str | None = None
    external_ref: str | None = None


def take_report(
    connection: Connection, report: Report, actor: Actor, now_ms: int, *, policy: Policy, journal: Journal
) -> Row:
    """Take a report in; returns ``{report_id, event_id, merged, distance_m, event}``.

    The same ``source`` and ``external_ref`` again gives the first answer and changes nothing.

    Raises:
        ForbiddenError, FieldError: nothing was changed.
    """
    if actor.role not in CALLERS:
        raise ForbiddenError(f"reporting is for {', '.join(CALLERS)}, not for {actor.role!r}")
    made = _checked(report, now_ms)
    if made["external_ref"] is not None:
        same = (reports.c.source == made["source"]) & (reports.c.external_ref == made["external_ref"])
        known = connection.execute(select(reports).where(same)).mappings().first()
        if known is not None:
            return _answer(connection, dict(known))
    if made["area_code"] is None and made["lon"] is not None:
        made["area_code"] = area_at(connection, made["lon"], made["lat"])
    actor.check(made, "the place")
    district, township = around(connection, made["area_code"])
    effects = Effects()
    near = _nearest(connection, made, policy, now_ms)
    identity = "\x1f".join((made["source"], made["external_ref"] or token_hex(10)))
    made["report_id"] = blake2b(identity.encode(), digest_size=10).hexdigest()
    if near is not None:
        row, made["distance_m"] = near
        effects.hold([row])
        row = effects.events[row["event_id"]]
        made["merged"] = True
        aside.tell(effects, row, "有人报告 / people tell of it", policy, now_ms)
        row["reports"] += 1
        row["version"] += 1
        if made["area_code"] is not None:
            effects.reach(row, (made["area_code"], made["utility"] or row["utility"]), (district, township))
        words = f"{SOURCES[made['source']]}（{made['distance_m']:.0f} m）：{made['description'][:500]}"
        effects.say(row, now_ms, actor, "report", words, carried={"report_id": made["report_id"]})
    else:
        row = _event(made, district, township, now_ms)
        row["mode"], row["incident_id"] = mode_at(connection, row, now_ms)
        made["merged"] = False
        effects.open(row)
        deadlines.settle(effects, None, row, policy, now_ms)
        carried = {"report_id": made["report_id"], "source": made["source"]}
        effects.say(row, now_ms, actor, "open", made["description"][:500], before=None, carried=carried)
    made |= {"event_id": row["event_id"], "actor": actor.id, "stored_at": now_ms}
    store(connection, effects, journal, policy.timezone)
    stored = {column.name: made.get(column.name) for column in reports.columns}
    insert_rows(connection, reports, [stored])
    return _answer(connection, stored)


def _checked(report: Report, now_ms: int) -> Row:
    """The report's columns. Raises FieldError."""
    service = SERVICES.get(report.service or "")
    utility = report.utility or (service[0] if service else None)
    for name, value, known in (
        ("source", report.source, SOURCES),
        ("service", report.service, SERVICES),
        ("utility", utility, UTILITIES),
        ("level", report.level, LEVELS),
    ):
        if value is not None and value not in known:
            raise FieldError(f"there is no {name} {value[:40]!r}; there are {', '.join(known)}")
    _check_place(report)
    if report.at is not None and not 0 < report.at <= now_ms + AT_AHEAD_MS:
        raise FieldError(f"at {report.at} is not a time in the past (epoch ms)")
    made: Row = {
        "source": report.source,
        "service_code": report.service,
        "utility": utility,
        "level": report.level,
        "lon": report.lon,
        "lat": report.lat,
        "at": report.at or now_ms,
        "distance_m": None,
        "kind": _text("kind", report.kind, 64) or (service[1] if service else "reported"),
    }
    for name, chars in _TEXTS.items():
        made[name] = _text(name, getattr(report, name), chars)
    if made["description"] is None:
        raise FieldError("description must not be empty")
    if made["area_code"] is not None and not made["area_code"].isalnum():
        raise FieldError(f"{made['area_code']!r} is no area code: letters and digits only")
    return made


def _check_place(report: Report) -> None:
    if (report.lon is None) != (report.lat is None):
        raise FieldError("a place needs both lon and lat")
    for name, value, limit in (("lon", report.lon, 180), ("lat", report.lat, 90)):
        if value is not None and not (math.isfinite(value) and abs(value) <= limit):
            raise FieldError(f"{name} {value!r} is no position in degrees")
    if report.lon is None and not report.area_code and not report.address:
        raise FieldError("say where: lon and lat, an area_code, or an address")


_TEXTS: Final = {
    "description": 4000,
    "area_code": 32,
    "address": 500,
    "reporter": 200,
    "contact": 200,
    "external_ref": 200,
}


def _text(name: str, value: str | None, chars_max: int) -> str | None:
    if value is None:
        return None
    try:
        return text(value, chars_max)
    except ValueError as error:
        raise FieldError(f"{name} {error}") from None


def _nearest(connection: Connection, made: Row, policy: Policy, now_ms: int) -> tuple[Row, float] | None:
    """The open event that this report is about, and how far away it is."""
    if made["lon"] is None:
        return None
    lon, lat, radius = made["lon"], made["lat"], policy.report.radius_m
    west, east, south, north = box(lon, lat, radius)
    oldest = made["at"] - (policy.report.within.after(made["at"], policy.working) - made["at"])
    query = select(events).where(
        OPEN,
        events.c.lat.between(south, north),
        events.c.lon.between(west, east),
        events.c.category == "process",
        events.c.kind != EMERGENCY,  # it lies at its area's centre and nobody is sent there
        or_(events.c.detected_at >= oldest, events.c.active_count > 0),
        events.c.detected_at <= now_ms,
    )
    if made["utility"] is not None:
        query = query.where(or_(events.c.utility == made["utility"], events.c.utility.is_(None)))
    found = [dict(row) for row in connection.execute(query.limit(NEAREST_MAX)).mappings()]
    apart = [(distance_m(lon, lat, row["lon"], row["lat"]), row["event_id"], row) for row in found]
    within = sorted((one for one in apart if one[0] <= radius), key=lambda one: one[:2])
    return (within[0][2], round(within[0][0], 1)) if within else None


def _event(made: Row, district: str | None, township: str | None, now_ms: int) -> Row:
    service = SERVICES.get(made["service_code"] or "")
    what = f"{service[2]} / {service[3]}" if service else f"{SOURCES[made['source']]} / reported"
    where = made["address"] or made["area_code"] or ""
    return blank_event() | {
        "event_id": blake2b(f"report\x1f{made['report_id']}".encode(), digest_size=10).hexdigest(),
        "level": made["level"] or "yellow",
        "utility": made["utility"],
        "title": " · ".join(part for part in (what, where[:100]) if part),
        "area_code": made["area_code"],
        "district": district,
        "township": township,
        "raised_at": made["at"],
        "detected_at": now_ms,
        "kind": made["kind"],
        "place_kind": REPORTED,
        "place": made["report_id"],
        "group_key": f"report\x1f{made['report_id']}",
        "source": made["source"],
        "lon": made["lon"],
        "lat": made["lat"],
        "reports": 1,
        "stored_at": now_ms,
    }


def _answer(connection: Connection, report: Row) -> Row:
    (row,) = fetch(connection, EVENTS, events.c.event_id, [report["event_id"]])
    return {name: report[name] for name in ("report_id", "event_id", "merged", "distance_m")} | {"event": row}


def get_report(connection: Connection, report_id: str) -> Row:
    """One report with its ``event`` and the ``places`` of that; reporter and contact are personal.

    Raises:
        UnknownIdError: there is none.
    """
    found = connection.execute(select(reports).where(reports.c.report_id == report_id)).mappings().first()
    if found is None:
        raise UnknownIdError(f"there is no report {report_id[:40]!r}")
    event = _answer(connection, dict(found))["event"]
    return dict(found) | {"event": event, "places": places(connection, [event])[event["event_id"]]}


def reports_of(connection: Connection, event_id: str, limit: int = 100) -> list[Row]:
    """Reports of an event, oldest first; reporter and contact are personal."""
    query = select(reports).where(reports.c.event_id == event_id).order_by(reports.c.stored_at, reports.c.report_id)
    return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]
