"""``broker``: behind a real Mosquitto, one reading a message, QoS 1: CPU a message, ours and the peers'.

The broker is the limit of the rate here, so the figure is CPU. Each subscriber has a process of its own and its turn
(A B C … A B C …) at the same kind of stream, one round of it to warm up, four that count. A word on fairness:
peers only decode MQTT and JSON; ours also judges, writes and syncs a log, runs the rules, keeps the queue and the last
values, and writes Parquet. What the whole engine costs is what is compared.
"""

from __future__ import annotations

import tempfile
from hashlib import blake2b
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any, Final

from benchmarks.broker import Mosquitto
from benchmarks.harness import Result, figure, progress
from benchmarks.peers import COUNTED, OURS, PEERS, Peer
from benchmarks.site import CLIENT_ID, Child, shift_now

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGES: Final = 30_000
TURNS: Final = 3
WINDOW: Final = 1000
TIMES_PAHO_TARGET: Final = 20


def run(scale: float) -> Result:
    """Turns of all subscribers."""
    result = Result("broker", scale)
    count = max(500, round(MESSAGES * min(scale, 1.0)))
    subscribers = (OURS, *PEERS)
    found: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in subscribers}
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        with Mosquitto(folder) as broker:
            arguments = [
                *(
                    "--sensors",
                    count,
                    "--rounds",
                    (1 + COUNTED) * TURNS * len(subscribers),
                    "--shape",
                    "single",
                    "--qos",
                    1,
                ),
                *("--window", WINDOW, "--shift-ms", shift_now(), "--registry", folder / "sensors.parquet"),
                *("--publish-to", broker.port),
            ]
            with Child("benchmarks.sender", arguments) as publisher:
                publisher.hear()
                for turn in range(TURNS):
                    for peer in subscribers:
                        progress(f"turn {turn + 1} of {TURNS}: {peer.name}")
                        site = folder / f"{peer.module}-{turn}"
                        site.mkdir()
                        for file in ("sensors.parquet", "sensors.areas.parquet"):
                            copyfile(folder / file, site / file)
                        try:
                            found[peer.name].append(_turn(broker, publisher, peer, count, site))
                        except RuntimeError as error:
                            if peer is OURS:
                                raise
                            found[peer.name].append({"skipped": f"it failed: {error}"})
                publisher.end()
                publisher.hear()
    heard = {name: [turn.get("messages") for turn in turns] for name, turns in found.items()}
    result.hash = blake2b(repr(sorted(heard.items())).encode(), digest_size=16).hexdigest()
    _report(result, found, count)
    return result


def _turn(broker: Mosquitto, publisher: Child, peer: Peer, count: int, site: Path) -> dict[str, Any]:
    """One subscriber: warm-up, figures; its session is removed, so that the broker does not go on queueing for it."""
    known = broker.subscriptions
    with Child(f"benchmarks.peers.{peer.module}", [broker.port, count, site]) as child:
        heard = child.hear()
        if "skipped" in heard:
            return heard
        broker.await_subscription(known)
        for rounds in (1, COUNTED):
            publisher.tell(f"go {rounds}")
            publisher.hear()
            heard = child.hear()
    broker.forget(CLIENT_ID)
    return heard


def _report(result: Result, found: dict[str, list[dict[str, Any]]], count: int) -> None:
    ours = found.pop(OURS.name)
    add = result.figures.__setitem__
    for name, value in _figures(ours).items():
        add(name, value)
    for thread in sorted(ours[0]["threads"]):
        each = [turn["threads"].get(thread, 0.0) / turn["messages"] * 1e6 for turn in ours]
        add(f"cpu_us_of_{thread}", figure(each, "µs/message", better="lower"))
    collector = (turn["collector_s"] / turn["messages"] * 1e6 for turn in ours)
    add("collector_cpu_us", figure(collector, "µs/message", better="lower"))
    for peer, turns in found.items():
        if missing := [turn["skipped"] for turn in turns if "skipped" in turn]:
            result.peers[peer] = {"skipped": missing[0]}
            continue
        result.peers[peer] = {name: value.json() for name, value in _figures(turns).items()}
        times = [b["cpu_s"] / a["cpu_s"] for a, b in zip(ours, turns, strict=True)]
        key = "times_" + peer.replace("-", "_")
        add(key, figure(times, "x less CPU", TIMES_PAHO_TARGET if peer == "paho-mqtt" else None))
    result.notes.append(f"{COUNTED * count} messages a turn; ours is the whole engine, peers decode only")


def _figures(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cpu_us": figure((t["cpu_s"] / t["messages"] * 1e6 for t in turns), "µs/message", better="lower"),
        "messages_per_s": figure((t["messages"] / t["wall_s"] for t in turns), "messages/s"),
        "rss_mib": figure((t["rss_mib"] for t in turns), "MiB", better="lower"),
    }
