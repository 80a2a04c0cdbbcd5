"""What is made of a block of rows, a step at a time: the columns that a rule's features and its condition ask for.

Features are the kernels of the table in ``rules/features.py``, called by their address. Which steps a rule has is data:
rows of numbers that ``rules/script.py`` writes.
"""

from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lifeline.core.kernels.index import index
from lifeline.core.schema import Flag
from rules.kernels import conditions
from rules.kernels.addresses import as_bytes, as_doubles, as_ints, as_longs, as_shorts, as_singles
from rules.kernels.order import previous
from rules.kernels.types import F64, I32, I64

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
def decode(step: I64, slots: I32, out: F64) -> None:
    """A parameter or a number of the registry at some slots."""
    table = carray(as_doubles(step[3]), step[4])
    if step[2] == 1:
        small = carray(as_bytes(step[1]), step[6])
        for i in range(len(slots)):
            out[i] = table[index(small[index(slots[i])])]
    elif step[2] == 2:
        short = carray(as_shorts(step[1]), step[6])
        for i in range(len(slots)):
            out[i] = table[index(short[index(slots[i])])]
    else:
        long = carray(as_ints(step[1]), step[6])
        for i in range(len(slots)):
            out[i] = table[index(long[index(slots[i])])]


@njit(cache=True, nogil=True)
def feature(
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
def told(op: int, order: I32, given: I64, rows: int, times: I64, out: F64) -> None:
    """What the readings of a block tell of themselves."""
    row, readings = carray(as_ints(given[ROW]), rows), 1 << 40
    if op == AGE:
        received = carray(as_longs(given[RECEIVED]), readings)
        for i in range(len(order)):
            out[i] = (received[index(row[index(order[i])])] - times[i]) / 1000.0
    elif op == QUALITY:
        quality = carray(as_bytes(given[QUALITY_OF]), readings)
        for i in range(len(order)):
            out[i] = quality[index(row[index(order[i])])]
    else:
        flags = carray(as_bytes(given[FLAGS_OF]), readings)
        for i in range(len(order)):
            out[i] = 1.0 if flags[index(row[index(order[i])])] & LATE_FLAG else 0.0


@njit(cache=True, nogil=True)
def beside(beside: F64, told: int, order: I32, out: F64) -> None:
    """What was newest of another quantity of the device, at the rows of a block."""
    if told < 0:
        out[: len(order)] = np.nan
        return
    for i in range(len(order)):
        out[i] = beside[index(order[i]), index(told)]


@njit(cache=True, nogil=True)
def walk(
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
def on_walk(
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
        feature(
            *(step, walk_slot[:many], walk_time[0, :many], walk_time[1, :many]),
            *(walk[VALUE, :many], walk[PREV, :many], walk[DT, :many], limit, until, made, notes),
        )
    for c in range(step[9]):
        out = room[step[8] + c]
        out[:n] = np.nan
        for i in range(many):
            out[walk_of[i]] = made[c, i]
