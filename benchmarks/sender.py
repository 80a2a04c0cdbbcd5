"""A sender that speaks just enough of a broker, in a process of its own: the engine's load without a broker's limits.

    python -m benchmarks.sender --port P …      ◄── the benchmark, by lines on stdin / JSON lines on stdout

    it builds the stream, writes the registry ──► {"ready": true}
    the engine connects: CONNECT ► CONNACK, SUBSCRIBE ► SUBACK
    "go N"      ──► blasts the next N rounds; QoS 1: never more than ``--window`` unacknowledged, PUBACKs checked
                ──► {"messages", "readings", "seconds", "cpu_s", "window_waits"}
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
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.streams import Round, Stream, bag_of
from simulators.registry import write_fleet

CHUNK_BYTES: Final = 1 << 20
IDS: Final = 65_535
"""Packet identifiers of the encoder: 1 to 65,535 in turn."""
HANDSHAKE_S: Final = 120.0


class Peer:
    """The engine's end of the connection, as a broker sees it."""

    def __init__(self, connection: socket.socket, window: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self._socket = connection
        self._window = window
        self._changed = threading.Condition()
        self.sent = self.acknowledged = self.window_waits = 0
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

    def send(self, part: Round, qos: int) -> None:
        """All packets of a round, in the window."""
        packets = part.packets
        data, at = packets.data.data, packets.at
        first = 0
        while first < len(packets):
            last = int(np.searchsorted(at, at[first] + CHUNK_BYTES, side="right")) - 1
            last = min(max(last, first + 1), len(packets))
            if qos:
                last = min(last, first + self._room())
            self._socket.sendall(data[at[first] : at[last]])
            self.sent += last - first
            first = last

    def _room(self) -> int:
        """Messages that may go now; waits for at least a quarter of the window."""
        least = max(1, self._window // 4)
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

    def _count(self, ids: np.ndarray[Any, Any]) -> None:
        expected = (self.acknowledged + np.arange(len(ids))) % IDS + 1
        if not np.array_equal(ids, expected):
            self._fail("PUBACKs out of order")
            return
        with self._changed:
            self.acknowledged += len(ids)
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


def main() -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sensors", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--shape", choices=("single", "gateway"), required=True)
    parser.add_argument("--qos", type=int, choices=(0, 1), required=True)
    parser.add_argument("--window", type=int, default=IDS)
    parser.add_argument("--shift-ms", type=int, required=True)
    parser.add_argument("--registry", type=Path, required=True)
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    stream = Stream(options.sensors, options.rounds, options.shape, options.qos, shift_ms=options.shift_ms)
    write_fleet(stream.fleet, options.registry)
    rounds = list(stream)
    say(ready=True, port=listener.getsockname()[1], bytes=sum(len(part.packets.data) for part in rounds))
    listener.settimeout(HANDSHAKE_S)
    peer = Peer(listener.accept()[0], options.window)
    peer.greet()
    say(subscribed=True)
    waiting = iter(rounds)
    for line in sys.stdin:
        count = int(line.removeprefix("go "))
        sent, readings, waits = peer.sent, 0, peer.window_waits
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            part = next(waiting)
            peer.send(part, options.qos)
            readings += len(part)
        peer.settle(options.qos)
        say(
            messages=peer.sent - sent,
            readings=readings,
            seconds=time.perf_counter() - wall,
            cpu_s=time.process_time() - cpu,
            window_waits=peer.window_waits - waits,
        )
    say(hash=bag_of(rounds, options.shift_ms).hexdigest(), messages=peer.sent, acknowledged=peer.acknowledged)


if __name__ == "__main__":
    main()
