"""How good were the alarms: against labelled truth (contract, section 7).

An alarm is *true* when its onset lies in [start, end) of a fault row of its device and quantity (a null in the truth
means anywhere); a fault is *detected* when any alarm is true for any of its rows, and its delay runs from its start to
the moment of detection. Kinds that begin with ``harmless`` are look-alikes: they are never to be detected, and an alarm
that meets only such a row counts as false unless its level is blue (then it does not count).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.schema import TIME, TRUTH

HARMLESS: Final = "harmless"
SHOWN: Final = 1_000
"""Missed faults that are named."""
_USED: Final = ("device_id", "quantity", "raised_at", "detected_at", "level")


class _Row(NamedTuple):
    fault: str
    kind: str
    device: str | None
    quantity: str | None
    start: int
    end: int


Members = Mapping[tuple[str, str | None], frozenset[str]]


def score(alarms: pa.Table, truth: pa.Table, days: float, members: Members | None = None) -> dict[str, Any]:
    """Precision, recall, F1, delays and figures by kind of fault.

    Args:
        alarms: in the schema ``rules.backtest.ALARMS``.
        truth: in the schema ``lifeline.core.schema.TRUTH``; times with or without a zone (UTC then).
        days: length of the period, for ``false_alarms_per_day``.
        members: for alarms that are about a whole group, its devices by (rule id, group): such an alarm meets a fault
            of any of them, whatever the quantity.

    Raises:
        ConfigurationError: the truth lacks a column.
    """
    rows = _rows(truth)
    by_device: Mapping[str | None, list[_Row]] = defaultdict(list)
    for row in rows:
        by_device[row.device].append(row)
    delays: dict[str, int] = {}
    true = false = 0
    for alarm in alarms.select([*_USED, "group", "rule_id"]).to_pylist():
        onset, detected = _ms(alarm["raised_at"]), _ms(alarm["detected_at"])
        about = (members or {}).get((alarm["rule_id"], alarm["group"]))
        near = [row for device in (*(about or (alarm["device_id"],)), None) for row in by_device.get(device, ())]
        met = [r for r in near if r.start <= onset < r.end and (about or r.quantity in {None, alarm["quantity"]})]
        faults = [r for r in met if not r.kind.startswith(HARMLESS)]
        for row in faults:
            delays[row.fault] = min(delays.get(row.fault, detected - row.start), detected - row.start)
        true += bool(faults)
        false += not faults and not (met and alarm["level"] == "blue")
    kinds: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if not row.kind.startswith(HARMLESS):
            kinds[row.kind].add(row.fault)
    total = sum(len(faults) for faults in kinds.values())
    precision = true / (true + false) if true + false else 0.0
    recall = len(delays) / total if total else 0.0
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        **_delays(list(delays.values())),
        "false_alarms_per_day": false / days,
        "alarms_true": true,
        "alarms_false": false,
        "missed": sorted(set().union(*kinds.values()) - delays.keys())[:SHOWN],
        "by_fault": {kind: _kind(faults, delays) for kind, faults in sorted(kinds.items())},
    }


def _kind(faults: set[str], delays: dict[str, int]) -> dict[str, Any]:
    found = [delays[fault] for fault in faults if fault in delays]
    return {"faults": len(faults), "detected": len(found), "recall": len(found) / len(faults), **_delays(found)}


def _delays(delays_ms: list[int]) -> dict[str, float | None]:
    if not delays_ms:
        return {"median_delay_s": None, "p95_delay_s": None}
    seconds = np.array(delays_ms) / 1000
    return {"median_delay_s": float(np.median(seconds)), "p95_delay_s": float(np.percentile(seconds, 95))}


def _rows(truth: pa.Table) -> list[_Row]:
    missing = [name for name in TRUTH.names if name not in truth.column_names]
    if missing:
        raise ConfigurationError(
            [Problem("truth", name, "column is missing", f"it has {TRUTH.names}") for name in missing]
        )
    columns = [truth[name] for name in TRUTH.names]
    columns[4:6] = [column.cast(TIME) if pa.types.is_timestamp(column.type) else column for column in columns[4:6]]
    columns[4:6] = [column.cast(pa.int64()) for column in columns[4:6]]
    return [_Row(*values) for values in zip(*(column.to_pylist() for column in columns), strict=True)]


def _ms(at: Any) -> int:
    return int(round(at.timestamp() * 1000))  # noqa: RUF046 - the type of a value from Arrow is unknown
