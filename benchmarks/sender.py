"""A sender that speaks just enough of a broker, in a process of its own: the engine's load without a broker's limits.

    python -m benchmarks.sender --port P …      ◄── the benchmark, by lines on stdin / JSON lines on stdout

    it builds the stream, writes the registry ──► {"ready": true}
    the engine connects: CONNECT ► CONNACK, SUBSCRIBE ► SUBACK
    "go N"      ──► blasts the next N rounds; QoS 1: never more than ``--window`` unacknowledged, PUBACKs checked
                ──► {"messages", "readings", "seconds", "cpu_s", "window_waits"}
    "pace S PROBES" ─► for S seconds the fleet's reports at one a second and device, and so many probes a second
    "probe S PROBES" ─► the probes alone
                ──► {"messages", "readings", "probes", "behind_s"}
    end of stdin ─► {"hash"} of what was sent, and the end

MQTT 3.1.1 with the packets of the simulator's encoder. PUBACKs must come in the order of sending [MQTT-4.6.0-2]; one
that does not is an error, not a figure.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.streams import Round, Stream, bag_of
from simulators.registry import write_fleet
from simulators.wire import connect_packet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulators.wire import Packets

CHUNK_BYTES: Final = 1 << 20
IDS: Final = 65_535
"""Packet identifiers of the encoder: 1 to 65,535 in turn."""
HANDSHAKE_S: Final = 120.0
SLICES: Final = 100
"""A second of paced sending goes in so many parts."""


class Peer:
    """The engine's end of the connection, as a broker sees it."""

    def __init__(self, connection: socket.socket, window: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self._socket = connection
        self._window = window
        self._changed = threading.Condition()
        self.sent = self.acknowledged = self.window_waits = 0
        self._order: deque[NDArray[np.int64]] = deque()
        """Packet identifiers in the order of sending, of what is not acknowledged."""
        self.error: str | None = None
        self._rest = b""

    def greet(self) -> None:
        """CONNECT and SUBSCRIBE, answered."""
        self._socket.settimeout(HANDSHAKE_S)
        self._expect(1)
        self._socket.sendall(b"\x20\x02\x00\x00")
        body = self._expect(8)
        filters = _filters(body)
        granted = bytes(filters)
        self._socket.sendall(b"\x90" + bytes([2 + len(granted)]) + body[:2] + granted)
        self._socket.settimeout(None)
        threading.Thread(target=self._listen, daemon=True).start()

    def introduce(self) -> None:
        """The other way round: we are a publisher, the other end is a real broker."""
        self._socket.settimeout(HANDSHAKE_S)
        self._socket.sendall(connect_packet("bench-publisher", keep_alive_s=0))
        assert self._expect(2)[1] == 0, "the broker refuses"
        self._socket.settimeout(None)
        threading.Thread(target=self._listen, daemon=True).start()

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
            assert part, "the engine closed the connection"
            found += part
        return found

    def send(self, packets: Packets, qos: int, number: int, first: int = 0, end: int | None = None) -> None:
        """Packets ``first`` to ``end``, in the window; packet 0 carries the identifier of ``number``."""
        data, at = packets.data.data, packets.at
        end = len(packets) if end is None else end
        while first < end:
            last = int(np.searchsorted(at, at[first] + CHUNK_BYTES, side="right")) - 1
            last = min(max(last, first + 1), end)
            if qos:
                last = min(last, first + self._room())
                with self._changed:
                    self._order.append(np.arange(number + first, number + last) % IDS + 1)
            self._socket.sendall(data[at[first] : at[last]])
            self.sent += last - first
            first = last

    def _room(self) -> int:
        """Messages that may go now; waits for at least a quarter of a large window, as big writes are cheap."""
        least = self._window // 4 if self._window >= 1000 else 1
        with self._changed:
            room = self._window - (self.sent - self.acknowledged)
            if room < least:
                self.window_waits += 1
                self._changed.wait_for(
                    lambda: self.error or self._window - (self.sent - self.acknowledged) >= least, timeout=60
                )
            assert self.error is None, self.error
            room = self._window - (self.sent - self.acknowledged)
            assert room >= least, "no acknowledgement for 60 s"
            return room

    def settle(self, qos: int) -> None:
        """Wait until everything sent is acknowledged."""
        if qos:
            with self._changed:
                done = self._changed.wait_for(lambda: self.error or self.acknowledged >= self.sent, timeout=120)
                assert self.error is None, self.error
                assert done, f"{self.sent - self.acknowledged} messages were never acknowledged"

    def _listen(self) -> None:
        try:
            while data := self._socket.recv(1 << 18):
                self._take(self._rest + data)
        except OSError as error:
            self._fail(str(error))

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
                self._socket.sendall(b"\xd0\x00")
            elif kind != 14:
                self._fail(f"an unexpected packet {data[at]:#x}")
            at += 2 + length
        self._rest = data[at:]

    def _count(self, ids: NDArray[np.int64]) -> None:
        with self._changed:
            at = 0
            while at < len(ids):
                if not self._order:
                    break
                head = self._order.popleft()
                part = ids[at : at + len(head)]
                if not np.array_equal(part, head[: len(part)]):
                    break
                if len(part) < len(head):
                    self._order.appendleft(head[len(part) :])
                at += len(part)
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


def say(**what: object) -> None:
    """One JSON line."""
    print(json.dumps(what), flush=True)


class Show:
    """What the commands do; counts what was sent."""

    def __init__(self, stream: Stream, peer: Peer, rounds: list[Round]) -> None:
        self._stream, self._peer, self._waiting = stream, peer, iter(rounds)
        self._number = self._probes = 0

    def go(self, count: int) -> dict[str, Any]:
        """Blast."""
        peer, qos = self._peer, self._stream.qos
        sent, readings, waits = peer.sent, 0, peer.window_waits
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            part = next(self._waiting)
            peer.send(part.packets, qos, self._number)
            self._number += len(part.packets)
            readings += len(part)
        peer.settle(qos)
        return {
            "messages": peer.sent - sent,
            "readings": readings,
            "seconds": time.perf_counter() - wall,
            "cpu_s": time.process_time() - cpu,
            "window_waits": peer.window_waits - waits,
        }

    def pace(self, seconds: int, probes: int, *, load: bool) -> dict[str, Any]:
        """Open loop: a round a second in slices of ten milliseconds, whatever the engine does."""
        sent, readings, behind = self._peer.sent, 0, 0.0
        began, first = time.perf_counter(), self._probes
        for second in range(seconds):
            part = next(self._waiting) if load else None
            for i in range(SLICES):
                due = began + second + i / SLICES
                time.sleep(max(0.0, due - time.perf_counter()))
                behind = max(behind, time.perf_counter() - due)
                if part is not None:
                    low, high = (len(part.packets) * k // SLICES for k in (i, i + 1))
                    self._peer.send(part.packets, self._stream.qos, self._number, low, high)
                if i * probes // SLICES != (i + 1) * probes // SLICES:
                    self._probe()
            if part is not None:
                self._number += len(part.packets)
                readings += len(part)
        self._peer.settle(self._stream.qos)
        return {
            "messages": self._peer.sent - sent,
            "readings": readings,
            "probes": self._probes - first,
            "behind_s": behind,
        }

    def _probe(self) -> None:
        # an identifier half the circle away from those of the stream that are in flight
        number = self._number + IDS // 2
        packets = self._stream.probe(self._probes, time.time_ns() // 1_000_000, number)
        self._peer.send(packets, self._stream.qos, number)
        self._probes += 1


def main() -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sensors", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--shape", choices=("single", "gateway"), required=True)
    parser.add_argument("--qos", type=int, choices=(0, 1), required=True)
    parser.add_argument("--window", type=int, default=IDS)
    parser.add_argument("--publish-to", type=int, metavar="PORT", help="of a real broker; else one connects to us")
    parser.add_argument("--probes", type=int, default=0)
    parser.add_argument("--shift-ms", type=int, required=True)
    parser.add_argument("--registry", type=Path, required=True)
    asked = parser.parse_args()
    listener = None if asked.publish_to else socket.create_server(("127.0.0.1", 0))
    stream = Stream(asked.sensors, asked.rounds, asked.shape, asked.qos, shift_ms=asked.shift_ms, probes=asked.probes)
    write_fleet(stream.fleet, asked.registry)
    rounds = list(stream)
    if listener is None:
        peer = Peer(socket.create_connection(("127.0.0.1", asked.publish_to)), asked.window)
        peer.introduce()
        say(ready=True)
    else:
        say(ready=True, port=listener.getsockname()[1])
        listener.settimeout(HANDSHAKE_S)
        peer = Peer(listener.accept()[0], asked.window)
        peer.greet()
        say(subscribed=True)
    show = Show(stream, peer, rounds)
    for line in sys.stdin:
        match line.split():
            case ["go", count]:
                say(**show.go(int(count)))
            case ["pace", seconds, probes]:
                say(**show.pace(int(seconds), int(probes), load=True))
            case ["probe", seconds, probes]:
                say(**show.pace(int(seconds), int(probes), load=False))
    say(hash=bag_of(rounds, asked.shift_ms).hexdigest(), messages=peer.sent, acknowledged=peer.acknowledged)


if __name__ == "__main__":
    main()
