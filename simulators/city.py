"""The synthetic Zhengzhou: 16 management areas, their townships and 70,818 grids, as an ``AREAS`` table.

Same city for every seed: nothing here is random. The real mix of grids and how it maps to the ``AREAS`` levels:

============= ====== ============= ======================= ==========================================
grid           count  level         parent                  code
============= ====== ============= ======================= ==========================================
community      7,876  community     township                township + 3 digits (12 digits)
micro         46,817  microgrid     its community           community + 2 digits (14 digits)
rural         11,381  grid          town, rural township    ``R`` + township + 4 digits
dedicated      4,744  grid          township                ``D`` + township + 4 digits
============= ====== ============= ======================= ==========================================

A dedicated grid (专属网格) is a campus, works, mall or station that answers for itself. Places: townships lie on a
sunflower spiral round the centre of their district, grids on one round their township: near the real geography, evenly
spread, and free of coincidences. Devices stand in leaf grids only (micro, rural, dedicated).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lifeline.core.schema import AREAS
from simulators.city_names import CITY_CODE, CITY_LAT, CITY_LON, CITY_NAME, DISTRICTS, District

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMMUNITY_GRIDS: Final = 7_876
MICRO_GRIDS: Final = 46_817
RURAL_GRIDS: Final = 11_381
DEDICATED_GRIDS: Final = 4_744

_GOLDEN_ANGLE: Final = np.pi * (3 - np.sqrt(5))
_KM_PER_DEGREE: Final = 111.2


@dataclass(frozen=True)
class City:
    """The ``AREAS`` table, and the leaf grids as arrays in the order of the table.

    ``leaf_row`` int64 rows of the table; ``leaf_urban`` True for micro and dedicated grids, False for rural ones.
    """

    areas: pa.Table
    leaf_row: NDArray[np.int64]
    leaf_lon: NDArray[np.float64]
    leaf_lat: NDArray[np.float64]
    leaf_urban: NDArray[np.bool_]


@dataclass
class _Town:
    code: str
    name: str
    lon: float
    lat: float
    radius_km: float
    is_street: bool
    urban: float
    rural: float


class _Rows:
    """The growing columns of the table."""

    def __init__(self) -> None:
        self.code: list[str] = []
        self.level: list[str] = []
        self.name: list[str] = []
        self.parent: list[str | None] = []
        self.lon: list[float] = []
        self.lat: list[float] = []

    def add(self, code: str, level: str, name: str, parent: str | None, place: tuple[float, float]) -> None:
        self.code.append(code)
        self.level.append(level)
        self.name.append(name)
        self.parent.append(parent)
        self.lon.append(round(place[0], 6))
        self.lat.append(round(place[1], 6))

    def table(self) -> pa.Table:
        columns = [self.code, self.level, self.name, self.parent, self.lon, self.lat]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, AREAS, strict=True)]
        return pa.Table.from_arrays(arrays, schema=AREAS)


def apportion(total: int, weights: list[float]) -> list[int]:
    """``total`` things by weight: largest remainders, ties to the first. The sum is exactly ``total``."""
    shares = np.asarray(weights, np.float64)
    shares = shares * (total / shares.sum())
    counts = np.floor(shares).astype(np.int64)
    missing = total - int(counts.sum())
    counts[np.argsort(-(shares - counts), kind="stable")[:missing]] += 1
    return [int(count) for count in counts]


def _spiral(lon: float, lat: float, radius_km: float, count: int) -> list[tuple[float, float]]:
    """``count`` places on a sunflower spiral of a radius round a centre (degrees)."""
    k = np.arange(count) + 0.5
    r = radius_km * np.sqrt(k / count)
    angle = k * _GOLDEN_ANGLE
    lons = lon + r * np.cos(angle) / (_KM_PER_DEGREE * np.cos(np.radians(lat)))
    lats = lat + r * np.sin(angle) / _KM_PER_DEGREE
    return list(zip(lons.tolist(), lats.tolist(), strict=True))


def _towns(district: District) -> list[_Town]:
    names = [(n, "街道", 1 + i) for i, n in enumerate(district.streets.split())]
    names += [(n, "镇" if not n.endswith("镇") else "", 101 + i) for i, n in enumerate(district.towns.split())]
    names += [(n, "乡", 201 + i) for i, n in enumerate(district.rurals.split())]
    streets = len(district.streets.split())
    others = len(names) - streets
    places = _spiral(district.lon, district.lat, district.radius_km, len(names))
    # Towns hold a fifth of what a street holds of the district's urban grids; only they (or, where a district has
    # none, its outermost street) hold rural grids.
    urban_unit = district.urban / (streets + 0.2 * others)
    towns = []
    for i, ((name, suffix, number), place) in enumerate(zip(names, places, strict=True)):
        is_street = i < streets
        last_resort = others == 0 and i == len(names) - 1
        rural = district.rural if last_resort else 0.0 if is_street else district.rural / others
        radius = district.radius_km / np.sqrt(len(names)) * 0.95
        urban = urban_unit * (1.0 if is_street else 0.2)
        towns.append(_Town(f"{district.code}{number:03d}", name + suffix, *place, radius, is_street, urban, rural))
    return towns


def _add_grids(rows: _Rows, town: _Town, full_name: str, counts: tuple[int, int, int], micro_sizes: list[int]) -> None:
    """The grids of one township; takes its communities' micro-grid counts from the front of ``micro_sizes``."""
    communities, rural, dedicated = counts
    places = _spiral(town.lon, town.lat, town.radius_km, communities + rural + dedicated)
    micro_radius = town.radius_km / np.sqrt(max(len(places), 1)) * 0.8
    # Rural grids take the outer part of the spiral, communities the middle.
    for i in range(communities):
        code = f"{town.code}{i + 1:03d}"
        name = f"{full_name}第{i + 1}社区"
        rows.add(code, "community", name, town.code, places[i])
        for j, place in enumerate(_spiral(*places[i], micro_radius, micro_sizes.pop(0))):
            rows.add(f"{code}{j + 1:02d}", "microgrid", f"{name}微网格{j + 1}", code, place)
    for i in range(dedicated):
        place = places[communities + i]
        rows.add(f"D{town.code}{i + 1:04d}", "grid", f"{full_name}专属网格{i + 1}", town.code, place)
    for i in range(rural):
        place = places[communities + dedicated + i]
        rows.add(f"R{town.code}{i + 1:04d}", "grid", f"{full_name}农村网格{i + 1}", town.code, place)


@lru_cache(maxsize=1)
def build_city() -> City:
    """The city. About 0.3 s the first time; the same object afterwards (treat it as immutable)."""
    rows = _Rows()
    rows.add(CITY_CODE, "city", CITY_NAME, None, (CITY_LON, CITY_LAT))
    by_district = [(district, _towns(district)) for district in DISTRICTS]
    towns = [town for _, group in by_district for town in group]
    communities = apportion(COMMUNITY_GRIDS, [town.urban for town in towns])
    rural = apportion(RURAL_GRIDS, [town.rural for town in towns])
    dedicated = apportion(DEDICATED_GRIDS, [town.urban for town in towns])
    micro_sizes = apportion(MICRO_GRIDS, [1.0] * COMMUNITY_GRIDS)
    at = 0
    for district, group in by_district:
        rows.add(district.code, "district", district.name, CITY_CODE, (district.lon, district.lat))
        for town in group:
            full_name = district.name + town.name
            rows.add(town.code, "township", full_name, district.code, (town.lon, town.lat))
            _add_grids(rows, town, full_name, (communities[at], rural[at], dedicated[at]), micro_sizes)
            at += 1
    leaf = np.array([i for i, level in enumerate(rows.level) if level in {"microgrid", "grid"}], np.int64)
    urban = np.array([not rows.code[i].startswith("R") for i in leaf], np.bool_)
    lon, lat = np.array(rows.lon), np.array(rows.lat)
    return City(rows.table(), leaf, lon[leaf], lat[leaf], urban)
