"""The webhook payload of Prometheus Alertmanager, version 4: receivers and pagers that people already have; pure.

One event is one alert: firing while it is open, resolved once it is closed or cancelled.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from lifeline.governance.outgoing.envelope import rfc3339

if TYPE_CHECKING:
    from lifeline.governance.outgoing.outbox import Message

CONTENT_TYPE: Final = "application/json"
NOT_YET: Final = "0001-01-01T00:00:00Z"
"""``endsAt`` while an alert is firing."""
SEVERITIES: Final = {"red": "critical", "orange": "critical", "yellow": "warning", "blue": "info"}
LABELS: Final = ("level", "utility", "kind", "category", "area_code", "district", "township", "mode", "event_id")


def payload(message: Message, receiver: str, external_url: str) -> dict[str, Any]:
    """What the receiver named ``receiver`` gets; ``external_url`` is where people look at the queue."""
    event = message.data["event"]
    resolved = message.kind == "event.closed"
    status = "resolved" if resolved else "firing"
    labels = {name: str(event[name]) for name in LABELS if event.get(name) is not None}
    labels |= {"alertname": f"lifeline-{event['kind']}", "severity": SEVERITIES[event["level"]]}
    annotations = {"summary": event["title"], "status": event["status"], "action": message.data["action"]}
    group = {"alertname": labels["alertname"], "event_id": event["event_id"]}
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": rfc3339(event["raised_at"]),
        "endsAt": rfc3339(event.get("closed_at") or message.at) if resolved else NOT_YET,
        "generatorURL": f"{external_url}/events/{event['event_id']}",
        "fingerprint": blake2b(event["event_id"].encode(), digest_size=8).hexdigest(),
    }
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f'{name}="{value}"' for name, value in group.items()) + "}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": external_url,
        "alerts": [alert],
    }
