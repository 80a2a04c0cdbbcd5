"""Issued warnings as OASIS CAP 1.2 (Common Alerting Protocol); pure but for the names that the caller took.

    filed              ──► Alert           a person has judged it to be a case: only then it is a warning
    level or area changes, handling goes on ──► nothing, or Update when the level changed
    closed, evaluated  ──► Update, responseType AllClear     cancelled after it was issued ──► Cancel

A drill is sent with status Exercise or Test, so no receiver mistakes it. Identifiers are ours (any text without spaces,
commas, ``<`` and ``&``), or those of GB/T 35965.1-2018: ``ZZZZZZDDDUUUXX_YYYYMMDDhhmmss_N`` with the area of GB/T 2260
(6), the agency of GB/T 4657 (3), the unit (3), an extension (2), Beijing time, and a serial number 0 to 9 within it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from lifeline.governance.states import CLOSED_STATES, EXPLAINED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.governance.outgoing.outbox import Message

CONTENT_TYPE: Final = "application/cap+xml"
NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
STATUSES: Final = ("Actual", "Exercise", "System", "Test")
SCOPES: Final = ("Public", "Restricted", "Private")
SEVERITIES: Final = {"red": "Extreme", "orange": "Severe", "yellow": "Moderate", "blue": "Minor"}
URGENCIES: Final = {"red": "Immediate", "orange": "Immediate", "yellow": "Expected", "blue": "Future"}
COLOURS_ZH: Final = {"red": "红色", "orange": "橙色", "yellow": "黄色", "blue": "蓝色"}
UTILITIES: Final = {"gas": ("燃气", "Gas"), "water": ("供水", "Water"), "heat": ("供热", "District heating")}
BEIJING: Final = timezone(timedelta(hours=8))
EXPIRES_MS: Final = 86_400_000
"""A warning that nobody updates ends by itself after a day."""
SERIALS: Final = 10
_NONE_YET: Final = {"new", EXPLAINED, *CLOSED_STATES}
"""Where nobody has judged an event to be a case, or it is over."""


@dataclass(frozen=True, slots=True)
class CapSettings:
    """Who issues warnings, and how. ``gbt``: area, agency, unit, extension for identifiers of GB/T 35965.1; or None."""

    sender: str
    sender_name: str
    status: str = "Actual"
    scope: str = "Restricted"
    restriction: str = "lifeline receivers"
    gbt: tuple[str, str, str, str] | None = None

    def time(self, at: int) -> str:
        """As CAP wants it: seconds and an offset in digits; UTC is ``-00:00``, a ``Z`` is forbidden (section 3.3.2)."""
        moment = datetime.fromtimestamp(at // 1000, BEIJING if self.gbt else UTC)
        return moment.isoformat().replace("+00:00", "-00:00")


@dataclass(frozen=True, slots=True)
class Issue:
    """The name of one CAP message: identifier and time, the same at every attempt."""

    identifier: str
    sent_at: int
    """Epoch ms, a whole second."""


def message_type(message: Message, earlier: Sequence[Issue]) -> str | None:
    """``Alert``, ``Update``, ``Cancel``, or None when this change issues nothing."""
    event, action = message.data["event"], message.data["action"]
    if not earlier:
        return "Alert" if event["status"] not in _NONE_YET else None
    if event["status"] == "cancelled" and action == "cancel":
        return "Cancel"
    if message.kind == "event.closed" and action == "close":
        return "Update"
    return "Update" if action in {"escalate", "grade", "reopen"} else None


def identifier(settings: CapSettings, message: Message, sent_at: int, serial: int) -> str:
    """The name of a message that is sent at ``sent_at``, the ``serial``-th of that second."""
    if settings.gbt is None:
        return f"lifeline-{message.message_id}"
    moment = datetime.fromtimestamp(sent_at / 1000, BEIJING).strftime("%Y%m%d%H%M%S")
    return f"{''.join(settings.gbt)}_{moment}_{serial}"


def render(message: Message, kind: str, issue: Issue, earlier: Sequence[Issue], settings: CapSettings) -> bytes:
    """The XML document."""
    event = message.data["event"]
    alert = Element("alert", {"xmlns": NAMESPACE})
    head = {
        "identifier": issue.identifier,
        "sender": settings.sender,
        "sent": settings.time(issue.sent_at),
        "status": settings.status,
        "msgType": kind,
        "scope": settings.scope,
    }
    for name, text in head.items():
        SubElement(alert, name).text = text
    if settings.scope == "Restricted":
        SubElement(alert, "restriction").text = settings.restriction
    if settings.status in {"Exercise", "Test"}:
        SubElement(alert, "note").text = "演练，非真实预警 / This is a drill, not a real warning"
    if earlier:
        parts = (f"{settings.sender},{one.identifier},{settings.time(one.sent_at)}" for one in earlier)
        SubElement(alert, "references").text = " ".join(parts)
    if event.get("event_id"):
        SubElement(alert, "incidents").text = event["event_id"]
    for language in ("zh-CN", "en-US"):
        _info(alert, language, message, kind, issue, settings)
    document: bytes = tostring(alert, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + document


def _info(alert: Element, language: str, message: Message, kind: str, issue: Issue, settings: CapSettings) -> None:
    event = message.data["event"]
    english = language == "en-US"
    over = kind == "Cancel" or message.kind == "event.closed"
    utility = UTILITIES.get(event.get("utility") or "", ("城市生命线", "City lifeline"))[english]
    level = event["level"] if english else COLOURS_ZH[event["level"]]
    title = _half(event["title"], english=english)
    info = SubElement(alert, "info")
    values: dict[str, Any] = {
        "language": language,
        "category": "Infra",
        "event": f"{utility}: {event['kind']}" if english else f"{utility}：{event['kind']}",
        "responseType": "AllClear" if over else "Monitor",
        "urgency": "Past" if over else URGENCIES[event["level"]],
        "severity": SEVERITIES[event["level"]],
        "certainty": "Observed" if event.get("active_count") else "Likely",
    }
    for name, text in values.items():
        SubElement(info, name).text = text
    _named(info, "eventCode", "lifeline-kind", event["kind"])
    SubElement(info, "effective").text = settings.time(issue.sent_at)
    SubElement(info, "onset").text = settings.time(event["raised_at"])
    SubElement(info, "expires").text = settings.time(issue.sent_at + EXPIRES_MS)
    SubElement(info, "senderName").text = settings.sender_name
    word = {"Alert": ("发布", "issued"), "Update": ("更新", "updated"), "Cancel": ("取消", "cancelled")}[kind][english]
    if kind == "Update" and over:
        word = ("解除", "all clear")[english]
    SubElement(info, "headline").text = f"{title} ({level}, {word})" if english else f"{title}（{level}，{word}）"
    SubElement(info, "description").text = event["title"]
    _named(info, "parameter", "lifeline-level", event["level"])
    _named(info, "parameter", "lifeline-status", event["status"])
    area = SubElement(info, "area")
    code = event.get("area_code")
    SubElement(area, "areaDesc").text = event["title"].rpartition(" · ")[2] or code or settings.sender_name
    if code:
        _named(area, "geocode", "GB/T 2260" if len(code) == 6 else "area_code", code)


def _named(parent: Element, tag: str, name: str, value: str) -> None:
    pair = SubElement(parent, tag)
    SubElement(pair, "valueName").text = name
    SubElement(pair, "value").text = value


def _half(title: str, *, english: bool) -> str:
    """The Chinese or English half of ``中文 / English · place``, with its place."""
    names, dot, place = title.partition(" · ")
    zh, slash, en = names.partition(" / ")
    return f"{en if english and slash else zh}{dot}{place}"
