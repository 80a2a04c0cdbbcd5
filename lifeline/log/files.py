"""The only module that opens, writes, fsyncs, renames, truncates and deletes for the log.

Two layers. ``Files`` is the disk as system calls show it: a write may be short, any call may fail. ``OsFiles`` is the
real one; tests put a power-cut model or a failing disk in its place (``lifeline.testing``). The functions below turn
calls into operations that are whole: ``write_all`` loops over short writes, ``create_whole`` makes a file appear with
its content or not at all.

Signals: Python retries every call used here after EINTR (PEP 475). A failed fsync is never repeated on the same
descriptor: the kernel has dropped the dirty pages and the second call would report success (fsyncgate, 2018).
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal, Protocol

import pyarrow as pa

from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Mode = Literal["read", "write", "create"]
"""``create`` empties a file that exists."""

_FLAGS: Final[dict[Mode, int]] = {
    "read": os.O_RDONLY,
    "write": os.O_RDWR,
    "create": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
}
_GATHER_MAX: Final = 1024
"""Buffers in one pwritev: IOV_MAX of Linux."""


class Files(Protocol):
    """A disk at the level of system calls. Every method may raise OSError."""

    def names(self, directory: Path) -> list[str]:
        """Names of the files in ``directory``."""
        ...

    def make_directory(self, directory: Path) -> None:
        """Create ``directory`` and its missing parents durably."""
        ...

    def open(self, path: Path, mode: Mode) -> int:
        """A descriptor."""
        ...

    def close(self, fd: int) -> None:
        """Close it; promises nothing about durability."""
        ...

    def size(self, fd: int) -> int:
        """Bytes in the file."""
        ...

    def read(self, fd: int, into: memoryview, offset: int) -> int:
        """Fill a part of ``into``; returns how much, 0 at the end of the file."""
        ...

    def write(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        """Write a part of ``buffers``; returns how many bytes were taken."""
        ...

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file."""
        ...

    def sync_data(self, fd: int) -> None:
        """Make content and size durable."""
        ...

    def sync_directory(self, directory: Path) -> None:
        """Make creations, renames and deletions in ``directory`` durable."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Replace ``target`` atomically."""
        ...

    def remove(self, path: Path) -> None:
        """Delete a file."""
        ...

    def lock(self, path: Path, *, shared: bool = False) -> int:
        """Lock a file (created when missing, unless ``shared``) without waiting; BlockingIOError when another has it.

        Returns the descriptor that holds the lock until it is closed or the process ends.
        """
        ...


class OsFiles:
    """The real disk."""

    def names(self, directory: Path) -> list[str]:
        """See ``Files``."""
        return os.listdir(directory)  # noqa: PTH208 - names are wanted, not paths

    def make_directory(self, directory: Path) -> None:
        """See ``Files``."""
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        directory.mkdir(parents=True, exist_ok=True)
        for path in reversed(missing):
            self.sync_directory(path.parent)

    def open(self, path: Path, mode: Mode) -> int:
        """See ``Files``."""
        return os.open(path, _FLAGS[mode] | os.O_CLOEXEC, 0o640)

    def close(self, fd: int) -> None:
        """See ``Files``."""
        os.close(fd)

    def size(self, fd: int) -> int:
        """See ``Files``."""
        return os.fstat(fd).st_size

    def read(self, fd: int, into: memoryview, offset: int) -> int:
        """See ``Files``."""
        return os.preadv(fd, [into], offset)

    def write(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        """See ``Files``."""
        return os.pwritev(fd, buffers, offset)

    def truncate(self, fd: int, size: int) -> None:
        """See ``Files``."""
        os.ftruncate(fd, size)

    def sync_data(self, fd: int) -> None:
        """See ``Files``. fdatasync includes the size, as a longer file could not be read without it."""
        os.fdatasync(fd)

    def sync_directory(self, directory: Path) -> None:
        """See ``Files``."""
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """See ``Files``."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """See ``Files``."""
        path.unlink()

    def lock(self, path: Path, *, shared: bool = False) -> int:
        """See ``Files``."""
        flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
        fd = os.open(path, flags | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            raise
        return fd


@contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError into an UnavailableError that names the file and what was tried."""
    try:
        yield
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "")
        raise UnavailableError(f"{path}: {doing}: {code} {error.strerror or error}") from error


def write_all(files: Files, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
    """Write all of ``buffers`` at ``offset`` in one call where the disk takes it; returns the bytes written.

    A short write (a signal, a quota, a disk nearly full) is continued; the disk then says by an error why it stopped.
    """
    start = offset
    rest = list(buffers)
    while rest:
        taken = files.write(fd, rest[:_GATHER_MAX], offset)
        if taken <= 0:
            raise OSError(errno.EIO, "the disk took no bytes and named no error")
        offset += taken
        whole = 0
        while whole < len(rest) and taken >= len(rest[whole]):
            taken -= len(rest[whole])
            whole += 1
        del rest[:whole]
        if rest:
            rest[0] = rest[0][taken:]
    return offset - start


def read_range(files: Files, fd: int, offset: int, size: int, into: Scratch | None = None) -> pa.Buffer:
    """Up to ``size`` bytes from ``offset`` in a 64-byte aligned buffer; fewer when the file ends before."""
    buffer = pa.allocate_buffer(size) if into is None else into.of(size)
    view = memoryview(buffer).cast("B")[:size]
    have = 0
    while have < size and (taken := files.read(fd, view[have:], offset + have)):
        have += taken
    return buffer.slice(0, have)


def read_file(files: Files, path: Path, into: Scratch | None = None) -> pa.Buffer:
    """The whole file; ``into`` what was read before, which is overwritten, when nobody looks at it any more."""
    fd = files.open(path, "read")
    try:
        return read_range(files, fd, 0, files.size(fd), into)
    finally:
        files.close(fd)


class Scratch:
    """One buffer for file after file: a fresh one costs a page fault for every 4 KiB, as much as checking them."""

    def __init__(self) -> None:
        self._buffer = pa.allocate_buffer(0)

    def of(self, size: int) -> pa.Buffer:
        """The buffer, of ``size`` bytes at least, with what was last in it."""
        if self._buffer.size < size:
            self._buffer = pa.allocate_buffer(size)
        return self._buffer


def create_whole(files: Files, path: Path, content: bytes) -> int:
    """Make ``path`` appear with ``content``, durably and at once; returns a descriptor for writing.

    Replaces a file of that name: the caller knows that it holds nothing acknowledged.
    """
    temporary = path.with_suffix(".tmp")
    fd = files.open(temporary, "create")
    try:
        write_all(files, fd, [memoryview(content)], 0)
        files.sync_data(fd)
        files.rename(temporary, path)
        files.sync_directory(path.parent)
    except BaseException:
        with suppress(OSError):
            files.close(fd)
        raise
    return fd


def prove_room(files: Files, directory: Path, size: int) -> None:
    """Write and delete ``size`` bytes: raises OSError while a full disk is still full."""
    path = directory / "room.tmp"
    fd = files.open(path, "create")
    try:
        block = memoryview(bytes(min(size, 1 << 20)))
        for offset in range(0, size, len(block)):
            write_all(files, fd, [block[: size - offset]], offset)
        files.sync_data(fd)
    finally:
        with suppress(OSError):
            files.close(fd)
        with suppress(OSError):
            files.remove(path)
