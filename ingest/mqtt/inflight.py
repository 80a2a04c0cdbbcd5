"""QoS 1 messages between their arrival and our PUBACK: who waits, in which order, and how many may.

    arrival:  ids ──admit──► [ … waiting, in order of arrival … ] ──acknowledge(token)──► PUBACK PUBACK …
                                                             token = how many ever arrived

The receive window counts *distinct* identifiers; why, says ``kernels.window``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.mqtt.kernels import window
from ingest.mqtt.spec import Packet

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PUBACK: Final = np.uint32(Packet.PUBACK << 28 | 2 << 16)


class InFlight:
    """The queue of acknowledgements of one connection."""

    def __init__(self, receive_maximum: int) -> None:
        self.receive_maximum = receive_maximum
        self.taken = 0
        """QoS 1 messages that ever arrived: the token."""
        self._acknowledged = 0
        self._waiting: deque[NDArray[np.uint16]] = deque()
        self._held = np.zeros(1 << 16, np.int32)
        self._distinct = 0

    @property
    def unacknowledged(self) -> int:
        """Messages that wait for their PUBACK."""
        return self.taken - self._acknowledged

    def admit(self, packet_id: NDArray[np.uint16], qos: NDArray[np.uint8]) -> int:
        """Enter rows in order; returns how many fit the window (all of them, unless the server breaks the rule)."""
        admitted, self._distinct = window.admit(packet_id, qos, self._held, self._distinct, self.receive_maximum)
        ids = packet_id[:admitted][qos[:admitted] > 0]
        if len(ids):
            self._waiting.append(ids)
            self.taken += len(ids)
        return int(admitted)

    def acknowledge(self, token: int) -> bytes:
        """PUBACKs for everything up to ``token`` in order of arrival [MQTT-4.6.0-2], each 40 02 id id."""
        if token <= self._acknowledged:
            return b""
        assert token <= self.taken
        ids = self._pop(token - self._acknowledged)
        self._acknowledged = token
        self._distinct = int(window.release(ids, self._held, self._distinct))
        return (ids | _PUBACK).astype(">u4").tobytes()

    def _pop(self, count: int) -> NDArray[np.uint16]:
        parts = []
        if len(self._waiting[0]) == count:
            return self._waiting.popleft()
        while count:
            head = self._waiting.popleft()
            if len(head) > count:
                self._waiting.appendleft(head[count:])
                head = head[:count]
            parts.append(head)
            count -= len(head)
        return np.concatenate(parts)
