"""Statements of the standards that bind a subscriber, one row each: bytes in, reaction out.

Names carry the statement (MQTT 5 ids; where there is none, the section). The bytes are written by hand from the
standard's tables, not by our own encoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ingest.mqtt import control, wire
from ingest.mqtt.connection import Connection
from ingest.mqtt.control import ConnectSettings, Subscription
from ingest.mqtt.liveness import REPLY_TIMEOUT_S, SilentPeerError
from ingest.mqtt.phases import Phase
from ingest.mqtt.spec import Code, Packet
from ingest.mqtt.suspects import Suspects

CONNACK = {4: "20020000", 5: "2003000000"}
SUBACK = {4: "9003000101", 5: "900400010001"}
ASKED = (Subscription("lifeline/#", 1),)


def fresh(version: int = 5, **changes: Any) -> Connection:
    options: dict[str, Any] = {"packet_bytes_max": 4096, "receive_maximum": 3, "topic_alias_maximum": 2, **changes}
    connection = Connection(ConnectSettings("c", version, **options), ASKED)
    connection.connect_bytes(0.0)
    return connection


def feed(connection: Connection, data: bytes, now: float = 1.0) -> Any:
    """One receive over all the bytes."""
    buffer = np.zeros(max(1, len(data)) + 80_000, np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    return connection.receive(buffer, len(data), now)


def opened(version: int = 5, **changes: Any) -> Connection:
    connection = fresh(version, **changes)
    received = feed(connection, bytes.fromhex(CONNACK[version] + SUBACK[version]))
    assert received.error is None
    assert connection.phase is Phase.OPEN
    connection.bytes_to_send(1.0)
    return connection


def react(connection: Connection, data: str, version: int) -> int | None:
    """The reason code the connection ends with, None if it lives; DISCONNECT only in MQTT 5."""
    received = feed(connection, bytes.fromhex(data.replace(" ", "")))
    if received.error is None:
        assert connection.phase is not Phase.CLOSED or received.effects
        return None
    code = int(received.error.code)
    sent = connection.bytes_to_send(2.0)
    assert sent[-3:] == bytes([0xE0, 1, code]) if version == 5 else not sent.endswith(b"\xe0\x00")
    assert connection.phase is Phase.CLOSED
    return code


OK = None
CONNACK_CASES = [
    (4, "20 02 00 00", OK, "3.2 accepted"),
    (4, "20 02 01 00", OK, "3.2.2-2 session present"),
    (5, "20 03 00 00 00", OK, "3.2 accepted"),
    (5, "20 03 01 00 00", OK, "3.2.2-2 session present"),
    (4, "21 02 00 00", 0x81, "2.1.3-1 reserved fixed-header flags"),
    (5, "28 03 00 00 00", 0x81, "2.1.3-1 reserved fixed-header flags"),
    (4, "20 02 02 00", 0x81, "3.2.2-1 reserved acknowledge flags"),
    (5, "20 03 80 00 00", 0x81, "3.2.2-1 reserved acknowledge flags"),
    (4, "20 02 01 05", 0x82, "3.2.2-6 session present with a refusal"),
    (5, "20 03 01 87 00", 0x82, "3.2.2-6 session present with a refusal"),
    (4, "20 02 00 06", 0x81, "table 3.1 reserved return code"),
    (5, "20 03 00 01 00", 0x81, "3.2.2-8 reason code of another packet"),
    (5, "20 03 00 8e 00", 0x81, "3.2.2-8 reason code of another packet"),
    (4, "20 00", 0x81, "3.2 empty"),
    (4, "20 01 00", 0x81, "3.2 no return code"),
    (4, "20 03 00 00 00", 0x81, "3.2 one byte too many"),
    (5, "20 02 00 00", 0x81, "3.2.2.3.1 no property length"),
    (5, "20 04 00 00 00 00", 0x81, "3.2 a byte after the properties"),
    (5, "20 04 00 00 05 21", 0x81, "2.2.2.1 properties longer than the packet"),
    (5, "20 04 00 00 80 00", 0x81, "1.5.5-1 property length not in its shortest form"),
    (5, "20 06 00 00 03 21 00 14", OK, "3.2.2.3.3 receive maximum"),
    (5, "20 06 00 00 03 21 00 00", 0x82, "3.2.2.3.3 receive maximum 0"),
    (5, "20 09 00 00 06 21 00 14 21 00 14", 0x82, "3.2.2.3.3 receive maximum twice"),
    (5, "20 05 00 00 02 24 01", OK, "3.2.2.3.4 maximum QoS 1"),
    (5, "20 05 00 00 02 24 02", 0x82, "3.2.2.3.4 maximum QoS 2"),
    (5, "20 05 00 00 02 25 02", 0x82, "3.2.2.3.5 retain available 2"),
    (5, "20 08 00 00 05 27 00 00 00 00", 0x82, "3.2.2.3.6 maximum packet size 0"),
    (5, "20 08 00 00 05 27 00 00 00 05", 0x82, "3.2.2-15 maximum packet size below our SUBSCRIBE"),
    (5, "20 08 00 00 05 27 00 00 10 00", OK, "3.2.2.3.6 maximum packet size"),
    (5, "20 07 00 00 04 12 00 01 63", OK, "3.2.2.3.7 assigned client identifier"),
    (5, "20 07 00 00 04 12 00 01 ff", 0x81, "1.5.4-1 assigned client identifier not UTF-8"),
    (5, "20 06 00 00 03 22 00 0a", OK, "3.2.2.3.8 topic alias maximum"),
    (5, "20 07 00 00 04 1f 00 01 00", 0x81, "1.5.4-2 reason string with U+0000"),
    (5, "20 0a 00 00 07 26 00 01 61 00 01 62", OK, "3.2.2.3.10 user property"),
    (5, "20 11 00 00 0e 26 00 01 61 00 01 62 26 00 01 61 00 01 62", OK, "3.2.2.3.10 user property twice"),
    (5, "20 05 00 00 02 28 02", 0x82, "3.2.2.3.11 wildcard available 2"),
    (5, "20 05 00 00 02 29 02", 0x82, "3.2.2.3.12 subscription identifiers available 2"),
    (5, "20 05 00 00 02 2a 02", 0x82, "3.2.2.3.13 shared available 2"),
    (5, "20 06 00 00 03 13 00 05", OK, "3.2.2.3.14 server keep alive"),
    (5, "20 05 00 00 02 01 00", 0x81, "2.2.2.2 payload format indicator does not belong here"),
    (5, "20 05 00 00 02 7f 00", 0x81, "2.2.2.2 unknown property"),
    (5, "20 04 00 00 01 13", 0x81, "2.2.2.2 property cut off"),
    (5, "d0 00", 0x82, "3.2.0-1 PINGRESP before CONNACK"),
    (5, "90 04 00 01 00 01", 0x82, "3.2.0-1 SUBACK before CONNACK"),
    (4, "30 05 00 01 61 62 63", 0x82, "3.2.0-1 PUBLISH before CONNACK"),
    (5, "f0 02 18 00", 0x82, "4.12.0-6 AUTH without an authentication method"),
    (5, "20 80 80 80 80 01", 0x81, "1.5.5 remaining length of five bytes"),
    (5, "20 83 00 00 00 00", 0x81, "1.5.5-1 remaining length not in its shortest form"),
]


@pytest.mark.parametrize(
    ("version", "data", "code", "name"), CONNACK_CASES, ids=[f"v{c[0]} {c[3]}" for c in CONNACK_CASES]
)
def test_connack(version: int, data: str, code: int | None, name: str) -> None:
    assert react(fresh(version), data, version) == code, name


@pytest.mark.parametrize("refusal", [1, 2, 3, 4, 5])
def test_connack_refusals_of_311_table_3_1(refusal: int) -> None:
    connection = fresh(4)
    received = feed(connection, bytes([0x20, 2, 0, refusal]))
    assert received.error is None
    assert received.effects[0].code == refusal
    assert connection.phase is Phase.CLOSED


@pytest.mark.parametrize("refusal", [0x80, 0x84, 0x85, 0x86, 0x87, 0x88, 0x8A, 0x8C, 0x95, 0x97, 0x9C, 0x9F])
def test_connack_refusals_of_5_table_3_1(refusal: int) -> None:
    connection = fresh()
    received = feed(connection, bytes([0x20, 3, 0, refusal, 0]))
    assert (received.error, received.effects[0].code, connection.phase) == (None, refusal, Phase.CLOSED)
    assert received.effects[0].reason.startswith(f"0x{refusal:02x}")


def test_connack_after_a_clean_start_has_no_session_3_2_2_2() -> None:
    assert react(fresh(5, clean_start=True), "20 03 01 00 00", 5) == 0x82


SUBACK_CASES = [
    (4, "90 03 00 01 00", OK, "3.9 granted QoS 0"),
    (4, "90 03 00 01 01", OK, "3.9 granted QoS 1"),
    (4, "90 03 00 01 80", OK, "3.9 failure"),
    (5, "90 04 00 01 00 01", OK, "3.9 granted QoS 1"),
    (4, "90 03 00 01 02", 0x82, "3.8.4 granted more than asked"),
    (5, "90 04 00 01 00 02", 0x82, "3.8.4 granted more than asked"),
    (4, "90 03 00 01 03", 0x81, "3.9.3-2 reserved return code"),
    (4, "90 03 00 01 87", 0x81, "3.9.3-2 an MQTT 5 code in 3.1.1"),
    (5, "90 04 00 01 00 85", 0x81, "3.9.3-2 reason code of another packet"),
    (5, "92 04 00 01 00 01", 0x81, "2.1.3-1 reserved flags"),
    (4, "90 03 00 00 01", 0x81, "2.2.1-3 packet identifier 0"),
    (4, "90 03 00 02 01", 0x82, "3.8.4-2 another packet identifier"),
    (4, "90 02 00 01", 0x81, "3.9.3 no return code"),
    (5, "90 03 00 01 00", 0x81, "3.9.3 no reason code"),
    (4, "90 04 00 01 01 01", 0x82, "3.8.4-6 more codes than filters"),
    (4, "90 01 00", 0x81, "3.9.2 half a packet identifier"),
    (5, "90 02 00 01", 0x81, "3.9.2.1 no property length"),
    (5, "90 08 00 01 04 1f 00 01 61 01", OK, "3.9.2.1.2 reason string"),
    (5, "90 0c 00 01 08 1f 00 01 61 1f 00 01 61 01", 0x82, "3.9.2.1.2 reason string twice"),
    (5, "90 07 00 01 03 21 00 01 01", 0x81, "2.2.2.2 receive maximum does not belong here"),
    (5, "20 03 00 00 00", 0x82, "3.2 second CONNACK"),
    (5, "b0 04 00 01 00 00", 0x82, "3.10 UNSUBACK that nobody asked for"),
]


@pytest.mark.parametrize(
    ("version", "data", "code", "name"), SUBACK_CASES, ids=[f"v{c[0]} {c[3]}" for c in SUBACK_CASES]
)
def test_suback(version: int, data: str, code: int | None, name: str) -> None:
    connection = fresh(version)
    assert feed(connection, bytes.fromhex(CONNACK[version])).error is None
    assert react(connection, data, version) == code, name
    if code is None:
        assert connection.phase is Phase.OPEN


def test_second_suback_3_8_4_2() -> None:
    assert react(opened(), SUBACK[5], 5) == 0x82


@pytest.mark.parametrize("refusal", [0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2])
def test_suback_refusals_of_5_table_3_8(refusal: int) -> None:
    connection = fresh()
    received = feed(connection, bytes.fromhex(CONNACK[5]) + bytes([0x90, 4, 0, 1, 0, refusal]))
    assert received.error is None
    assert received.effects[-1].codes == (refusal,)


PUBLISH_CASES = [
    (4, "30 03 00 01 61", OK, "3.3 empty payload"),
    (4, "31 04 00 01 61 78", OK, "3.3.1.3 retain"),
    (4, "32 05 00 01 61 00 01", OK, "3.3.1.2 QoS 1"),
    (4, "3a 05 00 01 61 00 01", OK, "3.3.1.1 DUP at QoS 1"),
    (4, "38 03 00 01 61", 0x81, "3.3.1-2 DUP at QoS 0"),
    (4, "36 05 00 01 61 00 01", 0x81, "3.3.1-4 QoS 3"),
    (5, "36 06 00 01 61 00 01 00", 0x81, "3.3.1-4 QoS 3"),
    (4, "34 05 00 01 61 00 01", 0x82, "3.8.4-8 QoS 2 above what we subscribed"),
    (5, "34 06 00 01 61 00 01 00", 0x82, "3.8.4-8 QoS 2 above what we subscribed"),
    (4, "32 05 00 01 61 00 00", 0x81, "2.2.1-3 packet identifier 0"),
    (4, "32 04 00 01 61 00", 0x81, "2.2.1 half a packet identifier"),
    (4, "32 03 00 01 61", 0x81, "2.2.1 no packet identifier"),
    (4, "30 00", 0x81, "3.3.2 no topic"),
    (4, "30 01 00", 0x81, "1.5.4 half a topic length"),
    (4, "30 02 00 01", 0x81, "1.5.4 topic longer than the packet"),
    (4, "30 02 00 00", 0x81, "4.7.3-1 empty topic"),
    (5, "30 03 00 00 00", 0x82, "3.3.2.1 empty topic without alias"),
    (4, "30 04 00 02 61 2b", 0x81, "3.3.2-2 + in the topic"),
    (4, "30 03 00 01 23", 0x81, "3.3.2-2 # in the topic"),
    (4, "30 03 00 01 ff", 0x81, "1.5.4-1 topic not UTF-8"),
    (4, "30 04 00 02 c0 80", 0x81, "1.5.4-1 overlong U+0000"),
    (4, "30 05 00 03 ed a0 80", 0x81, "1.5.4-1 surrogate"),
    (4, "30 06 00 04 f4 90 80 80", 0x81, "1.5.4-1 past U+10FFFF"),
    (4, "30 03 00 01 00", 0x81, "1.5.4-2 U+0000"),
    (4, "30 05 00 03 ef bb bf", OK, "1.5.4-3 U+FEFF is kept"),
    (4, "30 06 00 04 f0 9f 94 a5", OK, "1.5.4 four bytes of UTF-8"),
    (5, "30 04 00 01 61 00", OK, "3.3.2.3 no properties"),
    (5, "30 03 00 01 61", 0x81, "3.3.2.3.1 no property length"),
    (5, "30 05 00 01 61 80 00", 0x81, "1.5.5-1 property length not in its shortest form"),
    (5, "30 05 00 01 61 02 01", 0x81, "3.3.2.3.1 properties longer than the packet"),
    (5, "30 06 00 01 61 02 01 01", OK, "3.3.2.3.2 payload format"),
    (5, "30 06 00 01 61 02 01 02", 0x82, "3.3.2.3.2 payload format 2"),
    (5, "30 08 00 01 61 04 01 00 01 00", 0x82, "3.3.2.3.2 payload format twice"),
    (5, "30 09 00 01 61 05 02 00 00 00 3c", OK, "3.3.2.3.3 message expiry"),
    (5, "30 07 00 01 61 03 02 00 3c", 0x81, "3.3.2.3.3 message expiry cut off"),
    (5, "30 07 00 01 61 03 23 00 01", OK, "3.3.2.3.4 alias set"),
    (5, "30 07 00 01 61 03 23 00 00", 0x94, "3.3.2-8 alias 0"),
    (5, "30 07 00 01 61 03 23 00 03", 0x94, "3.3.2-10 alias above our maximum"),
    (5, "30 06 00 00 03 23 00 01", 0x82, "3.3.2.3.4 alias that was never set"),
    (5, "30 0a 00 01 61 06 23 00 01 23 00 01", 0x82, "3.3.2.3.4 alias twice"),
    (5, "30 08 00 01 61 04 08 00 01 72", OK, "3.3.2.3.5 response topic"),
    (5, "30 08 00 01 61 04 08 00 01 23", 0x82, "3.3.2-14 wildcard in the response topic"),
    (5, "30 09 00 01 61 05 09 00 02 ff 00", OK, "3.3.2.3.6 correlation data of any bytes"),
    (5, "30 0b 00 01 61 07 26 00 01 61 00 01 62", OK, "3.3.2.3.7 user property"),
    (5, "30 0b 00 01 61 07 26 00 01 61 00 01 ff", 0x81, "1.5.7-1 user property not UTF-8"),
    (5, "30 06 00 01 61 02 0b 05", OK, "3.3.2.3.8 subscription identifier"),
    (5, "30 08 00 01 61 04 0b 05 0b 06", OK, "3.3.2.3.8 two subscription identifiers"),
    (5, "30 06 00 01 61 02 0b 00", 0x82, "3.3.2.3.8 subscription identifier 0"),
    (5, "30 08 00 01 61 04 03 00 01 6a", OK, "3.3.2.3.9 content type"),
    (5, "30 08 00 01 61 04 03 00 01 00", 0x81, "1.5.4-2 content type with U+0000"),
    (5, "30 07 00 01 61 03 21 00 01", 0x81, "2.2.2.2 receive maximum does not belong here"),
    (5, "30 05 00 01 61 01 26", 0x81, "3.3.2.3.7 user property without a value"),
    (5, "30 81 20", 0x95, "3.1.2-24 larger than our Maximum Packet Size, refused at the header"),
    (5, "30 ff ff ff 7f", 0x95, "3.1.2-24 268,435,455 bytes announced, refused at the header"),
    (4, "20 ff ff ff 7f", 0x82, "3.2 second CONNACK, 268,435,455 bytes announced"),
    (4, "d0 ff ff ff 7f", 0x95, "3.13 PINGRESP of 268,435,455 bytes"),
    (4, "30 ff ff ff ff", 0x81, "1.5.5 remaining length of five bytes"),
]


@pytest.mark.parametrize(
    ("version", "data", "code", "name"), PUBLISH_CASES, ids=[f"v{c[0]} {c[3]}" for c in PUBLISH_CASES]
)
def test_publish(version: int, data: str, code: int | None, name: str) -> None:
    assert react(opened(version), data, version) == code, name


REST_CASES = [
    (4, "d0 00", OK, "3.13 PINGRESP"),
    (4, "d1 00", 0x81, "2.1.3-1 PINGRESP with flags"),
    (5, "d0 01 00", 0x81, "3.13 PINGRESP with a body"),
    (5, "e0 00", OK, "3.14.2.1 DISCONNECT without a reason: 0x00"),
    (5, "e0 01 8e", OK, "3.14.2.1 DISCONNECT with a reason"),
    (5, "e0 02 8b 00", OK, "3.14.2.2 no properties"),
    (5, "e0 06 8b 04 1f 00 01 61", OK, "3.14.2.2.3 reason string"),
    (5, "e0 06 9c 04 1c 00 01 61", OK, "3.14.2.2.5 server reference"),
    (5, "e0 07 8b 05 11 00 00 00 01", 0x81, "3.14.2-2 session expiry from the server"),
    (5, "e0 01 04", 0x81, "3.14.2-1 with will: a client's code"),
    (5, "e0 01 91", 0x81, "3.14.2-1 code of another packet"),
    (5, "e1 00", 0x81, "3.14.1-1 reserved flags"),
    (5, "e0 03 8b 00 00", 0x81, "3.14 a byte after the properties"),
    (4, "e0 00", 0x82, "3.1.1 3.14 a server does not send it"),
    (5, "00 00", 0x82, "2.1.2 type 0 is forbidden"),
    (5, "10 00", 0x82, "3.1 CONNECT from the server"),
    (5, "40 02 00 01", 0x82, "3.4 PUBACK although we never publish"),
    (5, "50 02 00 01", 0x82, "3.5 PUBREC although we never publish"),
    (5, "62 02 00 01", 0x82, "3.6 PUBREL although we take no QoS 2"),
    (5, "70 02 00 01", 0x82, "3.7 PUBCOMP although we never publish"),
    (5, "82 06 00 01 00 01 61 00", 0x82, "3.8 SUBSCRIBE from the server"),
    (5, "a2 06 00 01 00 00 01 61", 0x82, "3.10 UNSUBSCRIBE from the server"),
    (5, "c0 00", 0x82, "3.12 PINGREQ from the server"),
    (5, "f0 00", 0x82, "3.15 AUTH without an authentication method"),
    (4, "f0 00", 0x82, "3.1.1 2.2.1 type 15 is forbidden"),
]


@pytest.mark.parametrize(("version", "data", "code", "name"), REST_CASES, ids=[f"v{c[0]} {c[3]}" for c in REST_CASES])
def test_other_packets(version: int, data: str, code: int | None, name: str) -> None:
    assert react(opened(version), data, version) == code, name


def test_receive_maximum_3_3_4_9() -> None:
    """Three in flight are allowed, the fourth is 0x93; after acknowledging there is room again."""
    connection = opened()
    packet = "32 06 00 01 61 00 {:02x} 00"
    first = feed(connection, bytes.fromhex("".join(packet.format(i) for i in (1, 2, 3)).replace(" ", "")))
    assert connection.acknowledge(first.token) == 3
    assert connection.bytes_to_send(1.0) == bytes.fromhex("400200014002000240020003")
    received = feed(connection, bytes.fromhex("".join(packet.format(i) for i in (4, 5, 6, 7)).replace(" ", "")))
    assert len(received.messages) == 3
    assert received.error.code == Code.RECEIVE_MAXIMUM_EXCEEDED
    assert connection.bytes_to_send(1.0) == b"\xe0\x01\x93"
    assert connection.acknowledge(received.token) == 0, "nothing is sent after DISCONNECT [MQTT-3.14.4-2]"


def test_receive_maximum_does_not_count_the_same_identifier_twice() -> None:
    """A broker that resends on a live connection is answered each time, not accused."""
    connection = opened()
    received = feed(connection, bytes.fromhex("32060001610001003a060001610001003a06000161000100") * 2)
    assert received.error is None
    assert connection.acknowledge(received.token) == 6


def test_aliases_resolve_and_are_replaced_3_3_2_3_4() -> None:
    connection = opened()
    set_b = "30 07 00 01 62 03 23 00 01"
    use = "30 06 00 00 03 23 00 01"
    plain = "30 04 00 01 63 00"
    received = feed(connection, bytes.fromhex(f"30 07 00 01 61 03 23 00 01 {use} {plain} {set_b} {use}"))
    assert [received.messages.topic(i) for i in range(5)] == [b"a", b"a", b"c", b"b", b"b"]
    assert [received.messages.payload(i) for i in range(5)] == [b""] * 5


def test_oversized_in_311_is_dropped_as_it_comes_its_head_kept_and_acknowledged_b07() -> None:
    """256 MiB announced: nothing is stored but the head, and the next packet is read again."""
    connection = opened(4)
    size = 50_000
    head = bytes([0x32]) + wire.varint(size) + b"\x00\x01a\x00\x07"
    received = feed(connection, head + b"x" * 5000)
    assert [(r.reason.name, r.topic, r.payload) for r in received.refused] == [("oversized", b"a", b"x" * 4096)]
    assert received.consumed == len(head) + 5000
    left = size - 5 - 5000
    while left:
        part = min(left, 7001)
        received = feed(connection, b"x" * part)
        assert (received.consumed, len(received.messages), received.refused) == (part, 0, ())
        left -= part
    received = feed(connection, bytes.fromhex("32 05 00 01 62 00 08"))
    assert received.messages.topic(0) == b"b"
    assert connection.acknowledge(received.token) == 2
    assert connection.bytes_to_send(1.0) == bytes.fromhex("4002000740020008")


def test_poison_closes_once_and_is_set_aside_when_it_comes_again() -> None:
    """[MQTT-1.5.4-1] closes the connection; the same packet after the reconnect must not close it for ever."""
    suspects = Suspects()
    connect = ConnectSettings("c")
    poison = b"\x00\x02\xff\xfe%b\x00" + b"p" * 100
    data = {
        dup: bytes([0x32 | dup << 3, len(poison)]) + poison.replace(b"%b", number)
        for dup, number in ((0, b"\0\1"), (1, b"\0\2"))
    }
    good = bytes.fromhex("3206 000161 0003 00")
    for dup in (0, 1):
        connection = Connection(connect, ASKED, suspects)
        connection.connect_bytes(0.0)
        feed(connection, bytes.fromhex(CONNACK[5] + SUBACK[5]))
        received = feed(connection, data[dup] + good)
        assert [r.reason.name for r in received.refused] == ["malformed_packet"]
        assert "UTF-8" in received.refused[0].detail
        assert (received.error is None) == bool(dup)
    connection.bytes_to_send(1.0)
    assert connection.acknowledge(received.token) == 2
    assert connection.bytes_to_send(1.0) == bytes.fromhex("4002000240020003")


def test_ping_when_nothing_was_sent_3_1_2_20_and_dead_link_within_one_and_a_half_m03() -> None:
    connection = opened(5, keepalive_s=60)
    assert connection.next_deadline() == 61.0
    connection.tick(60.9)
    assert connection.bytes_to_send(60.9) == b""
    connection.tick(61.0)
    assert connection.bytes_to_send(61.0) == b"\xc0\x00"
    assert connection.next_deadline() == 91.0
    connection.tick(90.9)
    with pytest.raises(SilentPeerError):
        connection.tick(91.0)


def test_pingresp_ends_the_wait() -> None:
    connection = opened(5, keepalive_s=60)
    connection.tick(61.0)
    connection.bytes_to_send(61.0)
    feed(connection, b"\xd0\x00", 62.0)
    connection.tick(100.0)
    connection.tick(121.0)
    assert connection.bytes_to_send(121.0) == b"\xc0\x00"


def test_pings_go_on_and_silence_proves_nothing_while_the_caller_does_not_read() -> None:
    connection = opened(5, keepalive_s=60)
    for now in range(61, 1000, 60):
        connection.tick(float(now), reading=False)
        assert connection.bytes_to_send(float(now)) == b"\xc0\x00"
    with pytest.raises(SilentPeerError):
        connection.tick(1100.0)


def test_server_keep_alive_is_obeyed_3_1_2_21() -> None:
    connection = fresh(5, keepalive_s=60)
    feed(connection, bytes.fromhex("20 06 00 00 03 13 00 05" + SUBACK[5]))
    connection.bytes_to_send(1.0)
    assert connection.next_deadline() == 6.0
    connection.tick(6.0)
    assert connection.bytes_to_send(6.0) == b"\xc0\x00"


def test_keep_alive_zero_never_pings_3_1_2_10() -> None:
    connection = opened(5, keepalive_s=0)
    assert connection.next_deadline() is None
    connection.tick(1e9)
    assert connection.bytes_to_send(1e9) == b""


@pytest.mark.parametrize("answer", ["", CONNACK[5]])
def test_no_answer_ends_the_connection(answer: str) -> None:
    """Neither CONNACK nor SUBACK may be waited for for ever."""
    connection = fresh()
    feed(connection, bytes.fromhex(answer), 1.0)
    assert connection.next_deadline() == 1.0 + REPLY_TIMEOUT_S
    with pytest.raises(SilentPeerError, match="SUBACK" if answer else "CONNACK"):
        connection.tick(1.0 + REPLY_TIMEOUT_S)


def test_the_time_for_suback_runs_from_when_subscribe_went_out() -> None:
    """Not from CONNACK: where kernels had to be compiled in between, the broker was not asked yet."""
    connection = fresh(5, keepalive_s=0)
    feed(connection, bytes.fromhex(CONNACK[5]), 1.0)
    assert connection.bytes_to_send(23.0)
    connection.tick(23.0)
    assert connection.bytes_to_send(24.0) == b""
    assert connection.next_deadline() == 23.0 + REPLY_TIMEOUT_S
    with pytest.raises(SilentPeerError, match="SUBACK"):
        connection.tick(23.0 + REPLY_TIMEOUT_S)


def test_connect_of_5_has_every_field_3_1() -> None:
    settings = ConnectSettings(
        "cid",
        5,
        "user",
        "geheim",
        clean_start=False,
        keepalive_s=60,
        session_expiry_s=3600,
        receive_maximum=100,
        packet_bytes_max=1 << 20,
        topic_alias_maximum=7,
    )
    expected = (
        "10 2e  0004 4d515454 05 c0 003c  10  11 00000e10  21 0064  27 00100000  22 0007"
        "0003 636964  0004 75736572  0006 67656865696d"
    ).replace(" ", "")
    raw = bytes.fromhex(expected)
    assert control.build_connect(settings) == raw
    assert raw[1] == len(raw) - 2


def test_connect_of_311_has_every_field_3_1() -> None:
    settings = ConnectSettings("cid", 4, "user", clean_start=True, keepalive_s=10)
    assert control.build_connect(settings) == bytes.fromhex("1015 00044d515454 04 82 000a 0003636964 000475736572")


def test_password_without_user_name_only_in_5_3_1_2_22() -> None:
    with pytest.raises(ValueError, match=r"3\.1\.2-22"):
        control.build_connect(ConnectSettings("c", 4, None, "x"))
    assert control.build_connect(ConnectSettings("c", 5, None, "x"))[9] == 0x40


def test_subscribe_of_both_versions_3_8() -> None:
    filters = [Subscription("a/#", 1), Subscription("b", 0)]
    assert control.build_subscribe(1, filters, 5) == bytes.fromhex("820d 0001 00 0003612f23 01 000162 00")
    assert control.build_subscribe(1, filters, 4) == bytes.fromhex("820c 0001 0003612f23 01 000162 00")
    with pytest.raises(ValueError, match="at least one"):
        control.build_subscribe(1, [], 5)


def test_disconnect_3_14() -> None:
    assert control.build_disconnect(5) == control.build_disconnect(4) == b"\xe0\x00"
    assert control.build_disconnect(5, Code.PACKET_TOO_LARGE) == b"\xe0\x01\x95"
    assert control.build_disconnect(4, Code.PACKET_TOO_LARGE) == b"\xe0\x00"


@pytest.mark.parametrize(
    ("value", "raw"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (268_435_455, "ffffff7f")],
)
def test_varint_written_table_1_1(value: int, raw: str) -> None:
    assert wire.varint(value) == bytes.fromhex(raw)


def test_varint_has_an_end_1_5_5() -> None:
    """A neighbour's test blesses 4294967295; the standard stops at 268,435,455."""
    with pytest.raises(ValueError, match="268435455"):
        wire.varint(268_435_456)


def test_every_packet_type_has_a_verdict_in_every_phase() -> None:
    """The table of states is complete by construction: what it lacks is refused with 0x82."""
    for packet in Packet:
        for connection in (fresh(), opened()):
            received = feed(connection, bytes([packet << 4, 0]))
            assert received.error is not None or packet in {Packet.PINGRESP, Packet.DISCONNECT}


def test_nothing_counts_after_the_end() -> None:
    connection = opened()
    received = feed(connection, bytes.fromhex("e0 01 8b 30 04 00 01 61 00"))
    assert (len(received.messages), received.consumed) == (0, 9)
    received = feed(connection, bytes.fromhex("30 04 00 01 61 00"))
    assert (len(received.messages), received.consumed, received.error) == (0, 6, None)
    assert connection.next_deadline() is None
