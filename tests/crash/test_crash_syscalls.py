"""The syscall sweep: killed at, or refused by, the k-th call of each kind that changes the disk, for every k.

``strace`` does it to the real process on the real disk, so nothing that the engine calls can hide from it; the sweep
over the log's port, with a model of the disk, is in ``tests/log/test_log_faults.py``. In the suite a sample of the k,
with LIFELINE_SOAK=1 every k until the scenario ends before it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.crash import figures
from tests.crash.campaign import Campaign, RedError, wait_until
from tests.crash.tracer import Tracer, inject

SOAK = os.environ.get("LIFELINE_SOAK") == "1"
POINTS = range(1, 80) if SOAK else (1, 2, 3, 5, 8, 12)
MESSAGES = 60
CALLS = {
    "write": "pwrite64,pwritev,pwritev2",
    "fdatasync": "fdatasync",
    "fsync": "fsync",
    "rename": "rename,renameat,renameat2",
    "unlink": "unlink,unlinkat",
    "truncate": "ftruncate",
}

FULL = CALLS if SOAK else ("write",)
"""Calls that meet a full disk; the others are like EIO and take their turn in the soak."""
CASES = [
    *[(what, call) for what in ("signal=SIGKILL", "error=EIO") for call in CALLS],
    *[("error=ENOSPC", call) for call in FULL],
]

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1800)]


def point(run: Campaign, injection: str) -> bool:
    """The scenario once, injected; whether a call was hit."""
    run.cycles += 1
    run.start(hold=True)
    tracer = Tracer(run.pid, injection)
    run.broker.give(MESSAGES)
    try:
        wait_until(lambda: run.zygote.status(run.pid) is not None or run.broker.idle, "the end or all acknowledged")
    finally:
        ended = run.zygote.status(run.pid)
        if ended is None:
            run.kill()
        tracer.close()
    return ended == -signal.SIGKILL or tracer.hits > 0


@pytest.mark.parametrize(("what", "call"), CASES, ids=[f"{what.split('=')[1]} {call}" for what, call in CASES])
def test_at_the_kth_call_d02_d07(what: str, call: str, campaign: Callable[..., Campaign]) -> None:
    run = campaign(segment_bytes=3000)
    run.broker.window = 8
    if call in {"unlink", "truncate"}:  # only a start that finds a log has something to trim
        run.start()
        run.work(4 * MESSAGES)
        run.kill()
    tried = hit = 0
    for k in POINTS:
        was_hit = point(run, inject(CALLS[call], what, when=str(k)))
        tried += 1
        hit += was_hit
        books = run.look()
        assert books.clean, (run.seed, call, k, books)
        if not was_hit:
            break
    try:
        books = run.settle()
    except RedError as error:
        raise AssertionError(f"{call} {what}: seed {run.seed}: {error}") from error
    figures.add(f"{what.split('=')[1]} at the k-th {call}", tried, books, run.seed, run.recoveries_s)
    print(f"\n{what} at the k-th {call}: {hit} points hit of {tried}, {books}")
    assert books.clean, (run.seed, books)
    assert hit > 0
