"""Whether the wall clock may be believed; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

JUMP_MS: Final = 60_000
"""A wall clock that gains more than this on the monotonic one between two ticks has been set."""
JUMP_DOUBT_S: Final = 60.0


class Steady:
    """Whether the wall clock may be believed: one that jumps ahead waits until it has stood by it for a minute.

    A deadline that fires too early cannot be called back, one that fires a minute late does no harm. Jumps are seen
    against the machine's monotonic clock; going back fires nothing anyway.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last: tuple[int, float] | None = None
        self._doubt_until = 0.0

    def trusts(self, now_ms: int) -> bool:
        """Tell it the time; True when timers may fire."""
        clock = self._monotonic()
        last, self._last = self._last, (now_ms, clock)
        if last is not None and now_ms - last[0] - (clock - last[1]) * 1000 > JUMP_MS:
            self._doubt_until = clock + JUMP_DOUBT_S
        return clock >= self._doubt_until
