"""The newest readings for the check by telemetry, from the engine's memory-mapped last values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lifeline.core.errors import UnavailableError
from lifeline.governance.recheck import LastReading
from lifeline.live.reader import LiveReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class LastValuesCheck:
    """``lifeline.governance.recheck.LastReadings``; one thread. Where no engine has run, no point has reported."""

    def __init__(self, path: Path) -> None:
        self._reader = LiveReader(path)

    def __call__(self, points: Sequence[int]) -> dict[int, LastReading]:
        """Newest readings of points; those that never reported are missing."""
        try:
            values = self._reader.read(np.array(points, np.int32))
        except (UnavailableError, IndexError):
            return {}
        found = {}
        for i, point in enumerate(points):
            if values.seen[i]:
                value = None if np.isnan(values.value[i]) else float(values.value[i])
                found[point] = LastReading(int(values.ts[i]), int(values.received_at[i]), value, int(values.quality[i]))
        return found

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
