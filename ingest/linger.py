"""When a collector reads its socket again: what has come is taken at once, unless waiting a little is sure to pay.

    many rows, at 400,000 a second or more    a pause of 50 ms at most (decision 0021)
    few rows, at 10,000 a second or more      20 ms at most for company: until there are enough bytes, or no more
                                              room for any (decision 0034)

A broker sends small packets; each read, commit and turn of the rules costs by the piece, up to thousands of rows. But a
broker whose window is full (Mosquitto's default is 20 messages) sends nothing before it has its PUBACKs, and waiting
for company would be waiting for nothing. It does not tell its window, but shows it: where a pause lets it fill the
window, as many messages are in flight afterwards as ever were, time after time.
"""

from __future__ import annotations

from typing import Final

from lifeline.core.limits import (
    COMPANY_PER_S,
    COMPANY_ROWS,
    COMPANY_S,
    COMPANY_S_MIN,
    LINGER_ROWS_MAX,
    LINGER_ROWS_MIN,
    LINGER_ROWS_PER_S,
    LINGER_S,
    LINGER_WINDOW,
)

RATE_S: Final = 0.02
"""A rate is taken over at least so long: by a single read's, a hold-up would look like a flood."""
ALIKE: Final = 0.01
"""So far from the most that ever was in flight counts as the same: a window may be one of bytes."""
SHOWN: Final = 3
"""So many times the same is no chance, or a very regular stream."""
SHOWN_PART: Final = 0.5
"""A pause may then fill half of such a window, and half of that each time that it shows again. If there is no window,
only company is lost by it; if there is, the rate that we know is one that we held up, and by halves the true one is
found."""


def linger_s(rows: int, since_s: float, taken: int = 0, window: int = 1) -> float:
    """How long after this read the next one may come: not at once when it brought many rows, at a high rate.

    Args:
        rows: of this read.
        since_s: since the read before it.
        taken: messages of this read that wait for a PUBACK.
        window: so many may wait before the broker sends no more. What comes meanwhile fills a part of it at most:
            else the broker would wait for us.
    """
    if not LINGER_ROWS_MIN <= rows <= LINGER_ROWS_MAX or rows < LINGER_ROWS_PER_S * since_s:
        return 0.0
    return min(LINGER_S, LINGER_WINDOW * window / taken * since_s) if taken else LINGER_S


class Linger:
    """Of one connection, from its beginning at ``now``. Times are seconds of any steady clock."""

    def __init__(self, now: float) -> None:
        self.read_s = now
        """Not to be read before."""
        self._company_s = now
        self._company_bytes = 1
        self._last_s = now
        self._rate_from_s, self._rows, self._bytes, self._taken = now, 0, 0, 0
        self._rows_per_s = self._bytes_per_s = self._taken_per_s = 0.0
        self._most_in_flight = self._times = 0

    def least(self, now: float) -> tuple[int, float]:
        """So many bytes should be there for a read, and until when: afterwards any will do."""
        return (self._company_bytes, self._company_s) if now < self._company_s else (1, now)

    def read(self, now: float, rows: int, size: int, *, taken: int, window: int, in_flight: int) -> None:
        """A read that began at ``now`` brought ``size`` bytes.

        Args:
            now: seconds.
            rows: in them.
            size: bytes.
            taken: messages at QoS 1 in them.
            window: so many may be in flight, as we told the broker.
            in_flight: so many are, these included.
        """
        self._count(now, rows, size, taken)
        self._learn(in_flight)
        since_s, self._last_s = now - self._last_s, now
        self.read_s = now + linger_s(rows, since_s, taken, window)
        self._company_s = now
        if self.read_s > now or self._rows_per_s < COMPANY_PER_S:
            return
        pause_s = min(COMPANY_S, COMPANY_ROWS / self._rows_per_s)
        if self._taken_per_s:
            room = LINGER_WINDOW * window
            if self._times >= SHOWN:
                room = min(room, self._most_in_flight * SHOWN_PART ** (self._times - SHOWN + 1))
            pause_s = min(pause_s, room / self._taken_per_s)
        if pause_s >= COMPANY_S_MIN:
            self._company_s = now + pause_s
            self._company_bytes = round(COMPANY_ROWS * self._bytes_per_s / self._rows_per_s)

    def _learn(self, in_flight: int) -> None:
        """What the broker's window may be."""
        if in_flight > self._most_in_flight * (1 + ALIKE):
            self._most_in_flight, self._times = in_flight, 0
        if self._company_s > self._last_s:  # this read has waited
            alike = in_flight >= self._most_in_flight * (1 - ALIKE)
            self._times = min(self._times + 1, 2 * SHOWN) if alike else max(self._times - 1, 0)

    def _count(self, now: float, rows: int, size: int, taken: int) -> None:
        self._rows, self._bytes, self._taken = self._rows + rows, self._bytes + size, self._taken + taken
        since_s = now - self._rate_from_s
        if since_s >= RATE_S:
            self._rows_per_s, self._bytes_per_s = self._rows / since_s, self._bytes / since_s
            self._taken_per_s = self._taken / since_s
            self._rate_from_s, self._rows, self._bytes, self._taken = now, 0, 0, 0
