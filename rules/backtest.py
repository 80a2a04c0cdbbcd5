"""Rules over history: the same machine, fed with readings from anywhere, and what it raised as a table.

Nothing here judges: alarms come from ``RuleMachine`` alone, so over the same readings they equal the live ones row for
row. Readings must come in the order of receipt; where history has lost it, ``in_log_order`` restores it (ties of one
point by event time).

What needs a normal period learns from rows before ``train_to`` like from any other; only alarms detected from then on
are reported.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np
import orjson
import pyarrow as pa

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.schema import TIME
from rules.evaluate import RuleMachine
from rules.hoard import PIECE_ROWS, ROOM, Hoard
from rules.kernels.order import in_order
from rules.narrowing import Narrowing
from rules.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.override import ParameterSpan
    from lifeline.core.registry import Registry
    from rules.rule_set import RuleSet
    from rules.thinned import Thinning

ALARMS: Final = pa.schema(
    [
        pa.field("rule_id", pa.string(), nullable=False),
        pa.field("rule_version", pa.int32(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("device_id", pa.string(), nullable=False),
        pa.field("quantity", pa.string(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("raised_at", TIME, nullable=False),
        pa.field("cleared_at", TIME),
        pa.field("level", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("detected_at", TIME, nullable=False),
        pa.field("alarm_id", pa.string(), nullable=False),
        pa.field("point", pa.int32(), nullable=False),
        pa.field("evidence", pa.string(), nullable=False),
    ]
)
"""What ``--alarms`` writes (contract, section 7), one row an alarm in the order of raising; ``evidence`` is JSON."""

COARSE_ROWS: Final = 1 << 16
"""What is read in pieces of so many rows is read again for less than it is held for (``rules/hoard.py``)."""

CHATTER_MS: Final = 60_000
CHATTER_ALARMS: Final = 3
"""Chattering: this many activations of one rule at one point within this time (ISA-18.2, domain facts 2.5)."""
DAY_MS: Final = 86_400_000


@dataclass(frozen=True)
class BacktestResult:
    """Alarms (``ALARMS`` schema), figures per rule (contract keys), and the reported period, epoch ms."""

    alarms: pa.Table
    rules: list[dict[str, Any]]
    start_ms: int
    end_ms: int
    counters: dict[str, int]
    learning: dict[str, dict[str, int]]
    """Groups that were never judged, by rule, with the frames seen: the normal period was not over at the end."""

    @property
    def days(self) -> float:
        """Length of the reported period."""
        return max(self.end_ms - self.start_ms, 1) / DAY_MS


@dataclass(frozen=True, slots=True)
class Looked:
    """A history that was looked at: rules are bound where it can make them raise. It serves any number of rule sets."""

    reach: Reach | None
    """None where it can be walked through only once, so that all rules are bound everywhere."""
    batches: Iterable[Readings]


def looked(registry: Registry, batches: Iterable[Readings], room: int = ROOM) -> Looked:
    """Look at a history, in order of receipt; one of up to ``room`` bytes is held, so that it is not read twice."""
    if isinstance(batches, Iterator):
        return Looked(None, batches)
    uncut = batches if isinstance(batches, Uncut) else None
    reach, hoard = Reach(registry), Hoard(room)
    holds = uncut is None or uncut.piece_rows < COARSE_ROWS
    for rows in batches if uncut is None else uncut.uncut():
        reach.look(rows)
        holds = holds and hoard.take(rows)
    if not holds:
        return Looked(reach, batches)
    return Looked(reach, _Held(hoard) if uncut is None else _HeldUncut(hoard))


@runtime_checkable
class Uncut(Protocol):
    """A history whose batches hold whole instants of receipt, and which can tell its rows before it cuts them so."""

    @property
    def piece_rows(self) -> float:
        """Rows of a piece, in the mean."""

    def uncut(self) -> Iterator[Readings]:
        """All rows in order, in pieces of any size."""


@dataclass(frozen=True, slots=True)
class _Held:
    hoard: Hoard

    def __iter__(self) -> Iterator[Readings]:
        return self.hoard.batches(anew=False)


@dataclass(frozen=True, slots=True)
class _HeldUncut:
    hoard: Hoard
    piece_rows: float = PIECE_ROWS

    def __iter__(self) -> Iterator[Readings]:
        return self.hoard.batches(anew=True)

    def uncut(self) -> Iterator[Readings]:
        return self.hoard.pieces()


def run(
    rules: RuleSet,
    registry: Registry,
    batches: Iterable[Readings] | Looked,
    timezone: str = "UTC",
    *,
    train_to: int | None = None,
    end: int | None = None,
    spans: Sequence[ParameterSpan] = (),
) -> BacktestResult:
    """Feed batches of readings in order of receipt (any cut gives the same alarms).

    Args:
        rules: the rules.
        registry: every point of the readings.
        batches: readings in order of receipt. What can be walked through again is looked at first, and judged where
            it can make a rule raise (``rules/narrowing.py``): for the same alarms and figures.
        timezone: the site's clock.
        train_to: epoch ms; alarms detected before it are not reported.
        end: epoch ms of log time at which the run ends; dropouts are judged up to it. Default: the last receipt.
        spans: parameters that held for a while.
    """
    whole = {rule for span in spans for rule in span.params}
    seen = batches if isinstance(batches, Looked) else looked(registry, batches)
    narrowing = Narrowing(seen.reach, whole, end) if seen.reach is not None else None
    machine = RuleMachine(rules, registry, timezone, train_to=train_to, history=True, narrowing=narrowing)
    machine.override(spans)
    changes: list[AlarmChange] = []
    first, last, lsn = None, 0, 0
    for batch in _batches(seen.batches, machine.thinning):
        lsn += 1
        first = int(batch.received_at[0]) if first is None else first
        last = max(last, int(batch.received_at.max()))
        changes += machine.process(LogRecord(lsn, last, batch))
    if end is not None and end > last and first is not None:
        last = end
        changes += machine.process(LogRecord(lsn + 1, end, Readings.empty()))
    start = max(first or 0, train_to or 0)
    everything, cleared = settled(changes)
    raised = [c for c in everything if c.detected_at >= start]
    table = _table(raised, cleared, rules, registry)
    figures = _figures(raised, cleared, machine, max(last - start, 1) / DAY_MS)
    return BacktestResult(table, figures, start, last, machine.counters, machine.learning())


def _batches(batches: Iterable[Readings], thinning: Thinning | None) -> Iterator[Readings]:
    """What of a history must be told, without empty batches."""
    if thinning is not None and isinstance(batches, Uncut):
        return thinning.batches(batches.uncut())
    some = (batch for batch in batches if len(batch))
    return some if thinning is None else map(thinning.of, some)


def settled(changes: Iterable[AlarmChange]) -> tuple[list[AlarmChange], dict[str, int]]:
    """What stays of changes once late readings have corrected them.

    Returns the raisings, in order of detection, and the end of each alarm that has one (epoch ms) by id.
    """
    up: dict[str, AlarmChange] = {}
    down: dict[str, int] = {}
    for change in changes:
        if change.kind == "raised":
            up[change.alarm_id] = change
        elif change.kind == "cleared" and change.cleared_at is not None:
            down[change.alarm_id] = change.cleared_at
        else:
            down.pop(change.alarm_id, None)
            if change.kind == "withdrawn":
                up.pop(change.alarm_id, None)
    return sorted(up.values(), key=lambda change: change.detected_at), down


def in_log_order(readings: Readings) -> Readings:
    """Readings of a lake or a file in the order of receipt; equal times of receipt by point, event time and seq."""
    if in_order(readings.received_at, readings.point, readings.ts, readings.seq):
        return readings  # a lake that was not merged yet: files follow one another, each in this order
    return readings.take(_order(readings))


def _order(of: Readings) -> NDArray[np.intp]:
    """Where each row of the order is.

    One sort of one number, time of receipt and point, where both fit in 63 bits; only what was received of one point at
    once must then be looked at. A sort by four columns takes four times as long.
    """
    if not len(of):
        return np.zeros(0, np.intp)
    first, bits = int(of.received_at.min()), int(of.point.max()).bit_length()
    if (int(of.received_at.max()) - first).bit_length() + bits > 63:
        return np.lexsort((of.seq, of.ts, of.point, of.received_at))
    key = (of.received_at - first) << bits | of.point
    order = np.argsort(key, kind="stable")
    key = key[order]
    pairs = np.flatnonzero(key[1:] == key[:-1])
    a, b = order[pairs], order[pairs + 1]
    if ((of.ts[a] > of.ts[b]) | ((of.ts[a] == of.ts[b]) & (of.seq[a] > of.seq[b]))).any():
        places = np.union1d(pairs, pairs + 1)
        rows = order[places]
        order[places] = rows[np.lexsort((of.seq[rows], of.ts[rows], key[places]))]
    return order


def _table(raised: list[AlarmChange], cleared: dict[str, int], rules: RuleSet, registry: Registry) -> pa.Table:
    category = {rule.id: rule.category for rule in rules.rules}
    groups = registry.rows([c.point for c in raised], ["group"])["group"].to_pylist()
    rows = [
        {
            "rule_id": c.rule_id,
            "rule_version": c.rule_version,
            "category": category[c.rule_id],
            "device_id": registry.device_of(c.point),
            "quantity": registry.quantities[registry.point_quantity[c.point]],
            "group": group,
            "raised_at": c.raised_at,
            "cleared_at": cleared.get(c.alarm_id),
            "level": c.level,
            "value": c.value,
            "detected_at": c.detected_at,
            "alarm_id": c.alarm_id,
            "point": c.point,
            "evidence": _evidence(c.detail),
        }
        for c, group in zip(raised, groups, strict=True)
    ]
    columns = [_column([row[f.name] for row in rows], f.type) for f in ALARMS]
    return pa.Table.from_arrays(columns, schema=ALARMS)


def _evidence(detail: str) -> str:
    """What an alarm tells of its reasons (``rules.evidence``); a backtest knows no log positions."""
    told = orjson.loads(detail)
    for one in (told, *told.get("others", ())):
        one["readings"] = [[None, ts, value] for _, ts, value in one["readings"]]
    return orjson.dumps(told).decode()


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).cast(kind) if kind == TIME else pa.array(values, kind)


def _figures(
    raised: list[AlarmChange], cleared: dict[str, int], machine: RuleMachine, days: float
) -> list[dict[str, Any]]:
    up = Counter(c.rule_id for c in raised)
    down = Counter(c.rule_id for c in raised if c.alarm_id in cleared)
    times: dict[str, list[int]] = defaultdict(list)
    for c in raised:
        times[c.rule_id].append(c.raised_at)
    chatter = _chattering(raised)
    return [
        {
            "id": rule.id,
            "version": rule.version,
            "readings": machine.evaluated[rule.id],
            "raised": up[rule.id],
            "cleared": down[rule.id],
            "points": machine.points[rule.id],
            "first": _iso(min(times[rule.id])) if times[rule.id] else None,
            "last": _iso(max(times[rule.id])) if times[rule.id] else None,
            "alarms_per_day": up[rule.id] / days,
            "chattering": chatter[rule.id],
        }
        for rule in machine.rules.rules
    ]


def _chattering(raised: list[AlarmChange]) -> Counter[str]:
    """Alarms that are the third or later of their rule and point within a minute, by rule."""
    recent: dict[tuple[str, int], list[int]] = defaultdict(list)
    found: Counter[str] = Counter()
    for change in raised:
        times = recent[change.rule_id, change.point]
        times[:] = [t for t in times if change.raised_at - t < CHATTER_MS]
        times.append(change.raised_at)
        found[change.rule_id] += len(times) >= CHATTER_ALARMS
    return found


def _iso(ms: int) -> str:
    return str(np.datetime64(ms, "ms")) + "Z"
