"""How the engine's threads share Python's lock.

Whoever computes in Python lets the lock go only when another has waited for the switch interval: 5 ms by default, ten
times what the disk needs for a commit. The collector, the log's writer and the rules each need the lock for some tens
of microseconds between two system calls; half a millisecond is the longest that a follower may keep them waiting.
"""

from __future__ import annotations

import sys
from typing import Final

SWITCH_S: Final = 0.0005


def settle_threads() -> None:
    """Have this process's threads take turns quickly."""
    sys.setswitchinterval(SWITCH_S)
