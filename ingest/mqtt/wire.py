"""Readers and writers of the standards' data types (MQTT 5, 1.5), strict.

A ``Reader`` walks one packet's body and raises ``ProtocolError`` when the body ends too early or holds what the
standard forbids. Writers return bytes; their callers are our own code, so bad arguments are ValueErrors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ingest.mqtt.spec import PROPERTIES, Kind, Packet, malformed, violation
from lifeline.core.limits import REMAINING_LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = int | str | bytes | tuple[str, str]


class Reader:
    """A cursor over ``data[at:end]``."""

    __slots__ = ("at", "data", "end", "packet")

    def __init__(self, data: bytes, packet: Packet, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.packet = packet
        self.at = at
        self.end = len(data) if end is None else end

    def left(self) -> int:
        """Bytes not yet read."""
        return self.end - self.at

    def take(self, count: int, what: str) -> bytes:
        """The next ``count`` bytes."""
        if self.left() < count:
            raise malformed(f"{self.packet.name}: ends inside {what}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count: int, what: str) -> int:
        """A big-endian integer (1.5.1 to 1.5.3)."""
        return int.from_bytes(self.take(count, what), "big")

    def varint(self, what: str) -> int:
        """A variable byte integer: at most four bytes and the shortest form [MQTT-1.5.5-1]."""
        value = 0
        for i in range(4):
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                if byte == 0 and i > 0:
                    raise malformed(f"{self.packet.name}: {what} is not in its shortest form")
                return value
        raise malformed(f"{self.packet.name}: {what} is longer than four bytes")

    def binary(self, what: str) -> bytes:
        """Binary data with its length before it (1.5.6)."""
        return self.take(self.number(2, what), what)

    def text(self, what: str) -> str:
        """A UTF-8 string: well formed [MQTT-1.5.4-1], without U+0000 [MQTT-1.5.4-2]; U+FEFF is kept [MQTT-1.5.4-3]."""
        raw = self.binary(what)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise malformed(f"{self.packet.name}: {what} is not UTF-8") from error
        if "\0" in text:
            raise malformed(f"{self.packet.name}: {what} contains U+0000")
        return text

    def finish(self) -> None:
        """Nothing may follow the last field."""
        if self.left():
            raise malformed(f"{self.packet.name}: {self.left()} bytes after its last field")

    def properties(self) -> dict[str, Value]:
        """The property section (2.2.2); repeatable properties are validated and only their last value is kept."""
        length = self.varint("property length")
        if length > self.left():
            raise malformed(f"{self.packet.name}: properties are longer than the packet")
        section = Reader(self.data, self.packet, self.at, self.at + length)
        self.at += length
        found: dict[str, Value] = {}
        while section.left():
            key = section.varint("property identifier")
            row = PROPERTIES.get(key)
            if row is None or self.packet not in row.packets:
                raise malformed(f"{self.packet.name}: property {key} does not belong here")
            if row.name in found and not row.repeats:
                raise violation(f"{self.packet.name}: property {row.name} appears twice")
            found[row.name] = section.value(row.kind, row.name)
        return found

    def value(self, kind: Kind, name: str) -> Value:
        """One property value of ``kind``, its range checked."""
        match kind:
            case Kind.TEXT:
                return self.text(name)
            case Kind.BINARY:
                return self.binary(name)
            case Kind.PAIR:
                return self.text(name), self.text(name)
            case Kind.VARINT_NONZERO:
                number = self.varint(name)
            case _:
                number = self.number(_WIDTH[kind], name)
        if (kind is Kind.FLAG and number > 1) or (kind in _NONZERO and number == 0):
            raise violation(f"{self.packet.name}: {name} is {number}")
        return number


_WIDTH: Final = {Kind.FLAG: 1, Kind.TWO: 2, Kind.TWO_NONZERO: 2, Kind.FOUR: 4, Kind.FOUR_NONZERO: 4}
_NONZERO: Final = frozenset({Kind.TWO_NONZERO, Kind.FOUR_NONZERO, Kind.VARINT_NONZERO})


def varint(value: int) -> bytes:
    """A variable byte integer in its shortest form."""
    if not 0 <= value <= REMAINING_LENGTH_MAX:
        raise ValueError(f"{value} does not fit a variable byte integer (0 to {REMAINING_LENGTH_MAX})")
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def binary(value: bytes) -> bytes:
    """Binary data with its length before it."""
    if len(value) > 0xFFFF:
        raise ValueError(f"{len(value)} bytes do not fit a field of at most 65,535")
    return len(value).to_bytes(2, "big") + value


def text(value: str) -> bytes:
    """A UTF-8 string."""
    if "\0" in value:
        raise ValueError("MQTT strings cannot contain U+0000")
    return binary(value.encode())


def properties(parts: Iterable[bytes]) -> bytes:
    """A property section from ready-made properties (identifier and value)."""
    body = b"".join(parts)
    return varint(len(body)) + body


def packet(first_byte: int, body: bytes) -> bytes:
    """Fixed header and body."""
    return bytes([first_byte]) + varint(len(body)) + body
