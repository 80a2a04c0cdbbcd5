"""What the application holds for its routes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lifeline.console.limits import PAGE_EVENTS_MAX
from lifeline.console.sources import Cached

if TYPE_CHECKING:
    from lifeline.console.access import Gate
    from lifeline.console.feed import Feed
    from lifeline.console.limits import Buckets
    from lifeline.console.oidc import Oidc
    from lifeline.console.parts import Parts, Settings
    from lifeline.console.ports import Row, Within
    from lifeline.console.refusals import Refusals
    from lifeline.core.ports import Clock

EVENTS_TTL_MS: Final = 1_000
SCOPES_MAX: Final = 256
"""Different reaches of viewers whose newest events are remembered for a second."""


@dataclass
class State:
    """What routes find at ``request.app.state.lifeline``."""

    parts: Parts
    settings: Settings
    gate: Gate
    feed: Feed
    news: Cached[dict[str, Any]]
    queries: Buckets
    refused: Refusals
    sign_in_addresses: Buckets
    sign_in_names: Buckets
    clock: Clock
    oidc: Oidc | None = None
    _newest: OrderedDict[Any, Cached[list[Row]]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def newest_events(self, within: Within) -> list[Row]:
        """The page's events; viewers of the same reach share one question a second."""
        key = None if within is None else tuple(within)
        with self._lock:
            found = self._newest.pop(key, None)
            if found is None:
                found = Cached(
                    lambda: self.parts.queue.list_events(within, masked=True, limit=PAGE_EVENTS_MAX)[0],
                    EVENTS_TTL_MS,
                    self.clock,
                )
            self._newest[key] = found
            if len(self._newest) > SCOPES_MAX:
                self._newest.popitem(last=False)
        return found()
