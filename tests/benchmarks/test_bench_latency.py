"""What ``latency`` says of its slow probes: time without a core is told apart from the rest."""

from __future__ import annotations

import os
import threading
import time

import pytest

from benchmarks.threads import Waits
from benchmarks.workloads.latency import why_slow


def test_slow_probes_are_told_apart() -> None:
    latency = dict.fromkeys(range(200), 5.0) | {200: 60.0, 201: 70.0, 202: 80.0}
    waited = dict.fromkeys(latency, 0.0) | {200: 50.0, 201: 66.0, 202: 99.0}  # more threads than one may wait at once
    queue = dict.fromkeys(latency, 2.0) | {200: 3.0, 201: 3.0, 202: 4.0}

    found = {name: figure.value for name, figure in why_slow(latency, waited, queue).items()}

    assert found["idle_slow_waited_ms"] == 66.0
    assert found["idle_slow_queue_ms"] == 3.0
    assert found["idle_p99_unwaited_ms"] == pytest.approx(5.0)


def test_waiting_for_a_core_is_seen() -> None:
    """Two threads that want one core wait for it half of the time; a thread of another name does not count."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no such call on this system")
    go, over, ready = threading.Event(), threading.Event(), threading.Barrier(3)

    def burn() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        ready.wait()
        go.wait()
        while not over.is_set():
            sum(range(1000))
            time.sleep(0)  # lets Python's lock go: both are ready for the core at once

    threads = [threading.Thread(target=burn, name=f"way-{k}") for k in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    both, nobody = Waits(("way-",)), Waits(("other-",))
    go.set()
    time.sleep(0.1)
    seen = both.ms(), nobody.ms()
    over.set()
    for thread in threads:
        thread.join()

    assert seen[0] > 1.0
    assert seen[1] == 0.0
