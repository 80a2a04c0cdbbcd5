"""The alarm state machine of one rule over many points (ISA-18.2: normal, pending, active, latched).

::

              raise run complete: RAISED                 clear run complete
    NORMAL ------------------------------> ACTIVE ----------------------------> LATCHED   (rule latches)
      ^  ^                                   | |  ^                                |  |
      |  +---- clear run complete: CLEARED --+ |  +-- raise run: CLEARED, RAISED --+  |
      |                                        | acknowledged                         | acknowledged: CLEARED
      +------ clear run complete: CLEARED -- ACKED                                    |
      +-------------------------------------------------------------------------------+

A *run* is a sequence of readings of the point that all satisfy a condition. Pending (NORMAL or LATCHED with a raise
run begun) and clearing (ACTIVE with a clear run begun) are the states with ``count`` > 0. While ACTIVE, a reading that
satisfies ``raise`` is never part of a clear run. A latched alarm never hides a new one: when the raise run completes
again, the old alarm is cleared and a new one raised.

By far the most states are at rest (NORMAL, no run), so only the others are held, in an open-addressed table: ``keys``
(slot, FREE where there is none) beside ``phase``, ``count``, ``run`` and ``onset``. Its length is a power of two. What
comes to rest stays in the table as zeros until the table is made anew (``rules/alarms.py``).
"""

from numba import njit

from rules.kernels.types import I8, I32, I64, U8, Mask

NORMAL, ACTIVE, LATCHED, ACKED = 0, 1, 2, 3
CLEARED, RAISED = 0, 1
FREE = -1
SPREAD = 2_654_435_761
"""Multiplicative hashing (Knuth, The Art of Computer Programming, 6.4): slots that stir often lie side by side."""


@njit(cache=True, nogil=True)
def place_of(keys: I32, slot: int) -> int:
    """Where a slot is in the table, or the free place at which it would be."""
    mask = len(keys) - 1
    at = (slot * SPREAD >> 9) & mask
    while keys[at] != slot and keys[at] != FREE:
        at = (at + 1) & mask
    return int(at)


@njit(cache=True, nogil=True)
def advance(
    slots: I32,
    raised: Mask,
    clear: Mask,
    ts: I64,
    keys: I32,
    phase: U8,
    count: I32,
    run: I64,
    onset: I64,
    on_n: int,
    on_ms: int,
    off_n: int,
    off_ms: int,
    latch: bool,
    out_row: I32,
    out_kind: I8,
    out_onset: I64,
) -> int:
    """Feed rows in reading order; returns how many changes were written to ``out_*`` (at most two a row).

    Row columns: ``slots``, ``raised`` and ``clear`` (conditions), ``ts`` (ms). State, by place of the table: ``phase``,
    ``count`` (readings in the run), ``run`` (time of its first reading), ``onset`` (of the alarm that is up). The
    table must have a free place for each row that is raised, and one more.
    """
    n = 0
    for i in range(len(slots)):
        s = place_of(keys, slots[i])
        if keys[s] == FREE:
            if not raised[i]:
                continue
            keys[s] = slots[i]
        up = phase[s] == ACTIVE or phase[s] == ACKED
        if up:
            if not clear[i] or raised[i]:
                count[s] = 0
                continue
            if count[s] == 0:
                run[s] = ts[i]
            count[s] += 1
            if count[s] >= off_n and ts[i] - run[s] >= off_ms:
                count[s] = 0
                if latch and phase[s] == ACTIVE:
                    phase[s] = LATCHED
                else:
                    phase[s] = NORMAL
                    out_row[n] = i
                    out_kind[n] = CLEARED
                    out_onset[n] = onset[s]
                    n += 1
                    onset[s] = 0
            continue
        if not raised[i]:
            count[s] = 0
            continue
        if count[s] == 0:
            run[s] = ts[i]
        count[s] += 1
        if count[s] >= on_n and ts[i] - run[s] >= on_ms:
            if phase[s] == LATCHED:
                out_row[n] = i
                out_kind[n] = CLEARED
                out_onset[n] = onset[s]
                n += 1
            count[s] = 0
            phase[s] = ACTIVE
            onset[s] = run[s]
            out_row[n] = i
            out_kind[n] = RAISED
            out_onset[n] = onset[s]
            n += 1
    return n


@njit(cache=True, nogil=True)
def concerned(slots: I32, raised: Mask, keys: I32, phase: U8, count: I32, sieve: Mask, out: I64) -> int:
    """Rows of slots that are not at rest or raise in some row, and some more; returns how many.

    ``sieve``, all false and of a length that is a power of two, tells slots apart by their last bits.
    """
    mask = len(sieve) - 1
    for k in range(len(keys)):
        if keys[k] != FREE and (phase[k] != NORMAL or count[k] != 0):
            sieve[keys[k] & mask] = True
    for i in range(len(slots)):
        if raised[i]:
            sieve[slots[i] & mask] = True
    n = 0
    for i in range(len(slots)):
        if sieve[slots[i] & mask]:
            out[n] = i
            n += 1
    return n


@njit(cache=True, nogil=True)
def fetch(slots: I32, keys: I32, table: I64, out: I64) -> None:
    """One column of the table at some slots, 0 for those that are not in it."""
    for i in range(len(slots)):
        s = place_of(keys, slots[i])
        out[i] = 0 if keys[s] == FREE else table[s]


@njit(cache=True, nogil=True)
def put(slots: I32, values: I64, keys: I32, phase: U8, count: I32, run: I64, onset: I64) -> None:
    """Write states (a row of four numbers a slot); there must be a free place for each, and one more."""
    for i in range(len(slots)):
        s = place_of(keys, slots[i])
        if keys[s] == FREE and values[i, 0] == NORMAL and values[i, 1] == 0:
            continue
        keys[s] = slots[i]
        phase[s] = values[i, 0]
        count[s] = values[i, 1]
        run[s] = values[i, 2]
        onset[s] = values[i, 3]
