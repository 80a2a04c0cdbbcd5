"""CloudEvents 1.0.2, JSON format: the one envelope for webhooks and MQTT; pure.

``source`` and ``id`` together are unique; a message with an id seen before is the same message again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifeline.governance.journal import Change
    from lifeline.governance.outgoing.outbox import Message

CONTENT_TYPE: Final = "application/cloudevents+json"
TYPES: Final = ("event.opened", "event.changed", "event.closed")
"""Kinds of message; the CloudEvents ``type`` is ``lifeline.`` and the kind."""

EVENT_FIELDS: Final = (
    "event_id", "level", "status", "utility", "title", "area_code", "raised_at", "detected_at", "dispatched_at",
    "accepted_at", "resolved_at", "closed_at", "due_at", "owner", "alarm_count", "cause", "false_alarm", "satisfaction",
    "mode", "kind", "category", "source", "district", "township", "supervision", "active_count", "normal_at", "version",
)  # fmt: skip
"""What is told of an event: the published columns and a few more. No positions, notes or people's names: those need a
purpose, and a receiver that has one asks the API."""


def message_of(change: Change) -> tuple[int, str, str, dict[str, Any]] | None:
    """(at, kind, subject, data) for the outbox, None for what is nobody else's business."""
    if change.subject != "event" or change.refused is not None or not change.row:
        return None
    if change.from_state is None:
        kind = "event.opened"
    else:
        kind = "event.changed" if change.row.get("is_open", True) else "event.closed"
    data = {
        "action": change.action,
        "role": change.actor.role,
        "from_status": change.from_state,
        "to_status": change.to_state,
        "event": {name: change.row.get(name) for name in EVENT_FIELDS},
    }
    return change.at, kind, change.subject_id, data


def cloud_event(message: Message, source: str) -> dict[str, Any]:
    """A message in its envelope."""
    return {
        "specversion": "1.0",
        "id": message.message_id,
        "source": source,
        "type": f"lifeline.{message.kind}",
        "subject": message.subject,
        "time": rfc3339(message.at),
        "datacontenttype": "application/json",
        "data": message.data,
    }


def encode(document: Mapping[str, Any]) -> bytes:
    """As bytes, the same at every attempt."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def rfc3339(at: int) -> str:
    """Epoch ms as a time of RFC 3339, in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
