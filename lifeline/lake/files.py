"""How the lake makes files durable and how it deletes them (small files are swapped by ``lifeline.files``).

Three rules. A file is fsynced before anything refers to it. What readers open by a fixed name is replaced by an atomic
rename. What a reader may still have in hand is deleted only after a grace period, and whether a file is garbage is
never remembered on disk: at a start, every file that nothing refers to starts a new grace period.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from lifeline.core.errors import UnavailableError
from lifeline.files import write_out

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

GRACE_MS = 10 * 60_000
"""A query that began on the previous catalog may read its files for this long."""


def sync_file(path: Path) -> None:
    """Make a file's bytes durable, piece by piece: the log's own syncs wait for what is under way on their disk.

    Raises:
        UnavailableError: the disk refuses; the file must not be referred to.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            write_out(handle)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be made durable: {error}") from error


def sync_dir(path: Path) -> None:
    """Make the names in a directory durable (new files, renames).

    Raises:
        UnavailableError: the disk refuses.
    """
    sync_file(path)


def make_dir(path: Path) -> None:
    """Create a directory and its missing parents, their names durable.

    Raises:
        UnavailableError: the disk refuses.
    """
    if path.is_dir():
        return
    make_dir(path.parent)
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be created: {error}") from error
    sync_dir(path.parent)


class Trash:
    """Files that nothing new refers to, deleted once their grace period is over. Not safe for several threads."""

    def __init__(self, grace_ms: int = GRACE_MS) -> None:
        self.grace_ms = grace_ms
        self._due: deque[tuple[int, Path]] = deque()

    def __len__(self) -> int:
        """Files waiting."""
        return len(self._due)

    def add(self, paths: Iterable[Path], now_ms: int) -> None:
        """Let the grace period of these files begin now."""
        self._due.extend((now_ms + self.grace_ms, path) for path in paths)

    def empty(self, now_ms: int) -> int:
        """Delete what is due; how many. A file that cannot be deleted now is found again at the next start."""
        deleted = 0
        while self._due and self._due[0][0] <= now_ms:
            _, path = self._due.popleft()
            try:
                path.unlink(missing_ok=True)
                deleted += 1
            except OSError:
                continue
        return deleted
