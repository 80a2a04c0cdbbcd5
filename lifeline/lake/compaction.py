"""Many small files become few large ones, without a reader noticing and without writing each row often.

Levels: a file's size class is the number of times its weight can be divided by FAN_IN above CLASS_BYTES. As soon as
FAN_IN files of one day are in one class they are merged into one file, of the next class in the end; from TARGET_BYTES
on a file is left alone. A row is therefore rewritten some four times in a calm fleet and once or twice at full load,
and a day has at most about FAN_IN files a class. When a newer day has begun, what is left of the older one becomes one
file.

The merge itself (``merging``) runs in a thread of its own: sorting, zstd and the kernel release the GIL. Its commit is
made by the follower's thread, in ``tick``: one Delta transaction of removes and one add with ``data_change=False``. The
inputs stay on disk for the grace period.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.lake.damage import damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from lifeline.lake.parquet import FileFacts
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


@dataclass
class _Merge:
    inputs: list[LakeFile]
    output: Path
    facts: FileFacts | None = None
    error: Exception | None = None


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
