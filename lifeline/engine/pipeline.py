"""The way of a reading, and the engine that keeps it open.

    broker ──► collector: bytes → packets → columns (decoder judges, repeats are recognised)
                   │
                   ▼
                  log: one write, one fsync for all that waits ──► collector: PUBACK, in arrival order
                   │
        ┌──────────┼───────────┬──────────────┐        followers, each a thread with its own position
      rules       lake        live        completeness
        │          │           │              │
     governance  Parquet    last values    gaps, duplicates

Starting: followers first (they replay what they have not yet consumed), then collectors. The rules are bound to their
points by their own thread, beside the first readings: the log keeps these for them, and ``readyz`` waits for it.
Stopping goes the other way: stop reading, let the log commit and acknowledge, drain, close.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from lifeline.core.errors import LifelineError
from lifeline.engine.status import STATUS_PERIOD_S

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from lifeline.core.ports import Collector, Log
    from lifeline.engine.follow import Follow
    from lifeline.engine.status import StatusBoard

logger = logging.getLogger(__name__)

STOP_S: Final = 20.0
"""How long a clean stop may take; past it the rest is replayed at the next start."""


class Engine:
    """Log, followers and collectors as one thing that starts, runs and stops."""

    def __init__(
        self,
        *,
        log: Log,
        follows: Sequence[Follow],
        collectors: Sequence[Collector],
        board: StatusBoard,
        chores: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._log = log
        self._follows = follows
        self._collectors = collectors
        self._board = board
        self._chores = chores
        """Called twice a second: publish the queue's tables, expire shelves, answer replay requests."""

    def start(self) -> None:
        """Followers, then collectors."""
        for follow in self._follows:
            follow.start()
        for collector in self._collectors:
            collector.start()

    def run(self, stop: threading.Event, on_status: Callable[[dict[str, object]], None] | None = None) -> None:
        """Keep house until told to stop: status, trimming, chores."""
        while not stop.wait(STATUS_PERIOD_S):
            status = self._publish()  # first: the first chores after a start take seconds
            if on_status is not None and status is not None:
                on_status(status)
            self._do_chores()
            self._log.trim(min(follow.follower.durable for follow in self._follows) + 1)

    def stop(self) -> bool:
        """Stop cleanly; True when everything read was committed, acknowledged and consumed."""
        self._board.stopping = True
        stopped = [collector.stop(STOP_S) for collector in self._collectors]
        drained = [follow.stop(STOP_S) for follow in self._follows]
        self._do_chores()
        self._board.stopped = True
        self._publish()
        self._log.close()
        return all(stopped + drained)

    def _do_chores(self) -> None:
        for chore in self._chores:
            try:
                chore()
            except (LifelineError, OSError) as error:  # what a disk refuses beside the log must not end the ingest
                logger.error("%s", error)  # noqa: TRY400 - the message says it all; it is tried again in half a second

    def _publish(self) -> dict[str, object] | None:
        try:
            return self._board.publish()
        except LifelineError as error:
            logger.error("%s", error)  # noqa: TRY400 - as above
            return None
