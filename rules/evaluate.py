"""The rule machine: log records in, alarm changes out. Pure: clock, registry and disk come as arguments.

The way of a record::

    rows ──► silence (clock rules, at multiples of 10 s) ───────────────────────────────┐
      │                                                                                   │
      ├──► order (fresh rows) ──► features ──► rules that evaluate each reading ──► alarms ┤──► changes in order
      │                                                                                   │
      └──► every row but repeats ───────────► rules that evaluate every row ─────► alarms ─┘

*Fresh* rows are usable (no repeat, quality not bad, not null) and later in event time than all before of their point.
An older one sends its point back to a checkpoint: its readings since then are judged again in the order of event time,
and what that changes is said (``rules/revision.py``; rules over groups see fresh rows only, those of one instant of
receipt by event time: ``rules/instants.py``). What comes too late for that is counted (``counters["too_late"]``).
Rules with ``evaluate = "every"`` see all rows as they come, bad ones too.

Changes come in the order of the rows that completed them; at one row: clock rules first, then rules by id. Cutting the
same rows into records anywhere gives the same alarms, and where no row is late the same changes. Records that wait are
judged together (``rules/batch.py``).
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.core.alarm import RULE_CHANGED, RULE_GONE
from lifeline.core.batch import Readings
from lifeline.core.registry import Registry, RegistrySource
from rules import alarms, evidence, features, snapshot
from rules.batch import BATCH_ROWS, PIECE_ROWS_HISTORY, RUN_ROWS, Batch
from rules.census import Census
from rules.columns import Columns, all_rows, columns_at
from rules.groups import BoundGroups
from rules.instants import Instants
from rules.journal import COUNTERS, WITHIN_MS, Journal
from rules.kernels.journal import JOURNALLED, ORDERED, UNWATCHED
from rules.localtime import LocalClock
from rules.narrow import Narrow
from rules.overrides import Insides, Overlay
from rules.plan import BoundRule, Plan
from rules.revision import ALARM, POINTS, Checkpoint, Past, Verdict
from rules.rule_set import digest
from rules.silence import CLOCK_MS, Silence
from rules.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from lifeline.core.alarm import AlarmChange, ChangeKind, RuleInfo
    from lifeline.core.batch import LogRecord
    from lifeline.core.override import ParameterSpan
    from rules.memory import Rows, Track
    from rules.rule_set import RuleSet
    from rules.spec import RuleSpec


class RuleMachine:
    """Implements ``lifeline.core.ports.RuleEngine``. One thread calls all methods."""

    def __init__(
        self,
        rules: RuleSet,
        registry: Registry | RegistrySource,
        timezone: str,
        *,
        train_to: int | None = None,
        within: int | None = None,
        history: bool = False,
    ) -> None:
        """``within``: how many readings late a reading may be (``rules.journal``); default: two of every point.

        ``history``: nobody goes on from this machine's checkpoints, so that fewer are kept. It says the same.
        """
        self.rules = rules
        self._within, self._history = within, history
        self._piece_rows = PIECE_ROWS_HISTORY if history else BATCH_ROWS
        self._until = math.inf if train_to is None else float(train_to)
        self.timezone = timezone
        self._train_to = train_to
        self._source = registry
        self._clock = LocalClock(timezone, {name: one for rule in rules.rules for name, one in rule.calendars})
        self._columns = Columns(self._clock)
        self._spans: tuple[ParameterSpan, ...] = ()
        self._inside = Insides(self._current)
        self._reset()

    def _reset(self) -> None:
        """As if nothing was ever seen."""
        bound = [self._bind(spec, k) for k, spec in enumerate(self.rules.rules)]
        for rule in bound:
            rule.clock = self._clock
            rule.until = self._until if rule.spec.learn == "training" else math.inf
        self._bound = bound
        self._reading = Plan([r for r in bound if r.spec.evaluate == "reading"])
        self._every = Plan([r for r in bound if r.spec.evaluate == "every"])
        self._timed = Plan([r for r in bound if r.spec.evaluate == "clock"], selects=False)
        self._grouped = Plan([r for r in bound if r.spec.evaluate == "group"], placed=True)
        self._silence = Silence(self._timed.rules, self._clock)
        self._journal = Journal(self._within, seldom=self._history)
        self._instants = Instants()
        self._acked: dict[tuple[int, int], int] = {}
        self._lsn, self._at = 0, 0
        self._touched = False
        self._past = Past(Checkpoint(0, {}, self._header()), Checkpoint(0, {}, self._header()))
        self._grow(self._current())
        self.override(self._spans)

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
        return self.process_all([record])

    def process_all(self, records: Sequence[LogRecord]) -> list[AlarmChange]:
        """The same changes as record by record, for less: small records that wait are judged together."""
        changes: list[AlarmChange] = []
        batch = Batch()
        at = 0
        while at < len(records):
            self._touched = True
            taken, dirty = self._take_run(batch, records, at)
            if not taken:
                taken, dirty = 1, self._take_one(batch, records[at])
            at += taken
            last, newer = records[at - 1], self._past.newer
            self._lsn, self._at = last.lsn, max(self._at, last.received_at)
            due = self._journal.next - newer.at >= self._journal.apart or last.received_at >= self._mark_by
            if due or len(dirty) or batch.rows >= BATCH_ROWS or at == len(records):
                changes += self._judge_batch(batch, dirty)
                batch = Batch()
            if due:
                self._mark()
        return changes

    def _take_one(self, batch: Batch, record: LogRecord) -> NDArray[np.int32] | tuple[()]:
        """Take in a record; returns the units that must be judged again."""
        self._follow_registry(record.readings)
        if self._timed.rules:
            told = self._silence.process(record)
            batch.said += [
                ((2 * (batch.rows + c.row), 0), self._change(c.rule, c, record.lsn, c.instant, c.instant, c.value))
                for c in told
            ]
        if not len(record.readings):
            return ()
        self._at = max(self._at, int(record.readings.received_at.max()))
        return batch.take([record], record.readings, self._journal, self._instants, 0).dirty

    def _take_run(
        self, batch: Batch, records: Sequence[LogRecord], at: int
    ) -> tuple[int, NDArray[np.int32] | tuple[()]]:
        """Take in small records that wait from ``at`` on as if one by one; how many: 0 when that one needs more."""
        run, rows = [], 0
        until = self._mark_by
        if self._timed.rules:
            until = min(until, self._silence.instant + CLOCK_MS)
        for k in range(at, len(records)):
            one = records[k]
            rows += len(one.readings)
            if not len(one.readings) or rows > RUN_ROWS or one.received_at >= until:
                break
            run.append(one)
        if len(run) < 2:
            return 0, ()
        readings = Readings.concat([one.readings for one in run])
        if self._timed.rules and not self._silence.calm(readings, run[-1].received_at):
            return 0, ()
        self._follow_registry(readings)
        stop_at = self._past.newer.at + self._journal.apart
        admitted = batch.take(run, readings, self._journal, self._instants, stop_at)
        if self._timed.rules:
            self._silence.hear(admitted.readings, run[admitted.taken - 1])
        self._at = max(self._at, int(admitted.readings.received_at.max()))
        return admitted.taken, admitted.dirty

    def _judge_batch(self, batch: Batch, dirty: NDArray[np.int32] | tuple[()]) -> list[AlarmChange]:
        """What all rules say of records that were taken in; units are judged again after the last of them only."""
        keyed = batch.said
        if batch.rows:
            readings, ordered, fresh, compared = batch.joined()
            found = self._judge(self._reading, fresh)
            self._past.say(found, self._journal.next)
            keyed += self._keyed(found)
            if len(dirty):
                keyed += self._revise(np.asarray(dirty), batch.rows)
            keyed += self._evaluate_groups(compared)
            if self._every.rules:
                keyed += self._keyed(self._judge(self._every, all_rows(readings, ordered.lsn)))
        return [change for _, change in sorted(keyed, key=lambda pair: pair[0])]

    def override(self, spans: Sequence[ParameterSpan]) -> None:
        """All parameters that hold for a while, in place of those given before; a later one wins over an earlier.

        For replay and backtest to agree, nothing may change about what was received up to ``log_time``.
        """
        self._spans = tuple(spans)
        for rule in self._bound:
            rule.overlay(Overlay(rule.spec, self._spans, self._inside))

    @property
    def log_time(self) -> int:
        """Everything that was received up to here (epoch ms) has been judged."""
        return self._at

    @property
    def latching(self) -> tuple[str, ...]:
        """Ids of rules whose alarms stand until they are acknowledged."""
        return tuple(rule.id for rule in self.rules.rules if rule.latch)

    def acknowledge(self, rule_id: str, point: int, onset: int, now_ms: int, lsn: int = 0) -> AlarmChange | None:
        """An operator acknowledged an alarm; the change when it was latched and is cleared by that.

        Needed for latching rules only. It never decides whether an alarm is *raised*: a latched alarm hides no new
        one, so what was raised is reproducible from the log alone.
        """
        for rule in self._bound:
            slot = rule.slot_of(point, onset) if rule.spec.id == rule_id else None
            if slot is not None:
                self._acked[rule.order, slot] = onset
                if rule.state.acknowledge(slot, onset):
                    change = alarms.Change(0, slot, raised=False, onset=onset)
                    return self._change(rule, change, lsn, now_ms, now_ms, float("nan"))
                return None
        return None

    def snapshot(self) -> memoryview:
        """The whole state now, a copy. To a machine that takes it back, readings older than those seen are too late."""
        header = self._header() | {"lsn": 0, "at": 0}
        whole = {name: track.state for name, track in self._turning()}
        known = {name: array for name, array in self._state().items() if name not in self._derived()}
        return snapshot.pack(header, self._points() | known | self._alarms() | self._model_state() | whole)

    def take_over(self, old: RuleMachine) -> tuple[int, list[AlarmChange]]:
        """Go on where another machine is, with other rules over the same log and registry.

        Returns the log record after which to go on (the other one's checkpoint: what follows is judged again, so that
        new rules know the recent past), and the ends of alarms whose rules are gone or changed.

        Raises:
            ValueError: as ``restore``.
        """
        lsn, state = old.checkpoint()
        self.restore(state)
        self.override(old._spans)
        kept = {rule.id for rule in self.rules.rules} - {rule.id for rule in self.rules.new_in(old.rules)}
        ended, known = [], {rule.id for rule in self.rules.rules}
        for rule in old._bound:
            if rule.spec.id not in kept:
                for slot in rule.state.up.tolist():
                    change = alarms.Change(0, slot, raised=False, onset=rule.state.onset_of(slot))
                    end = old._change(rule, change, old._lsn, old._at, old._at, float("nan"))
                    ended.append(replace(end, reason=RULE_CHANGED if rule.spec.id in known else RULE_GONE))
        return lsn, ended

    @property
    def checkpoint_lsn(self) -> int:
        """The log record after which ``checkpoint`` is."""
        return int(self._past.older.header["lsn"])

    def checkpoint(self) -> tuple[int, memoryview]:
        """(lsn, state after that record): replaying what follows it in the log gives this machine, to the bit.

        It is the older of two checkpoints, so the replay is up to twice ``late_within`` readings long.
        """
        lsn, lent = self.lend_checkpoint()
        with lent as parts:
            return lsn, memoryview(b"".join(parts))

    def lend_checkpoint(self) -> tuple[int, AbstractContextManager[list[bytes | memoryview]]]:
        """``checkpoint`` in parts, for another thread to read where it is, while this one goes on with other memory."""
        older = self._past.older
        whole = {name: track.before(older.arrays[name]) for name, track in self._turning()}
        derived = self._derived()
        known = {name: array for name, array in older.arrays.items() if name not in derived}
        known |= {  # these alone are grown in place
            name: Sparse(len(array), array.at, array.values)
            for name, array in known.items()
            if isinstance(array, Sparse)
        }
        header, points, reader = older.header, self._points(), object()
        older.readers.add(reader)

        @contextmanager
        def lent() -> Iterator[list[bytes | memoryview]]:
            try:
                plain = {n: array.array() if isinstance(array, Narrow) else array for n, array in known.items()}
                yield snapshot.parts(header, points | plain | whole)
            finally:
                older.readers.discard(reader)

        return int(header["lsn"]), lent()

    def _header(self) -> dict[str, Any]:
        silence = self._silence
        return {
            "rules": {rule.id: digest(rule.meaning) for rule in self.rules.rules},
            "timezone": self.timezone,
            "lsn": self._lsn,
            "at": self._at,
            "instant": silence.instant,
            "now": silence.now,
        }

    def restore(self, state: bytes | memoryview) -> None:
        """Take a state back; points that came since are as if never seen, and so are rules that are new or changed.

        Raises:
            ValueError: the state is damaged, or was made in another time zone or with another registry.
        """
        header, found = snapshot.unpack(state)
        for name in self._derived():
            found.pop(name, None)
        if header["timezone"] != self.timezone:
            raise ValueError(f"the snapshot was made in another time zone ({header['timezone']}, now {self.timezone})")
        kept = self._kept(header, found)
        arrays: dict[str, Any] = {name: array for name, array in found.items() if _rule_of(name) in {None, *kept}}
        models = {name: arrays.pop(name) for name in list(arrays) if name.startswith("model/")}
        whole = {name: track.state for name, track in self._turning()}
        mine = self._points() | self._state() | self._alarms() | whole
        derived = self._derived()
        own = {n: array for n, array in mine.items() if _rule_of(n) in {None, *kept} and n not in derived}
        if set(own) != set(arrays) or not all(_fits(arrays[k], own[k]) for k in own):
            raise ValueError("the snapshot was made with another registry")
        if any(not np.array_equal(own[k][: len(arrays[k])], arrays[k]) for k in own if k.startswith(POINTS)):
            raise ValueError("the snapshot was made with another registry: rules now look at other points")
        if self._touched:  # a new machine is as it should be: binding the rules to the points takes seconds
            self._reset()
        self._touched = True
        self._put(arrays, kept)
        for plan in self._plans:
            plan.recall(self._current(), kept, self._journal.newest, self._journal.last)
        self._load_models(models)
        self._silence.instant, self._silence.now = header["instant"], header["now"]
        self._lsn, self._at = header["lsn"], header["at"]
        for one in (self._past.older, self._past.newer):
            one.arrays.clear()
            one.take(self._state() | self._alarms() | self._model_state())
            one.header = self._header()
        for _, track in self._turning():
            track.turns.clear()
        self._look_back_to(self._past.older)

    def _kept(self, header: dict[str, Any], found: dict[str, Any]) -> set[str]:
        """Ids of the rules that are as they were, whose features' state is brought to the form that is held here."""
        kept = {rule.id for rule in self.rules.rules if header["rules"].get(rule.id) == digest(rule.meaning)}
        for rule in self._bound:
            if rule.spec.id in kept:
                rule.fit(found)
        return kept

    def _put(self, arrays: dict[str, Any], kept: set[str]) -> None:
        """Write arrays of a snapshot over the state of a machine that is as new."""
        fresh = self._state() | {name: track.state for name, track in self._turning()}
        for name, array in arrays.items():
            if not name.startswith((ALARM, POINTS)):
                fresh[name][: len(array)] = array
        for rule in self._bound:
            if rule.spec.id in kept:
                rule.state.load(rule.alarms_of(arrays))

    @property
    def counters(self) -> dict[str, int]:
        """Rows that were not evaluated as they came.

        ``repeats``, ``bad`` quality, ``null``, ``stale`` (same time as one before), ``placed`` (late, and judged in
        their place) and ``too_late`` (beyond the bound: judged by rules over every row only; where it is the newest of
        its own point and late only beside others of its device, as it comes).
        """
        return {name: int(n) for name, n in zip(COUNTERS, self._journal.counts, strict=True)}

    @property
    def late_within(self) -> int:
        """The declared bound: how many readings of all points may come between a reading's place and itself."""
        return self._journal.within

    @property
    def active(self) -> dict[str, int]:
        """How many alarms are up, by rule."""
        return {rule.spec.id: len(rule.state.up) for rule in self._bound}

    @property
    def points(self) -> dict[str, int]:
        """How many points each rule looks at; 0 is worth a warning."""
        return {rule.spec.id: len(rule.points) for rule in self._bound}

    def learning(self) -> dict[str, dict[str, int]]:
        """Groups that are not judged yet, by rule, with the frames seen: their normal period is not over."""
        groups = {rule.spec.id: rule.learning() for rule in self._bound if isinstance(rule, BoundGroups)}
        return {rule: found for rule, found in groups.items() if found}

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
        return sum(self.memory.values())

    @property
    def memory(self) -> dict[str, int]:
        """The same by what holds it."""
        points = {id(rule.points): rule.points.nbytes for rule in self._bound}
        return {
            "checkpoints": self._past.nbytes,
            "journal": self._journal.nbytes + self._instants.nbytes,
            "features": sum(track.nbytes for rule in self._bound for track in rule.tracks),
            "alarms": sum(rule.state.nbytes for rule in self._bound),
            "plans": sum(plan.nbytes for plan in self._plans) + sum(points.values()),
            "silence": self._silence.nbytes,
        }

    def _current(self) -> Registry:
        return self._source if isinstance(self._source, Registry) else self._source.current()

    # --- registry ----------------------------------------------------------------------------------------------

    def _follow_registry(self, rows: Readings) -> None:
        registry = self._current()
        known = len(self._journal.newest)
        if len(registry) > known:
            self._grow(registry)
        if len(rows) and int(rows.point.max()) >= len(registry):
            raise AssertionError(f"point {int(rows.point.max())} is not in the registry of {len(registry)} points")

    def _grow(self, registry: Registry) -> None:
        start, more = len(self._journal.newest), len(registry) - len(self._journal.newest)
        if more or not start:
            census = Census(registry, start)
            for plan in self._plans:
                plan.grow(registry, census, self._journal.newest, self._journal.last)
        same: dict[bytes, NDArray[np.int32]] = {}
        for rule in self._bound:  # many rules look at the same points
            rule.points = same.setdefault(rule.points.tobytes(), rule.points)
        compared = self._grouped.watched(registry)
        self._instants.grow(compared)
        wanted = np.where(compared, ORDERED, UNWATCHED)
        wanted = np.where(self._reading.watched(registry), JOURNALLED, wanted).astype(np.uint8)
        self._journal.grow(wanted, self._reading.units(registry))
        self._silence.grow(registry)
        state = self._state() | self._alarms()
        for one in (self._past.older, self._past.newer):
            one.grow(state)
        self._look_back_to(self._past.older)

    # --- evaluation --------------------------------------------------------------------------------------------

    def _judge(self, plan: Plan, rows: Rows, *, again: bool = False) -> list[Verdict]:
        """What rules over single readings say of rows; ``again``: they were counted before."""
        pieces = rows.pieces(self._piece_rows)
        return [verdict for piece in pieces for verdict in self._judge_piece(plan, piece, again=again)]

    def _judge_piece(self, plan: Plan, rows: Rows, *, again: bool) -> list[Verdict]:
        found = []
        of = rows.readings
        for rule, chosen, beside in plan.select(rows):
            columns = self._columns.of(rule, chosen, beside)
            raised = rule.raises(columns, len(chosen))
            rule.evaluated += 0 if again else len(chosen)
            if rule.state.rests and not raised.any():
                continue  # by far the most: what clears and the alarms' machine need not be asked
            concerned = rule.state.concerned(chosen.slots, raised)
            if not len(concerned):
                continue
            clear = rule.clears(columns_at(columns, concerned), len(concerned))
            slots, ts = chosen.slots[concerned], chosen.column("ts")[concerned]
            for change in rule.state.advance(rule.spec, slots, raised[concerned], clear, ts):
                i = int(chosen.row[concerned[change.row]])
                at, received, value = int(of.ts[i]), int(of.received_at[i]), float(of.value[i])
                lsn = int(rows.lsn[i])
                found.append(Verdict(rule, change.slot, change.raised, change.onset, at, received, value, lsn, i))
        return found

    def _keyed(self, verdicts: Iterable[Verdict]) -> list[tuple[tuple[int, int], AlarmChange]]:
        return [
            ((2 * v.row + 1, v.rule.order), self._change(v.rule, v, v.lsn, v.ts, v.received, v.value)) for v in verdicts
        ]

    def _revise(self, dirty: NDArray[np.int32], rows: int) -> list[tuple[tuple[int, int], AlarmChange]]:
        """Judge units again from the older checkpoint; the changes come after those of the record's ``rows``."""
        journal, before = self._journal, self._past.older.arrays
        points = journal.points_of(dirty)
        for name in ("newest", "last"):
            getattr(journal, name)[points] = before[name][points]
        keys: list[tuple[int, int]] = []
        for rule, arrays, slots in self._reading.states_of(points):
            for name, array in arrays.items():
                array[slots] = before[name][slots]
            if rule is not None:
                rule.state.put(slots, rule.alarms_of(before))
                rule.rewind(slots)
                keys += [(rule.order, int(slot)) for slot in slots]
        past = journal.collect(dirty)
        # what lies before the newer checkpoint becomes part of it: later ones start from there
        newer = self._past.newer
        settled = past.ts <= journal.newest_by_unit(newer.arrays["newest"], past.point)
        with self._before_newer():
            early = self._judge(self._reading, past.take(settled), again=True)
        self._settle(points, past.take(settled))
        late = self._judge(self._reading, past.take(~settled), again=True)
        late += self._acknowledge_again(keys, past)
        said = [(newer.at, verdict) for verdict in early] + [(journal.next, verdict) for verdict in late]
        return [
            ((2 * rows + 1, v.rule.order), self._change(v.rule, v, v.lsn, v.ts, v.received, v.value, kind))
            for kind, v in self._past.replace(dict.fromkeys(keys), said)
        ]

    def _settle(self, points: NDArray[np.int32], rows: Rows) -> None:
        """Put the state of some points into the newer checkpoint: it is what these rows have made of it."""
        arrays = self._past.newer.arrays
        for rule, own, slots in self._reading.states_of(points):
            for name, array in own.items():
                arrays[name][slots] = array[slots]
            if rule is not None:
                for column, values in rule.state.at(slots).items():
                    arrays[f"{rule.alarms}{column}"][slots] = values
        for name in ("newest", "last"):
            arrays[name][points] = self._past.older.arrays[name][points]
        arrays["newest"][rows.point] = rows.ts  # rows are in the order of time: the last of a point stays
        arrays["last"][rows.point] = rows.value

    def _acknowledge_again(self, keys: list[tuple[int, int]], past: Rows) -> list[Verdict]:
        """What was acknowledged since the checkpoint stays so."""
        found = []
        for key in keys:
            onset = self._acked.get(key)
            if onset is not None and (rule := self._bound[key[0]]).state.acknowledge(key[1], onset):
                ts, received, lsn = int(past.ts[-1]), int(past.readings.received_at.max()), int(past.lsn.max())
                found.append(Verdict(rule, key[1], False, onset, ts, received, float("nan"), lsn, 0))  # noqa: FBT003
        return found

    def _look_back_to(self, older: Checkpoint) -> None:
        self._journal.look_back_to(older.at, older.arrays["newest"])

    @property
    def _mark_by(self) -> float:
        """Log time (epoch ms) by which the next checkpoint is due: it bounds what a restart replays."""
        return math.inf if self._history else self._past.newer.header["at"] + WITHIN_MS

    def _mark(self) -> None:
        """Keep the state: the newer checkpoint becomes the one that late readings go back to."""
        at = self._journal.next
        self._past.mark(at, self._state() | self._alarms() | self._model_state(), self._header())
        for _, track in self._turning():
            track.turns.mark()
        self._look_back_to(self._past.older)
        self._acked = {key: onset for key, onset in self._acked.items() if key in self._past.said}

    def _evaluate_groups(self, rows: Rows) -> list[tuple[tuple[int, int], AlarmChange]]:
        keyed = []
        for rule, chosen, beside in self._grouped.select(rows):
            assert isinstance(rule, BoundGroups)
            columns = self._columns.of(rule, chosen, beside)
            hits = rule.tests[0].satisfied(columns, len(chosen))
            made_of = rule.advance(chosen, hits)
            heard = np.maximum.accumulate(chosen.row) if made_of else chosen.row
            for change in made_of:
                i = int(heard[change.row])  # the last row that was heard by then
                received = int(rows.readings.received_at[i])
                made = self._change(rule, change, int(rows.lsn[i]), change.ts, received, change.value)
                keyed.append(((2 * i + 1, rule.order), made))
        return keyed

    def _change(
        self, rule: BoundRule, change: Any, lsn: int, ts: int, at: int, value: float, kind: ChangeKind | None = None
    ) -> AlarmChange:
        return evidence.change_of(self._current(), self._journal, rule, change, lsn, ts, at, value, kind)

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
        """What readings change with each, by a stable name: alarms and what changes seldom (``turns``) are apart."""
        journal = self._journal
        state: dict[str, NDArray[Any]] = {"newest": journal.newest, "last": journal.last, "counts": journal.counts}
        state |= {"silence/point": self._silence.last_point, "silence/device": self._silence.last_device}
        state["silence/gateway"], state["silence/deaf"] = self._silence.last_gateway, self._silence.deafness.state
        for rule in self._bound:
            state |= rule.arrays
        return state

    def _alarms(self) -> dict[str, Sparse]:
        """A copy of every alarm state by a stable name."""
        return {name: column for rule in self._bound for name, column in rule.alarm_arrays.items()}

    def _derived(self) -> frozenset[str]:
        """State that other state tells, so that no snapshot holds it (older ones do)."""
        told = (r for r in self._bound if r.spec.evaluate != "every")
        shared = {f"{name}+prior" for rule in self._bound for name in rule.sharing}
        return frozenset(shared.union({"newest_unit"}, *(rule.sibling_arrays for rule in told)))

    def _points(self) -> dict[str, NDArray[np.int32]]:
        """Which points each rule looks at: it never changes but by growing."""
        return {f"{POINTS}{rule.spec.id}": rule.points for rule in self._bound}

    def _turning(self) -> list[tuple[str, Track]]:
        """Features of which a part changes seldom, by the names of their state."""
        return [(name, track) for rule in self._bound for name, track in rule.turning.items()]

    @contextmanager
    def _before_newer(self) -> Iterator[None]:
        """What is judged within is part of the newer checkpoint."""
        for _, track in self._turning():
            track.turns.since = 0
        yield
        for _, track in self._turning():
            track.turns.since = 1


_GLOBAL: Final = frozenset({"newest", "last", "counts"})


def _fits(array: Any, own: Any) -> bool:
    """Whether an array of a snapshot can be the beginning of one's own."""
    shapes = [one.shape[1:] if isinstance(one, np.ndarray) else () for one in (array, own)]
    return len(array) <= len(own) and shapes[0] == shapes[1]


def _rule_of(name: str) -> str | None:
    """The rule whose state an array is, None for what all rules share."""
    return None if name in _GLOBAL or name.startswith("silence/") else name.split("/")[1]
