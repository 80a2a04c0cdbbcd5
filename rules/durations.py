"""Lengths of time as people write and say them: ``90s``, ``30min``, ``6h``, ``3d``."""

from __future__ import annotations

import re
from typing import Final

UNITS_S: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
UNITS_ZH: Final = {"s": "秒", "min": "分钟", "h": "小时", "d": "天"}
EXAMPLES: Final = 'e.g. "90s", "30min", "6h", "3d"'
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")


def parse_duration(text: str) -> float | None:
    """Seconds of ``90s``, ``30min``, ``6h`` or ``3d``; None when it is none of them."""
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * UNITS_S[match[2]] if match else None


def span(seconds: float, *, chinese: bool = False) -> str:
    """A length of time that somebody has set, exactly, in its largest whole unit: ``1 d``, ``90 min``, ``1.5 s``."""
    whole = (unit for unit in reversed(UNITS_S) if seconds >= UNITS_S[unit] and seconds % UNITS_S[unit] == 0)
    unit = next(whole, "s")
    return f"{seconds / UNITS_S[unit]:.10g} {UNITS_ZH[unit] if chinese else unit}"


def about(seconds: float) -> str:
    """A length of time that was measured: to a tenth, in a unit in which that says enough."""
    for unit in ("s", "min", "h"):
        if round(seconds / UNITS_S[unit], 1) < _UP_TO[unit]:
            return f"{seconds / UNITS_S[unit]:.1f} {unit}"
    return f"{seconds / UNITS_S['d']:.1f} d"


_UP_TO: Final = {"s": 100, "min": 100, "h": 48}
"""From here on the next unit says more."""
