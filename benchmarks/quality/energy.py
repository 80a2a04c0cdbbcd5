"""A heat substation and a gas station by the second, told every five: two days at rest and one under attack.

After what attacks on testbeds with a boiler do (HAI: Shin et al. 2020): what is told is another value, an old one or a
drifting one, and the controls believe it; a valve or a pump is forced; a mark is moved; and two leaks that are real.

The substation: a valve in the primary circuit holds the secondary's temperature to the weather, a pump its pressure
difference, make-up its pressure between two marks, out of a tank that is filled between two others. The gas station: a
regulator holds the pressure behind it, a second one stands by, a boiler between two marks warms what expansion cools,
odorant follows the flow. Each reading with its noise and its last digit.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numba import njit

from benchmarks.quality.made import START
from benchmarks.quality.plant import DAY, DRIFT, FORCE, HOLD, MARK, SET, SHIFT, TRAIN, Blow, between, force
from benchmarks.quality.sets import Case, long
from benchmarks.quality.treatment import wander

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Attacks = tuple[tuple[int, tuple[Blow, ...]], ...]
    Run = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

HEAT: Final = (
    "t_out", "t11", "t12", "f1", "p11", "p12", "t21", "t22", "f2", "p21", "p22", "lt3", "f3",
    "v1", "hz201", "p201", "p202", "p301", "mv301", "leak", "mark_t21", "mark_p22",
)  # fmt: skip
"""Readings, what is moved, and, told to nobody, a leak in m³/h and what marks are moved by."""
HEAT_NOISE: Final = (0.05, 0.08, 0.08, 0.05, 0.01, 0.01, 0.08, 0.08, 0.1, 0.008, 0.008, 0.15, 0.005)
HEAT_DIGITS: Final = (0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.1, 0.1, 0.1, 0.01, 0.01, 0.1, 0.01)
HEAT_TOLD: Final = 19
HEAT_ATTACKS: Final[Attacks] = (
    (12, (Blow("t21", SHIFT, -6.0),)),
    (15, (Blow("t21", HOLD),)),
    (20, (Blow("t21", DRIFT, -0.01),)),
    (10, (Blow("v1", FORCE, 100.0),)),
    (10, (Blow("v1", FORCE, 0.0),)),
    (6, (Blow("p201", FORCE, 1.0),)),
    (8, (Blow("p202", FORCE, 2.0),)),
    (25, (Blow("p22", SET, 3.3),)),
    (5, (Blow("p301", FORCE, 2.0),)),
    (25, (Blow("p301", FORCE, 1.0),)),
    (15, (Blow("mark_t21", MARK, 8.0),)),
    (25, (Blow("mark_p22", MARK, 0.3),)),
    (25, (Blow("lt3", HOLD),)),
    (20, (Blow("lt3", DRIFT, 0.03),)),
    (12, (Blow("mv301", FORCE, 2.0),)),
    (15, (Blow("t_out", SHIFT, -10.0),)),
    (7, (Blow("f1", SHIFT, -3.0),)),
    (8, (Blow("hz201", FORCE, 30.0),)),
    (10, (Blow("t12", SHIFT, 6.0),)),
    (6, (Blow("p11", SHIFT, -1.0),)),
    (20, (Blow("leak", FORCE, 1.0),)),
    (15, (Blow("leak", FORCE, 0.8), Blow("f3", SET, 0.0))),
)
"""Minutes and what is done."""
GAS: Final = (
    "p_in", "p_out", "p_end", "flow", "dp_filter", "t_in", "t_out", "t_water", "f_odor", "l_odor",
    "z1", "z2", "heater", "ssv1", "ssv2", "burner", "p_odor", "refill", "relief", "leak", "mark_p_out",
)  # fmt: skip
GAS_NOISE: Final = (0.02, 0.3, 0.3, 8.0, 0.05, 0.05, 0.08, 0.1, 0.01, 0.1)
GAS_DIGITS: Final = (0.01, 0.1, 0.1, 1.0, 0.1, 0.1, 0.1, 0.1, 0.01, 0.1)
GAS_TOLD: Final = 19
GAS_ATTACKS: Final[Attacks] = (
    (10, (Blow("p_out", SHIFT, -15.0),)),
    (15, (Blow("p_out", HOLD),)),
    (20, (Blow("p_out", DRIFT, 0.02),)),
    (6, (Blow("z1", FORCE, 90.0),)),
    (6, (Blow("z1", FORCE, 5.0),)),
    (15, (Blow("mark_p_out", MARK, 20.0),)),
    (8, (Blow("ssv1", FORCE, 1.0),)),
    (10, (Blow("relief", FORCE, 2.0),)),
    (25, (Blow("burner", FORCE, 1.0),)),
    (15, (Blow("burner", FORCE, 2.0),)),
    (10, (Blow("p_odor", FORCE, 1.0),)),
    (10, (Blow("f_odor", SHIFT, -0.5),)),
    (8, (Blow("flow", SHIFT, -300.0),)),
    (12, (Blow("t_out", SHIFT, -8.0),)),
    (12, (Blow("heater", FORCE, 0.0),)),
    (20, (Blow("t_water", HOLD),)),
    (7, (Blow("p_in", SHIFT, -2.0),)),
    (20, (Blow("dp_filter", DRIFT, 0.02),)),
    (20, (Blow("leak", FORCE, 250.0),)),
    (15, (Blow("p_end", HOLD),)),
    (20, (Blow("l_odor", DRIFT, -0.02),)),
    (12, (Blow("refill", FORCE, 2.0),)),
)


def heat(random: np.random.Generator, every: int = 5, longer: int = 1) -> Iterator[Case]:
    """The substation, told every so many seconds; attacks and all days so many times as long."""
    attacks, accuracy = _longer(HEAT_ATTACKS, longer), (HEAT_NOISE, HEAT_DIGITS)
    yield _case("heated", "heat-scada", HEAT, attacks, HEAT_TOLD, accuracy, _heat, random, every, longer)


def gas(random: np.random.Generator, every: int = 5, longer: int = 1) -> Iterator[Case]:
    """The gas station, likewise."""
    attacks, accuracy = _longer(GAS_ATTACKS, longer), (GAS_NOISE, GAS_DIGITS)
    yield _case("regulated", "gas-scada", GAS, attacks, GAS_TOLD, accuracy, _gas, random, every, longer)


def _longer(attacks: Attacks, longer: int) -> Attacks:
    """So many times as long; what drifts comes as far."""
    return tuple(
        (longer * minutes, tuple(b._replace(amount=b.amount / longer) if b.how == DRIFT else b for b in what))
        for minutes, what in attacks
    )


def _case(
    name: str,
    kind: str,
    names: tuple[str, ...],
    attacks: Attacks,
    told: int,
    accuracy: tuple[tuple[float, ...], tuple[float, ...]],
    run: Run,
    random: np.random.Generator,
    every: int,
    longer: int,
) -> Case:
    """Two days without attacks, then one with all of them in some order."""
    train, tested = longer * TRAIN, longer * DAY
    slot = (tested - 3600) // len(attacks)
    blows, spells = [], list[tuple[int, int]]()
    for k, one in enumerate(random.permutation(len(attacks))):
        minutes, what = attacks[one]
        start = train + 1800 + k * slot + int(random.integers(slot - 60 * minutes - 900))
        spells.append((start, start + 60 * minutes))
        blows += [(start, start + 60 * minutes, names.index(b.target), b.how, b.amount) for b in what]
    n = train + tested
    noises, digits = (np.array(each) for each in accuracy)
    noise = random.normal(0, 1, (n, len(noises))) * noises
    steps = n // 60
    slow = np.column_stack([wander(random, steps, memory, 1.0) for memory in (0.999, 0.995, 0.99, 0.98, 0.95)])
    slow = np.column_stack([np.interp(np.arange(n), 60 * np.arange(steps), column) for column in slow.T])
    values = run(noise, slow, np.array(blows, np.float64))[::every, :told].copy()
    del noise, slow
    values[:, : len(digits)] = np.round(values[:, : len(digits)] / digits) * digits
    values[:, len(digits) :] = np.round(values[:, len(digits) :], 1)
    at = START.replace(tzinfo=None)
    ts = pl.datetime_range(at, at + timedelta(seconds=n - 1), f"{every}s", time_unit="ms", eager=True)
    data = long(pl.DataFrame({"ts": ts, **dict(zip(names[:told], values.T, strict=True))}), name)
    faults = [(START + timedelta(seconds=a), START + timedelta(seconds=b)) for a, b in spells]
    return Case(name, kind, data, START + timedelta(seconds=train), faults)


@njit(cache=True)
def _forge(k: int, blows: NDArray[np.float64], said: NDArray[np.float64], last: NDArray[np.float64]) -> None:
    """Write what is told in place of what is; marks are moved in the rows behind the readings."""
    for b in range(len(blows)):
        begin, end, target, how, amount = blows[b]
        t = int(target)
        if k < begin or k >= end or how == FORCE:
            continue
        if how == HOLD:
            said[t] = last[t]
        elif how == SET:
            said[t] = amount
        else:
            said[t] += amount * (k - begin if how == DRIFT else 1.0)


@njit(cache=True)
def _held(far: float, was: float, place: float, gain: float, reset: float) -> float:
    """A proportional-integral controller's next place, 0 to 100, by how far it is off now and was before."""
    return float(min(100.0, max(0.0, place + gain * (far - was) + gain / reset * far)))


@njit(cache=True)
def _heat(noise: NDArray[np.float64], slow: NDArray[np.float64], blows: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is told each second; 1.163 kW warm a flow of 1 m³/h by a kelvin."""
    told = np.zeros((len(noise), 22))
    f1, t21, t22, p22, level, supply = 9.0, 50.0, 40.0, 3.2, 100.0, 75.0
    valve, hz, makeup, fill = 40.0, 45.0, 1.0, 1.0
    off_t, off_p = 0.0, 0.0
    said = np.zeros(22)
    for k in range(len(noise)):
        day = 2.0 * np.pi * k / DAY
        outside = -2.0 - 4.0 * np.cos(day - 0.6) + 1.5 * slow[k, 0]
        supply += (75.0 - outside + 0.5 * slow[k, 1] - supply) / 1800.0
        p11, p12 = 8.0 + 0.15 * slow[k, 2], 5.0 + 0.08 * slow[k, 3]
        resistance = 0.0012 * (1.0 - 0.08 * np.sin(day) + 0.01 * slow[k, 4])
        pumps = (1.0 if told[k - 1, 15] == 2.0 or k == 0 else 0.0) + (0.6 if told[k - 1, 16] == 2.0 else 0.0)
        f2 = np.sqrt(3.0 * (hz / 50.0) ** 2 * pumps / (resistance + 0.0005)) + 0.5
        f1 += (0.24 * valve * np.sqrt((p11 - p12) / 3.0) + 0.05 - f1) / 6.0
        least, most = min(f1, f2), max(f1, f2)
        units, ratio = 40.0 / (1.163 * least), least / most
        part = np.exp(-min(units * (1.0 - ratio), 50.0))
        power = (1.0 - part) / (1.0 - ratio * part) * 1.163 * least * (supply - t22)
        t12 = supply - power / (1.163 * f1)
        t21 = min(t21 + (t22 + power / (1.163 * f2) - t21) / 25.0, supply)
        rooms = 18.0 * (0.5 * (t21 + t22) - 20.5 - 0.6 * outside * 0.1)
        warmed = (t21 - rooms / (1.163 * f2) - t22) / 400.0
        warmed = max(warmed, 20.0 - t22)
        t22 += warmed
        f3 = 1.5 if told[k - 1, 17] == 2.0 and level > 2.0 else 0.0
        p22 += 6.4 / 3600.0 * (f3 - 0.15 - told[k - 1, 19]) + 0.02 * warmed
        p22 = min(max(p22, 0.0), 6.0)
        level += (3.0 * (told[k - 1, 18] == 2.0) - f3) / 3600.0 / 0.4 * 100.0
        level = min(max(level, 0.0), 180.0)
        lift = resistance * f2 * f2
        said[:13] = outside, supply, t12, f1, p11, p12, t21, t22, f2, p22 + lift, p22, level, f3
        said[:13] += noise[k]
        said[19:] = 0.0
        _forge(k, blows, said, told[k - 1])
        wanted = 50.0 - 0.8 * said[0] + said[20]
        was_t, was_p = off_t, off_p
        off_t, off_p = wanted - said[6], 1.7 - (said[9] - said[10])
        valve = _held(off_t, was_t, valve, 0.6, 90.0)
        hz = 0.5 * _held(off_p, was_p, 2.0 * hz, 2.0, 30.0)
        makeup = between(said[10], 3.0, 3.4 + said[21], makeup)
        fill = between(said[11], 80.0, 150.0, fill)
        said[13:19] = valve, hz, 2.0, 1.0, makeup, fill
        force(k, blows, said)
        valve, hz = said[13], said[14]
        told[k] = said
    return told


@njit(cache=True)
def _gas(noise: NDArray[np.float64], slow: NDArray[np.float64], blows: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is told each second: bar before the station, kPa behind it, m³/h, odorant in l/h."""
    told = np.zeros((len(noise), 21))
    p_out, water, warm, odor, flow, clog = 300.0, 70.0, 8.0, 60.0, 1500.0, 0.0
    z1, z2, heater, burner, refill = 40.0, 0.0, 40.0, 1.0, 1.0
    off_1, off_2, off_t = 0.0, 0.0, 0.0
    said = np.zeros(21)
    for k in range(len(noise)):
        day = 2.0 * np.pi * k / DAY
        p_in = 16.0 + 0.4 * slow[k, 1] - 0.3 * np.sin(day)
        cold = 5.0 + 0.5 * slow[k, 0]
        draw = 1500.0 * (
            1.0 - 0.35 * np.cos(day - 0.4) + 0.2 * np.sin(2.0 * day) + 0.04 * slow[k, 3] + 0.02 * slow[k, 4]
        )
        draw *= np.sqrt(max(p_out, 1.0) / 300.0)
        shut = told[k - 1] if k > 0 else np.full(21, 2.0)
        through = 2.4 * p_in * ((z1 + 0.2) * (shut[13] == 2.0) + z2 * (shut[14] == 2.0))
        flow += (through - flow) / 2.0
        vented = 900.0 * p_out / 300.0 if shut[18] == 2.0 and k > 0 else 0.0
        lost = told[k - 1, 19]
        p_out = min(max(p_out + (flow - draw - vented - lost) / 3600.0 * 6.0, 0.0), 600.0)
        p_end = max(p_out - 8e-6 * (draw + 0.7 * lost) ** 2, 0.0)
        clog += 1e-6
        heated = heater / 100.0 * 2.2 * (water - cold)
        warm += (cold - 0.45 * (p_in - p_out / 100.0) + heated * 0.9 * 600.0 / max(flow, 50.0) - warm) / 30.0
        water += (0.03 * (shut[15] == 2.0) - heated * 1.1e-4 - 0.001) if k > 0 else 0.0
        water = min(water, 99.0)
        dosed = 0.0012 * flow if shut[16] == 2.0 else 0.0
        odor += (25.0 * (shut[17] == 2.0 and k > 0) - dosed) / 3600.0
        odor = min(max(odor, 0.0), 100.0)
        said[:10] = p_in, p_out, p_end, flow, 6e-6 * flow * flow * (1.0 + clog), cold, warm, water, dosed, odor
        said[:10] += noise[k]
        said[19:] = 0.0
        _forge(k, blows, said, told[k - 1])
        was_1, was_2, was_t = off_1, off_2, off_t
        off_1, off_2, off_t = 300.0 + said[20] - said[1], 285.0 - said[1], 8.0 - said[6]
        z1 = _held(off_1, was_1, z1, 0.25, 8.0)
        z2 = _held(off_2, was_2, z2, 0.25, 8.0)
        heater = _held(off_t, was_t, heater, 1.0, 60.0)
        burner = between(said[7], 65.0, 75.0, burner)
        refill = between(said[9], 50.0, 60.0, refill)
        relief = 2.0 if said[1] > 345.0 else 1.0
        said[10:19] = z1, z2, heater, 2.0, 2.0, burner, 2.0, refill, relief
        force(k, blows, said)
        z1, z2, heater = said[10], said[11], said[12]
        told[k] = said
    return told
