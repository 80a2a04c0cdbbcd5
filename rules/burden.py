"""What a run's alarms would have been to the people at one console (ISA-18.2, domain figures): rates, floods, standing.

Windows are fixed 600 s over the whole reported period, empty ones included. A flood begins with more than ten alarms in
a window and ends with fewer than five.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

WINDOW_MS: Final = 600_000
FLOOD_BEGINS, FLOOD_ENDS = 10, 5
STALE_MS: Final = 86_400_000
TOP: Final = 10
WINDOWS_MAX: Final = 10_000_000
"""190 years: longer periods are counted in longer windows."""


def burden(alarms: pa.Table, start_ms: int, end_ms: int) -> dict[str, Any]:
    """Operator load of the alarms of a backtest (``rules.backtest.ALARMS``) over [start, end], epoch ms.

    Returns ``alarms``, ``alarms_per_10min`` (mean, max), ``flood_share`` of the time, ``standing_max``, ``stale`` (ever
    active longer than a day), ``top_ten_share`` of the busiest rules and points, and ``levels`` (share of each).
    """
    raised = _ms(alarms, "detected_at")
    # what still stands outlasts the period; what was over before it was heard of (historic) stood for nobody
    cleared = np.maximum(_ms(alarms, "cleared_at", end_ms + 1), raised)
    span = max(end_ms - start_ms, WINDOW_MS)
    windows = np.bincount(
        np.clip((raised - start_ms) // WINDOW_MS, 0, None), minlength=min(-(-span // WINDOW_MS), WINDOWS_MAX)
    )
    return {
        "alarms": len(raised),
        "alarms_per_10min": {"mean": len(raised) * WINDOW_MS / span, "max": int(windows.max(initial=0))},
        "flood_share": _flood(windows),
        "standing_max": _standing(raised, cleared),
        "stale": int(np.count_nonzero(cleared - raised > STALE_MS)),
        "top_ten_share": _top(alarms),
        "levels": {row["values"]: row["counts"] / max(len(raised), 1) for row in _counts(alarms, "level")},
    }


def _ms(alarms: pa.Table, name: str, missing: int = 0) -> NDArray[np.int64]:
    column = alarms[name].cast("int64").combine_chunks().fill_null(missing)
    return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)


def _counts(alarms: pa.Table, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = alarms[name].combine_chunks().value_counts().to_pylist()
    return sorted(found, key=lambda row: (-row["counts"], str(row["values"])))


def _flood(windows: NDArray[np.int64]) -> float:
    """Share of windows that belong to a flood."""
    flooded, inside = 0, False
    for count in windows:
        inside = count > FLOOD_BEGINS or (inside and count >= FLOOD_ENDS)
        flooded += inside
    return flooded / max(len(windows), 1)


def _standing(raised: NDArray[np.int64], cleared: NDArray[np.int64]) -> int:
    """Most alarms that stood at one time."""
    times = np.concatenate([raised, cleared])
    steps = np.concatenate([np.ones(len(raised), np.int64), -np.ones(len(cleared), np.int64)])
    order = np.lexsort((steps, times))
    return int(np.cumsum(steps[order]).max(initial=0))


def _top(alarms: pa.Table) -> float:
    pairs: list[int] = alarms.group_by(["rule_id", "point"]).aggregate([([], "count_all")])["count_all"].to_pylist()
    return sum(sorted(pairs, reverse=True)[:TOP]) / max(sum(pairs), 1)
