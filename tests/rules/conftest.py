"""Small registries, records and rule texts for the tests of the rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

T0 = 1_795_000_000_000
"""2026-11-18 11:06:40 UTC, in the heating season of Zhengzhou; a multiple of 10 s."""


def make_registry(points: Sequence[dict[str, Any]]) -> Registry:
    rows = [{"point": i, "device_id": f"D{i}", "quantity": "ch4", "utility": "gas", **p} for i, p in enumerate(points)]
    return Registry(pa.Table.from_pylist([{f.name: r.get(f.name) for f in POINTS} for r in rows], schema=POINTS))


def make_readings(rows: Sequence[tuple[Any, ...]]) -> Readings:
    """Rows of (point, ts, received_at, value[, quality[, flags]])."""
    full = [(*row, *(0, 0)[len(row) - 4 :]) for row in rows]
    point, ts, received, value, quality, flags = zip(*full, strict=True) if full else [()] * 6
    return Readings(
        np.array(point, np.int32),
        np.array(ts, np.int64),
        np.array(received, np.int64),
        np.array([np.nan if v is None else v for v in value], np.float64),
        np.zeros(len(full), np.uint32),
        np.array(quality, np.uint8),
        np.array(flags, np.uint8),
    )


def make_record(lsn: int, rows: Sequence[tuple[Any, ...]], received_at: int | None = None) -> LogRecord:
    readings = make_readings(rows)
    at = received_at if received_at is not None else int(readings.received_at.max())
    return LogRecord(lsn, at, readings)


def make_rule(**changes: str) -> str:
    """One rule's TOML; keyword values are TOML text, an empty one leaves the key out."""
    keys = {
        "id": '"gas.ch4.high"',
        "version": "1",
        "title": '{ zh = "甲烷", en = "Methane" }',
        "where": "\"quantity = 'ch4'\"",
        "raise": '"value >= limit"',
        "clear": '"value < limit - deadband"',
        "params": "{ limit = 25.0, deadband = 5.0 }",
        "level": '"orange"',
        "category": '"process"',
        "cause": '"leak"',
        "consequence": '"explosion"',
        "action": '"go"',
        "respond_within": '"30min"',
    }
    extra = changes.pop("tail", "")
    keys |= {name.rstrip("_"): value for name, value in changes.items()}
    return "[[rule]]\n" + "\n".join(f"{k} = {v}" for k, v in keys.items() if v) + "\n" + extra + "\n"


def make_machine(
    text: str, registry: Any, timezone: str = "Asia/Shanghai", *, within: int | None = None
) -> RuleMachine:
    return RuleMachine(RuleSet.parse(text), registry, timezone, within=within)


class Kit:
    """Everything above by name: test files of an importlib run cannot import each other."""

    t0 = T0
    registry: Callable[..., Registry] = staticmethod(make_registry)
    readings: Callable[..., Readings] = staticmethod(make_readings)
    record: Callable[..., LogRecord] = staticmethod(make_record)
    rule: Callable[..., str] = staticmethod(make_rule)
    machine: Callable[..., RuleMachine] = staticmethod(make_machine)


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
