"""The publisher's own MQTT 3.1.1, nothing of ``ingest``: if they shared code they would bless each other's errors.

A whole tick becomes one buffer of PUBLISH packets:

    single    lifeline/{utility}/{device}         {"id":"G0001234","seq":17,"ts":1795000000123,"ch4":1.25,"temp":18.4}
    gateway   lifeline/{utility}/gw/{gateway}     [ up to ``pack`` such objects of one gateway ]

The few other packets a publisher needs are functions here. No sockets: bytes in, bytes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.kernels.encode import measure, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulators.fleet import Fleet
    from simulators.schedule import Objects, Shape

PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
DUP: Final = 0x08
"""Bit of a PUBLISH packet's first byte that says: sent before (MQTT 3.1.1, 3.3.1.1)."""

CONNECT_REFUSALS: Final = {
    1: "unacceptable protocol version",
    2: "client identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
"""CONNACK return codes (MQTT 3.1.1, 3.2.2.3)."""


def _string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def connect_packet(
    client_id: str, keep_alive_s: int, username: str | None = None, password: str | None = None
) -> bytes:
    """CONNECT, MQTT 3.1.1 (3.1), clean session.

    Raises:
        ValueError: a password without a user name (3.1.2.9 forbids it), or a text of more than 65,535 bytes.
    """
    if password is not None and username is None:
        raise ValueError("a password needs a user name: give both")
    texts = [client_id, *(text for text in (username, password) if text is not None)]
    if max(len(text.encode()) for text in texts) > 65_535:
        raise ValueError("client id, user name and password hold at most 65,535 bytes each")
    flags = 0x02 | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = _string("MQTT") + bytes((4, flags)) + keep_alive_s.to_bytes(2, "big") + b"".join(map(_string, texts))
    length, size = bytearray(), len(body)
    while size >= 128:
        length.append(0x80 | size & 0x7F)
        size >>= 7
    length.append(size)
    return b"\x10" + bytes(length) + body


@dataclass(frozen=True, slots=True)
class Packets:
    """PUBLISH packets in one buffer. Packet i is ``data[at[i]:at[i + 1]]``, of rows ``row[i] .. row[i + 1]``."""

    data: NDArray[np.uint8]
    at: NDArray[np.int64]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of packets."""
        return len(self.at) - 1


class Encoder:
    """Encodes objects of one fleet in one shape and QoS."""

    def __init__(self, fleet: Fleet, shape: Shape, pack: int = 100, qos: int = 1) -> None:
        if qos not in {0, 1}:
            raise ValueError(f"qos must be 0 or 1, not {qos}")
        self._fleet = fleet
        self._pack = pack
        self._qos = qos
        self._is_array = shape == "gateway"
        if self._is_array:
            names = zip(fleet.gateway_utility, fleet.gateways, strict=True)
            topics = [f"lifeline/{utility}/gw/{gateway}" for utility, gateway in names]
        else:
            topics = [f"lifeline/{fleet.utility(i)}/{name}" for i, name in enumerate(fleet.ids)]
        self._topic, self._topic_ptr = _table(topics)
        self._head, self._head_ptr = _table([f'{{"id":"{name}","seq":' for name in fleet.ids])
        self._key, self._key_ptr = _table([f',"{model.quantity}":' for model in fleet.models])
        self._decimals = np.array([model.decimals for model in fleet.models], np.int64)

    def encode(
        self, objects: Objects, ptr: NDArray[np.int64], scaled: NDArray[np.int64], first_number: int = 0
    ) -> Packets:
        """Objects and their scaled values (``World.values``) as packets numbered from ``first_number``."""
        fleet = self._fleet
        sizes = np.empty(len(objects), np.int64)
        common = (
            objects.device,
            objects.ts,
            objects.seq,
            ptr,
            scaled,
            fleet.device_ptr,
            fleet.point_model,
            self._decimals,
        )
        measure(*common, self._head_ptr, self._key_ptr, sizes)
        rows = self._rows(objects)
        owner = fleet.device_gateway if self._is_array else None
        first_devices = objects.device[rows[:-1]]
        topics = first_devices if owner is None else owner[first_devices]
        counts = np.diff(rows)
        sums = np.concatenate([[0], np.cumsum(sizes)])
        remaining = sums[rows[1:]] - sums[rows[:-1]] + np.diff(self._topic_ptr)[topics] + 2 + 2 * self._qos
        if self._is_array:
            remaining += counts + 1  # brackets, and commas between
        header = 2 + (remaining >= 1 << 7) + (remaining >= 1 << 14) + (remaining >= 1 << 21)
        at = np.concatenate([[0], np.cumsum(header + remaining)]).astype(np.int64)
        data = np.empty(int(at[-1]), np.uint8)
        write(
            *common,
            self._head,
            self._head_ptr,
            self._key,
            self._key_ptr,
            rows,
            topics.astype(np.int32),
            remaining,
            at,
            self._topic,
            self._topic_ptr,
            self._is_array,
            self._qos,
            first_number,
            data,
        )
        return Packets(data, at, rows)

    def _rows(self, objects: Objects) -> NDArray[np.int64]:
        """Where packets begin, and the end: each row, or runs of one gateway of at most ``pack``."""
        count = len(objects)
        if not self._is_array or count == 0:
            return np.arange(count + 1, dtype=np.int64)
        gateway = self._fleet.device_gateway[objects.device]
        runs = np.flatnonzero(np.concatenate([[True], gateway[1:] != gateway[:-1]]))
        within = np.arange(count) - np.repeat(runs, np.diff(np.append(runs, count)))
        return np.append(np.flatnonzero(within % self._pack == 0), count).astype(np.int64)


def _table(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Texts as one array of bytes and their offsets."""
    encoded = [text.encode() for text in texts]
    ptr = np.concatenate([[0], np.cumsum([len(text) for text in encoded])]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ptr
