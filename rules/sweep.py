"""Rules over single readings in one compiled pass: what ``kernels/sweep.py`` is told, and the hits that it finds.

A rule takes part when every column that its features and the screened part of ``raise`` ask for can be made there,
which is so for all of the standard library. Others go rule by rule over whole columns (``rules/columns.py``); that way
is the naive twin as well, and both say the same to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules.kernels import order
from rules.kernels import sweep as kernel
from rules.script import Script, script_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from rules.conditions import Test
    from rules.localtime import LocalClock
    from rules.memory import Rows, Track
    from rules.plan import BoundRule, Laid

HITS_MIN: Final = 1 << 14
"""Room for hits: a block that thirty rules look at needs as much."""


class Hits:
    """Rows that one rule must be asked about, with what is known of them: used as ``Chosen`` is."""

    def __init__(self, rows: Rows, at: NDArray[np.int32], slots: NDArray[np.int32]) -> None:
        self.readings: Readings = rows.readings
        self.slots = slots
        self._rows, self._at = rows, at
        self._made: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._at)

    def column(self, name: str) -> NDArray[Any]:
        """A column of the rows."""
        return self.once(name, lambda: order.taken(getattr(self._rows, name), self._at))

    def once(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """What ``make`` gives the first time it is asked for by this name."""
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = make()
        return made

    @property
    def row(self) -> NDArray[np.int32]:
        """The index of each row in ``readings``."""
        return self.column("row")

    def row_at(self, place: int) -> int:
        """The same of one row."""
        return int(self._rows.row[self._at[place]])

    @property
    def received_at(self) -> NDArray[np.int64]:
        """When each row was received."""
        return self.once("received_at", lambda: order.taken(self.readings.received_at, self.row))


class Hit(NamedTuple):
    """A rule, the rows that it must be asked about, and of these the columns that only the kernel knew."""

    rule: BoundRule
    rows: Hits
    known: dict[str, NDArray[np.float64]]


class Sweep:
    """Plays the scripts of rules. One thread at a time."""

    def __init__(self, clock: LocalClock) -> None:
        self._clock = clock
        self._room = _Room.new()
        self._scripts: dict[int, tuple[BoundRule, Test, Script | None]] = {}
        """By the number of the rule in the whole set."""

    def _script(self, rule: BoundRule) -> Script | None:
        """That of a rule; None for one that must go over whole columns: so must one of which a parameter differs now."""
        if rule.overlaid:
            return None
        known = self._scripts.get(rule.order)
        if known is None or known[0] is not rule or known[1] is not rule.tests[0]:
            known = self._scripts[rule.order] = rule, rule.tests[0], script_of(rule)
        return known[2]

    def takes(self, rule: BoundRule) -> bool:
        """Whether a rule takes part."""
        return self._script(rule) is not None

    def play(self, rows: Rows, laid: Laid, *, again: bool) -> Iterator[Hit]:
        """Move the features of all rules that take part, and tell what hits there are: those of a point in order.

        ``again``: the rows were counted before. The hits must be taken all.
        """
        program = _Program(self._script, laid, self._room)
        if not program.scripts:
            return
        if not again:
            program.count()
        local, offset = self._local(rows, program)
        while True:
            found = program.run(rows, local, offset)
            yield from program.hits(rows, found)
            if program.over:
                break
        program.finish()

    def _local(self, rows: Rows, program: _Program) -> tuple[NDArray[np.int64], int]:
        """The wall clock of the rows: a column, or what it is ahead by."""
        nothing = np.zeros(0, np.int64)
        if not any(script.rule.wants_local for script in program.scripts):
            return nothing, 0
        offset = self._clock.offset_ms(rows.ts)
        return (self._clock.local_ms(rows.ts), 0) if offset is None else (nothing, offset)


class _Room(NamedTuple):
    """Where the kernel works; nothing in it means anything between two calls."""

    columns: NDArray[np.float64]
    numbers: NDArray[np.float64]
    flags: NDArray[np.uint8]
    block_int: NDArray[np.int32]
    block_time: NDArray[np.int64]
    walk_int: NDArray[np.int32]
    walk_time: NDArray[np.int64]
    walks: NDArray[np.float64]
    made: NDArray[np.float64]

    @classmethod
    def new(cls) -> _Room:
        block, walks = kernel.BLOCK, kernel.WALKS
        return cls(
            np.zeros((kernel.REGISTERS, block)),
            np.zeros((kernel.NUMBERS, block)),
            np.zeros((kernel.FLAGS, block), np.uint8),
            np.zeros((2, block), np.int32),
            np.zeros((2, block), np.int64),
            np.zeros((walks, 2, block), np.int32),
            np.zeros((walks, 2, block), np.int64),
            np.zeros((walks, 4, block)),
            np.zeros((kernel.OUTS_MAX, block)),
        )


class _Program:
    """The scripts of the rules that look at some rows, one after another, and what the kernel writes of them."""

    def __init__(
        self, script: Callable[[BoundRule], Script | None], laid: Laid, room: _Room
    ) -> None:
        self._laid, self._room = laid, room
        self.scripts: list[Script] = []
        self._of_sets: list[tuple[int, int]] = []
        self._numbers: list[int] = []
        for one in laid.sets:
            begin = len(self.scripts)
            for lane in one.lanes:
                if lane < len(laid.rules) and (found := script(laid.rules[lane])) is not None:
                    self.scripts.append(found)
                    self._numbers.append(lane)
            self._of_sets.append((begin, len(self.scripts)))
        if not self.scripts:
            return
        self._lay_bands()
        self._lay_rules()
        lookers = max(self._lookers)
        hits = max(HITS_MIN, lookers * kernel.BLOCK)
        self._hits = (
            *(np.empty(hits, np.int32), np.empty(hits, np.int32), np.empty(hits, np.int32)),
            np.empty((hits, max(1, *(len(one.kept) for one in self.scripts)))),
        )
        self._resume = np.array([0, -1], np.int64)
        self._marked_slots: list[NDArray[np.int32]] = [np.zeros(0, np.int32)] * len(self.scripts)
        for k, one in enumerate(self.scripts):
            if not one.rule.state.rests:
                slots = self._marked_slots[k] = one.rule.state.restless
                one.marks[slots] = 1
                self._marked[k] = len(slots)

    def _lay_bands(self) -> None:
        """Where each band lies, and the sets that look at it."""
        laid = self._laid
        bands, refs = [], list[int]()
        self._lookers, self._rows = [0], [0] * len(laid.sets)
        for band, (begin, end) in laid.arranged.bands.items():
            first = len(refs)
            sets = [k for k in laid.sets_of[band] if self._of_sets[k][1] > self._of_sets[k][0]]
            refs += sets
            for k in sets:
                self._rows[k] += end - begin
            self._lookers.append(sum(self._of_sets[k][1] - self._of_sets[k][0] for k in sets))
            if sets:
                bands.append((begin, end, first, len(refs)))
        self._bands = np.array(bands, np.int64).reshape(-1, 4)
        self._refs = np.array(refs, np.int64)
        self._sets = np.array(
            [
                (*one.ranks.addresses, begin, end)
                for one, (begin, end) in zip(laid.sets, self._of_sets, strict=True)
            ],
            np.int64,
        )

    def _lay_rules(self) -> None:
        """Steps, screens and what is kept of all rules."""
        tables, rules = [], []
        columns, keeps, fills, notes = list[int](), list[int](), list[float](), list[tuple[int, int, int]]()
        self._noted: list[tuple[Track, NDArray[np.int32], NDArray[Any]]] = []
        at = self._room.columns.ctypes.data
        rows_of = [rows for rows, (begin, end) in zip(self._rows, self._of_sets, strict=True) for _ in range(begin, end)]
        self._beside: list[NDArray[np.float64]] = []
        """Held while the kernel reads them."""
        steps = 0
        for number, one, rows in zip(self._numbers, self.scripts, rows_of, strict=True):
            table = one.steps()
            for step, track in one.noting:
                where, before = track.turns.room(rows)
                table[step, 12] = len(notes)
                notes.append((where.ctypes.data, before.ctypes.data, 0))
                self._noted.append((track, where, before))
            for step, filled in one.fills:
                table[step, 1] = len(fills)
                fills.append(filled)
            for step, name in one.beside:
                first, column = self._laid.wide(number, name)
                table[step, 1] = column.ctypes.data - 8 * first
                self._beside.append(column)
            code = one.screen
            rules.append(
                (
                    *(steps, steps + len(table), code.instructions.ctypes.data, len(code.instructions)),
                    *(code.constants.ctypes.data, len(code.constants)),
                    *(int(code.sizes[0]) + len(code.constants), int(code.sizes[1])),
                    *(one.marks.ctypes.data, len(one.marks)),
                    *(len(columns), len(columns) + len(one.columns), len(keeps), len(keeps) + len(one.kept)),
                )
            )
            steps += len(table)
            tables.append(table)
            columns += [at + 8 * kernel.BLOCK * register for register in one.columns]
            keeps += one.kept.values()
        self._rules, self._steps = np.array(rules, np.int64), np.concatenate(tables)
        self._columns, self._keeps = np.array(columns, np.int64), np.array(keeps, np.int64)
        self._fills = np.array(fills, np.float64)
        self._notes = np.array(notes, np.int64).reshape(-1, 3)
        self._until = np.array([one.rule.until for one in self.scripts])
        self._marked = np.zeros(len(self.scripts), np.int64)
        self._rows_of = rows_of

    def count(self) -> None:
        """Count the rows that each rule looks at."""
        for one, rows in zip(self.scripts, self._rows_of, strict=True):
            one.rule.evaluated += rows

    @property
    def over(self) -> bool:
        """Whether all rows were swept."""
        return bool(self._resume[0] >= len(self._bands))

    def run(self, rows: Rows, local: NDArray[np.int64], offset: int) -> int:
        """Go on, to the end or as far as there is room for hits; how many there are."""
        return int(
            kernel.sweep(
                *(rows.point, rows.ts, rows.value, rows.prev, rows.dt, local, offset, self._laid.arranged.order),
                *(self._bands, self._refs, self._sets, self._rules, self._steps, self._columns, self._keeps),
                *(self._until, self._fills, self._marked, self._notes, *self._room, self._resume, *self._hits),
            )
        )

    def hits(self, rows: Rows, found: int) -> Iterator[Hit]:
        """What was found, by rule."""
        if not found:
            return
        of, at, slots, kept = (column[:found] for column in self._hits)
        for k in np.unique(of).tolist():
            one, mine = self.scripts[k], np.flatnonzero(of == k)
            own = slots[mine]
            self._marked_slots[k] = np.concatenate([self._marked_slots[k], own])
            known = {name: kept[mine, c] for c, name in enumerate(one.kept)}
            yield Hit(one.rule, Hits(rows, at[mine], own), known)

    def finish(self) -> None:
        """Take the marks away, and keep what features noted."""
        for one, slots in zip(self.scripts, self._marked_slots, strict=True):
            one.marks[slots] = 0
        for (track, at, before), made in zip(self._noted, self._notes[:, 2].tolist(), strict=True):
            track.turns.keep(made, at, before)
