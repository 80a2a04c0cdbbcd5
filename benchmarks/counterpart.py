"""The engine's counterpart on one MQTT 3.1.1 connection: a broker's end, or a publisher's at a real broker.

Every chunk that was sent at QoS 1 waits in ``_order`` for its PUBACKs, which must come in the order of sending
[MQTT-4.6.0-2]. When the connection breaks and somebody comes back, what waits is sent again with the DUP flag, first of
all [MQTT-4.4.0-1]: as a broker with a persistent session does. At QoS 0 nothing is kept.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.wire import DUP, connect_packet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulators.wire import Packets

CHUNK_BYTES: Final = 1 << 20
IDS: Final = 65_535
"""Packet identifiers of the encoder: 1 to 65,535 in turn."""
HANDSHAKE_S: Final = 900.0
"""An engine of twenty cities reads its registry first."""
ACK_S: Final = 60.0


@dataclass(slots=True)
class Chunk:
    """Packets ``first`` to ``last`` of some, not acknowledged; ``number`` numbers packet 0."""

    packets: Packets
    first: int
    last: int
    number: int

    @property
    def ids(self) -> NDArray[np.int64]:
        """Their identifiers."""
        return np.arange(self.number + self.first, self.number + self.last) % IDS + 1

    def again(self) -> bytes:
        """Their bytes, marked as sent before."""
        at = self.packets.at[self.first : self.last + 1]
        data = self.packets.data[at[0] : at[-1]].copy()
        data[at[:-1] - at[0]] |= DUP
        return data.tobytes()


class BrokenError(Exception):
    """The other end is gone."""


class Peer:
    """One connection after the other to the same engine. ``listener``: where it connects to us."""

    def __init__(self, window: int, listener: socket.socket | None = None) -> None:
        self._window = window
        self._listener = listener
        self._socket: socket.socket
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self.sent = self.acknowledged = self.window_waits = self.resent = 0
        self.first_acks_ms: list[int] = []
        """Of each connection, epoch ms."""
        self._order: deque[Chunk] = deque()
        self._broken = self._unheard = self._pinged = False
        self.error: str | None = None
        self._rest = b""

    def accept(self) -> None:
        """Wait for the engine; CONNECT and SUBSCRIBE, answered."""
        assert self._listener is not None
        self._listener.settimeout(HANDSHAKE_S)
        self._take_up(self._listener.accept()[0])
        self._expect(1)
        self._socket.sendall(b"\x20\x02" + bytes([self.sent > 0, 0]))
        body = self._expect(8)
        granted = bytes(_filters(body))
        self._socket.sendall(b"\x90" + bytes([2 + len(granted)]) + body[:2] + granted)
        self._begin()

    def introduce(self, port: int) -> None:
        """The other way round: we are a publisher, the other end is a real broker."""
        self._take_up(socket.create_connection(("127.0.0.1", port)))
        self._socket.sendall(connect_packet("bench-publisher", keep_alive_s=0))
        assert self._expect(2)[1] == 0, "the broker refuses"
        self._begin()

    def _take_up(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        connection.settimeout(HANDSHAKE_S)
        self._socket = connection
        self._rest, self._broken, self._unheard = b"", False, True

    def _begin(self) -> None:
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _expect(self, kind: int) -> bytes:
        """The body of the next packet, which must be of this kind."""
        head = self._exactly(2)
        length, shift, byte = head[1] & 0x7F, 7, head[1]
        while byte & 0x80:
            byte = self._exactly(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
        assert head[0] >> 4 == kind, f"expected packet {kind}, got {head[0]:#x}"
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._socket.recv(count - len(found))
            assert part, "the other end closed the connection"
            found += part
        return found

    def send(self, packets: Packets, qos: int, number: int, first: int = 0, end: int | None = None) -> None:
        """Packets ``first`` to ``end``, in the window; packet 0 carries the identifier of ``number``.

        Raises:
            BrokenError: the other end is gone and was not expected to come back (QoS 0, or no listener).
        """
        data, at = packets.data.data, packets.at
        end = len(packets) if end is None else end
        while first < end:
            last = int(np.searchsorted(at, at[first] + CHUNK_BYTES, side="right")) - 1
            last = min(max(last, first + 1), end)
            try:
                if qos:
                    last = min(last, first + self._room())
                    with self._changed:
                        self._order.append(Chunk(packets, first, last, number))
                        self.sent += last - first
                    first, begin = last, first
                    self._write(data[at[begin] : at[last]])
                else:
                    self._write(data[at[first] : at[last]])
                    self.sent += last - first
                    first = last
            except (OSError, BrokenError) as error:
                self._resume(qos, error)

    def _write(self, data: bytes | memoryview) -> None:
        """One after the other: a large write goes out in parts, and what another thread writes would come between."""
        with self._writing:
            self._socket.sendall(data)
            if self._pinged:
                self._pinged = False
                self._socket.sendall(b"\xd0\x00")

    def _answer_ping(self) -> None:
        with suppress(OSError):  # the listener hears of it
            self._write(b"")

    def _resume(self, qos: int, error: Exception) -> None:
        """Wait for the engine to come back, and send it again what it has not acknowledged."""
        if not qos or self._listener is None:
            raise BrokenError(str(error)) from error
        while True:
            self._socket.close()
            self._thread.join()
            self.accept()
            with self._changed:
                waiting = [chunk.again() for chunk in self._order]
                self.resent += sum(chunk.last - chunk.first for chunk in self._order)
            try:
                for data in waiting:
                    self._write(data)
            except OSError:
                continue
            return

    def _room(self) -> int:
        """Messages that may go now; waits for at least a quarter of a large window, as big writes are cheap."""
        least = self._window // 4 if self._window >= 1000 else 1

        def room() -> int:
            return self._window - (self.sent - self.acknowledged)

        with self._changed:
            if room() < least:
                self.window_waits += 1
                self._changed.wait_for(lambda: self.error or self._broken or room() >= least, ACK_S)
            self._check()
            assert room() >= least, f"no acknowledgement for {ACK_S:.0f} s"
            return room()

    def _check(self) -> None:
        assert self.error is None, self.error
        if self._broken:
            raise BrokenError("the engine closed the connection")

    def settle(self, qos: int) -> None:
        """Wait until everything sent is acknowledged."""
        while qos:
            try:
                with self._changed:
                    done = self._changed.wait_for(
                        lambda: self.error or self._broken or self.acknowledged >= self.sent, 2 * ACK_S
                    )
                    if self.acknowledged >= self.sent:
                        return
                    self._check()
                    assert done, f"{self.sent - self.acknowledged} messages were never acknowledged"
            except BrokenError as error:
                self._resume(qos, error)

    def _listen(self) -> None:
        try:
            while data := self._socket.recv(1 << 18):
                self._take(self._rest + data)
        except OSError:
            pass
        with self._changed:
            self._broken = True
            self._changed.notify_all()

    def _take(self, data: bytes) -> None:
        whole = len(data) & ~3
        packets = np.frombuffer(data, np.uint8, whole).reshape(-1, 4)
        if whole and (packets[:, :2] == (0x40, 2)).all():
            self._rest = data[whole:]
            self._count(packets[:, 2].astype(np.int64) << 8 | packets[:, 3])
            return
        at = 0
        while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
            kind, length = data[at] >> 4, data[at + 1]
            if kind == 4:
                self._count(np.array([struct.unpack_from(">H", data, at + 2)[0]]))
            elif kind == 12:
                # by who writes next, or a thread of its own: the listener must not wait for the other end to read
                self._pinged = True
                threading.Thread(target=self._answer_ping, daemon=True).start()
            elif kind != 14:
                self._fail(f"an unexpected packet {data[at]:#x}")
            at += 2 + length
        self._rest = data[at:]

    def _count(self, ids: NDArray[np.int64]) -> None:
        with self._changed:
            if self._unheard:
                self._unheard = False
                self.first_acks_ms.append(time.time_ns() // 1_000_000)
            at = 0
            while at < len(ids) and self._order:
                head = self._order[0]
                count = min(len(ids) - at, head.last - head.first)
                if not np.array_equal(ids[at : at + count], head.ids[:count]):
                    break
                head.first += count
                if head.first == head.last:
                    self._order.popleft()
                at += count
            if at < len(ids):
                self.error = self.error or "PUBACKs that nothing was sent for, or out of order"
            self.acknowledged += at
            self._changed.notify_all()

    def _fail(self, error: str) -> None:
        with self._changed:
            self.error = self.error or error
            self._changed.notify_all()


def _filters(body: bytes) -> list[int]:
    """Requested QoS of each filter of a SUBSCRIBE (MQTT 3.1.1, 3.8.3)."""
    found, at = [], 2
    while at < len(body):
        at += 2 + int.from_bytes(body[at : at + 2], "big")
        found.append(body[at])
        at += 1
    return found
