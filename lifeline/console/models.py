"""What goes over the wire, for the API's description and for the typed client. Times are epoch milliseconds UTC.

Answers may carry more keys than named here: additions are no breaking change, so clients must ignore what they do not
know. Requests are strict: an unknown key is an error, because a misspelt deadline must not be silently none.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Millis = Annotated[int, Field(ge=0, le=4_102_444_800_000, description="epoch milliseconds UTC")]
Text = Annotated[str | None, Field(max_length=200)]


class Answer(BaseModel):
    """A row of ours."""

    model_config = ConfigDict(extra="allow")


class Asked(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Event(Answer):
    """A case: alarms of one kind at one place, or what people reported."""

    event_id: str
    level: str = Field(description="red, orange, yellow, blue")
    status: str
    utility: str | None
    title: str
    area_code: str | None
    also_in: list[str] = Field(default=[], description="townships, or districts, that it touches beside its own")
    raised_at: int
    detected_at: int
    due_at: int | None = None
    owner: str | None = None
    alarm_count: int
    mode: str
    version: int = Field(description="rises with every act; the ETag of the event")


class LogEntry(Answer):
    """One thing that happened to an event."""

    entry: int
    at: int
    actor: str
    role: str
    action: str
    from_status: str | None
    to_status: str
    note: str


class Alarm(Answer):
    """One rule at one point, from raising to clearing."""

    alarm_id: str
    rule_id: str
    rule_version: int
    point: int
    device_id: str
    quantity: str
    raised_at: int
    detected_at: int
    cleared_at: int | None
    value: float | None
    limit: float | None
    level: str
    state: str
    active: bool = Field(default=False, description="its condition stands, or it is latched")
    latched: bool = Field(default=False, description="its condition is over; acknowledging it ends it")
    acked: bool = Field(default=False, description="somebody has seen it")
    cause_id: str | None = Field(default=None, description="the alarm that explains it")
    realarms: int = Field(default=0, description="how often it was annunciated again")
    historic: bool = Field(default=False, description="it was over before anybody could hear of it")


class EventDetail(Event):
    """A case with everything about it."""

    alarms: list[Alarm]
    log: list[LogEntry]
    actions: list[str] = Field(description="what the caller may do now")
    explains: int = Field(
        default=0, description="events put aside beneath it; closing it while its alarm stands tells them"
    )


class EventPage(Answer):
    """Newest first."""

    events: list[Event]
    next: str | None = Field(description="pass as cursor for the next page; null at the end")


class AlarmPage(Answer):
    """Newest first."""

    alarms: list[Alarm]
    next: str | None


class Escalation(Answer):
    """A reminder, or an overdue step told to a centre: once each."""

    entry: int
    event_id: str
    stage: str = Field(description="triage, dispatch, accept, handle or check")
    step: int = Field(description="0 a reminder, then one for each centre")
    name: str = Field(description="remind, township, district or city")
    at: int
    due_at: int
    centre: str | None = Field(description="the area whose centre was told")
    unit: str | None
    level: str
    title: str
    utility: str | None
    area_code: str | None
    also_in: list[str]
    status: str = Field(description="of the event, now")
    supervision: int = Field(description="of the event, now")


class EscalationPage(Answer):
    """In order: the oldest first."""

    escalations: list[Escalation]
    next: int | None = Field(description="pass as `after` for what comes next; null: there is no more yet")


class AlarmDetail(Alarm):
    """An alarm with what people did about it."""

    log: list[dict[str, Any]] = []


class Point(Answer):
    """One quantity of one device. ``masked``: the position is coarse and a household's ids are pseudonyms."""

    point: int
    device_id: str
    quantity: str
    unit: str | None
    utility: str | None
    kind: str | None
    lon: float | None
    lat: float | None
    area_code: str | None
    masked: bool


class PointPage(Answer):
    """By point number."""

    points: list[Point]
    next: str | None


class Readings(Answer):
    """Readings of one point, oldest first."""

    device_id: str
    quantity: str
    unit: str | None
    rows: int = Field(description="readings in the period")
    downsampled: bool = Field(description="true: minimum and maximum of each stretch of bucket_ms")
    bucket_ms: int | None
    readings: list[tuple[int, float]] = Field(description="[epoch ms, value]; nulls and bad quality are left out")


class LastValue(Answer):
    """The newest reading of a point; null where it has none yet."""

    point: int
    device_id: str
    quantity: str
    unit: str | None
    ts: int | None
    received_at: int | None
    value: float | None
    quality: int | None


class LivePage(Answer):
    """By point number. ``position``: at least as new as this log record."""

    values: list[LastValue]
    position: int
    next: str | None


class Area(Answer):
    """An area and what it lies in."""

    area_code: str
    level: str | None
    name: str | None
    parent_code: str | None


class AreaPage(Answer):
    """By code."""

    areas: list[Area]
    next: str | None


class AuditPage(Answer):
    """Newest first."""

    entries: list[dict[str, Any]]
    next: str | None


class InclusionProof(Answer):
    """That an entry is in the audit: hashes in hexadecimal, the proof from the bottom (RFC 9162, section 2.1.3)."""

    entry: int
    leaf: str
    size: int
    root: str = Field(
        description="of the tree over the first `size` entries: what a checkpoint of that size has signed"
    )
    proof: list[str]


class ConsistencyProof(Answer):
    """That the audit begins with an older one (RFC 9162, section 2.1.4)."""

    older: int
    older_root: str
    size: int
    root: str
    proof: list[str]


class Me(Answer):
    """The caller."""

    name: str
    roles: list[str]
    grants: list[dict[str, Any]]
    grade: str
    via: str
    csrf: str | None = Field(description="send as X-CSRF-Token with every act of a browser session")


class Act(Asked):
    """What an action carries; which fields it needs and takes is in the table of docs/governance.md."""

    note: str | None = Field(default=None, max_length=4000)
    role: str | None = Field(
        default=None, max_length=32, description="act in this role; default: the first held that may"
    )
    owner: Text = None
    co_owners: Text = None
    cause: Text = None
    level: str | None = Field(default=None, max_length=8)
    until: Millis | None = None
    due_at: Millis | None = None
    false_alarm: bool | None = None
    satisfaction: int | None = Field(default=None, ge=1, le=5)
    supervision: int | None = Field(default=None, ge=0, le=3)


class AlarmAct(Asked):
    """What an act on an alarm carries."""

    note: str | None = Field(default=None, max_length=4000, description="why; shelving and suppressing need it")
    until: Millis | None = None
    minutes: float | None = Field(default=None, gt=0, le=10_080, description="shelve for so long, instead of until")
    once: bool | None = Field(default=None, description="shelve until the alarm returns to normal, at the latest until")


class Report(Asked):
    """What somebody tells the city: a service or a utility, words, and a place by position, area or address."""

    source: Literal["citizen", "patrol", "110", "119", "120", "utility", "superior"]
    description: str = Field(min_length=1, max_length=4000)
    service: str | None = Field(default=None, max_length=64, description="a code of /open311/v2/services.json")
    utility: Literal["gas", "water", "heat"] | None = None
    kind: str | None = Field(default=None, max_length=64)
    level: Literal["red", "orange", "yellow", "blue"] | None = None
    lon: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    lat: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False)
    area_code: str | None = Field(default=None, max_length=32)
    address: Text = None
    at: Millis | None = Field(default=None, description="when it was seen; now if not given")
    reporter: str | None = Field(default=None, max_length=200, description="personal: shown masked")
    contact: str | None = Field(default=None, max_length=200, description="personal: shown masked")
    external_ref: str | None = Field(
        default=None, max_length=200, description="the sender's own number; the same again is the same report"
    )


class Reported(Answer):
    """Where a report went."""

    event_id: str
    report_id: str
    merged: bool = Field(description="it joined an event that was there already")
    distance_m: float | None = None


class Kpi(Answer):
    """Key figures; ``meaning`` names numerator and denominator of each."""

    total: dict[str, Any]
    meaning: dict[str, Any]


class Query(Asked):
    """One SELECT over the views of the catalog."""

    sql: str = Field(min_length=1, max_length=100_000)
    format: Literal["json", "csv", "arrow"] = "json"
    rows_max: int = Field(10_000, ge=1, le=100_000)


class QueryResult(Answer):
    """Columns by name, rows as lists in their order."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
