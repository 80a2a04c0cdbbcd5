"""PUBLISH packets that the kernel leaves to us, one at a time: every rule of the standard is looked at.

A packet fills its row of the columns, or its row is refused, or it ends the connection by raising. A malformed packet
ends it once; when the very same comes again it is refused and acknowledged, else it would come for ever (``suspects``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.mqtt.publish import identifier_of, parse_publish
from ingest.mqtt.received import Refused
from ingest.mqtt.spec import V5, Code, Packet, ProtocolError, violation
from lifeline.core.limits import REJECT_PAYLOAD_BYTES, TOPIC_BYTES_MAX
from lifeline.core.schema import Reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ingest.mqtt.control import ConnectSettings
    from ingest.mqtt.received import Columns, Gathered
    from ingest.mqtt.suspects import Suspects


class StrictPath:
    """Of one connection: topic aliases live as long as it does. ``suspects`` outlives it."""

    def __init__(self, settings: ConnectSettings, suspects: Suspects, columns: Columns) -> None:
        self._settings = settings
        self._suspects = suspects
        self._columns = columns
        self._aliases: dict[int, bytes] = {}

    def take(self, flags: int, body: bytes, body_at: int, row: int, found: Gathered) -> None:
        """A packet that is here as a whole: fill its row, or refuse it.

        Raises:
            ProtocolError: it is the connection's last.
        """
        columns = self._columns
        try:
            packet = parse_publish(flags, body, self._settings.version)
        except ProtocolError as error:
            self._suspect(flags, body, row, found, error)
            return
        topic = self._resolve(packet.topic, packet.alias)
        columns.packet_id[row], columns.qos[row], columns.retain[row] = packet.packet_id, packet.qos, packet.retain
        if len(topic) > TOPIC_BYTES_MAX:
            detail = f"topic of {len(topic)} bytes, at most {TOPIC_BYTES_MAX} are taken"
            payload = body[packet.payload_at : packet.payload_at + REJECT_PAYLOAD_BYTES]
            found.refused[row] = Refused(Reason.malformed_packet, detail, topic, payload)
            return
        columns.payload_start[row] = body_at + packet.payload_at
        columns.payload_len[row] = len(body) - packet.payload_at
        if packet.topic:
            columns.topic_start[row], columns.topic_len[row] = body_at + 2, len(packet.topic)
        else:
            found.aliased.append((row, topic))

    def oversized(self, buffer: NDArray[np.uint8], filled: int, i: int, found: Gathered) -> int:
        """Special packet ``i``, larger than we take: its head is refused; so many bytes of it are still to be skipped.

        MQTT 5 promised not to send it; in 3.1.1 its head is kept, the rest is dropped as it comes.

        Raises:
            ProtocolError: it is the connection's last.
        """
        columns = self._columns
        start, body_at, end = int(columns.special_at[i]), int(columns.special_body[i]), int(columns.special_end[i])
        flags, size = int(buffer[start]) & 15, end - start
        found.consumed, found.more = start, False
        if self._settings.version == V5 or int(buffer[start]) >> 4 != Packet.PUBLISH:
            limit = self._settings.packet_bytes_max
            raise ProtocolError(Code.PACKET_TOO_LARGE, f"packet of {size} bytes, at most {limit} [MQTT-3.1.2-24]")
        if filled < body_at + 2:
            return 0
        topic_len = int(buffer[body_at]) << 8 | int(buffer[body_at + 1])
        payload_at = body_at + 2 + topic_len + (2 if flags & 6 else 0)
        head_end = min(payload_at + REJECT_PAYLOAD_BYTES, end)
        if filled < head_end:
            return 0
        head = buffer[body_at:head_end].tobytes()
        row = int(columns.special_row[i])
        try:
            packet = parse_publish(flags, head, self._settings.version)
        except ProtocolError as error:
            self._suspect(flags, head, row, found, error)
        else:
            columns.packet_id[row], columns.qos[row] = packet.packet_id, packet.qos
            detail = f"packet of {size} bytes, at most {self._settings.packet_bytes_max} are taken"
            topic, payload = packet.topic[:TOPIC_BYTES_MAX], head[packet.payload_at :]
            found.refused[row] = Refused(Reason.oversized, detail, topic, payload)
        found.rows += 1
        found.consumed = min(end, filled)
        found.more = end < filled
        return end - found.consumed

    def _resolve(self, topic: bytes, alias: int) -> bytes:
        if alias == 0:
            return topic
        if not 1 <= alias <= self._settings.topic_alias_maximum:
            limit = self._settings.topic_alias_maximum
            raise ProtocolError(Code.TOPIC_ALIAS_INVALID, f"topic alias {max(alias, 0)}, allowed 1 to {limit}")
        if topic:
            self._aliases[alias] = topic
        elif alias not in self._aliases:
            raise violation(f"PUBLISH: topic alias {alias} was never set (MQTT 5, 3.3.2.3.4)")
        return self._aliases[alias]

    def _suspect(self, flags: int, body: bytes, row: int, found: Gathered, error: ProtocolError) -> None:
        """First time: the reject and the error. Again: the reject alone, acknowledged in its turn."""
        identifier = identifier_of(flags, body)
        topic_len = int.from_bytes(body[:2], "big")
        topic = body[2 : 2 + min(topic_len, TOPIC_BYTES_MAX)]
        refused = Refused(Reason.malformed_packet, str(error), topic, body[:REJECT_PAYLOAD_BYTES])
        if identifier and self._suspects.knows(body):
            found.refused[row] = refused
            self._columns.packet_id[row], self._columns.qos[row] = identifier, 1
            return
        found.fatal = refused
        if identifier:
            self._suspects.remember(body)
        raise error
