"""All features and conditions of all rules over rows, by blocks of one band: one call for a whole batch.

What a block touches (its columns, those that features make of them, the flags of conditions) stays in the nearest
cache from the gathering of its rows to the last condition; rule by rule over whole columns it would not. Which rules
look at a band, with which features, is data: rows of numbers that ``rules/sweep.py`` writes. What a rule needs is made
by ``steps.py``; conditions are code for ``conditions.run``.

A condition *screens* here: it leaves out what needs a column that is not made in the kernel (the clock's), so what
passes may be more than what is true. Rows that pass, and all rows after one of a point at which a rule is not at rest
(``marks``), are *hits*: told with the columns that only the kernel knew, for the rule to be asked in full.
"""

import numpy as np
from numba import carray, njit

from lifeline.core.kernels.index import index
from rules.kernels import conditions
from rules.kernels import steps as make
from rules.kernels.addresses import as_bytes, as_doubles, as_ints, as_longs, as_words
from rules.kernels.select import rank_points
from rules.kernels.steps import (
    BEFORE,
    BESIDE,
    BLOCK,
    DECODE,
    DIFFERENCE,
    DT,
    FEATURE,
    FILL,
    INTERVALS,
    LOCAL,
    POINT,
    PREV,
    SINCE,
    TS,
    VALUE,
    VALUES,
    WALK,
    WALKS,
)
from rules.kernels.types import F64, I32, I64, U8, U16

WAIT = BLOCK + 16
"""Numbers apart are the places where rows wait: were it a power of two, they would share a few lines of the cache."""
LAP, FEW = 1 << 14, 128
"""After so many rows, whose columns a core's second cache holds, blocks are run that have FEW at least. What little
waits longer costs less by the row than a block of its own would."""


@njit(cache=True, nogil=True)
def _slots(points: I32, of: I64, out: I32) -> None:
    """The slot of each point among those of a set: ``of`` is words and before (addresses, length), list and length."""
    if of[1]:
        rank_points(points, carray(as_words(of[0]), of[1]), carray(as_ints(of[2]), of[1]), out)
        return
    known = carray(as_ints(of[3]), of[4])
    out[:] = np.searchsorted(known, points)


@njit(cache=True, nogil=True)
def _spread(of: U16, at: int, end: int, full: I64, free: I64, waiting: I32) -> tuple[int, int]:
    """Let rows ``at`` to ``end`` wait at their places, until a block is full: the next row, and that place or -1."""
    places = len(full)
    for i in range(at, end):
        place = index(of[index(i)])
        if place < places:
            k = free[place]
            waiting[index(k)] = i
            free[place] = k + 1
            if k + 1 == full[place]:
                return i + 1, int(of[index(i)])
    return end, -1


@njit(cache=True, nogil=True)
def _gather(order: I32, given: I64, rows: int, offset: int, points: I32, times: I64, locals_: I64, room: F64) -> None:
    """The columns of the rows of a block."""
    point, ts = carray(as_ints(given[POINT]), rows), carray(as_longs(given[TS]), rows)
    value = carray(as_doubles(given[VALUES]), rows)
    for i in range(len(order)):
        row = index(order[i])
        points[i] = point[row]
        times[i] = ts[row]
        room[VALUE, i] = value[row]
    if given[BEFORE]:
        prev, dt = carray(as_doubles(given[BEFORE]), rows), carray(as_doubles(given[SINCE]), rows)
        for i in range(len(order)):
            row = index(order[i])
            room[PREV, i] = prev[row]
            room[DT, i] = dt[row]
    if given[LOCAL]:
        local = carray(as_longs(given[LOCAL]), rows)
        for i in range(len(order)):
            locals_[i] = local[index(order[i])]
    else:
        for i in range(len(order)):
            locals_[i] = times[i] + offset


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
        slot = index(slots[i])
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
def _block(
    given: I64,
    rows: int,
    block: I32,
    points: I32,
    ranges: I64,
    place: int,
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
    slots: I32,
    times: I64,
    locals_: I64,
    many: I64,
    walk_int: I32,
    walk_time: I64,
    walks: F64,
    made: F64,
    found: int,
    hit_rule: I32,
    hit_row: I32,
    hit_slot: I32,
    hit_kept: F64,
) -> int:
    """All rules that look at a block of rows; how many hits there are now."""
    n = len(block)
    left_of = flags[len(flags) - 1]
    for ref in range(ranges[place, 0], ranges[place, 1]):
        of = sets[refs[ref]]
        _slots(points, of, slots)
        for r in range(of[5], of[6]):
            rule = rules[r]
            for s in range(rule[0], rule[1]):
                step = steps[s]
                op = step[0]
                if op == FEATURE and step[10] < 0:
                    limit = room[step[11], :n] if step[11] >= 0 else room[VALUE, :0]
                    make.feature(
                        *(step, slots, times, locals_, room[VALUE, :n], room[PREV, :n], room[DT, :n]),
                        *(limit, until[r], room[step[8] : step[8] + step[9]], notes),
                    )
                elif op == FEATURE:
                    w = step[10]
                    make.on_walk(
                        *(step, n, many[w], until[r], room),
                        *(walk_int[w, 0], walk_int[w, 1], walk_time[w], walks[w], made, notes),
                    )
                elif op == WALK:
                    w = step[2]
                    many[w] = make.walk(
                        *(step, n, slots, times, locals_, room),
                        *(walk_int[w, 0], walk_int[w, 1], walk_time[w], walks[w]),
                    )
                elif op == DECODE:
                    make.decode(step, slots, room[step[5]])
                elif op == DIFFERENCE:
                    column = room[step[1]]
                    for i in range(n):
                        column[i] = room[VALUE, i] - room[PREV, i]
                elif op == INTERVALS:
                    interval, column = room[step[1]], room[step[2]]
                    for i in range(n):
                        column[i] = room[DT, i] / interval[i] if interval[i] > 0.0 else np.nan
                elif op == BESIDE:
                    make.beside(beside, told[place, step[1]], block, room[step[2]])
                elif op == FILL:
                    room[step[2], :n] = fills[step[1]]
                else:
                    make.told(op, block, given, rows, times, room[step[1]])
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
    return found


@njit(cache=True, nogil=True)
def _next(free: I64, least: int) -> int:
    """The first place at which so many rows wait, -1 where there is none."""
    for place in range(len(free)):
        if free[place] - place * WAIT >= least:
            return place
    return -1


@njit(cache=True, nogil=True)
def sweep(
    given: I64,
    rows: int,
    offset: int,
    of: U16,
    ranges: I64,
    full: I64,
    free: I64,
    waiting: I32,
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

    Rows wait at the place of their band until they fill a block, so that a block costs no less for seldom bands; at the
    end those that are not full come.

    Args:
        given: addresses of the columns of the rows in the order of reading: see ``steps.POINT``.
        rows: how many those are.
        offset: what their wall clock is ahead by (ms), where it is no column.
        of: the place of each row; that behind the last where no rule looks at its point.
        ranges: [places, 2], where the sets of each place are in ``refs``.
        full: behind the last row that may wait at each place, those of which begin WAIT after WAIT. There must be
            room for the hits of so many rows of all rules that look at them.
        free: where the next row of each place goes; as after the last call, or at the beginning of each at first.
        waiting: [places x WAIT], the rows that wait.
        beside: float64 [rows, what one point wants at most], what was newest of other quantities of the device.
        told: [places, quantities], where that of a quantity is in ``beside``, -1 where points of the place have none.
        refs: numbers of sets.
        sets: [words, how many, before, list, how many, first rule, behind the last one], addresses of a ``Ranks``.
        rules: [first step, end, code, instructions, constants, how many, registers, flags, marks, how many, first of
            ``columns``, end, first of ``keeps``, end].
        steps: see ``steps.py``; addresses are of what the caller holds.
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
        resume: [row, place, over, lap] from where to go on: the next row, a place whose block is due or -1, 1 at the
            end, and where the lap ends.
        hit_rule: the rule of each hit.
        hit_row: its row.
        hit_slot: its slot.
        hit_kept: [hits, columns].

    Returns:
        How many hits there are.
    """
    found = 0
    many = np.zeros(WALKS, np.int64)
    at, place, lap = resume[0], resume[1], resume[3]
    while True:
        if place < 0 and at < lap:
            at, place = _spread(of, at, lap, full, free, waiting)
        if place < 0:
            place = _next(free, FEW if at < rows else 1)
        if place < 0 and at < rows:
            lap = min(at + LAP, rows)
            continue
        if place < 0:
            resume[2] = 1
            break
        first = place * WAIT
        n = free[place] - first
        lookers = 0
        for k in range(ranges[place, 0], ranges[place, 1]):
            lookers += sets[refs[k], 6] - sets[refs[k], 5]
        if len(hit_row) - found < n * lookers:
            break
        block, points, slots = waiting[first : first + n], block_int[0, :n], block_int[1, :n]
        times, locals_ = block_time[0, :n], block_time[1, :n]
        _gather(block, given, rows, offset, points, times, locals_, room)
        found = _block(
            *(given, rows, block, points, ranges, place, beside, told),
            *(refs, sets, rules, steps, columns, keeps, until, fills, marked, notes, room, numbers, flags),
            *(slots, times, locals_, many, walk_int, walk_time, walks, made),
            *(found, hit_rule, hit_row, hit_slot, hit_kept),
        )
        free[place] = first
        place = -1
    resume[0], resume[1], resume[3] = at, place, lap
    return found
