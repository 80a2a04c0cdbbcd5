"""The labelled truth: what was really wrong, where and when, for judging the rules.

One row per affected device and quantity, ``TRUTH`` columns; a quantity is null when the whole device is affected
(dropout, gateway outage). Times are true times; ``end`` is exclusive. Kinds that begin with ``harmless-`` are
look-alikes that must not become warnings.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from lifeline.core.schema import TRUTH

if TYPE_CHECKING:
    from pathlib import Path

HARMLESS: Final = "harmless-"


class Truth:
    """The growing file. ``faults`` counts real faults, ``harmless`` look-alikes (not rows)."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, str | None, int, int]] = []
        self._starts: dict[str, tuple[str, int]] = {}

    def add(self, fault_id: str, kind: str, device_id: str, quantity: str | None, start: int, end: int) -> None:
        """One affected device and quantity."""
        self._rows.append((fault_id, kind, device_id, quantity, start, end))
        self._starts.setdefault(fault_id, (kind, start))

    def count(self, before_ms: int, *, harmless: bool = False) -> int:
        """Faults (or look-alikes) that started before a time."""
        return sum(start < before_ms and kind.startswith(HARMLESS) == harmless for kind, start in self._starts.values())

    def table(self, before_ms: int | None = None) -> pa.Table:
        """Rows that started before a time (all without one), in the ``TRUTH`` schema."""
        rows = self._rows if before_ms is None else [row for row in self._rows if row[4] < before_ms]
        columns = zip(*rows, strict=True) if rows else [[] for _ in TRUTH]
        arrays = [pa.array(list(column), field.type) for column, field in zip(columns, TRUTH, strict=True)]
        return pa.Table.from_arrays(arrays, schema=TRUTH)

    def write(self, path: Path, before_ms: int | None = None) -> None:
        """Write the file whole: a reader sees the old one or the new one, never a half.

        Raises:
            OSError: the folder is missing or full.
        """
        write_table(self.table(before_ms), path)


def write_table(table: pa.Table, path: Path) -> None:
    """A file of the kind that its name says (``.csv``, else Parquet), by way of a temporary name and a rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if path.suffix.lower() == ".csv":
        pa_csv.write_csv(table, temporary)
    else:
        pq.write_table(table, temporary, compression="zstd")
    temporary.replace(path)
