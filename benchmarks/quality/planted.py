"""Faults planted into meters, each its own meter's: what of them is found, and what is said of sound times.

Homes of our making are told in four forms (litres, hundredths of a cubic metre, each hour's use, quarter hours); the
public set's are real ones, each with one fault that is ours. A fault counts as found where an alarm about its meter was
raised in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from benchmarks.quality.foreign import MONTH_S, judge
from benchmarks.quality.sets import Case

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Use = NDArray[np.float64]

START: Final = datetime(2026, 3, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)
FAULTS: Final = {
    "leak": 14, "leak-large": 14, "burst": 2, "stopped": 30, "backwards": 10, "reset": 7, "unit": 7
}  # fmt: skip
"""What a meter may suffer, and for how many days."""
LITRES_AN_HOUR: Final = {"leak": 5.0, "leak-large": 100.0, "burst": 800.0}
MADE_DAYS: Final = 180
BOILER_START: Final = datetime(2026, 6, 1, tzinfo=UTC)
BOILER_DAYS: Final = 330
BOILER_FAULTS: Final = {"leak-large": "total_m3", "reset": "volume_l", "stopped": "consumption"}
"""What a boiler's meter suffers, and how it tells what it counts."""
FORMS: Final = ("volume_l", "total_m3", "index_l", "consumption")
"""Only totals are reset or told in another unit: an interval's use hides that."""


@dataclass(frozen=True)
class Planted:
    """A case and the one fault of each device: kind, start and end."""

    case: Case
    faults: dict[str, tuple[str, datetime, datetime]]


def homes(random: np.random.Generator) -> Planted:
    """Homes that sleep, travel and mostly use little; some keep a toilet busy at night."""
    parts, faults = [], {}
    for k, kind in enumerate([*FAULTS, *FAULTS]):
        device, form = f"home_{k}", FORMS[k % len(FORMS)]
        step = 0.25 if form == "index_l" else 1.0
        hours = np.arange(0, MADE_DAYS * 24, step)
        awake = (hours % 24 > 6 + k % 3) | (random.random(len(hours)) < 0.02 * (k % 4))
        away = (hours // 24 % 60 > 50) & (k % 3 == 0)
        drawn = (random.random(len(hours)) < 0.5 * step) & awake & ~away
        total = 100_000 + np.cumsum(np.where(drawn, random.gamma(1.5, 20.0, len(hours)), 0.0)).round()
        at = int((110 + random.integers(0, 30)) * 24 / step)
        told, length = _wrong(kind, total, hours, at)
        faults[device] = (kind, START + timedelta(hours=hours[at]), START + timedelta(hours=hours[at] + length * 24))
        ts = pl.Series([(START + timedelta(hours=h)).replace(tzinfo=None) for h in hours], dtype=pl.Datetime("ms"))
        value = {"total_m3": (told / 1000).round(2), "consumption": np.diff(told, prepend=told[0])}.get(form, told)
        parts.append(pl.DataFrame({"ts": ts, "device_id": device, "quantity": form, "value": value}))
    case = Case("planted", "water-meter", pl.concat(parts).sort("ts", maintain_order=True), START + 60 * DAY)
    return Planted(case, faults)


def boilers(random: np.random.Generator) -> Planted:
    """Homes heated by gas, from June on: bathing all summer, the first cold evenings in autumn, then winter.

    Each has a fault in its winter; litres an hour of heating go with the cold, a day's weather and the hour.
    """
    parts, faults = [], {}
    hours = np.arange(0, BOILER_DAYS * 24.0)
    cold = np.clip(np.sin(np.pi * (hours / 24 - 95) / 210), 0, None) * (hours < 24 * 305)
    for k, (kind, form) in enumerate([*BOILER_FAULTS.items()] * 3):
        device = f"boiler_{k}"
        weather = np.repeat(np.clip(random.normal(0.6, 0.5, BOILER_DAYS), 0, None), 24)
        warm = (hours % 24 >= 17 - k % 3) & (hours % 24 < 23)
        warm |= (hours % 24 >= 6) & (hours % 24 < 9) & (cold > 0.3)
        heating = np.where(warm, 400 + 1800 * cold * weather, 0) * (cold * weather > 0.05)
        bathing = np.where(np.isin(hours % 24, (7, 20)) & (random.random(len(hours)) < 0.6), 500, 0)
        total = 100_000 + np.cumsum((heating + bathing) * random.uniform(0.8, 1.2, len(hours))).round()
        at = int((170 + random.integers(0, 60)) * 24)
        told, length = _wrong(kind, total, hours, at)
        began = BOILER_START + timedelta(hours=hours[at])
        faults[device] = (kind, began, began + length * DAY)
        ts = pl.Series(
            [(BOILER_START + timedelta(hours=h)).replace(tzinfo=None) for h in hours], dtype=pl.Datetime("ms")
        )
        value = {"total_m3": (told / 1000).round(2), "consumption": np.diff(told, prepend=told[0])}.get(form, told)
        parts.append(pl.DataFrame({"ts": ts, "device_id": device, "quantity": form, "value": value}))
    data = pl.concat(parts).sort("ts", maintain_order=True)
    return Planted(Case("boilers", "gas-meter", data, BOILER_START + 30 * DAY), faults)


def into(case: Case, random: np.random.Generator) -> Planted:
    """One fault into each meter of a set of totals in litres, in the last third of its time."""
    parts, faults = [], {}
    first, last = (pl.Series([case.data["ts"].min(), case.data["ts"].max()]).dt.epoch("ms")).to_list()
    for k, (_, data) in enumerate(case.data.group_by("device_id", maintain_order=True)):
        kind = list(FAULTS)[k % len(FAULTS)]
        ts = data["ts"].dt.epoch("ms").to_numpy()
        at = int(np.searchsorted(ts, first + (0.66 + 0.2 * random.random()) * (last - first)))
        told, length = _wrong(kind, data["value"].to_numpy(), ts / 3.6e6, at)
        start = datetime.fromtimestamp(ts[at] / 1000, UTC)
        faults[str(data["device_id"][0])] = (kind, start, start + length * DAY)
        parts.append(data.with_columns(value=pl.Series(told)))
    data = pl.concat(parts).sort("ts", maintain_order=True)
    return Planted(replace(case, data=data, name="planted"), faults)


def _wrong(kind: str, total: Use, hours: Use, at: int) -> tuple[Use, int]:
    """What is told where it is wrong from row ``at`` on, and for how many days; afterwards it counts on from there."""
    told = total.astype(np.float64).copy()
    end = int(np.searchsorted(hours, hours[at] + FAULTS[kind] * 24))
    told[at:end] = _told(kind, told[at:end], hours[at:end] - hours[at]).round()
    told[end:] += told[end - 1] - total[end - 1]
    return told, FAULTS[kind]


def _told(kind: str, total: Use, hours: Use) -> Use:
    """Of a total in litres and the hours since it began to be wrong, what is told."""
    how: dict[str, Use] = {
        "stopped": np.full_like(total, total[0]),
        "backwards": total - 20 * np.floor(hours / 4),
        "reset": total - total[0],
        "unit": total / 1000,
    }
    return how[kind] if kind in how else total + LITRES_AN_HOUR[kind] * hours


def marks(planted: Planted, folder: Path) -> tuple[list[str], float]:
    """Devices whose fault was found, and alarms a meter and month outside of all faults."""
    one = judge(planted.case, folder)
    found, outside = set(), 0
    for device, raised in one.alarms.select("device_id", "raised_at").iter_rows():
        _, start, end = planted.faults[device]
        if start <= raised.replace(tzinfo=UTC) < end:
            found.add(device)
        else:
            outside += 1
    return sorted(found), outside / len(planted.faults) / (one.days * 86_400 / MONTH_S)
