"""A malformed packet is known again whatever a broker may change of it, and memory of them is bounded."""

from __future__ import annotations

from ingest.mqtt.suspects import SUSPECTS_MAX, Suspects


def body(topic: bytes, identifier: int, payload: bytes) -> bytes:
    return len(topic).to_bytes(2, "big") + topic + identifier.to_bytes(2, "big") + payload


def test_the_same_packet_under_another_identifier_is_known() -> None:
    suspects = Suspects()
    suspects.remember(body(b"a\0b", 7, b"x" * 80))
    assert suspects.knows(body(b"a\0b", 8, b"x" * 80))
    assert not suspects.knows(body(b"a\0c", 7, b"x" * 80))
    assert not suspects.knows(body(b"a\0b", 7, b"x" * 81))
    assert not suspects.knows(body(b"a\0b", 7, b"x" * 79 + b"y"))


def test_the_oldest_are_forgotten() -> None:
    suspects = Suspects()
    packets = [body(b"%d\0" % number, 1, b"x" * 80) for number in range(SUSPECTS_MAX + 1)]
    for packet in packets:
        suspects.remember(packet)
    assert not suspects.knows(packets[0])
    assert all(map(suspects.knows, packets[1:]))
