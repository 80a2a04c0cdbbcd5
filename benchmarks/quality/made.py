"""Foreign history of our own making, one case a kind, from a seed: what the gate judges where no public data is.

Nothing here is like a public set in its numbers; what is alike is what a rule has to bear: temperatures that wander,
tanks that follow pumps, backgrounds that rise by night, homes that sleep.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from benchmarks.quality.sets import Case, long

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

START: Final = datetime(2026, 3, 1, tzinfo=UTC)


def rigs(random: np.random.Generator) -> Iterator[Case]:
    """Eight experiments of twenty minutes; in each a flow steps aside for five."""
    for k in range(8):
        n = 1200
        flow = 30 + random.normal(0, 0.5, n)
        flow[700:1000] -= 0.6 + 0.2 * k
        signals = {
            "temperature": 70 + np.cumsum(random.normal(0, 0.02, n)),
            "flow_rate": flow,
            "current": 1 + random.normal(0, 0.2, n),
            "voltage": 230 + random.normal(0, 8, n),
        }
        yield _case(f"rig_{k}", "rig", 1, signals, 400, [(700, 1000)])


def plant(random: np.random.Generator) -> Iterator[Case]:
    """A pump and its tank, hourly: 150 days normal, then three spells in which the level told is an old one."""
    n = 230 * 24
    pump = (np.sin(np.arange(n) / 4.0) + random.normal(0, 0.3, n) > 0).astype(np.float64)
    level = 3 + np.convolve(pump - 0.5, np.ones(6) / 6, "same")
    spells = [(3900, 3960), (4500, 4560), (5200, 5260)]
    told = level.copy()
    for a, b in spells:
        told[a:b] = level[a - 1003 : b - 1003]
    signals = {
        "s_pu1": pump,
        "f_pu1": 90 * pump + random.normal(0, 1.0, n),
        "l_t1": told + random.normal(0, 0.02, n),
        "p_j1": 30 - 5 * pump + random.normal(0, 0.1, n),
    }
    yield _case("plant", "water-scada", 3600, signals, 3600, spells)


def site(random: np.random.Generator) -> Iterator[Case]:
    """Six sensors by the minute for four days: a background that rises by night, and five plumes."""
    n = 4 * 1440
    night = 0.15 * (1 + np.sin(np.arange(n) / 1440 * 2 * np.pi))
    spells = [(2000, 2060), (2600, 2640), (3500, 3520), (4300, 4400), (5200, 5230)]
    signals = {}
    for k in range(6):
        values = 2 + night + np.abs(random.normal(0, 0.05, n))
        for a, b in spells:
            if random.random() < 0.5 or k == 0:
                values[a:b] += random.exponential(3.0) * (random.random(b - a) < 0.7) + 0.5
        signals[f"ch4_{k}"] = values
    yield _case("site", "methane-ambient", 60, signals, 1440, spells)


def homes(random: np.random.Generator) -> Iterator[Case]:
    """Twenty hourly meters for four months; in half of them a leak of 4 l/h over the last month, each its own fault."""
    n, parts, faults = 120 * 24, [], []
    for k in range(20):
        awake = (np.arange(n) % 24 > 6) & (random.random(n) < 0.6)
        used = np.where(awake, random.integers(1, 60, n), 0).astype(np.float64)
        if k % 2:
            used[90 * 24 :] += 4.0
        parts.append(_frame(f"home_{k}", 3600, {"reading_l": 1000 + np.cumsum(used)}))
        if k % 2:
            faults.append((_at(3600, 90 * 24), _at(3600, n)))
    data = pl.concat(parts).sort("ts", maintain_order=True)
    yield Case("homes", "water-meter", data, _at(3600, 30 * 24), faults)


def works(random: np.random.Generator) -> Iterator[Case]:
    """A waterworks by the minute for twelve days, with four changes of its water of an hour each."""
    n = 12 * 1440
    day = np.sin(np.arange(n) / 1440 * 2 * np.pi)
    spells = [(11_000, 11_060), (12_700, 12_760), (14_300, 14_360), (16_000, 16_060)]
    wrong = np.zeros(n)
    for a, b in spells:
        wrong[a:b] = 1.0
    signals = {
        "cl": 0.15 + 0.01 * day + random.normal(0, 0.003, n) - 0.05 * wrong,
        "redox": 750 + 5 * day + np.cumsum(random.normal(0, 0.02, n)) - 15 * wrong,
        "ph": 8.4 + 0.02 * day + random.normal(0, 0.01, n),
        "trueb": 0.02 + np.abs(random.normal(0, 0.003, n)) + 0.02 * wrong,
        "fm": 1500 + 300 * (np.arange(n) // 480 % 2) + random.normal(0, 10, n),
    }
    yield _case("works", "water-quality", 60, signals, 7 * 1440, spells)


def _at(step_s: int, k: int) -> datetime:
    return START + timedelta(seconds=step_s * k)


def _frame(device: str, step_s: int, signals: dict[str, NDArray[np.float64]]) -> pl.DataFrame:
    n = len(next(iter(signals.values())))
    ts = pl.Series([_at(step_s, k).replace(tzinfo=None) for k in range(n)], dtype=pl.Datetime("ms"))
    return long(pl.DataFrame({"ts": ts, **{name: np.round(values, 4) for name, values in signals.items()}}), device)


def _case(
    name: str,
    kind: str,
    step_s: int,
    signals: dict[str, NDArray[np.float64]],
    train: int,
    spells: list[tuple[int, int]],
) -> Case:
    faults = [(_at(step_s, a), _at(step_s, b)) for a, b in spells]
    return Case(name, kind, _frame(name, step_s, signals), _at(step_s, train), faults)
