"""``lifeline verify``, the lake's part: are the tables what their own logs say, and is every row there once?

Checked in this order, and the first bad place is reported: every file exists and decodes to the number of rows that the
commit says; no commit is empty; log positions never go back from commit to commit; no reading is there twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.errors import LifelineError
from lifeline.lake.damage import damage
from lifeline.lake.parquet import READINGS_TABLE, REJECTS_TABLE
from lifeline.lake.recovery import hollow_commit
from lifeline.lake.table import Table
from lifeline.lake.views import scan
from lifeline.lake.writer import READINGS_APP, REJECTS_APP

if TYPE_CHECKING:
    from pathlib import Path


APPS: Final = frozenset({READINGS_APP, REJECTS_APP})
ACTIONS: Final = frozenset({"add", "commitInfo", "domainMetadata", "metaData", "protocol", "remove", "txn"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at, and the first bad place (None when all is well)."""

    files: int = 0
    rows: int = 0
    position: int = 0
    """The log position up to which both tables are complete."""
    problem: str | None = None


def verify_lake(data_dir: Path, *, committed: int | None = None, full: bool = False) -> Verdict:
    """Check both tables; safe while the engine runs (it then sees the tables of one moment).

    Args:
        data_dir: The site's data directory.
        committed: The log's last lsn, if known: the lake must not be ahead of it.
        full: Decode every page and look for doubles in the whole table; else footers, and doubles in the newest day.
    """
    files = rows = 0
    positions = []
    for name, schema in (("readings", READINGS_TABLE), ("rejects", REJECTS_TABLE)):
        root = data_dir / "lake" / name
        if not (root / "_delta_log").is_dir():
            return Verdict(files, rows, 0, f"{root}: there is no table")
        try:
            table = Table(root, schema, read_only=True)
        except LifelineError as error:
            return Verdict(files, rows, 0, str(error))
        problem = _check_files(table, full=full) or _check_positions(root)
        if problem is None and name == "readings":
            problem = _check_doubles(table, full=full)
        files += len(table.files)
        rows += sum(file.rows for file in table.files.values())
        positions.append({app: table.position(app) for app in (READINGS_APP, REJECTS_APP)})
        if problem:
            return Verdict(files, rows, 0, problem)
    position = min(max(p[app] for p in positions) for app in (READINGS_APP, REJECTS_APP))
    if committed is not None and position > committed:
        return Verdict(
            files,
            rows,
            position,
            f"{data_dir / 'lake'}: is at log position {position}, ahead of the log at {committed}",
        )
    return Verdict(files, rows, position)


def _check_files(table: Table, *, full: bool) -> str | None:
    for file in sorted(table.files.values(), key=lambda f: f.path):
        path = table.root / file.path
        if not path.exists():
            return f"{path}: is named by the table and missing"
        if path.stat().st_size != file.bytes:
            return f"{path}: has {path.stat().st_size} bytes, the table says {file.bytes}"
        try:
            rows = pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowException, ValueError) as error:
            return f"{path}: cannot be read: {error}"
        if rows != file.rows:
            return f"{path}: its footer says {rows} rows, the table {file.rows}"
        problem = damage(path, file.rows, table.columns) if full else None
        if problem:
            return f"{path}: {problem}"
    return None


def _check_positions(root: Path) -> str | None:
    hollow = hollow_commit(root / "_delta_log")
    if hollow is not None:
        return f"{hollow}: is empty: what it added to the table is unknown"
    last: dict[str, int] = {}
    for commit in sorted((root / "_delta_log").glob("[0-9]*.json")):
        try:
            moves = _moves(commit)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return f"{commit}: cannot be read: {error!r}"
        for app, version in moves:
            if app not in APPS:
                return f"{commit}: moves a position of {app!r}, which nobody knows"
            if version < last.get(app, 0):
                return f"{commit}: the position of {app} goes back from {last[app]} to {version}"
            last[app] = version
    return None


def _moves(commit: Path) -> list[tuple[str, int]]:
    """The positions that a commit sets, by application.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is no commit.
    """
    found = []
    for line in commit.read_bytes().splitlines():
        for action, told in json.loads(line).items():
            if action not in ACTIONS:
                raise ValueError(f"an action {action!r}")
            if action == "txn":
                found.append((told["appId"], int(told["version"])))
    return found


def _check_doubles(table: Table, *, full: bool) -> str | None:
    newest = max((f.day for f in table.files.values()), default="")
    paths = [str(table.root.resolve() / f.path) for f in table.files.values() if full or f.day == newest]
    if not paths:
        return None
    query = (
        f"SELECT point, epoch_ms(ts), seq, count(*) FROM {scan(sorted(paths))} "  # noqa: S608 (all parts quoted)
        "GROUP BY point, ts, seq, value, received_at HAVING count(*) > 1 ORDER BY 1, 2 LIMIT 1"
    )
    try:
        with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
            double = connection.execute(query).fetchone()
    except duckdb.Error as error:
        return f"{table.root}: cannot be queried: {error}"
    if double is None:
        return None
    point, ts, seq, count = double
    return f"{table.root}: point {point} at {ts} ms (seq {seq}) is there {count} times"
