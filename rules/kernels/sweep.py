"""All features and conditions of all rules over rows sorted by band, a block at a time: one call for a whole batch.

What a block touches (its columns, those that features make of them, the flags of conditions) stays in the nearest
cache from the gathering of its rows to the last condition; rule by rule over whole columns it would not. Which rules
look at a band, with which features, is data: rows of numbers that ``rules/sweep.py`` writes. Features are the kernels
of the table in ``rules/features.py``, called by their address; conditions are code for ``conditions.run``.

A condition *screens* here: it leaves out what needs a column that is not made in the kernel (the clock's), so what
passes may be more than what is true. Rows that pass, and all rows after one of a point at which a rule is not at rest
(``marks``), are *hits*: told with the columns that only the kernel knew, for the rule to be asked in full.
"""

from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lifeline.core.schema import Flag
from rules.kernels import conditions
from rules.kernels.addresses import as_bytes, as_doubles, as_ints, as_longs, as_shorts, as_singles, as_words
from rules.kernels.order import previous
from rules.kernels.select import rank_points
from rules.kernels.types import F64, I32, I64, U8

BLOCK = conditions.BLOCK
VALUE, PREV, DT, OWN = 0, 1, 2, 3
"""Registers of a block's columns; those from ``OWN`` on are the rule's."""
WIDTH = 16
"""Numbers of a step, a set or a rule."""
REGISTERS, NUMBERS, FLAGS, OUTS_MAX = 96, 64, 64, 8
"""Columns of a block, registers of a condition, and columns of a feature, at most."""
WALKS = 4
"""Other columns than the value that features of one rule are computed on, at most."""
FEATURE, WALK, DECODE, DIFFERENCE, INTERVALS, BESIDE, FILL, AGE, QUALITY, LATE = range(10)
"""Steps, with what their numbers are:

- ``FEATURE`` kernel state rows width kind options count out outs walk limit note turn: a feature (-1: none);
- ``WALK`` on walk prior rows width: the rows at which column ``on`` has a value, with what came before of it;
- ``DECODE`` codes bytes table entries out slots bytes: a parameter or a number of the registry, by slot;
- ``DIFFERENCE`` out: the value less the one before;
- ``INTERVALS`` interval out: the seconds since the one before in intervals;
- ``BESIDE`` number out: what was newest of another quantity of the device (``beside``);
- ``FILL`` number out: one number for all rows (of ``fills``);
- ``AGE`` out, ``QUALITY`` out and ``LATE`` out: what a reading itself tells.
"""
POINT, TS, VALUES, BEFORE, SINCE, LOCAL, ROW, RECEIVED, FLAGS_OF, QUALITY_OF = range(10)
"""Columns of rows by address, 0 for one that there is not: those of a log may not be written to, which numba takes for
another type, for which it would compile all of this anew. The last three are of readings, ``ROW`` tells which."""
LATE_FLAG = int(Flag.LATE)
WHOLE, SINGLE, NOTING = range(3)
"""Kinds of a feature: state of float64, of float32, and of float32 with notes of what it overwrites."""


_DOUBLES = types.Array(types.float64, 1, "C")
_OF = (
    *(types.Array(types.int32, 1, "C"), types.Array(types.int64, 1, "C"), types.Array(types.int64, 1, "C")),
    *(_DOUBLES, _DOUBLES, _DOUBLES, _DOUBLES, _DOUBLES, types.float64),
)
"""slots, ts, local, value, prev, dt, limit, options, until: what every feature's kernel takes first."""
_OUT = types.Array(types.float64, 2, "C")
SIGNATURES = {
    WHOLE: (*_OF, types.Array(types.float64, 2, "C"), _OUT),
    SINGLE: (*_OF, types.Array(types.float32, 2, "C"), _OUT),
    NOTING: (
        *(*_OF, types.Array(types.float32, 2, "C"), _OUT),
        *(types.Array(types.int32, 2, "C"), types.Array(types.float32, 2, "C")),
    ),
}
"""What a kernel of each kind is compiled for."""


def _called(given: tuple[Any, ...], returned: Any) -> Any:
    """Type and code of a call of what is at an address, by numba's own convention of calling."""

    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        convention = context.call_conv
        callee = builder.inttoptr(arguments[0], convention.get_function_type(returned, given).as_pointer())
        status, found = convention.call_function(builder, callee, returned, given, arguments[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value() if returned == types.none else found

    return returned(types.int64, *given), code


@intrinsic
def _call(
    _typing: Any,
    _address: Any,
    slots: Any,
    ts: Any,
    local: Any,
    value: Any,
    prev: Any,
    dt: Any,
    limit: Any,
    options: Any,
    until: Any,
    state: Any,
    out: Any,
) -> Any:
    """A feature's kernel."""
    return _called((slots, ts, local, value, prev, dt, limit, options, until, state, out), types.none)


@intrinsic
def _call_noting(
    _typing: Any,
    _address: Any,
    slots: Any,
    ts: Any,
    local: Any,
    value: Any,
    prev: Any,
    dt: Any,
    limit: Any,
    options: Any,
    until: Any,
    state: Any,
    out: Any,
    at: Any,
    before: Any,
) -> Any:
    """A feature's kernel that notes what it overwrites; how many notes it made."""
    return _called((slots, ts, local, value, prev, dt, limit, options, until, state, out, at, before), types.int64)


@njit(cache=True, nogil=True)
def _slots(points: I32, of: I64, out: I32) -> None:
    """The slot of each point among those of a set: ``of`` is words and before (addresses, length), list and length."""
    if of[1]:
        rank_points(points, carray(as_words(of[0]), of[1]), carray(as_ints(of[2]), of[1]), out)
        return
    known = carray(as_ints(of[3]), of[4])
    out[:] = np.searchsorted(known, points)


@njit(cache=True, nogil=True)
def _decode(step: I64, slots: I32, out: F64) -> None:
    table = carray(as_doubles(step[3]), step[4])
    if step[2] == 1:
        small = carray(as_bytes(step[1]), step[6])
        for i in range(len(slots)):
            out[i] = table[small[slots[i]]]
    elif step[2] == 2:
        short = carray(as_shorts(step[1]), step[6])
        for i in range(len(slots)):
            out[i] = table[short[slots[i]]]
    else:
        long = carray(as_ints(step[1]), step[6])
        for i in range(len(slots)):
            out[i] = table[long[slots[i]]]


@njit(cache=True, nogil=True)
def _feature(
    step: I64,
    slots: I32,
    ts: I64,
    local: I64,
    value: F64,
    prev: F64,
    dt: F64,
    limit: F64,
    until: float,
    out: F64,
    notes: I64,
) -> None:
    """Let a feature advance over rows, and note what it overwrites."""
    options = carray(as_doubles(step[6]), step[7])
    if step[5] == WHOLE:
        whole = carray(as_doubles(step[2]), (step[3], step[4]))
        _call(step[1], slots, ts, local, value, prev, dt, limit, options, until, whole, out)
        return
    single = carray(as_singles(step[2]), (step[3], step[4]))
    if step[5] == SINGLE:
        _call(step[1], slots, ts, local, value, prev, dt, limit, options, until, single, out)
        return
    note, turn = step[12], step[13]
    made = notes[note, 2]
    room = len(slots)
    at = carray(as_ints(notes[note, 0] + 8 * made), (room, 2))
    before = carray(as_singles(notes[note, 1] + 4 * turn * made), (room, turn))
    notes[note, 2] += _call_noting(
        step[1], slots, ts, local, value, prev, dt, limit, options, until, single, out, at, before
    )


@njit(cache=True, nogil=True)
def _gather(order: I32, given: I64, rows: int, offset: int, points: I32, times: I64, locals_: I64, room: F64) -> None:
    """The columns of the rows of a block."""
    point, ts = carray(as_ints(given[POINT]), rows), carray(as_longs(given[TS]), rows)
    value = carray(as_doubles(given[VALUES]), rows)
    for i in range(len(order)):
        row = order[i]
        points[i] = point[row]
        times[i] = ts[row]
        room[VALUE, i] = value[row]
    if given[BEFORE]:
        prev, dt = carray(as_doubles(given[BEFORE]), rows), carray(as_doubles(given[SINCE]), rows)
        for i in range(len(order)):
            room[PREV, i] = prev[order[i]]
            room[DT, i] = dt[order[i]]
    if given[LOCAL]:
        local = carray(as_longs(given[LOCAL]), rows)
        for i in range(len(order)):
            locals_[i] = local[order[i]]
    else:
        for i in range(len(order)):
            locals_[i] = times[i] + offset


@njit(cache=True, nogil=True)
def _told(op: int, order: I32, given: I64, rows: int, times: I64, out: F64) -> None:
    """What the readings of a block tell of themselves."""
    index, readings = carray(as_ints(given[ROW]), rows), 1 << 40
    if op == AGE:
        received = carray(as_longs(given[RECEIVED]), readings)
        for i in range(len(order)):
            out[i] = (received[index[order[i]]] - times[i]) / 1000.0
    elif op == QUALITY:
        quality = carray(as_bytes(given[QUALITY_OF]), readings)
        for i in range(len(order)):
            out[i] = quality[index[order[i]]]
    else:
        flags = carray(as_bytes(given[FLAGS_OF]), readings)
        for i in range(len(order)):
            out[i] = 1.0 if flags[index[order[i]]] & LATE_FLAG else 0.0


@njit(cache=True, nogil=True)
def _beside(beside: F64, told: int, order: I32, out: F64) -> None:
    """What was newest of another quantity of the device, at the rows of a block."""
    if told < 0:
        out[: len(order)] = np.nan
        return
    for i in range(len(order)):
        out[i] = beside[order[i], told]


@njit(cache=True, nogil=True)
def _walk(
    step: I64,
    n: int,
    slots: I32,
    times: I64,
    locals_: I64,
    room: F64,
    walk_of: I32,
    walk_slot: I32,
    walk_time: I64,
    walk: F64,
) -> int:
    """The rows of a block at which a column has a value, and what came before of it; how many."""
    on = room[step[1]]
    found = 0
    for i in range(n):
        if on[i] == on[i]:
            walk_of[found] = i
            walk_slot[found] = slots[i]
            walk_time[0, found] = times[i]
            walk_time[1, found] = locals_[i]
            walk[VALUE, found] = on[i]
            found += 1
    prior = carray(as_doubles(step[3]), (step[4], step[5]))
    previous(walk_slot[:found], walk_time[0, :found], walk[VALUE, :found], prior, walk[PREV], walk[DT])
    return found


@njit(cache=True, nogil=True)
def _on_walk(
    step: I64,
    n: int,
    many: int,
    until: float,
    room: F64,
    walk_of: I32,
    walk_slot: I32,
    walk_time: I64,
    walk: F64,
    made: F64,
    notes: I64,
) -> None:
    """Let a feature advance over the rows of a walk; its columns have no value elsewhere."""
    limit = walk[OWN, :0]
    if step[11] >= 0:
        limit = walk[OWN, :many]
        for i in range(many):
            limit[i] = room[step[11], walk_of[i]]
    if many:
        _feature(
            *(step, walk_slot[:many], walk_time[0, :many], walk_time[1, :many]),
            *(walk[VALUE, :many], walk[PREV, :many], walk[DT, :many], limit, until, made, notes),
        )
    for c in range(step[9]):
        out = room[step[8] + c]
        out[:n] = np.nan
        for i in range(many):
            out[walk_of[i]] = made[c, i]


@njit(cache=True, nogil=True)
def _tell(
    r: int,
    rule: I64,
    passed: bool,
    left: U8,
    order: I32,
    slots: I32,
    room: F64,
    keeps: I64,
    marked: I64,
    found: int,
    hit_rule: I32,
    hit_row: I32,
    hit_slot: I32,
    hit_kept: F64,
) -> int:
    """Write down the hits of a block; how many there are now."""
    mark = carray(as_bytes(rule[8]), rule[9])
    for i in range(len(slots)):
        slot = slots[i]
        if passed and left[i]:
            if not mark[slot]:
                mark[slot] = 1
                marked[r] += 1
        elif not mark[slot]:
            continue
        hit_rule[found] = r
        hit_row[found] = order[i]
        hit_slot[found] = slot
        for k in range(rule[12], rule[13]):
            hit_kept[found, k - rule[12]] = room[keeps[k], i]
        found += 1
    return found


@njit(cache=True, nogil=True)
def sweep(
    given: I64,
    rows: int,
    offset: int,
    order: I32,
    bands: I64,
    beside: F64,
    told: I64,
    refs: I64,
    sets: I64,
    rules: I64,
    steps: I64,
    columns: I64,
    keeps: I64,
    until: F64,
    fills: F64,
    marked: I64,
    notes: I64,
    room: F64,
    numbers: F64,
    flags: U8,
    block_int: I32,
    block_time: I64,
    walk_int: I32,
    walk_time: I64,
    walks: F64,
    made: F64,
    resume: I64,
    hit_rule: I32,
    hit_row: I32,
    hit_slot: I32,
    hit_kept: F64,
) -> int:
    """Advance features over rows and find hits, up to the end or until there may be no room for more of them.

    Args:
        given: addresses of the columns of the rows in the order of reading: see ``POINT``.
        rows: how many those are.
        offset: what their wall clock is ahead by (ms), where it is no column.
        order: rows by band.
        bands: [begin, end, first of its sets in ``refs``, behind the last of them, place], where a band's rows lie in
            ``order``: all of it, or what there is in a slice.
        beside: float64 [rows, what one point wants at most], what was newest of other quantities of the device.
        told: [places, quantities], where that of a quantity is in ``beside``, -1 where points of the band have none.
        refs: numbers of sets.
        sets: [words, how many, before, list, how many, first rule, behind the last one], addresses of a ``Ranks``.
        rules: [first step, end, code, instructions, constants, how many, registers, flags, marks, how many, first of
            ``columns``, end, first of ``keeps``, end].
        steps: see above; addresses are of what the caller holds.
        columns: addresses of the code's columns.
        keeps: registers that are told of a hit.
        until: of each rule, before which its features learn.
        fills: numbers for ``FILL``.
        marked: how many marks each rule has; grows.
        notes: [places, numbers, how many], of each feature that notes: room for as many as it has rows.
        room: float64 [registers, BLOCK].
        numbers: float64 [registers of a condition, BLOCK].
        flags: uint8 likewise; the last one tells which rows are left.
        block_int: int32 [2, BLOCK], points and slots.
        block_time: int64 [2, BLOCK], times and wall clock.
        walk_int: int32 [WALKS, 2, BLOCK], rows and slots.
        walk_time: int64 [WALKS, 2, BLOCK].
        walks: float64 [WALKS, 4, BLOCK], value, what was before, seconds since, limit.
        made: float64 [columns of a feature, BLOCK].
        resume: [band, place in ``order``] from where to go on; the end is behind the last band.
        hit_rule: the rule of each hit. There must be room for one row of all rules that look at a band: blocks are
            shorter where room is short.
        hit_row: its row.
        hit_slot: its slot.
        hit_kept: [hits, columns].

    Returns:
        How many hits there are.
    """
    found = 0
    many = np.zeros(WALKS, np.int64)
    left_of = flags[len(flags) - 1]
    for band in range(resume[0], len(bands)):
        end = bands[band, 1]
        lookers = 0
        for k in range(bands[band, 2], bands[band, 3]):
            lookers += sets[refs[k], 6] - sets[refs[k], 5]
        size = min(BLOCK, max(1, len(hit_row) // max(1, lookers)))
        for begin in range(resume[1] if resume[1] >= 0 else bands[band, 0], end, size):
            n = min(size, end - begin)
            if len(hit_row) - found < n * lookers:
                resume[0] = band
                resume[1] = begin
                return found
            block = order[begin : begin + n]
            points, slots, times, locals_ = block_int[0, :n], block_int[1, :n], block_time[0, :n], block_time[1, :n]
            _gather(block, given, rows, offset, points, times, locals_, room)
            for ref in range(bands[band, 2], bands[band, 3]):
                of = sets[refs[ref]]
                _slots(points, of, slots)
                for r in range(of[5], of[6]):
                    rule = rules[r]
                    for s in range(rule[0], rule[1]):
                        step = steps[s]
                        op = step[0]
                        if op == FEATURE and step[10] < 0:
                            limit = room[step[11], :n] if step[11] >= 0 else room[VALUE, :0]
                            _feature(
                                *(step, slots, times, locals_, room[VALUE, :n], room[PREV, :n], room[DT, :n]),
                                *(limit, until[r], room[step[8] : step[8] + step[9]], notes),
                            )
                        elif op == FEATURE:
                            w = step[10]
                            _on_walk(
                                *(step, n, many[w], until[r], room),
                                *(walk_int[w, 0], walk_int[w, 1], walk_time[w], walks[w], made, notes),
                            )
                        elif op == WALK:
                            w = step[2]
                            many[w] = _walk(
                                *(step, n, slots, times, locals_, room),
                                *(walk_int[w, 0], walk_int[w, 1], walk_time[w], walks[w]),
                            )
                        elif op == DECODE:
                            _decode(step, slots, room[step[5]])
                        elif op == DIFFERENCE:
                            column = room[step[1]]
                            for i in range(n):
                                column[i] = room[VALUE, i] - room[PREV, i]
                        elif op == INTERVALS:
                            interval, column = room[step[1]], room[step[2]]
                            for i in range(n):
                                column[i] = room[DT, i] / interval[i] if interval[i] > 0.0 else np.nan
                        elif op == BESIDE:
                            _beside(beside, told[bands[band, 4], step[1]], block, room[step[2]])
                        elif op == FILL:
                            room[step[2], :n] = fills[step[1]]
                        else:
                            _told(op, block, given, rows, times, room[step[1]])
                    left = left_of[:n]
                    passed = conditions.run(
                        *(carray(as_ints(rule[2]), (rule[3], 4)), 0, rule[3], carray(as_doubles(rule[4]), rule[5])),
                        *(numbers[: rule[6]], flags[: rule[7]], columns[rule[10] : rule[11]], False, left),
                    )
                    if passed or marked[r]:
                        found = _tell(
                            *(r, rule, passed, left, block, slots, room, keeps, marked),
                            *(found, hit_rule, hit_row, hit_slot, hit_kept),
                        )
        resume[1] = -1
    resume[0] = len(bands)
    return found
