"""Times as people write them: ``90s``, ``30min``, ``6h``, ``3d``."""

from __future__ import annotations

import re
from typing import Final

UNITS_S: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
EXAMPLES: Final = 'e.g. "90s", "30min", "6h", "3d"'
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")


def parse_duration(text: str) -> float | None:
    """Seconds of ``90s``, ``30min``, ``6h`` or ``3d``; None when it is none of them."""
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * UNITS_S[match[2]] if match else None
