"""One sink's worker: a thread that takes the outbox in order and delivers at least once.

    read rows after position ─► filter ─► send, one by one ─► position (durable) ─► …
                                            │ fails: attempts, next_at (durable) ─► wait ─► the same row again
                                            │ 410:   disabled until its address changes
                                            └ days:  given up, kept in ``undelivered``, the next one's turn

The position is stored after a batch or a failure, so a kill in between repeats up to a batch, with the same ids. A sink
that is down delays only itself: workers share nothing but the outbox.
"""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from lifeline.core.errors import LifelineError
from lifeline.governance.outgoing import outbox

if TYPE_CHECKING:
    from lifeline.core.ports import Clock
    from lifeline.governance.database import Database
    from lifeline.governance.outgoing.outbox import Message

logger = logging.getLogger(__name__)

BATCH_ROWS: Final = 100
POLL_S: Final = 0.25
STOP_S: Final = 5.0
DOUBLINGS_MAX: Final = 30


class GoneError(LifelineError):
    """The receiver says that it is gone for good."""


class DeliveryError(LifelineError):
    """Not delivered; ``after_s``: the receiver asks not to be asked before that."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class Transport(Protocol):
    """How a message gets there."""

    def send(self, message: Message) -> None:
        """Deliver; returns once the receiver has it.

        Raises:
            DeliveryError: try again later.
            GoneError: never again.
        """
        ...

    def idle(self) -> None:
        """Nothing is waiting: time to keep a connection up. Raises LifelineError."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class SinkRules:
    """What a sink wants, and how patient we are with it."""

    name: str
    target: str
    """Its address; another one is another sink."""
    kinds: tuple[str, ...] = ("event.opened", "event.changed", "event.closed")
    levels: tuple[str, ...] = ()
    utilities: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    """Beginnings of area codes. Empty: all, as with levels and utilities."""
    retry_min_s: float = 5.0
    retry_max_s: float = 3600.0
    give_up_after_s: float = 3 * 86_400.0

    def wants(self, message: Message) -> bool:
        """Whether the message is for this sink."""
        if message.kind not in self.kinds:
            return False
        event = message.data.get("event") or {}
        if self.levels and event.get("level") not in self.levels:
            return False
        if self.utilities and event.get("utility") not in self.utilities:
            return False
        codes = [event.get(name) for name in ("area_code", "township", "district")]
        return not self.areas or any(code and code.startswith(area) for code in codes for area in self.areas)

    def delay_s(self, attempts: int, rng: random.Random) -> float:
        """Back-off after so many failures: doubled, bounded, and jittered over its upper half."""
        longest = min(self.retry_max_s, self.retry_min_s * float(1 << min(attempts, DOUBLINGS_MAX)))
        return longest * rng.uniform(0.5, 1.0)


@dataclass
class Worker:
    """Delivers to one sink until stopped. ``step`` is one round, for tests and for the thread."""

    rules: SinkRules
    transport: Transport
    database: Database
    clock: Clock
    rng: random.Random = field(default_factory=random.SystemRandom)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Make the sink known, then deliver in a thread of its own."""
        with self.database.write() as connection:
            outbox.register(connection, self.rules.name, self.rules.target)
        self._thread = threading.Thread(target=self._run, name=f"sink-{self.rules.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the message in hand, if it takes no longer than ``STOP_S``; then close the transport."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
        self.transport.close()

    def _run(self) -> None:
        reported = ""
        while not self._stop.is_set():
            try:
                busy = self.step()
                reported = ""
            except LifelineError as error:  # the database refuses: nothing is lost, the position is where it was
                busy = False
                if str(error) != reported:
                    reported = str(error)
                    logger.error("sink %s: %s", self.rules.name, error)  # noqa: TRY400 the message says it all
            except Exception as error:  # a bug of ours must not end the sink without a word: shown once, tried again
                busy = False
                if repr(error) != reported:
                    reported = repr(error)
                    logger.exception("sink %s: a defect; it tries again", self.rules.name)
            if not busy:
                self._stop.wait(POLL_S)

    def step(self) -> bool:
        """Deliver what is waiting, a batch at the most; True when there may be more at once."""
        now_ms = self.clock()
        with self.database.read() as connection:
            stand = outbox.stand(connection, self.rules.name)
            patience = stand["next_at"] - now_ms
            # a clock set back must not make a sink wait for longer than any back-off is
            if stand["disabled_at"] is not None or 0 < patience <= self.rules.retry_max_s * 1000:
                return False
            messages = outbox.after(connection, stand["position"], BATCH_ROWS)
        if not messages:
            self.transport.idle()
            return False
        position, delivered = stand["position"], 0
        for message in messages:
            if self._stop.is_set():
                break
            if self.rules.wants(message):
                try:
                    self.transport.send(message)
                except Exception as error:  # noqa: BLE001 a bug of ours must not end the sink: kept, shown, given up
                    self._failed(message, error, position, delivered, stand)
                    return False
                delivered += 1
            position = message.entry
        with self.database.write() as connection:
            outbox.settle(connection, self.rules.name, position, delivered)
        return len(messages) == BATCH_ROWS

    def _failed(
        self, message: Message, error: Exception, position: int, delivered: int, stand: dict[str, object]
    ) -> None:
        now_ms = self.clock()
        name, text = self.rules.name, str(error) if isinstance(error, LifelineError) else f"{error!r}"
        moved = position != stand["position"]
        since = None if moved else stand["failing_since"]
        attempts = 0 if moved or not isinstance(stand["attempts"], int) else stand["attempts"]
        with self.database.write() as connection:
            if moved:
                outbox.settle(connection, name, position, delivered)
            if isinstance(error, GoneError):
                outbox.disable(connection, name, text, now_ms)
                logger.error("sink %s: %s; disabled until its address changes", name, text)
            elif isinstance(since, int) and now_ms - since >= self.rules.give_up_after_s * 1000:
                outbox.give_up(connection, name, message, text, now_ms)
                logger.error("sink %s: message %s given up: %s", name, message.message_id, text)
            else:
                asked_s = error.after_s if isinstance(error, DeliveryError) else 0.0
                wait_s = max(self.rules.delay_s(attempts, self.rng), min(asked_s, self.rules.retry_max_s))
                outbox.postpone(connection, name, text, now_ms, now_ms + int(wait_s * 1000))
                if attempts == 0:
                    logger.warning("sink %s: %s; trying again", name, text)
