"""One instant of the clock rules takes a shorter way than many at once; both say the same."""

import numpy as np
import pytest

from lifeline.core.batch import LogRecord, Readings
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet
from rules.silence import CLOCK_MS
from tests.rules.conftest import make_registry

T0 = 1_795_000_000_000
RULES = """
[[rule]]
id = "silent.one"
version = 1
title = { zh = "一", en = "One" }
where = "quantity = 'ch4'"
evaluate = "clock"
raise = "silent_n > 2 AND gateway_devices > 1"
clear = "silent_s < 10"
level = "blue"
category = "device"
cause = "c"
consequence = "c"
action = "a"
respond_within = "1h"

[[rule]]
id = "silent.two"
version = 1
title = { zh = "二", en = "Two" }
where = "lead"
evaluate = "clock"
raise = "device_silent_s > 25 AND silent_devices < 6"
clear = "device_silent_s <= 25"
raise_after = { seconds = 20 }
level = "blue"
category = "device"
cause = "c"
consequence = "c"
action = "a"
respond_within = "1h"
"""


@pytest.mark.parametrize("seed", range(8))
def test_clock_records_in_a_gap_change_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    registry = make_registry(
        [
            {"device_id": f"D{point // 2}", "quantity": ("ch4", "temp")[point % 2], "gateway": f"G{point // 8}"}
            | {"interval_s": float(random.choice([1, 5, 20]))}
            for point in range(16)
        ]
    )
    plain: list[LogRecord] = []
    clocked: list[LogRecord] = []
    at, before = T0, T0
    for _ in range(60):
        at += int(random.choice([300, 4_000, 17_000, 65_000]))
        point = np.sort(random.choice(14, random.integers(1, 6), replace=False)).astype(np.int32)  # two are never heard
        n = len(point)
        times = np.full(n, at, np.int64)
        rows = Readings(
            *(point, times, times, np.zeros(n)),
            *(np.zeros(n, np.uint32), np.zeros(n, np.uint8), np.zeros(n, np.uint8)),
        )
        for instant in range(before // CLOCK_MS * CLOCK_MS + CLOCK_MS, at, CLOCK_MS):
            clocked.append(LogRecord(len(clocked) + 1, instant, Readings.empty()))
        clocked.append(LogRecord(len(clocked) + 1, at, rows))
        plain.append(LogRecord(len(plain) + 1, at, rows))
        before = at
    rules = RuleSet.parse(RULES)

    def said(records: list[LogRecord]) -> list[tuple[object, ...]]:
        machine = RuleMachine(rules, registry, "UTC")
        changes = [change for record in records for change in machine.process(record)]
        return [(c.kind, c.alarm_id, c.rule_id, c.point, c.raised_at, c.cleared_at, c.value) for c in changes]

    told = said(plain)
    assert told
    assert said(clocked) == told
