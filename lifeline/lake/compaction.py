"""Many small files become few large ones, without a reader noticing and without writing each row often.

Levels: a file's size class is the number of times its weight can be divided by FAN_IN above CLASS_BYTES. As soon as
FAN_IN files of one day are in one class they are merged into one file, of the next class in the end; from TARGET_BYTES
on a file is left alone. A row is therefore rewritten some four times in a calm fleet and once or twice at full load,
and a day has at most about FAN_IN files a class. When a newer day has begun, what is left of the older one becomes one
file.

The merge itself runs in a thread of its own (sorting, zstd and the kernel release the GIL) and holds a step of each
input in memory, never the whole files. Its commit is made by the follower's thread, in ``tick``: one Delta
transaction of removes and one add with ``data_change=False``. The inputs stay on disk for the grace period.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.lake.damage import damage
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
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lifeline.lake.table import LakeFile, Table

logger = logging.getLogger(__name__)

FAN_IN = 8
"""More files a merge: fewer rewrites, but more open files for readers. 8 gives 3 levels and some 24 files a day."""

CLASS_BYTES = 3 << 20
"""Everything lighter is class 0: a flush of the whole fleet's second weighs 2.6 MB."""

ROW_BYTES = 12
"""What a reading takes in a fresh file. Merged ones take an eighth, and weigh as much: by their bytes eight flushes of
a second made a file of the flushes' own class, which was merged with the next seven, and again with seven more."""

TARGET_BYTES = 96 << 20
"""A file this large is left alone; a merge of 8 just below it stays under 0.8 GB."""

RETRY_STARTS = 50
"""Ticks to wait after a merge failed: some ten seconds."""

MERGE_BYTES_MAX = 256 << 20
"""No merge makes a larger file."""

STEP_ROWS = 1 << 13
"""Rows decoded at a time of each input: 0.3 MB. A merge of eight files of 440,000 rows held 56 MiB so (with all their
bytes, see READ_BYTES), of 32,768 rows 120, of whole row groups 140; half as many rows take a tenth more CPU."""

LOW_ROWS = STEP_ROWS // 4
"""With fewer left of a step the next one is read. All are taken up to the least of the steps' ends: were each used up
to its last row, seven of eight turns would bring some hundred rows, and cost as much as the eighth."""

READ_BYTES = 1 << 16
"""Read at a time of each column of an input. Arrow's own way (``pre_buffer``) reads columns of all row groups ahead,
up to 32 MiB in one piece, and keeps them until the file is closed: eight files of 54 MiB held 260 MiB so, 7 now."""

INPUTS_MAX = 2 * FAN_IN
"""No merge reads more files at once: pages, dictionaries and rows of each are 3 MB. Sixteen hold 53 MiB."""


def size_class(size: int, rows: int = 0) -> int:
    """0 below CLASS_BYTES, one more for each factor of FAN_IN; of a file of ``size`` bytes and so many rows."""
    level = 0
    bound = CLASS_BYTES
    while max(size, rows * ROW_BYTES) >= bound:
        level += 1
        bound *= FAN_IN
    return level


def plan_merge(files: Iterable[LakeFile], *, final: bool = False) -> list[LakeFile]:
    """The files to merge next, [] when all is well.

    Args:
        files: The table's files.
        final: Treat the newest day like a day that is over.
    """
    days: dict[str, list[LakeFile]] = {}
    for file in files:
        if file.bytes < TARGET_BYTES:
            days.setdefault(file.day, []).append(file)
    newest = max((f.day for f in files), default="")
    for day, small in sorted(days.items(), reverse=True):
        classes: dict[int, list[LakeFile]] = {}
        for file in small:
            classes.setdefault(size_class(file.bytes, file.rows), []).append(file)
        for _, members in sorted(classes.items()):
            if len(members) >= FAN_IN:
                return _bounded(members)
        if (final or day != newest) and len(small) > 1:
            chosen = _bounded(small)
            if len(chosen) > 1:
                return chosen
    return []


def _bounded(files: list[LakeFile]) -> list[LakeFile]:
    """As many of the smallest as fit the largest output."""
    chosen: list[LakeFile] = []
    total = 0
    for file in sorted(files, key=lambda f: (f.bytes, f.path)):
        if len(chosen) == INPUTS_MAX or (chosen and total + file.bytes > MERGE_BYTES_MAX):
            break
        chosen.append(file)
        total += file.bytes
    return chosen


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


@dataclass
class _Merge:
    inputs: list[LakeFile]
    output: Path
    facts: FileFacts | None = None
    error: Exception | None = None


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


class Compactor:
    """At most one merge at a time, in a thread. ``start``, ``commit`` and ``stop`` belong to the follower's thread.

    A file that cannot be read is named in ``fault`` and in the log, and left out of all later merges: its day stays
    readable and ``lifeline verify`` finds it. After any other failure, which the log tells once while it lasts, the
    next attempt waits for RETRY_STARTS calls of ``start``.
    """

    def __init__(self, table: Table, merge: Callable[[Sequence[Path], Path, threading.Event], FileFacts]) -> None:
        self.table = table
        self.fault: str | None = None
        self._merge_files = merge
        self._said = ""
        self._damaged: set[str] = set()
        self._resting = 0
        self._merge: _Merge | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    @property
    def finished(self) -> bool:
        """A merge is ready for ``commit``."""
        return self._thread is not None and not self._thread.is_alive()

    def start(self, *, final: bool = False) -> bool:
        """Begin the next merge if one is due and none is under way."""
        self._resting -= 1
        if self._thread is not None or self._stopped.is_set() or self._resting > 0:
            return False
        inputs = plan_merge([f for f in self.table.files.values() if f.path not in self._damaged], final=final)
        if not inputs:
            return False
        output = self.table.new_path(inputs[0].day, max(f.lsn for f in inputs))
        self._merge = merge = _Merge(inputs, output)
        self._thread = threading.Thread(target=self._run, args=(merge,), name="lake-compaction", daemon=True)
        self._thread.start()
        return True

    def wait(self) -> None:
        """Until the merge under way has finished."""
        if self._thread is not None:
            self._thread.join()

    def commit(self) -> list[LakeFile]:
        """Swap the files of a finished merge; the removed ones, [] when there was none or it failed.

        Raises:
            UnavailableError: the disk refused the commit; the merge starts anew later.
        """
        merge = self._merge
        if merge is None or not self.finished:
            return []
        self._thread = self._merge = None
        if merge.facts is None or merge.facts.rows != sum(f.rows for f in merge.inputs):
            self._give_up(merge)
            return []
        try:
            self.table.commit([(merge.output, merge.facts)], merge.inputs, data_change=False)
        except UnavailableError:
            self.table.drop(merge.output)
            self._resting = RETRY_STARTS
            raise
        self._said = ""
        return merge.inputs

    def stop(self) -> None:
        """Abandon the merge under way and start no other."""
        self._stopped.set()
        self.wait()
        if self._merge is not None:
            self._merge.output.unlink(missing_ok=True)
        self._thread = self._merge = None

    def _give_up(self, merge: _Merge) -> None:
        merge.output.unlink(missing_ok=True)
        self._resting = RETRY_STARTS
        for file in merge.inputs:
            path = self.table.root / file.path
            problem = damage(path, file.rows, self.table.columns)
            if problem:
                self._damaged.add(file.path)
                self.fault = f"{path}: {problem}; it is left out of compaction (run lifeline verify)"
                logger.error("%s", self.fault)
        why = str(merge.error or "it does not hold the rows of its inputs")
        if why != self._said:
            self._said = why
            logger.error("%s: a merge failed and is tried again: %s", self.table.root, why)

    def _run(self, merge: _Merge) -> None:
        paths = [self.table.root / file.path for file in sorted(merge.inputs, key=lambda f: f.path)]
        try:
            merge.facts = self._merge_files(paths, merge.output, self._stopped)
        except (OSError, pa.ArrowException, CorruptionError, UnavailableError) as error:
            merge.error = error
