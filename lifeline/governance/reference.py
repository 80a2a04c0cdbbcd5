"""Reference data of the site: areas, units and their duties, grid staff, video points. Opens no transaction.

The engine brings them in when their files have changed; every door reads them from the database.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import bindparam, delete, func, select

from lifeline.core.areas import CENTRES, by_digits
from lifeline.core.schema import UTILITIES
from lifeline.governance.asking import ask
from lifeline.governance.dispatch import ANY, CAPACITY, Duty, Matrix, Route, route
from lifeline.governance.emergency import EMERGENCY
from lifeline.governance.errors import FieldError
from lifeline.governance.nearby import box, distance_m
from lifeline.governance.schema import alarms, areas, cameras, duties, staff, tallies, units
from lifeline.governance.settings import read_setting, write_setting
from lifeline.governance.statements import insert_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Table

Row = dict[str, Any]

TABLES: Final[dict[str, Table]] = {"areas": areas, "units": units, "duties": duties, "staff": staff, "cameras": cameras}
_DEFAULTS: Final[dict[str, Row]] = {
    "units": {"capacity": CAPACITY, "contact": None},
    "duties": {"utility": ANY, "asset_kind": ANY, "area_code": ANY, "co_units": "", "mode": ANY},
    "staff": {"contact": None, "duty": "grid"},
    "cameras": {"area_code": None, "url": None},
    "areas": {"parent_code": None, "lon": None, "lat": None},
}
_DEGREES: Final = (("lon", 180), ("lat", 90))
INSERT_ROWS: Final = 5000
NEAR_M: Final = (300.0, 1000.0, 3000.0)
"""Cameras are looked for in widening circles; beyond three kilometres one sees nothing of the event."""
CAMERAS_SHOWN: Final = 5
CAPACITY_MAX: Final = 100_000
_LEGAL: Final = {"duties": {"utility": (*UTILITIES, ANY), "mode": ("normal", EMERGENCY, ANY)}}
"""A word that is never met would leave its row without effect, and nobody would see it."""
STAFF_SHOWN: Final = 10


def replace(connection: Connection, name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Make ``rows`` the whole content of a reference table; False when they are that already.

    Columns that a row lacks get their default: any utility, kind, area and mode, capacity 50.

    Raises:
        FieldError: no such table, an unknown or missing column, or a value that cannot be; with the row's number.
    """
    made = check_rows(name, rows)
    table = TABLES[name]
    digest = blake2b(orjson.dumps(made), digest_size=16).hexdigest()
    if read_setting(connection, f"digest.{name}") == digest:
        return False
    connection.execute(delete(table))
    for start in range(0, len(made), INSERT_ROWS):
        insert_rows(connection, table, made[start : start + INSERT_ROWS])
    write_setting(connection, f"digest.{name}", digest)
    return True


def check_rows(name: str, rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows with every column of the table, defaults filled in; a key may be there once. Raises FieldError."""
    table = TABLES.get(name)
    if table is None:
        raise FieldError(f"there is no reference table {name!r}; there are {', '.join(TABLES)}")
    made = _filled(table, rows)
    keys = [column.name for column in table.primary_key if column.name != "entry"]
    if not keys:
        return made
    found = list(map(itemgetter(*keys), made))
    if len(set(found)) < len(found):
        seen: dict[Any, int] = {}
        for number, key in enumerate(found, start=1):
            if seen.setdefault(key, number) != number:
                value = key if len(keys) == 1 else key[0]
                raise FieldError(f"{name}, row {number}: {value!r} is there already, in row {seen[key]}")
    return made


def _filled(table: Table, rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Every row with every column. A city has 70,000 areas: what depends on the table alone is asked once."""
    columns = {"".join(column.name): column for column in table.columns if column.name != "entry"}
    names = frozenset(columns)
    empty = {name: _DEFAULTS[table.name].get(name) for name in columns}
    needed = [name for name, column in columns.items() if not column.nullable]
    limits = [(name, limit) for name, limit in _DEGREES if name in names]
    regulated = table.name in _LEGAL or not names.isdisjoint(("unit", "capacity"))
    made: list[Row] = []
    for number, given in enumerate(rows, start=1):
        if not given.keys() <= names:
            unknown, there = min(given.keys() - names), ", ".join(columns)
            raise FieldError(f"{table.name}, row {number}: there is no column {unknown!r}; there are {there}")
        row = empty | {name: value for name, value in given.items() if value is not None}
        for name in needed:
            if row[name] is None:
                raise FieldError(f"{table.name}, row {number}: {name} is missing")
        for name, limit in limits:
            value = row[name]
            if value is not None and not (isinstance(value, int | float) and abs(value) <= limit):  # nor is NaN
                raise FieldError(f"{table.name}, row {number}: {name} {value!r} is no position in degrees")
        if regulated:
            _check_regulation(table.name, row, number)
        made.append(row)
    return made


def _check_regulation(name: str, row: Row, number: int) -> None:
    """What units and duties say, beyond being there."""
    for column, legal in _LEGAL.get(name, {}).items():
        if row[column] not in legal:
            raise FieldError(f"{name}, row {number}: {column} {row[column]!r} is none of {', '.join(legal)}")
    if "unit" in row and not str(row["unit"]).strip():
        raise FieldError(f"{name}, row {number}: unit is missing")
    capacity = row.get("capacity", 1)
    if not (isinstance(capacity, int) and 1 <= capacity <= CAPACITY_MAX):
        raise FieldError(f"{name}, row {number}: capacity is 1 to {CAPACITY_MAX:,}, not {capacity!r}")


# --- dispatch --------------------------------------------------------------------------------------------------

_matrices: OrderedDict[str, Matrix] = OrderedDict()


def matrix(connection: Connection) -> Matrix:
    """The responsibility matrix; read anew only when it has changed."""
    digest = f"{read_setting(connection, 'digest.duties')} {read_setting(connection, 'digest.units')}"
    known = _matrices.get(digest)
    if known is not None:
        return known
    columns = (
        duties.c.utility,
        duties.c.asset_kind,
        duties.c.area_code,
        duties.c.unit,
        duties.c.co_units,
        duties.c.mode,
    )
    found = [
        Duty(utility, kind, area, unit, tuple(one.strip() for one in co_units.split(",") if one.strip()), mode)
        for utility, kind, area, unit, co_units, mode in connection.execute(select(*columns).order_by(duties.c.entry))
    ]
    made = Matrix(tuple(found), dict(connection.execute(select(units.c.unit, units.c.capacity)).all()))
    _matrices[digest] = made
    while len(_matrices) > 4:
        _matrices.popitem(last=False)
    return made


class Router:
    """Proposals within one transaction: matrix, load and names are read once, however many events are asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: tuple[Matrix, dict[str, int], dict[str, str]] | None = None

    def propose(self, row: Row) -> Route:
        """Who should handle an event (its whole row), and why."""
        if self._read is None:
            load, names = (dict(map(tuple, ask(self._connection, query))) for query in (_LOADS, _CENTRES))
            self._read = matrix(self._connection), load, names
        duties_, load, names = self._read
        return route(duties_, row, _places(self._connection, row), load, names)


CENTRES_MAX: Final = 5000
"""Townships and above; a province has 2,500."""
_LOADS: Final = select(tallies.c.key, tallies.c.n).where(tallies.c.scope == "load")
_CENTRES: Final = select(areas.c.area_code, areas.c.name).where(areas.c.level.in_(CENTRES)).limit(CENTRES_MAX)


def _places(connection: Connection, row: Row) -> list[Row]:
    """Districts and utilities that an event's alarms lie in, most alarms first, its own first among equals."""
    if row["alarm_count"] < 2:
        return []
    count = func.count().label("n")
    query = select(alarms.c.area_code, alarms.c.utility, count).where(alarms.c.event_id == row["event_id"])
    merged: dict[tuple[str | None, str | None], Row] = {}
    for area_code, utility, n in connection.execute(query.group_by(alarms.c.area_code, alarms.c.utility)):
        district = by_digits(area_code, "district")
        township = by_digits(area_code, "township")
        key = (district, utility)
        place = {"district": district, "township": township, "area_code": area_code, "utility": utility, "alarms": 0}
        merged.setdefault(key, place)["alarms"] += n
    own = (row["district"], row["utility"])
    ordered = sorted(merged.items(), key=lambda item: (-item[1]["alarms"], item[0] != own, str(item[0])))
    return [place for _, place in ordered]


# --- around an event -------------------------------------------------------------------------------------------


def nearest_cameras(connection: Connection, lon: float | None, lat: float | None) -> list[Row]:
    """Up to ``CAMERAS_SHOWN`` video points round a place with ``distance_m``, nearest first."""
    if lon is None or lat is None:
        return []
    if connection.scalar(_ANY_CAMERA) is None:
        return []
    found: list[Row] = []
    for radius in NEAR_M:
        sides = dict(zip(("west", "east", "south", "north"), box(lon, lat, radius), strict=True))
        rows = [dict(row) for row in connection.execute(_CAMERAS_WITHIN, sides).mappings()]
        found = [row | {"distance_m": round(distance_m(lon, lat, row["lon"], row["lat"]), 1)} for row in rows]
        found = sorted((row for row in found if row["distance_m"] <= radius), key=_distance)
        if len(found) >= CAMERAS_SHOWN:
            break
    return found[:CAMERAS_SHOWN]


_ANY_CAMERA: Final = select(cameras.c.camera_id).limit(1)
_CAMERAS_WITHIN: Final = select(cameras).where(
    cameras.c.lat.between(bindparam("south"), bindparam("north")),
    cameras.c.lon.between(bindparam("west"), bindparam("east")),
)
_STAFF_OF: Final = (
    select(staff)
    .where(staff.c.area_code.in_(bindparam("chain", expanding=True)))
    .order_by(func.length(staff.c.area_code).desc(), staff.c.staff_id)
    .limit(STAFF_SHOWN)
)


def _distance(row: Row) -> tuple[float, str]:
    return row["distance_m"], row["camera_id"]


def grid_staff(connection: Connection, row: Mapping[str, Any]) -> list[Row]:
    """Who walks the event's grid, its community or its township; the smallest area first."""
    code = row["area_code"] or ""
    chain = {code, code[:12], row["township"]} - {None, ""}
    found = connection.execute(_STAFF_OF, {"chain": sorted(map(str, chain))})
    return [dict(one) for one in found.mappings()]


def area_at(connection: Connection, lon: float, lat: float) -> str | None:
    """The smallest area whose centre is nearest to a place, within ten kilometres."""
    for radius in (500.0, 2000.0, 10_000.0):
        west, east, south, north = box(lon, lat, radius)
        query = select(areas).where(areas.c.lat.between(south, north), areas.c.lon.between(west, east))
        rows = [dict(row) for row in connection.execute(query).mappings() if row["level"] not in _WIDE]
        if rows:
            return str(min(rows, key=lambda row: distance_m(lon, lat, row["lon"], row["lat"]))["area_code"])
    return None


_WIDE: Final = frozenset({"city", "district"})


def around(connection: Connection, area_code: str | None) -> tuple[str | None, str | None]:
    """(district, township) of an area by the registry's parents, or by its digits."""
    found: dict[str, str] = {}
    at, seen = area_code, 0
    while at is not None and seen < 10:
        row = connection.execute(select(areas.c.level, areas.c.parent_code).where(areas.c.area_code == at)).first()
        if row is None:
            break
        found[row[0]] = at
        at, seen = row[1], seen + 1
    if not found:
        return by_digits(area_code, "district"), by_digits(area_code, "township")
    return found.get("district"), found.get("township")


def load_all(connection: Connection, tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """Replace these reference tables; names of those that have changed."""
    return [name for name, rows in tables.items() if replace(connection, name, list(rows))]


def sources(connection: Connection) -> dict[str, str]:
    """What each reference table was last read from, as ``remember_sources`` was told."""
    return {name: known for name in TABLES if (known := read_setting(connection, f"source.{name}")) is not None}


def remember_sources(connection: Connection, found: Mapping[str, str]) -> None:
    """Digests of what the reference tables were read from, so that the same file is not read at every start."""
    for name, digest in found.items():
        write_setting(connection, f"source.{name}", digest)
