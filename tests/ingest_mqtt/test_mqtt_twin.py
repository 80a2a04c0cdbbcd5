"""The compiled path against a naive twin: any bytes, any chunking, the same messages, acknowledgements and end.

The twin below is written from the standard, packet by packet, without looking at the code it judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.mqtt.connection import Connection
from ingest.mqtt.control import ConnectSettings, Subscription
from ingest.mqtt.kernels import frames
from tests.ingest_mqtt.packets import varint as encode_varint

PACKET_MAX = 600
WINDOW = 12
ALIASES = 3
TOPIC_MAX = 1024
HEAD = 4096


class Bad(Exception):  # noqa: N818 - a verdict of the twin
    def __init__(self, code: int) -> None:
        self.code = code


@dataclass
class Outcome:
    messages: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    refused: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    code: int | None = None
    closed_by_server: bool = False


def varint(data: bytes, at: int) -> tuple[int, int] | None:
    """Value and next position; None: not all there yet."""
    for n in range(1, 5):
        if len(data) < at + n:
            return None
        if data[at + n - 1] < 128:
            value = sum((data[at + k] & 127) << 7 * k for k in range(n))
            if n > 1 and data[at + n - 1] == 0:
                raise Bad(0x81)
            return value, at + n
    raise Bad(0x81)


class Cut:
    """A body that is read from its front; reading past the end is malformed."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def bytes(self, count: int) -> bytes:
        if count > len(self.data):
            raise Bad(0x81)
        head, self.data = self.data[:count], self.data[count:]
        return head

    def int(self, count: int) -> int:
        return int.from_bytes(self.bytes(count), "big")

    def string(self) -> bytes:
        raw = self.bytes(self.int(2))
        try:
            raw.decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise Bad(0x81) from None
        if 0 in raw:
            raise Bad(0x81)
        return raw

    def varint(self) -> int:
        found = varint(self.data, 0)
        if found is None:
            raise Bad(0x81)
        self.data = self.data[found[1] :]
        return found[0]


def publish_properties(cut: Cut) -> int | None:  # noqa: C901 - one plain reading of the standard
    """The alias, if there is one."""
    section = Cut(cut.bytes(cut.varint()))
    alias = None
    wildcard = False
    seen = set()
    while section.data:
        key = section.varint()
        if key not in {1, 2, 3, 8, 9, 11, 35, 38}:
            raise Bad(0x81)
        if key in seen and key not in {11, 38}:
            raise Bad(0x82)
        seen.add(key)
        if key == 1 and section.int(1) > 1:
            raise Bad(0x82)
        if key == 2:
            section.int(4)
        if key == 3:
            section.string()
        if key == 8:
            wildcard = any(c in b"+#" for c in section.string())
        if key == 9:
            section.bytes(section.int(2))
        if key == 11 and section.varint() == 0:
            raise Bad(0x82)
        if key == 35:
            alias = section.int(2)
        if key == 38:
            section.string()
            section.string()
    if wildcard:  # well formed, so judged after everything that is not
        raise Bad(0x82)
    return alias


def publish(  # noqa: C901, PLR0912 - one plain reading of the standard
    outcome: Outcome, flags: int, body: bytes, version: int, aliases: dict[int, bytes]
) -> None:
    qos = flags >> 1 & 3
    if qos == 3:
        raise Bad(0x81)
    if qos == 2:
        raise Bad(0x82)
    if flags & 8 and not qos:
        raise Bad(0x81)
    cut = Cut(body)
    topic = cut.string()
    if b"+" in topic or b"#" in topic:
        raise Bad(0x81)
    identifier = cut.int(2) if qos else None
    if identifier == 0:
        raise Bad(0x81)
    alias = publish_properties(cut) if version == 5 else None
    if version == 5 and not topic and alias is None:
        raise Bad(0x82)
    if version == 4 and not topic:
        raise Bad(0x81)
    if alias is not None:
        if not 1 <= alias <= ALIASES:
            raise Bad(0x94)
        if topic:
            aliases[alias] = topic
        elif alias not in aliases:
            raise Bad(0x82)
        topic = aliases[alias]
    if identifier is not None and identifier not in outcome.ids and len(set(outcome.ids)) == WINDOW and version == 5:
        raise Bad(0x93)
    if identifier is not None:
        outcome.ids.append(identifier)
    if len(topic) > TOPIC_MAX:
        outcome.refused.append(("malformed_packet", topic, cut.data[:HEAD]))
    else:
        outcome.messages.append((topic, cut.data, flags & 1))


def oversized(outcome: Outcome, flags: int, body: bytes, total: int) -> bool:
    """MQTT 3.1.1: False when the head is not complete yet."""
    if len(body) < 2:
        return False
    at = 2 + int.from_bytes(body[:2], "big") + (2 if flags & 6 else 0)
    head = min(at + HEAD, total)
    if len(body) < head:
        return False
    scratch = Outcome()
    publish(scratch, flags, body[:head], 4, {})
    (topic, payload, _), *_ = scratch.messages or [(*scratch.refused[0][1:], 0)]
    outcome.ids += scratch.ids
    outcome.refused.append(("oversized", topic[:TOPIC_MAX], payload))
    return True


def twin(data: bytes, version: int) -> Outcome:  # noqa: C901, PLR0912 - one plain reading of the standard
    """What must come out of the bytes after CONNACK and SUBACK."""
    outcome = Outcome()
    aliases: dict[int, bytes] = {}
    at = 0
    try:
        while at < len(data):
            header = varint(data, at + 1)
            if header is None:
                break
            length, start = header
            kind, flags = data[at] >> 4, data[at] & 15
            if start + length - at > PACKET_MAX:
                if kind not in {3, 13, 14}:
                    raise Bad(0x82)  # noqa: TRY301
                if version == 5 or kind != 3:
                    raise Bad(0x95)  # noqa: TRY301
                if not oversized(outcome, flags, data[start : start + length], length):
                    break
                at = start + length
                continue
            if start + length > len(data):
                break
            body = data[start : start + length]
            if kind == 3:
                publish(outcome, flags, body, version, aliases)
            elif kind == 13:
                if flags or body:
                    raise Bad(0x81)  # noqa: TRY301
            elif kind == 14:
                disconnect(flags, body, version)
                outcome.closed_by_server = True
                break
            else:
                raise Bad(0x82)  # noqa: TRY301
            at = start + length
    except Bad as bad:
        outcome.code = bad.code
    return outcome


def disconnect(flags: int, body: bytes, version: int) -> None:
    if version == 4:
        raise Bad(0x82)
    if flags:
        raise Bad(0x81)
    codes = {0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90} | set(range(0x93, 0xA3))
    if body and body[0] not in codes:
        raise Bad(0x81)
    cut = Cut(body[1:])
    if not cut.data:
        return
    section = Cut(cut.bytes(cut.varint()))
    seen = set()
    while section.data:
        key = section.varint()
        if key not in {28, 31, 38}:
            raise Bad(0x81)
        if key in seen and key != 38:
            raise Bad(0x82)
        seen.add(key)
        for _ in range(2 if key == 38 else 1):
            section.string()
    if cut.data:
        raise Bad(0x81)


# --- bytes ------------------------------------------------------------------------------------------------------


def string(raw: bytes) -> bytes:
    return len(raw).to_bytes(2, "big") + raw


TOPICS = st.one_of(
    st.sampled_from(
        [b"lifeline/gas/G1", "水/甲烷/一".encode(), b"a" * 1100, b"", b"a/+", b"a\0b", b"\xff\xfe", b"\xed\xa0\x80"]
    ),
    st.text(max_size=8).map(str.encode),
)
PROPERTIES = st.lists(
    st.one_of(
        st.sampled_from([b"\x01\x01", b"\x01\x02", b"\x02\0\0\0\x05", b"\x0b\x05", b"\x0b\0", b"\x0b\x80\x01"]),
        st.sampled_from(
            [b"\x23\0\x01", b"\x23\0\x02", b"\x23\0\0", b"\x23\0\x09", b"\x11\0\0\0\0", b"\x26\0\x01a\0\x01b"]
        ),
        st.sampled_from(
            [b"\x09\0\x02\xff\0", b"\x03" + string(b"json"), b"\x08" + string(b"r/+"), b"\x08" + string(b"r")]
        ),
        st.sampled_from([b"\x26\0\x01a\0\x01\0", b"\x03\0\x05", b"\x80\x01"]),
    ),
    max_size=3,
).map(b"".join)


@st.composite
def packet(draw: st.DrawFn, version: int) -> bytes:
    kind = draw(st.sampled_from(["publish"] * 6 + ["ping", "disconnect", "other", "raw"]))
    if kind == "ping":
        return draw(st.sampled_from([b"\xd0\0", b"\xd0\0", b"\xd1\0", b"\xd0\x01\0"]))
    if kind == "disconnect":
        return draw(
            st.sampled_from([b"\xe0\0", b"\xe0\x01\x8e", b"\xe0\x01\x04", b"\xe0\x05\x8b\x03\x1f\0\0", b"\xe0\x02\0\0"])
        )
    if kind == "other":
        return draw(st.sampled_from([b"\x40\x02\0\x01", b"\x20\x02\0\0", b"\x00\x00", b"\xf0\0", b"\x90\x03\0\x01\0"]))
    if kind == "raw":
        return draw(st.binary(max_size=12))
    qos = draw(st.sampled_from([0, 0, 0, 1, 1, 1, 1, 2, 3] if draw(st.integers(0, 9)) == 0 else [0, 1, 1]))
    flags = qos << 1 | draw(st.integers(0, 1)) | (8 if qos and draw(st.booleans()) else 0)
    fine = draw(st.integers(0, 4))
    topic = b"lifeline/gas/G1" if fine else draw(TOPICS)
    body = string(topic)
    if qos:
        body += draw(st.integers(0 if fine == 0 else 1, 20)).to_bytes(2, "big")
    if version == 5:
        section = draw(PROPERTIES) if draw(st.booleans()) else b""
        body += encode_varint(len(section)) + section
    body += b"x" * draw(st.sampled_from([0, 1, 30, 200, 580, 700, 5000] if fine == 1 else [0, 1, 30, 200]))
    return bytes([0x30 | flags]) + encode_varint(len(body)) + body


@st.composite
def stream(draw: st.DrawFn) -> tuple[int, bytes]:
    version = draw(st.sampled_from([4, 5]))
    data = bytearray(b"".join(draw(st.lists(packet(version), max_size=25))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return version, bytes(data[: len(data) - draw(st.integers(0, 3))])


def run(data: bytes, version: int, chunks: list[int], rows_max: int = 1 << 10) -> tuple[Outcome, Connection]:
    """The machine under test over the bytes, in chunks of the given sizes (repeated)."""
    connect = ConnectSettings(
        "c", version, packet_bytes_max=PACKET_MAX, receive_maximum=WINDOW, topic_alias_maximum=ALIASES
    )
    connection = Connection(connect, [Subscription("#", 1)], rows_max=rows_max)
    connection.connect_bytes(0.0)
    prefix = b"\x20\x02\0\0\x90\x03\0\x01\x01" if version == 4 else b"\x20\x03\0\0\0\x90\x04\0\x01\0\x01"
    data = prefix + data
    buffer = np.zeros(1 << 18, np.uint8)
    filled = at = turn = 0
    outcome = Outcome()
    while at < len(data) or turn == 0:
        size = chunks[turn % len(chunks)]
        turn += 1
        part = np.frombuffer(data[at : at + size], np.uint8)
        buffer[filled : filled + len(part)] = part
        filled += len(part)
        at += len(part)
        more = True
        while more:
            received = connection.receive(buffer, filled, float(turn))
            for i in range(len(received.messages)):
                row = (received.messages.topic(i), received.messages.payload(i), int(received.messages.retain[i]))
                outcome.messages.append(row)
            outcome.refused += [(r.reason.name, r.topic, r.payload) for r in received.refused]
            if received.error is not None:
                assert outcome.code is None
                outcome.code = int(received.error.code)
            more = received.more
            filled -= received.consumed
            buffer[:filled] = buffer[received.consumed : received.consumed + filled].copy()
    assert filled <= max(PACKET_MAX, 70_000)
    return outcome, connection


def acknowledged(connection: Connection) -> list[int]:
    """The identifiers in the order in which they would be acknowledged."""
    pubacks = connection._inflight.acknowledge(connection._inflight.taken)
    return [int.from_bytes(pubacks[i + 2 : i + 4], "big") for i in range(0, len(pubacks), 4)]


def check(outcome: Outcome, connection: Connection, expected: Outcome) -> None:
    assert expected.messages == outcome.messages
    assert expected.code == outcome.code
    assert expected.ids == acknowledged(connection)
    kept = outcome.refused
    if len(kept) == len(expected.refused) + 1:  # the packet that the connection was closed for
        assert outcome.code is not None
        assert kept[-1][0] == "malformed_packet"
        kept = kept[:-1]
    assert expected.refused == kept
    assert (expected.code is not None or expected.closed_by_server) == (connection.phase.value == "closed")


@settings(max_examples=400, deadline=None)
@given(stream(), st.lists(st.integers(1, 900), min_size=1, max_size=4))
def test_any_bytes_in_any_chunking_give_what_the_twin_gives(given_stream: tuple[int, bytes], chunks: list[int]) -> None:
    version, data = given_stream
    check(*run(data, version, chunks), twin(data, version))


@settings(max_examples=60, deadline=None)
@given(stream())
def test_byte_by_byte_and_with_tiny_columns(given_stream: tuple[int, bytes]) -> None:
    version, data = given_stream
    expected = twin(data, version)
    check(*run(data, version, [1]), expected)
    check(*run(data, version, [100_000], rows_max=3), expected)


@settings(max_examples=200, deadline=None)
@given(st.integers(4, 5), st.binary(max_size=200))
def test_random_bytes_never_do_anything_else(version: int, data: bytes) -> None:
    check(*run(data, version, [7, 50]), twin(data, version))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=6), st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_utf8_agrees_with_python(raw: bytes) -> None:
    """[MQTT-1.5.4-1], [MQTT-1.5.4-2]: the judge is CPython's decoder."""
    try:
        right = "\0" not in raw.decode("utf-8")
    except UnicodeDecodeError:
        right = False
    buffer = np.frombuffer(raw or b"\0", np.uint8)
    assert right == frames.utf8_wide(buffer, 0, len(raw), is_topic=False)
    is_topic = right and not set(raw) & set(b"+#")
    assert is_topic == frames.topic_ok(buffer, 0, len(raw))


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 23])
def test_a_topic_is_judged_by_each_of_its_bytes(length: int) -> None:
    """Every byte at every place of a plain topic, with other bytes around it: eight are looked at in one step."""
    for place in range(length):
        for byte in range(256):
            topic = b"a" * place + bytes([byte]) + b"z" * (length - place - 1)
            buffer = np.frombuffer(b"\0#" + topic + b"+\xff", np.uint8)
            assert frames.topic_ok(buffer, 2, 2 + length) == (byte < 128 and bytes([byte]) not in b"\0#+")


@pytest.mark.parametrize("value", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455])
def test_varint_boundaries_of_table_1_1(value: int) -> None:
    """Table 1-1 of MQTT 5."""
    raw = np.frombuffer(encode_varint(value), np.uint8)
    assert (value, len(raw)) == frames.varint(raw, 0, len(raw))
    assert frames.varint(raw, 0, len(raw) - 1)[0] == -1


@pytest.mark.parametrize(
    "raw", [b"\x80\x00", b"\xff\x80\x00", b"\x80\x80\x80\x00", b"\x80\x80\x80\x80", b"\xff\xff\xff\xff\x01"]
)
def test_varint_not_minimal_or_too_long_is_malformed_mqtt_1_5_5_1(raw: bytes) -> None:
    assert frames.varint(np.frombuffer(raw, np.uint8), 0, len(raw))[0] == -2
