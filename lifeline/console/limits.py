"""Bounds of the HTTP door, each with its reason, and the token buckets that enforce rates.

A bucket holds ``burst`` requests and refills at ``per_s`` a second. There is one an address for everything, one a
credential for the API and one for its queries, one a name for the refusals on record, and for sign-ins one an address
and one a name: a name is slowed down, never locked, because locking would let anybody shut anybody out.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BODY_BYTES_MAX: Final = 1 << 20
"""Largest request body: a report with a long text is 20 KiB, a query of an analyst 10."""
BODY_S: Final = 10.0
"""A body that takes longer is a slow-loris."""
HEAD_S: Final = 10.0
"""The same for the request's head."""
HEAD_BYTES_MAX: Final = 16 << 10
CONNECTIONS_MAX: Final = 2_048
"""1,000 live streams and as many pages; beyond it a connection gets 503."""
DIRECT: Final = "lifeline.direct"
"""The server's extension of ASGI by which a stream is written to past its task (``server``, ``feed``)."""
STREAMS_MAX: Final = 1_500
STREAMS_PER_NAME: Final = 1_200
"""A thousand screens of a city's wall may share one account; whoever opens more leaves the others their streams."""
PAGE_ROWS_MAX: Final = 1_000
PAGE_EVENTS_MAX: Final = 100
"""Events that the page may ask for; the API and SQL give more."""
READING_ROWS_MAX: Final = 20_000
"""Readings of one answer: five times what a screen can draw."""
LIVE_ROWS_MAX: Final = 10_000
"""Last values in one JSON answer; Arrow gives all at once."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, then ``per_s`` a second."""

    burst: float
    per_s: float


ADDRESS: Final = Rate(2_000, 200)
"""Everything of one address: a control room behind one address has 20 consoles of 2 requests a second, and 1,000
streams may come back at once after a restart."""
CREDENTIAL: Final = Rate(200, 50)
SIGN_IN_ADDRESS: Final = Rate(20, 0.2)
SIGN_IN_NAME: Final = Rate(5, 0.05)
"""Five tries, then one in twenty seconds."""
REFUSED: Final = Rate(20, 0.1)
"""Refusals of one name that are written to the audit; the others are counted."""
QUERY: Final = Rate(20, 1)
"""SQL queries of one analyst."""
BUCKETS_MAX: Final = 100_000
"""Buckets remembered; the longest unused is forgotten first (IPv6 has more addresses than memory has room)."""


class Buckets:
    """Token buckets by key, all of one rate. Thread-safe."""

    def __init__(self, rate: Rate, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._now = monotonic
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1.0) -> float:
        """0 when the request may go on, else seconds until it may."""
        with self._lock:
            now = self._now()
            level, at = self._levels.pop(key, (self._rate.burst, now))
            level = min(self._rate.burst, level + (now - at) * self._rate.per_s)
            waits = level < cost
            self._levels[key] = (level if waits else level - cost, now)
            if len(self._levels) > BUCKETS_MAX:
                self._levels.popitem(last=False)
            return math.ceil((cost - level) / self._rate.per_s * 1000) / 1000 if waits else 0.0
