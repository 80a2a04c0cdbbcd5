"""What the window of identities remembers of a log after a start: its newest rows, as many as it keeps."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.identity import IdentityWindow
from lifeline.app.recovering import recall
from lifeline.core.batch import IngestBatch, Readings
from lifeline.core.schema import Flag
from lifeline.log import LocalLog

T = 1_795_000_000_000


def rows(first: int, count: int, *, repeated: bool = False) -> Readings:
    """Readings with running sequence numbers, of one point."""
    seq = np.arange(first, first + count)
    return Readings(
        np.zeros(count, np.int32),
        T + seq,
        np.full(count, T, np.int64),
        seq.astype(np.float64),
        seq.astype(np.uint32),
        np.zeros(count, np.uint8),
        np.full(count, Flag.DUPLICATE if repeated else 0, np.uint8),
    )


@given(
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=200),
    st.integers(1, 400),
    st.integers(1000, 20_000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_what_was_logged_lately_is_a_repeat_and_no_more_than_that(
    tmp_path: Path, sizes: list[tuple[int, bool]], objects: int, segment_bytes: int
) -> None:
    directory = tmp_path / str(random.getrandbits(60))
    with LocalLog(directory, clock=lambda: T, segment_bytes=segment_bytes, clock_record_ms=0) as log:
        logged = 0
        for count, repeated in sizes:
            committed = threading.Event()
            log.append(IngestBatch(T, rows(logged, count, repeated=repeated)), lambda _, done=committed: done.set())
            logged += 0 if repeated else count
        assert committed.wait(60)
        window = IdentityWindow(objects)
        window.mark(rows(10_000_000, 5), np.arange(5))  # what never became durable is forgotten
        recall(window, log)
    newest = rows(max(0, logged - objects), min(objects, logged))
    assert window.mark(newest, np.arange(len(newest))).all()
    assert not window.mark(rows(10_000_000, 5), np.arange(5)).any()


def test_an_empty_log_leaves_an_empty_window(tmp_path: Path) -> None:
    with LocalLog(tmp_path / "log", clock=lambda: T, clock_record_ms=0) as log:
        window = IdentityWindow(8)
        recall(window, log)
    assert not window.mark(rows(0, 3), np.arange(3)).any()
