"""Units met in the field, and exact conversion between those of one dimension.

A unit is (dimension, ratio, offset): base = value x ratio + offset. Ratios and offsets are fractions, so that kPa to
MPa is one correctly rounded division and a unit to itself changes no bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final


@dataclass(frozen=True, slots=True)
class Unit:
    """base = value x ``ratio`` + ``offset``."""

    dimension: str
    ratio: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)


def _table() -> dict[str, Unit]:
    rows: list[tuple[str, str, str]] = [
        # pressure, Pa
        ("pressure", "Pa", "1"),
        ("pressure", "hPa mbar", "100"),
        ("pressure", "kPa", "1000"),
        ("pressure", "MPa", "1000000"),
        ("pressure", "bar", "100000"),
        ("pressure", "mmH2O", "9.80665"),
        ("pressure", "mH2O", "9806.65"),
        ("pressure", "psi", "6894.757293168"),
        # a gas in air, as a fraction of the volume. Methane's lower explosive limit is 5 %VOL (GB/T 50493, annex).
        ("methane", "ppm ppmv", "1/1000000"),
        ("methane", "%VOL %vol vol%", "1/100"),
        ("methane", "%LEL %lel LEL", "1/2000"),
        # flow, m3/s
        ("flow", "m3/s", "1"),
        ("flow", "m3/h m³/h", "1/3600"),
        ("flow", "m3/d m³/d", "1/86400"),
        ("flow", "L/s l/s", "1/1000"),
        ("flow", "L/min l/min", "1/60000"),
        ("flow", "L/h l/h", "1/3600000"),
        ("volume", "m3 m³", "1"),
        ("volume", "L l", "1/1000"),
        ("energy", "J", "1"),
        ("energy", "kJ", "1000"),
        ("energy", "MJ", "1000000"),
        ("energy", "GJ", "1000000000"),
        ("energy", "Wh", "3600"),
        ("energy", "kWh", "3600000"),
        ("energy", "MWh", "3600000000"),
        ("power", "W", "1"),
        ("power", "kW", "1000"),
        ("power", "MW", "1000000"),
        ("length", "m", "1"),
        ("length", "cm", "1/100"),
        ("length", "mm", "1/1000"),
        ("speed", "m/s", "1"),
        ("speed", "mm/s", "1/1000"),
        ("acceleration", "m/s2 m/s²", "1"),
        ("acceleration", "g", "9.80665"),
        ("voltage", "V", "1"),
        ("voltage", "mV", "1/1000"),
        ("current", "A", "1"),
        ("current", "mA", "1/1000"),
        ("ratio", "1 /", "1"),
        ("ratio", "% %RH", "1/100"),
        ("time", "s", "1"),
        ("time", "ms", "1/1000"),
        ("time", "min", "60"),
        ("time", "h", "3600"),
        ("turbidity", "NTU", "1"),
        ("concentration", "mg/L mg/l", "1"),
        ("conductivity", "S/m", "1"),
        ("conductivity", "mS/cm", "1/10"),
        ("conductivity", "uS/cm µS/cm", "1/10000"),
        ("level", "dB", "1"),
        ("acidity", "pH", "1"),
    ]
    table = {name: Unit(dimension, Fraction(ratio)) for dimension, names, ratio in rows for name in names.split()}
    kelvin = Fraction("273.15")
    table |= dict.fromkeys(("degC", "Cel", "°C", "℃", "C"), Unit("temperature", Fraction(1), kelvin))
    table |= dict.fromkeys(("degF", "°F", "℉", "F"), Unit("temperature", Fraction(5, 9), kelvin - Fraction(160, 9)))
    table["K"] = Unit("temperature")
    return table


UNITS: Final[dict[str, Unit]] = _table()


@lru_cache(maxsize=4096)
def _relation(source: str, target: str) -> tuple[int, int, float] | None:
    """(numerator, denominator, offset) from one unit to another; None when they do not measure the same."""
    if source == target:
        return 1, 1, 0.0
    a, b = UNITS.get(source), UNITS.get(target)
    if a is None or b is None or a.dimension != b.dimension:
        return None
    ratio = a.ratio / b.ratio
    return ratio.numerator, ratio.denominator, float((a.offset - b.offset) / b.ratio)


def convertible(source: str, target: str | None) -> bool:
    """Whether values in ``source`` can be stored in ``target`` (None: the registry names no unit, any is taken)."""
    return target is None or _relation(source, target) is not None


def convert(value: float, source: str, target: str | None) -> float | None:
    """The value in ``target`` units, itself when they are the same or ``target`` is None, None when unlike."""
    if target is None:
        return value
    relation = _relation(source, target)
    if relation is None:
        return None
    numerator, denominator, offset = relation
    return value * numerator / denominator + offset if relation != (1, 1, 0.0) else value
