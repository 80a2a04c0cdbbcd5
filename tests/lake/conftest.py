"""Deterministic log records and a registry for the tests of the derived stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS, REJECTS

if TYPE_CHECKING:
    from collections.abc import Callable

T0 = 1_795_392_000_000 + 3_600_000  # one o'clock UTC


def make_record(lsn: int, rows: int = 50, points: int = 40, step_ms: int = 1000, duplicates: bool = True) -> LogRecord:
    """The same record for the same arguments; every tenth row is a repeat, every seventh record has a reject."""
    rng = np.random.default_rng(lsn)
    received_at = T0 + lsn * step_ms
    value = rng.normal(20, 5, rows).round(2)
    value[rng.random(rows) < 0.05] = np.nan
    flags = np.zeros(rows, np.uint8)
    if duplicates:
        flags[::10] = 8
    readings = Readings(
        point=rng.integers(0, points, rows).astype(np.int32),
        ts=received_at - rng.integers(0, 5000, rows),
        received_at=np.full(rows, received_at),
        value=value,
        seq=(np.arange(rows) + lsn * 1000 + 4_000_000_000).astype(np.uint32),
        quality=rng.integers(0, 3, rows).astype(np.uint8),
        flags=flags,
    )
    rejects = None
    if lsn % 7 == 0:
        rejects = pa.record_batch(
            [[received_at], ["city"], ["lifeline/gas/X"], [b"\xff{"], ["malformed_payload"], [f"r{lsn}"], [0]],
            schema=REJECTS,
        )
    return LogRecord(lsn, received_at, readings, rejects)


def make_registry(points: int, interval_s: float = 60.0) -> Registry:
    columns: dict[str, object] = {
        "point": list(range(points)),
        "device_id": [f"D{i:05d}" for i in range(points)],
        "quantity": ["pressure"] * points,
        "unit": ["kPa"] * points,
        "utility": ["gas"] * points,
        "area_code": ["410102"] * points,
        "interval_s": [interval_s] * points,
    }
    arrays = [pa.array(columns.get(f.name, [None] * points), f.type) for f in POINTS]
    return Registry(pa.table(arrays, schema=POINTS))


@dataclass
class Source:
    """A registry source that a test can grow."""

    registry: Registry

    def current(self) -> Registry:
        return self.registry

    def register(self, pairs: list[tuple[str, str, str]]) -> Registry:
        raise NotImplementedError


@pytest.fixture(scope="session")
def record() -> Callable[..., LogRecord]:
    return make_record


@pytest.fixture(scope="session")
def source() -> Callable[..., Source]:
    return lambda points=40, interval_s=60.0: Source(make_registry(points, interval_s))
