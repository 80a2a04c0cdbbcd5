"""What can wait until a start is over, waits: the alarms come first.

After a restart the rules judge again what they had not kept, while the broker delivers what it has held back. Merging
files of the lake and publishing the registry (half a second of computing for a city) would take from that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifeline.core.ports import Clock, Log
    from lifeline.engine.rules_follower import RulesFollower

BEHIND_MAX: Final = 64
"""Records: at full load the rules are ten behind when nothing holds them up."""
WAIT_MS: Final = 60_000
"""Rules that still lag lag for another reason."""


class Settling:
    """Knows when the rules have caught up for the first time; any thread may ask."""

    def __init__(self, clock: Clock, log: Log, rules: RulesFollower) -> None:
        self._clock, self._log, self._rules = clock, log, rules
        self._until = clock() + WAIT_MS
        self._over = False

    def over(self) -> bool:
        """Whether the start is over; once it is, it stays so."""
        if not self._over:
            caught_up = self._rules.is_open and self._log.committed - self._rules.position <= BEHIND_MAX
            self._over = caught_up or self._clock() >= self._until
        return self._over

    def then(self, work: Callable[[], None]) -> Callable[[], None]:
        """A chore that does nothing before."""

        def chore() -> None:
            if self.over():
                work()

        return chore
