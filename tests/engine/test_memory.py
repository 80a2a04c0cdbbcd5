"""Giving memory back gives it back, at its time, and harms nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lifeline.app import memory
from lifeline.app.memory import GIVE_BACK_MS, MemoryKeeper

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


def test_it_is_given_back_once_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []
    now = [1000]
    monkeypatch.setattr(memory, "give_back", lambda: times.append(now[0]))
    keeper = MemoryKeeper(lambda: now[0])
    for step in range(7):
        now[0] = 1000 + step * GIVE_BACK_MS // 2
        keeper.keep()

    assert times == [1000 + n * GIVE_BACK_MS for n in (1, 2, 3)]
