"""``quality-city``: as ``quality-fleet``, for the whole city: a billion readings, a quarter of an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.quality.report import measure
from benchmarks.workloads.quality_fleet import TRAIN_DAYS
from simulators.fleet import SENSORS

if TYPE_CHECKING:
    from benchmarks.harness import Result


def run(scale: float) -> Result:
    """All sensors times ``scale``."""
    return measure("quality-city", scale, round(SENSORS * scale), TRAIN_DAYS)
