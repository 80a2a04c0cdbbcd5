"""Control packets: what a subscriber reads and writes besides PUBLISH.

Parsers take the flags and the body of one whole packet and return a value or raise ``ProtocolError``; builders
return a whole packet. What a subscriber never asked for (PUBREC, UNSUBACK, AUTH, ...) has no parser: the state table
of ``connection`` refuses the type itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ingest.mqtt import wire
from ingest.mqtt.spec import (
    CONNACK_CODES_V5,
    CONNACK_CODES_V311,
    DISCONNECT_CODES_FROM_SERVER,
    SUBACK_CODES_V5,
    SUBACK_CODES_V311,
    V5,
    Code,
    Packet,
    code_name,
    malformed,
    violation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.mqtt.wire import Value

PINGREQ: Final = bytes([Packet.PINGREQ << 4, 0])


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic filter and the highest QoS we take (0 or 1)."""

    filter: str
    qos: int


@dataclass(frozen=True, slots=True)
class ConnAck:
    """The server's answer to CONNECT. ``code`` 0 means accepted; ``reason`` is the text for people."""

    session_present: bool
    code: int
    reason: str
    properties: dict[str, Value] = field(default_factory=dict)

    def number(self, name: str, default: int) -> int:
        """An integer property, or the standard's default when it is absent."""
        value = self.properties.get(name, default)
        assert isinstance(value, int)
        return value


@dataclass(frozen=True, slots=True)
class SubAck:
    """Reason codes in the order of the filters asked for: 0, 1 granted; 0x80 and above refused."""

    packet_id: int
    codes: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PingResp:
    """The server lives."""


@dataclass(frozen=True, slots=True)
class ServerDisconnect:
    """The server ends the connection and says why (MQTT 5 only)."""

    code: int
    reason: str


Effect = ConnAck | SubAck | PingResp | ServerDisconnect


def _no_flags(packet: Packet, flags: int) -> None:
    if flags:
        raise malformed(f"{packet.name}: reserved flags are {flags:04b} [MQTT-2.1.3-1]")


def parse_connack(flags: int, body: bytes, version: int) -> ConnAck:
    """CONNACK (3.2)."""
    _no_flags(Packet.CONNACK, flags)
    reader = wire.Reader(body, Packet.CONNACK)
    acknowledge = reader.number(1, "acknowledge flags")
    code = reader.number(1, "reason code")
    if acknowledge > 1:
        raise malformed(f"CONNACK: reserved acknowledge flags are set in 0x{acknowledge:02x} [MQTT-3.2.2-1]")
    found: dict[str, Value] = {}
    if version == V5:
        if code not in CONNACK_CODES_V5:
            raise malformed(f"CONNACK: unknown reason code 0x{code:02x} [MQTT-3.2.2-8]")
        found = reader.properties()
        if "authentication_method" in found or "authentication_data" in found:
            raise violation("CONNACK: authentication that nobody asked for [MQTT-4.12.0-6]")
        said = str(found.get("reason", ""))
        reason = code_name(code) + (f": {said}" if said else "")
    else:
        if code not in CONNACK_CODES_V311:
            raise malformed(f"CONNACK: reserved return code {code} (MQTT 3.1.1, table 3.1)")
        reason = CONNACK_CODES_V311[code]
    reader.finish()
    if code and acknowledge:
        raise violation("CONNACK: refuses, yet says that a session is present [MQTT-3.2.2-6]")
    return ConnAck(bool(acknowledge), code, reason, found)


def parse_suback(flags: int, body: bytes, version: int) -> SubAck:
    """SUBACK (3.9)."""
    _no_flags(Packet.SUBACK, flags)
    reader = wire.Reader(body, Packet.SUBACK)
    packet_id = reader.number(2, "packet identifier")
    if packet_id == 0:
        raise malformed("SUBACK: packet identifier is 0 [MQTT-2.2.1-3]")
    said = str(reader.properties().get("reason", "")) if version == V5 else ""
    codes = tuple(reader.take(reader.left(), "reason codes"))
    allowed = SUBACK_CODES_V5 if version == V5 else SUBACK_CODES_V311
    if not codes or any(code not in allowed for code in codes):
        raise malformed(f"SUBACK: reason codes {list(codes)} are none of the standard's [MQTT-3.9.3-2]")
    return SubAck(packet_id, codes, said)


def parse_pingresp(flags: int, body: bytes, version: int) -> PingResp:
    """PINGRESP (3.13): two bytes and no more."""
    del version
    _no_flags(Packet.PINGRESP, flags)
    wire.Reader(body, Packet.PINGRESP).finish()
    return PingResp()


def parse_disconnect(flags: int, body: bytes, version: int) -> ServerDisconnect:
    """DISCONNECT from the server (3.14); MQTT 3.1.1 servers never send it."""
    if version != V5:
        raise violation("DISCONNECT: an MQTT 3.1.1 server does not send it (MQTT 3.1.1, 3.14)")
    _no_flags(Packet.DISCONNECT, flags)
    reader = wire.Reader(body, Packet.DISCONNECT)
    code = reader.number(1, "reason code") if reader.left() else Code.SUCCESS
    if code not in DISCONNECT_CODES_FROM_SERVER:
        raise malformed(f"DISCONNECT: reason code 0x{code:02x} is not a server's [MQTT-3.14.2-1]")
    said = str(reader.properties().get("reason", "")) if reader.left() else ""
    reader.finish()
    return ServerDisconnect(code, code_name(code) + (f": {said}" if said else ""))


@dataclass(frozen=True, slots=True)
class ConnectSettings:
    """What CONNECT asks for. Lengths and ranges are the standard's; there is never a will: a collector has none."""

    client_id: str
    version: int = V5
    username: str | None = None
    password: str | None = None
    clean_start: bool = False
    keepalive_s: int = 60
    session_expiry_s: int = 7 * 86_400
    receive_maximum: int = 65_535
    packet_bytes_max: int = 1 << 20
    topic_alias_maximum: int = 0


def build_connect(settings: ConnectSettings) -> bytes:
    """CONNECT (3.1). In 3.1.1 ``clean_start`` is Clean Session; the limits have no place there."""
    flags = settings.clean_start << 1 | (settings.password is not None) << 6 | (settings.username is not None) << 7
    body = wire.text("MQTT") + bytes([settings.version, flags]) + settings.keepalive_s.to_bytes(2, "big")
    if settings.version == V5:
        body += wire.properties(
            [
                b"\x11" + settings.session_expiry_s.to_bytes(4, "big"),
                b"\x21" + settings.receive_maximum.to_bytes(2, "big"),
                b"\x27" + settings.packet_bytes_max.to_bytes(4, "big"),
                b"\x22" + settings.topic_alias_maximum.to_bytes(2, "big"),
            ]
        )
    elif settings.password is not None and settings.username is None:
        raise ValueError("MQTT 3.1.1 allows a password only together with a user name [MQTT-3.1.2-22]")
    body += wire.text(settings.client_id)
    if settings.username is not None:
        body += wire.text(settings.username)
    if settings.password is not None:
        body += wire.binary(settings.password.encode())
    return wire.packet(Packet.CONNECT << 4, body)


def build_subscribe(packet_id: int, subscriptions: Sequence[Subscription], version: int) -> bytes:
    """SUBSCRIBE (3.8); retained messages are sent at each new subscription, as in 3.1.1."""
    if not subscriptions or not 1 <= packet_id <= 0xFFFF:
        raise ValueError("SUBSCRIBE needs a packet identifier and at least one filter [MQTT-3.8.3-2]")
    body = packet_id.to_bytes(2, "big") + (wire.properties([]) if version == V5 else b"")
    for subscription in subscriptions:
        body += wire.text(subscription.filter) + bytes([subscription.qos])
    return wire.packet(Packet.SUBSCRIBE << 4 | 0b0010, body)


def build_publish(topic: str, payload: bytes, version: int) -> bytes:
    """PUBLISH (3.3) at QoS 0 without retain: the only ones that a collector sends, so nothing is ever in flight."""
    if not topic or "+" in topic or "#" in topic:
        raise ValueError(f"{topic!r} is no topic to publish to [MQTT-3.3.2-2]")
    return wire.packet(
        Packet.PUBLISH << 4, wire.text(topic) + (wire.properties([]) if version == V5 else b"") + payload
    )


def build_disconnect(version: int, code: int = Code.SUCCESS) -> bytes:
    """DISCONNECT (3.14). MQTT 3.1.1 has no reason: after an error it is not sent at all, so the caller checks."""
    if version == V5 and code != Code.SUCCESS:
        return wire.packet(Packet.DISCONNECT << 4, bytes([code]))
    return bytes([Packet.DISCONNECT << 4, 0])
