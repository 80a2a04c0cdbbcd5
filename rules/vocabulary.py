"""Every word that a condition may use: columns by how a rule evaluates, with a sentence each, and their types.

One table for checking, computing and documenting; features are in theirs (``rules/features.py``), and both tables of
``docs/rules.md`` are what ``reference`` prints.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from lifeline.core.schema import POINTS
from rules.feature import Option
from rules.features import FEATURE_OF, FEATURES
from rules.judges import JUDGE_OF
from rules.judges import OPTIONS as JUDGE_OPTIONS

FLOAT: Final = pl.Float64()

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
    "gap_n": "the same in declared intervals; NULL where the interval is unknown",
    "step": "value - prev",
    **{output: text for feature in FEATURES for output, text in feature.outputs.items()},
    "silent_s": "seconds since the point was last heard of",
    "silent_n": "the same in declared intervals; NULL where the interval is unknown",
    "device_silent_s": "seconds since any point of the device was heard of",
    "silent_devices": "how many devices are overdue: silent for 3 intervals (30 s at least), 2 for daily ones",
    "members": "points of the group",
    "reporting": "members with a value not older than hold_s",
    "hits": "members that satisfied ``hit`` within window_s",
    "t2": "Hotelling's T² of the frame, 1 where a thousandth of normal frames lies above",
    "q": "squared prediction error of the frame, 1 where a thousandth of normal frames lies above",
    "drift": "largest distance of a member from its own drifting level, in deviations",
    "drift_rms": "root mean square of these distances",
    "habit": "how far a member is beyond what it did in normal times (range, rest, relation to others), 1 at the bound",
    "departure": "how far a member's last minutes are from its own level, beside what the others do, 1 at its limit",
    "t2_normal": "the T² that normal reached, before division",
    "q_normal": "the squared error that normal reached, before division",
    "drift_normal": "the drift that normal reached",
    "drift_rms_normal": "the drift_rms that normal reached",
    "habit_normal": "the habit that normal reached",
    "departure_normal": "the departure that normal reached",
    "gateway_devices": "how many devices behind the point's gateway ever reported; NULL without a gateway",
    "gateway_silent_s": "seconds since any device behind it was heard of",
    "gateway_back_s": "seconds since its last silence of more than two intervals ended, or that of half of them",
    "gateway_overdue": "how many devices behind it are overdue, as in silent_devices",
    "silent_share": "silent_devices divided by the devices that ever reported",
}

TERM_PARTS: Final = ("sum", "mean", "min", "max", "n", "rate", "hits")
"""Columns of a group's term, in the order of ``kernels.frames``."""
FRAME_COUNTS: Final = ("members", "reporting", "hits")
GROUP_OPTIONS: Final = {
    "frame_s": Option("frame_s", 60.0, "seconds of a frame; 0: every reading is one", high=86_400.0),
    "hold_s": Option("hold_s", 3600.0, "seconds that a silent member's last value holds"),
    "window_s": Option("window_s", 0.0, "seconds that a hit counts"),
} | {
    name: Option(name, default, note, low=low, high=high) for name, (default, low, high, note) in JUDGE_OPTIONS.items()
}
"""Parameters of a rule over groups."""


def group_fault(name: str, value: float) -> str | None:
    """What is wrong with a parameter of a rule over groups; None when nothing is, or it is no option."""
    return GROUP_OPTIONS[name].fault(value) if name in GROUP_OPTIONS else None


REGISTRY: Final = ("interval_s", "span_low", "span_high")
_CALENDAR: Final = ("hour", "minute", "weekday", "month", "heating")
_ROW: Final = ("value", "quality", "late", "age_s")
_ORDERED: Final = ("prev", "gap_s", "gap_n", "step", *FEATURE_OF)
_CLOCK: Final = (
    "silent_s",
    "silent_n",
    "device_silent_s",
    "silent_devices",
    "silent_share",
    "gateway_devices",
    "gateway_silent_s",
    "gateway_back_s",
    "gateway_overdue",
)

_JUDGED: Final = tuple(JUDGE_OF)
_GROUP: Final = (*FRAME_COUNTS, *_JUDGED, *(f"{name}_normal" for name in _JUDGED))

COLUMNS: Final = {
    "reading": (*_ROW, *REGISTRY, *_CALENDAR, *_ORDERED),
    "every": (*_ROW, *REGISTRY, *_CALENDAR),
    "clock": (*REGISTRY, *_CALENDAR, *_CLOCK),
    "group": (*_CALENDAR, *_GROUP),
}
"""What a condition may use, by the rule's ``evaluate``."""

NEEDS: Final = {"gap_n": ("interval_s",), "silent_n": ("interval_s",)}
"""Columns of the registry that a column is computed from."""

_TYPES: Final[dict[str, Any]] = {"double": FLOAT, "int32": pl.Int32(), "string": pl.String(), "date32[day]": pl.Date()}
WHERE: Final[dict[str, Any]] = {f.name: _TYPES[str(f.type)] for f in POINTS} | {
    "lead": pl.Boolean(),
    "gateway_lead": pl.Boolean(),
    "foreign": pl.Boolean(),
    "about": pl.String(),
}
"""What ``where`` may use: the points view, ``lead`` (the first point of a device), ``gateway_lead`` (of a gateway),
``foreign`` (a point of one of ``FOREIGN``), ``about`` (what the quantity is named after, see ``rules.named``)."""

FOREIGN: Final = (
    *("methane-ambient", "mine-methane", "water-scada", "rig"),
    *("gas-scada", "heat-scada", "water-meter", "gas-meter", "water-quality"),
)
"""Kinds of foreign history: their quantities are called and measured as their owners please, so that limits of a city's
own network do not speak of them. (``heat-meter`` is a kind of both.)"""


def is_sibling(name: str) -> bool:
    """Whether a column is the value of another quantity of the same device."""
    return name.startswith(SIBLING) and name not in DESCRIPTIONS


def reference() -> str:
    """The tables of ``docs/rules.md``: columns without memory, then features with their options."""
    where = {name: [e for e in COLUMNS if name in COLUMNS[e]] for name in DESCRIPTIONS}
    lines = ["| column | in rules that evaluate | what it is |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {', '.join(where[name])} | {text} |"
        for name, text in DESCRIPTIONS.items()
        if name not in FEATURE_OF
    ]
    lines += ["", "| feature | columns | options (default) |", "|---|---|---|"]
    for feature in FEATURES:
        columns = "<br>".join(f"`{output}` {text}" for output, text in feature.outputs.items())
        options = "<br>".join(f"`{o.name}` ({o.default:g}) {o.note}" for o in feature.options)
        lines.append(f"| `{feature.name}` | {columns} | {options} |")
    return "\n".join(lines) + "\n"
