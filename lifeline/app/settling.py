"""What can wait until a start is over, waits: the alarms come first.

After a restart the rules judge again what they had not kept, while the broker delivers what it has held back. Merging
files of the lake and publishing the registry (half a second of computing for a city) would take from that, and so would
whoever else follows the log: lake, last values and completeness begin when the rules are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifeline.core.ports import Clock, Log
    from lifeline.engine.rules_follower import RulesFollower

BEHIND_MAX: Final = 24
"""Records: at full load the rules are ten behind when nothing holds them up. A replay takes 64 at a time, and the last
of them are not judged before they are."""
REST_MS: Final = 2_000
"""Between the first alarms and merges or publications: others who follow the log begin at once, with much to do."""
WAIT_MS: Final = 60_000
"""Rules that still lag lag for another reason."""
FIRST_MS: Final = 15_000
"""So long the other followers let the rules go first: what they do not follow is only in the log."""


class Settling:
    """Knows when the rules have caught up for the first time; any thread may ask."""

    def __init__(self, clock: Clock, log: Log, rules: RulesFollower) -> None:
        self._clock, self._log, self._rules = clock, log, rules
        self._began = clock()
        self._there: int | None = None
        self._over = False

    def over(self) -> bool:
        """Whether the start is over; once it is, it stays so."""
        if not self._over:
            rested = self._caught_up() and self._passed(self._there, REST_MS)
            self._over = rested or self._passed(self._began, WAIT_MS)
        return self._over

    def others(self) -> bool:
        """Whether those who follow beside the rules may begin."""
        return self._caught_up() or self._passed(self._began, FIRST_MS)

    def _caught_up(self) -> bool:
        """Whether the rules ever have."""
        if self._there is None and self._rules.is_open and self._log.committed - self._rules.position <= BEHIND_MAX:
            self._there = self._clock()
        return self._there is not None

    def _passed(self, since: int | None, wait_ms: int) -> bool:
        """Whether so much time has; a clock that was set back does not hold anybody up."""
        return since is None or not 0 <= self._clock() - since < wait_ms

    def then(self, work: Callable[[], None]) -> Callable[[], None]:
        """A chore that does nothing before."""

        def chore() -> None:
            if self.over():
                work()

        return chore
