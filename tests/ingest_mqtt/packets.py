"""Every packet a subscriber can get × every field of it: generated from the tables of MQTT 3.1.1 and 5.0.

Written from the standards alone; nothing of ``ingest`` is imported, a shared table would bless its own errors. Each
case says what was sent after which opening, and the reaction that is demanded: the reason code of our DISCONNECT (in
3.1.1: the code by which we close), or None, the connection lives. Its name begins with the statement.

Two judgements are ours where the standard leaves a choice: a packet type that a server never sends is a protocol error
(0x82), and so is QoS 2, which we never subscribe to. Not judged: 0x8C in DISCONNECT (table 2-6 and 3-10 disagree), and
Response Information that nobody asked for (a server must not send it; it harms nobody).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

MALFORMED, PROTOCOL, ALIAS_INVALID, TOO_LARGE = 0x81, 0x82, 0x94, 0x95
PACKET_MAX = 4096
ALIAS_MAX = 2


class Case(NamedTuple):
    """Bytes for a connection in a phase, and the reaction."""

    name: str
    version: int
    phase: str
    """``new``: CONNECT was sent; ``subscribing``: CONNACK came; ``open``: SUBACK came."""
    data: bytes
    code: int | None
    ends: bool = False
    """Survived, but it is the packet that ends the connection by itself (refusal, DISCONNECT)."""


def varint(value: int) -> bytes:
    """Section 1.5.5 of MQTT 5."""
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (128 if value else 0))
        if not value:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + varint(len(body)) + body


def text(raw: bytes) -> bytes:
    return len(raw).to_bytes(2, "big") + raw


# --- the tables --------------------------------------------------------------------------------------------------

KINDS: dict[int, tuple[str, str, bool]] = {
    1: ("payload format indicator", "flag", False),
    2: ("message expiry interval", "four", False),
    3: ("content type", "text", False),
    8: ("response topic", "text", False),
    9: ("correlation data", "binary", False),
    11: ("subscription identifier", "varint", True),
    17: ("session expiry interval", "four", False),
    18: ("assigned client identifier", "text", False),
    19: ("server keep alive", "two", False),
    21: ("authentication method", "text", False),
    22: ("authentication data", "binary", False),
    23: ("request problem information", "flag", False),
    24: ("will delay interval", "four", False),
    25: ("request response information", "flag", False),
    26: ("response information", "text", False),
    28: ("server reference", "text", False),
    31: ("reason string", "text", False),
    33: ("receive maximum", "two+", False),
    34: ("topic alias maximum", "two", False),
    35: ("topic alias", "two", False),
    36: ("maximum QoS", "flag", False),
    37: ("retain available", "flag", False),
    38: ("user property", "pair", True),
    39: ("maximum packet size", "four+", False),
    40: ("wildcard subscription available", "flag", False),
    41: ("subscription identifier available", "flag", False),
    42: ("shared subscription available", "flag", False),
}
"""Table 2-4: identifier → name, data type (+: zero is a protocol error), may appear more than once."""

ALLOWED: dict[str, set[int]] = {
    "CONNACK": {17, 18, 19, 26, 28, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42},
    "PUBLISH": {1, 2, 3, 8, 9, 11, 35, 38},
    "SUBACK": {31, 38},
    "DISCONNECT": {28, 31, 38},
}
"""Table 2-4, what a server may send to a client that asked for no enhanced authentication."""

UNKNOWN = (0, 4, 5, 6, 7, 10, 12, 16, 20, 27, 29, 30, 32, 43, 100, 127, 16_384)

SAMPLES: dict[str, bytes] = {
    "flag": b"\1",
    "two": b"\0\2",
    "two+": b"\0\2",
    "four": b"\0\0\x10\0",
    "four+": b"\0\0\x10\0",
    "varint": b"\5",
    "text": text(b"a"),
    "binary": text(b"\xff\0"),
    "pair": text(b"k") + text(b"v"),
}

BAD_TEXT = {
    "a lone 0xFF": b"\xff",
    "a lone continuation byte": b"\x80",
    "overlong U+0000": b"\xc0\x80",
    "overlong U+002F": b"\xe0\x80\xaf",
    "overlong in four bytes": b"\xf0\x80\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "a surrogate pair": b"\xed\xa0\xbd\xed\xb4\xa5",
    "past U+10FFFF": b"\xf4\x90\x80\x80",
    "a cut sequence": b"\xe6\xb0",
    "five-byte form": b"\xf8\x88\x80\x80\x80",
}
GOOD_TEXT = {
    "U+FEFF [1.5.4-3]": b"\xef\xbb\xbf",
    "Chinese": "水".encode(),
    "four bytes": "🔥".encode(),
    "U+FFFF": b"\xef\xbf\xbf",
    "U+0001": b"\1",
    "U+10FFFF": b"\xf4\x8f\xbf\xbf",
}

CONNACK_OK_5 = {0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F}
SUBACK_OK_5 = {0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}
SUBACK_OK_4 = {0, 1, 2, 0x80}
DISCONNECT_OK = {0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, *range(0x93, 0xA3)}


# --- whole packets with a hole for properties ----------------------------------------------------------------------


def with_properties(kind: str, section: bytes, length: bytes | None = None) -> bytes:
    """A good packet of ``kind`` whose property section is ``section``; ``length`` replaces the section's own."""
    held = (varint(len(section)) if length is None else length) + section
    return {
        "CONNACK": lambda: packet(0x20, b"\0\0" + held),
        "PUBLISH": lambda: packet(0x30, text(b"t") + held + b"payload"),
        "SUBACK": lambda: packet(0x90, b"\0\1" + held + b"\1"),
        "DISCONNECT": lambda: packet(0xE0, b"\x8b" + held),
    }[kind]()


PHASE = {"CONNACK": "new", "PUBLISH": "open", "SUBACK": "subscribing", "DISCONNECT": "open"}


def _property_case(
    kind: str, phase: str, ends: bool, name: str, section: bytes, code: int | None, length: bytes | None = None
) -> Case:
    data = with_properties(kind, section, length)
    return Case(f"{name} in {kind}", 5, phase, data, code, ends and code is None)


def properties() -> Iterator[Case]:
    """Every identifier in every packet: once, twice, cut at every byte, out of range, ill-formed."""
    for kind, phase in PHASE.items():
        ends = kind == "DISCONNECT"

        case = partial(_property_case, kind, phase, ends)
        yield case("2.2.2.1 no property", b"", None)
        for unknown in UNKNOWN:
            yield case(f"2.2.2.2 unknown property {unknown}", varint(unknown) + b"\0\0\0\0", MALFORMED)
        for key, (name, data_type, repeats) in KINDS.items():
            whole = varint(key) + SAMPLES[data_type]
            if kind == "CONNACK" and key in {21, 22}:
                yield case(f"4.12.0-6 {name} without enhanced authentication", whole, PROTOCOL)
                continue
            if key not in ALLOWED[kind]:
                yield case(f"2.2.2.2 {name} does not belong", whole, MALFORMED)
                continue
            yield case(f"table 2-4 {name}", whole, None)
            yield case(f"table 2-4 {name} twice", whole * 2, None if repeats else PROTOCOL)
            yield case(f"1.5.5-1 {name} with a long identifier", bytes([key | 128, 0]) + whole[1:], MALFORMED)
            for cut in range(1, len(whole)):
                yield case(f"2.2.2.1 {name} cut after {cut}", whole[:cut], MALFORMED)
            yield from values(case, key, name, data_type)
        sample = b"\x26" + SAMPLES["pair"]
        yield case("2.2.2.1 length one too small", sample, MALFORMED, varint(len(sample) - 1))
        yield case("2.2.2.1 length past the packet", sample, MALFORMED, varint(len(sample) + 100))
        yield case("1.5.5-1 length not in its shortest form", b"", MALFORMED, b"\x80\0")
        yield case("1.5.5-1 length of five bytes", b"", MALFORMED, b"\xff\xff\xff\xff\1")


def values(case: Callable[..., Case], key: int, name: str, data_type: str) -> Iterator[Case]:
    """Out of range, and every string field with every ill-formed string."""
    head = varint(key)
    if data_type == "flag":
        for value in (2, 3, 127, 128, 255):
            yield case(f"table 2-4 {name} {value}", head + bytes([value]), PROTOCOL)
        yield case(f"table 2-4 {name} 0", head + b"\0", None)
    if data_type.endswith("+"):
        yield case(f"table 2-4 {name} 0", head + bytes(len(SAMPLES[data_type])), PROTOCOL)
    if data_type == "varint":
        yield case(f"3.3.2.3.8 {name} 0", head + b"\0", PROTOCOL)
        yield case(f"1.5.5-1 {name} not in its shortest form", head + b"\x85\0", MALFORMED)
        yield case(f"1.5.5 {name} of five bytes", head + b"\xff\xff\xff\xff\1", MALFORMED)
        yield case(f"1.5.5 {name} 268,435,455", head + b"\xff\xff\xff\x7f", None)
    if key == 35:
        yield case("3.3.2-8 topic alias 0", head + b"\0\0", ALIAS_INVALID)
        yield case("3.3.2-10 topic alias above our maximum", head + (ALIAS_MAX + 1).to_bytes(2, "big"), ALIAS_INVALID)
        yield case("3.3.2-10 topic alias 65,535", head + b"\xff\xff", ALIAS_INVALID)
    if key == 8:
        for wildcard in (b"+", b"#", b"a/+/b", b"a/#"):
            yield case(f"3.3.2-14 {name} {wildcard.decode()}", head + text(wildcard), PROTOCOL)
    if data_type == "text":
        yield from strings(lambda n, raw, code: case(f"{n} in {name}", head + text(raw), code))
    if data_type == "pair":
        yield from strings(lambda n, raw, code: case(f"{n} in the name of {name}", head + text(raw) + text(b"v"), code))
        yield from strings(
            lambda n, raw, code: case(f"{n} in the value of {name}", head + text(b"k") + text(raw), code)
        )


def strings(make: Callable[[str, bytes, int | None], Any]) -> Iterator[Any]:
    for what, raw in BAD_TEXT.items():
        yield make(f"1.5.4-1 {what}", raw, MALFORMED)
        yield make(f"1.5.4-1 {what} behind good text", b"ab" + raw, MALFORMED)
    yield make("1.5.4-2 U+0000", b"\0", MALFORMED)
    yield make("1.5.4-2 U+0000 inside", b"a\0b", MALFORMED)
    for what, raw in GOOD_TEXT.items():
        yield make(f"1.5.4 {what}", raw, None)


# --- the other fields ----------------------------------------------------------------------------------------------


def connacks() -> Iterator[Case]:
    for version, tail in ((4, b""), (5, b"\0")):
        for flags in range(256):
            code = None if flags < 2 else MALFORMED
            yield Case(
                f"3.2.2-1 CONNACK flags {flags:#04x}", version, "new", packet(0x20, bytes([flags, 0]) + tail), code
            )
        allowed = CONNACK_OK_5 if version == 5 else set(range(6))
        for value in range(256):
            name = f"{'3.2.2-8' if version == 5 else 'table 3.1'} CONNACK code {value:#04x}"
            fine = value in allowed
            data = packet(0x20, bytes([0, value]) + tail)
            yield Case(name, version, "new", data, None if fine else MALFORMED, ends=fine and value != 0)
            if fine and value:
                data = packet(0x20, bytes([1, value]) + tail)
                yield Case(f"3.2.2-6 session present with refusal {value:#04x}", version, "new", data, PROTOCOL)


def subacks() -> Iterator[Case]:
    for version, tail in ((4, b""), (5, b"\0")):
        allowed = SUBACK_OK_5 if version == 5 else SUBACK_OK_4
        for value in range(256):
            code = None if value in allowed else MALFORMED
            if value == 2:
                code = PROTOCOL  # granted more than was asked: 3.8.4
            name = f"{'3.9.3-2' if value != 2 else '3.8.4'} SUBACK code {value:#04x}"
            yield Case(name, version, "subscribing", packet(0x90, b"\0\1" + tail + bytes([value])), code)
        for identifier, code in ((0, MALFORMED), (2, PROTOCOL), (256, PROTOCOL), (65_535, PROTOCOL)):
            data = packet(0x90, identifier.to_bytes(2, "big") + tail + b"\1")
            name = f"{'2.2.1-3' if code == MALFORMED else '3.8.4-2'} SUBACK identifier {identifier}"
            yield Case(name, version, "subscribing", data, code)
        for count in (2, 3, 100):
            data = packet(0x90, b"\0\1" + tail + b"\1" * count)
            yield Case(f"3.8.4-6 SUBACK with {count} codes for one filter", version, "subscribing", data, PROTOCOL)


def disconnects() -> Iterator[Case]:
    for value in set(range(256)) - {0x8C}:
        fine = value in DISCONNECT_OK
        for tail in (b"", b"\0"):
            data = packet(0xE0, bytes([value]) + tail)
            name = f"3.14.2-1 DISCONNECT code {value:#04x}{' with properties' if tail else ''}"
            yield Case(name, 5, "open", data, None if fine else MALFORMED, ends=fine)
        yield Case(
            f"3.14 DISCONNECT {value:#04x} from a 3.1.1 server", 4, "open", packet(0xE0, bytes([value])), PROTOCOL
        )


def publishes() -> Iterator[Case]:
    for version, tail in ((4, b""), (5, b"\0")):
        for flags in range(16):
            qos, dup = flags >> 1 & 3, flags >> 3
            code = MALFORMED if qos == 3 else PROTOCOL if qos == 2 else MALFORMED if dup and not qos else None
            statement = "3.3.1-4" if qos == 3 else "3.8.4-8" if qos == 2 else "3.3.1-2" if dup and not qos else "3.3.1"
            body = text(b"t") + (b"\0\1" if qos else b"") + tail + b"x"
            yield Case(f"{statement} PUBLISH flags {flags:04b}", version, "open", packet(0x30 | flags, body), code)
        for wildcard in (b"+", b"#", b"a/+", b"a/#", b"a+b", b"a#"):
            data = packet(0x30, text(wildcard) + tail)
            yield Case(f"3.3.2-2 PUBLISH to {wildcard.decode()}", version, "open", data, MALFORMED)
        yield Case(
            "2.2.1-3 PUBLISH identifier 0", version, "open", packet(0x32, text(b"t") + b"\0\0" + tail), MALFORMED
        )
        for identifier in (1, 255, 256, 65_535):
            data = packet(0x32, text(b"t") + identifier.to_bytes(2, "big") + tail)
            yield Case(f"2.2.1 PUBLISH identifier {identifier}", version, "open", data, None)
        empty = MALFORMED if version == 4 else PROTOCOL
        yield Case("4.7.3-1 PUBLISH without a topic", version, "open", packet(0x30, text(b"") + tail), empty)
        for name, raw, code in ((n, r, c) for n, r, c in _topic_strings()):
            yield Case(f"{name} in the topic", version, "open", packet(0x30, text(raw) + tail + b"x"), code)
        for size in (PACKET_MAX + 1, 100_000, 268_435_455):
            # 3.1.1 has no Maximum Packet Size: the head is kept, the rest dropped as it comes (see the other file)
            if version == 5:
                data = b"\x30" + varint(size) + text(b"t")
                yield Case(f"3.1.2-24 PUBLISH of {size:,} bytes announced", 5, "open", data, TOO_LARGE)
    yield Case("3.3.2.3.4 alias 1 never set", 5, "open", packet(0x30, text(b"") + b"\3\x23\0\1"), PROTOCOL)


def _topic_strings() -> Iterator[tuple[str, bytes, int | None]]:
    yield from strings(lambda name, raw, code: (name, raw, code))


GOOD: dict[tuple[int, str], tuple[str, int, bytes, set[int]]] = {
    (4, "CONNACK"): ("new", 0x20, b"\0\0", set()),
    (5, "CONNACK"): ("new", 0x20, b"\0\0\3\x21\0\5", set()),
    (4, "SUBACK"): ("subscribing", 0x90, b"\0\1\1", set()),
    (5, "SUBACK"): ("subscribing", 0x90, b"\0\1\4\x1f\0\1a\1", set()),
    (4, "PUBLISH"): ("open", 0x32, text(b"topic") + b"\0\7", set()),
    (5, "PUBLISH"): ("open", 0x32, text(b"topic") + b"\0\7" + b"\7\2\0\0\0\1\1\1", set()),
    (4, "PINGRESP"): ("open", 0xD0, b"", set()),
    (5, "PINGRESP"): ("open", 0xD0, b"", set()),
    (5, "DISCONNECT"): ("open", 0xE0, b"\x8b\4\x1f\0\1a", {0, 1}),
}
"""(version, type) → phase, first byte, a body, and the lengths at which a cut body is still good."""


def frames() -> Iterator[Case]:
    """Fixed headers: reserved flags, the Remaining Length, bodies cut at every byte or one too long."""
    for (version, kind), (phase, first, body, fine) in GOOD.items():
        ends = kind == "DISCONNECT"
        if kind != "PUBLISH":
            for flags in range(1, 16):
                name = f"2.1.3-1 {kind} with flags {flags:04b}"
                yield Case(name, version, phase, packet(first | flags, body), MALFORMED)
            yield Case(f"3 {kind} with a byte too many", version, phase, packet(first, body + b"\0"), _too_long(kind))
        for cut in range(len(body)):
            good = cut in fine
            yield Case(
                f"2.1.4 {kind} cut after {cut}", version, phase, packet(first, body[:cut]), None if good else MALFORMED,
                ends and good,
            )  # fmt: skip
        for extra in range(1, 4 - len(varint(len(body))) + 1):
            raw = varint(len(body))
            longer = raw[:-1] + bytes([raw[-1] | 128]) + b"\x80" * (extra - 1) + b"\0"
            name = f"1.5.5-1 {kind} with {extra} bytes too many in its Remaining Length"
            yield Case(name, version, phase, bytes([first]) + longer + body, MALFORMED)
        for last in (0, 1, 127):
            data = bytes([first]) + b"\xff\xff\xff\xff" + bytes([last]) + body
            yield Case(f"1.5.5 {kind} with a Remaining Length of five bytes, {last}", version, phase, data, MALFORMED)


def _too_long(kind: str) -> int:
    return PROTOCOL if kind == "SUBACK" else MALFORMED  # a second code for one filter: 3.8.4-6


EXPECTED = {("new", 2), ("subscribing", 3), ("subscribing", 9), ("subscribing", 13), ("open", 3), ("open", 13)}


def types() -> Iterator[Case]:
    """Every packet type in every phase: what a server does not send there is a protocol error."""
    for version in (4, 5):
        for phase in ("new", "subscribing", "open"):
            for kind in range(16):
                expected = (phase, kind) in EXPECTED or (kind == 14 and version == 5 and phase != "new")
                if expected:
                    continue
                for flags in (0, 2, 15):
                    if kind == 3:
                        continue
                    data = packet(kind << 4 | flags, b"\0\1")
                    name = f"2.1.2 type {kind} with flags {flags:04b} while {phase}"
                    yield Case(name, version, phase, data, PROTOCOL)
        data = packet(0x30, text(b"t") + (b"\0" if version == 5 else b""))
        yield Case("3.2.0-1 PUBLISH before CONNACK", version, "new", data, PROTOCOL)


def all_cases() -> list[Case]:
    """All of them; names are unique."""
    found = [
        case for source in (frames, types, connacks, subacks, disconnects, publishes, properties) for case in source()
    ]
    unique: dict[tuple[int, str], Case] = {}
    for case in found:
        unique.setdefault((case.version, case.name), case)
    return list(unique.values())
