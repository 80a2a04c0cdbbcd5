"""The SQL of the published views: stable columns (contract, section 5) over explicit lists of Parquet files.

Every view stands by itself (none refers to another), so that it works whatever the database is called where it is
attached. Paths are absolute; a data directory that moved is right again after the next publication, which the engine
makes at its start. Empty lists give empty views with the right types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lifeline.core.schema import Flag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TIME = "TIMESTAMP WITH TIME ZONE"

RAW_COLUMNS: Final = {
    "ts": _TIME,
    "received_at": _TIME,
    "point": "INTEGER",
    "value": "DOUBLE",
    "quality": "UTINYINT",
    "flags": "UTINYINT",
    "seq": "UINTEGER",
}

COLUMNS: Final[dict[str, dict[str, str]]] = {
    "readings": {
        "ts": _TIME,
        "received_at": _TIME,
        "device_id": "VARCHAR",
        "quantity": "VARCHAR",
        "value": "DOUBLE",
        "unit": "VARCHAR",
        "quality": "UTINYINT",
        "late": "BOOLEAN",
        "utility": "VARCHAR",
        "area_code": "VARCHAR",
        "point": "INTEGER",
        "seq": "UINTEGER",
    },
    "readings_raw": RAW_COLUMNS,
    "points": {
        "point": "INTEGER",
        "device_id": "VARCHAR",
        "quantity": "VARCHAR",
        "unit": "VARCHAR",
        "utility": "VARCHAR",
        "kind": "VARCHAR",
        "span_low": "DOUBLE",
        "span_high": "DOUBLE",
        "interval_s": "DOUBLE",
        "lon": "DOUBLE",
        "lat": "DOUBLE",
        "area_code": "VARCHAR",
        "asset_id": "VARCHAR",
        "owner": "VARCHAR",
        "install_date": "DATE",
    },
    "areas": {
        "area_code": "VARCHAR",
        "level": "VARCHAR",
        "name": "VARCHAR",
        "parent_code": "VARCHAR",
        "lon": "DOUBLE",
        "lat": "DOUBLE",
    },
    "alarms": {
        "alarm_id": "VARCHAR",
        "rule_id": "VARCHAR",
        "rule_version": "INTEGER",
        "point": "INTEGER",
        "raised_at": _TIME,
        "detected_at": _TIME,
        "cleared_at": _TIME,
        "value": "DOUBLE",
        "limit": "DOUBLE",
        "level": "VARCHAR",
        "state": "VARCHAR",
    },
    "events": {
        "event_id": "VARCHAR",
        "level": "VARCHAR",
        "status": "VARCHAR",
        "utility": "VARCHAR",
        "title": "VARCHAR",
        "area_code": "VARCHAR",
        "raised_at": _TIME,
        "detected_at": _TIME,
        "dispatched_at": _TIME,
        "accepted_at": _TIME,
        "resolved_at": _TIME,
        "closed_at": _TIME,
        "due_at": _TIME,
        "owner": "VARCHAR",
        "alarm_count": "INTEGER",
        "cause": "VARCHAR",
        "false_alarm": "BOOLEAN",
        "satisfaction": "INTEGER",
        "mode": "VARCHAR",
    },
    "event_log": {
        "event_id": "VARCHAR",
        "at": _TIME,
        "actor": "VARCHAR",
        "role": "VARCHAR",
        "action": "VARCHAR",
        "from_status": "VARCHAR",
        "to_status": "VARCHAR",
        "note": "VARCHAR",
    },
    "shadow_differences": {
        "rule_id": "VARCHAR",
        "rule_version": "INTEGER",
        "against": "VARCHAR",
        "difference": "VARCHAR",
        "point": "INTEGER",
        "alarm_id": "VARCHAR",
        "raised_at": _TIME,
        "detected_at": _TIME,
        "cleared_at": _TIME,
        "value": "DOUBLE",
        "level": "VARCHAR",
        "production_alarm_id": "VARCHAR",
        "production_raised_at": _TIME,
        "production_cleared_at": _TIME,
    },
    "rejects": {
        "received_at": _TIME,
        "broker": "VARCHAR",
        "topic": "VARCHAR",
        "payload": "BLOB",
        "reason": "VARCHAR",
        "detail": "VARCHAR",
    },
    "completeness": {
        "point": "INTEGER",
        "hour": _TIME,
        "expected": "INTEGER",
        "received": "INTEGER",
        "duplicates": "INTEGER",
        "late": "INTEGER",
        "missing": "INTEGER",
    },
}
"""Stable columns and types of every view, in order."""

FILES: Final = ("readings", "rejects", "completeness")
"""Whoever writes these says which files they are (``Catalog.set_files``)."""

TABLES: Final = ("points", "areas", "alarms", "events", "event_log", "shadow_differences")
"""These are given as tables (``Catalog.publish_table``)."""


KEYS: Final = {"alarms": "alarm_id", "events": "event_id", "event_log": "entry"}
"""Tables that may be given in parts and a tail (``Catalog.publish_parts``), and what tells their rows apart."""


def quoted(name: str) -> str:
    """A column name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def scan(paths: Sequence[str]) -> str:
    """``read_parquet`` over an explicit list; the day is not read from the path."""
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _empty(columns: Mapping[str, str]) -> str:
    return "SELECT " + ", ".join(f"CAST(NULL AS {t}) AS {quoted(c)}" for c, t in columns.items()) + " WHERE false"


def _plain(name: str, paths: Sequence[str], extra: Sequence[str], tail: str | None = None) -> str:
    columns = COLUMNS[name]
    if not paths:
        return _empty(columns)
    stable = [f"CAST({quoted(c)} AS {t}) AS {quoted(c)}" for c, t in columns.items()]
    return f"SELECT {', '.join([*stable, *map(quoted, extra)])} FROM {_rows(name, paths, tail)}"  # noqa: S608 (all parts quoted)


def _rows(name: str, paths: Sequence[str], tail: str | None) -> str:
    """The files' rows; one with a key of the tail, if there is one, is the tail's."""
    parts = [path for path in paths if path != tail]
    if tail is None or not parts:
        return scan(paths)
    key = quoted(KEYS[name])
    newer = f"(SELECT {key} FROM {scan([tail])}) AS newer"  # noqa: S608 (all parts quoted)
    older = f"SELECT older.* FROM {scan(parts)} AS older ANTI JOIN {newer} ON older.{key} = newer.{key}"  # noqa: S608
    return f"({older} UNION ALL SELECT * FROM {scan([tail])})"  # noqa: S608


def _raw(paths: Sequence[str]) -> str:
    if not paths:
        return _empty(RAW_COLUMNS)
    narrow = {"quality", "flags", "seq"}
    columns = [f"CAST({c} AS {t}) AS {c}" if c in narrow else c for c, t in RAW_COLUMNS.items()]
    return f"SELECT {', '.join(columns)} FROM {scan(paths)}"  # noqa: S608 (all parts quoted)


def _readings(paths: Sequence[str], points: Sequence[str]) -> str:
    if not paths:
        return _empty(COLUMNS["readings"])
    late = int(Flag.LATE)
    return (
        "SELECT r.ts, r.received_at, p.device_id, p.quantity, r.value, p.unit, "  # noqa: S608 (all parts quoted)
        "CAST(r.quality AS UTINYINT) AS quality, "
        f"(r.flags & {late}) <> 0 AS late, p.utility, p.area_code, r.point, CAST(r.seq AS UINTEGER) AS seq "
        f"FROM {scan(paths)} AS r LEFT JOIN ({_plain('points', points, ())}) AS p ON p.point = r.point"
    )


def view_queries(
    files: Mapping[str, Sequence[str]], extra: Mapping[str, Sequence[str]], tails: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The query behind each view.

    Args:
        files: Parquet files of each of FILES and TABLES; missing means empty.
        extra: Columns of a table beyond the stable ones; they follow them.
        tails: The file of a table, if there is one, whose rows take the place of rows with their keys in the others.
    """
    queries = {
        "readings": _readings(files.get("readings", ()), files.get("points", ())),
        "readings_raw": _raw(files.get("readings", ())),
    }
    for name in (*TABLES, "rejects", "completeness"):
        queries[name] = _plain(name, files.get(name, ()), extra.get(name, ()), (tails or {}).get(name))
    return queries


def if_moved(fault: Exception | None) -> str:
    """What to do about views that name files which are not there: they hold whole paths."""
    if "No files found" not in str(fault):
        return ""
    return "\n  → was the folder moved or copied? start the engine there once, it publishes the views anew"
