"""Files of a table made one: sorted rows stay sorted, and what is held is a step of each input, never a file."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.errors import CorruptionError
from lifeline.lake.files import sync_file
from lifeline.lake.parquet import (
    READINGS_FILE,
    REJECTS_FILE,
    ROW_GROUP_ROWS,
    FileFacts,
    arranged_table,
    readings_stats,
    readings_writer,
    rejects_writer,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

STEP_ROWS = 1 << 13
"""Rows decoded at a time of each input: 0.3 MB. A merge of eight files of 440,000 rows held 56 MiB so (with all their
bytes, see READ_BYTES), of 32,768 rows 120, of whole row groups 140; half as many rows take a tenth more CPU."""

LOW_ROWS = STEP_ROWS // 4
"""With fewer left of a step the next one is read. All are taken up to the least of the steps' ends: were each used up
to its last row, seven of eight turns would bring some hundred rows, and cost as much as the eighth."""

READ_BYTES = 1 << 16
"""Read at a time of each column of an input. Arrow's own way (``pre_buffer``) reads columns of all row groups ahead,
up to 32 MiB in one piece, and keeps them until the file is closed: eight files of 54 MiB held 260 MiB so, 7 now."""


def open_input(path: Path) -> pq.ParquetFile:
    """A file to be read once, page by page, with its pages' checksums compared."""
    return pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=READ_BYTES)


_NO_ROWS = pa.RecordBatch.from_pylist([], READINGS_FILE)
_NO_POINT, _NO_TS = np.zeros(0, np.int32), np.zeros(0, np.int64)


class _Cursor:
    """One sorted input, read STEP_ROWS at a time."""

    def __init__(self, path: Path) -> None:
        self._file = open_input(path)
        self._steps = self._file.iter_batches(STEP_ROWS, use_threads=False)
        self._rows: pa.RecordBatch = _NO_ROWS
        self._point: NDArray[np.int32] = _NO_POINT
        self._ts: NDArray[np.int64] = _NO_TS
        self._at = 0
        self._more = True
        self.last = (0, 0)

    def fill(self) -> None:
        """Load the next rows once few of the current ones are left."""
        while self._more and len(self._point) - self._at < LOW_ROWS:
            step = next(self._steps, None)
            if step is None:
                self._more = False
            elif step.num_rows:
                step = step if step.schema.equals(READINGS_FILE) else step.cast(READINGS_FILE)
                rest = self._rows.slice(self._at)
                self._rows = pa.concat_batches([rest, step]) if rest.num_rows else step
                self._point = self._rows["point"].to_numpy()
                self._ts = self._rows["ts"].view(pa.int64()).to_numpy()
                self._at = 0
                self.last = int(self._point[-1]), int(self._ts[-1])
        if self._at == len(self._point):
            self._rows, self._point, self._ts, self._at = _NO_ROWS, _NO_POINT, _NO_TS, 0

    @property
    def ended(self) -> bool:
        """Nothing is left; to be asked after ``fill``."""
        return len(self._point) == 0

    def take_until(self, point: int, ts: int) -> pa.RecordBatch:
        """Rows up to and including the key (point, ts); they are gone from the cursor."""
        start, self._at = self._at, len(self._point)
        if self.last > (point, ts):
            low = start + int(np.searchsorted(self._point[start:], point, "left"))
            high = start + int(np.searchsorted(self._point[start:], point, "right"))
            self._at = low + int(np.searchsorted(self._ts[low:high], ts, "right"))
        return self._rows.slice(start, self._at - start)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def merged_rows(paths: Sequence[Path]) -> Iterator[pa.Table]:
    """The rows of sorted files as sorted tables, holding a step of each file."""
    with ExitStack() as stack:
        cursors = [_Cursor(path) for path in paths]
        for cursor in cursors:
            stack.callback(cursor.close)
        while True:
            for cursor in cursors:
                cursor.fill()
            cursors = [cursor for cursor in cursors if not cursor.ended]
            if not cursors:
                return
            yield _in_order(cursors, min(cursor.last for cursor in cursors))


def _in_order(cursors: Sequence[_Cursor], bound: tuple[int, int]) -> pa.Table:
    """What the cursors have up to ``bound``; a function, so that nothing else of it is held while it is written."""
    steps = [cursor.take_until(*bound) for cursor in cursors]

    def column(name: str) -> list[NDArray[Any]]:
        """A step of each, times as numbers, nulls as NaN."""
        columns = [step[name] for step in steps]
        if pa.types.is_timestamp(columns[0].type):
            columns = [one.view(pa.int64()) for one in columns]
        return [one.to_numpy(zero_copy_only=False) for one in columns]

    return arranged_table(column)


def merge_files(inputs: Sequence[Path], output: Path, stopped: threading.Event | None = None) -> FileFacts:
    """Write the rows of ``inputs`` into one sorted file.

    Raises:
        CorruptionError: the output does not hold exactly as many rows as the inputs.
        InterruptedError: ``stopped`` was set.
    """
    expected = sum(pq.read_metadata(path).num_rows for path in inputs)
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.Table] = []
    rows = 0
    try:
        for part in merged_rows(inputs):
            if stopped is not None and stopped.is_set():
                raise InterruptedError("the merge was stopped")
            waiting.append(part)
            rows += part.num_rows
            if rows >= ROW_GROUP_ROWS:
                writer = _write(writer, output, waiting, whole_groups=True)
                rows = sum(part.num_rows for part in waiting)
        writer = _write(writer, output, waiting, whole_groups=False)
    finally:
        if writer is not None:
            writer.close()
    facts = FileFacts(pq.read_metadata(output).num_rows, output.stat().st_size, readings_stats(output))
    if facts.rows != expected:
        raise CorruptionError(f"{output}: a merge wrote {facts.rows} rows of {expected}; its inputs are kept")
    return facts


def _write(
    writer: pq.ParquetWriter | None, output: Path, waiting: list[pa.Table], *, whole_groups: bool
) -> pq.ParquetWriter:
    table = pa.concat_tables(waiting or [READINGS_FILE.empty_table()])
    rows = table.num_rows - table.num_rows % ROW_GROUP_ROWS if whole_groups else table.num_rows
    writer = writer or readings_writer(output, table.slice(0, rows))
    writer.write_table(table.slice(0, rows), row_group_size=ROW_GROUP_ROWS)
    sync_file(output)  # bit by bit: the log's own syncs wait for what is under way on their disk
    waiting[:] = [table.slice(rows)] if rows < table.num_rows else []
    return writer


def merge_rejects(inputs: Sequence[Path], output: Path, stopped: threading.Event | None = None) -> FileFacts:
    """Write the rows of ``inputs`` one after the other into one file.

    Raises:
        InterruptedError: ``stopped`` was set.
    """
    with rejects_writer(output) as writer:
        for path in inputs:
            with open_input(path) as file:
                for group in range(file.num_row_groups):
                    if stopped is not None and stopped.is_set():
                        raise InterruptedError("the merge was stopped")
                    writer.write_table(file.read_row_group(group).cast(REJECTS_FILE))
    rows = pq.read_metadata(output).num_rows
    return FileFacts(rows, output.stat().st_size, json.dumps({"numRecords": rows}))
