"""A numeric condition over columns, block by block: what is computed on the way stays in the nearest cache.

Conditions are texts of operators, so none can be compiled ahead: their code (``rules/machine_code.py``) is data, and
one kernel runs it. Each instruction is a loop over a block of rows, so that reading the code costs next to nothing a
row, and it is the same arithmetic as numpy's, one operation at a time: what is true is so to the bit.

Instructions are four numbers, ``op out a b``. Numbers and flags have registers of their own, each a block wide. NULL is
NaN, and a comparison with it is not true; where something is false is asked for by another comparison.
"""

import numpy as np
from numba import carray, njit

from rules.kernels.addresses import as_bytes, as_doubles
from rules.kernels.types import F64, I32, I64, U8

BLOCK = 512
LOAD, ADD, SUB, MUL, DIV, NEG, ABS, SIGN, FLOOR, CEIL, MAX, MIN, COALESCE, NULLIF = range(14)
FILL, EQ, NE, LT, LE, GT, GE, IS_NULL, NOT_NULL, AND, OR, SKIP, KEEP = range(14, 27)
"""``SKIP``: go on at instruction b where flag a is set in no row of the block. ``KEEP``: of the rows that are left,
those with flag a; where none is, the block is done."""


@njit(cache=True, nogil=True)
def _some(flags: U8) -> bool:
    found = np.uint8(0)
    for i in range(len(flags)):
        found |= flags[i]
    return bool(found != 0)


@njit(cache=True, nogil=True)
def _keep(rest: U8, flags: U8, again: bool) -> bool:
    found = np.uint8(0)
    if again:
        for i in range(len(rest)):
            kept = rest[i] & flags[i]
            rest[i] = kept
            found |= kept
    else:
        for i in range(len(rest)):
            rest[i] = flags[i]
            found |= flags[i]
    return bool(found != 0)


@njit(cache=True, nogil=True, error_model="numpy")
def run(
    code: I32, start: int, end: int, constants: F64, numbers: F64, flags: U8, columns: I64, again: bool, left: U8
) -> bool:
    """Run instructions ``start`` up to ``end``, the last of which keeps, over all rows; whether any row is left.

    ``numbers`` (registers, BLOCK) and ``flags`` (registers, BLOCK) are room, with ``constants`` in the last registers
    of numbers. Both are the caller's, as is what ``columns`` point to: numba frees an array of its own after the last
    line that names it, whoever holds its address. ``columns`` are addresses of float64, one for each of the rows of
    ``left``, which tells at the end which are left: of all, or ``again`` of those that were.
    """
    rows, own = len(left), len(numbers) - len(constants)
    at_number, at_flag = numbers.ctypes.data, flags.ctypes.data
    registers = np.empty(len(numbers), np.int64)
    for k in range(len(numbers)):
        registers[k] = at_number + 8 * BLOCK * k
    widest = min(BLOCK, rows)  # of a few rows filling whole blocks would take longer than all else
    for k in range(len(constants)):
        numbers[own + k, :widest] = constants[k]
    any_left = False
    for begin in range(0, rows, BLOCK):
        n = min(BLOCK, rows - begin)
        rest = left[begin : begin + n]
        kept = again
        if kept and not _some(rest):
            continue
        at = start
        while at < end:
            op, o, a, b = code[at, 0], code[at, 1], code[at, 2], code[at, 3]
            at += 1
            if op == LOAD:
                registers[o] = columns[a] + 8 * begin
            elif op < FILL:
                x, y = carray(as_doubles(registers[a]), n), carray(as_doubles(registers[b]), n)
                registers[o] = at_number + 8 * BLOCK * o
                _compute(op, carray(as_doubles(registers[o]), n), x, y)
            elif op < AND:
                flag = carray(as_bytes(at_flag + BLOCK * o), n)
                if op == FILL:
                    flag[:] = a
                else:
                    _compare(op, flag, carray(as_doubles(registers[a]), n), carray(as_doubles(registers[b]), n))
            elif op < SKIP:
                _join(op, carray(as_bytes(at_flag + BLOCK * o), n), carray(as_bytes(at_flag + BLOCK * a), n))
            elif op == SKIP:
                if not _some(carray(as_bytes(at_flag + BLOCK * a), n)):
                    at = b
            elif _keep(rest, carray(as_bytes(at_flag + BLOCK * a), n), kept):
                kept = True
                any_left |= at == end
            else:
                break
    return any_left


@njit(cache=True, nogil=True)
def _join(op: int, f: U8, g: U8) -> None:
    if op == AND:
        for i in range(len(f)):
            f[i] &= g[i]
    else:
        for i in range(len(f)):
            f[i] |= g[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _compute(op: int, r: F64, x: F64, y: F64) -> None:
    n = len(r)
    if op == ADD:
        for i in range(n):
            r[i] = x[i] + y[i]
    elif op == SUB:
        for i in range(n):
            r[i] = x[i] - y[i]
    elif op == MUL:
        for i in range(n):
            r[i] = x[i] * y[i]
    elif op == DIV:
        for i in range(n):
            r[i] = x[i] / y[i] if y[i] != 0.0 else np.nan
    elif op == NEG:
        for i in range(n):
            r[i] = -x[i]
    elif op == ABS:
        for i in range(n):
            r[i] = abs(x[i])
    elif op == SIGN:
        for i in range(n):
            r[i] = 1.0 if x[i] > 0.0 else -1.0 if x[i] < 0.0 else 0.0 if x[i] == 0.0 else np.nan
    elif op == FLOOR:
        for i in range(n):
            r[i] = np.floor(x[i])
    elif op == CEIL:
        for i in range(n):
            r[i] = np.ceil(x[i])
    elif op == MAX:
        for i in range(n):
            r[i] = x[i] if x[i] >= y[i] or y[i] != y[i] else y[i]
    elif op == MIN:
        for i in range(n):
            r[i] = x[i] if x[i] <= y[i] or y[i] != y[i] else y[i]
    elif op == COALESCE:
        for i in range(n):
            r[i] = x[i] if x[i] == x[i] else y[i]
    else:
        for i in range(n):
            r[i] = np.nan if x[i] == y[i] else x[i]


@njit(cache=True, nogil=True)
def _compare(op: int, f: U8, x: F64, y: F64) -> None:
    n = len(f)
    if op == EQ:
        for i in range(n):
            f[i] = x[i] == y[i]
    elif op == NE:
        for i in range(n):
            f[i] = (x[i] < y[i]) | (x[i] > y[i])
    elif op == LT:
        for i in range(n):
            f[i] = x[i] < y[i]
    elif op == LE:
        for i in range(n):
            f[i] = x[i] <= y[i]
    elif op == GT:
        for i in range(n):
            f[i] = x[i] > y[i]
    elif op == GE:
        for i in range(n):
            f[i] = x[i] >= y[i]
    elif op == IS_NULL:
        for i in range(n):
            f[i] = x[i] != x[i]
    else:
        for i in range(n):
            f[i] = x[i] == x[i]
