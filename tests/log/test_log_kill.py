"""kill -9 of a real writer process, in a loop: every record acknowledged before the kill is there afterwards.

A kill says nothing about fsync (the page cache survives it): `test_log_crashes` has the power cuts. It proves the order
of the code, the lock, and recovery on a real disk.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from lifeline.log import LocalLog, verify
from lifeline.testing import all_records, tags

CYCLES = 20

WRITER = """
import itertools, os, sys
from lifeline.log import LocalLog
from lifeline.testing import sample_batch
nonce = int(sys.argv[2])
log = LocalLog(sys.argv[1], clock=lambda: 0, segment_bytes=20_000, clock_record_ms=1)
def acknowledged(i):
    return lambda error: os.write(1, b"%d\\n" % i) if error is None else None
for i in itertools.count():
    log.append(sample_batch(nonce + i, 1 + i % 40), acknowledged(i))
    if i % 50 == 49:
        log.trim(log.committed - 400)
"""


@pytest.mark.slow
def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    random = Random(int.from_bytes(os.urandom(4)))
    acknowledged = recovered = torn = 0
    for cycle in range(CYCLES):
        nonce = cycle << 26 | secrets.randbits(10) << 16  # fits seq's 32 bits; no two cycles share a tag
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(nonce)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        ) as writer:
            assert writer.stdout is not None
            for _ in range(random.randint(20, 300)):
                line = writer.stdout.readline()
            writer.kill()
            lines = [line, *writer.stdout.readlines()]
        acks = int([line for line in lines if line.endswith(b"\n")][-1]) + 1
        assert verify(tmp_path).ok
        with LocalLog(tmp_path, clock=lambda: 0, clock_record_ms=0) as log:
            torn += log.recovery.torn_bytes > 0
            found = tags(all_records(log))
        mine = [tag - nonce for tag in found if tag >= nonce]
        assert mine == list(range(mine[0], mine[-1] + 1))
        assert mine[-1] + 1 >= acks, f"lost {acks - mine[-1] - 1} acknowledged batches"
        assert mine[0] == 0 or len(found) == len(mine), "only the oldest are trimmed"
        assert found == sorted(found)
        acknowledged += acks
        recovered += mine[-1] + 1

    print(f"kills {CYCLES}, acknowledged {acknowledged}, recovered {recovered}, torn tails {torn}, lost 0")
