"""State snapshots of followers: the newest whole one wins.

    state/
      rules-00000000000000004711.snap      state after log record 4711
      rules-00000000000000004920.snap      a newer one; the older is deleted once this one is durable

A snapshot is only a shortcut: without any, the follower replays the log from its first record.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from lifeline.core.errors import UnavailableError
from lifeline.files import fsync_directory, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

_HEADER: Final = struct.Struct("<8sQIQ")
"""magic, lsn, crc32 of lsn and state, length of the state."""
_MAGIC: Final = b"LLSNAP\x00\x01"


def _checksum(lsn: int, *state: bytes | memoryview) -> int:
    crc = zlib.crc32(lsn.to_bytes(8, "little"))
    for part in state:
        crc = zlib.crc32(part, crc)
    return crc


class SnapshotStore:
    """Snapshots of one follower in one directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        directory.mkdir(parents=True, exist_ok=True)

    def save(self, lsn: int, *state: bytes | memoryview) -> None:
        """Keep ``state``, one part after the other, as of log record ``lsn``; durable on return, older ones are gone.

        Raises:
            UnavailableError: the disk refuses; the older snapshot is still there.
        """
        path = self._directory / f"{self._name}-{lsn:020d}.snap"
        length = sum(memoryview(part).nbytes for part in state)
        write_atomic(path, _HEADER.pack(_MAGIC, lsn, _checksum(lsn, *state), length), *state)
        for older in self._paths():
            if older != path:
                with suppress(OSError):
                    older.unlink()

    def load(self) -> tuple[int, memoryview] | None:
        """The newest intact snapshot as (lsn, state); None when there is none.

        A damaged one is passed over for an older one or a full replay: the log is the truth, nothing is lost by it.
        What is found stays: its name may come from a process that was killed before it could make it durable.

        Raises:
            UnavailableError: the disk refuses.
        """
        try:
            fsync_directory(self._directory)
        except OSError as error:
            raise UnavailableError(f"{self._directory}: cannot be made durable: {error}") from error
        for path in sorted(self._paths(), reverse=True):
            try:
                data = path.read_bytes()
            except OSError as error:
                raise UnavailableError(f"{path}: cannot be read: {error}") from error
            if len(data) < _HEADER.size:
                continue
            magic, lsn, crc, length = _HEADER.unpack_from(data)
            state = memoryview(data)[_HEADER.size :]
            if magic == _MAGIC and len(state) == length and crc == _checksum(lsn, state):
                return lsn, state
        return None

    @property
    def newest(self) -> int:
        """The lsn that the newest snapshot bears in its name, 0 without any; whether it is intact, ``load`` tells."""
        numbers = (path.stem.rpartition("-")[2] for path in self._paths())
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    def discard(self) -> None:
        """Forget all snapshots (other rules, other format): the next start replays the log."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return list(self._directory.glob(f"{self._name}-*.snap"))
