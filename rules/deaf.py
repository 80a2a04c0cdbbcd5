"""When nothing at all was heard: the fault is ours or the way's, and no sensor is blamed for it.

An engine that was down, a broker or a network that was away: for that time no reading of anybody is in the log. The log
is *deaf* from a while after its last reading until the next one; the while is twice the interval that twenty of the
devices heard so far declare or undercut (20 s at least), so that a site which reports once an hour is not deaf in
between, and a small one never. Deaf time is no silence of a device; the census of silent devices counts it, because
that is how an outage is noticed while it lasts.

It is derived from the readings alone, so a backtest finds the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules.kernels.silence import kth_least, longest_gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

DEVICES_MIN: Final = 20
"""Fewer devices may well be silent together by chance."""
MISSED: Final = 2
LEAST_MS: Final = 20_000
KEPT: Final = 32
"""Newest deaf periods that are remembered: an outage matters for some intervals after it."""
ENDLESS: Final = np.iinfo(np.int64).max // 2


class Deafness:
    """Deaf periods; ``state`` is all there is to keep: [last reading, 0], then [begin, end) of the periods, in ms."""

    def __init__(self) -> None:
        self.state = np.zeros((KEPT + 1, 2), np.int64)
        self._interval = np.zeros(0, np.int64)
        self._bound = ENDLESS
        self._least = -1
        """What all devices together would give: no part of them gives less."""
        self._now: list[tuple[int, int]] = []

    def grow(self, interval_ms: NDArray[np.int64]) -> None:
        """Learn the interval of each device, 0 where unknown."""
        self._interval = interval_ms
        every = np.ones(len(interval_ms), bool)
        self._least = kth_least(interval_ms, every, DEVICES_MIN, 0)
        self._bound = self._patience(every)

    def hear(
        self,
        received: NDArray[np.int64],
        told: Callable[[int], NDArray[np.int32]],
        known: Callable[[int], NDArray[np.bool_]],
        end: int,
    ) -> None:
        """Take in a record's rows (times of receipt, never falling) before they are judged.

        ``told(n)`` are the devices of which the first ``n`` rows are signs of life, ``known(at)`` which devices were
        heard before these rows, or by that time (ms) and need not be among them; ``end`` is the log time that the
        record reaches.
        """
        if len(received):
            before = int(self.state[0, 0])
            if before > 0 and received[0] - before > self._bound:
                self._mark(before, int(received[0]), known(before), told(0))
            # a history's batch is longer than any bound, and mostly has no such gap between two rows
            if received[-1] - received[0] > self._bound and longest_gap(received) > self._bound:
                for row in np.flatnonzero((np.diff(received) > self._bound) & (received[:-1] > 0)) + 1:
                    last, now = int(received[row - 1]), int(received[row])
                    self._mark(last, now, known(last), told(int(row)))
        self._now = self._periods()
        if len(received):
            self.state[0, 0] = received[-1]
        last = int(self.state[0, 0])
        if last and end - last > self._bound:
            patience = self._heard_patience(known(last), told(len(received)))
            self._now.append((last + patience, ENDLESS))

    def calm(self, low: int, end: int) -> bool:
        """Whether nothing deaf can lie between the last reading, rows received from ``low`` on, and ``end``."""
        return end - min(int(self.state[0, 0]) or low, low) <= self._bound

    def hear_calm(self, last: int) -> None:
        """``hear`` of records for which it was ``calm``; ``last`` is the newest receipt of the last of them."""
        self._now = self._periods()
        self.state[0, 0] = last

    def within(self, silent_s: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
        """How many of so many seconds before some instants (ms) were deaf."""
        found = np.zeros(len(silent_s))
        if not self._now:
            return found
        since = at - silent_s * 1000.0
        for begin, end in self._now:
            found += np.maximum(np.minimum(at, end) - np.maximum(since, begin), 0.0)
        return found / 1000.0

    def _mark(self, last: int, now: int, heard: NDArray[np.bool_], device: NDArray[np.int32]) -> None:
        patience = self._heard_patience(heard, device)
        if now - last > patience:
            self.state[2:] = self.state[1:-1].copy()
            self.state[1] = last + patience, now

    def _periods(self) -> list[tuple[int, int]]:
        rows: Iterable[list[int]] = self.state[1:].tolist()
        return [(begin, end) for begin, end in rows if end]

    def _heard_patience(self, heard: NDArray[np.bool_], device: NDArray[np.int32]) -> int:
        if self._bound == ENDLESS:
            return ENDLESS
        known = heard
        if len(device):
            known = heard.copy()
            known[device] = True
        return self._patience(known)

    def _patience(self, known: NDArray[np.bool_]) -> int:
        """How long these devices may be silent before nothing was heard."""
        declared = kth_least(self._interval, known, DEVICES_MIN, self._least)
        return ENDLESS if declared < 0 else max(LEAST_MS, MISSED * declared)
