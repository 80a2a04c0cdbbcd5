"""Alarm load on the metrics endpoint: counted once a minute over the last day, for all and for one console in turn.

A city has a console for each district; counting all of them at once would ask the queue a hundred questions in one turn
of the engine's chores, and a flood makes each of them long. So each minute one district is counted anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import Clock
    from lifeline.governance.desk import GovernanceDesk
    from lifeline.governance.load import AlarmLoad

EVERY_MS: Final = 60_000
SPAN_MS: Final = 86_400_000
CONSOLES_MAX: Final = 64
"""Districts with figures of their own; a city has a dozen."""
LEVELS: Final = ("red", "orange", "yellow", "blue")


class LoadGauge:
    """A chore of the engine."""

    def __init__(self, desk: GovernanceDesk, metrics: Metrics, clock: Clock) -> None:
        self._desk, self._gauge, self._clock = desk, metrics.alarm_load, clock
        self._at = 0
        self._consoles = metrics.alarm_load_console
        self._areas: list[str] = []
        """Districts, the next to be counted first."""

    def keep(self) -> None:
        """One turn."""
        now = self._clock()
        if now - self._at < EVERY_MS:
            return
        self._at = now
        load = self._desk.alarm_load(now - SPAN_MS, now)
        nuisances = len(self._desk.nuisances(now - SPAN_MS, now))
        for name, value in {**_figures(load), **_city(load), "nuisances": nuisances}.items():
            self._gauge.labels(name).set(value)
        self._keep_console(now, load)

    def _keep_console(self, now: int, load: AlarmLoad) -> None:
        """Count the district whose turn it is; one that had alarms goes on being told when it has none."""
        self._areas += [area for area in load.areas if area not in self._areas][: CONSOLES_MAX - len(self._areas)]
        if not self._areas:
            return
        self._areas.append(area := self._areas.pop(0))
        for name, value in _figures(self._desk.alarm_load(now - SPAN_MS, now, area=area)).items():
            self._consoles.labels(area, name).set(value)


def _figures(load: AlarmLoad) -> dict[str, float]:
    """Rate, time in flood, what stands, the ten most frequent and the split of priorities, of one console or of all."""
    alarms = sum(load.windows)
    return {
        "alarms": alarms,
        "mean_per_10min": load.mean_per_window,
        "max_per_10min": load.max_per_window,
        "last_10min": load.windows[-1],
        "flood_share": load.flood_share,
        "top_ten_share": load.top_share,
        "standing": load.standing,
        "stale": load.stale,
        **{f"share_{level}": load.levels.get(level, 0) / max(alarms, 1) for level in LEVELS},
    }


def _city(load: AlarmLoad) -> dict[str, float]:
    """What only the whole has."""
    return {"busiest_district": max(load.areas.values(), default=0)}
