"""Alarm load on the metrics endpoint: counted once a minute over the last day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import Clock
    from lifeline.governance.desk import GovernanceDesk

EVERY_MS: Final = 60_000
SPAN_MS: Final = 86_400_000


class LoadGauge:
    """A chore of the engine."""

    def __init__(self, desk: GovernanceDesk, metrics: Metrics, clock: Clock) -> None:
        self._desk, self._gauge, self._clock = desk, metrics.alarm_load, clock
        self._at = 0

    def keep(self) -> None:
        """One turn."""
        now = self._clock()
        if now - self._at < EVERY_MS:
            return
        self._at = now
        load = self._desk.alarm_load(now - SPAN_MS, now)
        figures = {
            "alarms": sum(load.windows),
            "mean_per_10min": load.mean_per_window,
            "busiest_district": max(load.areas.values(), default=0),
            "max_per_10min": load.max_per_window,
            "last_10min": load.windows[-1],
            "flood_share": load.flood_share,
            "top_ten_share": load.top_share,
            "standing": load.standing,
            "stale": load.stale,
            "nuisances": len(self._desk.nuisances(now - SPAN_MS, now)),
        }
        for name, value in figures.items():
            self._gauge.labels(name).set(value)
