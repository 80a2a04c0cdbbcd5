"""What a member did time and again is nothing that it never did: spells that were told, and bounds that they raise."""

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
