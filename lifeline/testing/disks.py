"""Disks for the durable log (`lifeline.log.files.Files`) that misbehave on purpose.

`MemoryDisk` is the power-cut model. A file has three images:

    operations   write, truncate ──► pending list
    cache        durable image + all pending operations        what ``read`` shows
    durable      what was fdatasynced                          what ``crash`` surely keeps

A power cut keeps, per file, the durable image and any prefix of the pending operations, the next one partly, at any
byte; with ``scatter`` also any subset of their 512-byte sectors (lost ones read as zeros or as they were): disks do
not write in order. Names behave alike: a creation, rename or deletion is sure only after ``sync_directory``; before
it, any prefix of them survives.

A *failing* fdatasync (``FaultyDisk``) leaves the cache as it is and drops the pending operations: later calls succeed
and still do not write them. That is what Linux does (fsyncgate), and why nobody may repeat it.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from random import Random

SECTOR_BYTES: Final = 512
_CALLS: Final = frozenset(
    {"names", "open", "size", "read", "write", "truncate", "sync_data", "sync_directory", "rename", "remove"}
)
Operation = tuple[int, bytes | None]
"""(offset, bytes) writes, (size, None) truncates."""


class PowerOffError(OSError):
    """The disk has lost power; every call fails."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "power is off")


@dataclass(slots=True)
class _Inode:
    cache: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)


def _apply(image: bytearray, operation: Operation) -> None:
    offset, data = operation
    end = offset if data is None else offset + len(data)
    if end > len(image):
        image.extend(bytes(end - len(image)))
    if data is None:
        del image[offset:]
    else:
        image[offset:end] = data


class MemoryDisk:
    """A disk in memory, with a power switch.

    Args:
        cut_at: the call (write, truncate, sync, rename, remove: they count from 1) before whose effect becomes
            durable the power goes; None means never.
        lying: fdatasync reports success and does nothing: the mutant that every crash test must catch.
    """

    def __init__(self, *, cut_at: int | None = None, lying: bool = False) -> None:
        self.cut_at = cut_at
        self.lying = lying
        self.calls = 0
        self.off = False
        self._lock = threading.RLock()
        self._names: dict[Path, _Inode] = {}
        self._durable_names: dict[Path, _Inode] = {}
        self._name_operations: list[tuple[Path | None, Path | None, _Inode]] = []
        self._open: dict[int, tuple[_Inode, Path]] = {}
        self._next_fd = 3
        self._locked: set[Path] = set()

    # --- the power switch --------------------------------------------------------------------------------------
    def cut(self) -> None:
        """Power goes now."""
        with self._lock:
            self.off = True

    def crash(self, random: Random, *, scatter: bool = False) -> MemoryDisk:
        """What a machine finds when power comes back; this disk stays off."""
        with self._lock:
            self.off = True
            found = MemoryDisk(lying=self.lying)
            kept = random.randint(0, len(self._name_operations))
            names = dict(self._durable_names)
            for operation in self._name_operations[:kept]:
                _relink(names, *operation)
            images: dict[int, _Inode] = {}
            for path, inode in names.items():
                if id(inode) not in images:
                    image = _survivor(inode, random, scatter=scatter)
                    images[id(inode)] = _Inode(bytearray(image), bytearray(image))
                found._names[path] = images[id(inode)]
            found._durable_names = dict(found._names)
            return found

    # --- Files -------------------------------------------------------------------------------------------------
    def names(self, directory: Path) -> list[str]:
        """See ``Files``."""
        with self._lock:
            self._powered()
            return [path.name for path in self._names if path.parent == directory]

    def make_directory(self, directory: Path) -> None:
        """See ``Files``: directories exist."""

    def open(self, path: Path, mode: str) -> int:
        """See ``Files``."""
        with self._lock:
            self._powered()
            inode = self._names.get(path)
            if inode is None:
                if mode != "create":
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
                inode = _Inode()
                self._link(None, path, inode)
            elif mode == "create":
                self._operate(inode, (0, None))
            self._next_fd += 1
            self._open[self._next_fd] = (inode, path)
            return self._next_fd

    def close(self, fd: int) -> None:
        """See ``Files``."""
        with self._lock:
            _, path = self._open.pop(fd)
            if path.name == "lock":
                self._locked.discard(path)

    def size(self, fd: int) -> int:
        """See ``Files``."""
        with self._lock:
            self._powered()
            return len(self._open[fd][0].cache)

    def read(self, fd: int, into: memoryview, offset: int) -> int:
        """See ``Files``."""
        with self._lock:
            self._powered()
            data = self._open[fd][0].cache[offset : offset + len(into)]
            into[: len(data)] = data
            return len(data)

    def write(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        """See ``Files``."""
        with self._lock:
            data = b"".join(buffers)
            self._count(lambda: self._operate(self._open[fd][0], (offset, data)))
            return len(data)

    def truncate(self, fd: int, size: int) -> None:
        """See ``Files``."""
        with self._lock:
            self._count(lambda: self._operate(self._open[fd][0], (size, None)))

    def sync_data(self, fd: int) -> None:
        """See ``Files``."""
        with self._lock:
            self._count()
            inode = self._open[fd][0]
            if not self.lying:
                for operation in inode.pending:
                    _apply(inode.durable, operation)
                inode.pending.clear()

    def forget_dirty(self, fd: int) -> None:
        """What a failing fdatasync does: pending operations stay in the cache and will never be written."""
        with self._lock:
            self._open[fd][0].pending.clear()

    def sync_directory(self, directory: Path) -> None:  # noqa: ARG002 - one list of names for all
        """See ``Files``; all directories at once."""
        with self._lock:
            self._count()
            self._durable_names = dict(self._names)
            self._name_operations.clear()

    def rename(self, source: Path, target: Path) -> None:
        """See ``Files``."""
        with self._lock:
            self._count(lambda: self._link(source, target, self._names[source]))

    def remove(self, path: Path) -> None:
        """See ``Files``."""
        with self._lock:
            if path not in self._names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            self._count(lambda: self._link(path, None, self._names[path]))

    def lock(self, path: Path, *, shared: bool = False) -> int:
        """See ``Files``."""
        with self._lock:
            if path in self._locked:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))
            fd = self.open(path, "read" if shared else "write" if path in self._names else "create")
            if not shared:
                self._locked.add(path)
            return fd

    # --- inside ------------------------------------------------------------------------------------------------
    def _powered(self) -> None:
        if self.off:
            raise PowerOffError

    def _count(self, effect: Callable[[], None] = lambda: None) -> None:
        """One call that changes something: its effect may still reach the disk when the power goes during it."""
        self._powered()
        self.calls += 1
        effect()
        if self.calls == self.cut_at:
            self.off = True
            raise PowerOffError

    def _operate(self, inode: _Inode, operation: Operation) -> None:
        inode.pending.append(operation)
        _apply(inode.cache, operation)

    def _link(self, source: Path | None, target: Path | None, inode: _Inode) -> None:
        self._name_operations.append((source, target, inode))
        _relink(self._names, source, target, inode)


def _relink(names: dict[Path, _Inode], source: Path | None, target: Path | None, inode: _Inode) -> None:
    if source is not None:
        names.pop(source, None)
    if target is not None:
        names[target] = inode


def _survivor(inode: _Inode, random: Random, *, scatter: bool) -> bytearray:
    image = bytearray(inode.durable)
    if scatter:
        for operation in inode.pending:
            for part in _sectors(operation):
                if random.random() < 0.5:
                    _apply(image, part)
        return image
    kept = random.randint(0, len(inode.pending))
    for operation in inode.pending[:kept]:
        _apply(image, operation)
    if kept < len(inode.pending):
        offset, data = inode.pending[kept]
        if data is not None:
            _apply(image, (offset, data[: random.randint(0, len(data))]))
    return image


def _sectors(operation: Operation) -> list[Operation]:
    offset, data = operation
    if data is None:
        return [operation]
    cuts = [0, *range(SECTOR_BYTES - offset % SECTOR_BYTES, len(data), SECTOR_BYTES), len(data)]
    return [(offset + a, data[a:b]) for a, b in itertools.pairwise(cuts) if a < b]


class Fault(NamedTuple):
    """One planned failure of a `FaultyDisk`."""

    call: str
    """Name of the method of ``Files``."""
    at: int
    """Which call of it, from 1."""
    code: int = errno.EIO
    """The errno; 0 means a short write of half the bytes instead of an error."""
    times: int = 1
    """How many calls in a row."""


class FaultyDisk:
    """Another disk whose planned calls fail.

    Args:
        inner: the disk underneath: ``OsFiles()`` or a `MemoryDisk`.
        faults: what fails when. A failing write has written half of its bytes; a failing ``sync_data`` also makes a
            `MemoryDisk` forget its dirty data.
    """

    def __init__(self, inner: Any, faults: Sequence[Fault] = ()) -> None:
        self.inner = inner
        self.faults = list(faults)
        self.counts: Counter[str] = Counter()
        self.failed: list[tuple[str, int, int]] = []
        """(call, count, descriptor or -1) of every failure so far."""
        self.history: list[tuple[str, int]] = []
        """(call, descriptor or -1) of every counted call."""
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """Calls of ``Files`` by name, counted."""
        method = getattr(self.inner, name)
        if name not in _CALLS:
            return method

        def call(*args: Any, **named: Any) -> Any:
            fd = args[0] if args and isinstance(args[0], int) else -1
            with self._lock:
                self.counts[name] += 1
                count = self.counts[name]
                self.history.append((name, fd))
                fault = next((f for f in self.faults if f.call == name and f.at <= count < f.at + f.times), None)
                if fault is not None:
                    self.failed.append((name, count, fd))
            if fault is None:
                return method(*args, **named)
            return self._fail(fault, method, args)

        return call

    def _fail(self, fault: Fault, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if fault.call == "write":
            fd, buffers, offset = args
            data = b"".join(buffers)
            taken = method(fd, [memoryview(data[: (len(data) + 1) // 2])], offset)
            if fault.code == 0:
                return taken
        if fault.call == "sync_data" and hasattr(self.inner, "forget_dirty"):
            self.inner.forget_dirty(args[0])
        raise OSError(fault.code, os.strerror(fault.code))
