"""Sums of events, kept beside them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, String, Table

from lifeline.governance.tables.metadata import metadata

tallies: Final = Table(
    "tallies",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("n", BigInteger, nullable=False),
)
"""Counts of open events that screens and dispatch ask for all the time: ``state`` (level, status), ``load`` (unit).
Written with the events they count, in the same transaction."""

MEASURES: Final = (
    "received",
    "filed",
    "cancelled",
    "due",
    "closed_due",
    "on_time",
    "overdue",
    "closed",
    "reworked",
    "returned",
    "extended",
    "rated",
    "satisfied",
    "judged",
    "false_alarms",
    "checkable",
    "verified",
)
"""What is counted; ``kpi.meaning`` says what each is and on which day it counts."""

kpi_days: Final = Table(
    "kpi_days",
    metadata,
    Column("scope", String(8), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("district", String(32), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("utility", String(16), primary_key=True),
    *(Column(name, Integer, nullable=False) for name in MEASURES),
    sqlite_with_rowid=False,
)
"""Sums a local day (days since 1970) and district, by ``scope``: all, town, unit, kind, rule (``key`` names which).
Written with the events they are of, in the same transaction."""

kpi_times: Final = Table(
    "kpi_times",
    metadata,
    Column("scope", String(8), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("district", String(32), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("measure", String(24), primary_key=True),
    Column("bucket", Integer, primary_key=True),
    Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Histograms of durations, for medians: ``bucket`` as in ``sums.bucket``. By the day for scope city, else by the month
(its first day)."""
