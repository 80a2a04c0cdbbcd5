"""Before a large file is synced the disk takes it piece by piece, and an error told then is not lost."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

import pytest

from lifeline import files
from lifeline.core.errors import UnavailableError
from lifeline.lake.files import sync_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIECE = files.PIECE_BYTES


def answering(code: int, asked: list[tuple[int, int]]) -> Callable[[int, int, int, int], int]:
    """The system call, noted and answered."""

    def call(_fd: int, start: int, count: int, _flags: int) -> int:
        asked.append((start, count))
        ctypes.set_errno(code)
        return -1 if code else 0

    return call


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Three pieces and a byte."""
    path = tmp_path / "large"
    path.write_bytes(b"x" * (3 * PIECE + 1))
    return path


def test_pieces_cover_the_file(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(files, "_write_range", answering(0, asked))

    sync_file(large)

    assert asked == [(k * PIECE, PIECE) for k in range(4)]


def test_a_small_file_is_synced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(files, "_write_range", answering(errno.EIO, asked))
    path = tmp_path / "small"
    path.write_bytes(b"x" * PIECE)

    sync_file(path)

    assert not asked


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_refuses_is_heard(large: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(files, "_write_range", answering(code, asked))

    with pytest.raises(UnavailableError, match=os.strerror(code)):
        sync_file(large)  # the kernel tells of a failed write once: fsync would know nothing of it

    assert len(asked) == 1


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL])
def test_without_such_a_call_the_sync_does_all(large: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(files, "_write_range", answering(code, []))
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), fsync(fd))[1])

    sync_file(large)

    assert len(synced) == 1


def test_the_real_call_is_taken(large: Path) -> None:
    handle = os.open(large, os.O_RDWR)
    try:
        files.write_out(handle)
    finally:
        os.close(handle)
    if files._write_range is not None:  # Linux: a descriptor that is closed is told, so the arguments arrive
        assert files._write_range(handle, 0, PIECE, files.WRITE_AND_WAIT) == -1
        assert ctypes.get_errno() == errno.EBADF
