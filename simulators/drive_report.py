"""What the publisher tells: once a second, and at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Status:
    """How it goes, about once a second."""

    elapsed_s: float
    connected: bool
    messages: int
    readings: int
    acknowledged_messages: int
    in_flight: int
    behind_s: float
    faults: int
    problem: str
    """Why the connection is lost; empty while there is one."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How it went. ``behind_s`` is what was missing of the schedule at the end; readings count repeats."""

    sensors: int
    points: int
    messages: int
    readings: int
    acknowledged_messages: int
    acknowledged_readings: int
    seconds: float
    messages_per_s: float
    behind_s: float
    faults: int
    harmless: int
    behind_s_max: float
    repeated_readings: int
    """Sent on purpose a second time (``dirt``)."""
    resent_messages: int
    """Sent again after a lost connection."""
    reconnects: int

    def as_dict(self) -> dict[str, Any]:
        """The keys of ``simulate --json``."""
        return asdict(self)
