"""Rule parameters that hold for a while in an area: what an emergency changes in the rules; pure values.

A span counts in *log time* (``received_at`` of readings, instants of the log's clock), never by the wall clock: which
parameters judged a reading is a function of the reading, so a replay and a backtest find the same alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ParameterSpan:
    """Other parameters for the points of ``area_code``, for readings received from ``since`` until before ``until``."""

    name: str
    """Whose it is, for the evidence of alarms: ``emergency 12``."""
    area_code: str
    since: int
    until: int
    """Epoch ms of log time; the end may be moved, to a time that no reading has been judged at yet."""
    params: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By rule id and parameter. A rule or parameter that does not exist changes nothing."""


Spans = Callable[[int | None], Sequence[ParameterSpan]]
"""Every span there is; where several fit, the later in the list wins.

Given the log time up to which everything has been judged, what was switched since begins or ends after it, and that is
durable on return. Given None, nothing is settled.
"""
