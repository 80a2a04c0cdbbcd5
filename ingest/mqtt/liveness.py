"""Is the other side alive, and do we say often enough that we are? Times are seconds of any steady clock.

ping    when nothing was sent for a keep-alive time [MQTT-3.1.2-20]
dead    no byte at all for half a keep-alive after a ping: found within 1.5 keep-alive times
dead    an answer that was asked for (CONNACK, SUBACK) does not come, counted from when the question went out
"""

from __future__ import annotations

from typing import Final

from lifeline.core.errors import PeerError

REPLY_TIMEOUT_S: Final = 10.0
"""CONNACK and SUBACK must come within this: a broker under full load answers in well under a second."""


class SilentPeerError(PeerError):
    """The broker did not answer in time; the link is taken for dead."""


class Liveness:
    """Deadlines of one connection. ``keepalive_s`` 0 means no pings at all."""

    def __init__(self, keepalive_s: float) -> None:
        self.keepalive_s = keepalive_s
        self.heard_s = 0.0
        self._sent_s = 0.0
        self._asked: str | None = None
        self._reply_due_s = 0.0
        self._unsent = False
        self._ping_sent_s: float | None = None

    def sent(self, now: float) -> None:
        """Bytes went out."""
        self._sent_s = now
        if self._unsent:  # we were busy since (kernels that had to be compiled): the other side was not asked before
            self._unsent, self._reply_due_s = False, now + REPLY_TIMEOUT_S

    def heard(self, now: float) -> None:
        """Bytes came in."""
        self.heard_s = now

    def asked(self, what: str, now: float, *, unsent: bool = False) -> None:
        """An answer is expected from now on; ``unsent``: from when the question goes out."""
        self._asked, self._reply_due_s, self._unsent = what, now + REPLY_TIMEOUT_S, unsent
        self._sent_s = self.heard_s = now

    def answered(self) -> None:
        """It came."""
        self._asked = None

    def ping_answered(self) -> None:
        """PINGRESP came."""
        self._ping_sent_s = None

    def next_deadline(self) -> float | None:
        """When ``tick`` has something to do; None: never."""
        due = [] if self._asked is None else [self._reply_due()]
        if self.keepalive_s and self._asked != "CONNACK":
            due.append(self._sent_s + self.keepalive_s)
            if self._ping_sent_s is not None:
                due.append(max(self._ping_sent_s, self.heard_s) + self.keepalive_s / 2)
        return min(due, default=None)

    def _reply_due(self) -> float:
        """A broker that first delivers what it kept for us, and only then answers, is not silent."""
        return max(self._reply_due_s, self.heard_s + REPLY_TIMEOUT_S)

    def tick(self, now: float, reading: bool) -> bool:
        """True when a PINGREQ must go out now. ``reading`` False: nobody listens, so silence proves nothing.

        Raises:
            SilentPeerError: the other side is dead.
        """
        if not reading:
            self.heard_s = now
        if self._asked is not None and now >= self._reply_due():
            raise SilentPeerError(f"no {self._asked} within {REPLY_TIMEOUT_S:g} s")
        if not self.keepalive_s or self._asked == "CONNACK":
            return False
        if self._ping_sent_s is not None and now >= max(self._ping_sent_s, self.heard_s) + self.keepalive_s / 2:
            raise SilentPeerError(f"no answer to PINGREQ within {self.keepalive_s / 2:g} s")
        if now < self._sent_s + self.keepalive_s:
            return False
        self._sent_s = now
        if self._ping_sent_s is None:
            self._ping_sent_s = now
        return True
