"""The MQTT surface: what goes out on which topic, and what comes back; pure. ``docs/asyncapi.yaml`` describes it.

{prefix}/events/{area}/{event_id}      CloudEvents, QoS 1; retained where the sink says so: the event's last state
{prefix}/commands/{device}             a command to a device
{prefix}/replies/{device}/{command_id} its reply
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.governance.outgoing.envelope import CONTENT_TYPE, cloud_event, encode

if TYPE_CHECKING:
    from lifeline.governance.outgoing.bus import Bus
    from lifeline.governance.outgoing.outbox import Message

EVENTS: Final = "{prefix}/events/{area}/{event_id}"
COMMANDS: Final = "{prefix}/commands/{device}"
REPLIES: Final = "{prefix}/replies/{device}/{command_id}"
NO_AREA: Final = "none"
PREFIX: Final = "lifeline-out"
"""Not ``lifeline/…``: what the engine says must not come back to it as readings."""


def level(text: str) -> str:
    """``text`` as one level of a topic: a wildcard or slash in a name must not reach further."""
    return "".join("_" if char in "/+#\0" or not char.isprintable() else char for char in text) or "_"


class EventsOnBus:
    """Publishes events as CloudEvents; ``lifeline.governance.outgoing.worker.Transport``."""

    def __init__(self, bus: Bus, source: str, prefix: str = PREFIX, *, retain: bool = False) -> None:
        self._bus = bus
        self._source = source
        self._prefix = prefix
        self._retain = retain

    def send(self, message: Message) -> None:
        """Publish and wait for the broker. Raises DeliveryError."""
        area = message.data["event"].get("area_code") or NO_AREA
        topic = EVENTS.format(prefix=self._prefix, area=level(area), event_id=message.subject)
        body = encode(cloud_event(message, self._source))
        self._bus.publish(topic, body, retain=self._retain, properties={"ContentType": CONTENT_TYPE})

    def idle(self) -> None:
        """The connection is made again with the next message."""

    def close(self) -> None:
        """Disconnect."""
        self._bus.close()


def parse_reply(payload: bytes) -> dict[str, Any] | None:
    """A device's reply ``{"id", "status", "detail"?}``; None when it is none."""
    try:
        reply = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(reply, dict) or reply.get("status") not in {"done", "refused"}:
        return None
    return reply if isinstance(reply.get("id"), str) else None
