"""The rule machine: log records in, alarm changes out. Pure: clock, registry and disk come as arguments.

The way of a record::

    rows ──► silence (clock rules, at multiples of 10 s) ───────────────────────────────┐
      │                                                                                   │
      ├──► order (fresh rows) ──► features ──► rules that evaluate each reading ──► alarms ┤──► changes in order
      │                                                                                   │
      └──► every row but repeats ───────────► rules that evaluate every row ─────► alarms ─┘

*Fresh* rows are usable (no repeat, quality not bad, not null) and later in event time than all before of their point.
Older ones move nothing: they are skipped by features and rules and counted (``counters["stale"]``). Only rules with
``evaluate = "every"`` see them, and rows of bad quality.

Changes come in the order of the rows that completed them; at one row: clock rules first, then rules by id. Cutting the
same rows into records anywhere gives the same changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.core.alarm import AlarmChange, RuleInfo, alarm_id
from lifeline.core.registry import Registry, RegistrySource
from lifeline.core.schema import POINTS, Flag
from rules import alarms, features, load, snapshot
from rules.groups import BoundGroups, GroupChange
from rules.kernels import order
from rules.localtime import LocalClock
from rules.memory import Rows, Walk
from rules.plan import BoundRule, Plan, points_frame
from rules.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lifeline.core.batch import LogRecord, Readings
    from lifeline.core.errors import Problem
    from rules.spec import RuleSpec

COUNTERS: Final = ("repeats", "bad", "null", "stale")
_STORED: Final = {"value": "value", "prev": "prev", "gap_s": "dt"}


@dataclass(frozen=True)
class RuleSet:
    """Checked rules, sorted by id."""

    rules: tuple[RuleSpec, ...]

    @classmethod
    def load(cls, paths: Iterable[Path | str]) -> RuleSet:
        """Rules of files; a directory stands for its ``*.toml``.

        Raises:
            ConfigurationError: everything that is wrong in any of the files.
        """
        return cls(load.load_files(Path(path) for path in paths))

    @classmethod
    def parse(cls, text: str, name: str = "rules.toml") -> RuleSet:
        """Rules of one file's text.

        Raises:
            ConfigurationError: everything that is wrong in it.
        """
        problems: list[Problem] = []
        return cls(load.finish(load.load_text(text, name, problems), problems))

    @classmethod
    def standard(cls) -> RuleSet:
        """The rules that come with the program (``rules/library``)."""
        problems: list[Problem] = []
        found: list[RuleSpec] = []
        for file in sorted(resources.files("rules").joinpath("library").iterdir(), key=lambda f: f.name):
            if file.name.endswith(".toml"):
                found += load.load_text(file.read_text("utf-8"), file.name, problems)
        return cls(load.finish(found, problems))

    def info(self) -> dict[str, RuleInfo]:
        """What the queue and the screens must know, by rule id."""
        return {rule.id: rule.info() for rule in self.rules}

    @property
    def fingerprint(self) -> str:
        """Changes when any rule would fire otherwise; titles and texts do not count."""
        return blake2b(repr([rule.meaning for rule in self.rules]).encode(), digest_size=12).hexdigest()


class RuleMachine:
    """Implements ``lifeline.core.ports.RuleEngine``. One thread calls all methods."""

    def __init__(
        self, rules: RuleSet, registry: Registry | RegistrySource, timezone: str, *, train_to: int | None = None
    ) -> None:
        self.rules = rules
        self._until = math.inf if train_to is None else float(train_to)
        self.timezone = timezone
        self._train_to = train_to
        texts = repr([rule.meaning for rule in rules.rules])  # a name too many costs a column, one too few an error
        self._columns = [n for n in POINTS.names if n in {"point", "device_id", *features.REGISTRY} or n in texts]
        self._source = registry
        self._clock = LocalClock(timezone)
        self._reset()

    def _reset(self) -> None:
        """As if nothing was ever seen."""
        bound = [self._bind(spec, k) for k, spec in enumerate(self.rules.rules)]
        for rule in bound:
            rule.until = self._until if rule.spec.learn == "training" else math.inf
        self._bound = bound
        self._reading = Plan([r for r in bound if r.spec.evaluate == "reading"])
        self._every = Plan([r for r in bound if r.spec.evaluate == "every"])
        self._timed = Plan([r for r in bound if r.spec.evaluate == "clock"])
        self._grouped = Plan([r for r in bound if r.spec.evaluate == "group"])
        self._silence = Silence(self._timed.rules, self._clock)
        self._newest = np.zeros(0, np.int64)
        self._last = np.zeros(0)
        self._counts = np.zeros(len(COUNTERS), np.int64)
        self._grow(self._current())

    def _bind(self, rule: RuleSpec, order: int) -> BoundRule:
        if rule.evaluate == "group":
            return BoundGroups(rule, order, self._clock, self._train_to)
        return BoundRule(rule, order)

    # --- public ------------------------------------------------------------------------------------------------

    def info(self) -> dict[str, RuleInfo]:
        """What the queue and the screens must know, by rule id."""
        return self.rules.info()

    def process(self, record: LogRecord) -> list[AlarmChange]:
        """Alarm changes caused by one record, in order. Records must come in lsn order."""
        self._follow_registry(record.readings)
        keyed: list[tuple[tuple[int, int], AlarmChange]] = [
            ((2 * c.row, 0), self._change(c.rule, c, record.lsn, c.instant, c.instant, c.value))
            for c in (self._silence.process(record) if self._timed.rules else ())
        ]
        if len(record.readings):
            fresh = self._fresh(record.readings)
            keyed += self._evaluate(self._reading, record, fresh)
            keyed += self._evaluate_groups(record, fresh)
            if self._every.rules:
                keyed += self._evaluate(self._every, record, _all_rows(record.readings))
        return [change for _, change in sorted(keyed, key=lambda pair: pair[0])]

    def acknowledge(self, rule_id: str, point: int, onset: int, now_ms: int, lsn: int = 0) -> AlarmChange | None:
        """An operator acknowledged an alarm; the change when it was latched and is cleared by that.

        Needed for latching rules only. It never decides whether an alarm is *raised*: a latched alarm hides no new
        one, so what was raised is reproducible from the log alone.
        """
        for rule in self._bound:
            slot = rule.slot_of(point, onset) if rule.spec.id == rule_id else None
            if slot is not None:
                if rule.state.acknowledge(slot, onset):
                    change = alarms.Change(0, slot, raised=False, onset=onset)
                    return self._change(rule, change, lsn, now_ms, now_ms, float("nan"))
                return None
        return None

    def snapshot(self) -> bytes:
        """The whole state, npz without compression."""
        header = {
            "fingerprint": self.rules.fingerprint,
            "timezone": self.timezone,
            "points": len(self._newest),
            "devices": len(self._silence.last_device),
            "instant": self._silence.instant,
            "now": self._silence.now,
        }
        return snapshot.pack(header, self._state() | self._model_state())

    def restore(self, state: bytes) -> None:
        """Take a state back; points that came since are as if never seen.

        Raises:
            ValueError: the state is damaged, or was made by other rules, another time zone or another registry.
        """
        header, arrays = snapshot.unpack(state)
        for key, mine in (("fingerprint", self.rules.fingerprint), ("timezone", self.timezone)):
            if header[key] != mine:
                raise ValueError(f"the snapshot was made with another {key} ({header[key]}, now {mine})")
        models = {name: arrays.pop(name) for name in list(arrays) if name.startswith("model/")}
        own = self._state()
        if set(own) != set(arrays) or any(len(arrays[k]) > len(own[k]) for k in own):
            raise ValueError("the snapshot was made with another registry")
        if any(not np.array_equal(own[k][: len(arrays[k])], arrays[k]) for k in own if k.startswith("points/")):
            raise ValueError("the snapshot was made with another registry: rules now look at other points")
        self._reset()
        for name, array in self._state().items():
            array[: len(arrays[name])] = arrays[name]
        self._load_models(models)
        self._silence.instant, self._silence.now = header["instant"], header["now"]

    @property
    def counters(self) -> dict[str, int]:
        """Rows that were not evaluated: repeats, bad quality, null, stale (older than the newest of their point)."""
        return {name: int(n) for name, n in zip(COUNTERS, self._counts, strict=True)}

    @property
    def active(self) -> dict[str, int]:
        """How many alarms are up, by rule."""
        return {rule.spec.id: int(rule.state.up.sum()) for rule in self._bound}

    @property
    def points(self) -> dict[str, int]:
        """How many points each rule looks at; 0 is worth a warning."""
        return {rule.spec.id: len(rule.points) for rule in self._bound}

    @property
    def evaluated(self) -> dict[str, int]:
        """How many rows each rule has judged since it was made or restored."""
        return {rule.spec.id: rule.evaluated for rule in self._bound}

    def unknown_quantities(self) -> dict[str, list[str]]:
        """Rules that name ``device_<quantity>`` for a quantity that no device has, and those quantities."""
        known = set(self._current().quantities)
        wanted = {
            r.spec.id: [n.removeprefix(features.SIBLING) for n in r.names if features.is_sibling(n)]
            for r in self._bound
        }
        return {rule: missing for rule, names in wanted.items() if (missing := [n for n in names if n not in known])}

    @property
    def state_bytes(self) -> int:
        """Memory of all state and plans."""
        plans = sum(plan.nbytes for plan in self._plans)
        return plans + self._newest.nbytes + self._last.nbytes + self._silence.nbytes

    def _current(self) -> Registry:
        return self._source if isinstance(self._source, Registry) else self._source.current()

    # --- registry ----------------------------------------------------------------------------------------------

    def _follow_registry(self, rows: Readings) -> None:
        registry = self._current()
        if len(registry) > len(self._newest):
            self._grow(registry)
        if len(rows) and int(rows.point.max()) >= len(self._newest):
            raise AssertionError(f"point {int(rows.point.max())} is not in the registry of {len(self._newest)} points")

    def _grow(self, registry: Registry) -> None:
        start, more = len(self._newest), len(registry) - len(self._newest)
        self._newest = np.concatenate([self._newest, np.full(more, order.NEVER)])
        self._last = np.concatenate([self._last, np.zeros(more)])
        if more or not start:
            frame = points_frame(registry, start, self._columns)
            for plan in self._plans:
                plan.grow(registry, frame, start)
        self._silence.grow(registry)

    # --- evaluation --------------------------------------------------------------------------------------------

    def _fresh(self, readings: Readings) -> Rows:
        row, prev, dt = np.empty(len(readings), np.int32), np.empty(len(readings)), np.empty(len(readings))
        n = order.fresh_rows(
            *(readings.point, readings.ts, readings.value, readings.quality, readings.flags),
            *(self._newest, self._last, row, prev, dt, self._counts),
        )
        row = row[:n]
        taken = (readings.point[row], readings.ts[row], readings.value[row])
        return Rows(readings, row, *taken, prev[:n], dt[:n])

    def _evaluate(self, plan: Plan, record: LogRecord, rows: Rows) -> list[tuple[tuple[int, int], AlarmChange]]:
        keyed = []
        for rule, places, slots, columns in plan.select(rows):
            self._fill(columns, rule, rows, places, slots)
            raised, clear = rule.masks(columns, len(places))
            rule.evaluated += len(places)
            for change in rule.state.advance(rule.spec, slots, raised, clear, rows.ts[places]):
                i = int(rows.row[places[change.row]])
                ts, received = int(record.readings.ts[i]), int(record.readings.received_at[i])
                value = float(record.readings.value[i])
                keyed.append(((2 * i + 1, rule.order), self._change(rule, change, record.lsn, ts, received, value)))
        return keyed

    def _fill(
        self,
        columns: dict[str, NDArray[np.float64]],
        rule: BoundRule,
        rows: Rows,
        places: NDArray[np.int32],
        slots: NDArray[np.int32],
    ) -> None:
        """All columns that the rule's conditions over readings need."""
        if rule.tracks:
            walk = self._walk(rule, rows, places, slots)
            columns["value"] = walk.value
            for track in rule.tracks:
                on = track.instance.on
                if on not in columns:
                    columns[on] = self._column(on, rule, rows, places, slots)
                columns.update(track.compute(walk, columns, rule.until))
        for name in rule.names:
            if name not in columns:
                columns[name] = self._column(name, rule, rows, places, slots)

    def _walk(self, rule: BoundRule, rows: Rows, places: NDArray[np.int32], slots: NDArray[np.int32]) -> Walk:
        ts = rows.ts[places]
        kinds = [track.instance.feature for track in rule.tracks]
        local = self._clock.local_ms(ts) if any(kind.local for kind in kinds) else ts[:0]
        limit = rule.limits(slots) if any(kind.limit for kind in kinds) else rows.value[:0]
        return Walk(slots, ts, local, rows.value[places], rows.prev[places], rows.dt[places], limit)

    def _evaluate_groups(self, record: LogRecord, rows: Rows) -> list[tuple[tuple[int, int], AlarmChange]]:
        keyed = []
        for rule, places, slots, columns in self._grouped.select(rows):
            assert isinstance(rule, BoundGroups)
            self._fill(columns, rule, rows, places, slots)
            hits = rule.tests[0].satisfied(columns, len(places))
            for change in rule.advance(rows, places, slots, hits):
                i = int(rows.row[places[change.row]])
                received = int(record.readings.received_at[i])
                made = self._change(rule, change, record.lsn, change.ts, received, change.value)
                keyed.append(((2 * i + 1, rule.order), made))
        return keyed

    def _column(
        self, name: str, rule: BoundRule, rows: Rows, places: NDArray[np.int32], slots: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """A column without memory, for the rows of one rule."""
        made: Any
        if name in rule.by_slot:
            made = rule.by_slot[name][slots]
        elif name in _STORED:
            made = getattr(rows, _STORED[name])[places]
        elif name == "step":
            made = rows.value[places] - rows.prev[places]
        elif name == "gap_n":
            made = _per_interval(rows.dt[places], rule, slots)
        elif name == "late":
            made = (rows.readings.flags[rows.row[places]] & np.uint8(Flag.LATE)) != 0
        elif name == "age_s":
            made = (rows.readings.received_at[rows.row[places]] - rows.ts[places]) / 1000.0
        elif name == "quality":
            made = rows.readings.quality[rows.row[places]]
        elif features.is_sibling(name):
            made = np.full(len(places), np.nan)
        else:
            made = self._clock.column(name, rows.ts[places])
        return np.asarray(made, np.float64)

    def _change(
        self, rule: BoundRule, change: alarms.Change | Any, lsn: int, ts: int, detected_at: int, value: float
    ) -> AlarmChange:
        registry = self._current()
        point = change.point if isinstance(change, GroupChange) else rule.point_of(change.slot)
        device = registry.devices[registry.point_device[point]]
        quantity = registry.quantities[registry.point_quantity[point]]
        return AlarmChange(
            kind="raised" if change.raised else "cleared",
            alarm_id=alarm_id(rule.spec.id, rule.spec.version, device, quantity, change.onset),
            rule_id=rule.spec.id,
            rule_version=rule.spec.version,
            point=point,
            raised_at=change.onset,
            detected_at=detected_at,
            value=value,
            limit=rule.limit(change.slot),
            level=rule.spec.level,
            lsn=lsn,
            cleared_at=None if change.raised else ts,
        )

    @property
    def _plans(self) -> tuple[Plan, ...]:
        return self._reading, self._every, self._timed, self._grouped

    def _model_state(self) -> dict[str, NDArray[Any]]:
        """State of the judges of groups, by names that tell the rule, group, judge and members."""
        state: dict[str, NDArray[Any]] = {}
        for rule in self._bound:
            if isinstance(rule, BoundGroups):
                state |= rule.model_arrays
        return state

    def _load_models(self, arrays: dict[str, NDArray[Any]]) -> None:
        rules = {rule.spec.id: rule for rule in self._bound if isinstance(rule, BoundGroups)}
        found: dict[tuple[str, int, int, int], dict[str, NDArray[Any]]] = {}
        for path, array in arrays.items():
            _, rule, *numbers, name = path.split("/")
            group, judge, members = (int(number) for number in numbers)
            found.setdefault((rule, group, judge, members), {})[name] = array
        for (rule, group, judge, members), own in found.items():
            rules[rule].load_model(group, judge, members, own)

    def _state(self) -> dict[str, NDArray[Any]]:
        """Every array of state by a stable name."""
        state: dict[str, NDArray[Any]] = {"newest": self._newest, "last": self._last, "counts": self._counts}
        state |= {"silence/point": self._silence.last_point, "silence/device": self._silence.last_device}
        for rule in self._bound:
            state |= rule.arrays
        return state


def _all_rows(readings: Readings) -> Rows:
    """Every row but repeats; without what came before."""
    row = np.flatnonzero((readings.flags & np.uint8(Flag.DUPLICATE)) == 0).astype(np.int32)
    nothing = np.zeros(0)
    return Rows(readings, row, readings.point[row], readings.ts[row], readings.value[row], nothing, nothing)


def _per_interval(seconds: NDArray[np.float64], rule: BoundRule, slots: NDArray[np.int32]) -> NDArray[np.float64]:
    interval = rule.by_slot["interval_s"][slots]
    return np.where(interval > 0, seconds / np.where(interval > 0, interval, 1.0), np.nan)
