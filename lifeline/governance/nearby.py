"""How far apart places are; pure."""

from __future__ import annotations

import math
from typing import Final

METRES_PER_DEGREE: Final = 111_320.0


def distance_m(lon: float, lat: float, other_lon: float, other_lat: float) -> float:
    """Metres between two places, flat within a city (error below 0.1 % over 20 km)."""
    east = (other_lon - lon) * math.cos(math.radians((lat + other_lat) / 2))
    return math.hypot(east, other_lat - lat) * METRES_PER_DEGREE


def box(lon: float, lat: float, radius_m: float) -> tuple[float, float, float, float]:
    """(lon low, lon high, lat low, lat high) of a square round a place."""
    high = radius_m / METRES_PER_DEGREE
    wide = high / max(math.cos(math.radians(lat)), 0.01)
    return lon - wide, lon + wide, lat - high, lat + high
