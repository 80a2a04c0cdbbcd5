"""Peers: other subscribers on the same stream, each in a process of its own, each doing at least the JSON decoding.

    python -m benchmarks.peers.NAME PORT COUNT FOLDER
        ──► {"skipped": why}, and the end                       what it needs is not installed
        ──► {"ready": true}                                     subscribed to lifeline/# at QoS 1
        ──► {"warm": true}                                      after COUNT messages that do not count
        ──► {"messages", "cpu_s", "wall_s", "rss_mib"}          after ``COUNTED`` times COUNT more

A peer that is missing is named with its reason in the output: a comparison never shrinks in silence.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Final, NamedTuple, NoReturn

from benchmarks.harness import rss_mib_max

FILTER: Final = "lifeline/#"
COUNTED: Final = 4
"""Rounds that count, after one that warms up."""


class Peer(NamedTuple):
    """``module`` is in this package."""

    name: str
    module: str


OURS: Final = Peer("lifeline (whole engine)", "lifeline_engine")
PEERS: Final = (
    Peer("paho-mqtt", "paho"),
    Peer("aiomqtt", "aio"),
    Peer("gmqtt", "gm"),
    Peer("pymosquitto", "pym"),
    Peer("mosquitto_sub", "mosquitto"),
    Peer("telegraf", "telegraf"),
    Peer("redpanda-connect", "redpanda"),
    Peer("ekuiper", "ekuiper"),
)


def say(**what: object) -> None:
    """One JSON line."""
    print(json.dumps(what), flush=True)


def skip(error: Exception) -> NoReturn:
    """Say why not, and end."""
    say(skipped=str(error))
    sys.exit(0)


class Counter:
    """Counts messages: first to warm up, then for the figures."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._seen = 0
        self._wall = self._cpu = 0.0

    def message(self, payload: bytes | bytearray) -> bool:
        """Decode one message; True when all have come."""
        json.loads(payload)
        self._seen += 1
        if self._seen == self._count:
            self.warmed()
        return self._seen == (1 + COUNTED) * self._count

    def warmed(self) -> None:
        """From here it counts."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        say(warm=True)

    def report(self) -> None:
        """The figures."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        say(messages=COUNTED * self._count, cpu_s=cpu, wall_s=wall, rss_mib=rss_mib_max())
