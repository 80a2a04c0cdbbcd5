"""``quality-fleet``: seven days of simulated gas, water and heat with faults of every kind, judged as events.

Scale 1 is 20,000 sensors at their own intervals after a week of training (116 million readings), a tenth of the city;
smaller scales train for three days. What counts as found, true and false is in ``benchmarks/quality/score.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.quality.report import measure

if TYPE_CHECKING:
    from benchmarks.harness import Result

SENSORS: Final = 20_000
TRAIN_DAYS: Final = 7.0
TRAIN_DAYS_SHORT: Final = 3.0


def run(scale: float) -> Result:
    """``SENSORS`` times ``scale``."""
    days = TRAIN_DAYS if scale >= 1 else TRAIN_DAYS_SHORT
    return measure("quality-fleet", scale, round(SENSORS * scale), days)
