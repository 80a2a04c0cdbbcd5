"""What an event touches beside its own area and utility, for lists, streams, rights and districts' figures."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_INDICES = {
    "facets": ["level", "status", "utility", "detected_at", "event_id"],
    "district_facets": ["district", "level", "status", "utility", "detected_at", "event_id"],
    "district": ["district", "detected_at", "event_id"],
    "township": ["township", "detected_at", "event_id"],
    "area": ["area_code", "detected_at", "event_id"],
    "time": ["detected_at", "event_id"],
}
_ALARMS = """
SELECT DISTINCT e.event_id, a.area_code, a.utility, e.level, e.status, e.is_open, e.detected_at
FROM alarms a JOIN events e ON e.event_id = a.event_id
WHERE coalesce(a.area_code, '') <> coalesce(e.area_code, '') OR coalesce(a.utility, '') <> coalesce(e.utility, '')
ORDER BY e.event_id
"""
_REPORTS = """
SELECT DISTINCT e.event_id, r.area_code, coalesce(r.utility, e.utility), e.level, e.status, e.is_open, e.detected_at
FROM reports r JOIN events e ON e.event_id = r.event_id
WHERE r.merged AND r.area_code IS NOT NULL
AND (r.area_code <> coalesce(e.area_code, '') OR coalesce(r.utility, e.utility, '') <> coalesce(e.utility, ''))
ORDER BY e.event_id
"""
_ROWS = 5000


def upgrade() -> None:
    """Make the table and fill it from the alarms and reports there are; the engine's next start counts them."""
    op.add_column("events", sa.Column("also_in", sa.Text()))
    op.create_table(
        "event_areas",
        sa.Column("event_id", sa.String(length=20), nullable=False),
        sa.Column("area_code", sa.String(length=32), nullable=False),
        sa.Column("utility", sa.String(length=16), nullable=False),
        sa.Column("district", sa.String(length=32)),
        sa.Column("township", sa.String(length=32)),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("detected_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.event_id"]),
        sa.PrimaryKeyConstraint("event_id", "area_code", "utility"),
    )
    _fill(_ALARMS)
    _fill(_REPORTS)
    for name, columns in _INDICES.items():
        op.create_index(f"event_areas_by_{name}", "event_areas", columns)
    where = sa.text("is_open IS 1") if op.get_bind().dialect.name == "sqlite" else sa.text("is_open IS true")
    op.create_index(
        "event_areas_open_by_time",
        "event_areas",
        ["detected_at", "event_id"],
        sqlite_where=where,
        postgresql_where=where,
    )


def _fill(query: str) -> None:
    connection = op.get_bind()
    table = sa.table("event_areas", *(sa.column(name) for name in ("event_id", "area_code", "utility")))
    known = {tuple(row) for row in connection.execute(sa.select(*table.c))}
    tree = {row[0]: (row[1], row[2]) for row in _rows("SELECT area_code, level, parent_code FROM areas")}
    also: dict[str, set[str]] = {}
    rows: list[dict[str, Any]] = []
    for event_id, area, utility, level, status, is_open, detected_at in _rows(query):
        key = (event_id, area or "", utility or "")
        district, township = _around(area, tree)
        also.setdefault(event_id, set()).add(f"{district or ''}/{township or ''}")
        if key not in known:
            known.add(key)
            row: dict[str, Any] = dict(zip(("event_id", "area_code", "utility"), key, strict=True))
            row |= {"district": district, "township": township, "level": level, "status": status}
            rows.append(row | {"is_open": bool(is_open), "detected_at": detected_at})
    insert = sa.text(
        "INSERT INTO event_areas (event_id, area_code, utility, district, township, level, status, is_open, "
        "detected_at) VALUES (:event_id, :area_code, :utility, :district, :township, :level, :status, :is_open, "
        ":detected_at)"
    )
    for start in range(0, len(rows), _ROWS):
        connection.execute(insert, rows[start : start + _ROWS])
    before = {row[0]: row[1] for row in _rows("SELECT event_id, also_in FROM events WHERE also_in IS NOT NULL")}
    named = [
        {"key": event_id, "also": " ".join(sorted({*(before.get(event_id) or "").split(), *pairs}))}
        for event_id, pairs in also.items()
    ]
    for start in range(0, len(named), _ROWS):
        update = sa.text("UPDATE events SET also_in = :also WHERE event_id = :key")
        connection.execute(update, named[start : start + _ROWS])


def _rows(query: str) -> list[Any]:
    return list(op.get_bind().execute(sa.text(query)))


def _around(code: str | None, tree: dict[str, tuple[str, str | None]]) -> tuple[str | None, str | None]:
    """(district, township) by the areas' parents, or as the digits of a code say it."""
    found: dict[str, str] = {}
    at, steps = code, 0
    while at in tree and steps < 10:
        level, parent = tree[at]
        found.setdefault(level, at)
        at, steps = parent, steps + 1
    digits = (code or "").lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if found or len(digits) < 6 or not digits.isdigit():
        return found.get("district"), found.get("township")
    return None if digits[4:6] == "00" else digits[:6], digits[:9] if len(digits) >= 9 else None
