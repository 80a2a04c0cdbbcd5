"""The open-loop publisher: the fleet on the wall clock, to any broker.

It never slows down for the receiver. The fleet reports in ticks of 50 ms; a tick is encoded once its time has come and
what came before has been handed to the socket, in order, none left out; when socket, broker or packet identifiers
cannot keep up, ticks fall behind their time and ``behind_s`` says by how much. A lost connection is opened again, and
what was in flight is sent again. One thread: the caller's.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from lifeline.core.errors import PeerError, UnavailableError
from simulators.drive_report import Status, Summary
from simulators.drive_settings import checked, fault_settings, fleet_settings
from simulators.faults import FaultSettings
from simulators.fleet_build import build_fleet
from simulators.generator import Generator, Tick
from simulators.ledger import Ledger
from simulators.link import Address, Link, parse_url
from simulators.outbox import KEPT_BYTES_MAX, Outbox
from simulators.registry import write_fleet
from simulators.wire import DISCONNECT, PINGREQ, Encoder

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from numpy.typing import NDArray

    from simulators.drive_settings import DriveSettings

TICK_MS: Final = 50
_KEEP_ALIVE_S: Final = 60
_CONNECT_S: Final = 10.0
_FIRST_CONNECT_S: Final = 30.0
_RETRY_S_MIN: Final = 0.1
_RETRY_S_MAX: Final = 5.0
_GRACE_S: Final = 2.0
"""After the end of a timed run the publisher may catch up for so long; what is unsent then stays unsent."""
_ACKS_S_MAX: Final = 60.0
_STATUS_S: Final = 1.0
_TRUTH_S: Final = 30.0


def run(
    settings: DriveSettings,
    on_status: Callable[[Status], None] | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Publish until ``seconds`` are over or ``stop`` is set; then wait, within bounds, for the acknowledgements.

    Registry and an empty truth file are written before the first packet, the truth again each 30 s and at the end.

    Raises:
        ConfigurationError: the settings make no sense, or the broker refuses us.
        UnavailableError: the broker could not be reached within 30 s. (Once connected, it is tried for ever.)
        OSError: a file could not be written.
    """
    drive = _Drive(checked(settings), stop)
    try:
        drive.publish(on_status)
    finally:
        drive.close()
    return drive.summary()


class _Drive:
    """One run: generator, outbox, link."""

    def __init__(self, settings: DriveSettings, stop: threading.Event | None) -> None:
        self._settings = settings
        self._stop = stop
        self._address: Address = parse_url(settings.broker_url, settings.username, settings.password)
        self._client_id = settings.client_id or f"lifeline-simulator-{os.getpid()}-{os.urandom(3).hex()}"
        self._fleet = build_fleet(fleet_settings(settings))
        if settings.registry:
            write_fleet(self._fleet, settings.registry)
        self._encoder = Encoder(self._fleet, settings.shape, settings.pack, settings.qos)
        self._outbox = Outbox(settings.qos, self._settled)
        self._link: Link | None = None
        self._ledger: Ledger | None = None
        self._generator: Generator | None = None
        self._start_ms = self._next_ms = 0
        self._repeated_readings = 0
        self._reconnects = 0
        self._behind_ms_max = 0
        self._behind_ms_end = 0
        self._elapsed_s = 0.0
        self._warm_up()

    def _warm_up(self) -> None:
        """Compile or load the kernels before the clock runs."""
        now = int(time.time() * 1000)
        generator = Generator(self._fleet, now, FaultSettings(0), self._settings.dirt, self._settings.shape)
        tick = generator.tick(TICK_MS)
        self._encoder.encode(tick.objects, tick.ptr, tick.scaled)
        Outbox(1, self._settled).received(b"")

    # --- files ---------------------------------------------------------------------------------------------------

    def _settled(self, tick: Tick, acked: NDArray[np.bool_], handed: NDArray[np.bool_]) -> None:
        repeats = tick.objects.repeat & handed
        if repeats.any():
            self._repeated_readings += int(np.diff(tick.ptr)[repeats].sum())
        if self._ledger:
            self._ledger.add(tick, acked, handed)

    def _write_truth(self, before_ms: int) -> None:
        if self._settings.truth and self._generator:
            self._generator.truth.write(self._settings.truth, before_ms)

    # --- the run -------------------------------------------------------------------------------------------------

    def publish(self, on_status: Callable[[Status], None] | None) -> None:
        """From the connection to the last acknowledgement."""
        self._connect_first()
        settings = self._settings
        self._origin_s = time.monotonic()
        self._start_ms = settings.start_ms if settings.start_ms is not None else int(time.time() * 1000)
        faults = fault_settings(settings)
        generator = Generator(self._fleet, self._start_ms, faults, settings.dirt, settings.shape)
        self._generator = generator
        if settings.ledger:
            self._ledger = Ledger(settings.ledger, generator.world)
        self._write_truth(self._start_ms)
        end_ms = self._start_ms + round(settings.seconds * 1000) if settings.seconds is not None else None
        self._next_ms = self._start_ms
        status_at = truth_at = 0.0
        while not self._is_over(end_ms):
            now_ms = self._now_ms()
            self._elapsed_s = time.monotonic() - self._origin_s
            if self._elapsed_s >= status_at:
                status_at = self._elapsed_s + _STATUS_S
                self._report(on_status, now_ms)
            if self._elapsed_s >= truth_at + _TRUTH_S:
                truth_at = self._elapsed_s
                self._write_truth(now_ms)
            self._make_tick(now_ms, end_ms)
            self._behind_ms_max = max(self._behind_ms_max, self._behind_ms(now_ms))
            self._exchange(max(0.0, (self._next_ms + TICK_MS - now_ms) / 1000))
        self._elapsed_s = time.monotonic() - self._origin_s
        reached_ms = self._now_ms() if end_ms is None else end_ms
        self._behind_ms_end = self._behind_ms(reached_ms)
        self._await_acks()
        self._report(on_status, reached_ms)

    def _now_ms(self) -> int:
        return self._start_ms + int((time.monotonic() - self._origin_s) * 1000)

    def _behind_ms(self, now_ms: int) -> int:
        """Age of the oldest tick that should have been sent whole by now."""
        oldest = self._outbox.oldest_unsent
        due = oldest.end if oldest else self._next_ms + TICK_MS
        return max(0, now_ms - due)

    def _is_over(self, end_ms: int | None) -> bool:
        if self._stop is not None and self._stop.is_set():
            return True
        if end_ms is None or (now_ms := self._now_ms()) < end_ms:
            return False
        is_complete = self._next_ms + TICK_MS > end_ms and self._outbox.oldest_unsent is None
        return is_complete or now_ms > end_ms + _GRACE_S * 1000

    def _make_tick(self, now_ms: int, end_ms: int | None) -> None:
        """Encode the next tick when its time has come and nothing older waits."""
        tick_end = self._next_ms + TICK_MS
        if tick_end > now_ms or (end_ms is not None and tick_end > end_ms):
            return
        if self._outbox.oldest_unsent is not None or self._outbox.kept_bytes > KEPT_BYTES_MAX:
            return
        assert self._generator is not None
        tick = self._generator.tick(TICK_MS)
        self._next_ms = tick.end
        packets = self._encoder.encode(tick.objects, tick.ptr, tick.scaled, self._outbox.next_number)
        self._outbox.put(tick, packets)

    def _exchange(self, idle_s: float) -> None:
        """Send what can be sent, take what has come; wait at most ``idle_s`` when there is nothing to do."""
        try:
            if self._link is None:
                self._connect()
                return
            waiting = self._outbox.sendable()
            sent = self._link.send(waiting) if len(waiting) else 0
            if sent:
                self._outbox.taken(sent)
                self._sent_at = time.monotonic()
            got = self._receive()
            self._keep_alive()
            if not sent and not got:
                # without bytes to send only an acknowledgement or the next tick can change that
                self._link.wait(min(idle_s or 0.05, 0.25), to_send=len(waiting) > 0)
        except (OSError, PeerError, UnavailableError) as error:
            self._lost(error)

    def _receive(self) -> bool:
        if self._link is None:
            return False
        data = self._link.receive()
        if data is None:
            raise ConnectionResetError("the broker closed the connection")
        if data:
            self._heard_at = time.monotonic()
            self._outbox.received(data)
        return bool(data)

    def _keep_alive(self) -> None:
        """A ping after half of the keep-alive time without a packet; silence for two of them is a dead link."""
        now = time.monotonic()
        if self._link is None or now - self._sent_at < _KEEP_ALIVE_S / 2:
            return
        if now - self._heard_at > 2 * _KEEP_ALIVE_S:
            raise ConnectionResetError(f"the broker was silent for {2 * _KEEP_ALIVE_S} s")
        if self._outbox.is_between_packets and self._link.send(memoryview(PINGREQ)):
            self._sent_at = now

    # --- connection ----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._link = Link(self._address, self._client_id, _KEEP_ALIVE_S, _CONNECT_S, self._settings.ca_file)
        self._sent_at = self._heard_at = time.monotonic()
        self._problem = ""
        self._retry_s = _RETRY_S_MIN
        self._retry_at = 0.0

    def _connect_first(self) -> None:
        """Raises UnavailableError when no broker answers for 30 s."""
        give_up = time.monotonic() + _FIRST_CONNECT_S
        pause_s = _RETRY_S_MIN
        while True:
            try:
                self._open()
            except UnavailableError:
                if time.monotonic() + pause_s > give_up or (self._stop is not None and self._stop.is_set()):
                    raise
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_S_MAX)
            else:
                return

    def _connect(self) -> None:
        """One try, when it is time for one; else a short sleep."""
        if time.monotonic() < self._retry_at:
            time.sleep(min(0.05, self._retry_at - time.monotonic()))
            return
        self._open()
        self._reconnects += 1
        self._outbox.reconnected()

    def _lost(self, error: Exception) -> None:
        self._problem = str(error)
        if self._link is not None:
            self._link.close()
            self._link = None
        self._retry_at = time.monotonic() + self._retry_s
        self._retry_s = min(self._retry_s * 2, _RETRY_S_MAX)

    def _await_acks(self) -> None:
        """Until all is acknowledged, or nothing comes for ``ack_idle_s``, or 60 s have passed."""
        begin = last = time.monotonic()
        seen = self._outbox.acked_messages
        while (
            self._outbox.in_flight > 0
            and (now := time.monotonic()) - begin < _ACKS_S_MAX
            and now - last < self._settings.ack_idle_s
        ):
            try:
                if self._link is None:
                    self._connect()
                elif not self._receive():
                    self._link.wait(0.05, to_send=False)
            except (OSError, PeerError, UnavailableError) as error:
                self._lost(error)
            if self._outbox.acked_messages > seen:
                seen, last = self._outbox.acked_messages, now

    def close(self) -> None:
        """Say goodbye, settle the ledger, write the truth. Also after an error."""
        if self._link is not None:
            try:
                if self._outbox.is_between_packets:
                    self._link.send(memoryview(DISCONNECT))
            except OSError:
                pass  # it is gone already, and we go too
            self._link.close()
            self._link = None
        self._outbox.close()
        if self._ledger:
            self._ledger.close()
        if self._generator:
            self._write_truth(self._next_ms)

    # --- telling -------------------------------------------------------------------------------------------------

    def _report(self, on_status: Callable[[Status], None] | None, now_ms: int) -> None:
        if on_status is None or self._generator is None:
            return
        outbox = self._outbox
        on_status(
            Status(
                elapsed_s=self._elapsed_s,
                connected=self._link is not None,
                messages=outbox.sent_messages,
                readings=outbox.sent_readings,
                acknowledged_messages=outbox.acked_messages,
                in_flight=outbox.in_flight,
                behind_s=self._behind_ms(now_ms) / 1000,
                faults=self._generator.truth.count(now_ms),
                problem=self._problem,
            )
        )

    def summary(self) -> Summary:
        """Complete after ``close``."""
        outbox, truth = self._outbox, self._generator.truth if self._generator else None
        return Summary(
            sensors=len(self._fleet),
            points=self._fleet.points_count,
            messages=outbox.sent_messages,
            readings=outbox.sent_readings,
            acknowledged_messages=outbox.acked_messages,
            acknowledged_readings=outbox.acked_readings,
            seconds=round(self._elapsed_s, 3),
            messages_per_s=round(outbox.sent_messages / max(self._elapsed_s, 1e-9), 1),
            behind_s=self._behind_ms_end / 1000,
            faults=truth.count(self._next_ms) if truth else 0,
            harmless=truth.count(self._next_ms, harmless=True) if truth else 0,
            behind_s_max=self._behind_ms_max / 1000,
            repeated_readings=self._repeated_readings,
            resent_messages=outbox.resent_messages,
            reconnects=self._reconnects,
        )
