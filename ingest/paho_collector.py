"""The same collector over paho-mqtt: for WebSocket URLs, and as the baseline that the native one is measured against.

Same promises as ``ingest.collector``, at many times the CPU a message. paho owns sockets, frames and keep-alive in
its loop calls; all of them run on one thread here. What paho leaves to its user is done here: acknowledgements
wait for the commit and leave in the order of arrival (paho's ``ack`` orders nothing), and the socket is not read
while too much is uncommitted.

Weaker than the native one: in MQTT 3.1.1 paho allocates whatever length a broker announces before we can refuse it;
ill-formed packets are judged by paho; while the log is stuck for longer than a keep-alive, paho takes the unread
PINGRESP for a dead link and the connection begins anew.
"""

from __future__ import annotations

import select
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.base import WAIT_S, CollectorBase, TakenOverError
from ingest.intake import Ticket
from ingest.link import CONNECT_TIMEOUT_S, ClosedByBrokerError
from ingest.messages import Messages
from ingest.mqtt.liveness import REPLY_TIMEOUT_S, SilentPeerError
from ingest.mqtt.received import Refused
from ingest.mqtt.spec import V5, Code, malformed
from lifeline.core.errors import PeerError, UnavailableError
from lifeline.core.limits import PACKET_BYTES_MAX, REJECT_PAYLOAD_BYTES, TOPIC_BYTES_MAX
from lifeline.core.schema import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_MESSAGES_MAX: Final = 4096
"""Messages taken in one go before they are decoded together."""


class PahoCollector(CollectorBase):
    """Schemes ``mqtt``, ``mqtts``, ``ws`` and ``wss``. Arguments are ``CollectorBase``'s."""

    schemes = frozenset({"mqtt", "mqtts", "ws", "wss"})

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._pending: list[paho.MQTTMessage] = []
        self._waiting: deque[int] = deque()
        self._taken = self._acknowledged = 0
        self._problem: Exception | None = None
        self._answer_due_s: float | None = None

    def _unacknowledged(self) -> int:
        return len(self._waiting)

    # --- one connection ------------------------------------------------------------------------------------------

    def _session(self) -> None:
        self._pending.clear()
        self._waiting.clear()
        self._taken = self._acknowledged = 0
        self._problem = None
        self._answer_due_s = time.monotonic() + REPLY_TIMEOUT_S
        client = self._client()
        try:
            self._connect(client)
            self._serve(client)
            client.disconnect()
            self._flush(client)
        finally:
            self._drop(client)

    def _client(self) -> paho.Client:
        settings = self.settings
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            protocol=paho.MQTTv5 if settings.protocol == V5 else paho.MQTTv311,
            clean_session=None if settings.protocol == V5 else settings.clean,
            transport="websockets" if settings.scheme in {"ws", "wss"} else "tcp",
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if client.transport == "websockets":
            client.ws_set_options(path=settings.path)
        trust = self._trust()
        if trust is not None:
            client.tls_set_context(trust)
        if settings.username is not None or settings.password is not None:
            client.username_pw_set(settings.username, settings.password)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _connect(self, client: paho.Client) -> None:
        settings = self.settings
        options: dict[str, Any] = {}
        if settings.protocol == V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0 if settings.clean else settings.session_expiry_s
            properties.ReceiveMaximum = settings.receive_maximum
            properties.MaximumPacketSize = PACKET_BYTES_MAX
            options = {"clean_start": settings.clean, "properties": properties}
        try:
            client.connect(settings.host, settings.port, settings.keepalive_s, **options)
        except (OSError, ValueError, paho.WebsocketConnectionError) as error:
            raise UnavailableError(f"{settings.host}:{settings.port}: {error}") from error

    def _serve(self, client: paho.Client) -> None:
        """The flow: wait, acknowledge what is durable, read, decode, ping."""
        while not self._finished():
            reading = self._intake.room and not self._stopping
            readable = self._wait(client, reading)
            self._settle(client)
            if readable:
                self._read(client)
            if self._asking is not None and self._state.connected:
                for topic, payload in self._asking.outgoing(self._clock()):
                    client.publish(topic, payload, qos=0)
            if client.want_write():
                client.loop_write()
            client.loop_misc()
            self._check(client)

    def _wait(self, client: paho.Client, reading: bool) -> bool:
        sock: Any = client.socket()
        if sock is None:
            raise self._problem or ClosedByBrokerError()
        timeout_s = WAIT_S
        if reading and hasattr(sock, "pending") and sock.pending():
            timeout_s = 0.0
        if self._stop_by_s is not None:
            timeout_s = min(timeout_s, max(0.0, self._stop_by_s - time.monotonic()))
        poll = select.poll()
        poll.register(self._bell.fd, select.POLLIN)
        events = (select.POLLIN if reading else 0) | (select.POLLOUT if client.want_write() else 0)
        if events:
            poll.register(sock.fileno(), events)
        ready = poll.poll(timeout_s * 1000)
        self._bell.quiet()
        readable = any(fd != self._bell.fd and found & ~select.POLLOUT for fd, found in ready)
        return reading and (readable or timeout_s == 0.0)

    def _settle(self, client: paho.Client) -> None:
        for ticket, error in self._intake.settled():
            if error is not None:
                raise UnavailableError(f"the log refuses, nothing is acknowledged: {error}") from error
            if ticket.owner is client:
                for _ in range(ticket.token - self._acknowledged):
                    client.ack(self._waiting.popleft(), 1)
                self._acknowledged = max(self._acknowledged, ticket.token)

    def _read(self, client: paho.Client) -> None:
        """Paho reads packet by packet; go on while each call brings a message."""
        while len(self._pending) < READ_MESSAGES_MAX:
            before = len(self._pending)
            client.loop_read()
            if len(self._pending) == before:
                break
        if self._pending:
            self._offer(client)

    def _offer(self, client: paho.Client) -> None:
        good, refused = [], []
        for message in self._pending:
            refusal = _judge(message)
            if refusal is None:
                good.append(message)
            else:
                refused.append(refusal)
            if message.qos:
                self._waiting.append(message.mid)
                self._taken += 1
            self._bytes += len(message.payload)
        self._messages += len(self._pending)
        if self._answer_due_s is not None:  # a broker that first delivers what it kept for us is not silent
            self._answer_due_s = time.monotonic() + REPLY_TIMEOUT_S
        self._pending.clear()
        self._intake.offer(columns(good), refused, self._clock(), Ticket(client, self._taken))

    def _check(self, client: paho.Client) -> None:
        if self._problem is not None:
            raise self._problem
        if not client.is_connected() and client.socket() is None:
            raise ClosedByBrokerError
        if self._answer_due_s is not None and time.monotonic() >= self._answer_due_s:
            raise SilentPeerError(f"no CONNACK or SUBACK within {REPLY_TIMEOUT_S:g} s")

    def _flush(self, client: paho.Client) -> None:
        assert self._stop_by_s is not None
        while client.want_write() and time.monotonic() < self._stop_by_s:
            client.loop_write()

    def _drop(self, client: paho.Client) -> None:
        """Close the socket at once, without DISCONNECT; paho offers no public way."""
        client.on_disconnect = None
        sock: Any = client.socket()
        if sock is not None:
            client._sock_close()  # noqa: SLF001

    # --- paho's callbacks: on our thread, inside loop_read; errors wait for _check ----------------------------------

    def _on_connect(self, client: paho.Client, _data: object, flags: Any, reason: Any, _properties: object) -> None:
        try:
            self._greeted(0 if not reason.is_failure else 1, str(reason), bool(flags.session_present))
        except PeerError as error:
            self._problem = error
            return
        self._answer_due_s = time.monotonic() + REPLY_TIMEOUT_S
        client.subscribe(self.settings.filters())

    def _on_subscribe(
        self, _client: object, _data: object, _mid: int, codes: Sequence[Any], _properties: object
    ) -> None:
        self._answer_due_s = None
        try:
            self._subscribed([code.value for code in codes])
        except PeerError as error:
            self._problem = error

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.qos == 2:
            self._problem = malformed("PUBLISH: QoS 2, but we subscribe at QoS 1 at most")
            return
        self._pending.append(message)

    def _on_disconnect(self, _client: object, _data: object, flags: Any, reason: Any, _properties: object) -> None:
        if self._problem is not None or self._stopping:
            return
        if flags.is_disconnect_packet_from_server and reason.value == Code.SESSION_TAKEN_OVER:
            self._problem = TakenOverError(self.settings.client_id, str(reason))
        else:
            by_server = flags.is_disconnect_packet_from_server
            self._problem = UnavailableError(f"the broker ended it: {reason}") if by_server else ClosedByBrokerError()


def _judge(message: paho.MQTTMessage) -> Refused | None:
    """A message that cannot go to the decoder."""
    payload = bytes(message.payload)
    try:
        topic = message.topic.encode()
    except UnicodeDecodeError as error:
        return Refused(
            Reason.malformed_packet, f"topic is not UTF-8: {error}", error.object, payload[:REJECT_PAYLOAD_BYTES]
        )
    if len(topic) > TOPIC_BYTES_MAX:
        detail = f"topic of {len(topic)} bytes, at most {TOPIC_BYTES_MAX} are taken"
        return Refused(Reason.malformed_packet, detail, topic, payload[:REJECT_PAYLOAD_BYTES])
    size = len(payload) + len(topic) + 9
    if size > PACKET_BYTES_MAX:
        detail = f"packet of {size} bytes, at most {PACKET_BYTES_MAX} are taken"
        return Refused(Reason.oversized, detail, topic, payload[:REJECT_PAYLOAD_BYTES])
    return None


def columns(messages: Sequence[paho.MQTTMessage]) -> Messages:
    """Paho's message objects as columns over a buffer of their own."""
    parts: list[bytes] = []
    lengths = np.empty(2 * len(messages), np.int32)
    for i, message in enumerate(messages):
        topic = message.topic.encode()
        parts += (topic, bytes(message.payload))
        lengths[2 * i], lengths[2 * i + 1] = len(topic), len(message.payload)
    buffer = np.frombuffer(b"".join(parts) or b"\0", np.uint8)
    starts = np.zeros(len(lengths), np.int64)
    np.cumsum(lengths[:-1], out=starts[1:])
    return Messages(
        buffer=buffer,
        payload_start=starts[1::2].copy(),
        payload_len=lengths[1::2].copy(),
        topic_buffer=buffer,
        topic_start=starts[::2].copy(),
        topic_len=lengths[::2].copy(),
        retain=np.fromiter((m.retain for m in messages), np.uint8, len(messages)),
    )
