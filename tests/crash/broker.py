"""A broker by hand that is the publisher too: it alone knows what was sent and acknowledged, and it can misbehave.

One thread. It keeps one client's session as a broker must: at most ``window`` messages in flight; on a new connection
with the session kept, everything unacknowledged again, in order, with DUP set [MQTT-4.4.0-1]. PUBACKs must come in
the order in which the PUBLISH packets were sent on this connection [MQTT-4.6.0-2].

    give(n)        n more messages may be sent (None: without end)
    cut            close the connection now
    acked          messages acknowledged so far
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from contextlib import suppress

from tests.crash.oracle import Ledger, Message
from tests.ingest_mqtt.packets import varint


def publish(message: Message, packet_id: int, *, dup: bool) -> bytes:
    """A PUBLISH at QoS 1 of MQTT 5, without properties."""
    body = (
        len(message.topic).to_bytes(2, "big") + message.topic + packet_id.to_bytes(2, "big") + b"\0" + message.payload
    )
    return bytes([0x3A if dup else 0x32]) + varint(len(body)) + body


class LedgerBroker:
    """Listens on a free port of the loopback until closed."""

    def __init__(self, ledger: Ledger, *, window: int = 200) -> None:
        self.ledger = ledger
        self.window = window
        self.connections = 0
        self.heard: deque[float] = deque(maxlen=10_000)
        """When anything came from the client, by ``time.monotonic``."""
        self.pings = 0
        self.disconnect: bytes | None = None
        """The last DISCONNECT packet that the client sent."""
        self._allowed: float = float("inf")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._bell, self._ring = socket.socketpair()
        self._peer: socket.socket | None = None
        self._in, self._out = bytearray(), bytearray()
        self._session = self._open = False
        self._flight: deque[tuple[int, Message]] = deque()
        self._next_id = 0
        self._cut = self._closing = False
        self._deaf = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-broker", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def acked(self) -> int:
        return self.ledger.messages_acked

    @property
    def connected(self) -> bool:
        """A client is subscribed now."""
        return self._open

    @property
    def in_flight(self) -> int:
        return len(self._flight)

    @property
    def idle(self) -> bool:
        """Everything allowed was sent and acknowledged."""
        return self._allowed <= 0 and not self._flight

    def give(self, messages: int | None) -> None:
        """Allow that many more messages, None: as many as the client takes."""
        self._allowed = float("inf") if messages is None else messages
        self._wake()

    def cut(self) -> None:
        """Close the connection as a dying network does."""
        self._cut = True
        self._wake()

    def unplug(self) -> None:
        """From this instant on nothing that the client sends is heard, until ``plug``."""
        self._deaf = True

    def plug(self) -> None:
        """Listen again, to a new connection."""
        self._cut = True
        self._wake()
        deadline = time.monotonic() + 10
        while self._cut:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        self._deaf = False

    def close(self) -> None:
        """End; a failure inside the thread is raised here."""
        self._closing = True
        self._wake()
        self._thread.join(10)
        for part in (self._listener, self._bell, self._ring):
            part.close()
        if self.failure is not None:
            raise self.failure

    def _wake(self) -> None:
        with suppress(OSError):
            self._ring.send(b"!")

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                self._turn()
        except BaseException as error:  # noqa: BLE001 - shown by close, in the test's own thread
            self.failure = error
        self._drop()

    def _turn(self) -> None:
        if self._open:
            self._fill()
        reading = [self._listener, self._bell, *([self._peer] if self._peer else [])]
        writing = [self._peer] if self._peer and self._out else []
        ready, free, _ = select.select(reading, writing, [], 0.2)
        if self._bell in ready:
            self._bell.recv(4096)
        if self._cut:
            self._drop()
            self._cut = False
            return
        if self._listener in ready:
            self._drop()  # one client: the newer connection takes the session over
            self._peer, _ = self._listener.accept()
            self._peer.settimeout(0.0)
            self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return
        try:
            if self._peer in ready and self._peer is not None:
                data = self._peer.recv(1 << 16)
                if not data:
                    self._drop()
                    return
                self.heard.append(time.monotonic())
                self._in += data
                self._parse()
            if free and self._peer is not None and self._out:
                del self._out[: self._peer.send(self._out[: 1 << 16])]
        except OSError:
            self._drop()

    def _drop(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer, self._open = None, False
        self._in.clear()
        self._out.clear()

    def _fill(self) -> None:
        while len(self._flight) < self.window and len(self._out) < 1 << 16 and self._allowed > 0:
            self._allowed -= 1
            self._next_id = self._next_id % 65_535 + 1
            message = self.ledger.next_message(time.time_ns() // 1_000_000)
            self._flight.append((self._next_id, message))
            self._out += publish(message, self._next_id, dup=False)

    def _parse(self) -> None:
        while len(self._in) >= 2:
            length, at, shift = 0, 1, 0
            while True:
                if at >= len(self._in):
                    return
                byte = self._in[at]
                length |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    break
            if len(self._in) < at + length:
                return
            kind, body = self._in[0] >> 4, bytes(self._in[at : at + length])
            whole = bytes(self._in[: at + length])
            del self._in[: at + length]
            self._obey(kind, body, whole)

    def _obey(self, kind: int, body: bytes, whole: bytes) -> None:
        if self._deaf:
            return
        if kind == 1:
            self._out += bytes([0x20, 3, self._session, 0, 0])
        elif kind == 8:
            self._out += bytes([0x90, 4]) + body[:2] + b"\0\1"
            self.connections += 1
            self._session = self._open = True
            for packet_id, message in self._flight:
                self._out += publish(message, packet_id, dup=True)
        elif kind == 4:
            self._acknowledged(int.from_bytes(body[:2], "big"))
        elif kind == 12:
            self.pings += 1
            self._out += b"\xd0\0"
        elif kind == 14:
            self.disconnect = whole
        else:
            raise AssertionError(f"the client sent {whole.hex(' ')}")

    def _acknowledged(self, packet_id: int) -> None:
        expected, message = self._flight[0] if self._flight else (0, None)
        if packet_id != expected or message is None:
            self.ledger.disorder += 1
            found = next((entry for entry in self._flight if entry[0] == packet_id), None)
            if found is None:
                return
            self._flight.remove(found)
            self.ledger.acknowledge(found[1])
            return
        self._flight.popleft()
        self.ledger.acknowledge(message)
