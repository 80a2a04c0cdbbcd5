"""What all signals share: outdoor temperature, heating season, weekly profiles and their integrals, a row a minute.

A row is a function of (seed, minute) alone, so that no run depends on where it began. Curves are piecewise linear
between knots (hours of the week, days since 2000) and integrated exactly; local time is UTC+8, without summer time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.kernels.noise import derive, uniform_array
from simulators.signals.model import COLUMNS, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOCAL_OFFSET_MS: Final = 8 * 3_600_000
DAY_MS: Final = 86_400_000
MARGIN_MINUTES: Final = 300
"""Rows before and after the asked period: phase shifts of devices (45 min) and the warp of meters (180 min)."""
_FIRST_DAY: Final = 10_957  # 2000-01-01 in days since 1970
_DAYS: Final = 61 * 366

_WATER_DAY: Final = [
    0.42,
    0.34,
    0.3,
    0.3,
    0.36,
    0.6,
    1.25,
    1.6,
    1.45,
    1.2,
    1.1,
    1.15,
    1.25,
    1.1,
    0.95,
    0.9,
    0.95,
    1.15,
    1.4,
    1.55,
    1.5,
    1.3,
    0.95,
    0.6,
]
_GAS_DAY: Final = [
    0.25,
    0.2,
    0.18,
    0.18,
    0.25,
    0.6,
    1.5,
    1.7,
    1.1,
    0.7,
    0.9,
    1.9,
    1.8,
    0.9,
    0.6,
    0.6,
    0.9,
    1.8,
    2.3,
    1.9,
    1.2,
    0.9,
    0.6,
    0.4,
]
_HEAT_DAY: Final = [
    0.9,
    0.9,
    0.92,
    0.95,
    1.0,
    1.08,
    1.15,
    1.15,
    1.1,
    1.03,
    0.98,
    0.95,
    0.92,
    0.9,
    0.9,
    0.92,
    0.97,
    1.03,
    1.08,
    1.1,
    1.08,
    1.03,
    0.97,
    0.92,
]
_BIOGAS_DAY: Final = [
    0.5,
    0.45,
    0.4,
    0.4,
    0.45,
    0.6,
    0.8,
    1.0,
    1.2,
    1.35,
    1.5,
    1.6,
    1.65,
    1.7,
    1.65,
    1.55,
    1.4,
    1.25,
    1.1,
    0.95,
    0.85,
    0.75,
    0.65,
    0.55,
]


class Curve:
    """Piecewise linear through knots at whole steps (of ``step_h`` hours), periodic or not, with its integral."""

    def __init__(self, values: NDArray[np.float64], step_h: float, first_h: float, *, periodic: bool) -> None:
        self._values = np.append(values, values[0]) if periodic else values
        self._step_h = step_h
        self._first_h = first_h
        self._period = len(values) if periodic else 0
        areas = (self._values[:-1] + self._values[1:]) * 0.5 * step_h
        self._sums = np.concatenate([[0.0], np.cumsum(areas)])

    def at(self, hours: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values, and the integral (value times hours) from the first knot, at hours since 1970 local time."""
        x = (hours - self._first_h) / self._step_h
        whole = np.floor(x).astype(np.int64)
        f = x - whole
        turns = whole // self._period if self._period else np.zeros_like(whole)
        i = whole - turns * self._period
        a, b = self._values[i], self._values[i + 1]
        value = a + (b - a) * f
        total = turns * self._sums[-1] + self._sums[i] + (a * f + (b - a) * 0.5 * f * f) * self._step_h
        return value, total


def _weekly(day: list[float], weekend: float) -> Curve:
    """A week from Monday 00:00 of one day's curve: at weekends later and ``weekend`` times as much; mean 1."""
    hours = np.array(day, np.float64)
    week = np.concatenate([np.tile(hours, 5), np.tile(np.roll(hours, 1) * weekend, 2)])
    return Curve(week / week.mean(), 1.0, -72.0, periodic=True)  # 1970-01-01 was a Thursday


def _season(days: NDArray[np.int64]) -> NDArray[np.float64]:
    """Heating season by local day: 1 from 15 Nov to 15 Mar, filling up over the 5 days before, cooling 3 days after."""
    dates = days.astype("datetime64[D]")
    year_start = dates.astype("datetime64[Y]")
    autumn = (dates - (year_start.astype("datetime64[M]") + 10).astype("datetime64[D]")).astype(np.int64) + 1
    spring = (dates - (year_start.astype("datetime64[M]") + 2).astype("datetime64[D]")).astype(np.int64) + 1
    up = np.clip((autumn - 10) / 5.0, 0, 1)
    down = np.clip((19 - spring) / 3.0, 0, 1)
    return np.asarray(np.maximum(up, down))


class Weather:
    """The table of a seed. Not thread-safe: it keeps the last window."""

    def __init__(self, seed: int) -> None:
        days = np.arange(_FIRST_DAY, _FIRST_DAY + _DAYS)
        year_part = 2 * np.pi * ((days - 20) % 365.2425) / 365.2425
        fronts = self._fronts(seed, days)
        mean_temperature = 15.0 - 12.5 * np.cos(year_part) + 2.6 * fronts
        season = _season(days)
        load = season * np.clip((20.0 - mean_temperature) / 20.0, 0.05, None)
        first_h = _FIRST_DAY * 24.0
        self._mean = Curve(mean_temperature - 15.0, 24.0, first_h, periodic=False)
        self._season = Curve(season, 24.0, first_h, periodic=False)
        self._load = Curve(load, 24.0, first_h, periodic=False)
        self._water = _weekly(_WATER_DAY, 1.08)
        self._gas = _weekly(_GAS_DAY, 1.15)
        self._heat = _weekly(_HEAT_DAY, 1.0)
        self._biogas = _weekly(_BIOGAS_DAY, 1.0)
        self._window = (0, 0, np.zeros((0, COLUMNS)))

    @staticmethod
    def _fronts(seed: int, days: NDArray[np.int64]) -> NDArray[np.float64]:
        """Weather systems: unit noise with a memory of about four days."""
        draws = uniform_array(derive(seed, "weather"), days) * 2 - 1
        kernel = np.array([0.5, 0.85, 1.0, 0.85, 0.5])
        return np.convolve(draws, kernel / np.sqrt((kernel**2).sum() / 3.0), "same")

    def rows(self, first_ms: int, last_ms: int) -> tuple[int, NDArray[np.float64]]:
        """First minute and rows [minutes, COLUMNS] that cover a period (UTC epoch ms) with the margin.

        Raises:
            ValueError: outside of 2000 .. 2060.
        """
        first = first_ms // 60_000 - MARGIN_MINUTES
        last = last_ms // 60_000 + MARGIN_MINUTES + 2
        low, high, _ = self._window
        if not (low <= first and last <= high):
            low, high = first, last + 120
            self._window = (low, high, self._compute(low, high))
        return self._window[0], self._window[2]

    def _compute(self, low: int, high: int) -> NDArray[np.float64]:
        hours = np.arange(low, high) / 60.0 + LOCAL_OFFSET_MS / 3_600_000
        if hours[0] < (_FIRST_DAY + 1) * 24 or hours[-1] > (_FIRST_DAY + _DAYS - 2) * 24:
            raise ValueError("simulated time must lie within 2000 .. 2060")
        table = np.empty((len(hours), COLUMNS), np.float64)
        mean, mean_sum = self._mean.at(hours)
        # warmest at 15:00, coldest at 03:00 local
        angle = 2 * np.pi * (hours % 24.0 - 9.0) / 24.0
        table[:, Shape.TOUT] = 15.0 + mean + 4.5 * np.sin(angle)
        table[:, Shape.TOUT_SUM] = mean_sum - 4.5 * np.cos(angle) * 24.0 / (2 * np.pi)
        table[:, Shape.SEASON] = self._season.at(hours)[0]
        table[:, Shape.WATER], table[:, Shape.WATER_SUM] = self._water.at(hours)
        table[:, Shape.GAS], table[:, Shape.GAS_SUM] = self._gas.at(hours)
        table[:, Shape.HEAT] = self._heat.at(hours)[0]
        table[:, Shape.HEAT_SUM] = self._load.at(hours)[1]
        table[:, Shape.BIOGAS] = self._biogas.at(hours)[0]
        table[:, Shape.FLAT] = 1.0
        return table

    def is_heating(self, t_ms: int) -> bool:
        """Is the whole day of a time within the heating season?"""
        hours = np.array([t_ms / 3_600_000 + LOCAL_OFFSET_MS / 3_600_000])
        return bool(self._season.at(hours)[0][0] >= 1.0)

    def integrals(self, t_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        """Columns WATER_SUM, GAS_SUM, HEAT_SUM and TOUT_SUM at any times: float64 [n, 4] (for setting meters)."""
        hours = t_ms / 3_600_000 + LOCAL_OFFSET_MS / 3_600_000
        angle = 2 * np.pi * (hours % 24.0 - 9.0) / 24.0
        tout = self._mean.at(hours)[1] - 4.5 * np.cos(angle) * 24.0 / (2 * np.pi)
        return np.stack([self._water.at(hours)[1], self._gas.at(hours)[1], self._load.at(hours)[1], tout], axis=1)
