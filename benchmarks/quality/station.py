"""A water quality station of a network, every so many minutes: what the waterworks' outlet (``treatment``) has not.

After the published descriptions of EPA's event detection challenge (CANARY): chlorine, pH, temperature, conductivity,
turbidity and organic carbon. Two sources take turns with the demand, twice a day and more, and each turn moves all
indicators by several times what an event does (a change of operation, which is no event); probes tell nought for a
single time when they are rinsed. Events are half an hour to three hours of two to four indicators that go together as a
substance would have it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from benchmarks.quality.made import START
from benchmarks.quality.sets import Case, long
from benchmarks.quality.treatment import wander

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Signals = dict[str, NDArray[np.float64]]

DAYS: Final = 30
TRAIN: Final = 12
EVENTS: Final = 20
LENGTHS: Final = (30, 45, 60, 90, 120, 180)
"""Minutes."""
NOISE: Final = {"cl2": 0.01, "ph": 0.01, "temp": 0.05, "cond": 1.0, "turb": 0.004, "toc": 0.01, "flow": 5.0}
SUBSTANCES: Final[tuple[dict[str, float], ...]] = (
    {"cl2": -1.0, "toc": 1.0},
    {"cl2": -1.0, "ph": -0.6, "cond": 0.8},
    {"turb": 1.5, "toc": 1.0},
    {"cond": 1.0, "ph": 1.0},
    {"cl2": 1.0, "ph": 0.5},
    {"cl2": -1.2, "toc": 1.5, "turb": 1.0, "cond": 0.7},
)
"""What an event of strength 1 adds, in deviations of the noise."""


def station(
    random: np.random.Generator, step_min: int = 1, strength: tuple[float, float] = (4.0, 10.0)
) -> Iterator[Case]:
    """A month, twelve days of it normal."""
    n = DAYS * 1440 // step_min
    signals = _water(random, n, step_min)
    spells = _events(random, signals, step_min, strength)
    for name, noise in NOISE.items():
        values = signals[name] + random.normal(0, noise, n)
        values[random.random(n) < 0.0005] = 0.0
        values[random.random(n) < 0.004] = np.nan
        signals[name] = values
    for _ in range(DAYS // 6):
        start, length = int(random.integers(n)), int(random.exponential(120) / step_min) + 2
        for values in signals.values():
            values[start : start + length] = np.nan
    at = [START + timedelta(minutes=step_min * k) for k in range(n)]
    ts = pl.Series([one.replace(tzinfo=None) for one in at], dtype=pl.Datetime("ms"))
    columns = {name: pl.Series(values).fill_nan(None) for name, values in signals.items()}
    data = long(pl.DataFrame({"ts": ts, **columns}), "station")
    yield Case("station", "water-quality", data, at[TRAIN * n // DAYS], [(at[a], at[b]) for a, b in spells])


def _water(random: np.random.Generator, n: int, step_min: int) -> Signals:
    day = np.arange(n) * step_min / 1440
    swing = np.sin(2 * np.pi * day)

    def hours(memory: float, sd: float) -> NDArray[np.float64]:
        return wander(random, n, float(np.exp(-step_min / 60 / memory)), sd)

    turns = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * day + hours(24, 0.5)) + 0.3 * np.sin(4 * np.pi * day))
    pipe = max(1, round(60 / step_min))  # an hour in the pipe smooths a turn
    share = np.convolve(turns, np.ones(pipe) / pipe, "same") + hours(1, 0.05)
    return {
        "cl2": 1.1 - 0.12 * share + 0.05 * swing + hours(12, 0.04),
        "ph": 8.7 + 0.08 * share + 0.03 * swing + hours(12, 0.02),
        "temp": 14 + 0.05 * day + 0.4 * swing + hours(24, 0.2),
        "cond": 420 + 25 * share + hours(24, 5.0),
        "turb": 0.08 + 0.02 * share + np.abs(hours(2, 0.015)),
        "toc": 0.9 + 0.1 * share + 0.04 * swing + hours(12, 0.03),
        "flow": 300 + 150 * share + 40 * swing + hours(1, 10.0),
    }


def _events(
    random: np.random.Generator, signals: Signals, step_min: int, strength: tuple[float, float]
) -> list[tuple[int, int]]:
    """Add the events; four hours at least lie between two."""
    n, spells = len(signals["cl2"]), list[tuple[int, int]]()
    while len(spells) < EVENTS:
        length = max(3, int(random.choice(LENGTHS)) // step_min)
        start = int(random.integers(TRAIN * n // DAYS, n - length - n // DAYS))
        apart = 240 // step_min
        if any(start < b + apart and a < start + length + apart for a, b in spells):
            continue
        k = np.arange(length)
        ramp = np.minimum(1, np.minimum(k + 1, length - k) / max(1, length / 4))
        for name, share in SUBSTANCES[int(random.integers(len(SUBSTANCES)))].items():
            signals[name][start : start + length] += share * random.uniform(*strength) * NOISE[name] * ramp
        spells.append((start, start + length))
    return sorted(spells)
