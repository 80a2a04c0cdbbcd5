"""Where a connection stands, and which packets of the server lead on from there.

    NEW ──connect──► CONNECTING ──CONNACK 0──► SUBSCRIBING ──SUBACK──► OPEN
                         │ CONNACK refused           │ DISCONNECT        │ DISCONNECT, close()
                         └──────────────► CLOSED ◄───┴───────────────────┘      (any protocol error: CLOSED)

``EXPECTED`` is that picture as a table; a packet that it does not name is a protocol error. PUBLISH is legal while
SUBSCRIBING: a session that survived resumes at once.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from ingest.mqtt.spec import Packet


class Phase(Enum):
    """Where the connection stands."""

    NEW = "new"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    OPEN = "open"
    CLOSED = "closed"


EXPECTED: Final[dict[tuple[Phase, Packet], Phase]] = {
    (Phase.CONNECTING, Packet.CONNACK): Phase.SUBSCRIBING,
    (Phase.SUBSCRIBING, Packet.PUBLISH): Phase.SUBSCRIBING,
    (Phase.SUBSCRIBING, Packet.SUBACK): Phase.OPEN,
    (Phase.SUBSCRIBING, Packet.PINGRESP): Phase.SUBSCRIBING,
    (Phase.SUBSCRIBING, Packet.DISCONNECT): Phase.CLOSED,
    (Phase.OPEN, Packet.PUBLISH): Phase.OPEN,
    (Phase.OPEN, Packet.PINGRESP): Phase.OPEN,
    (Phase.OPEN, Packet.DISCONNECT): Phase.CLOSED,
}
"""(phase, packet from the server) → next phase; what is missing is a protocol error (0x82)."""
