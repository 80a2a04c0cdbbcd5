"""What the site brings along: areas, units, duties, staff, cameras; and what was decided: settings, versions."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from lifeline.governance.tables.metadata import metadata

areas: Final = Table(
    "areas",
    metadata,
    Column("area_code", String(32), primary_key=True),
    Column("level", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("parent_code", String(32)),
    Column("lon", Float),
    Column("lat", Float),
)
"""The registry's areas, mirrored by the engine so that every door knows them."""

units: Final = Table(
    "units",
    metadata,
    Column("unit", String(200), primary_key=True),
    Column("capacity", Integer, nullable=False),
    Column("contact", Text),
)
"""Who handles: ``capacity`` is how many open events it can carry before others are asked."""

duties: Final = Table(
    "duties",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("utility", String(16), nullable=False),
    Column("asset_kind", String(64), nullable=False),
    Column("area_code", String(32), nullable=False),
    Column("unit", String(200), nullable=False),
    Column("co_units", Text, nullable=False),
    Column("mode", String(16), nullable=False),
)
"""The responsibility matrix; ``*`` means any. ``co_units``: those to be told as well, comma-separated."""

staff: Final = Table(
    "staff",
    metadata,
    Column("staff_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("contact", Text),
    Column("area_code", String(32), nullable=False),
    Column("duty", String(64), nullable=False),
)
"""Grid staff by the area they walk."""

cameras: Final = Table(
    "cameras",
    metadata,
    Column("camera_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("lon", Float, nullable=False),
    Column("lat", Float, nullable=False),
    Column("area_code", String(32)),
    Column("url", Text),
)
"""Video points."""

settings: Final = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""``timezone`` and ``policy`` as every door must apply them; ``digest.…`` of the reference tables; ``file.…``: which
file keeps the policy, the units or the duties."""

regulations: Final = Table(
    "regulations",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("source", String(8), nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Text),
)
"""Every version of ``policy``, ``units`` and ``duties``: by whom, why, and from where (``api`` or ``file``)."""
Index("areas_by_place", areas.c.lat, areas.c.lon)
Index("areas_by_parent", areas.c.parent_code)
Index("staff_by_area", staff.c.area_code)
Index("cameras_by_place", cameras.c.lat, cameras.c.lon)
