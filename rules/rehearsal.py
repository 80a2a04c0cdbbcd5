"""A rehearsal: three rules judge a few made-up readings, so that no real one is the first.

A compiled kernel is read from numba's cache when it is first called for arrays of its kind, 4 ms each, and compiled,
half a second each, where it never was. The ordinary way of readings meets most kernels at once; those of an alarm, of a
late reading and of silence it meets when an alarm is what everybody waits for.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet
from rules.silence import CLOCK_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.alarm import AlarmChange

BEGIN_MS: Final = 1_795_000_000_000
HIGH: Final = 60.0
_RULE: Final = """
[[rule]]
id = "rehearsal.{name}"
version = 1
title = {{ zh = "演练", en = "Rehearsal" }}
where = "{where}"
raise = "{test} > limit"
clear = "{test} <= limit"
params = {{ limit = {limit} }}
level = "blue"
category = "device"
event = "rehearsal"
place = "device"
cause = "rehearsal"
consequence = "none"
action = "none"
respond_within = "1h"
"""
RULES: Final = (
    _RULE.format(name="high", where="quantity = 'ch4'", test="value", limit=25)
    + _RULE.format(name="unusual", where="quantity = 'temp'", test="baseline_z", limit=1000)
    + _RULE.format(name="silent", where="quantity IN ('ch4', 'temp')", test="device_silent_s", limit=15)
    + 'evaluate = "clock"\n'
)
_DEVICES: Final = (("R1", "ch4"), ("R1", "temp"), ("R2", "ch4"))
"""One device of two points, which are put in order together, and one of one."""


def rehearse(timezone: str = "UTC") -> list[AlarmChange]:
    """Raise, clear, come late, be silent, keep the state and take it back; what was said, for whoever wants proof.

    ``timezone``: the site's, whose clock is then made: seventy years of a zone take 40 ms.
    """
    registry, rules = _registry(), _rules()
    machine = RuleMachine(rules, registry, timezone)
    said: list[AlarmChange] = []
    steps: tuple[Sequence[LogRecord], ...] = (
        [_record(1, 0, HIGH)],
        [_record(2, 1000, 0.0), _record(3, 1001, 0.0)],  # a run
        [_record(4, 2000, 0.0, late_ms=1500)],  # it cleared earlier
        [LogRecord(5, BEGIN_MS + CLOCK_MS + 5000, Readings.empty())],
        [_record(6, 3 * CLOCK_MS + 5000, 0.0)],
    )
    for records in steps:
        said += machine.process_all(records)
    RuleMachine(rules, registry, timezone).restore(machine.checkpoint()[1])
    return said


@cache
def _rules() -> RuleSet:
    return RuleSet.parse(RULES, "rehearsal")


def _registry() -> Registry:
    """Three points."""
    rows = [
        {
            "point": point,
            "device_id": device,
            "quantity": quantity,
            "utility": "gas",
            "gateway": "RG",
            "interval_s": 1.0,
        }
        for point, (device, quantity) in enumerate(_DEVICES)
    ]
    columns = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in POINTS}
    return Registry(pa.table(columns, schema=POINTS))


def _record(lsn: int, after_ms: int, value: float, *, late_ms: int = 0) -> LogRecord:
    """A record as the log gives it, which nobody may write to: one reading of each point."""
    n, at = len(_DEVICES), BEGIN_MS + after_ms
    readings = Readings(
        np.arange(n, dtype=np.int32),
        np.full(n, at - late_ms, np.int64),
        np.full(n, at, np.int64),
        np.full(n, value),
        np.zeros(n, np.uint32),
        np.zeros(n, np.uint8),
        np.zeros(n, np.uint8),
    )
    return LogRecord(lsn, at, Readings.from_arrow(readings.to_arrow()))
