"""The lake follower: readings and rejects of the log become rows of two Delta tables, each exactly once.

```
 consume ─► waiting rows ─► flush (by age or size): sort, Parquet, fsync, commit with the log position ─► catalog
                                                                     │
                             kill -9 anywhere: the last commit says where to go on; what has no commit was never there
```

Both tables carry both positions: a commit to one also says how far the other has nothing waiting, so that a table that
rarely gets rows does not hold the log back. Repeats (``Flag.DUPLICATE``) never enter.

When to flush: at the first tick after ``interval_ms`` since the last flush, or at ``ROWS_MAX``. After an idle while a
hand-made message is therefore flushed at once. The interval follows the load: 0.5 s for little flushes, 1 s in normal
running, 2 s above half a million rows a flush, so that the fixed cost of a commit stays a small part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lifeline.core.batch import Readings
from lifeline.core.errors import UnavailableError
from lifeline.lake.compaction import Compactor
from lifeline.lake.files import GRACE_MS, Trash
from lifeline.lake.merging import merge_files, merge_rejects
from lifeline.lake.parquet import (
    READINGS_TABLE,
    REJECTS_TABLE,
    FileFacts,
    day_name,
    sorted_table,
    split_days,
    write_readings,
    write_rejects,
)
from lifeline.lake.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lifeline.core.batch import LogRecord
    from lifeline.lake.catalog import Catalog

ROWS_MAX = 1_000_000
"""Waiting rows that force a flush: 34 MB, as much again twice while they are sorted and written, and 0.15 s of work. A
commit costs some 10 ms whatever is in it."""

HEARTBEAT_MS = 60_000
"""With nothing but clock records, the position is stored this often, so that the log can be trimmed."""

READINGS_APP = "lifeline.readings"
REJECTS_APP = "lifeline.rejects"


@dataclass
class _Waiting:
    """Rows not committed yet."""

    readings: list[tuple[int, Readings]] = field(default_factory=list)
    """With the lsn of their record."""
    rejects: list[tuple[int, pa.RecordBatch]] = field(default_factory=list)
    rows: int = 0
    rejected: int = 0

    def __len__(self) -> int:
        return self.rows + self.rejected

    def forget(self, readings_after: int, rejects_after: int) -> None:
        """Drop what is committed: rows of records up to these positions."""
        self.readings = [(lsn, rows) for lsn, rows in self.readings if lsn > readings_after]
        self.rejects = [(lsn, rows) for lsn, rows in self.rejects if lsn > rejects_after]
        self.rows = sum(len(rows) for _, rows in self.readings)
        self.rejected = sum(rows.num_rows for _, rows in self.rejects)


class LakeFollower:
    """A ``lifeline.core.ports.Follower`` that writes ``data_dir/lake`` and keeps the catalog's file lists current.

    Args:
        data_dir: The site's data directory (``var``).
        catalog: Told of every change of files, and published after it; may be None.
        compact: Merge small files in a thread of its own (see ``lifeline.lake.compaction``).
        may_merge: Asked before each merge: whether the machine has time for it.
        grace_ms: How long a removed file stays readable.

    Raises:
        CorruptionError: a table's log is damaged.
        UnavailableError: the disk refuses.
    """

    name = "lake"
    beat_s = 0.1

    def __init__(
        self,
        data_dir: Path,
        catalog: Catalog | None = None,
        *,
        compact: bool = True,
        may_merge: Callable[[], bool] = lambda: True,
        grace_ms: int = GRACE_MS,
    ) -> None:
        self.readings = Table(data_dir / "lake" / "readings", READINGS_TABLE)
        self.rejects = Table(data_dir / "lake" / "rejects", REJECTS_TABLE)
        self.merges = 0
        """Of small files, since the start."""
        self._catalog = catalog
        self._compactors = [Compactor(self.readings, merge_files), Compactor(self.rejects, merge_rejects)]
        self._compacting = compact
        self._may_merge = may_merge
        self._trash = Trash(grace_ms)
        self._stored = self._stored_positions()
        self._position = min(self._stored)
        self._waiting = _Waiting()
        self._now_ms: int | None = None
        self._flushed_ms = 0
        self._interval_ms = 0
        self._tell_catalog()

    @property
    def position(self) -> int:
        """The lsn of the last consumed record."""
        return self._position

    @property
    def fault(self) -> str | None:
        """What the operator must know: a damaged file that merges leave alone; None when healthy."""
        return next((compactor.fault for compactor in self._compactors if compactor.fault), None)

    @property
    def durable(self) -> int:
        """The lsn up to which both tables have committed everything."""
        return min(self._stored)

    def consume(self, records: Sequence[LogRecord]) -> None:
        """Take records; flushes first when too many rows wait.

        Raises:
            UnavailableError: too many rows wait and the disk refuses; nothing of ``records`` was taken.
        """
        if self._waiting.rows >= ROWS_MAX:
            self.flush()
        readings_after, rejects_after = self._stored
        for record in records:
            if record.lsn <= self._position:
                continue
            if record.lsn > readings_after and len(record.readings):
                rows = record.readings.unique()
                if len(rows):
                    self._waiting.readings.append((record.lsn, rows))
                    self._waiting.rows += len(rows)
            if record.lsn > rejects_after and record.rejects is not None and record.rejects.num_rows:
                self._waiting.rejects.append((record.lsn, record.rejects))
                self._waiting.rejected += record.rejects.num_rows
            self._position = record.lsn

    def tick(self, now_ms: int) -> None:
        """Flush when due, commit a finished merge, start the next one, delete what has outlived its grace.

        Raises:
            UnavailableError: the disk refuses; everything is kept and tried again at the next tick.
        """
        if self._now_ms is None:
            self._trash.add([*self.readings.orphans(), *self.rejects.orphans()], now_ms)
        self._now_ms = now_ms
        since = now_ms - self._flushed_ms
        due = since >= self._interval_ms or since < 0
        if (
            (len(self._waiting) and due)
            or self._waiting.rows >= ROWS_MAX
            or (self._position > self.durable and (since >= HEARTBEAT_MS or since < 0))
        ):
            self.flush()
        self._compact(now_ms)
        self._trash.empty(now_ms)

    def flush(self) -> None:
        """Commit everything that waits, and the position.

        Raises:
            UnavailableError: nothing or only the rejects were committed; the rest is kept.
        """
        self.rejects.settle()
        self.readings.settle()
        self._learn_positions()
        lsn = self._position
        both = {READINGS_APP: lsn, REJECTS_APP: lsn}
        if self._waiting.rejected:
            self._commit_rejects({REJECTS_APP: lsn} if self._waiting.rows else both)
            self._learn_positions()
        rows = self._waiting.rows
        if rows or self._stored[0] < lsn:
            self._commit_readings(both)
            self._learn_positions()
        self._flushed_ms = self._now_ms or 0
        self._interval_ms = 500 if rows < 5_000 else 1000 if rows < 500_000 else 2000
        self._tell_catalog()

    def compact_all(self, *, final: bool = False) -> int:
        """Merge until nothing is left to merge, waiting for it; how many merges. ``final``: leave one size class."""
        merges = 0
        for compactor in self._compactors:
            while compactor.start(final=final):
                compactor.wait()
                self._finish_merge(compactor, self._now_ms or 0)
                merges += 1
        return merges

    def close(self) -> None:
        """Flush; a merge that is under way is abandoned (its file is an orphan of the next start)."""
        for compactor in self._compactors:
            compactor.stop()
        if len(self._waiting) or self._position > self.durable:
            self.flush()
        if self._catalog is not None:
            self._catalog.publish()

    def _learn_positions(self) -> None:
        self._stored = self._stored_positions()
        self._waiting.forget(*self._stored)

    def _stored_positions(self) -> tuple[int, int]:
        tables = (self.readings, self.rejects)
        return (
            max(table.position(READINGS_APP) for table in tables),
            max(table.position(REJECTS_APP) for table in tables),
        )

    def _commit_readings(self, positions: dict[str, int]) -> None:
        adds: list[tuple[Path, FileFacts]] = []
        if self._waiting.rows:
            parts = [rows for _, rows in self._waiting.readings]
            days = split_days(np.concatenate([part.received_at for part in parts]))
            for day, chosen in days:
                some = parts if isinstance(chosen, slice) else [Readings.concat(parts).take(chosen)]
                table = sorted_table(*some)
                path = self.readings.new_path(day_name(day), self._position)
                adds.append((path, _written(path, table, rejects=False)))
        _commit(self.readings, adds, positions)

    def _commit_rejects(self, positions: dict[str, int]) -> None:
        table = pa.Table.from_batches([rows for _, rows in self._waiting.rejects])
        received_at = table["received_at"].cast(pa.int64()).to_numpy()
        adds = []
        for day, chosen in split_days(received_at):
            path = self.rejects.new_path(day_name(day), self._position)
            part = table if isinstance(chosen, slice) else table.take(pa.array(chosen))
            adds.append((path, _written(path, part, rejects=True)))
        _commit(self.rejects, adds, positions)

    def _compact(self, now_ms: int) -> None:
        if not self._compacting:
            return
        for compactor in self._compactors:
            if compactor.finished:
                self._finish_merge(compactor, now_ms)
            if self._may_merge():
                compactor.start()

    def _finish_merge(self, compactor: Compactor, now_ms: int) -> None:
        removed = compactor.commit()
        if removed:
            self.merges += 1
            self._tell_catalog()
            self._trash.add([compactor.table.root / file.path for file in removed], now_ms)

    def _tell_catalog(self) -> None:
        if self._catalog is None:
            return
        self._catalog.set_files("readings", self.readings.absolute())
        self._catalog.set_files("rejects", self.rejects.absolute())
        self._catalog.publish(may_wait=True)


def _written(path: Path, table: pa.Table, *, rejects: bool) -> FileFacts:
    try:
        return write_rejects(path, table) if rejects else write_readings(path, table)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UnavailableError(f"{path}: cannot be written: {error}") from error


def _commit(table: Table, adds: list[tuple[Path, FileFacts]], positions: dict[str, int]) -> None:
    try:
        table.commit(adds, positions=positions)
    except UnavailableError:
        for path, _ in adds:
            table.drop(path)
        raise
