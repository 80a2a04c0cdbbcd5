"""A water treatment plant by the second, two days at rest and one under attack: what SCADA sets by the hour have not.

After the published descriptions of testbeds such as SWaT and WADI (Goh et al. 2016, Ahmed et al. 2017): three tanks
one after the other, valves and pumps between them that follow the tanks' levels between two marks, a pump at the ready
that never runs, dosing that follows the flow, a membrane that clogs and is rinsed, analysers that wander. Levels are
told in mm, flows in m³/h, each with its noise and its last digit. An attack lasts 4 to 25 minutes: what is told is
another value, an old one or a drifting one (and the controls believe it), a pump or a valve is forced, a mark is moved,
or several of these at once. Some change nothing that anybody could see: a valve held where it is.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl
from numba import njit

from benchmarks.quality.made import START
from benchmarks.quality.sets import Case, long
from benchmarks.quality.treatment import wander

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DAY: Final = 86_400
TRAIN: Final = 2 * DAY
NAMES: Final = (
    "lit101", "lit301", "lit401", "fit101", "fit201", "fit301", "fit401", "fit501", "fit601", "dpit301", "pit501",
    "ait201", "ait202", "ait203", "ait402", "ait501",
    "mv101", "p101", "p102", "p203", "mv302", "p301", "p401", "p402", "uv401", "p602",
)  # fmt: skip
"""Levels, flows, pressures, analysers, then states: 0 off or moving, 1 off or closed, 2 on or open."""
STATES: Final = NAMES.index("mv101")
NOISE: Final = (
    0.6, 0.6, 0.6, 0.02, 0.004, 0.006, 0.004, 0.003, 0.002, 0.12, 0.35,
    0.15, 0.008, 0.4, 0.3, 0.01,
)  # fmt: skip
DIGITS: Final = (0.03, 0.04, 0.04, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001, 0.01, 0.02, 0.05, 0.001, 0.03, 0.02, 0.001)
"""Deviation and last digit of each of them that is no state."""
SET, HOLD, SHIFT, DRIFT, FORCE, MARK = range(6)
"""What an attack does: tell a value, or what was; add to it, or more each second; hold a state; move an upper mark."""


class Blow(NamedTuple):
    """One of the things that an attack does: to what, how, by how much."""

    target: str
    how: int
    amount: float = 0.0


ATTACKS: Final[tuple[tuple[int, tuple[Blow, ...]], ...]] = (
    (15, (Blow("lit101", SET, 860.0),)),
    (10, (Blow("lit301", SET, 700.0),)),
    (12, (Blow("lit401", HOLD),)),
    (10, (Blow("lit101", DRIFT, 0.4),)),
    (20, (Blow("lit301", DRIFT, -0.25),)),
    (15, (Blow("p101", FORCE, 2.0),)),
    (10, (Blow("p101", FORCE, 1.0),)),
    (8, (Blow("p102", FORCE, 2.0),)),
    (12, (Blow("mv101", FORCE, 2.0),)),
    (15, (Blow("mv101", FORCE, 1.0),)),
    (10, (Blow("p301", FORCE, 1.0),)),
    (6, (Blow("fit401", SHIFT, -0.5),)),
    (7, (Blow("ait202", SET, 6.0),)),
    (10, (Blow("ait501", SHIFT, 0.25),)),
    (20, (Blow("ait203", HOLD),)),
    (4, (Blow("dpit301", SHIFT, 30.0),)),
    (25, (Blow("lit101", MARK, 120.0),)),
    (12, (Blow("p203", FORCE, 1.0),)),
    (10, (Blow("lit401", SET, 950.0), Blow("p401", FORCE, 1.0))),
    (6, (Blow("uv401", FORCE, 1.0),)),
    (5, (Blow("fit101", SHIFT, -2.0), Blow("mv101", FORCE, 2.0))),
    (25, (Blow("pit501", DRIFT, -0.02),)),
)
"""Minutes and what is done."""


def plant(random: np.random.Generator) -> Iterator[Case]:
    """Two days without attacks, then one with all of ``ATTACKS`` in some order."""
    order = random.permutation(len(ATTACKS))
    slot = (DAY - 3600) // len(ATTACKS)
    blows, spells = [], list[tuple[int, int]]()
    for k, one in enumerate(order):
        minutes, what = ATTACKS[one]
        start = TRAIN + 1800 + k * slot + int(random.integers(slot - 60 * minutes - 900))
        spells.append((start, start + 60 * minutes))
        blows += [(start, start + 60 * minutes, NAMES.index(b.target), b.how, b.amount) for b in what]
    n = TRAIN + DAY
    noise = random.normal(0, 1, (n, STATES)) * np.array(NOISE)
    minutes_of = n // 60
    slow = np.column_stack([wander(random, minutes_of, memory, 1.0) for memory in (0.999, 0.98, 0.98, 0.995, 0.98)])
    slow = np.column_stack([np.interp(np.arange(n), 60 * np.arange(minutes_of), column) for column in slow.T])
    told = _run(noise, slow, np.array(blows, np.float64))
    told[:, :STATES] = np.round(told[:, :STATES] / np.array(DIGITS)) * np.array(DIGITS)
    at = START.replace(tzinfo=None)
    ts = pl.datetime_range(at, at + timedelta(seconds=n - 1), "1s", time_unit="ms", eager=True)
    data = long(pl.DataFrame({"ts": ts, **dict(zip(NAMES, told.T, strict=True))}), "works")
    faults = [(START + timedelta(seconds=a), START + timedelta(seconds=b)) for a, b in spells]
    yield Case("attacked", "water-scada", data, START + timedelta(seconds=TRAIN), faults)


@njit(cache=True)
def _forge(k: int, blows: NDArray[np.float64], said: NDArray[np.float64], last: NDArray[np.float64]) -> float:
    """Write what is told in place of what is; returns by how much the first tank's upper mark is moved."""
    moved = 0.0
    for b in range(len(blows)):
        begin, end, target, how, amount = blows[b]
        t = int(target)
        if k < begin or k >= end or how == FORCE:
            continue
        if how == MARK:
            moved += amount
        elif how == HOLD:
            said[t] = last[t]
        else:
            kept = 0.0 if how == SET else said[t]
            said[t] = kept + amount * (k - begin if how == DRIFT else 1.0)
    return moved


@njit(cache=True)
def force(k: int, blows: NDArray[np.float64], wanted: NDArray[np.float64]) -> None:
    """Hold the states that an attack holds."""
    for b in range(len(blows)):
        begin, end, target, how, amount = blows[b]
        if begin <= k < end and how == FORCE:
            wanted[int(target)] = amount


@njit(cache=True)
def between(level: float, low: float, high: float, state: float) -> float:
    """On below the lower mark, off above the upper one; between them nothing changes."""
    return 2.0 if level < low else 1.0 if level > high else state


@njit(cache=True)
def _on(state: float, amount: float) -> float:
    return amount if state == 2.0 else 0.0


@njit(cache=True)
def _run(noise: NDArray[np.float64], slow: NDArray[np.float64], blows: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is told each second. Levels in mm over 1.5 m², so a flow of 1 m³/h lifts one by 0.185 mm a second."""
    told, tanks, flows = (
        np.zeros((len(noise), 26)),
        np.array([600.0, 900.0, 900.0]),
        np.array([0.0, 0.0, 0.0, 1.7, 0.0]),
    )
    valve, duty, feed, moving, acid, clog = 1.0, 1.0, 1.0, 0, 0.0, 0.0
    wanted, said = np.ones(26), np.zeros(16)
    for k in range(len(noise)):
        wash = 1.0 if k % 1860 >= 1800 else 0.0
        said[:3], said[3:7], said[7], said[8] = tanks, flows[:4], 0.72 * flows[3], flows[4]
        said[9:] = (
            12.0 * flows[2] * (1.0 + clog) / 2.2, 140.0 * flows[3] + 8.0 + 0.6 * slow[k, 1], 262.0 + 2.0 * slow[k, 0],
            8.4 + 0.02 * slow[k, 2] - acid, 330.0 + 4.0 * slow[k, 1] + 40.0 * acid, 190.0 + 2.0 * slow[k, 3],
            7.8 + 0.02 * slow[k, 4],
        )  # fmt: skip
        said += noise[k]
        moved = _forge(k, blows, said, told[k - 1])
        duty = between(said[1], 800.0, 1000.0, duty)
        feed = between(said[2], 800.0, 1000.0, feed)
        wanted[16] = between(said[0], 500.0, 800.0 + moved, valve)
        wanted[17] = duty if said[0] > 250.0 else 1.0
        wanted[18] = 1.0
        wanted[19] = 2.0 if flows[1] > 1.0 else 1.0
        wanted[20] = wanted[25] = 1.0 + wash
        wanted[21] = feed if said[1] > 250.0 and wash == 0.0 else 1.0
        wanted[22] = wanted[24] = 2.0
        force(k, blows, wanted)
        moving = 8 if wanted[16] != valve else max(moving - 1, 0)
        valve = wanted[16]
        into = np.array([
            _on(valve, 2.55 + 0.02 * slow[k, 3]),
            _on(wanted[17], 2.45) + _on(wanted[18], 0.9),
            _on(wanted[21], 2.2 - 0.05 * clog),
            _on(wanted[22], 1.7 + 0.01 * slow[k, 4]),
            1.8 * wash,
        ])  # fmt: skip
        into[1:4] *= tanks > 20.0
        flows += (into - flows) / 3.0
        clog = (1.0 - wash) * (clog + 0.5 / 1800.0)
        acid += (_on(wanted[19], 0.15) - acid) / 240.0
        tanks += 0.185 * (flows[:3] - flows[1:4])
        tanks[2] -= 0.185 * 0.3 * flows[4]
        tanks[:] = np.minimum(np.maximum(tanks, 0.0), 1200.0)
        told[k, :16], told[k, 16:] = said, wanted[16:]
        if moving > 0:
            told[k, 16] = 0.0
    return told
