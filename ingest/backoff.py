"""How long to wait before the next connection: exponential, capped, jittered; one for all collectors of a broker.

failure 1, 2, 3 …   between half and all of min(max_s, min_s · 2ⁿ)
taken over          another program uses our client id: at least max_s, doubling up to 20 · max_s, so that two
                    misconfigured collectors cannot throw each other out in a storm
stable              after STABLE_S of connection the count starts anew; not at CONNACK, or a broker that accepts
                    and drops, or a log that refuses every commit, would be asked again each second
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

STABLE_S: Final = 10.0
"""A connection that lived this long was no failure."""

TAKEN_OVER_FACTOR_MAX: Final = 20


class Backoff:
    """Thread-safe: collectors that share a broker share its back-off."""

    def __init__(self, min_s: float, max_s: float, rng: random.Random) -> None:
        if not 0 < min_s <= max_s:
            raise ValueError(f"reconnect: 0 < min_s <= max_s is needed, not {min_s} and {max_s}")
        self._min_s, self._max_s, self._rng = min_s, max_s, rng
        self._lock = threading.Lock()
        self._failures = 0
        self._takeovers = 0

    def failed_s(self) -> float:
        """Seconds to wait after one more failure."""
        with self._lock:
            cap = min(self._max_s, self._min_s * 2.0 ** min(self._failures, 32))
            self._failures += 1
            return self._rng.uniform(cap / 2, cap)

    def taken_over_s(self) -> float:
        """Seconds to wait after another client with our id took the session."""
        with self._lock:
            factor = min(TAKEN_OVER_FACTOR_MAX, 2.0 ** min(self._takeovers, 32))
            self._takeovers += 1
            return self._rng.uniform(self._max_s * factor, 1.5 * self._max_s * factor)

    def lasted(self, seconds: float) -> None:
        """A connection ended after ``seconds``; call it before asking how long to wait."""
        if seconds < STABLE_S:
            return
        with self._lock:
            self._failures = 0
            if seconds > TAKEN_OVER_FACTOR_MAX * self._max_s:
                self._takeovers = 0
