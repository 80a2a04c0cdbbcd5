"""What the engine says of itself, twice a second, in ``state/status.json`` (contract, ``lifeline status --json``).

The file is replaced by rename: the command line, the console and scripts read it without asking the engine.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import psutil

from lifeline.core.errors import UnavailableError
from lifeline.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import Clock, CollectorState, Log
    from lifeline.engine.follow import Follow
    from lifeline.engine.rules_follower import RulesFollower
    from lifeline.engine.tally import Tally

STATUS_PERIOD_S: Final = 0.5
READY_LAG_S: Final = 30.0
"""A follower this far behind makes the engine not ready: its alarms are old news."""
LATCHED: Final = ("rule_id", "point", "raised_at")
STALLED_S: Final = 5.0
"""House-keeping comes round twice a second; this long without it, it hangs in a disk that does not answer."""


class StatusBoard:
    """Gathers the status from the running parts and publishes it."""

    def __init__(
        self,
        path: Path,
        *,
        log: Log,
        follows: Sequence[Follow],
        tally: Tally,
        rules: RulesFollower,
        collectors: Callable[[], Sequence[CollectorState]],
        events_open: Callable[[], Mapping[tuple[str, str], int]],
        metrics: Metrics,
        clock: Clock,
        shadow: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._shadow = shadow
        self._path = path
        self._log = log
        self._follows = follows
        self._tally = tally
        self._rules = rules
        self._collectors = collectors
        self._events_open = events_open
        self._metrics = metrics
        self._clock = clock
        self._started_at = clock()
        self._process = psutil.Process()
        self.rss_max_bytes = 0
        self.stopping = False
        self.stopped = False
        self.endpoint: str | None = None
        """Where the engine's metrics are, once somebody serves them."""
        self.last: dict[str, Any] = {"ready": False, "reason": "starting"}
        """What was published last."""
        self._turned_s: float | None = None
        """When house-keeping last came round."""
        self._events_by: Mapping[tuple[str, str], int] = {}
        self._queue_fault: str | None = None

    def snapshot(self) -> dict[str, Any]:
        """The status now, as one JSON-able dict; updates the gauges on the way."""
        now = self._clock()
        self._turned_s = time.monotonic()
        rss = self._process.memory_info().rss
        self.rss_max_bytes = max(self.rss_max_bytes, rss)
        states = self._collectors()
        followers = self._followers(now)
        by_level: dict[str, int] = {}
        for (level, status), count in self._open_events().items():
            by_level[level] = by_level.get(level, 0) + count
            self._metrics.events_open.labels(level, status).set(count)
        self._metrics.readings_too_late.set(self._rules.too_late)
        for entry in followers:
            self._metrics.follower_lag.labels(entry["name"]).set(entry["lag_s"])
        ready, reason = self._readiness(states, followers)
        return {
            "ready": ready,
            "reason": reason,
            "at": now,
            "pid": os.getpid(),
            "stopped": self.stopped,
            "endpoint": self.endpoint,
            "uptime_s": round((now - self._started_at) / 1000, 1),
            "readings_per_s": round(self._tally.readings_per_s(now), 1),
            "received": self._tally.received,
            "duplicates": self._tally.duplicates,
            "rejected": dict(self._tally.rejected),
            "rejected_readings": self._tally.rejected_readings,
            "late": self._tally.late,
            "too_late": self._rules.too_late,
            "rules_fault": self._rules.reload_fault,
            "latched": [dict(zip(LATCHED, one, strict=True)) for one in self._rules.latched],
            "shadow": self._shadow(),
            "unacknowledged": sum(state.unacknowledged for state in states),
            "followers": followers,
            "brokers": [
                {
                    "name": state.name,
                    "connected": state.connected,
                    "granted_qos": dict(state.granted_qos),
                    "session_present": state.session_present,
                    "messages": state.messages,
                    "reconnects": state.reconnects,
                    "last_error": state.last_error,
                    "warning": state.warning,
                    "sessions_lost": state.sessions_lost,
                    "dropped": state.dropped,
                }
                for state in states
            ],
            "log": {"first": self._log.first, "committed": self._log.committed, "fault": self._log.fault},
            "alarms_raised": self._rules.alarms_raised,
            "events_opened": self._rules.events_opened,
            "events_open": by_level,
            "ingest_to_event_ms": latency_summary(list(self._rules.latencies_ms)),
            "rss_mib": round(rss / 2**20, 1),
            "rss_mib_max": round(self.rss_max_bytes / 2**20, 1),
        }

    def publish(self) -> dict[str, Any]:
        """Write the status file; returns what it wrote."""
        status = self.last = self.snapshot()
        write_atomic(self._path, orjson.dumps(status), durable=False)
        return status

    def readiness(self) -> tuple[bool, str | None]:
        """(ready, reason) now, from memory alone: it answers while the disk is full, gone or hangs."""
        if self._turned_s is None:
            return False, "starting"
        ready, reason = self._readiness(self._collectors(), self._followers(self._clock()))
        still_s = time.monotonic() - self._turned_s
        if ready and still_s > STALLED_S:
            return False, f"house-keeping has stood still for {still_s:.0f} s: does the disk of {self._path} answer?"
        return ready, reason

    def _followers(self, now_ms: int) -> list[dict[str, Any]]:
        return [
            {"name": f.follower.name, "position": f.follower.position, "lag_s": round(f.lag_s(now_ms), 3)}
            for f in self._follows
        ]

    def _open_events(self) -> Mapping[tuple[str, str], int]:
        """The queue's counts; the last known ones, and a reason, while its database refuses."""
        try:
            self._events_by = self._events_open()
            self._queue_fault = None
        except UnavailableError as error:
            self._queue_fault = f"queue: {error}"
        return self._events_by

    def _readiness(self, states: Sequence[CollectorState], followers: list[dict[str, Any]]) -> tuple[bool, str | None]:
        if self.stopping:
            return False, "stopped" if self.stopped else "stopping"
        if self._log.fault:
            return False, f"log: {self._log.fault}"
        fault = next((follow.fault for follow in self._follows if follow.fault), self._queue_fault)
        if fault or not self._rules.is_open:
            return False, fault or "rules: being bound to the points"
        for state in states:
            if not state.connected:
                return False, f"broker {state.name}: {state.last_error or 'not connected'}"
        for entry in followers:
            if entry["lag_s"] > READY_LAG_S:
                return False, f"follower {entry['name']} is {entry['lag_s']:.0f} s behind"
        return True, None


def latency_summary(latencies_ms: Sequence[int]) -> dict[str, float]:
    """``{p50, p99, max}`` in milliseconds; zeros when nothing was measured."""
    if not latencies_ms:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    p50, p99, highest = np.percentile(np.asarray(latencies_ms), [50, 99, 100])
    return {"p50": float(p50), "p99": float(p99), "max": float(highest)}
