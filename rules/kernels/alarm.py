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
"""

from numba import njit

from rules.kernels.types import I8, I32, I64, U8, Mask

NORMAL, ACTIVE, LATCHED, ACKED = 0, 1, 2, 3
CLEARED, RAISED = 0, 1


@njit(cache=True, nogil=True)
def advance(
    slots: I32,
    raised: Mask,
    clear: Mask,
    ts: I64,
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

    Row columns: ``slots`` (state row), ``raised`` and ``clear`` (conditions), ``ts`` (ms). State: ``phase``, ``count``
    (readings in the run), ``run`` (time of its first reading), ``onset`` (of the alarm that is up).
    """
    n = 0
    for i in range(len(slots)):
        s = slots[i]
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
