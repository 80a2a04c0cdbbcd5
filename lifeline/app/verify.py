"""``lifeline verify``: log checksums, the lake against the log, the queue's database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from lifeline.app.site import load_site
from lifeline.lake.verify import verify_lake
from lifeline.log import verify as verify_log

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.app.site import Site


def verify_site(config: Path) -> dict[str, Any]:
    """``{ok, parts: [{name, ok, detail}]}``; a part that is bad names its first bad place."""
    site = load_site(config)
    log = verify_log(site.log)
    parts = [
        {
            "name": "log",
            "ok": log.bad is None,
            "detail": str(log.bad)
            if log.bad
            else f"{log.records:,} records, {log.readings:,} readings, lsn {log.first} to {log.last}",
        }
    ]
    lake = verify_lake(site.data, committed=None if log.live else log.last or None)
    parts.append(
        {
            "name": "lake",
            "ok": lake.problem is None,
            "detail": lake.problem or f"{lake.files:,} files, {lake.rows:,} rows, complete up to lsn {lake.position}",
        }
    )
    parts.append(_verify_queue(site))
    return {"ok": all(part["ok"] for part in parts), "parts": parts}


def _verify_queue(site: Site) -> dict[str, Any]:
    path = site.config.database_path
    if not path.exists():
        return {"name": "queue", "ok": False, "detail": f"{path}: does not exist; no engine has run here yet"}
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
            orphans = [row[0] for row in connection.execute("PRAGMA foreign_key_check")]
            events = connection.execute("SELECT count(*) FROM events").fetchone()[0]
            alarms = connection.execute("SELECT count(*) FROM alarms").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return {"name": "queue", "ok": False, "detail": f"{path}: {error}"}
    if found != ["ok"] or orphans:
        return {"name": "queue", "ok": False, "detail": f"{path}: {found[0]} {orphans[:1] or ''}".strip()}
    return {"name": "queue", "ok": True, "detail": f"{events:,} events, {alarms:,} alarms, integrity ok"}
