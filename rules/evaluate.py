"""The rule machine: log records in, alarm changes out. Pure: clock, registry and disk come as arguments.

The way of a record::

    rows ──► silence (clock rules, at multiples of 10 s) ────────────────────────────────┐
      │                                                                                    │
      ├──► order (fresh rows) ──► features, screens ──► rules that evaluate each ──► alarms ┤──► changes in order
      │                                                                                    │
      └──► every row but repeats ─────────► screens ──► rules that evaluate all ───► alarms ─┘

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

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lifeline.core.alarm import RULE_CHANGED, RULE_GONE
from lifeline.core.batch import Readings
from rules import alarms, evidence
from rules.batch import BATCH_ROWS, RUN_ROWS, Batch
from rules.columns import all_rows, columns_at
from rules.groups import BoundGroups
from rules.kept import Kept
from rules.revision import Verdict
from rules.silence import CLOCK_MS
from rules.thinned import Thinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lifeline.core.alarm import AlarmChange, ChangeKind
    from lifeline.core.batch import LogRecord
    from rules.bound import BoundRule
    from rules.chosen import Chosen
    from rules.memory import Rows
    from rules.own_rows import OwnRows
    from rules.plan import Plan
    from rules.sweep import Hits


class RuleMachine(Kept):
    """Implements ``lifeline.core.ports.RuleEngine``. One thread calls all methods."""

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
            alone = not len(one.readings) or isinstance(one.readings, Thinned)
            if alone or rows > RUN_ROWS or one.received_at >= until:
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
                keyed += self._keyed(self._judge_every(readings, ordered.lsn))
        return [change for _, change in sorted(keyed, key=lambda pair: pair[0])]

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

    def _judge(self, plan: Plan, rows: Rows, *, again: bool = False) -> list[Verdict]:
        """What rules over single readings say of rows; ``again``: they were counted before."""
        found: list[Verdict] = []
        sweep = self._sweeps[plan]
        for rule, hits, known in sweep.play(rows, again=again):
            found += self._ask(rule, hits, self._columns.beside(rule, hits, known), rows.lsn)
        left_over = sweep.left_over()
        laid = plan.lay(rows) if left_over else None
        for rule, chosen, beside in laid.select(left_over) if laid else ():
            rule.evaluated += 0 if again else len(chosen)
            found += self._ask(rule, chosen, self._columns.of(rule, chosen, beside), rows.lsn)
        return sorted(found, key=lambda verdict: verdict.rule.order)

    def _judge_every(self, readings: Readings, lsn: NDArray[np.int64]) -> list[Verdict]:
        """What rules over every row say of readings, as they came."""
        if not self._stirring.knows():
            return self._judge(self._every, all_rows(readings, lsn))
        return [
            verdict
            for rule, rows in self._stirring.rows(readings)
            for verdict in self._ask(rule, rows, self._columns.beside(rule, rows, {}), lsn)
        ]

    def _ask(
        self,
        rule: BoundRule,
        chosen: Chosen | Hits | OwnRows,
        columns: Mapping[str, NDArray[np.float64]],
        lsn: NDArray[np.int64],
    ) -> list[Verdict]:
        """What a rule says of rows, by their columns."""
        raised = rule.raises(columns, len(chosen))
        if rule.state.rests and not raised.any():
            return []  # by far the most: what clears and the alarms' machine need not be asked
        concerned = rule.state.concerned(chosen.slots, raised)
        if not len(concerned):
            return []
        clear = rule.clears(columns_at(columns, concerned), len(concerned))
        slots, ts = chosen.slots[concerned], chosen.column("ts")[concerned]
        found, of = [], chosen.readings
        for change in rule.state.advance(rule.spec, slots, raised[concerned], clear, ts):
            i = chosen.row_at(concerned[change.row])
            at, received, value = int(of.ts[i]), int(of.received_at[i]), float(of.value[i])
            found.append(Verdict(rule, change.slot, change.raised, change.onset, at, received, value, int(lsn[i]), i))
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

    def _evaluate_groups(self, rows: Rows) -> list[tuple[tuple[int, int], AlarmChange]]:
        keyed = []
        laid = self._grouped.lay(rows)
        for rule, chosen, beside in laid.select(range(len(self._grouped.rules))) if laid else ():
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
