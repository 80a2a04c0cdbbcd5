"""How a signal is described: one ``Model`` a (kind, quantity), packed into a table for the kernel.

Every healthy value is one of five operations; ``d(t)`` is a weekly profile of mean 1, ``T(t)`` the outdoor temperature,
``s(t)`` the heating season (0..1), Z, S, N noise of unit size per zone (slow), point (slow) and sample:

- LEVEL         v = base + scale * (amp (d - 1) + tout (T - 15) + zone_sd Z + slow_sd S + noise_sd N)
- HEATED        v = s * LEVEL + (1 - s) * (off_base + off_tout (T - 15) + noise_sd N)
- INTERMITTENT  a draw each five minutes: with probability duty * d base / duty * (0.3 .. 1.7), else 0
- CUMULATIVE    v = base * integral of (1 + amp (d - 1) + tout (T - 15)) dt since the meter was set; the time is warped
                smoothly by about slow_sd hours so that no two days are alike; rises always
- BATTERY       100 to 35 % over the life of one battery, again and again

Then it is clipped to its normal band, faults act, it is clipped to its span and rounded to ``decimals``.
``base`` and ``scale`` belong to the point: base = Model.base + base_sd * bell and scale 0.7 .. 1.3; with ``relative``
the base is log-normal (one draw a device, so that a flow and its volume agree) and scale = base.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Op(IntEnum):
    """Which formula."""

    LEVEL = 0
    HEATED = 1
    INTERMITTENT = 2
    CUMULATIVE = 3
    BATTERY = 4


class Shape(IntEnum):
    """Columns of the weather table (``weather.py``)."""

    TOUT = 0
    SEASON = 1
    WATER = 2
    GAS = 3
    HEAT = 4
    BIOGAS = 5
    FLAT = 6
    WATER_SUM = 7
    GAS_SUM = 8
    HEAT_SUM = 9
    TOUT_SUM = 10


COLUMNS: Final = len(Shape)


@dataclass(frozen=True, slots=True)
class Model:
    """One quantity of one kind: what it is and how it behaves (see the module)."""

    quantity: str
    unit: str
    span: tuple[float, float]
    normal: tuple[float, float]
    decimals: int
    op: Op = Op.LEVEL
    base: float = 0.0
    base_sd: float = 0.0
    relative: bool = False
    shape: Shape = Shape.FLAT
    amp: float = 0.0
    tout: float = 0.0
    zone_sd: float = 0.0
    slow_sd: float = 0.0
    noise_sd: float = 0.0
    zone_knot_s: float = 1800.0
    slow_knot_s: float = 3600.0
    off_base: float = 0.0
    off_tout: float = 0.0
    duty: float = 0.0
    season_normal: tuple[float, float] | None = None
    """Normal band in the heating season (HEATED only); ``normal`` is then that of the whole year."""


FIELDS: Final = [
    "op",
    "shape",
    "amp",
    "tout",
    "zone_sd",
    "slow_sd",
    "noise_sd",
    "zone_knot_ms",
    "slow_knot_ms",
    "normal_low",
    "normal_high",
    "span_low",
    "span_high",
    "power",
    "off_base",
    "off_tout",
    "duty",
]


def pack(models: Sequence[Model]) -> NDArray[np.float64]:
    """The table for the kernel: float64 [models, FIELDS]."""
    table = np.zeros((len(models), len(FIELDS)), np.float64)
    for i, m in enumerate(models):
        table[i] = (
            m.op,
            m.shape,
            m.amp,
            m.tout,
            m.zone_sd,
            m.slow_sd,
            m.noise_sd,
            m.zone_knot_s * 1000,
            m.slow_knot_s * 1000,
            *m.normal,
            *m.span,
            10.0**m.decimals,
            m.off_base,
            m.off_tout,
            m.duty,
        )
    return table


def battery() -> Model:
    """A battery level, the same everywhere."""
    return Model("battery", "%", (0, 100), (35, 100), 0, Op.BATTERY)
