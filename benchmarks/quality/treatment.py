"""A waterworks' outlet by the minute, as its experts would mark it: our stand-in for a public set that we may not have.

After the published description of the GECCO 2018 industrial challenge (nine columns a minute: temperature, two free
chlorines, pH, redox, conductivity, turbidity, two flows; events in one to two of a hundred minutes). What couples the
columns is physics: chlorine lifts redox, reaches the second probe later and weaker, raw waters that are mixed move
conductivity and pH together, a change of pumps stirs up turbidity (which is no event). Events are ramps of ten minutes
to an hour and a half on two to four of them. Probes are rounded as such probes are, drop out, and are taken out.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from benchmarks.quality.made import START
from benchmarks.quality.sets import Case, long

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Signals = dict[str, NDArray[np.float64]]

DAY: Final = 1440
DAYS: Final = 28
TRAIN: Final = 10 * DAY
EVENTS: Final = 30
LENGTHS: Final = (10, 15, 20, 30, 40, 60, 90)
LAG: Final = 25
"""Minutes between the two chlorine probes."""
SHIFTS: Final[tuple[dict[str, float], ...]] = (
    {"cl": -0.02, "redox": -14.0},
    {"ph": 0.04, "leit": 2.0},
    {"trueb": 0.02, "leit": 1.5},
    {"cl": 0.02, "cl_2": 0.015, "ph": 0.03, "redox": 9.0},
    {"redox": 17.0, "cl": -0.014},
)
"""What an event of strength 1 adds at its height, by kind."""
STEPS: Final = {
    "tp": 0.1, "cl": 0.01, "ph": 0.01, "redox": 1.0, "leit": 1.0, "trueb": 0.001, "cl_2": 0.001, "fm": 1.0, "fm_2": 1.0,
}  # fmt: skip
"""The last digit of each probe."""


def treatment(random: np.random.Generator) -> Iterator[Case]:
    """Four weeks, ten days of them normal."""
    signals = _water(random, DAYS * DAY)
    spells = _events(random, signals)
    for name, step in STEPS.items():
        noise = random.normal(0, 0.4 * step, DAYS * DAY)
        signals[name] = np.round((signals[name] + noise) / step) * step
    _outages(random, signals)
    minutes = [START + timedelta(minutes=k) for k in range(DAYS * DAY)]
    ts = pl.Series([at.replace(tzinfo=None) for at in minutes], dtype=pl.Datetime("ms"))
    columns = {name: pl.Series(values).fill_nan(None) for name, values in signals.items()}
    data = long(pl.DataFrame({"ts": ts, **columns}), "treatment")
    faults = [(minutes[a], minutes[b]) for a, b in spells]
    yield Case("treatment", "water-quality", data, minutes[TRAIN], faults)


def wander(random: np.random.Generator, n: int, memory: float, sd: float) -> NDArray[np.float64]:
    """An autoregressive process of that deviation."""
    steps = random.normal(0, sd * np.sqrt(1 - memory**2), n)
    return np.fromiter(accumulate(steps, lambda x, e: memory * x + e), np.float64, n)


def _water(random: np.random.Generator, n: int) -> Signals:
    day = np.arange(n) / DAY
    swing = np.sin(2 * np.pi * day)
    starts = np.sort(random.integers(0, n, n // 300))
    regime = random.choice([1100.0, 1400.0, 1500.0, 1700.0, 1900.0], len(starts) + 1)
    fm = regime[np.searchsorted(starts, np.arange(n), "right")] + wander(random, n, 0.95, 15)
    stirred = np.zeros(n)
    for a in np.flatnonzero(np.abs(np.diff(fm)) > 120):
        part = slice(a, a + 40)
        stirred[part] += 0.01 * random.random() * np.exp(-np.arange(n)[part] / 12 + a / 12)
    mixed = 0.3 * np.sin(2 * np.pi * day / 17 + 1) + wander(random, n, 0.9995, 0.1)
    chlorine = 0.15 + wander(random, n, 0.999, 0.008) + 0.01 * swing - 1e-5 * (fm - 1500)
    return {
        "tp": 7 + 1.5 * np.sin(2 * np.pi * day / 90) + 0.15 * swing,
        "cl": chlorine,
        "ph": 8.4 + 0.04 * mixed + wander(random, n, 0.999, 0.008) + 0.01 * swing,
        "redox": 740 + 300 * (chlorine - 0.15) + wander(random, n, 0.9995, 6),
        "leit": 211 + 12 * mixed + wander(random, n, 0.999, 0.6),
        "trueb": 0.015 + 0.004 * np.abs(wander(random, n, 0.99, 1)) + stirred,
        "cl_2": 0.11 + 0.8 * (np.roll(chlorine, LAG) - 0.15) + wander(random, n, 0.99, 0.003),
        "fm": fm,
        "fm_2": 1100 + 0.3 * (fm - 1500) + wander(random, n, 0.99, 40),
    }


def _events(random: np.random.Generator, signals: Signals) -> list[tuple[int, int]]:
    """Add the events; two hours at least lie between two."""
    n, spells = len(signals["cl"]), list[tuple[int, int]]()
    while len(spells) < EVENTS:
        start, length = int(random.integers(TRAIN, n - DAY // 4)), int(random.choice(LENGTHS))
        if any(start < b + 120 and a < start + length + 120 for a, b in spells):
            continue
        k = np.arange(length)
        ramp = np.minimum(1, np.minimum(k + 1, length - k) / max(2, length / 5))
        for name, shift in SHIFTS[int(random.integers(len(SHIFTS)))].items():
            signals[name][start : start + length] += shift * random.uniform(0.8, 1.6) * ramp
        spells.append((start, start + length))
    return sorted(spells)


def _outages(random: np.random.Generator, signals: Signals) -> None:
    """A single value is lost now and then, the station says nothing for a while, a probe is taken out for an hour."""
    n = len(signals["cl"])
    for values in signals.values():
        values[random.random(n) < 0.002] = np.nan
    for _ in range(DAYS // 4):
        start, length = int(random.integers(n)), int(random.exponential(120)) + 5
        for values in signals.values():
            values[start : start + length] = np.nan
    for _ in range(DAYS // 4):
        values = signals[str(random.choice(list(signals)))]
        start = int(random.integers(n))
        values[start : start + int(random.exponential(60)) + 5] = np.nan
