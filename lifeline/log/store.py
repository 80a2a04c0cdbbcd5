"""Segments in a directory: commit a group, read, roll, trim, reopen. Synchronous; threads are in ``local``.

    directory   lock   0…01.log   0…57.log   0…99.log ◄─ active: commit appends here
                       └ sealed by its successor ┘

One thread calls ``commit``, ``reopen`` and ``close``; any thread calls ``read`` and ``trim``.

    healthy ──commit fails──► broken ──reopen──► healthy
                              (commit refuses)

After a failed write or fdatasync nobody knows what is on the disk behind the last committed record. ``reopen`` closes
the descriptor, cuts the file there and makes the cut durable *before* any lsn is used a second time: a record that was
refused can never come back under a number that somebody else has.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from lifeline.core.errors import UnavailableError
from lifeline.log.files import OsFiles, create_whole, explained, prove_room, read_file, read_range, write_all
from lifeline.log.recovery import Recovery, Segment, corruption, recover, remove_leftovers, segment_name
from lifeline.log.segment import (
    RECEIVED_AT_MIN,
    SALT_BYTES,
    Body,
    SegmentError,
    SegmentHeader,
    check_frame,
    decode_header,
    decode_record,
    encode_frame,
    encode_seal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lifeline.core.batch import LogRecord
    from lifeline.log.files import Files

logger = logging.getLogger(__name__)

LOCK_NAME: Final = "lock"
LOCK_TRIES: Final = 20
LOCK_PAUSE_S: Final = 0.05
"""One second in all: `verify` looks at the lock for an instant, a supervisor restarts faster than a process dies."""
ROOM_BYTES_MAX: Final = 64 << 20


class Store:
    """A log directory, owned by this process.

    Args:
        directory: created when missing.
        files: the disk.
        segment_bytes: a segment is left for a new one once it is this long.
        kept_bytes: ``trim`` leaves at least so much, if there is so much.

    Raises:
        UnavailableError: another process owns the directory (its pid is named), or the disk refuses.
        CorruptionError: a durable record is damaged; names file, offset and lsn.
        ConfigurationError: written by another version of this program.
    """

    def __init__(self, directory: Path, *, files: Files | None = None, segment_bytes: int, kept_bytes: int = 0) -> None:
        self.directory = directory
        self._files: Files = files if files is not None else OsFiles()
        self._segment_bytes = segment_bytes
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._trimming = threading.Lock()
        self._doomed: list[Segment] = []
        self._broken = False
        self._failed_bytes = 0
        with explained("cannot be created", directory):
            self._files.make_directory(directory)
        self._lock_fd = _own(self._files, directory)
        try:
            self._open()
        except BaseException:
            self._files.close(self._lock_fd)
            raise

    def _open(self) -> None:
        began = time.perf_counter()
        with explained("cannot be cleaned", self.directory):
            remove_leftovers(self._files, self.directory)
            self._files.sync_directory(self.directory)  # a name that is seen now must not vanish later
        found = recover(self._files, self.directory)
        self._segments = found.segments
        self._received_at = found.received_at
        self._sealed = found.sealed
        if self._segments:
            with explained("cannot be opened for writing", self._active.path):
                self._fd = self._files.open(self._active.path, "write")
        else:
            self._received_at = RECEIVED_AT_MIN
            with explained("the first segment cannot be created", self.directory):
                self._begin_segment(1)
        self._committed = self._active.next_lsn - 1
        self.recovery = Recovery(
            records=sum(len(segment.offsets) for segment in self._segments),
            segments=len(self._segments),
            bytes=found.bytes,
            torn_bytes=found.torn_bytes,
            torn_at=found.torn_at,
            seconds=time.perf_counter() - began,
        )

    @property
    def _active(self) -> Segment:
        return self._segments[-1]

    @property
    def committed(self) -> int:
        """The lsn of the last committed record."""
        return self._committed

    @property
    def first(self) -> int:
        """The lowest lsn still readable (one past ``committed`` when there is none)."""
        return self._segments[0].first_lsn

    @property
    def received_at(self) -> int:
        """The log's clock: that of the last record."""
        return self._received_at

    # --- writing: one thread -----------------------------------------------------------------------------------
    def commit(self, records: Sequence[tuple[Body, int]]) -> None:
        """Append (body, received_at) pairs with one write and one fdatasync; committed and readable on return.

        Raises:
            UnavailableError: the disk refused; nothing of the group is or will be committed. Call ``reopen``.
        """
        if self._broken:
            raise UnavailableError(f"{self.directory}: refused, the log must be reopened first")
        self._failed_bytes = sum(body.frame_bytes for body, _ in records)
        try:
            self._commit(records)
        except BaseException:
            self._broken = True
            raise

    def _commit(self, records: Sequence[tuple[Body, int]]) -> None:
        if self._active.end >= self._segment_bytes and self._active.offsets:
            with explained("a new segment cannot be created", self.directory):
                self._begin_segment(self._committed + 1)
        segment = self._active
        chunks: list[memoryview] = []
        offsets = []
        end = segment.end
        received_at = self._received_at
        for lsn, (body, arrived_at) in enumerate(records, self._committed + 1):
            received_at = max(received_at, arrived_at)
            numbers = {"lsn": lsn, "received_at": received_at, "synced": self._committed}
            chunks.extend(encode_frame(body, **numbers, salt=segment.salt))
            offsets.append(end)
            end += body.frame_bytes
        with explained("write failed", segment.path):
            write_all(self._files, self._fd, chunks, segment.end)
        with explained("fdatasync failed", segment.path):
            self._files.sync_data(self._fd)
        with self._lock:
            segment.offsets.extend(offsets)
            segment.end = end
            self._received_at = received_at
            self._sealed = False
            self._committed += len(records)

    def _begin_segment(self, first_lsn: int) -> None:
        header = SegmentHeader(first_lsn, self._received_at, os.urandom(SALT_BYTES))
        content = header.encode()
        path = self.directory / segment_name(first_lsn)
        fd = create_whole(self._files, path, content)
        if self._segments:
            with suppress(OSError):
                self._files.close(self._fd)
        self._fd = fd
        with self._lock:
            self._segments.append(Segment(path, first_lsn, header.salt, len(content)))

    def reopen(self) -> None:
        """Cut what a failed commit left, durably, with a fresh descriptor; after it ``commit`` works again.

        Raises:
            UnavailableError: the disk still refuses.
            CorruptionError: the active segment no longer holds what was committed.
        """
        segment = self._active
        with suppress(OSError):
            self._files.close(self._fd)
        self._fd = -1
        with explained("cannot be reopened", segment.path):
            self._fd = self._files.open(segment.path, "write")
            size = self._files.size(self._fd)
            if size < segment.end:
                raise corruption(segment.path, size, self._committed, f"{segment.end - size} committed bytes are gone")
            if segment.offsets:
                self._read_span(segment, self._committed, [segment.offsets[-1]], segment.end)
            self._files.truncate(self._fd, segment.end)
            self._files.sync_data(self._fd)
        with explained("there is no room yet", self.directory):
            prove_room(self._files, self.directory, min(self._failed_bytes, ROOM_BYTES_MAX))
        self._broken = False

    def close(self) -> None:
        """Seal the active segment (unless the disk refuses), close it and give the directory free."""
        if not self._broken and not self._sealed and self._active.offsets:
            segment = self._active
            seal = encode_seal(lsn=self._committed, received_at=self._received_at, salt=segment.salt)
            with suppress(OSError):
                write_all(self._files, self._fd, [memoryview(seal)], segment.end)
                self._files.sync_data(self._fd)
        for fd in (self._fd, self._lock_fd):
            with suppress(OSError):
                self._files.close(fd)

    # --- reading and trimming: any thread ----------------------------------------------------------------------
    def read(self, after: int, records_max: int, bytes_max: int) -> list[LogRecord]:
        """See ``ports.Log.read``; every record's checksum is verified here."""
        records: list[LogRecord] = []
        budget = bytes_max
        while len(records) < records_max and (budget > 0 or not records):
            span = self._span(after + len(records), records_max - len(records), budget)
            if span is None:
                break
            segment, lsn, starts, end = span
            records.extend(self._read_span(segment, lsn, starts, end))
            budget -= end - starts[0]
        return records

    def _span(self, after: int, records_max: int, bytes_max: int) -> tuple[Segment, int, list[int], int] | None:
        """The next run of records inside one segment: segment, first lsn, offsets, end offset."""
        lsn = after + 1
        with self._lock:
            if lsn < self.first:
                raise LookupError(f"lsn {lsn} was trimmed; the log in {self.directory} begins with {self.first}")
            if lsn > self._committed:
                return None
            at = bisect_right(self._segments, lsn, key=lambda segment: segment.first_lsn) - 1
            segment = self._segments[at]
            index = lsn - segment.first_lsn
            stop = min(index + records_max, len(segment.offsets))
            limit = segment.offsets[index] + bytes_max
            if _end(segment, stop) > limit:
                stop = max(index + 1, bisect_right(segment.offsets, limit, index + 1, stop) - 1)
            end = _end(segment, stop)
            return segment, lsn, list(segment.offsets[index:stop]), end

    def _read_span(self, segment: Segment, lsn: int, starts: list[int], end: int) -> list[LogRecord]:
        try:
            fd = self._files.open(segment.path, "read")
        except FileNotFoundError as error:
            raise LookupError(f"lsn {lsn} was trimmed from {self.directory}") from error
        except OSError as error:
            raise UnavailableError(f"{segment.path}: cannot be read: {error}") from error
        try:
            with explained("cannot be read", segment.path):
                buffer = read_range(self._files, fd, starts[0], end - starts[0])
        finally:
            self._files.close(fd)
        view = memoryview(buffer).cast("B")
        records = []
        for expected, start in enumerate(starts, lsn):
            try:
                part = view[start - starts[0] :]
                frame = decode_header(part, segment.salt)
                check_frame(part, frame, segment.salt)
                if frame.lsn != expected:
                    raise SegmentError(f"lsn {frame.lsn} stands here")  # noqa: TRY301 - named by place below
                records.append(decode_record(buffer, start - starts[0], frame))
            except SegmentError as error:
                raise corruption(segment.path, start, expected, str(error)) from error
        return records

    def trim(self, before: int) -> None:
        """Delete whole segments that hold only lsn < ``before``; never the active one, nor the last ``kept_bytes``.

        Oldest first, each deletion durable before the next: after a power cut no gap can appear. A disk that refuses
        to delete is logged, and tried again by the next call.
        """
        with self._lock:
            rest = sum(segment.end for segment in self._segments[1:])
            while len(self._segments) > 1 and self._segments[1].first_lsn <= before and rest >= self._kept_bytes:
                self._doomed.append(self._segments.pop(0))
                rest -= self._segments[0].end
        if not self._doomed or not self._trimming.acquire(blocking=False):
            return
        try:
            while self._doomed:
                with suppress(FileNotFoundError):
                    self._files.remove(self._doomed[0].path)
                self._files.sync_directory(self.directory)
                self._doomed.pop(0)
        except OSError as error:
            logger.warning("%s: a trimmed segment cannot be deleted: %s", self._doomed[0].path, error)
        finally:
            self._trimming.release()


def _end(segment: Segment, stop: int) -> int:
    """Where record ``stop - 1`` of a segment ends at the latest (a seal may follow it)."""
    return segment.offsets[stop] if stop < len(segment.offsets) else segment.end


def _own(files: Files, directory: Path) -> int:
    path = directory / LOCK_NAME
    for attempt in range(LOCK_TRIES):
        if attempt:
            time.sleep(LOCK_PAUSE_S)
        try:
            fd = files.lock(path)
            break
        except BlockingIOError:
            continue
        except OSError as error:
            raise UnavailableError(f"{path}: cannot be locked: {error}") from error
    else:
        raise UnavailableError(
            f"{directory}: in use by process {_owner(files, path)}; stop that engine or choose another data_dir"
        )
    with suppress(OSError):  # the pid is a courtesy; the lock holds without it, also on a full disk
        files.truncate(fd, 0)
        write_all(files, fd, [memoryview(str(os.getpid()).encode())], 0)
    return fd


def _owner(files: Files, path: Path) -> str:
    try:
        return bytes(memoryview(read_file(files, path)).cast("B")).decode("ascii", "replace") or "unknown"
    except OSError:
        return "unknown"
