"""What of the unusual is news: not what is going back, and not what a member did time and again since.

``habit.py`` says what is unusual beside the normal period; here are the spells that were told, and the bounds that they
raise.
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64

RANGE, REST, MEAN, CHANGE = range(4)
"""What can be unusual of a member, rows of ``odd``."""
KINDS = 4
BEGUN, LAST, MOST, BOUND = range(4)
"""Places in ``spells``: when the present one began (NaN: none), when it was told at last, the most since, and what the
spells before it raised the bound to (1: nothing)."""
TIMES = 3
"""So many spells make a habit."""
CALM_MS = 600_000.0
"""A spell is over when nothing was told for so long."""
KEPT_MS = 604_800_000.0
"""Spells of before are forgotten: a week has all that a plant does every week."""
FURTHER = 1.25
"""Told is what goes further by a quarter than what became a habit."""
STANDS = 0.05
"""What stands out is told when it did so by this share for a window; by more, sooner."""
BACK = 0.25
"""A member that went back by this share of the way that it had left is going back."""
HALTS_MS = 600_000.0
"""Unless it stops on its way for so long."""


@njit(cache=True, nogil=True)
def beside(odd: F64, spells: F64, out: F64) -> None:
    """``odd`` (kinds x members, 1 at the bound of normal times) beside what became a habit since."""
    for kind in range(KINDS):
        for j in range(odd.shape[1]):
            bound = spells[BOUND, kind, j]
            out[kind, j] = odd[kind, j] / (FURTHER * bound) if bound > 1.0 else odd[kind, j]


@njit(cache=True, nogil=True)
def note(now: float, stays: float, worst: int, of: int, odd: F64, spells: F64, peaks: F64, when: F64) -> None:
    """Go on with the spells of a frame of which member ``worst`` was told (-1: none) for what it was of kind ``of``.

    One that is forged makes all unusual that follow from it, so a spell is of what was told alone, and of what is told
    no longer. A spell lasts until nothing was told for ``CALM_MS``, or for a third of ``stays``: what goes on begins
    another. ``peaks`` and ``when`` (spells x kinds x members): the most of the three highest of the last week, and when
    they ended. The least of the three is the bound; of a rest, which goes on growing, the highest.
    """
    for kind in range(KINDS):
        for j in range(odd.shape[1]):
            value, spell = odd[kind, j], spells[:, kind, j]
            known = 1.0 < value <= FURTHER * spell[BOUND] and spell[BOUND] > 1.0
            if known or (j == worst and kind == of):
                if np.isnan(spell[BEGUN]):
                    spell[BEGUN], spell[MOST] = now, value
                    _bound(now, kind, spell, peaks[:, kind, j], when[:, kind, j])
                spell[LAST], spell[MOST] = now, max(spell[MOST], value)
            if now - spell[LAST] > CALM_MS or (now - spell[BEGUN]) * TIMES > stays:
                _end(now, kind, spell, peaks[:, kind, j], when[:, kind, j])


@njit(cache=True, nogil=True)
def _end(now: float, kind: int, spell: F64, peaks: F64, when: F64) -> None:
    """Note a spell in place of the least of those before, of equal ones the oldest."""
    at = 0
    for k in range(TIMES):
        if now - when[k] > KEPT_MS:
            peaks[k] = 1.0
        if peaks[k] < peaks[at] or (peaks[k] == peaks[at] and when[k] < when[at]):
            at = k
    if spell[MOST] >= peaks[at]:
        peaks[at], when[at] = spell[MOST], now
    spell[BEGUN], spell[LAST] = np.nan, np.nan
    _bound(now, kind, spell, peaks, when)


@njit(cache=True, nogil=True)
def _bound(now: float, kind: int, spell: F64, peaks: F64, when: F64) -> None:
    """What the spells that are not too old raise the bound to."""
    least, most = np.inf, 1.0
    for k in range(TIMES):
        peak = peaks[k] if now - when[k] <= KEPT_MS else 1.0
        least, most = min(least, peak), max(most, peak)
    spell[BOUND] = most if kind == REST and least > 1.0 else least


@njit(cache=True, nogil=True)
def told(now: float, used: int, where: F64, way: F64) -> None:
    """Leave out of ``where`` (1 at the bound) what does not stand out for long enough yet, and what is going back.

    A tank that was driven out of its range takes its time to come back, when nothing is wrong any longer.
    ``way`` (4 x members): furthest since a member left, nearest since then and when, sum of what it stood out by.
    """
    for j in range(len(where)):
        if not where[j] > 1.0:
            way[:, j] = 0.0
            continue
        way[3, j] += where[j] - 1.0
        least = BACK * (way[0, j] - 1.0)
        back = way[1, j] < way[0, j] - least
        if where[j] > way[0, j] + (least if back else 0.0):
            way[0, j], way[1, j], way[2, j] = where[j], where[j], now
            least = BACK * (where[j] - 1.0)
        if where[j] < way[1, j] - 0.1 * least:
            way[1, j], way[2, j] = where[j], now
        elif now - way[2, j] > HALTS_MS:
            way[0, j], way[1, j], way[2, j] = where[j], where[j], now
        if way[3, j] < STANDS * used or way[1, j] < way[0, j] - least:
            where[j] = 1.0
