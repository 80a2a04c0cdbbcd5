"""Events against labelled truth: what was found, what was invented, how late, and how much an operator has to bear.

- An alarm is *explained* by a fault of its device that was going on at its onset: within [start, end), a report longer
  at the end (an outage shows at the first report after it) and a clock's error earlier at the start. An alarm about a
  whole place (zone, gateway) is explained by a fault of any device of that place.
- An alarm that another explained for as long as it stood (suppressed by design) reached nobody: it finds nothing and
  burdens nobody.
- An event is true when a real fault explains any of its alarms. When only look-alikes do, it is false above blue, and
  does not count in blue. All others are false.
- A fault is found when it explains any alarm of a true event; its delay runs from its start to the detection. Faults
  that start within the scored period count, and the run goes on after it, so that slow reporters can speak.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from lifeline.core.registry import Registry
    from lifeline.governance.hand import Row

HARMLESS: Final = "harmless-"
SKEW_MS: Final = 300_000
"""A device's clock may be so far ahead of the truth or behind it (``simulators/dirt.py``)."""
GRACE_MS: Final = 120_000
LEVELS: Final = ("red", "orange", "yellow", "blue")
_RANK: Final = {level: rank for rank, level in enumerate((*LEVELS, ""))}

NAMED: Final[dict[str, frozenset[str]]] = {
    "gas-accumulation": frozenset({"gas-leak"}),
    "cover-opened": frozenset({"cover-opened"}),
    "regulator-overpressure": frozenset({"gas-overpressure"}),
    "pipe-burst": frozenset({"water-burst"}),
    "slow-leak": frozenset({"water-leak"}),
    "reverse-flow": frozenset({"water-backflow"}),
    "heat-supply-collapse": frozenset({"heat-outage"}),
    "makeup-surge": frozenset({"heat-leak"}),
    "sensor-stuck": frozenset({"sensor-fault"}),
    "sensor-drift": frozenset({"sensor-fault"}),
    "sensor-spikes": frozenset({"sensor-fault"}),
    "dropout": frozenset({"device-silent"}),
    "gateway-outage": frozenset({"device-silent", "gateway-silent", "platform-silent"}),
    "battery-low": frozenset({"device-battery"}),
}
"""Kinds of event that name a fault rightly, so that a crew with the right tools is sent."""


WORTH: Final[dict[str, tuple[str, str]]] = {
    "gas-accumulation": ("orange", "red"),
    "cover-opened": ("yellow", "yellow"),
    "regulator-overpressure": ("orange", "orange"),
    "pipe-burst": ("yellow", "orange"),
    "slow-leak": ("blue", "blue"),
    "reverse-flow": ("yellow", "yellow"),
    "heat-supply-collapse": ("yellow", "yellow"),
    "makeup-surge": ("orange", "orange"),
    "sensor-stuck": ("blue", "blue"),
    "sensor-drift": ("blue", "blue"),
    "sensor-spikes": ("blue", "blue"),
    "dropout": ("blue", "blue"),
    "gateway-outage": ("blue", "blue"),
    "battery-low": ("blue", "blue"),
}
"""Least and highest level of a kind of fault, by what it does and the time there is (the table of docs/rules.md): of
gas by its concentration, of a burst by one witness or several. Look-alikes, and what is no fault, are worth blue."""


class Fault(NamedTuple):
    """One row of the truth: a fault on one device."""

    id: str
    kind: str
    start: int
    end: int

    @property
    def is_real(self) -> bool:
        """Not a look-alike."""
        return not self.kind.startswith(HARMLESS)


@dataclass
class Score:
    """The outcome; times in ms."""

    faults: dict[str, str] = field(default_factory=dict)
    """Scored faults: kind by id."""
    lookalikes: dict[str, str] = field(default_factory=dict)
    """Look-alikes of the scored period: kind by id."""
    delays: dict[str, int] = field(default_factory=dict)
    """Of the faults that were found."""
    named: set[str] = field(default_factory=set)
    """Faults found by an event that names them rightly (``NAMED``)."""
    true: list[Row] = field(default_factory=list)
    false: list[Row] = field(default_factory=list)
    spared: list[Row] = field(default_factory=list)
    """Events; ``spared`` are blue ones that only look-alikes explain: neither true nor false."""
    fooled: dict[str, Row] = field(default_factory=dict)
    """The event above blue of each look-alike that made one (they are among the false)."""
    alarms: list[Row] = field(default_factory=list)
    """Alarms of the scored period, each with ``is_true``, ``fault_end`` (ms; the last that explains it, or None) and
    ``worth``, the highest level that a fault which explains it is worth."""
    told: dict[str, str] = field(default_factory=dict)
    """The highest level at which a scored fault was told."""

    @property
    def recall(self) -> float:
        """Share of the faults that were found."""
        return len(self.delays) / len(self.faults) if self.faults else 0.0

    @property
    def quiet(self) -> float:
        """Share of the look-alikes that made no event above blue."""
        return 1 - len(self.fooled.keys() & self.lookalikes.keys()) / max(len(self.lookalikes), 1)

    @property
    def precision(self) -> float:
        """Share of the events that a real fault explains."""
        counted = len(self.true) + len(self.false)
        return len(self.true) / counted if counted else 0.0

    @property
    def overrated(self) -> float:
        """Share of the alarms that stand above what any fault that explains them is worth."""
        above = sum(_RANK[alarm["level"]] < _RANK[alarm["worth"]] for alarm in self.alarms)
        return above / max(len(self.alarms), 1)

    @property
    def underrated(self) -> float:
        """Share of the faults that were told below the least that they are worth, or not at all."""
        below = sum(_RANK[self.told.get(fault, "")] > _RANK[WORTH[kind][0]] for fault, kind in self.faults.items())
        return below / max(len(self.faults), 1)

    def worth(self) -> dict[str, float]:
        """Share of the faults that are worth each level at most: what a split of alarms with one a fault would be."""
        counts = Counter(WORTH[kind][1] for kind in self.faults.values())
        return {level: counts[level] / max(len(self.faults), 1) for level in LEVELS}

    def by_kind(self) -> dict[str, dict[str, Any]]:
        """Figures by kind of fault: faults, found, named, median and p95 delay (s)."""
        ids = defaultdict(list)
        for fault, kind in self.faults.items():
            ids[kind].append(fault)
        return {kind: self._kind(faults) for kind, faults in sorted(ids.items())}

    def _kind(self, faults: list[str]) -> dict[str, Any]:
        delays = np.array([self.delays[fault] for fault in faults if fault in self.delays]) / 1000
        return {
            "faults": len(faults),
            "found": len(delays),
            "recall": len(delays) / len(faults),
            "named": sum(fault in self.named for fault in faults),
            "median_delay_s": float(np.median(delays)) if len(delays) else None,
            "p95_delay_s": float(np.percentile(delays, 95)) if len(delays) else None,
        }

    def levels(self) -> dict[str, float]:
        """Share of each level among the alarms of the scored period."""
        counts = Counter(alarm["level"] for alarm in self.alarms)
        return {level: counts[level] / max(len(self.alarms), 1) for level in LEVELS}


class _Explained:
    """Which faults explain an alarm."""

    def __init__(self, truth: pa.Table, registry: Registry, wide: Mapping[str, str]) -> None:
        self._wide = wide
        points = registry.points
        self._grace = dict(zip(points["device_id"].to_pylist(), points["interval_s"].to_pylist(), strict=True))
        self._places: dict[str, dict[str, str]] = {
            column: dict(zip(points["device_id"].to_pylist(), points[column].to_pylist(), strict=True))
            for column in set(wide.values())
        }
        self._faults: dict[tuple[str, str | None], list[Fault]] = defaultdict(list)
        for row in truth.to_pylist():
            start, end = (round(row[key].timestamp() * 1000) for key in ("start", "end"))
            fault = Fault(row["fault_id"], row["kind"], start, end)
            self._faults["device", row["device_id"]].append(fault)
            for column, of in self._places.items():
                self._faults[column, of.get(row["device_id"])].append(fault)

    def of(self, alarm: Row) -> set[Fault]:
        device, onset = alarm["device_id"], alarm["raised_at"]
        grace = max(GRACE_MS, round(2000 * (self._grace[device] or 0)))
        near = self._faults.get(("device", device), [])
        column = self._wide.get(alarm["rule_id"])
        if column is not None:
            near = near + self._faults.get((column, self._places[column][device]), [])
        return {fault for fault in near if fault.start - SKEW_MS <= onset < fault.end + grace}


def score(
    events: Mapping[str, Row],
    alarms: Iterable[Row],
    truth: pa.Table,
    registry: Registry,
    *,
    start_ms: int,
    end_ms: int,
    wide: Mapping[str, str],
) -> Score:
    """Judge the queue's rows.

    Args:
        events: rows of the queue by id.
        alarms: rows of the queue in the order of raising.
        truth: all labels of the run (``TRUTH`` schema).
        registry: the points.
        start_ms: faults that start from here on count; so do alarms and events detected from here on.
        end_ms: faults that start from here on do not count.
        wide: rules that speak of a whole place: rule id to the registry's column (``zone``, ``gateway``).
    """
    explained = _Explained(truth, registry, wide)
    result = Score()
    for row in truth.to_pylist():
        if start_ms <= row["start"].timestamp() * 1000 < end_ms:
            kinds = result.lookalikes if row["kind"].startswith(HARMLESS) else result.faults
            kinds[row["fault_id"]] = row["kind"]
    reasons: dict[str, set[Fault]] = defaultdict(set)
    for alarm in alarms:
        if alarm["detected_at"] >= start_ms and alarm["event_id"] is not None:
            found = explained.of(alarm)
            reasons[alarm["event_id"]] |= found
            if alarm["detected_at"] < end_ms:
                over = max((fault.end for fault in found), default=None)
                real = [fault for fault in found if fault.is_real]
                worth = min((WORTH[fault.kind][1] for fault in real), key=_RANK.__getitem__, default="blue")
                result.alarms.append(alarm | {"is_true": bool(real), "fault_end": over, "worth": worth})
            _find(result, alarm, events[alarm["event_id"]]["kind"], found)
    for event_id, faults in reasons.items():
        _judge(result, events[event_id], faults)
    return result


def _find(result: Score, alarm: Row, event_kind: str, faults: set[Fault]) -> None:
    """Note which scored faults an alarm has found."""
    for fault in faults:
        if fault.id in result.faults:
            delay = alarm["detected_at"] - fault.start
            result.delays[fault.id] = min(result.delays.get(fault.id, delay), delay)
            result.told[fault.id] = min(result.told.get(fault.id, ""), alarm["level"], key=_RANK.__getitem__)
            if event_kind in NAMED[fault.kind]:
                result.named.add(fault.id)


def _judge(result: Score, event: Row, faults: set[Fault]) -> None:
    """True, false or spared."""
    if any(fault.is_real for fault in faults):
        result.true.append(event)
    elif faults and event["level"] == "blue":
        result.spared.append(event)
    else:
        result.fooled |= {fault.id: event for fault in faults}
        result.false.append(event)
