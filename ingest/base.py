"""What all collectors share: the thread, connecting again and again, and the state for status pages.

A concrete collector writes ``_session``: one connection from its beginning to its end. It returns when asked to stop
and raises for everything else that ends a connection.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from ingest.backoff import STABLE_S, Backoff
from ingest.drops import Drops
from ingest.intake import Intake
from ingest.link import Bell, ClosedByBrokerError, tls_context
from ingest.mqtt.spec import code_name
from lifeline.core.errors import ConfigurationError, LifelineError, PeerError, Problem
from lifeline.core.ports import CollectorState

if TYPE_CHECKING:
    import random
    import ssl
    from collections.abc import Callable, Sequence

    from ingest.broker import BrokerSettings
    from ingest.messages import Asking, Decoder
    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import Clock, Log

_LOG = logging.getLogger(__name__)

WAIT_S: Final = 1.0
"""Longest sleep of the thread; a safety net, everything rings."""

CUT_SHORT_MIN: Final = 3
"""So many connections in a row that the broker ended within STABLE_S and without a reason look like a second client
with our id: MQTT 3.1.1 has no way to say so, and Mosquitto 2.0 does not say it in MQTT 5 either."""


class TakenOverError(PeerError):
    """Another client with our client id took the session (0x8E)."""

    def __init__(self, client_id: str, reason: str) -> None:
        super().__init__(
            f"another client uses our client id {client_id!r} and took the session over ({reason}): "
            "give each collector a client id of its own"
        )


class CollectorBase(ABC):
    """Collects from one broker until stopped.

    Args:
        settings: the broker.
        decoder: called on the collector's thread only.
        log: gets one batch for each receive.
        clock: epoch ms; stamps ``received_at``.
        metrics: may be None.
        rng: jitter of the back-off.
        on_state: called on the collector's thread when ``state`` changes in more than its counters.
        on_lost: called on the collector's thread after a failed commit, before anything is decoded again: what was
            decoded since the last commit is not durable, so a memory of repeats must forget it here.
        backoff: share one among the collectors of one broker.
        asking: has messages to send and warnings to show.

    Raises:
        ConfigurationError: a scheme that this collector cannot serve, or unreadable TLS files.
    """

    schemes: ClassVar[frozenset[str]]

    def __init__(
        self,
        settings: BrokerSettings,
        decoder: Decoder,
        log: Log,
        clock: Clock,
        metrics: Metrics | None,
        rng: random.Random,
        on_state: Callable[[CollectorState], None] | None = None,
        *,
        on_lost: Callable[[], None] | None = None,
        backoff: Backoff | None = None,
        asking: Asking | None = None,
    ) -> None:
        if settings.scheme not in self.schemes:
            remedy = "use PahoCollector for WebSocket URLs, or write mqtt:// or mqtts://"
            message = f"{type(self).__name__} does not speak {settings.scheme}"
            raise ConfigurationError([Problem(f"broker {settings.name}", "url", message, remedy)])
        self.settings = settings
        self._trust()  # what is wrong from the start is said at the start
        self._clock, self._metrics, self._on_state, self._on_lost = clock, metrics, on_state, on_lost
        self._backoff = backoff or Backoff(settings.reconnect_min_s, settings.reconnect_max_s, rng)
        self._asking = asking
        self._bell = Bell()
        self._drops = Drops(settings.name, settings.drops, metrics) if settings.drops else None
        self._intake = Intake(settings.name, decoder, log, metrics, self._bell.ring, self._drops)
        self._state = CollectorState(settings.name)
        self._messages = self._bytes = 0
        self._had_session = False
        self._cut_short = 0
        self._stop_by_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"collect-{settings.name}", daemon=True)

    def _trust(self) -> ssl.SSLContext | None:
        """TLS by its files as they are now: a certificate renewed or taken back counts from the next connection on.

        Raises:
            ConfigurationError: a file is missing or no PEM.
        """
        return tls_context(self.settings) if self.settings.scheme in {"mqtts", "wss"} else None

    # --- the caller's side ---------------------------------------------------------------------------------------

    @property
    def state(self) -> CollectorState:
        """How things stand now; any thread may ask."""
        dropped = None if self._drops is None else self._drops.count
        said = (
            self._state.warning,
            None if self._drops is None else self._drops.warning,
            None if self._asking is None else self._asking.warning(),
        )
        return replace(
            self._state,
            messages=self._messages,
            bytes=self._bytes,
            unacknowledged=self._unacknowledged(),
            dropped=dropped,
            warning="; ".join(filter(None, said)) or None,
        )

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Stop reading, wait for outstanding commits, acknowledge them, say goodbye; False when time ran out."""
        self._stop_by_s = time.monotonic() + timeout_s
        if self._thread.ident is None:
            self._close()
            return True
        self._bell.ring()
        self._thread.join(timeout_s + 1.0)
        return not self._thread.is_alive()

    # --- for the concrete one ------------------------------------------------------------------------------------

    @abstractmethod
    def _session(self) -> None:
        """One connection; returns only when stopping."""

    @abstractmethod
    def _unacknowledged(self) -> int:
        """QoS 1 messages of this connection that wait for their PUBACK."""

    # --- connecting again and again ------------------------------------------------------------------------------

    @property
    def _stopping(self) -> bool:
        return self._stop_by_s is not None

    def _run(self) -> None:
        try:
            while not self._stopping:
                delay_s = self._once()
                self._pause(delay_s)
        finally:
            self._show(connected=False, connected_since=None)
            self._close()

    def _close(self) -> None:
        self._intake.close()
        self._bell.close()

    def _once(self) -> float:
        """One connection from its beginning to its end; returns how long to wait before the next."""
        began_s = time.monotonic()
        try:
            self._forget_lost()
            self._session()
        except TakenOverError as error:
            self._ended(began_s, error, taken_over=self._state.taken_over + 1)
            return self._backoff.taken_over_s()
        except (LifelineError, OSError) as error:
            self._ended(began_s, error)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not end the collecting: say it, connect again
            _LOG.exception("broker %s: a bug in the collector; connecting again", self.settings.name)
            self._ended(began_s, error)
        else:
            return 0.0
        return self._backoff.failed_s()

    def _finished(self) -> bool:
        """Stopping, and nothing more to wait for."""
        if self._stop_by_s is None:
            return False
        return self._intake.outstanding == 0 or time.monotonic() >= self._stop_by_s

    def _ended(self, began_s: float, error: Exception, taken_over: int = 0) -> None:
        lasted_s = time.monotonic() - began_s
        self._backoff.lasted(lasted_s)
        message = str(error) or type(error).__name__
        cut_short = isinstance(error, ClosedByBrokerError) and self._state.connected and lasted_s < STABLE_S
        self._cut_short = self._cut_short + 1 if cut_short else 0
        if self._cut_short >= CUT_SHORT_MIN:
            message += (
                f"; {self._cut_short} times in a row: does another client use the id {self.settings.client_id!r}?"
            )
        _LOG.warning("broker %s: %s", self.settings.name, message)
        self._show(
            connected=False,
            connected_since=None,
            last_error=message,
            reconnects=self._state.reconnects + 1,
            taken_over=taken_over or self._state.taken_over,
        )

    def _pause(self, delay_s: float) -> None:
        """Wait, and let commits of the dropped connection settle meanwhile."""
        until_s = time.monotonic() + delay_s
        while not self._stopping and (left_s := until_s - time.monotonic()) > 0:
            self._bell.wait(left_s)
            self._intake.settled()

    def _forget_lost(self) -> None:
        """After a failed commit: everything decoded has failed or settled, then the decoder may forget."""
        self._intake.settled()
        if not self._intake.failed:
            return
        while self._intake.outstanding:
            if self._stopping:
                return
            self._bell.wait(WAIT_S)
            self._intake.settled()
        if self._on_lost is not None:
            self._on_lost()
        self._intake.recover()

    # --- what the broker said ------------------------------------------------------------------------------------

    def _greeted(self, code: int, reason: str, session_present: bool) -> None:
        if code:
            raise PeerError(f"the broker refuses the connection: {reason}")
        lost = self._had_session and not session_present
        warning = None
        if lost:
            warning = "the broker forgot our session: messages since the last connection may be missing"
            _LOG.error("broker %s: %s", self.settings.name, warning)
        # With its session a broker delivers at once what it has kept, and answers SUBSCRIBE only behind all of that.
        self._show(
            connected=session_present,
            connected_since=self._clock() if session_present else None,
            session_present=session_present,
            sessions_lost=self._state.sessions_lost + lost,
            warning=warning,
        )

    def _subscribed(self, codes: Sequence[int], reason: str = "") -> None:
        asked = self.settings.filters()
        granted = {name: code for (name, _), code in zip(asked, codes, strict=True)}
        self._had_session = True
        refused = [f"{name} ({code_name(code)})" for name, code in granted.items() if code >= 0x80]
        lower = [name for name, qos in asked if granted[name] < qos]
        notes = [self._state.warning] if self._state.warning else []
        if refused:
            notes.append(f"subscription refused: {', '.join(refused)} {reason}".rstrip())
        if lower:
            notes.append(f"granted at QoS 0 only, losses are possible: {', '.join(lower)}")
        warning = "; ".join(notes) or None
        if warning:
            _LOG.warning("broker %s: %s", self.settings.name, warning)
        if all(code >= 0x80 for name, code in granted.items() if name != self.settings.drops):
            self._show(granted_qos=granted, warning=warning)
            raise PeerError(f"the broker refuses every subscription: {', '.join(refused)}")
        self._show(connected=True, granted_qos=granted, warning=warning, last_error=None, connected_since=self._clock())

    # --- the state -----------------------------------------------------------------------------------------------

    def _show(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]
        if self._metrics is not None:
            self._metrics.broker_connected.labels(self.settings.name).set(self._state.connected)
        if self._on_state is not None:
            self._on_state(self.state)
