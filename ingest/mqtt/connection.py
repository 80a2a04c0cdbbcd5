"""One subscriber's MQTT connection: everything that has a state lives here.

The caller owns the socket and the clock. It sends what ``bytes_to_send`` returns, hands in what it received, and
calls ``tick`` at ``next_deadline``. Times are seconds of any steady clock. One thread at a time. Where it stands, and
what leads on from there, is a table (``phases``).

Messages before an error are handed over with it: they may be at QoS 0 and come never again.

A kernel takes plain PUBLISH packets (``kernels/frames.py``); one that is not plain goes through ``strict``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ingest.mqtt import control
from ingest.mqtt.inflight import InFlight
from ingest.mqtt.kernels import frames
from ingest.mqtt.liveness import Liveness
from ingest.mqtt.phases import EXPECTED, Phase
from ingest.mqtt.received import Columns, Gathered, Received
from ingest.mqtt.spec import V5, Code, Packet, ProtocolError, malformed, violation
from ingest.mqtt.strict import StrictPath
from ingest.mqtt.suspects import Suspects
from lifeline.core.limits import TOPIC_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ingest.mqtt.control import ConnAck, ConnectSettings, Effect, SubAck, Subscription

MESSAGES_MAX: Final = 1 << 18
"""Messages of one ``receive``: 2^18 of 80 bytes = 20 MiB, more than a receive buffer holds."""

SPECIALS_MAX: Final = 4096
"""Packets for the strict path in one ``receive``; the rest waits for the next call."""

SUBSCRIBE_ID: Final = 1


PARSERS: Final[dict[Packet, Callable[[int, bytes, int], Effect]]] = {
    Packet.CONNACK: control.parse_connack,
    Packet.SUBACK: control.parse_suback,
    Packet.PINGRESP: control.parse_pingresp,
    Packet.DISCONNECT: control.parse_disconnect,
}


class Connection:
    """The machine. ``suspects`` is shared by the connections that follow each other to one broker.

    Args:
        settings: what CONNECT asks for.
        subscriptions: asked for anew on each connection.
        suspects: malformed packets; the caller keeps it, we add to it.
        rows_max: messages of one ``receive`` at most.
    """

    def __init__(
        self,
        settings: ConnectSettings,
        subscriptions: Sequence[Subscription],
        suspects: Suspects | None = None,
        rows_max: int = MESSAGES_MAX,
    ) -> None:
        self.settings = settings
        self.subscriptions = tuple(subscriptions)
        self.phase = Phase.NEW
        self.connack: ConnAck | None = None
        self.suback: SubAck | None = None
        self._columns = Columns(rows_max, SPECIALS_MAX)
        self._strict = StrictPath(settings, Suspects() if suspects is None else suspects, self._columns)
        self._out = bytearray()
        self._skip = 0
        self._inflight = InFlight(settings.receive_maximum if settings.version == V5 else 1 << 16)
        self._liveness = Liveness(float(settings.keepalive_s))

    # --- out -----------------------------------------------------------------------------------------------------

    def connect_bytes(self, now: float) -> bytes:
        """CONNECT: the first bytes of the connection."""
        assert self.phase is Phase.NEW
        self.phase = Phase.CONNECTING
        self._liveness.asked("CONNACK", now)
        return control.build_connect(self.settings)

    def bytes_to_send(self, now: float) -> bytes:
        """Everything that waits to be sent; the caller sends all of it, in order, before what later calls return."""
        if not self._out:
            return b""
        self._liveness.sent(now)
        data = bytes(self._out)
        self._out.clear()
        return data

    def acknowledge(self, token: int) -> int:
        """Queue PUBACKs in arrival order for everything up to ``token`` [MQTT-4.6.0-2]; returns their number."""
        if self.phase is Phase.CLOSED:
            return 0
        pubacks = self._inflight.acknowledge(token)
        self._out += pubacks
        return len(pubacks) // 4

    def publish(self, topic: str, payload: bytes) -> bool:
        """Queue a PUBLISH at QoS 0; False when the server would refuse its size, or does not listen now."""
        if self.phase not in (Phase.SUBSCRIBING, Phase.OPEN) or self.connack is None:
            return False
        packet = control.build_publish(topic, payload, self.settings.version)
        if len(packet) > self.connack.number("maximum_packet_size", len(packet)):
            return False
        self._out += packet
        return True

    @property
    def unacknowledged(self) -> int:
        """QoS 1 messages received and not acknowledged."""
        return self._inflight.unacknowledged

    @property
    def window(self) -> int:
        """So many QoS 1 messages may wait for their PUBACK: the server sends no more before one of them has it."""
        return self._inflight.receive_maximum

    def close(self, code: Code = Code.SUCCESS) -> None:
        """Queue DISCONNECT and end. After an error MQTT 3.1.1 sends nothing: it has no reason codes."""
        if self.phase is Phase.CLOSED:
            return
        if self.phase is not Phase.NEW and (code is Code.SUCCESS or self.settings.version == V5):
            self._out += control.build_disconnect(self.settings.version, code)
        self.phase = Phase.CLOSED

    # --- time ----------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When ``tick`` must be called at the latest; None when nothing is due."""
        return self._liveness.next_deadline() if self._alive else None

    def tick(self, now: float, reading: bool = True) -> None:
        """Queue PINGREQ in time [MQTT-3.1.2-20]; notice a broker that fell silent.

        Args:
            now: seconds.
            reading: False while the caller leaves the socket unread on purpose: then silence proves nothing.

        Raises:
            SilentPeerError: see ``liveness``.
        """
        if not self._alive:
            return
        if self._liveness.tick(now, reading):
            self._out += control.PINGREQ

    @property
    def _alive(self) -> bool:
        phase = self.phase
        return phase is not Phase.NEW and phase is not Phase.CLOSED

    # --- in ------------------------------------------------------------------------------------------------------

    def receive(self, buffer: NDArray[np.uint8], filled: int, now: float) -> Received:
        """Take ``buffer[:filled]`` apart. Never raises for what the peer sent: see ``Received.error``.

        The buffer must have room for one packet of ``packet_bytes_max`` and 70 KiB more (topic and head of an
        oversized one).
        """
        self._liveness.heard(now)
        skipped = min(self._skip, filled)
        self._skip -= skipped
        found = Gathered(skipped)
        if self.phase is not Phase.CLOSED:
            self._walk(buffer, filled, found)
        if found.error is not None:
            self.close(found.error.code)
        if self.phase is Phase.CLOSED:
            found.consumed, found.more = filled, False
        return found.received(self._columns, buffer, self._inflight.taken)

    def _walk(self, buffer: NDArray[np.uint8], filled: int, found: Gathered) -> None:
        columns = self._columns
        at, rows, specials, full = frames.walk(
            buffer,
            found.consumed,
            filled,
            self.settings.version == V5,
            self.settings.packet_bytes_max,
            TOPIC_BYTES_MAX,
            *columns.all(),
        )
        found.consumed, found.rows, found.more = at, rows, full
        first_row = int(columns.special_row[0]) if specials else rows
        if self.phase is Phase.CONNECTING and first_row:
            found.rows = 0
            found.error = violation("PUBLISH before CONNACK [MQTT-3.2.0-1]")
            return
        for i in range(specials):
            try:
                self._special(buffer, filled, i, found)
            except ProtocolError as error:
                found.error = error
                found.rows = int(columns.special_row[i])
            if found.error is not None or self.phase is Phase.CLOSED:
                break
        self._admit(found)

    def _special(self, buffer: NDArray[np.uint8], filled: int, i: int, found: Gathered) -> None:
        """Handle special packet ``i``; raises when it is the connection's last."""
        columns = self._columns
        kind, start, body_at = int(columns.special_kind[i]), int(columns.special_at[i]), int(columns.special_body[i])
        end, row, flags = int(columns.special_end[i]), int(columns.special_row[i]), int(buffer[start]) & 15
        if kind == frames.BAD_LENGTH:
            raise malformed("remaining length is no variable byte integer [MQTT-1.5.5-1]")
        packet = Packet(int(buffer[start]) >> 4)
        following = EXPECTED.get((self.phase, packet))
        if following is None:
            raise violation(f"{packet.name} while {self.phase.value}")
        if kind == frames.OVERSIZED:
            self._skip = self._strict.oversized(buffer, filled, i, found)
            return
        body = buffer[body_at:end].tobytes()
        if kind == frames.PUBLISH:
            self._strict.take(flags, body, body_at, row, found)
            return
        effect = PARSERS[packet](flags, body, self.settings.version)
        self.phase = self._obey(effect, following)
        found.effects.append((row, effect))
        if self.phase is Phase.CLOSED:
            found.rows = row

    def _obey(self, effect: Effect, following: Phase) -> Phase:
        """What a control packet changes; returns the next phase."""
        match effect:
            case control.ConnAck():
                self.connack = effect
                self._liveness.answered()
                if effect.code:
                    return Phase.CLOSED
                if effect.session_present and self.settings.clean_start:
                    raise violation("CONNACK: session present after a clean start [MQTT-3.2.2-2]")
                self._liveness.keepalive_s = float(effect.number("server_keep_alive_s", self.settings.keepalive_s))
                self._subscribe(effect)
            case control.SubAck():
                self._check_suback(effect)
                self.suback = effect
                self._liveness.answered()
            case control.PingResp():
                self._liveness.ping_answered()
            case control.ServerDisconnect():
                pass
        return following

    def _subscribe(self, connack: ConnAck) -> None:
        packet = control.build_subscribe(SUBSCRIBE_ID, self.subscriptions, self.settings.version)
        if len(packet) > connack.number("maximum_packet_size", len(packet)):
            raise violation(f"the server's Maximum Packet Size is too small for SUBSCRIBE ({len(packet)} bytes)")
        self._out += packet
        self._liveness.asked("SUBACK", self._liveness.heard_s, unsent=True)

    def _check_suback(self, suback: SubAck) -> None:
        if suback.packet_id != SUBSCRIBE_ID:
            raise violation(f"SUBACK: packet identifier {suback.packet_id} was not asked [MQTT-3.8.4-2]")
        if len(suback.codes) != len(self.subscriptions):
            asked = len(self.subscriptions)
            raise violation(f"SUBACK: {len(suback.codes)} codes for {asked} filters [MQTT-3.8.4-6]")
        for asked_for, code in zip(self.subscriptions, suback.codes, strict=True):
            if asked_for.qos < code < 0x80:
                raise violation(f"SUBACK: {asked_for.filter} granted at QoS {code}, asked {asked_for.qos} (3.8.4)")

    def _admit(self, found: Gathered) -> None:
        """Enter identifiers into the window and the queue of acknowledgements."""
        columns, rows = self._columns, found.rows
        admitted = self._inflight.admit(columns.packet_id[:rows], columns.qos[:rows])
        if admitted < rows:
            found.rows = admitted
            found.fatal = None
            limit = self._inflight.receive_maximum
            found.error = ProtocolError(
                Code.RECEIVE_MAXIMUM_EXCEEDED, f"more than {limit} messages in flight [MQTT-3.3.4-9]"
            )
