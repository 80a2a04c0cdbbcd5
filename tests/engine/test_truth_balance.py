"""Events against planted faults: found, explained, false."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.app.truth import balance
from lifeline.core.schema import TRUTH

START = 1_795_000_000_000


def at(offset_s: int) -> datetime:
    return datetime.fromtimestamp(START / 1000 + offset_s, UTC)


def fault(name: str, kind: str, device: str | None, start: int, end: int) -> dict[str, object]:
    return {"fault_id": name, "kind": kind, "device_id": device, "quantity": None, "start": at(start), "end": at(end)}


def test_books_balance(tmp_path: Path) -> None:
    path = tmp_path / "truth.parquet"
    rows = [
        fault("f1", "gas-accumulation", "G1", 0, 60),
        fault("f2", "pipe-burst", "W1", 0, 60),
        fault("f2", "pipe-burst", "W2", 0, 60),
        fault("f3", "sensor-stuck", "H1", 0, 60),
        fault("f4", "harmless-biogas", "G2", 0, 60),
        fault("f5", "sensor-drift", "G3", 900, 960),
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=TRUTH), path)
    alarms = [
        {"event_id": "e1", "point": 0, "raised_at": START + 10_000},  # f1
        {"event_id": "e2", "point": 2, "raised_at": START + 20_000},  # f2 by W2
        {"event_id": "e3", "point": 3, "raised_at": START + 20_000},  # only the harmless one
        {"event_id": "e4", "point": 0, "raised_at": START - 1},  # before f1
    ]

    books = balance(path, alarms, {0: "G1", 1: "W1", 2: "W2", 3: "G2"}, START + 100_000)

    assert (books["faults"], books["detected"]) == (3, 2)
    assert (books["events_true"], books["events_false"], books["events_lookalike"]) == (2, 2, 1)
    assert books["by_kind"] == {
        "gas-accumulation": {"faults": 1, "detected": 1},
        "pipe-burst": {"faults": 1, "detected": 1},
        "sensor-stuck": {"faults": 1, "detected": 0},
    }
