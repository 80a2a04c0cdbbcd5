"""A dense stream of small records, for what must not depend on how it is taken in."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from lifeline.core.batch import LogRecord
from lifeline.core.schema import Flag

if TYPE_CHECKING:
    from lifeline.core.registry import Registry

DEVICES = 22
"""Enough for the log to be deaf at times (``rules.deaf``)."""


def registry(kit: Any) -> Registry:
    return kit.registry(  # type: ignore[no-any-return]
        [
            {"device_id": f"D{d}", "quantity": q, "interval_s": 1.0, "gateway": f"W{d % 3}" if d % 4 else None}
            for d in range(DEVICES)
            for q in ("ch4", "c2h6")
        ]
    )


def records(kit: Any, seed: int, count: int) -> list[LogRecord]:
    """A dense stream in small records: late rows, repeats, outages, clock records, a clock that is set back."""
    rng = random.Random(seed)
    awake = rng.sample(range(2 * DEVICES), 30)
    now, log_time, result = kit.t0 + rng.randrange(10_000), 0, []
    for lsn in range(1, count + 1):
        now += rng.choice([0, 5, 40, 200, 200, 700]) if rng.random() < 0.97 else rng.choice([-400, 12_000, 70_000])
        rows = []
        for _ in range(rng.choice([0, 1, 1, 2, 3, 8]) if rng.random() < 0.5 else 2):
            ts = now - (0 if rng.random() < 0.95 else rng.choice([300, 2_000, 30_000]))
            value = rng.choice([0.0, 5.0, 12.0, 30.0, 30.0, 60.0, None])
            quality = rng.choice([0, 0, 0, 0, 0, 1, 2])
            flags = int(Flag.DUPLICATE) if rng.random() < 0.05 else 0
            rows.append((rng.choice(awake), ts, now, value, quality, flags))
        log_time = max(log_time, now)
        result.append(LogRecord(lsn, log_time, kit.readings(rows)))
    return result
