"""Rules over time without a reading: dropouts, evaluated on the log's own clock.

Log time is the running maximum of ``received_at``, first over the rows of a record, then of the record itself. When it
reaches or passes a multiple of ``CLOCK_MS``, clock rules are evaluated *at that multiple*, after all rows received
before it and before the row that reaches it. So the result depends on what the log holds, not on how it was cut into
records, and a replay or a backtest repeats it.

When nothing arrives for long (history with gaps), many multiples are evaluated as one block of rows.

Time in which nothing at all was heard is not held against a sensor (``rules/deaf.py``).

A rule that speaks of silence raises only for a point that is *overdue*: silent for longer than its declared interval
(always, where that is unknown). Hardly any point of a healthy fleet is, and of a silent city the condition itself says
most (``rules/floors.py``), so hardly any is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from lifeline.core.schema import Flag
from rules.deaf import Deafness
from rules.devices import ALLOWED_MS_MIN, DAILY_MS, allowed_ms, gateways_of, interval_ms_of
from rules.floors import SILENCE, Floors
from rules.hearing import BEHIND, GATEWAY
from rules.kernels import silence as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.batch import LogRecord, Readings
    from lifeline.core.registry import Registry
    from rules.bound import BoundRule
    from rules.localtime import LocalClock

CLOCK_MS: Final = 10_000
"""Clock rules are evaluated at multiples of this: the fastest sensors report each second and may be silent for 30 s,
so ten seconds add a third to the delay at worst."""

BLOCK_ROWS: Final = 1 << 18
"""Rows (instants x points) evaluated at once: 2 MiB a column."""

CENSUS: Final = GATEWAY | {"silent_devices", "silent_share"}


class ClockChange(NamedTuple):
    """A change of a clock rule, completed before row ``row`` of the record, at log time ``instant``."""

    row: int
    instant: int
    rule: BoundRule
    slot: int
    raised: bool
    onset: int
    value: float


@dataclass
class Silence:
    """Life signs of points and devices, and the clock rules over them."""

    rules: list[BoundRule]
    clock: LocalClock
    last_point: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    last_device: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    last_gateway: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    """Of each gateway: its last sign of life, and the end of its last long silence, of all behind it or of half."""
    instant: int = -1
    """The last multiple of ``CLOCK_MS`` that was passed, -1 before the first record."""
    now: int = -1
    """Log time."""

    def __post_init__(self) -> None:
        """What the rules need."""
        self.deafness = Deafness()
        self._names = frozenset().union(*(rule.names for rule in self.rules))
        self._who = np.zeros(0, np.int32)
        self._device = np.zeros(0, np.int32)
        self._allowed = np.zeros(0, np.int64)
        self._interval_s = np.zeros(0)
        self._gateway = np.zeros(0, np.int32)
        """Of each device, -1 for none."""
        self._floors: dict[int, Floors] = {}
        """By the number of the rule."""
        self._quiet = np.zeros(0, np.int64)
        """The longest silence of a gateway (ms) that means nothing: two of the shortest intervals behind it."""
        self._steady = np.zeros(0, np.int64)
        """See ``grow``."""

    def grow(self, registry: Registry, steady: NDArray[np.int64] | None = None) -> None:
        """Take in the registry's new points; the rules have grown already.

        ``steady``, of a history that was looked at: when each device was heard first that is never overdue and of
        which no rule asks more (``rules/hearing.py``), ``NEVER`` for the others.
        """
        if steady is not None:
            self._steady = steady
        more = len(registry) - len(self.last_point)
        self.last_point = np.concatenate([self.last_point, np.full(more, kernels.NEVER)])
        more = registry.device_count - len(self.last_device)
        self.last_device = np.concatenate([self.last_device, np.full(more, kernels.NEVER)])
        self._device = registry.point_device
        interval = interval_ms_of(registry)
        self.deafness.grow(interval)
        self._allowed = allowed_ms(interval)
        told = np.zeros(len(registry), bool)
        for rule in self.rules:
            told[rule.points] = True
        self._who = np.flatnonzero(told).astype(np.int32)
        self._places = [np.searchsorted(self._who, rule.points) for rule in self.rules]
        self._interval_s = registry.interval_ms / 1000.0
        if self._names & GATEWAY:
            self._gateway, gateways = gateways_of(registry)
            shortest = np.full(gateways, np.iinfo(np.int64).max)
            behind = (self._gateway >= 0) & (interval > 0)
            np.minimum.at(shortest, self._gateway[behind], interval[behind])
            self._quiet = np.maximum(2 * np.minimum(shortest, DAILY_MS), ALLOWED_MS_MIN)
            fresh = np.full((gateways - len(self.last_gateway), 2), kernels.NEVER)
            self.last_gateway = np.concatenate([self.last_gateway, fresh])
        else:
            self._gateway = np.full(registry.device_count, -1, np.int32)

    def process(self, record: LogRecord) -> list[ClockChange]:
        """Hear a record's rows and evaluate every instant that it reaches."""
        rows = record.readings
        received = rows.received_at
        if not kernels.never_falls(received):
            received = np.maximum.accumulate(received)
        end = max(record.received_at, int(received[-1]) if len(rows) else 0, self.now)
        if self.instant < 0:
            first = min(int(received[0]), record.received_at) if len(rows) else record.received_at
            self.instant = first // CLOCK_MS * CLOCK_MS
        self.now = end
        self.deafness.hear(received, lambda n: self._told(rows, n), self._known, end)
        instants = np.arange(self.instant + CLOCK_MS, end + 1, CLOCK_MS, dtype=np.int64)
        ends = np.searchsorted(received, instants, side="left").astype(np.int64)
        for rule, places in zip(self.rules, self._places, strict=True):
            rule.evaluated += len(instants) * (len(places) + rule.spared)
        changes: list[ClockChange] = []
        at = 0
        if len(instants) and len(self._who):
            block = max(1, BLOCK_ROWS // len(self._who))
            for k in range(0, len(instants), block):
                at = self._block(record, instants[k : k + block], ends[k : k + block], at, changes)
            self.instant = int(instants[-1])
        elif len(instants):
            self.instant = int(instants[-1])
        kernels.hear(
            *(rows.point, rows.received_at, rows.flags, self._device, self._gateway, self._quiet),
            *(self.last_point, self.last_device, self.last_gateway, at, len(rows)),
        )
        return changes

    def calm(self, rows: Readings, end: int) -> bool:
        """Whether records of these rows, up to log time ``end``, reach no instant and end no deaf time."""
        end = max(end, int(rows.received_at.max()), self.now)
        reaches = self.instant < 0 or end >= self.instant + CLOCK_MS
        return not reaches and self.deafness.calm(int(rows.received_at.min()), end)

    def hear(self, rows: Readings, last: LogRecord) -> None:
        """``process`` of records for which it is ``calm``, all at once: their rows, and the last of them."""
        self.now = max(self.now, last.received_at, int(rows.received_at.max()))
        self.deafness.hear_calm(int(last.readings.received_at.max()))
        kernels.hear(
            *(rows.point, rows.received_at, rows.flags, self._device, self._gateway, self._quiet),
            *(self.last_point, self.last_device, self.last_gateway, 0, len(rows)),
        )

    def _block(
        self,
        record: LogRecord,
        instants: NDArray[np.int64],
        ends: NDArray[np.int64],
        start: int,
        changes: list[ClockChange],
    ) -> int:
        rows, who = record.readings, self._who
        if len(instants) == 1:
            who = who[:0]  # what is as of now need not be written down for every point of a city: see ``_silent``
        shape = (len(instants), len(who))
        own, device = np.empty(shape), np.empty(shape)
        counts, behind = np.zeros((len(instants), 2)), np.zeros((len(instants), len(self.last_gateway), len(BEHIND)))
        counted = self._names & CENSUS
        at: int = kernels.silences(
            *(rows.point, rows.received_at, rows.flags, self._device, self._gateway, self._quiet),
            *(self.last_point, self.last_device, self.last_gateway, start),
            *(instants, ends, who, own, device, self._allowed if counted else self._allowed[:0]),
            *(self._steady, counts, behind),
        )
        scalars = {"silent_devices": counts[:, 0], "silent_share": counts[:, 0] / np.maximum(counts[:, 1], 1)}
        found: list[ClockChange] = []
        for k, (rule, places) in enumerate(zip(self.rules, self._places, strict=True)):
            if len(places):
                chosen = self._stirring(k, instants, scalars, (own, device))
                if len(instants) == 1:
                    wide = self._silent(rule.points[chosen], int(instants[0]))
                else:
                    at_chosen = places[chosen]
                    wide = {"silent_s": own[:, at_chosen].ravel(), "device_silent_s": device[:, at_chosen].ravel()}
                if not GATEWAY.isdisjoint(rule.names):
                    wide |= self._behind(behind, rule.points[chosen])
                if len(chosen):
                    found += self._evaluate(rule, chosen, instants, ends, wide, scalars)
        changes += sorted(found, key=lambda c: (c.instant, c.rule.order))
        return at

    def _told(self, rows: Readings, n: int) -> NDArray[np.int32]:
        """Devices of the first rows; repeats are old news."""
        told: NDArray[np.int32] = self._device[rows.point[:n][(rows.flags[:n] & np.uint8(Flag.DUPLICATE)) == 0]]
        return told

    def _known(self, at: int) -> NDArray[np.bool_]:
        """Which devices were heard by then, and those that the rows heard so far tell of."""
        known: NDArray[np.bool_] = self.last_device != kernels.NEVER
        if len(self._steady):
            known |= (self._steady != kernels.NEVER) & (self._steady <= at)
        return known

    def _behind(self, behind: NDArray[np.float64], points: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
        """The census of each point's gateway; NaN for a point without one."""
        gateway = self._gateway[self._device[points]]
        if not len(self.last_gateway):
            nothing = np.full((len(behind), len(points)), np.nan)
            return dict.fromkeys(GATEWAY, nothing.ravel())
        nowhere = np.full((len(behind), 1, len(BEHIND)), np.nan)
        table = np.concatenate([behind, nowhere], axis=1)  # -1, without a gateway, is the last
        return {name: table[:, gateway, k].ravel() for k, name in enumerate(BEHIND)}

    def _stirring(
        self,
        k: int,
        instants: NDArray[np.int64],
        counts: dict[str, NDArray[np.float64]],
        silent: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> NDArray[np.int32]:
        """Slots of the rule of this number that can change within the block: not at rest, or silent long enough.

        ``silent`` are what the kernel writes down of points and of their devices, where there are several instants.
        """
        rule = self.rules[k]
        if SILENCE.isdisjoint(rule.names):
            return np.arange(len(rule.points), dtype=np.int32)
        floors = self._floors.get(k)
        if floors is None or not floors.of(rule):
            floors = self._floors[k] = Floors(rule, self._interval_s)
        restless = rule.state.restless
        if not floors.open(counts):
            return restless
        if len(instants) == 1:
            heard = self.last_point, self.last_device
            stirring = floors.passed(rule.points, self._device, heard, int(instants[0]))
        else:
            point_s, device_s = (np.fmax.reduce(seconds, axis=0)[self._places[k]] for seconds in silent)
            stirring = floors.passed_by(point_s, device_s)
        stirring[restless] = True
        return np.flatnonzero(stirring).astype(np.int32)

    def _silent(self, points: NDArray[np.int32], instant: int) -> dict[str, NDArray[np.float64]]:
        """What the kernel writes down of points, at the instant up to which everything was heard."""
        last = {"silent_s": self.last_point[points], "device_silent_s": self.last_device[self._device[points]]}
        never = last["silent_s"] == kernels.NEVER
        if never.any():
            return {
                n: np.where(never, np.nan, (instant - np.where(never, instant, t)) / 1000.0) for n, t in last.items()
            }
        return {name: (instant - times) / 1000.0 for name, times in last.items()}

    def _evaluate(
        self,
        rule: BoundRule,
        chosen: NDArray[np.int32],
        instants: NDArray[np.int64],
        ends: NDArray[np.int64],
        wide: dict[str, NDArray[np.float64]],
        scalars: dict[str, NDArray[np.float64]],
    ) -> list[ClockChange]:
        width = len(chosen)
        slots = np.tile(chosen, len(instants))
        ts = np.repeat(instants, width)
        for name in ("silent_s", "device_silent_s"):
            wide[name] = wide[name] - self.deafness.within(wide[name], ts)
        columns = {}
        for name in rule.names:
            if name in wide:
                columns[name] = wide[name]
            elif name == "silent_n":
                interval = rule.by_slot["interval_s"][slots]
                columns[name] = np.where(interval > 0, wide["silent_s"] / np.where(interval > 0, interval, 1), np.nan)
            elif name in scalars:
                columns[name] = np.repeat(scalars[name], width)
            elif name in rule.by_slot:
                columns[name] = rule.column(name, slots, ts)
            else:
                columns[name] = np.repeat(self.clock.column(name, instants), width)
        raised, clear = rule.masks(columns, len(ts))
        never = np.isnan(wide["silent_s"])
        raised, clear = raised & ~never, clear & ~never
        if not SILENCE.isdisjoint(rule.names):
            raised &= wide["silent_s"] > self._interval_s[rule.points][slots]
        return [
            ClockChange(
                row=int(ends[c.row // width]),
                instant=int(ts[c.row]),
                rule=rule,
                slot=c.slot,
                raised=c.raised,
                onset=c.onset,
                value=float(wide["device_silent_s" if "device_silent_s" in rule.names else "silent_s"][c.row]),
            )
            for c in rule.state.advance(rule.spec, slots, raised, clear, ts)
        ]

    @property
    def nbytes(self) -> int:
        """Memory."""
        own = self.last_point.nbytes + self.last_device.nbytes + self.last_gateway.nbytes
        return own + sum(floors.nbytes for floors in self._floors.values())
