"""The wall clock of the roof; rooms below get it as an argument."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Now, epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000
