"""Rules over single readings in one compiled pass: what ``kernels/sweep.py`` is told, and the hits that it finds.

A rule takes part when every column that its features and the screened part of ``raise`` ask for can be made there,
which is so for all of the standard library. Others go rule by rule over whole columns (``rules/columns.py``); that way
is the naive twin as well, and both say the same to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules.kernels import order, select, steps
from rules.kernels import sweep as kernel
from rules.memo import Memo
from rules.script import script_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from rules.bound import BoundRule
    from rules.localtime import LocalClock
    from rules.memory import Rows, Track
    from rules.plan import Plan
    from rules.script import Script

HITS_MIN: Final = 1 << 14
"""Room for hits: for whole blocks where at most 32 rules look at a point."""


class Hits(Memo):
    """Rows that one rule must be asked about, with what is known of them: used as ``Chosen`` is."""

    def __init__(self, rows: Rows, at: NDArray[np.int32], slots: NDArray[np.int32]) -> None:
        super().__init__()
        self.readings: Readings = rows.readings
        self.slots = slots
        self._rows, self._at = rows, at

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._at)

    def column(self, name: str) -> NDArray[Any]:
        """A column of the rows."""
        return self.once(name, lambda: order.taken(getattr(self._rows, name), self._at))

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
    """Plays the scripts of one plan's rules. One thread at a time."""

    def __init__(self, plan: Plan, clock: LocalClock) -> None:
        self.plan = plan
        self._clock = clock
        self._room = _Room.new()
        self._cast: _Cast | None = None
        self._scripts: dict[int, tuple[object, Script | None]] = {}
        """By place in the plan, with the tests that each was made of."""

    def left_over(self) -> Sequence[int]:
        """Places in the plan of the rules that take no part."""
        return self._current_cast().left_over

    def play(self, rows: Rows, *, again: bool) -> Iterator[Hit]:
        """Move the features of all rules that take part, and tell what hits there are: those of a point in order.

        ``again``: the rows were counted before. The hits must be taken all.
        """
        cast = self._current_cast()
        if not cast.scripts or not len(rows.point):
            return
        turn = _Turn(cast, rows, self.plan.bands.of)
        if not again:
            turn.count()
        local, offset = self._local(rows, cast)
        while not turn.over:
            found = turn.run(rows, local, offset, self._room)
            if found:
                yield from turn.hits(rows, found)
        turn.finish()

    @property
    def nbytes(self) -> int:
        """Memory that grows with the points: marks."""
        return sum(script.marks.nbytes for _, script in self._scripts.values() if script is not None)

    def prepare(self) -> None:
        """Make ready what the first rows need: kernels are loaded when a script is made."""
        self._current_cast()

    def _current_cast(self) -> _Cast:
        if self._cast is None or not self._cast.fits(self.plan):
            self._cast = _Cast(self.plan, self._script, self._room)
        return self._cast

    def _script(self, lane: int) -> Script | None:
        """The script of a rule, with marks for all points that it has by now."""
        rule = self.plan.rules[lane]
        if rule.overlaid:
            return None
        tests, script = self._scripts.get(lane, (None, None))
        if tests is not rule.tests:
            script = script_of(rule)
            self._scripts[lane] = rule.tests, script
        if script is not None and len(script.marks) < len(rule.points):
            script.marks = np.zeros(len(rule.points), np.uint8)
        return script

    def _local(self, rows: Rows, cast: _Cast) -> tuple[NDArray[np.int64], int]:
        """The wall clock of the rows: a column, or what it is ahead by."""
        nothing = np.zeros(0, np.int64)
        if not cast.wants_local:
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
        block, walks = steps.BLOCK, steps.WALKS
        return cls(
            np.zeros((steps.REGISTERS, block)),
            np.zeros((steps.NUMBERS, block)),
            np.zeros((steps.FLAGS, block), np.uint8),
            np.zeros((2, block), np.int32),
            np.zeros((2, block), np.int64),
            np.zeros((walks, 2, block), np.int32),
            np.zeros((walks, 2, block), np.int64),
            np.zeros((walks, 4, block)),
            np.zeros((steps.OUTS_MAX, block)),
        )


class _Waiting(NamedTuple):
    """Where the rows of each place wait for their block to fill."""

    full: NDArray[np.int64]
    free: NDArray[np.int64]
    rows: NDArray[np.int32]

    @classmethod
    def of(cls, rows: NDArray[np.int64]) -> _Waiting:
        """For so many rows at each place."""
        begins = kernel.WAIT * np.arange(len(rows))
        return cls(begins + rows, begins, np.empty(kernel.WAIT * len(rows), np.int32))


class _Told(NamedTuple):
    """What the kernel tells of hits, one entry each."""

    rule: NDArray[np.int32]
    row: NDArray[np.int32]
    slot: NDArray[np.int32]
    kept: NDArray[np.float64]


class _Cast:
    """The scripts of a plan's rules, set after set, as tables for the kernel, until the plan or a rule changes."""

    def __init__(self, plan: Plan, script: Callable[[int], Script | None], room: _Room) -> None:
        self._sets, self.beside = plan.sets, plan.beside
        self._tests = [rule.tests for rule in plan.rules]
        seen = {lane for one in plan.sets for lane in one.lanes}
        found = [script(lane) if lane in seen else None for lane in range(len(plan.rules))]
        self.scripts: list[Script] = []
        self.set_of: list[int] = []
        """The set of each."""
        sets = []
        for k, one in enumerate(plan.sets):
            begin = len(self.scripts)
            for lane in one.lanes:
                one_of = found[lane] if lane < len(found) else None
                if one_of is not None:
                    self.scripts.append(one_of)
                    self.set_of.append(k)
            sets.append((*one.ranks.addresses, begin, len(self.scripts)))
        self.left_over = [lane for lane, one in enumerate(found) if one is None]
        self.wants_local = any(script.rule.wants_local for script in self.scripts)
        self.sets = np.array(sets, np.int64).reshape(-1, 7)
        asked = {band: [k for k in those if sets[k][6] > sets[k][5]] for band, those in plan.sets_of.items()}
        asked = {band: those for band, those in asked.items() if those}
        """Bands in the order in which they shall lie, with the sets that ask."""
        self.refs = np.array([k for those in asked.values() for k in those], np.int64)
        ends = np.cumsum([0, *map(len, asked.values())])
        self.ranges = np.array([ends[:-1], ends[1:]], np.int64).T.copy()
        """Of each of these bands, where its sets are in ``refs``."""
        self.laid = np.full(1 + max(plan.sets_of, default=0), len(asked), np.int64)
        self.laid[list(asked)] = np.arange(len(asked))
        self.told = np.array([plan.told[band] for band in asked], np.int64).reshape(len(asked), len(plan.beside))
        self.looked_at = np.zeros((len(sets), len(asked)), np.int64)
        """Which of these bands each set has."""
        for at, those in enumerate(asked.values()):
            self.looked_at[those, at] = 1
        lookers = np.array([sum(sets[k][6] - sets[k][5] for k in those) for those in asked.values()], np.int64)
        """Rules that look at each."""
        self._hits_max = max(HITS_MIN, int(lookers.max(initial=0)))
        self.waiting = _Waiting.of(np.clip(self._hits_max // np.maximum(lookers, 1), 1, steps.BLOCK))
        self._lay(room)

    def _lay(self, room: _Room) -> None:
        """Steps, screens and what is kept of all rules."""
        tables, rules = [np.zeros((0, steps.WIDTH), np.int64)], []
        columns, keeps, fills = list[int](), list[int](), list[float]()
        number = {one.quantity: k for k, one in enumerate(self.beside)}
        self.noting: list[tuple[int, Track]] = []
        """Features that note: the set of their rule."""
        at, begin = room.columns.ctypes.data, 0
        for k, one in enumerate(self.scripts):
            table = one.steps
            one.begin = begin
            for step, track in one.noting:
                table[step, 12] = len(self.noting)
                self.noting.append((self.set_of[k], track))
            for step, filled in one.fills:
                table[step, 1] = len(fills)
                fills.append(filled)
            for step, quantity in one.beside:
                table[step, 1] = number[quantity]
            code = one.screen
            rules.append(
                (
                    *(begin, begin + len(table), code.instructions.ctypes.data, len(code.instructions)),
                    *(code.constants.ctypes.data, len(code.constants)),
                    *(int(code.sizes[0]) + len(code.constants), int(code.sizes[1])),
                    *(one.marks.ctypes.data, len(one.marks)),
                    *(len(columns), len(columns) + len(one.columns), len(keeps), len(keeps) + len(one.kept)),
                )
            )
            begin += len(table)
            tables.append(table)
            columns += [at + 8 * steps.BLOCK * register for register in one.columns]
            keeps += one.kept.values()
        self.rules = np.array(rules, np.int64).reshape(-1, 14)
        self.steps = np.concatenate(tables)
        self.columns, self.keeps = np.array(columns, np.int64), np.array(keeps, np.int64)
        self.fills = np.array(fills, np.float64)
        self.until = np.array([one.rule.until for one in self.scripts], np.float64)
        hits = self._hits_max
        kept = max((1, *(len(one.kept) for one in self.scripts)))
        rule, row, slot = (np.empty(hits, np.int32) for _ in range(3))
        self.hits = _Told(rule, row, slot, np.empty((hits, kept)))
        self._places = [(one.begin + place.step, place) for one in self.scripts for place in one.places]
        self._seen: list[NDArray[Any] | None] = [None] * len(self._places)

    def fits(self, plan: Plan) -> bool:
        """Whether it is of the plan as it is."""
        same = all(rule.tests is tests for rule, tests in zip(plan.rules, self._tests, strict=True))
        return same and self._sets is plan.sets

    def point(self) -> None:
        """Put in where state lies now; what was pointed to is held until then."""
        for k, (row, place) in enumerate(self._places):
            array = place.array()
            if array is not self._seen[k]:
                self._seen[k] = array
                step = self.steps[row]
                step[place.address], step[place.length] = array.ctypes.data, len(array)
                step[place.width] = array.shape[1] if array.ndim == 2 else array.itemsize


class _Turn:
    """One sweep over rows."""

    def __init__(self, cast: _Cast, rows: Rows, bands: NDArray[Any]) -> None:
        """``bands``: of each point."""
        self._cast = cast
        cast.waiting.free[:] = kernel.WAIT * np.arange(len(cast.ranges))
        self._of, counts = np.empty(len(rows.point), np.uint16), np.zeros(len(cast.ranges) + 1, np.int64)
        select.place_rows(rows.point, bands, cast.laid, self._of, counts)
        self._rows: list[int] = (cast.looked_at @ counts[:-1]).tolist()
        """That each set looks at."""
        cast.point()
        self._notes = np.zeros((len(cast.noting), 3), np.int64)
        self._noted = [track.turns.room(self._rows[k]) for k, track in cast.noting]
        for k, (at, before) in enumerate(self._noted):
            self._notes[k, :2] = at.ctypes.data, before.ctypes.data
        self._resume = np.array([0, -1, 0, 0], np.int64)
        self._marked = np.zeros(len(cast.scripts), np.int64)
        self._stirred: list[tuple[Script, NDArray[np.int32]]] = []
        """Slots that have marks."""
        for k, one in enumerate(cast.scripts):
            if not one.rule.state.rests:
                slots = one.rule.state.restless
                one.marks[slots] = 1
                self._marked[k] = len(slots)
                self._stirred.append((one, slots))

    def count(self) -> None:
        """Count the rows that each rule looks at."""
        for one, k in zip(self._cast.scripts, self._cast.set_of, strict=True):
            one.rule.evaluated += self._rows[k]

    @property
    def over(self) -> bool:
        """Whether all rows were swept."""
        return bool(self._resume[2])

    def run(self, rows: Rows, local: NDArray[np.int64], offset: int, room: _Room) -> int:
        """Go on, to the end or as far as there is room for hits; how many there are."""
        of, cast = rows.readings, self._cast
        columns: tuple[NDArray[Any], ...] = (rows.point, rows.ts, rows.value, rows.prev, rows.dt, local)
        columns += (rows.row, of.received_at, of.flags, of.quality)
        assert all(one.flags.c_contiguous for one in columns)
        given = np.array([one.ctypes.data if len(one) else 0 for one in columns], np.int64)
        return int(
            kernel.sweep(
                *(given, len(rows.point), offset, self._of, cast.ranges, *cast.waiting, rows.beside, cast.told),
                *(cast.refs, cast.sets, cast.rules, cast.steps, cast.columns, cast.keeps),
                *(cast.until, cast.fills, self._marked, self._notes, *room, self._resume, *cast.hits),
            )
        )

    def hits(self, rows: Rows, found: int) -> Iterator[Hit]:
        """What was found, by rule."""
        hits = self._cast.hits
        of = hits.rule[:found]
        for k in np.unique(of).tolist():
            one, mine = self._cast.scripts[k], np.flatnonzero(of == k)
            slots = hits.slot[mine]
            self._stirred.append((one, slots))
            known = {name: hits.kept[mine, c] for c, name in enumerate(one.kept)}
            yield Hit(one.rule, Hits(rows, hits.row[mine], slots), known)

    def finish(self) -> None:
        """Take the marks away, and keep what features noted."""
        for one, slots in self._stirred:
            one.marks[slots] = 0
        for (_, track), (at, before), made in zip(
            self._cast.noting, self._noted, self._notes[:, 2].tolist(), strict=True
        ):
            track.turns.keep(made, at, before)
