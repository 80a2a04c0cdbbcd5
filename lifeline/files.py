"""Small durable files: whole or not at all, on the disk when the call returns.

Everything that is written beside the log (snapshots, manifests, status) goes through here. Lives between the cellar
and the ground: imports nothing of ours but errors.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path


PIECE_BYTES: Final = 1 << 20
"""A file is made durable piece by piece. The log syncs on the same disk a hundred times a second, and waits for what is
under way: an 82 MB checkpoint at once held it up by 62 ms, in pieces by 30 (medians of the longest wait)."""

WRITE_AND_WAIT: Final = 7
"""Flags of sync_file_range(2): wait for what is under way, write what is not, wait for it."""


def _sync_file_range() -> Callable[..., int] | None:
    """The call of the C library, which lets Python's lock go; None where there is none (macOS)."""
    try:
        call = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (AttributeError, OSError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return cast("Callable[..., int]", call)


_write_range = _sync_file_range()


def write_out(fd: int) -> None:
    """Have the disk take what was written to a file, piece by piece; a sync must follow, and has little left to do.

    It alone makes nothing durable: neither the file's length nor what the disk itself still holds back. Of 20 MB that
    another process mapped and changed the log's own sync waited 11 to 34 ms when they were synced at once, 1 to 4 so.

    Raises:
        OSError: the disk refuses. It may tell so only once: the sync that follows may know nothing of it.
    """
    length = os.fstat(fd).st_size
    if _write_range is None or length <= PIECE_BYTES:
        return
    for start in range(0, length, PIECE_BYTES):
        if _write_range(fd, start, PIECE_BYTES, WRITE_AND_WAIT) != 0:
            code = ctypes.get_errno()
            if code in {errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EPERM}:
                return  # no such call here (a sandbox, a file system without it): the sync will do all of it
            raise OSError(code, os.strerror(code))


def fsync_directory(directory: Path) -> None:
    """Make creations, renames and deletions in ``directory`` survive a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(directory: Path) -> None:
    """Create ``directory`` and its missing parents so that they survive a power cut.

    Raises:
        UnavailableError: the disk refuses.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in missing:
            fsync_directory(path.parent)
    except OSError as error:
        raise UnavailableError(f"{directory}: cannot be created: {error}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _pieces(parts: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part)
        for start in range(0, view.nbytes, PIECE_BYTES):
            yield view.cast("B")[start : start + PIECE_BYTES]


def write_atomic(path: Path, *parts: bytes | memoryview, durable: bool = True, private: bool = False) -> None:
    """Replace ``path`` by ``parts``, one after the other: a reader sees the old bytes or the new ones, never a mixture.

    With ``durable=False`` the replacement is still atomic for readers, but may be lost by a power cut (status files).
    ``private``: never readable for another account, not for a moment.

    Raises:
        UnavailableError: the disk refuses (full, read-only, failing); ``path`` still holds the old bytes.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb", opener=_private if private else None) as file:
            waiting = 0
            for piece in _pieces(parts):
                if durable and waiting and waiting + len(piece) > PIECE_BYTES:
                    file.flush()
                    os.fdatasync(file.fileno())
                    waiting = 0
                file.write(piece)
                waiting += len(piece)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            fsync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UnavailableError(f"{path}: cannot be written: {error}") from error
