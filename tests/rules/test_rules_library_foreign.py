"""Standard rules for kinds of foreign history: each fires where it should and stays silent beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lifeline.core.alarm import AlarmChange
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet
from rules.vocabulary import FOREIGN

FILES = {"methane.toml", "scada.toml", "meters.toml"}
RULES = {r.id: r for r in RuleSet.standard().rules if r.file in FILES}
MIDNIGHT = 1_795_132_800_000
"""2026-11-20 00:00 UTC."""

RING_LEAK = (1510, 1534)
"""Frames in which the closed net leaks."""
Series = dict[str, NDArray[np.float64]]
"""Values by quantity, one a step."""
RANDOM = np.random.default_rng(11)


def noise(n: int, sd: float) -> NDArray[np.float64]:
    return RANDOM.normal(0, sd, n).round(3)


def after(n: int, start: int, value: float) -> NDArray[np.float64]:
    return np.where(np.arange(n) >= start, value, 0.0)


def plume(*excess: float, flicker: float = 0.03) -> Series:
    return {f"ch4_{k}": 2.0 + noise(60, flicker) + after(60, 30, e) for k, e in enumerate(excess)} | {
        "wind_dir": noise(60, 90.0)
    }


def digits(release: float) -> Series:
    """A sensor that tells whole ppm, mostly two of them."""
    return {"ch4": np.round(2.0 + noise(600, 0.5)) + after(600, 560, release)}


def pooling(ppb: bool = False) -> Series:
    """A still night without a leak: methane gathers near the ground for six hours, until it has doubled."""
    rise = np.clip(np.arange(1000) - 640, 0, 360) / 360 * 1.9
    told = 2.0 + noise(1000, 0.02) + rise
    return {"methane": 1000 * told if ppb else told}


def percent(site: Series) -> Series:
    """The same in per cent of the air, and no name says so."""
    return {name: values / 10_000 for name, values in site.items()}


def once(excess: float) -> Series:
    """One reading of many that stands above the background, as a quarter of an hour of a plume does."""
    told = 2.0 + noise(60, 0.03)
    told[50] += excess
    return {"ch4": told}


def renamed(site: Series, **names: str) -> Series:
    """The same columns, some of them called otherwise."""
    return {names.get(name, name): values for name, values in site.items()}


def swings(by: float) -> Series:
    """What nothing calls wind or air, beside a plume's absence: directions, degrees, pascals."""
    return {
        "x1": 3.1 + noise(600, 1.5),
        "x2": 284.0 + noise(600, 0.3) + after(600, 400, by),
        "x3": 101_400.0 + noise(600, 20.0),
    }


def in_ppb(site: Series) -> Series:
    """The same, told in billionths, as the column's name says."""
    return {name.replace("ch4", "ppb"): 1000 * values for name, values in site.items() if name.startswith("ch4")}


def face(*values: float) -> Series:
    return {"mm116": np.array(values), "ba13": np.full(len(values), 1020.0)}


def network(wrong: bool) -> Series:
    """A pump fills a tank between two levels while a town drinks; where wrong, the level told is of another time."""
    n = 66 * 24
    demand = 0.5 + 0.3 * np.sin(np.arange(n) / 24 * 2 * np.pi) + noise(n, 0.03)
    pump, level = np.zeros(n), np.full(n, 3.0)
    for k in range(1, n):
        pump[k] = level[k - 1] < 2 or (pump[k - 1] and level[k - 1] < 4)
        level[k] = level[k - 1] + pump[k] - demand[k]
    told = level.copy()
    if wrong:
        told[-72:] = level[100:172]
    return {
        "s_pu1": pump,
        "f_pu1": 90 * pump + noise(n, 1.0),
        "l_t1": told + noise(n, 0.01),
        "p_j1": 30 - 5 * pump - 4 * demand + noise(n, 0.1),
    }


def tank(forged: bool) -> Series:
    """A tank by the minute that a pump fills between two marks; where forged, its level stands still with its noise."""
    n = 8 * 1440
    pump, level = np.zeros(n), np.full(n, 600.0)
    outlet = 2.4 + noise(n, 0.02)
    for k in range(1, n):
        pump[k] = level[k - 1] < 500 or (pump[k - 1] and level[k - 1] < 800)
        level[k] = level[k - 1] + 10 * pump[k] * 0.5 - 1.0 * outlet[k]
    told = level.copy()
    if forged:
        told[-60:] = level[-61]
    return {"mv1": pump, "fit1": 5.0 * pump + noise(n, 0.02), "fit2": outlet, "lit1": told + noise(n, 0.5)}


def ring(leak: float) -> Series:
    """A closed net, told by the hour: four customers, a feed that loses pressure with its flow, and a leak of a day."""
    n = 66 * 24
    hour = np.arange(n) / 24 * 2 * np.pi
    draws = [2 + np.sin(hour + k) + noise(n, 0.1) for k in range(4)]
    escaping = np.where((np.arange(n) >= RING_LEAK[0]) & (np.arange(n) < RING_LEAK[1]), leak, 0.0)
    supply, back = sum(draws) + escaping, sum(draws)
    return {
        "f_feed": supply * (1 + noise(n, 0.01)),
        "f_return": back * (1 + noise(n, 0.01)),
        "p_near": 6 - 0.002 * supply**2 + noise(n, 0.002),
        "p_far": 6 - 0.004 * supply**2 - 0.01 * draws[3] ** 2 + noise(n, 0.002),
    }


def boiler(forged: bool) -> Series:
    """A boiler by the minute, warmed between two marks; where forged, what it tells stands still with its noise."""
    n = 8 * 1440
    burner, warm = np.zeros(n), np.full(n, 70.0)
    draw = 40 + 5 * np.sin(np.arange(n) / 1440 * 2 * np.pi) + noise(n, 0.3)
    for k in range(1, n):
        burner[k] = warm[k - 1] < 65 or (burner[k - 1] and warm[k - 1] < 75)
        warm[k] = warm[k - 1] + 1.5 * burner[k] - 0.01 * draw[k]
    if forged:
        warm[-60:] = warm[-61]
    return {"burner": burner, "kw": draw, "t_water": warm + noise(n, 0.05)}


def regulated(leak: float) -> Series:
    """A gas station by the minute: what comes in goes out by two mains, in the last hour not all of it."""
    n = 8 * 1440
    day = np.arange(n) / 1440 * 2 * np.pi
    mains = [600 + 150 * np.sin(day + k) + noise(n, 5.0) for k in range(2)]
    inlet = 16 + 0.3 * np.sin(day / 1.7) + noise(n, 0.01)
    flow = sum(mains) + after(n, n - 60, leak)
    return {
        "p_in": inlet,
        "opening": 100 * flow / inlet / 150 + noise(n, 0.1),
        "f_in": flow + noise(n, 3.0),
        "f_1": mains[0],
        "f_2": mains[1],
    }


def torn(whole: Series) -> Series:
    """The same with one value in twenty missing."""
    return {name: np.where(RANDOM.random(len(values)) < 0.05, np.nan, values) for name, values in whole.items()}


def rig(step: float) -> Series:
    n = 4_500
    wandering = np.cumsum(noise(n, 0.01)) + 70
    flow = 32 + noise(n, 0.4) - after(n, 4_200, step)
    return {
        "temperature": wandering,
        "flow_rate": flow,
        "pressure": 0.08 + noise(n, 0.02),
        "voltage": np.full(n, 230.0),
    }


def daily(*, missing: bool) -> Series:
    """Twelve days of a load that peaks from nine to six, the last time not at all."""
    hour = np.arange(12 * 288) / 12 % 24
    peak = 60 * ((hour >= 9) & (hour < 18))
    if missing:
        peak[-288:] = 0
    return {"v": 20 + peak + RANDOM.normal(0, 2.0, len(hour)).round(2)}


def works(step: float, days: int = 3, *, torn: bool = False) -> Series:
    """A waterworks by the minute, the last day is judged; ``torn``: two indicators no longer go together."""
    n = days * 1440
    day = np.sin(np.arange(n) / 1440 * 2 * np.pi)
    swing = np.sin(np.arange(n) / 45.0) * 0.05
    redox = 750 + 100 * swing * np.where(torn & (np.arange(n) > n - 600), -1.0, 1.0)
    return {
        "cl": 0.15 + 0.01 * day + swing + noise(n, 0.004) + after(n, n - 300, step),
        "redox": redox + noise(n, 0.3),
        "ph": 8.4 + 0.02 * day + noise(n, 0.01),
        "fm": 1500 + after(n, n - 300, 700.0),
    }


def restless(by: float) -> Series:
    """The same water; over the last half hour chlorine is told too high and too low by turns."""
    told = works(0.0)
    told["cl"][-30:] += by * (-1.0) ** np.arange(30)
    return told


def fading(by: float, *, dosed: float = 0.0) -> Series:
    """A fortnight read every twenty minutes; chlorine fades over the last two days, or is too much for an hour."""
    n = 14 * 72
    day = np.sin(np.arange(n) / 72 * 2 * np.pi)
    hour = dosed * ((np.arange(n) >= n - 80) & (np.arange(n) < n - 77))
    return {
        "Cl": 0.3 + 0.02 * day + noise(n, 0.004) + hour - by * np.clip(np.arange(n) - (n - 144), 0, None) / 144,
        "pH": 8.4 + 0.02 * day + noise(n, 0.01),
        "Fm": 1500 + after(n, n - 100, 700.0),
        "Tp": 8 + np.arange(n) / 100,
    }


def seldom(n: int, series: Series) -> Series:
    """One reading in so many."""
    return {name: values[::n] for name, values in series.items()}


def home(leak: float, *, counts_up: bool = True, days: int = 40, leaking: int = 144) -> Series:
    """Hourly use of a home that sleeps at night, a leak over the last hours: six days."""
    n = days * 24
    used = np.where(np.arange(n) % 24 > 6, RANDOM.integers(0, 40, n), 0) + after(n, n - leaking, leak)
    return {"reading_l": 5000 + np.cumsum(used)} if counts_up else {"diff_l": used.astype(float)}


def tens(leak: float) -> Series:
    """The same home, read in tens of litres: a drip fills ten of them in two hours."""
    return {"volume": np.floor(home(leak, days=50, leaking=240)["reading_l"] / 10) / 100}


def days(leak: float) -> Series:
    """A home read once a day, for four months; a leak over the last nine days."""
    return {"index_m3": (np.cumsum(np.abs(250 + noise(120, 90.0)) + after(120, 111, 24 * leak)) / 1000).round(3)}


def autumn(burst: float) -> Series:
    """A boiler's gas told by the day: it grows colder for three months, on the last but one something bursts."""
    heated = (0.5 + np.clip(np.arange(130) - 40, 0, None) * 0.1) * np.abs(1 + noise(130, 0.3))
    return {"gas_consumption": heated + np.where(np.arange(130) == 128, burst, 0.0)}


def evenings(burst: float, *, heating: float = 5.0, gap: bool = False) -> Series:
    """A boiler by the hour: hot water all summer, from the fiftieth day on heating by evening; a burst of nine hours.

    A gap of a week before the last day makes no daily meter of it.
    """
    hour = np.arange(80 * 24)
    heats = (hour >= 50 * 24) & (hour % 24 >= 17) & (hour % 24 < 23)
    bathes = np.isin(hour % 24, (7, 19)) & (RANDOM.random(len(hour)) < 0.6)
    use = np.where(heats, heating, 0.0) + np.where(bathes, 6.0, 0.0) + after(len(hour), len(hour) - 9, burst)
    if gap:
        use[-192:-24] = np.nan
    return {"gas_kwh": use * (1 + noise(len(hour), 0.1))}


def new(by: float, add: float = 0.0) -> Series:
    """A daily meter of six weeks: on its thirty-second day it is told times ``by``, and so much less."""
    told = days(0.0)["index_m3"][:42] + 50
    told[32:] = told[32:] * by - add
    return {"index_m3": told.round(3)}


def noons(whole: Series) -> Series:
    """Told by the hour what is known by the day: 23 of 24 hours tell nothing."""
    return {name: np.concatenate([np.r_[v, [np.nan] * 23] for v in values]) for name, values in whole.items()}


def jumps(by: float, add: float = 0.0, *, gap: bool = False) -> Series:
    """A home's total in cubic metres; by the end it is told times ``by``. A gap of ten days is none of that."""
    told = home(0.0)["reading_l"] / 1000
    told[-100:] = told[-100:] * by + add
    if gap:
        told[300:540] = np.nan
    return {"volume_m3": told}


def weekends(burst: float) -> Series:
    """A house where somebody is at weekends, by day."""
    n = 90 * 24
    there = (np.arange(n) // 24 % 7 >= 5) & (np.arange(n) % 24 > 7) & (np.arange(n) % 24 < 20)
    return {"consumption": np.where(there, RANDOM.integers(10, 30, n), 0) + after(n, n - 12, burst)}


def minutes(extra: float, days: int = 17) -> Series:
    """A home read each minute, in whole litres: some draws a day, and for the last five hours something more."""
    used = np.zeros(days * 1440)
    for day in range(days):
        for at in RANDOM.choice(np.arange(360, 1380), 12, replace=False):
            used[day * 1440 + at : day * 1440 + at + RANDOM.integers(1, 20)] += RANDOM.integers(3, 12)
    return {"volume_l": np.floor(1000 + np.cumsum(used + after(len(used), len(used) - 300, extra)))}


def building(factor: float) -> Series:
    """A building that never sleeps; its nights rise by a factor for the last five days."""
    n = 45 * 24
    use = 20 + 10 * np.sin(np.arange(n) / 24 * 2 * np.pi) + np.abs(noise(n, 1.0))
    return {"use": use * np.where(np.arange(n) >= n - 120, factor, 1.0)}


def leaky(extra: float) -> Series:
    """The same building with a leak for the last five days, by day and by night."""
    whole = building(1.0)["use"]
    return {"use": whole + after(len(whole), len(whole) - 120, extra)}


def flicker(release: float) -> Series:
    """A cheap sensor that flickers by a ppm without any gas."""
    return {"ch4": 3.0 + np.abs(noise(600, 1.0)) + after(600, 560, release)}


def stands(days: int, *, counts_up: bool = True) -> Series:
    """A home whose meter stands still for the last days."""
    n = 80 * 24
    used = np.where(np.arange(n) % 24 > 6, RANDOM.integers(0, 40, n), 0) * (np.arange(n) < n - days * 24)
    return {"reading_l": 5000.0 + np.cumsum(used)} if counts_up else {"diff_l": used.astype(float)}


def below_nothing(by: float) -> Series:
    """A meter that tells each hour's use; for two days water flows back."""
    return {"diff_l": home(0.0, counts_up=False)["diff_l"] * 1.0 - after(960, 912, by)}


def zeroed(burst: float) -> Series:
    """A total of which three readings in a row are told as nought, twelve days before the burst of some hours."""
    total = home(0.0, days=60)["reading_l"] + np.cumsum(after(60 * 24, 60 * 24 - 8, burst))
    total[-300:-297] = 0
    return {"reading_l": total}


def shrinks(by: float, *, each: int = 1) -> Series:
    """A home's uses in litres, told every ``each`` hours; for the last days times ``by``."""
    used = np.add.reduceat(home(0.0, days=90, counts_up=False)["diff_l"], np.arange(0, 90 * 24, each))
    return {"use": used * np.where(np.arange(len(used)) >= len(used) - max(3, 120 // each), by, 1.0)}


def back(by: float) -> Series:
    total = np.cumsum(RANDOM.integers(0, 3, 200)).astype(float) + 100
    return {"total": total - after(200, 150, by)}


Case = tuple[str, str, int, Callable[[], Series], Callable[[], Series]]
"""Rule, kind, seconds of a step, and what is wrong and right."""
CASES: list[Case] = [
    ("methane.ambient.plume", "methane-ambient", 60, lambda: plume(2.0), lambda: plume(0.3)),
    ("methane.ambient.plume", "methane-ambient", 60, lambda: plume(0.7), lambda: plume(0.7, flicker=0.15)),
    ("methane.ambient.plume", "methane-ambient", 60, lambda: digits(8.0), lambda: digits(0.0)),
    (
        "methane.ambient.plume",
        "methane-ambient",
        60,
        lambda: {"methane": pooling()["methane"] + after(1000, 950, 2.0)},
        pooling,
    ),
    (
        "methane.ambient.plume",
        "methane-ambient",
        60,
        lambda: {"methane": pooling(ppb=True)["methane"] + after(1000, 950, 2000.0)},
        lambda: pooling(ppb=True),
    ),
    (
        "methane.ambient.plume",
        "methane-ambient",
        60,
        lambda: renamed(plume(2.0), ch4_0="picarro_1"),
        lambda: renamed(plume(2.0), ch4_0="ch4_0_error"),
    ),
    ("methane.ambient.plume", "methane-ambient", 60, lambda: swings(200.0), lambda: swings(20.0)),
    (
        "methane.ambient.agree",
        "methane-ambient",
        60,
        lambda: renamed(plume(2.0, 1.5), ch4_0="a", ch4_1="downwind_2"),
        lambda: renamed(plume(2.0, 1.5), ch4_0="a", ch4_1="speed"),
    ),
    ("methane.ambient.plume", "methane-ambient", 60, lambda: flicker(20.0), lambda: flicker(0.0)),
    ("methane.ambient.plume", "methane-ambient", 60, lambda: in_ppb(plume(2.0)), lambda: in_ppb(plume(0.3))),
    ("methane.ambient.slow", "methane-ambient", 900, lambda: once(2.0), lambda: once(0.3)),
    ("methane.ambient.slow", "methane-ambient", 300, lambda: plume(2.0), lambda: plume(0.3)),
    ("methane.ambient.percent", "methane-ambient", 60, lambda: percent(plume(2.0)), lambda: percent(plume(0.3))),
    ("methane.ambient.percent", "methane-ambient", 60, lambda: percent(digits(8.0)), lambda: plume(2.0)),
    ("methane.ambient.agree", "methane-ambient", 60, lambda: plume(2.0, 0.0, 1.5), lambda: plume(2.0, 0.0, 0.3)),
    ("methane.mine.warning", "mine-methane", 30, lambda: face(0.6, 0.9, 1.0, 1.1), lambda: face(0.6, 0.9, 0.9, 0.9)),
    (
        "methane.mine.warning",
        "mine-methane",
        30,
        lambda: renamed(face(0.6, 0.9, 1.0, 1.1), mm116="sensor_3"),
        lambda: {
            "sensor_3": np.array([2.4, 2.6, 2.2, 2.5]),
            "x": np.full(4, 1020.0),
            "an311": np.array([0.5, 0.8, 1.2, 1.3]),
        },
    ),
    (
        "methane.mine.warning",
        "mine-methane",
        30,
        lambda: renamed(face(0.6, 0.9, 1.0, 1.1), mm116="x2"),
        lambda: {
            "cutting": np.array([0.0, 0.0, 1.0, 1.0, 0.0, 1.0]),
            "load": np.array([0.0, 0.3, 40.0, 41.0, 0.5, 38.0]),
        },
    ),
    ("methane.mine.high", "mine-methane", 30, lambda: face(0.6, 1.2, 1.5, 1.6), lambda: face(0.6, 1.2, 1.4, 1.4)),
    (
        "methane.mine.rising",
        "mine-methane",
        30,
        lambda: face(*np.linspace(0.6, 0.98, 20)),
        lambda: face(*(0.85 + 0.05 * (k % 2) for k in range(20))),
    ),
    (
        "methane.mine.seldom",
        "mine-methane",
        900,
        lambda: face(0.6, 0.8, 0.9, 0.95),
        lambda: face(0.6, 0.8, 0.89, 0.88),
    ),
    (
        "methane.mine.warning",
        "mine-methane",
        30,
        lambda: {"ch4_ppm": 10_000 * face(0.6, 0.9, 1.0, 1.1)["mm116"]},
        lambda: {"ch4_ppm": 10_000 * face(0.6, 0.9, 0.99, 0.9)["mm116"]},
    ),
    (
        "methane.mine.high",
        "mine-methane",
        30,
        lambda: {"ch4_lel": 20 * face(0.6, 0.9, 1.5, 1.6)["mm116"]},
        lambda: {"ch4_lel": 20 * face(0.6, 0.9, 1.4, 1.4)["mm116"]},
    ),
    ("scada.water.pattern", "water-scada", 3600, lambda: network(wrong=True), lambda: network(wrong=False)),
    ("scada.water.habit", "water-scada", 60, lambda: tank(forged=True), lambda: tank(forged=False)),
    ("scada.energy.habit", "heat-scada", 60, lambda: boiler(forged=True), lambda: boiler(forged=False)),
    ("scada.energy.habit", "heat-scada", 300, lambda: boiler(forged=True), lambda: boiler(forged=False)),
    ("scada.energy.habit", "gas-scada", 60, lambda: regulated(150.0), lambda: regulated(0.0)),
    ("scada.energy.pattern", "heat-scada", 3600, lambda: ring(2.0), lambda: ring(0.0)),
    ("scada.energy.pattern", "gas-scada", 3600, lambda: torn(ring(2.0)), lambda: torn(ring(0.0))),
    ("scada.water.pattern", "water-scada", 3600, lambda: torn(network(wrong=True)), lambda: torn(network(wrong=False))),
    ("rig.drift", "rig", 1, lambda: rig(1.4), lambda: rig(0.0)),
    ("rig.season", "rig", 300, lambda: daily(missing=True), lambda: daily(missing=False)),
    ("rig.season", "rig", 300, lambda: daily(missing=True), lambda: {"v": np.full(12 * 288, 45.0)}),
    ("quality.water.drift", "water-quality", 60, lambda: works(0.2), lambda: works(0.0)),
    (
        "quality.water.drift",
        "water-quality",
        300,
        lambda: seldom(5, works(0.2)),
        lambda: seldom(5, works(0.0)) | {"pump_1_hz": np.arange(864) // 190 % 2 * 43 + noise(864, 0.2)},
    ),
    (
        "quality.water.drift",
        "water-quality",
        1200,
        lambda: seldom(20, works(0.2)),
        lambda: seldom(20, works(0.0)),
    ),
    ("quality.water.drift", "water-quality", 60, lambda: restless(0.05), lambda: restless(0.0)),
    ("quality.water.slow", "water-quality", 1200, lambda: fading(0.15), lambda: fading(0.0, dosed=0.1)),
    ("quality.water.pattern", "water-quality", 60, lambda: works(0.0, 8, torn=True), lambda: works(0.0, 8)),
    ("meter.water.running", "water-meter", 3600, lambda: home(5.0), lambda: home(0.0)),
    (
        "meter.water.running",
        "water-meter",
        3600,
        lambda: home(5.0, counts_up=False),
        lambda: home(0.0, counts_up=False),
    ),
    ("meter.water.night", "water-meter", 3600, lambda: building(2.5), lambda: building(1.1)),
    ("meter.water.burst", "water-meter", 3600, lambda: home(800.0), lambda: home(5.0)),
    ("meter.water.burst", "water-meter", 60, lambda: minutes(20.0), lambda: minutes(0.0)),
    (
        "meter.water.running",
        "water-meter",
        60,
        lambda: minutes(0.0) | {"volume_l": np.arange(5760.0) // 10},
        lambda: minutes(0.0),
    ),
    ("meter.gas.over", "gas-meter", 60, lambda: minutes(20.0), lambda: minutes(0.0)),
    ("meter.gas.running", "gas-meter", 3600, lambda: home(5.0), lambda: home(0.0)),
    ("meter.gas.over", "gas-meter", 3600, lambda: home(400.0), lambda: home(0.0)),
    ("meter.gas.over", "gas-meter", 3600, lambda: evenings(40.0), lambda: evenings(0.0)),
    ("meter.heat.over", "heat-meter", 3600, lambda: evenings(40.0), lambda: evenings(0.0, heating=7.0)),
    ("meter.gas.days", "gas-meter", 3600, lambda: noons(autumn(140.0)), lambda: evenings(0.0, gap=True)),
    ("meter.water.days", "water-meter", 3600, lambda: noons(days(400.0)), lambda: evenings(0.0, gap=True)),
    ("meter.gas.night", "gas-meter", 3600, lambda: leaky(90.0), lambda: building(2.0)),
    ("meter.heat.over", "heat-meter", 3600, lambda: home(400.0, days=60), lambda: home(0.0, days=60)),
    ("meter.water.burst", "water-meter", 3600, lambda: weekends(400.0), lambda: weekends(0.0)),
    ("meter.water.burst", "water-meter", 3600, lambda: zeroed(400.0), lambda: zeroed(0.0)),
    ("meter.gas.over", "gas-meter", 3600, lambda: zeroed(400.0), lambda: zeroed(0.0)),
    ("meter.water.trickle", "water-meter", 3600, lambda: tens(5.0), lambda: tens(0.0)),
    ("meter.water.days", "water-meter", 86_400, lambda: days(15.0), lambda: days(0.0)),
    ("meter.water.days", "water-meter", 86_400, lambda: days(400.0), lambda: home(5.0)),
    ("meter.gas.days", "gas-meter", 86_400, lambda: autumn(140.0), lambda: autumn(0.0)),
    ("meter.register", "water-meter", 3600, lambda: jumps(1000.0), lambda: jumps(1.0)),
    ("meter.register", "gas-meter", 3600, lambda: jumps(0.001), lambda: jumps(1.0, gap=True)),
    ("meter.register", "gas-meter", 3600, lambda: jumps(0.0), lambda: jumps(1.0, add=0.8)),
    ("meter.register", "heat-meter", 3600, lambda: jumps(0.0036), lambda: jumps(1.0)),
    ("meter.faded", "water-meter", 3600, lambda: shrinks(0.001), lambda: shrinks(0.05)),
    ("meter.faded", "gas-meter", 86_400, lambda: shrinks(0.001, each=24), lambda: shrinks(0.01, each=24)),
    ("meter.faded", "heat-meter", 3600, lambda: shrinks(0.0036), lambda: jumps(0.001)),
    ("meter.reversed", "water-meter", 3600, lambda: back(60.0), lambda: back(2.0)),
    ("meter.reversed", "gas-meter", 3600, lambda: below_nothing(60.0), lambda: below_nothing(0.0)),
    (
        "meter.reversed",
        "gas-meter",
        3600,
        lambda: renamed(below_nothing(60.0), diff_l="gas_m3"),
        lambda: renamed(below_nothing(60.0), diff_l="wind_speed_ms"),
    ),
    ("meter.stopped", "water-meter", 3600, lambda: stands(14), lambda: stands(7)),
    ("meter.heat.days", "heat-meter", 86_400, lambda: autumn(140.0), lambda: autumn(0.0)),
    ("meter.register", "water-meter", 86_400, lambda: new(0.001), lambda: new(1.0)),
    ("meter.reversed", "water-meter", 86_400, lambda: new(1.0, 3.0), lambda: new(1.0)),
    ("meter.stopped", "water-meter", 86_400, lambda: {"m3": np.minimum(new(1.0)["index_m3"], 57.4)}, lambda: new(1.0)),
    (
        "meter.reversed",
        "water-meter",
        3600,
        lambda: renamed(back(60.0), total="reading_3"),
        lambda: renamed(back(60.0), total="water_temperature"),
    ),
    ("meter.stopped", "heat-meter", 3600, lambda: stands(14, counts_up=False), lambda: stands(7, counts_up=False)),
]


def changes(kit: Any, rule: str, kind: str, step_s: int, series: Series) -> list[AlarmChange]:
    """The device's quantities, all at each step, through this rule alone."""
    registry = kit.registry([{"device_id": "X", "kind": kind, "quantity": q, "utility": None} for q in series])
    machine = RuleMachine(RuleSet((RULES[rule],)), registry, "UTC")
    columns = list(series.values())
    rows = [
        (p, t, t, float(column[k]))
        for k in range(len(columns[0]))
        for t in [MIDNIGHT + k * step_s * 1000]
        for p, column in enumerate(columns)
        if not np.isnan(column[k])
    ]
    return list(machine.process(kit.record(1, rows)))


def fired(kit: Any, rule: str, kind: str, step_s: int, series: Series) -> bool:
    """Whether it raises at all."""
    return any(change.kind == "raised" for change in changes(kit, rule, kind, step_s, series))


@pytest.mark.parametrize(
    ("rule", "kind", "step_s", "wrong", "right"), CASES, ids=[f"{c[0]}-{k}" for k, c in enumerate(CASES)]
)
def test_fires_when_wrong_and_only_then(
    kit: Any, rule: str, kind: str, step_s: int, wrong: Callable[[], Series], right: Callable[[], Series]
) -> None:
    RANDOM.bit_generator.state = np.random.default_rng(11).bit_generator.state  # whatever order the cases come in
    assert fired(kit, rule, kind, step_s, wrong())
    assert not fired(kit, rule, kind, step_s, right())


def test_a_heat_plant_told_by_the_minute_has_one_voice(kit: Any) -> None:
    """The pattern is silent where the habit speaks, and the habit where frames are an hour apart."""
    RANDOM.bit_generator.state = np.random.default_rng(11).bit_generator.state
    assert not fired(kit, "scada.energy.pattern", "heat-scada", 60, boiler(forged=True))
    assert not fired(kit, "scada.energy.habit", "heat-scada", 3600, ring(2.0))


def test_a_closed_net_is_quiet_soon_after_its_leak_and_after_one_odd_reading(kit: Any) -> None:
    """An operator who sees it stand goes on searching: nothing is left to find by then."""
    RANDOM.bit_generator.state = np.random.default_rng(11).bit_generator.state
    raised, cleared = changes(kit, "scada.energy.pattern", "heat-scada", 3600, ring(2.0))
    started, ended = (MIDNIGHT + frame * 3_600_000 for frame in RING_LEAK)
    assert started <= raised.raised_at <= started + 2 * 3_600_000
    assert cleared.cleared_at is not None
    assert ended <= cleared.cleared_at <= ended + 4 * 3_600_000
    odd = ring(0.0)
    odd["f_feed"][RING_LEAK[0]] *= 1.5
    assert not changes(kit, "scada.energy.pattern", "heat-scada", 3600, odd)


@pytest.mark.parametrize(("after_it", "told"), [((0.9, 0.9), ["raised", "cleared"]), ((0.92, 0.91), ["raised"])])
def test_mine_methane_is_over_one_step_of_its_sensor_below_the_limit(
    kit: Any, after_it: tuple[float, float], told: list[str]
) -> None:
    heard = changes(kit, "methane.mine.warning", "mine-methane", 30, face(0.8, 1.0, *after_it))
    assert [change.kind for change in heard] == told


@pytest.mark.parametrize(("step_s", "told"), [(60, "plume"), (900, "slow")])
def test_one_alarm_tells_a_plume_however_often_it_is_told(kit: Any, step_s: int, told: str) -> None:
    """Sensors of a minute by two readings, those of a quarter of an hour by one, and neither by both rules."""
    for rule in ("plume", "slow"):
        heard = fired(kit, f"methane.ambient.{rule}", "methane-ambient", step_s, plume(2.0))
        assert heard == (rule == told)


def test_one_reading_of_a_minute_is_no_plume(kit: Any) -> None:
    assert not any(
        fired(kit, f"methane.ambient.{rule}", "methane-ambient", 60, once(2.0)) for rule in ("plume", "slow")
    )


def test_what_flows_back_now_and_then_is_one_alarm(kit: Any) -> None:
    """Twenty litres every sixth hour for two days, then no more."""
    k = np.arange(400)
    use = np.array([0.0, 7.0, 8.0])[k % 3] - 20.0 * ((k % 6 == 0) & (k // 48 == 5))
    heard = changes(kit, "meter.reversed", "gas-meter", 3600, {"use_l": use})
    assert [change.kind for change in heard] == ["raised", "cleared"]


def test_a_meter_read_once_a_day_has_no_nights(kit: Any) -> None:
    RANDOM.bit_generator.state = np.random.default_rng(11).bit_generator.state
    assert not fired(kit, "meter.water.running", "water-meter", 86_400, days(20.0))
    assert fired(kit, "meter.water.days", "water-meter", 86_400, days(20.0))


def test_every_rule_for_foreign_history_has_a_case() -> None:
    assert set(RULES) == {case[0] for case in CASES}


def test_nothing_of_them_looks_at_the_simulated_kinds(kit: Any) -> None:
    points = [{"utility": u, "kind": k} for u, k in (("gas", "valve-well"), ("water", "household-meter"), (None, None))]
    machine = RuleMachine(RuleSet(tuple(RULES.values())), kit.registry(points), "UTC")
    assert set(machine.points.values()) == {0}


def test_no_limit_of_a_city_speaks_of_foreign_kinds(kit: Any) -> None:
    """A rig's ``pressure`` is in bar, a site's ``ch4`` in ppm; what is said of any device (silence, clock) holds."""
    names = ("pressure", "ch4", "c2h6", "flow", "tilt", "noise", "supply_pressure", "inlet_pressure", "room_temp")
    points = [
        {"utility": u, "kind": k, "quantity": q, "device_id": f"{u}{k}", "span_low": 0.0, "span_high": 1.0}
        for k in FOREIGN
        for u in ("gas", "water", "heat")
        for q in names
    ]
    city = [rule for rule in RuleSet.standard().rules if rule.id not in RULES]
    looked = RuleMachine(RuleSet(tuple(city)), kit.registry(points), "UTC").points
    ours = {rule.id for rule in city if looked[rule.id]}
    assert ours <= {"device.clock", "device.dropout", "device.gateway.silent", "device.silence.mass"}
