"""The table of workloads. An id is for ever: a workload that measures something else gets another one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness import Result


class Workload(NamedTuple):
    """``module`` has ``run(scale) -> Result``; ``seconds_max`` is when a run is given up.

    A ``soak`` runs when it is named, or with LIFELINE_SOAK=1.
    """

    id: str
    module: str
    about: str
    seconds_max: float
    soak: bool = False

    def run(self, scale: float) -> Result:
        """Measure, in this process."""
        work: Callable[[float], Result] = import_module(f"benchmarks.workloads.{self.module}").run
        return work(scale)


TABLE: Final = (
    Workload("decode", "decode", "MQTT packets to columns: one value a message, and packs of 100", 180),
    Workload("log", "log", "durable log: commits of one row, megabytes of large batches", 180),
    Workload("rules-tick", "rules_tick", "one reading of each of 219,300 sensors through the standard rules", 180),
    Workload("backtest", "backtest", "the standard rules over a lake: read, brought into order, judged", 400),
    Workload("engine", "engine", "the whole engine over loopback TCP: QoS 0, QoS 1, packs of 100", 1800),
    Workload("inflight20", "inflight20", "QoS 1 with twenty messages in flight: how fast a commit turns round", 120),
    Workload("latency", "latency", "reading on the wire to event in the queue, idle and with the fleet at 1 Hz", 240),
    Workload("recovery", "recovery", "kill -9 under full load until alarms live again; start until acknowledging", 400),
    Workload("lake", "lake", "rows/s into the lake and bytes a reading once merged: the fleet, and random noise", 600),
    Workload("query", "query", "questions of analysts while and after writing, beside plain Parquet files", 600),
    Workload(
        "governance", "governance", "the queue with 7,216,000 events on record: lists, acts, figures, a storm", 1800
    ),
    Workload("stream", "stream", "the console with 1,000 viewers of the live stream: delay, memory", 300),
    Workload("broker", "broker", "behind a real Mosquitto at QoS 1: CPU a message, ours and the peers'", 400),
    Workload("scale", "scale", "the whole engine for 0.1, 1, 5 and 20 cities: the cost of a reading stays flat", 3000),
    Workload("quality", "quality", "foreign history through the rules as they ship; public sets under --data", 900),
    Workload(
        "quality-fleet", "quality_fleet", "seven days of 20,000 simulated sensors: faults found, events false", 900
    ),
    Workload("quality-city", "quality_city", "the same for the whole city", 3600, soak=True),
    Workload(
        "soak",
        "soak",
        "an hour of the whole fleet behind Mosquitto: memory flat, lag small, none lost",
        4500,
        soak=True,
    ),
)

BY_ID: Final = {workload.id: workload for workload in TABLE}
