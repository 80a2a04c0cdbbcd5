"""The collector: one thread between one broker and the log. The flow is ``_serve``, in five lines.

    socket ──► Connection (bytes → columns) ──► Intake (decode, append) ──► log ──► commit ──► PUBACKs ──► socket

What it promises: a PUBACK leaves only after the log has committed everything of the message, in the order of
arrival; whatever cannot be committed is not acknowledged, the TCP connection is dropped, and the broker sends it
again on the next one (a broker resends only then [MQTT-4.4.0-1]). What is there is taken, so batches are small when
idle and large under load; in a stream a read may wait some milliseconds for company (``linger``), acknowledgements
never do. While the log is slow it stops reading, and pings on.
"""

from __future__ import annotations

import mmap
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ingest.base import WAIT_S, CollectorBase, TakenOverError
from ingest.intake import Ticket
from ingest.linger import Linger
from ingest.link import Link
from ingest.mqtt.connection import MESSAGES_MAX, Connection
from ingest.mqtt.control import ConnAck, ConnectSettings, ServerDisconnect, SubAck, Subscription
from ingest.mqtt.spec import Code
from ingest.mqtt.suspects import Suspects
from lifeline.core.errors import UnavailableError
from lifeline.core.limits import PACKET_BYTES_MAX, RECEIVE_BYTES, RECEIVE_MAXIMUM

if TYPE_CHECKING:
    from ingest.mqtt.received import Received


HALF_WINDOW: Final = RECEIVE_MAXIMUM // 2
"""Messages taken at once at QoS 1: while one half of the window is committed the other is decoded, and the first half's
PUBACKs leave before it. With all of it taken at once the broker had nothing to send until everything was durable."""


class Collector(CollectorBase):
    """The native collector: schemes ``mqtt`` and ``mqtts``. Arguments are ``CollectorBase``'s."""

    schemes = frozenset({"mqtt", "mqtts"})

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._connection: Connection | None = None
        self._suspects = Suspects()
        # fresh pages, of which only those are taken that are ever filled; from the heap they may be a start's used ones
        pages = mmap.mmap(-1, RECEIVE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._buffer = np.frombuffer(pages, np.uint8)
        self._filled = 0
        self._leftover = False
        self._linger = Linger(0.0)
        self._taken = 0

    def _unacknowledged(self) -> int:
        return 0 if self._connection is None else self._connection.unacknowledged

    def _session(self) -> None:
        settings = self.settings
        connection = Connection(
            ConnectSettings(
                client_id=settings.client_id,
                version=settings.protocol,
                username=settings.username,
                password=settings.password,
                keepalive_s=settings.keepalive_s,
                session_expiry_s=0 if settings.clean else settings.session_expiry_s,
                receive_maximum=settings.receive_maximum,
                packet_bytes_max=PACKET_BYTES_MAX,
                clean_start=settings.clean,
            ),
            [Subscription(name, qos) for name, qos in settings.filters()],
            self._suspects,
            HALF_WINDOW if any(qos for _, qos in settings.filters()) else MESSAGES_MAX,
        )
        self._connection = connection
        self._filled, self._leftover, self._taken = 0, False, 0
        self._linger = Linger(time.monotonic())
        link = Link(settings, self._bell, self._trust())
        try:
            link.send(connection.connect_bytes(time.monotonic()))
            self._serve(link, connection)
            self._farewell(link, connection)
        finally:
            link.close()

    def _serve(self, link: Link, connection: Connection) -> None:
        """The flow: wait, acknowledge what is durable, read, decode, ping, send. Returns when asked to stop."""
        while not self._finished():
            now = time.monotonic()
            reading = self._intake.room and not self._stopping and now >= self._linger.read_s
            readable = self._wait(link, connection, reading, now)
            looked_s = time.monotonic()  # silence is proven up to here: while we read and decode, nobody listens
            self._settle(connection)
            if readable:
                self._read(link, connection)
            if self._asking is not None and self._state.connected:
                for topic, payload in self._asking.outgoing(self._clock()):
                    connection.publish(topic, payload)
            connection.tick(looked_s, reading)
            link.send(connection.bytes_to_send(time.monotonic()))

    def _wait(self, link: Link, connection: Connection, reading: bool, now: float) -> bool:
        due = [now + WAIT_S]
        if self._linger.read_s > now:
            due.append(self._linger.read_s)
        least, until_s = self._linger.least(now)
        if reading and least > 1:
            due.append(until_s)
        if (deadline := connection.next_deadline()) is not None:
            due.append(deadline)
        if self._stop_by_s is not None:
            due.append(self._stop_by_s)
        if self._leftover:
            least = 1
            if reading:
                due.append(now)
        readable = link.wait(reading, min(due) - now, least)
        return readable or (reading and self._leftover)

    def _settle(self, connection: Connection) -> None:
        """Commits that came in: PUBACKs for this connection's, nothing for an earlier one's.

        Raises:
            UnavailableError: a commit failed. Nothing more is acknowledged here.
        """
        for ticket, error in self._intake.settled():
            if error is not None:
                raise UnavailableError(f"the log refuses, nothing is acknowledged: {error}") from error
            if ticket.owner is connection:
                connection.acknowledge(ticket.token)

    def _read(self, link: Link, connection: Connection) -> None:
        """Take what is there, hand it to the intake; the incomplete rest moves to the buffer's front."""
        began, rows, count = time.monotonic(), 0, 0
        if not self._leftover:
            count = link.receive(self._buffer.data[self._filled :])
            self._filled += count
            self._bytes += count
        received = connection.receive(self._buffer, self._filled, time.monotonic())
        if len(received.messages) or received.refused:
            self._messages += len(received.messages) + len(received.refused)
            ticket = Ticket(connection, received.token)
            rows = self._intake.offer(received.messages, received.refused, self._clock(), ticket)
        taken, self._taken = received.token - self._taken, received.token
        in_flight = connection.unacknowledged
        self._linger.read(began, rows, count, taken=taken, window=connection.window, in_flight=in_flight)
        rest = self._filled - received.consumed
        if received.consumed and rest:
            self._buffer[:rest] = self._buffer[received.consumed : self._filled]
        self._filled, self._leftover = rest, received.more
        self._obey(received)
        if received.error is not None:
            link.send(connection.bytes_to_send(time.monotonic()))
            raise received.error

    def _obey(self, received: Received) -> None:
        for effect in received.effects:
            match effect:
                case ConnAck():
                    self._greeted(effect.code, effect.reason, effect.session_present)
                case SubAck():
                    self._subscribed(effect.codes, effect.reason)
                case ServerDisconnect(code=Code.SESSION_TAKEN_OVER):
                    raise TakenOverError(self.settings.client_id, effect.reason)
                case ServerDisconnect():
                    raise UnavailableError(f"the broker ended the connection: {effect.reason}")

    def _farewell(self, link: Link, connection: Connection) -> None:
        """DISCONNECT, after everything that waits; the session stays at the broker."""
        assert self._stop_by_s is not None
        connection.close()
        done = link.send(connection.bytes_to_send(time.monotonic()))
        while not done and (left_s := self._stop_by_s - time.monotonic()) > 0:
            link.wait(reading=False, timeout_s=left_s)
            done = link.send(b"")
