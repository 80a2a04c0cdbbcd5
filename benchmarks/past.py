"""A governance database with a year on record: 7,216,000 events of the reference city, each with its log.

One day of 19,770 events is drawn from a seed, and every day of the year repeats it, shifted: so the sums beside the
events are those of one day, counted by the queue's own code, shifted as well. 12.4 % come from telemetry (2,450 alarms
a day), 96.51 % are closed, satisfaction is 96.43 %: the city's own figures. Ids are spread like the hashes they stand
for. The database is filled in the order of its tables' keys and without its indices, which are made afterwards; the
queue opens it like any other. There are no statistics (ANALYZE), for nobody makes them of a queue that runs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.governance.blank import blank_event
from lifeline.governance.database import Database
from lifeline.governance.schema import MEASURES, metadata
from lifeline.governance.sums import COLUMNS, Sums, day_of, month_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

EVENTS: Final = 7_216_000
DAYS: Final = 365
TIMEZONE: Final = "Asia/Shanghai"
END_MS: Final = 1_795_017_600_000
"""2026-11-18 16:00 UTC, midnight of the site: the last day on record ends here."""
DAY_MS: Final = 86_400_000
DISTRICTS: Final = tuple(f"4101{number:02d}" for number in (2, 3, 4, 5, 6, 8, 22, 71, 72, 73, 74, 81, 82, 83, 84, 85))
TOWNS: Final = 12
"""Townships a district."""
KINDS: Final = {
    "gas": ("gas-leak", "gas-pressure", "gas-supply", "manhole"),
    "water": ("water-leak", "water-pressure", "water-supply", "water-quality"),
    "heat": ("heat-leak", "heat-supply", "heat-pressure", "sensor-fault"),
}
SOURCES: Final = ("telemetry", "citizen", "patrol", "110", "utility")
SOURCE_SHARES: Final = (0.124, 0.40, 0.35, 0.03, 0.096)
LEVELS: Final = ("red", "orange", "yellow", "blue")
LEVEL_SHARES: Final = (0.01, 0.04, 0.15, 0.80)
OPEN: Final = ("new", "filed", "dispatched", "accepted", "handling", "suspended", "returned", "fed-back")
STEPS: Final = (
    ("open", "engine", "system", None, "new"),
    ("file", "li", "operator", "new", "filed"),
    ("dispatch", "wang", "dispatcher", "filed", "dispatched"),
    ("accept", "zhao", "operator", "dispatched", "accepted"),
    ("feed-back", "zhao", "operator", "handling", "fed-back"),
    ("close", "sun", "analyst", "fed-back", "closed"),
)


def make_past(path: Path, scale: float, seed: int = 5) -> int:
    """Fill a new database at ``path``; returns the number of events. Times of the last day end at ``END_MS``."""
    url = f"sqlite:///{path}"
    Database(url).close()
    a_day = template(max(50, round(EVENTS * scale / DAYS)), seed)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        quick = ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-1500000")
        for pragma in (*quick, "temp_store=MEMORY", "threads=2"):
            connection.execute(f"PRAGMA {pragma}")
        indices = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
        ).fetchall()
        for name, _ in indices:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        _fill(connection, a_day)
        kept = [("timezone", TIMEZONE), ("sums.further", "1")]  # no event crosses a border yet: nothing to be counted
        connection.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", kept)
        connection.execute("COMMIT")
        for _, sql in indices:
            connection.execute(sql)
    return len(a_day) * DAYS


def let_cross(path: Path, every: int = 200) -> int:
    """Let one event of ``every`` reach into another district as well (again: nothing new); returns how many do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT OR IGNORE INTO event_areas "
            "(event_id, area_code, utility, district, township, level, status, is_open, detected_at) "
            "SELECT event_id, other || '00100101', coalesce(utility, ''), other, other || '001', level, "
            "status, is_open, detected_at FROM (SELECT *, CASE district WHEN '410105' THEN '410102' ELSE '410105' END "
            "AS other FROM events WHERE rowid % :every = 0)",
            {"every": every},
        )
        changed = connection.execute(
            "UPDATE events SET also_in = (SELECT district || '/' || township FROM event_areas AS a "
            "WHERE a.event_id = events.event_id) WHERE rowid % :every = 0",
            {"every": every},
        ).rowcount
        connection.execute("COMMIT")
    return changed


def template(count: int, seed: int) -> list[dict[str, Any]]:
    """The first day's events, whole rows; ``event_id`` is set later."""
    rng = np.random.default_rng(seed)
    start = END_MS - DAYS * DAY_MS
    utilities = rng.choice(3, count)
    columns: dict[str, Any] = {
        "at": np.sort(rng.integers(0, DAY_MS, count)) + start,
        "level": rng.choice(LEVELS, count, p=LEVEL_SHARES),
        "source": rng.choice(SOURCES, count, p=SOURCE_SHARES),
        "kind": rng.integers(0, 4, count),
        "district": rng.integers(0, len(DISTRICTS), count),
        "town": rng.integers(1, TOWNS + 1, count),
        "grid": rng.integers(1, 37, count),
        "minutes": rng.lognormal(5.0, 1.2, count),
        "accept": rng.lognormal(2.0, 0.8, count),
        "chance": rng.random(count),
        "rated": rng.random(count),
        "open": rng.integers(0, len(OPEN), count),
        "place": rng.random((count, 2)).tolist(),
    }
    lists = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in columns.items()}
    return [_event({name: value[i] for name, value in lists.items()}, tuple(KINDS)[u]) for i, u in enumerate(utilities)]


def _event(drawn: dict[str, Any], utility: str) -> dict[str, Any]:
    at, district = drawn["at"], DISTRICTS[drawn["district"]]
    town = f"{district}{drawn['town']:03d}"
    accepted = at + round(drawn["accept"] * 60_000)
    resolved = accepted + round(drawn["minutes"] * 60_000)
    due_at = at + 8 * 3_600_000
    telemetry = drawn["source"] == "telemetry"
    row = blank_event() | {
        "level": drawn["level"],
        "utility": utility,
        "title": f"{drawn['kind']} · {town}",
        "area_code": f"{town}001{drawn['grid']:02d}",
        "district": district,
        "township": town,
        "raised_at": at - 30_000,
        "detected_at": at,
        "kind": KINDS[utility][drawn["kind"]],
        "rule_id": f"{utility}.rule{drawn['kind']}" if telemetry else None,
        "source": drawn["source"],
        "alarm_count": int(telemetry),
        "place_kind": "device" if telemetry else "report",
        "place": "D",
        "group_key": f"past {drawn['at']} {town}",
        "lon": 113.2 + drawn["place"][0],
        "lat": 34.3 + drawn["place"][1] * 0.6,
        "due_at": due_at,
        "due_kind": "natural",
        "due_from": at,
        "stored_at": at,
    }
    row["owner"] = f"{district} {utility}"
    steps = {"filed_at": at + 60_000, "dispatched_at": at + 120_000, "first_dispatched_at": at + 120_000}
    steps |= {"accepted_at": accepted, "first_accepted_at": accepted}
    if drawn["chance"] >= 0.9651:
        status = OPEN[drawn["open"]]
        reached = OPEN.index(status)
        row["owner"] = row["owner"] if reached >= 2 else None
        kept = {
            name: value
            for name, value in steps.items()
            if reached >= {"f": 1, "d": 2, "a": 3}[name.replace("first_", "")[0]]
        }
        return row | kept | {"status": status, "overdue_at": due_at}
    closed = {
        "status": "evaluated" if drawn["rated"] < 0.6 else "closed",
        "is_open": False,
        "resolved_at": resolved,
        "closed_at": resolved + 3_600_000,
        "cause": "leak" if drawn["rated"] > 0.2 else "biogas",
        "false_alarm": drawn["rated"] <= 0.2,
        "satisfaction": (5 if drawn["rated"] < 0.6 * 0.9643 else 2) if drawn["rated"] < 0.6 else None,
        "overdue_at": due_at if resolved > due_at else None,
        "verified": True if telemetry else None,
    }
    return row | steps | closed


def _fill(connection: sqlite3.Connection, a_day: list[dict[str, Any]]) -> None:
    names = [column.name for column in metadata.tables["events"].columns]
    connection.execute("CREATE TEMP TABLE template AS SELECT 0 AS n, * FROM events WHERE 0")
    marks = ",".join("?" * (len(names) + 1))
    rows = [(n, *(f"{n:020x}" if name == "event_id" else row[name] for name in names)) for n, row in enumerate(a_day)]
    connection.executemany(f"INSERT INTO template VALUES ({marks})", rows)
    shifted = [
        "printf('%08x%08x%04x', (:day * 65536 + n) * 2654435761 % 4294967296, "
        "(:day * 65536 + n) * 2246822519 % 4294967296, :day)"
        if name == "event_id"
        else f"{name} + :shift"
        if name.endswith("_at") or name == "due_from"
        else "group_key || :day"
        if name == "group_key"
        else name
        for name in names
    ]
    for day in range(DAYS):
        bound = {"day": day, "shift": day * DAY_MS}
        connection.execute(f"INSERT INTO events SELECT {','.join(shifted)} FROM template ORDER BY n", bound)
    _fill_log(connection)
    _fill_alarms(connection)
    connection.execute(
        "INSERT INTO timers SELECT event_id, 'handle', 0, 3, detected_at + 400*86400000, due_at, detected_at "
        "FROM events WHERE is_open AND status NOT IN ('suspended', 'fed-back')"
    )
    _fill_sums(connection, a_day)


def _fill_log(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TEMP TABLE step (k, action, actor, role, before, after)")
    connection.executemany("INSERT INTO step VALUES (?,?,?,?,?,?)", [(k, *step) for k, step in enumerate(STEPS)])
    connection.execute(
        "INSERT INTO event_log (event_id, at, actor, role, action, from_status, to_status, note, fields) "
        "SELECT event_id, detected_at + k * 300000, actor, role, action, before, after, '现场已处理', '{}' "
        "FROM events CROSS JOIN step WHERE k < CASE WHEN is_open THEN 3 ELSE 6 END"
    )


def _fill_alarms(connection: sqlite3.Connection) -> None:
    columns = [column.name for column in metadata.tables["alarms"].columns]
    made = {
        "alarm_id": "event_id || '0000'",
        "rule_version": "1",
        "point": "e.rowid % 219300",
        "cleared_at": "resolved_at",
        "value": "26.5",
        "limit": "25.0",
        "state": "'normal'",
        "device_id": "'D' || e.rowid % 219300",
        "quantity": "'ch4'",
        "detail": "''",
        "active": "0",
        "acked": "1",
        "acked_at": "accepted_at",
        "acked_by": "'zhao'",
        "shelved_until": "NULL",
        "suppressed": "0",
        "out_of_service": "0",
        "clear_detected_at": "resolved_at",
        "clear_value": "3.0",
        "clear_lsn": "0",
    }
    known = metadata.tables["events"].columns.keys()
    columns = [name for name in columns if name in made or name in known]  # the others have a default, or none
    picked = ", ".join(made.get(name, name) for name in columns)
    quoted = ", ".join(f'"{name}"' for name in columns)
    connection.execute(f"INSERT INTO alarms ({quoted}) SELECT {picked} FROM events AS e WHERE source = 'telemetry'")


def _fill_sums(connection: sqlite3.Connection, a_day: list[dict[str, Any]]) -> None:
    sums = Sums(TIMEZONE, monthly=False)
    for row in a_day:
        sums.add({name: row[name] for name in COLUMNS}, 1)
    assert day_of(END_MS, TIMEZONE) * DAY_MS == END_MS + 8 * 3_600_000
    cells: dict[tuple[Any, ...], dict[int, list[int]]] = {}
    for (scope, day, *rest), counter in sums.days.items():
        cells.setdefault((scope, *rest), {})[day] = [counter[name] for name in MEASURES]
    times: dict[tuple[Any, ...], dict[int, list[int]]] = {}
    for (scope, day, *where), n in sums.times.items():
        times.setdefault((scope, *where), {})[day] = [n]
    connection.executemany("INSERT INTO tallies VALUES (?,?,?)", [(*key, n * DAYS) for key, n in sums.tallies.items()])
    for table, found in (("kpi_days", cells), ("kpi_times", times)):
        marks = ",".join("?" * len(metadata.tables[table].columns))
        rows = sorted(_repeated(found, monthly=table == "kpi_times"))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def _repeated(cells: Mapping[tuple[Any, ...], Mapping[int, list[int]]], *, monthly: bool) -> Iterator[tuple[Any, ...]]:
    """Rows of the sums when the day that they are of is repeated ``DAYS`` times, a day later each time.

    ``monthly``: by the month, as the queue keeps the histograms of all but the city.
    """
    for (scope, *rest), by_day in cells.items():
        first, last = min(by_day), max(by_day)
        once = np.zeros((last - first + 1, len(by_day[first])), np.int64)
        for day, counts in by_day.items():
            once[day - first] = counts
        summed = np.cumsum(np.pad(once, ((0, DAYS), (0, 0))), axis=0)
        summed[DAYS:] -= summed[:-DAYS].copy()
        summed, days = summed[:-1], range(first, first + len(summed) - 1)
        if monthly and scope != "city":
            months = [month_of(day) for day in days]
            starts = [k for k, month in enumerate(months) if k == 0 or month != months[k - 1]]
            summed, days = np.add.reduceat(summed, starts, axis=0), [months[k] for k in starts]  # type: ignore[assignment]
        for day, counts in zip(days, summed.tolist(), strict=True):
            if any(counts):
                yield (scope, day, *rest, *counts)
