"""The standards' numbers in tables: packet types, reason codes, properties.

Only facts of MQTT 3.1.1 (OASIS, 2014) and MQTT 5.0 (OASIS, 2019) live here, with their sections; no behaviour
except the error that carries a reason code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from lifeline.core.errors import PeerError

V311: Final = 4
V5: Final = 5


class Packet(IntEnum):
    """Control packet types (MQTT 5, 2.1.2)."""

    RESERVED = 0
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Code(IntEnum):
    """Reason codes that a client sends or meets (MQTT 5, 2.4)."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    UNSPECIFIED = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC = 0x83
    UNSUPPORTED_VERSION = 0x84
    CLIENT_ID_NOT_VALID = 0x85
    BAD_CREDENTIALS = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_ID_IN_USE = 0x91
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2


def code_name(code: int) -> str:
    """``0x8e SESSION_TAKEN_OVER``; unknown codes as the number alone."""
    try:
        return f"0x{code:02x} {Code(code).name}"
    except ValueError:
        return f"0x{code:02x}"


CONNACK_CODES_V311: Final[dict[int, str]] = {
    0: "accepted",
    1: "unacceptable protocol version",
    2: "client id rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
"""MQTT 3.1.1, table 3.1."""

CONNACK_CODES_V5: Final = frozenset(
    {0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F}
)
"""MQTT 5, table 3-1."""

SUBACK_CODES_V311: Final = frozenset({0, 1, 2, 0x80})
SUBACK_CODES_V5: Final = frozenset({0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2})
"""MQTT 5, table 3-8."""

DISCONNECT_CODES_FROM_SERVER: Final = frozenset(
    {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, *range(0x93, 0xA3)}
)
"""MQTT 5, table 3-10, rows sent by the server."""


class Kind(Enum):
    """Data types of property values (MQTT 5, 1.5)."""

    FLAG = "flag"
    """A byte that may only be 0 or 1."""
    TWO = "two byte integer"
    TWO_NONZERO = "two byte integer, 0 is a protocol error"
    FOUR = "four byte integer"
    FOUR_NONZERO = "four byte integer, 0 is a protocol error"
    VARINT_NONZERO = "variable byte integer, 0 is a protocol error"
    TEXT = "UTF-8 string"
    BINARY = "binary data"
    PAIR = "UTF-8 string pair"


@dataclass(frozen=True, slots=True)
class Property:
    """One row of MQTT 5, table 2-4, as far as a server may send it."""

    name: str
    kind: Kind
    packets: frozenset[Packet]
    repeats: bool = False


_ACKS: Final = {Packet.CONNACK, Packet.SUBACK, Packet.DISCONNECT}


def _row(name: str, kind: Kind, *packets: Packet, repeats: bool = False) -> Property:
    return Property(name, kind, frozenset(packets), repeats)


PROPERTIES: Final[dict[int, Property]] = {
    1: _row("payload_format", Kind.FLAG, Packet.PUBLISH),
    2: _row("message_expiry_s", Kind.FOUR, Packet.PUBLISH),
    3: _row("content_type", Kind.TEXT, Packet.PUBLISH),
    8: _row("response_topic", Kind.TEXT, Packet.PUBLISH),
    9: _row("correlation_data", Kind.BINARY, Packet.PUBLISH),
    11: _row("subscription_id", Kind.VARINT_NONZERO, Packet.PUBLISH, repeats=True),
    17: _row("session_expiry_s", Kind.FOUR, Packet.CONNACK),
    18: _row("assigned_client_id", Kind.TEXT, Packet.CONNACK),
    19: _row("server_keep_alive_s", Kind.TWO, Packet.CONNACK),
    21: _row("authentication_method", Kind.TEXT, Packet.CONNACK),
    22: _row("authentication_data", Kind.BINARY, Packet.CONNACK),
    26: _row("response_information", Kind.TEXT, Packet.CONNACK),
    28: _row("server_reference", Kind.TEXT, Packet.CONNACK, Packet.DISCONNECT),
    31: _row("reason", Kind.TEXT, *_ACKS),
    33: _row("receive_maximum", Kind.TWO_NONZERO, Packet.CONNACK),
    34: _row("topic_alias_maximum", Kind.TWO, Packet.CONNACK),
    35: _row("topic_alias", Kind.TWO, Packet.PUBLISH),
    36: _row("maximum_qos", Kind.FLAG, Packet.CONNACK),
    37: _row("retain_available", Kind.FLAG, Packet.CONNACK),
    38: _row("user_property", Kind.PAIR, Packet.PUBLISH, *_ACKS, repeats=True),
    39: _row("maximum_packet_size", Kind.FOUR_NONZERO, Packet.CONNACK),
    40: _row("wildcard_available", Kind.FLAG, Packet.CONNACK),
    41: _row("subscription_ids_available", Kind.FLAG, Packet.CONNACK),
    42: _row("shared_available", Kind.FLAG, Packet.CONNACK),
}
"""What a server may send to a subscriber that uses no enhanced authentication; everything else in table 2-4 is sent
by clients only, or in packets that we answer with a protocol error whatever they hold."""


class ProtocolError(PeerError):
    """The broker broke MQTT. ``code`` goes into our DISCONNECT (MQTT 5) before the connection is closed."""

    def __init__(self, code: Code, message: str) -> None:
        self.code = code
        super().__init__(f"{message} ({code_name(code)})")


def malformed(message: str) -> ProtocolError:
    """Bytes that cannot be parsed by the standard (MQTT 5, 1.2)."""
    return ProtocolError(Code.MALFORMED_PACKET, message)


def violation(message: str) -> ProtocolError:
    """Well-formed bytes that the protocol does not allow here (MQTT 5, 1.2)."""
    return ProtocolError(Code.PROTOCOL_ERROR, message)
