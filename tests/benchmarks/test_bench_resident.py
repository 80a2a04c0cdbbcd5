"""The memory that benchmarks tell is the process's, while it stands and after it was killed."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from benchmarks import resident
from benchmarks.harness import rss_mib_max

HOLDS = "import sys; held = bytearray(b'x' * (64 << 20)); print(flush=True); sys.stdin.read()"


def test_the_median_is_of_the_process_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "SAMPLE_S", 0.01)
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with resident.Resident(lambda: process.pid) as memory:
            time.sleep(0.1)
            highest, median = rss_mib_max(process.pid), memory.median_mib
            process.kill()
            process.wait()
            time.sleep(0.05)  # samples of a process that is gone are none
            assert memory.median_mib == pytest.approx(median, abs=2)

    assert 64 < median <= highest + 0.1
    assert resident.figures(highest, median)["rss_mib"].target == 1024


def test_without_a_sample_one_is_taken() -> None:
    with resident.Resident() as memory:
        assert memory.median_mib > 1
