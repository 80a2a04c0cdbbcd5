"""The outbox: identifiers, windows, acknowledgements in any order and any chunking, reconnects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.errors import PeerError
from simulators.generator import Tick
from simulators.kernels.acks import IDENTIFIERS, take_acks
from simulators.outbox import Outbox
from simulators.schedule import Objects
from simulators.wire import Packets


def chunk(count: int, size: int = 3, qos: int = 1) -> tuple[Tick, Packets]:
    """A tick of ``count`` objects of two readings, one packet of ``size`` bytes each (first byte 0x32)."""
    n = np.arange(count, dtype=np.int64)
    objects = Objects(n.astype(np.int32), n, n, n.astype(np.uint32), n, np.zeros(count, np.bool_))
    ptr = np.arange(count + 1, dtype=np.int64) * 2
    tick = Tick(0, 50, objects, ptr, np.zeros(2 * count, np.int64))
    data = np.tile(np.array([0x30 | qos << 1] + [7] * (size - 1), np.uint8), count)
    return tick, Packets(data, np.arange(count + 1, dtype=np.int64) * size, np.arange(count + 1, dtype=np.int64))


def puback(number: int) -> bytes:
    return b"\x40\x02" + (number % IDENTIFIERS + 1).to_bytes(2, "big")


class Book:
    """Remembers what was settled."""

    def __init__(self) -> None:
        self.acked = 0
        self.handed = 0
        self.objects = 0

    def __call__(self, tick: Tick, acked: np.ndarray, handed: np.ndarray) -> None:
        self.acked += int(acked.sum())
        self.handed += int(handed.sum())
        self.objects += len(tick.objects)


def drain(outbox: Outbox) -> int:
    total = 0
    while len(waiting := outbox.sendable()):
        outbox.taken(len(waiting))
        total += len(waiting)
    return total


@given(st.integers(1, 40), st.randoms(use_true_random=False), st.lists(st.integers(1, 9), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_acks_in_any_order_and_chunking(count: int, random: object, cuts: list[int]) -> None:
    """Each number once, in any order, cut anywhere, sent in any pieces: all acknowledged, nothing in flight."""
    book = Book()
    outbox = Outbox(1, book)
    outbox.put(*chunk(count))
    i = 0
    while len(waiting := outbox.sendable()):
        outbox.taken(min(cuts[i % len(cuts)], len(waiting)))
        i += 1
    numbers = list(range(count))
    random.shuffle(numbers)  # type: ignore[attr-defined]
    stream = b"".join(puback(n) for n in numbers) + b"\xd0\x00"
    while stream:
        step = cuts[i % len(cuts)]
        outbox.received(stream[:step])
        stream = stream[step:]
        i += 1

    assert (outbox.sent_messages, outbox.acked_messages, outbox.in_flight) == (count, count, 0)
    assert (outbox.sent_readings, outbox.acked_readings) == (2 * count, 2 * count)
    assert (book.acked, book.handed, outbox.kept_bytes) == (count, count, 0)


def test_the_window_is_65535_packets() -> None:
    """Number 65,535 travels as identifier 1 again and must wait for number 0; a gap holds everything after it."""
    outbox = Outbox(1, Book())
    outbox.put(*chunk(IDENTIFIERS + 10))

    assert drain(outbox) == IDENTIFIERS * 3
    assert outbox.sent_messages == IDENTIFIERS
    outbox.received(puback(1) + puback(2))
    assert len(outbox.sendable()) == 0
    outbox.received(puback(0))
    assert drain(outbox) == 9
    assert outbox.in_flight == IDENTIFIERS


def test_many_windows_pass() -> None:
    book = Book()
    outbox = Outbox(1, book)
    for _ in range(30):
        first = outbox.next_number
        outbox.put(*chunk(5000))
        drain(outbox)
        outbox.received(b"".join(puback(n) for n in range(first, first + 5000)))

    assert book.acked == outbox.acked_messages == 150_000


def test_acks_of_what_is_not_in_flight_are_ignored() -> None:
    outbox = Outbox(1, Book())
    outbox.put(*chunk(3))
    outbox.taken(3)
    outbox.received(puback(1) + puback(60_000) + puback(0) + puback(0))

    assert (outbox.acked_messages, outbox.in_flight) == (1, 0)


@pytest.mark.parametrize(
    "data", [b"\x30\x02ab", b"\x40\x03\x00\x01\x00", b"\x40\x02\x00\x00", b"\x40\xff\x01", b"\x20\x02\x00\x00"]
)
def test_what_a_publisher_must_not_get_is_the_brokers_fault(data: bytes) -> None:
    outbox = Outbox(1, Book())

    with pytest.raises(PeerError):
        outbox.received(data)


def test_a_reconnect_sends_what_is_in_flight_again_with_dup_and_cut_packets_whole() -> None:
    """Five packets of 3 bytes, 10 bytes sent, number 1 acknowledged: 0 and 2 again with DUP, then 3 from its start."""
    outbox = Outbox(1, Book())
    outbox.put(*chunk(5))
    outbox.taken(10)
    outbox.received(puback(1) + b"\x40")
    was_between_packets = outbox.is_between_packets
    outbox.reconnected()

    assert not was_between_packets
    assert bytes(outbox.sendable()) == bytes([0x3A, 7, 7, 0x3A, 7, 7])
    outbox.taken(4)
    outbox.taken(2)
    assert bytes(outbox.sendable()) == bytes([0x32, 7, 7, 0x32, 7, 7])
    assert outbox.is_between_packets
    drain(outbox)
    outbox.received(b"".join(puback(n) for n in (0, 2, 3, 4)))
    assert (outbox.sent_messages, outbox.acked_messages, outbox.resent_messages) == (5, 5, 2)


def test_close_settles_the_rest() -> None:
    """Acknowledged, sent, begun and never begun: each object is told once, with the truth about it."""
    book = Book()
    outbox = Outbox(1, book)
    outbox.put(*chunk(6))
    outbox.taken(3 * 3 + 1)
    outbox.received(puback(0) + puback(2))
    outbox.close()

    assert (book.objects, book.handed, book.acked) == (6, 4, 2)
    assert (outbox.sent_messages, outbox.acked_messages, outbox.acked_readings) == (3, 2, 4)


def test_qos_0_keeps_nothing_and_resends_only_a_cut_packet() -> None:
    book = Book()
    outbox = Outbox(0, book)
    outbox.put(*chunk(4, qos=0))
    outbox.taken(4)
    outbox.reconnected()

    assert len(outbox.sendable()) == 9
    drain(outbox)
    assert (book.handed, book.acked, outbox.in_flight, outbox.kept_bytes) == (4, 0, 0, 0)


def naive_take(data: bytes, low: int, high: int, acked: set[int]) -> tuple[int, int]:
    """Whole PUBACKs of the stream, one by one: bytes used and new low."""
    at = 0
    while at + 4 <= len(data):
        identifier = int.from_bytes(data[at + 2 : at + 4], "big")
        matching = [n for n in range(low, high) if n % IDENTIFIERS + 1 == identifier]
        acked.update(matching)
        at += 4
    while low in acked:
        low += 1
    return at, low


@given(st.integers(0, 200_000), st.lists(st.integers(0, 60), max_size=60), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_take_acks_agrees_with_its_twin(low: int, offsets: list[int], cut: int) -> None:
    high = low + 50
    data = b"".join(puback(low + offset) for offset in offsets)
    data = data[: len(data) - cut]
    ring = np.zeros(IDENTIFIERS, np.uint8)
    expected: set[int] = set()
    used, new_low = naive_take(data, low, high, expected)
    got = take_acks(np.frombuffer(data, np.uint8), len(data), low, high, ring)

    assert got == (used, len(expected), new_low, 0)
    assert {int(i) for i in np.flatnonzero(ring)} == {n % IDENTIFIERS for n in expected if n >= new_low}
