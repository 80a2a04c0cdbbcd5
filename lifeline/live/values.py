"""The live follower: the log's newest reading of every point, written in place under sequence locks.

Two positions. ``position`` moves with every record and tells readers how new the values are. ``durable`` moves when the
pages have been flushed to disk (every SYNC_MS, and at the end): after a power cut the values are at least that new, and
the replay from there repeats what is missing and changes nothing else. A file that is not ours, or damaged, is set
aside for an empty one, which a replay of the log fills; the log may have been trimmed by then, so points that have not
reported since stay unseen: last values are a convenience, the lake is the record.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lifeline.core.batch import together
from lifeline.core.errors import UnavailableError
from lifeline.core.schema import Flag
from lifeline.files import write_out
from lifeline.live.kernels.seqlock import write_rows
from lifeline.live.layout import HEADER, HEADER_BYTES, MAGIC, RECORD, file_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lifeline.core.batch import LogRecord, Readings
    from lifeline.core.registry import RegistrySource

SYNC_MS = 10_000
"""Flushing 500,000 points is 16 MB; a replay of ten seconds of the log takes less than one."""
SOONER = 1 / 3
"""Of the first period: the rules' checkpoint, counts of completeness and last values are each written every ten seconds
and begin together. Each in its own third of them, the log and the queue never wait for two of them at once."""


class LiveValues:
    """A ``lifeline.core.ports.Follower`` that keeps the last value of every point in a memory-mapped file.

    Args:
        path: The file; created when missing, grown (never moved) when the registry grows.
        source: Says how many points there are.

    Raises:
        UnavailableError: the file cannot be created or mapped.
    """

    name = "live"
    beat_s = 0.1

    def __init__(self, path: Path, source: RegistrySource) -> None:
        self._path = path
        self._source = source
        self._synced_ms: int | None = None
        self._map: mmap.mmap
        self._header: NDArray[Any]
        self._records: NDArray[Any]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _ours(path):
                _create(path)
            self._attach(len(source.current()))
        except OSError as error:
            raise UnavailableError(f"{path}: cannot hold the last values: {error}") from error
        torn = (self._records["version"] & 1) != 0
        self._records[torn] = np.zeros(1, RECORD)[0]
        # what was applied after the last flush may be lost in a power cut: repeat it, a replay is harmless
        self._header["position"][0] = self._header["durable"][0]
        self._position = self._durable = int(self._header["durable"][0])
        self._sync()  # it may come from a process that was killed before it could make it durable

    @property
    def position(self) -> int:
        """The lsn of the last applied record."""
        return self._position

    @property
    def durable(self) -> int:
        """The lsn up to which values are on disk, and the header that says so."""
        return self._durable

    def start_at(self, first: int) -> None:
        """Told the log's first record: what was trimmed before an empty file could see it is skipped."""
        self._position = max(self._position, first - 1)

    def consume(self, records: Sequence[LogRecord]) -> None:
        """Apply records; readers see them at once.

        Raises:
            UnavailableError: the file could not grow; the records before are applied.
        """
        position = self._position
        for readings, last in together(record for record in records if record.lsn > position):
            if len(readings):
                self._apply(readings)
            self._position = last.lsn
            self._header["position"][0] = last.lsn

    def tick(self, now_ms: int) -> None:
        """Flush to disk every SYNC_MS, for the first time SOONER.

        Raises:
            UnavailableError: the disk refuses; tried again at the next tick.
        """
        if self._synced_ms is None:
            self._synced_ms = now_ms - int(SYNC_MS * SOONER)
        elif now_ms < self._synced_ms:
            self._synced_ms = now_ms
        if now_ms - self._synced_ms >= SYNC_MS and self._position > self.durable:
            self.flush()
            self._synced_ms = now_ms

    def flush(self) -> None:
        """Values first, then the position that they stand for.

        Raises:
            UnavailableError: the disk refuses.
        """
        self._sync()
        self._header["durable"][0] = self._position
        self._sync()
        self._durable = self._position

    def _sync(self) -> None:
        """Everything in the map that is not on disk yet.

        ``mmap.flush`` would hold Python's lock until the disk is done: 40 ms in which nobody reads or acknowledges.
        """
        try:
            write_out(self._file)
            os.fdatasync(self._file)
        except OSError as error:
            raise UnavailableError(f"{self._path}: cannot be flushed: {error}") from error

    def close(self) -> None:
        """Flush and let go of the file; afterwards the object is of no use."""
        self.flush()
        self._detach()

    def _apply(self, rows: Readings) -> None:
        if int(rows.point.max()) >= len(self._records):
            self._grow(max(len(self._source.current()), int(rows.point.max()) + 1))
        r = self._records
        write_rows(
            rows.point,
            rows.ts,
            rows.received_at,
            rows.value,
            rows.quality,
            rows.flags,
            int(Flag.DUPLICATE),
            r["version"],
            r["ts"],
            r["received_at"],
            r["value"],
            r["quality"],
            r["flags"],
        )

    def _grow(self, points: int) -> None:
        old_map, old_file = self._map, self._file
        try:
            self._attach(points)
        except OSError as error:  # the old map goes on: the next record tries again
            raise UnavailableError(f"{self._path}: cannot grow to {points} points: {error}") from error
        old_map.close()
        os.close(old_file)

    def _attach(self, points: int) -> None:
        with self._path.open("r+b") as file:
            size = max(file_bytes(points), os.fstat(file.fileno()).st_size)
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk says so here, not by a signal in a kernel
            self._map = mmap.mmap(file.fileno(), size)
            self._file = os.dup(file.fileno())
        self._header = np.frombuffer(self._map, HEADER, 1)
        self._records = np.frombuffer(self._map, RECORD, (size - HEADER_BYTES) // RECORD.itemsize, HEADER_BYTES)
        self._header["points"][0] = len(self._records)

    def _detach(self) -> None:
        del self._header, self._records
        self._map.close()
        os.close(self._file)


def _ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEADER.itemsize)
    except FileNotFoundError:
        return False
    return head[:8] == MAGIC and len(head) == HEADER.itemsize and (path.stat().st_size - HEADER_BYTES) % 32 == 0


def _create(path: Path) -> None:
    if path.exists():
        path.replace(path.with_name(path.name + ".damaged"))
    draft = path.with_name(path.name + ".new")
    header = np.zeros(1, HEADER)
    header["magic"] = MAGIC
    with draft.open("wb") as file:
        file.write(header.tobytes().ljust(HEADER_BYTES, b"\0"))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
