"""One thread a follower: wait, read, consume, tick; back off when the world refuses, stop loudly on a bug.

Each has its beat (``Follower.beat_s``): having caught up, it does not look at the log again before the beat is over.
After a pause the first record is taken at once. In a stream of small records (a broker's window of twenty messages
makes hundreds a second) the fixed cost of a turn is paid by the beat and not by the record, and the collector, which
acknowledges, need not share Python's lock with five threads that wake for every commit.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from lifeline.core.errors import LifelineError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifeline.core.ports import Clock, Follower, Log

logger = logging.getLogger(__name__)

WAIT_S: Final = 0.1
"""How long a follower sleeps at most before its ``tick`` gets a turn."""
BEGIN_S: Final = 0.02
"""How often it asks whether it may begin."""
BACKOFF_S: Final = 1.0
LAST_TRIES: Final = 4
LAST_PAUSE_S: Final = 0.25
"""While stopping, what refuses is asked so often; a restart replays what it would not take."""


class Follow:
    """Drives one follower over the log until stopped, then drains what is committed and closes it."""

    def __init__(
        self,
        log: Log,
        follower: Follower,
        clock: Clock,
        opening: Callable[[], None] | None = None,
        may_begin: Callable[[], bool] | None = None,
    ) -> None:
        """``opening``: what must be done before the first record and takes its time; on the follower's own thread.

        ``may_begin``: asked until it is true before the first record; a stop does not wait for it.
        """
        self.follower = follower
        self._opening = opening
        self._may_begin = may_begin
        self.fault: str | None = None
        """Why it stands still, None while it follows."""
        self._log = log
        self._clock = clock
        self._stop = threading.Event()
        self._tries_left = LAST_TRIES
        self._closed = False
        self._seen_at = clock()
        self._thread = threading.Thread(target=self._run, name=f"follow-{follower.name}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Drain and close; False when it refused or took longer than ``timeout_s`` (a restart replays the rest)."""
        self._stop.set()
        self._thread.join(timeout_s)
        return self._closed

    def lag_s(self, now_ms: int) -> float:
        """Age of the oldest record not yet consumed; 0 when it has caught up."""
        if self.follower.position >= self._log.committed:
            return 0.0
        return max(0.0, (now_ms - self._seen_at) / 1000)

    def _run(self) -> None:
        while True:
            try:
                if self._opening is not None:
                    self._opening()
                    self._opening = None
                self._turn()
                self.fault = None
                if self._stop.is_set() and self.follower.position >= self._log.committed:
                    self.follower.close()
                    self._closed = True
                    return
            except UnavailableError as error:
                self._report(f"{self.follower.name}: {error}")
                if self._stop.wait(BACKOFF_S):
                    self._tries_left -= 1
                    if self._tries_left <= 0:
                        return
                    time.sleep(LAST_PAUSE_S)
            except LifelineError as error:
                self._report(f"{self.follower.name}: {error}")
                return
            except Exception:
                if self.follower.position + 1 < self._log.first:  # an old copy was put back, or a part of one
                    gap = f"{self.follower.position + 1} to {self._log.first - 1}"
                    remedy = "put the log and what is derived from it back from one and the same copy"
                    self._report(f"{self.follower.name}: never saw log records {gap}, which are trimmed: {remedy}")
                    return
                logger.exception("follower %s stopped at log record %d", self.follower.name, self.follower.position)
                self.fault = f"{self.follower.name}: stopped by a defect at log record {self.follower.position}"
                return

    def _turn(self) -> None:
        if self._may_begin is not None and not self._may_begin() and not self._stop.wait(BEGIN_S):
            return
        self._may_begin = None
        if not self._log.wait(self.follower.position, 0.0 if self._stop.is_set() else WAIT_S):
            self._seen_at = self._clock()
            self.follower.tick(self._clock())
            return
        began, committed = time.monotonic(), self._log.committed
        records = self._log.read(self.follower.position)
        if records:
            self.follower.consume(records)
            self._seen_at = records[-1].received_at
        self.follower.tick(self._clock())
        if self.follower.position >= committed:
            self._stop.wait(max(0.0, began + self.follower.beat_s - time.monotonic()))

    def _report(self, fault: str) -> None:
        if fault != self.fault:
            logger.error("%s", fault)
        self.fault = fault
