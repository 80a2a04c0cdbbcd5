"""What waits to be sent and what waits to be acknowledged, in order. No sockets, no clocks.

    numbers:   ... acknowledged ... | low ........ sent | ....... queued
                                      in flight, kept     not sent yet

Packets are numbered from 0; with QoS 1 number n travels as identifier n % 65,535 + 1, so at most 65,535 may be in
flight: number n can leave once n - 65,535 is acknowledged. The bytes of what is in flight are kept: after a reconnect
they are sent again, in order, with the DUP bit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lifeline.core.errors import PeerError
from simulators.kernels.acks import IDENTIFIERS, take_acks
from simulators.wire import DUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from simulators.generator import Tick
    from simulators.wire import Packets

KEPT_BYTES_MAX: Final = 256 << 20
"""Bytes kept for sending and for sending again; past it no new tick is made (and the publisher says it is behind)."""


@dataclass(slots=True)
class _Chunk:
    tick: Tick
    packets: Packets
    first: int
    readings: NDArray[np.int64]
    """Of the first i packets, one entry more than packets."""

    @property
    def end(self) -> int:
        return self.first + len(self.packets)


class Outbox:
    """Chunks of packets (one a tick) on their way.

    ``on_settled(tick, acked, handed)`` is told once a tick is fully acknowledged, and for all others by ``close``.
    """

    def __init__(self, qos: int, on_settled: Callable[[Tick, NDArray[np.bool_], NDArray[np.bool_]], None]) -> None:
        self._qos = qos
        self._on_settled = on_settled
        self._chunks: deque[_Chunk] = deque()
        self._ring = np.zeros(IDENTIFIERS, np.uint8)
        self._low = 0
        self._queued = 0
        self._resend: memoryview | None = None
        self._at = 0  # index in _chunks of the chunk being sent
        self._offset = 0  # bytes of it that are sent
        self._unread = b""
        self.sent_messages = 0
        self.sent_readings = 0
        self.resent_messages = 0
        self.acked_messages = 0
        self.acked_readings = 0
        """Of packets without an unacknowledged one before them; exact after ``close``."""
        self.kept_bytes = 0

    @property
    def next_number(self) -> int:
        """Number of the next packet to be queued."""
        return self._queued

    @property
    def in_flight(self) -> int:
        """Packets sent and not acknowledged."""
        return self.sent_messages - self.acked_messages if self._qos else 0

    @property
    def oldest_unsent(self) -> Tick | None:
        """The tick of the first byte that is still to be sent."""
        return self._chunks[self._at].tick if self._at < len(self._chunks) else None

    def put(self, tick: Tick, packets: Packets) -> None:
        """Queue a tick's packets, numbered from ``next_number``."""
        if len(packets) == 0:
            return
        readings = tick.ptr[packets.row]
        self._chunks.append(_Chunk(tick, packets, self._queued, readings))
        self._queued += len(packets)
        self.kept_bytes += len(packets.data)

    def sendable(self) -> memoryview:
        """Bytes to hand to the socket next (empty: nothing, or no identifier is free)."""
        if self._resend is not None:
            return self._resend
        if self._at == len(self._chunks):
            return memoryview(b"")
        chunk = self._chunks[self._at]
        count = len(chunk.packets)
        if self._qos:
            count = max(0, min(count, self._low + IDENTIFIERS - chunk.first))
        return memoryview(chunk.packets.data.data)[self._offset : int(chunk.packets.at[count])]

    @property
    def is_between_packets(self) -> bool:
        """May another packet (a ping) be sent now, without cutting one in two?"""
        if self._resend is not None:
            return False
        if self._at == len(self._chunks):
            return True
        at = self._chunks[self._at].packets.at
        return bool(at[np.searchsorted(at, self._offset)] == self._offset)

    def taken(self, count: int) -> None:
        """The socket took so many bytes of ``sendable``."""
        if self._resend is not None:
            self._resend = self._resend[count:] if count < len(self._resend) else None
            return
        chunk = self._chunks[self._at]
        before = int(np.searchsorted(chunk.packets.at, self._offset, side="right")) - 1
        self._offset += count
        after = int(np.searchsorted(chunk.packets.at, self._offset, side="right")) - 1
        self.sent_messages += after - before
        self.sent_readings += int(chunk.readings[after] - chunk.readings[before])
        if after == len(chunk.packets):
            self._at += 1
            self._offset = 0
        if not self._qos:
            self._retire()

    def received(self, data: bytes) -> None:
        """Bytes from the broker.

        Raises:
            PeerError: something that a publisher must not get.
        """
        data = self._unread + data
        buffer = np.frombuffer(data, np.uint8)
        used, count, low, stranger = take_acks(buffer, len(buffer), self._low, self._sent_number, self._ring)
        if stranger:
            raise PeerError(f"the broker sent a packet of type {stranger >> 4} to a publisher")
        self._unread = data[used:]
        self.acked_messages += count
        self._low = low
        self._retire()

    @property
    def _sent_number(self) -> int:
        """Numbers below it were sent whole."""
        if self._at == len(self._chunks):
            return self._queued
        chunk = self._chunks[self._at]
        return chunk.first + int(np.searchsorted(chunk.packets.at, self._offset, side="right")) - 1

    def _retire(self) -> None:
        """Let go of chunks that are wholly acknowledged (QoS 0: sent)."""
        done = self._low if self._qos else self._sent_number
        while self._chunks and self._at > 0 and self._chunks[0].end <= done:
            chunk = self._chunks.popleft()
            self._at -= 1
            self.kept_bytes -= len(chunk.packets.data)
            rows = len(chunk.tick.objects)
            if self._qos:
                self.acked_readings += int(chunk.readings[-1])
            self._on_settled(chunk.tick, np.full(rows, self._qos > 0), np.ones(rows, np.bool_))

    def reconnected(self) -> None:
        """A new connection: what is in flight is sent again first, and a packet cut in two from its beginning."""
        self._unread = b""
        sent = self._sent_number
        if self._at < len(self._chunks):
            chunk = self._chunks[self._at]
            self._offset = int(chunk.packets.at[sent - chunk.first])
        parts = []
        for chunk in self._chunks if self._qos else ():
            for number in range(max(self._low, chunk.first), min(sent, chunk.end)):
                if not self._ring[number % IDENTIFIERS]:
                    i = number - chunk.first
                    packet = bytearray(chunk.packets.data[chunk.packets.at[i] : chunk.packets.at[i + 1]])
                    packet[0] |= DUP
                    parts.append(packet)
        self.resent_messages += len(parts)
        self._resend = memoryview(b"".join(parts)) if parts else None

    def close(self) -> None:
        """Settle what is left: packets never sent whole count as not handed over unless their bytes began to leave."""
        sent = self._sent_number
        for index, chunk in enumerate(self._chunks):
            numbers = np.arange(chunk.first, chunk.end)
            begun = (index == self._at) & (numbers == sent) & (self._offset > chunk.packets.at[numbers - chunk.first])
            handed = (numbers < sent) | begun
            acked = (numbers < sent) & ((numbers < self._low) | (self._ring[numbers % IDENTIFIERS] == 1))
            acked &= self._qos > 0
            self.acked_readings += int(np.diff(chunk.readings)[acked].sum())
            objects = np.diff(chunk.packets.row)
            self._on_settled(chunk.tick, np.repeat(acked, objects), np.repeat(handed, objects))
        self._chunks.clear()
        self._at = self._offset = 0
