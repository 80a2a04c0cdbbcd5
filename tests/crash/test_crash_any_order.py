"""Q02: shuffled, repeated, delayed, cut into other records, replayed after crashes: the same warnings in the queue.

The reference is one pass of a fresh machine over the readings in the order in which they happened. What is judged here
is what an operator sees in the end: which alarms stand or stood, and until when. (That the machine alone bears disorder
is in ``tests/rules/test_rules_late.py``; that a kill at any write of the queue changes nothing, in
``test_crash_warnings.py``.)
"""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from lifeline.core.batch import LogRecord
from lifeline.core.metrics import Metrics
from lifeline.engine.rules_follower import RulesFollower
from lifeline.engine.snapshots import SnapshotStore
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from rules import backtest
from rules.evaluate import RuleMachine
from tests.queues import queue_file
from tests.rules.conftest import Kit
from tests.rules.test_rules_late import disturbed, ordered, points_of, rules_text

EXAMPLES = int(os.environ.get("LIFELINE_ORDERS", "1000" if os.environ.get("LIFELINE_SOAK") == "1" else "6"))
ROWS = 120
KIT = Kit()

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(7200)]


def machine() -> RuleMachine:
    return KIT.machine(rules_text(KIT), points_of(KIT), within=4 * ROWS)


def one_pass(rows: list[Any]) -> dict[str, int | None]:
    """alarm_id → cleared_at, of what is left once all is known."""
    raised, ends = backtest.settled(machine().process(KIT.record(1, rows)))
    return {change.alarm_id: ends.get(change.alarm_id) for change in raised}


def in_the_queue(path: Path) -> dict[str, int | None]:
    """The same from the database; what was withdrawn ended as it began."""
    query = "SELECT alarm_id, cleared_at FROM alarms WHERE cleared_at IS NULL OR cleared_at > raised_at"
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            found = [(str(alarm), cleared_at) for alarm, cleared_at in connection.execute(text(query))]
    finally:
        engine.dispose()
    assert len(found) == len(dict(found))
    return dict(found)


def live(records: list[LogRecord], crashes: list[int], folder: Path, rng: random.Random) -> int:
    """The follower over the log; after some records it is gone without a word, and another one takes over.

    How many readings came later than the bound within which they must be put in their place.
    """
    too_late = 0
    lives = [*sorted(crash % len(records) for crash in crashes), len(records)]
    for until in lives:
        judge = machine()
        queue = GovernanceQueue(
            queue_file(folder / "queue.db"), judge.info(), PlaceLookup(lambda: points_of(KIT)), lambda: KIT.t0
        )
        follower = RulesFollower(
            lambda judge=judge: judge, queue, SnapshotStore(folder, "rules"), lambda: KIT.t0, Metrics()
        )
        follower.open()
        for record in records[follower.position : until]:
            follower.consume([record])
            if rng.random() < 0.1:
                judge._mark()  # by itself it is an hour or 65,536 readings apart
            if rng.random() < 0.3:
                follower.snapshot()
        too_late += judge.counters["too_late"]
        follower._saver.shutdown()
        queue.close()
    return too_late


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@example(217, [1431, 4067], [])  # raised, withdrawn by a late reading, raised again by the one before it
@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**6), max_size=12), st.lists(st.integers(0, 10**6), max_size=3))
def test_any_order_any_cut_and_any_crash_give_the_same_warnings_q02(
    tmp_path_factory: pytest.TempPathFactory, seed: int, edges: list[int], crashes: list[int]
) -> None:
    rng = random.Random(seed)
    rows = ordered(KIT, rng, ROWS)
    arriving = disturbed(rng, rows)
    bounds = sorted({0, len(arriving), *(edge % len(arriving) for edge in edges)})
    records = [KIT.record(lsn, arriving[a:b]) for lsn, (a, b) in enumerate(itertools.pairwise(bounds), 1)]
    folder = tmp_path_factory.mktemp("orders")
    assume(live(records, crashes, folder, rng) == 0)

    assert in_the_queue(folder / "queue.db") == one_pass(rows)
