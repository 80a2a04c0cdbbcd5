"""What is written every ten seconds beside the log has each its own time within them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lifeline.core.batch import LogRecord, Readings
from lifeline.engine.rules_follower import SNAPSHOT_MS
from lifeline.lake.completeness import CompletenessFollower
from lifeline.live.values import LiveValues

if TYPE_CHECKING:
    from pathlib import Path

STEP_MS = 100
APART_MS = 3_000


class Points:
    """Four of them."""

    interval_ms = np.full(4, 1000, np.int64)

    def __len__(self) -> int:
        return 4

    def current(self) -> Any:
        return self

    def register(self, pairs: Any) -> Any:
        raise NotImplementedError


def record(lsn: int, at: int) -> LogRecord:
    one = np.ones(1)
    return LogRecord(
        lsn,
        at,
        Readings(
            *(one.astype(np.int32), np.full(1, at), np.full(1, at), one),
            *(one.astype(np.uint32), np.zeros(1, np.uint8), np.zeros(1, np.uint8)),
        ),
    )


def test_flushes_and_checkpoints_keep_apart(tmp_path: Path) -> None:
    """At the least three seconds from each other and from the rules' checkpoints, which fall on whole periods."""
    written: dict[str, list[int]] = {"live": [], "completeness": []}
    begin = 1_800_000_000_000
    followers: dict[str, Any] = {
        "live": LiveValues(tmp_path / "live", Points()),
        "completeness": CompletenessFollower(tmp_path, Points()),
    }
    for number, after in enumerate(range(0, 3 * SNAPSHOT_MS + 1, STEP_MS), 1):
        for name, follower in followers.items():
            before = follower.durable
            follower.consume([record(number, begin + after)])
            follower.tick(begin + after)
            if follower.durable != before:
                written[name].append(after)

    assert [len(times) for times in written.values()] == [3, 3]
    rules = [SNAPSHOT_MS * k for k in range(4)]
    times = sorted([*rules, *written["live"], *written["completeness"]])
    assert min(np.diff(times)) >= APART_MS
