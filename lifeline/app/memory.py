"""How the process asks the system for memory, and gives it back.

glibc raises the size from which a block is mapped by itself to that of the largest block freed so far, up to 32 MiB.
From then on the arrays of a batch come from heaps that are only given back from their end, one heap a thread: an engine
that was behind once keeps the memory of that moment. With the size fixed, whatever is large goes back when freed. Arrow
is told to use the same allocator: its own (mimalloc) keeps some 60 MiB of what reading the registry took.

Measured over the whole fleet at one report a second: 300 MiB less at the peak.

Half of what the start pages in of libraries (code and tables of LLVM, and most of DuckDB, Polars and Arrow) is never
looked at again: 160 MiB. Its pages are clean, so they are let go too; what is used after all comes back from the page
cache.

Delta brings an allocator of its own (jemalloc), with four heaps a core, each of which keeps what any of its threads had
once. With one heap, of which what is free goes back after a second, a table of 900 commits takes 10 to 12 MiB less, at
the same CPU.

What is small and free lies in holes between what is used. Two heaps instead of eight a core have fewer of them (whoever
allocates much holds Python's lock anyway), and after the start and once a minute their pages are given back: the start
alone leaves 150 MiB.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from lifeline.core.ports import Clock

MADV_DONTNEED: Final = 4
MAPS: Final = Path("/proc/self/maps")
STATM: Final = Path("/proc/self/statm")
ELF_HEADER: Final = struct.Struct("<6s26xQ14xHH6x")
"""Of 64 bits, elf(5): its magic, where the program headers are, the size and the number of them."""
ELF64_LITTLE: Final = b"\x7fELF\x02\x01"
SEGMENT: Final = struct.Struct("<II8xQ8xQ16x")
"""A program header: type, flags, address, bytes in the file."""
PT_LOAD: Final = 1
PF_W: Final = 2
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
START_BYTES: Final = 32 << 20
"""The largest from which glibc can be told to map a block by itself."""
MMAP_BYTES: Final = 8 << 20
"""A reader's turn is larger (16 MiB), a batch's columns are smaller. With 1 MiB each of these was mapped anew, and
clearing pages was a tenth of the engine at 624,500 readings/s (1.02 to 1.08 cores, 0.95 to 1.01 so; the same peak)."""
TRIM_BYTES: Final = 32 << 20
ARENAS: Final = 2
DELTA_VARIABLE: Final = "_RJEM_MALLOC_CONF"
DELTA_HEAPS: Final = "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0"
GIVE_BACK_MS: Final = 60_000
"""It takes some 20 ms of one thread."""
IN_USE_MS: Final = 10_000
CODE_BYTES: Final = 16 << 20
"""The first readings load 70 MiB (LLVM links each kernel once), of which 40 are not looked at again. It takes 10 ms."""


def settle_allocator(*, starting: bool = False) -> bool:
    """Fix glibc's thresholds for this process; False where there is no glibc (musl, macOS): nothing to fix there.

    ``starting``: blocks are used again instead of mapped anew, until it is called without: every fresh page is a fault,
    and binding the rules of a city made 250,000 of them, a third of its time (80,000 so). The same is kept in the end.
    A backtest is all start: it ends when it has nothing more to do, and half its faults were columns mapped anew.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = _function("mallopt")
    if mallopt is None:
        return False
    mapped, trimmed = (START_BYTES, 1 << 30) if starting else (MMAP_BYTES, TRIM_BYTES)
    settings = ((M_MMAP_THRESHOLD, mapped), (M_TRIM_THRESHOLD, trimmed), (M_ARENA_MAX, ARENAS))
    taken = [mallopt(name, value) for name, value in settings]
    return all(taken)


def settle_delta() -> None:
    """Load Delta with one heap; to be called before anything else imports it, and nothing changes where it came later.

    Its allocator reads the variable when it is loaded. What an operator has set stays; other libraries and processes
    with the same allocator (a backtest's Polars, of many threads) are not to see what is meant for Delta.
    """
    if DELTA_VARIABLE in os.environ:
        return
    os.environ[DELTA_VARIABLE] = DELTA_HEAPS
    try:
        import deltalake  # noqa: F401
    finally:
        del os.environ[DELTA_VARIABLE]


def give_back() -> bool:
    """Free pages in the middle of the heaps, Arrow's, and code, back to the system; False without glibc."""
    pa.default_memory_pool().release_unused()
    let_go_of_code()
    trim = _function("malloc_trim")
    return trim is not None and trim(0) >= 0


def settle(*, more: bool = False) -> None:
    """After a part of the start: what it has made stays, what it needed for that goes back.

    The collector of cycles need not walk what stays (100 ms, while alarms wait). With ``more`` of the start to come,
    only what costs next to nothing: finding what is free takes a quarter of a second, and the next part uses it again.
    """
    if more:
        gc.freeze()
        let_go_of_code()
        return
    gc.collect()
    gc.freeze()
    give_back()


def let_go_of_code() -> int:
    """Unmap what is loaded of libraries and never written, to be mapped again when used; bytes in all, 0 where unknown.

    Nothing is lost: it is in the library's file. What the loader itself writes (relocations) is in segments that are
    writable by the library's program headers, though no longer in memory: so these are asked, not the page table.
    """
    madvise = _function("madvise")
    if madvise is None:
        return 0
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    total = 0
    try:
        lines = MAPS.read_text().splitlines()
    except OSError:
        return 0
    library = ""
    segments: list[tuple[int, int]] = []
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) < 6 or ".so" not in fields[5] or not fields[1].startswith("r"):
            continue
        start, end = (int(part, 16) for part in fields[0].split("-"))
        if int(fields[2], 16) == 0:
            library, segments = fields[5], _unwritten(start, end - start)
        for first, last in segments if fields[5] == library and fields[1] in {"r--p", "r-xp"} else ():
            low, high = max(start, first), min(end, last)
            if low < high:
                madvise(low, high - low, MADV_DONTNEED)
                total += high - low
    return total


def _unwritten(address: int, mapped: int) -> list[tuple[int, int]]:
    """Start and end of the whole pages of the read-only segments of an ELF file; [] when its headers are elsewhere.

    The file's first ``mapped`` bytes, a page at least, are in memory at ``address``.
    """
    magic, at, size, count = ELF_HEADER.unpack(ctypes.string_at(address, ELF_HEADER.size))
    if magic != ELF64_LITTLE or size != SEGMENT.size or at + size * count > mapped:
        return []
    segments = [SEGMENT.unpack(ctypes.string_at(address + at + i * size, size)) for i in range(count)]
    loaded = [segment for segment in segments if segment[0] == PT_LOAD]
    page, found = mmap.PAGESIZE, []
    for _, flags, place, in_file in loaded:
        first = address + place - loaded[0][2] // page * page
        start, end = -(-first // page) * page, (first + in_file) // page * page
        if not flags & PF_W and end > start:
            found.append((start, end))
    return found


def _function(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None


class MemoryKeeper:
    """A chore that gives back once a minute, and code as soon as much more of it is loaded than is in use.

    What is in use comes back within seconds: how much that is, is looked up some seconds after it was let go, for the
    first time when a start is some seconds old.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_ms = clock() + GIVE_BACK_MS
        self._look_ms = clock() + IN_USE_MS
        self._in_use = 1  # a start has loaded more

    def keep(self) -> None:
        """Give back when it is time."""
        now = self._clock()
        if now >= self._next_ms:
            self._next_ms = now + GIVE_BACK_MS
            give_back()
        elif now < self._look_ms:
            return
        elif not self._in_use:
            self._in_use = file_bytes()
            return
        elif file_bytes() <= self._in_use + CODE_BYTES:
            return
        else:
            let_go_of_code()
        self._look_ms, self._in_use = now + IN_USE_MS, 0


def file_bytes() -> int:
    """Bytes of files that are mapped and loaded, code for the most part; 0 where unknown."""
    try:
        return int(STATM.read_text().split()[2]) * mmap.PAGESIZE
    except (OSError, LookupError, ValueError):
        return 0
