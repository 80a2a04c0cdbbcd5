"""Every column that a condition may use: one table for checking, computing and documenting.

Adding a feature that needs memory is one kernel (``kernels/features.py``), one line in ``FEATURES`` and its tests.
A feature is computed only for rules that mention it, over their own rows. Features with an option take it from the
rule's parameter of that name, so two rules may use two windows; the option cannot be overridden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lifeline.core.schema import POINTS
from rules.kernels import features as kernels

if TYPE_CHECKING:
    from collections.abc import Callable

FLOAT: Final = pl.Float64()


@dataclass(frozen=True, slots=True)
class Feature:
    """A kernel and what it gives. ``option``: (parameter, default, must be positive), or None."""

    outputs: tuple[str, ...]
    kernel: Callable[..., None]
    width: int
    """Numbers of state for each point."""
    option: tuple[str, float, bool] | None = None


FEATURES: Final = (
    Feature(("samples",), kernels.count, 1),
    Feature(("rate",), kernels.rate, 4, ("rate_window_s", 0.0, False)),
    Feature(("ewma", "ewstd"), kernels.ewma, 2, ("ewma_tau_s", 3600.0, True)),
    Feature(("flat_s", "flat_n"), kernels.flat, 2),
    Feature(("prev_step",), kernels.steps, 1),
)
FEATURE_OF: Final = {output: feature for feature in FEATURES for output in feature.outputs}
OPTIONS: Final = {f.option[0]: f.option for f in FEATURES if f.option}

SIBLING: Final = "device_"
"""Prefix: ``device_flow`` is the newest ``flow`` of the same device, NULL when older than three of its intervals
(10 minutes where the interval is unknown)."""
SIBLING_INTERVALS: Final = 3
SIBLING_MS_UNKNOWN: Final = 600_000

DESCRIPTIONS: Final = {
    "value": "the reading, in the point's unit",
    "quality": "0 good, 1 uncertain, 2 bad",
    "late": "1 when the reading was flagged late, else 0",
    "age_s": "seconds from the reading's own time to its receipt",
    "interval_s": "declared reporting interval, NULL where unknown",
    "span_low": "lowest physical value, NULL where unknown",
    "span_high": "highest physical value, NULL where unknown",
    "hour": "local hour of the reading's time, 0 to 23",
    "minute": "local minute, 0 to 59",
    "weekday": "local day of the week, Monday 1 to Sunday 7",
    "month": "local month, 1 to 12",
    "heating": "1 in the heating season (15 Nov to 15 Mar, local), else 0",
    "prev": "the previous reading of the point",
    "gap_s": "seconds since the previous reading",
    "step": "value - prev",
    "prev_step": "the step of the previous reading",
    "samples": "how many readings of the point were seen, this one included",
    "rate": "change per second since the previous reading, or over about rate_window_s seconds",
    "ewma": "mean of what came before, weighted with time constant ewma_tau_s (3600)",
    "ewstd": "standard deviation around ewma",
    "flat_s": "seconds since the value last changed",
    "flat_n": "readings since the value last changed",
    "silent_s": "seconds since the point was last heard of",
    "device_silent_s": "seconds since any point of the device was heard of",
    "silent_devices": "how many devices are overdue: silent for 3 intervals (30 s at least), 2 for daily ones",
    "silent_share": "silent_devices divided by the devices that ever reported",
}

REGISTRY: Final = ("interval_s", "span_low", "span_high")
_CALENDAR: Final = ("hour", "minute", "weekday", "month", "heating")
_ROW: Final = ("value", "quality", "late", "age_s")
_ORDERED: Final = ("prev", "gap_s", "step", *FEATURE_OF)
_CLOCK: Final = ("silent_s", "device_silent_s", "silent_devices", "silent_share")

COLUMNS: Final = {
    "reading": (*_ROW, *REGISTRY, *_CALENDAR, *_ORDERED),
    "every": (*_ROW, *REGISTRY, *_CALENDAR),
    "clock": (*REGISTRY, *_CALENDAR, *_CLOCK),
}
"""What a condition may use, by the rule's ``evaluate``."""

_TYPES: Final[dict[str, Any]] = {"double": FLOAT, "int32": pl.Int32(), "string": pl.String(), "date32[day]": pl.Date()}
WHERE: Final[dict[str, Any]] = {f.name: _TYPES[str(f.type)] for f in POINTS} | {"lead": pl.Boolean()}
"""What ``where`` may use: the points view, and ``lead``, true for the first point of each device."""


def option_of(feature: Feature, params: dict[str, float]) -> float:
    """The option that a rule with these parameters wants; 0 for a feature without one."""
    return params.get(feature.option[0], feature.option[1]) if feature.option else 0.0


def is_sibling(name: str) -> bool:
    """Whether a column is the value of another quantity of the same device."""
    return name.startswith(SIBLING) and name not in DESCRIPTIONS
