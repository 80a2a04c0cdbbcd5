"""Giving memory back gives it back, at its time, and harms nobody."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lifeline.app import memory
from lifeline.app.memory import GIVE_BACK_MS, MemoryKeeper, let_go_of_code

HOLES = """
import sys
from pathlib import Path
import numpy as np
from lifeline.app.memory import give_back, settle_allocator

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

settle_allocator()
kept = []
for _ in range(4000):
    waste = np.ones(100_000 // 8)
    kept.append(waste.copy())
    if len(kept) > 2000:
        kept[np.random.default_rng(1).integers(2000)] = None
before = resident_mib()
kept[: len(kept) - 1] = [None] * (len(kept) - 1)  # the last one stays on top of the heap
full = resident_mib()
give_back()
print(before, full, resident_mib())
"""


@pytest.mark.skipif(memory._function("malloc_trim") is None, reason="another C library than glibc: nothing is done")
def test_what_is_free_below_what_is_used_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    _, full, after = map(int, done.stdout.split())

    assert full - after > 100


DELTA = """
import os
from lifeline.app import memory

memory.DELTA_HEAPS += ",stats_print:true"
memory.settle_delta()
print(os.environ.get(memory.DELTA_VARIABLE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Delta has this allocator on Linux only")
def test_delta_has_one_heap_and_nobody_else_is_told_so() -> None:
    bare = {name: value for name, value in os.environ.items() if name != memory.DELTA_VARIABLE}
    done = subprocess.run([sys.executable, "-c", DELTA], capture_output=True, text=True, check=True, env=bare)
    assert done.stdout.strip() == "None"
    assert "opt.narenas: 1\n" in done.stderr
    assert "opt.dirty_decay_ms: 1000 " in done.stderr

    own = bare | {memory.DELTA_VARIABLE: "narenas:3"}
    done = subprocess.run([sys.executable, "-c", DELTA], capture_output=True, text=True, check=True, env=own)
    assert done.stdout.strip() == "narenas:3"


def test_it_is_given_back_once_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []
    now = [1000]
    monkeypatch.setattr(memory, "give_back", lambda: times.append(now[0]))
    keeper = MemoryKeeper(lambda: now[0])
    for step in range(7):
        now[0] = 1000 + step * GIVE_BACK_MS // 2
        keeper.keep()

    assert times == [1000 + n * GIVE_BACK_MS for n in (1, 2, 3)]


def test_code_is_let_go_when_more_was_loaded_than_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in use is looked up after it came back; what is loaded beyond that goes, and again when it grows."""
    now, loaded = [0], [60 << 20]
    times: list[int] = []

    def let_go() -> int:
        times.append(now[0])
        loaded[0] = 50 << 20
        return 0

    monkeypatch.setattr(memory, "let_go_of_code", let_go)
    monkeypatch.setattr(memory, "give_back", let_go)
    monkeypatch.setattr(memory, "file_bytes", lambda: loaded[0])
    keeper = MemoryKeeper(lambda: now[0])
    growth = {12_000: 52, 30_000: 70, 45_000: 70}
    for now[0] in range(0, GIVE_BACK_MS + 1, 500):
        loaded[0] = growth.get(now[0], loaded[0] >> 20) << 20
        keeper.keep()

    assert times == [10_000, 30_000, 45_000, GIVE_BACK_MS]


@pytest.mark.skipif(not memory.STATM.exists(), reason="no /proc: 0")
def test_loaded_bytes_of_files_are_the_kernels_count() -> None:
    lines = Path("/proc/self/status").read_text().splitlines()
    expected = sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssFile", "RssShmem")))

    assert abs(memory.file_bytes() - expected) < 4 << 20


CODE = """
from pathlib import Path
import polars
import pyarrow.compute as pc
from lifeline.app.memory import let_go_of_code

def code_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("RssFile"))

full = code_mib()
let_go_of_code()
after = code_mib()
total = polars.Series(range(1000)).sum() + pc.sum(list(range(1000))).as_py()
print(full, after, total)
"""


@pytest.mark.skipif(not memory.MAPS.exists(), reason="no /proc: nothing is done")
def test_code_that_was_let_go_comes_back_when_it_runs() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    full, after, total = map(int, done.stdout.split())

    assert full - after > 20
    assert total == 999_000


@pytest.mark.skipif(not memory.MAPS.exists(), reason="no /proc: nothing is done")
def test_only_what_is_never_written_is_let_go() -> None:
    """What the loader has written (relocations) and what is no library's stays, by the kernel's own count."""
    mapping = mmap.mmap(-1, mmap.PAGESIZE)
    mapping[:] = b"x" * mmap.PAGESIZE

    def written_kib() -> int:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous"))

    before = written_kib()
    assert let_go_of_code() > 1 << 20
    assert written_kib() > before - 512  # other threads free a little; relocations alone are megabytes
    assert mapping[:4] == b"xxxx"
    assert memory._unwritten(ctypes.addressof(ctypes.c_char.from_buffer(mapping)), mmap.PAGESIZE) == []
