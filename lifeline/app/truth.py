"""Balances events against labelled faults: which fault was found, which event has a fault behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

HARMLESS: Final = "harmless-"
"""Prefix of look-alikes in the truth: an event that only they explain is a false one."""

GRACE_MS: Final = 120_000
"""An alarm may have its onset this long after the fault's end (a dropout shows at the next missed report)."""


def balance(
    truth: Path, alarms: Iterable[Mapping[str, Any]], devices: Mapping[int, str], until_ms: int
) -> dict[str, int | dict[str, dict[str, int]]]:
    """Counts of faults found and of events explained.

    Args:
        truth: Parquet file in the ``TRUTH`` schema.
        alarms: rows with ``event_id``, ``point`` and ``raised_at`` (epoch ms).
        devices: device id of each point that alarms name.
        until_ms: faults that start later are not counted.

    Returns:
        ``faults``, ``detected``, ``events_true``, ``events_false``, ``events_lookalike`` (false ones that something
        harmless was planted for) and ``by_kind``: {kind: {faults, detected}}.
    """
    spans: dict[str | None, list[tuple[int, int, str, str]]] = {}
    kind_of: dict[str, str] = {}
    for row in pq.read_table(truth).to_pylist():
        start = int(row["start"].timestamp() * 1000)
        end = int(row["end"].timestamp() * 1000)
        if start >= until_ms:
            continue
        spans.setdefault(row["device_id"], []).append((start, end, row["fault_id"], row["kind"]))
        kind_of[row["fault_id"]] = row["kind"]
    detected: set[str] = set()
    explained: dict[str, bool] = {}
    harmless: set[str] = set()
    for alarm in alarms:
        found = {
            (fault, kind)
            for start, end, fault, kind in (*spans.get(devices[alarm["point"]], ()), *spans.get(None, ()))
            if start <= alarm["raised_at"] < end + GRACE_MS
        }
        real = {fault for fault, kind in found if not kind.startswith(HARMLESS)}
        detected |= real
        event = alarm["event_id"]
        explained[event] = explained.get(event, False) or bool(real)
        if found:
            harmless.add(event)
    real_faults = {fault: kind for fault, kind in kind_of.items() if not kind.startswith(HARMLESS)}
    by_kind: dict[str, dict[str, int]] = {}
    for fault, kind in sorted(real_faults.items()):
        entry = by_kind.setdefault(kind, {"faults": 0, "detected": 0})
        entry["faults"] += 1
        entry["detected"] += fault in detected
    return {
        "faults": len(real_faults),
        "detected": len(detected & real_faults.keys()),
        "events_true": sum(explained.values()),
        "events_false": len(explained) - sum(explained.values()),
        "events_lookalike": sum(event in harmless for event, real in explained.items() if not real),
        "by_kind": by_kind,
    }
