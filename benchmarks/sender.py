"""A sender that speaks just enough of a broker, in a process of its own: the engine's load without a broker's limits.

    python -m benchmarks.sender --port P …      ◄── the benchmark, by lines on stdin / JSON lines on stdout

    it builds the stream, writes the registry ──► {"ready": true}
    the engine connects: CONNECT ► CONNACK, SUBSCRIBE ► SUBACK
    "go N"      ──► blasts the next N rounds; QoS 1: never more than ``--window`` unacknowledged, PUBACKs checked
                ──► {"messages", "readings", "seconds", "cpu_s", "window_waits"}
    "pace S PROBES" ─► for S seconds the fleet's reports at one a second and device, and so many probes a second
    "probe S PROBES" ─► the probes alone
                ──► {"messages", "readings", "probes", "behind_s", "resent", "first_acks_ms"}
    "hash"      ──► {"hash"} of everything sent so far
    end of stdin ─► {"hash"} of what was sent, and the end

MQTT 3.1.1 with the packets of the simulator's encoder. PUBACKs must come in the order of sending [MQTT-4.6.0-2]; one
that does not is an error, not a figure.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.counterpart import IDS, Peer
from benchmarks.harness import BagHash
from benchmarks.streams import PROBE_LEL, PROBE_SEQ, Round, Stream
from simulators.registry import write_fleet

SLICES: Final = 100
"""A second of paced sending goes in so many parts."""


def say(**what: object) -> None:
    """One JSON line."""
    print(json.dumps(what), flush=True)


class Show:
    """What the commands do; counts what was sent."""

    def __init__(self, stream: Stream, peer: Peer, rounds: list[Round]) -> None:
        self._stream, self._peer, self._waiting = stream, peer, iter(rounds)
        self._number = self._probes = 0
        self.bag = BagHash()
        """Of everything sent, device clocks moved back; by ``hash``."""
        self._unhashed: list[Round] = []

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
            self._unhashed.append(part)
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
                self._unhashed.append(part)
        self._peer.settle(self._stream.qos)
        return {
            "messages": self._peer.sent - sent,
            "readings": readings,
            "probes": self._probes - first,
            "behind_s": behind,
            "resent": self._peer.resent,
            "first_acks_ms": self._peer.first_acks_ms,
        }

    def _probe(self) -> None:
        # an identifier half the circle away from those of the stream that are in flight
        number = self._number + IDS // 2
        now_ms = time.time_ns() // 1_000_000
        packets = self._stream.probe(self._probes, now_ms, number)
        self._peer.send(packets, self._stream.qos, number)
        device = self._stream.probe_devices[self._probes]
        row = self._stream.fleet.device_ptr[device : device + 1]
        self.bag.add(row, np.array([now_ms - self._stream.shift_ms]), np.array([PROBE_SEQ]), np.array([PROBE_LEL]))
        self._probes += 1

    def hash(self) -> str:
        """The digest of everything sent so far. Not done while sending: it costs."""
        for part in self._unhashed:
            self.bag.add(part.point, part.ts - self._stream.shift_ms, part.seq, part.value)
        self._unhashed.clear()
        return self.bag.hexdigest()


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
    if asked.probes:  # a probe's clock is read before its packet is made, and making the first one took 150 ms
        stream.probe(0, asked.shift_ms, 0)
    peer = Peer(asked.window, listener)
    if listener is None:
        peer.introduce(asked.publish_to)
        say(ready=True)
    else:
        say(ready=True, port=listener.getsockname()[1])
        peer.accept()
        say(subscribed=True)
    show = Show(stream, peer, rounds)
    for line in sys.stdin:
        match line.split():
            case ["go", count]:
                say(**show.go(int(count)))
            case ["hash"]:
                say(hash=show.hash())
            case ["pace", seconds, probes]:
                say(**show.pace(int(seconds), int(probes), load=True))
            case ["probe", seconds, probes]:
                say(**show.pace(int(seconds), int(probes), load=False))
    say(hash=show.hash(), messages=peer.sent, acknowledged=peer.acknowledged)


if __name__ == "__main__":
    main()
