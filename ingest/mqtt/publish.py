"""One PUBLISH packet, strictly (MQTT 5, 3.3): the judge of whatever the kernel did not find plainly right.

The result is what the kernel would have written into its row, plus the two things it leaves to us: a topic alias
and a topic that is legal but longer than we take.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.mqtt.spec import V5, Packet, malformed, violation
from ingest.mqtt.wire import Reader


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH. ``topic`` is empty when only ``alias`` (0 = none) names it; ``payload_at`` counts from the body."""

    topic: bytes
    alias: int
    packet_id: int
    qos: int
    retain: int
    payload_at: int


def parse_publish(flags: int, body: bytes, version: int) -> Publish:
    """Read one packet's body.

    Raises:
        ProtocolError: malformed (0x81) or against the protocol (0x82), with the statement in the message.
    """
    dup, qos, retain = flags >> 3, flags >> 1 & 3, flags & 1
    if qos == 3:
        raise malformed("PUBLISH: QoS 3 [MQTT-3.3.1-4]")
    if qos == 2:
        raise violation(
            "PUBLISH: QoS 2, but we subscribe at QoS 1 at most [MQTT-3.8.4-8]; a stale session of another program "
            "under this client id? Use a fresh client id"
        )
    if dup and qos == 0:
        raise malformed("PUBLISH: DUP is set at QoS 0 [MQTT-3.3.1-2]")
    reader = Reader(body, Packet.PUBLISH)
    topic = reader.text("topic")
    if "+" in topic or "#" in topic:
        raise malformed("PUBLISH: wildcard in the topic [MQTT-3.3.2-2]")
    packet_id = reader.number(2, "packet identifier") if qos else 0
    if qos and packet_id == 0:
        raise malformed("PUBLISH: packet identifier is 0 [MQTT-2.2.1-3]")
    alias = 0
    if version == V5:
        found = reader.properties()
        response = str(found.get("response_topic", ""))
        if "+" in response or "#" in response:
            raise violation("PUBLISH: wildcard in the response topic [MQTT-3.3.2-14]")
        alias = _alias(found.get("topic_alias"))
        if not topic and not alias:
            raise violation("PUBLISH: neither topic nor topic alias (MQTT 5, 3.3.2.1)")
    elif not topic:
        raise malformed("PUBLISH: empty topic [MQTT-4.7.3-1]")
    return Publish(topic.encode(), alias, packet_id, qos, retain, reader.at)


def _alias(value: object) -> int:
    """The alias, -1 for an explicit zero (which only the connection's limits may judge), 0 for none."""
    if value is None:
        return 0
    assert isinstance(value, int)
    return value or -1


def identifier_of(flags: int, body: bytes) -> int:
    """The packet identifier of a QoS 1 PUBLISH that is otherwise wrong; 0 when it cannot be found."""
    if flags >> 1 & 3 != 1 or len(body) < 2:
        return 0
    at = 2 + int.from_bytes(body[:2], "big")
    return int.from_bytes(body[at : at + 2], "big") if at + 2 <= len(body) else 0
