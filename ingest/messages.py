"""What the MQTT side hands to the payload side: PUBLISH packets as columns over one byte buffer.

No bytes are copied: a message is four numbers. The buffer is only valid until the call that got it returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifeline.core.batch import IngestBatch


@dataclass(frozen=True, slots=True)
class Messages:
    """PUBLISH packets in arrival order, one entry a message.

    ``buffer`` uint8 bytes that payload offsets point into; ``topic_buffer`` the same for topics (the same array, unless
    topic aliases had to be resolved); ``*_start`` int64 offsets, ``*_len`` int32 lengths, both
    in bytes; ``retain`` uint8 0/1.
    """

    buffer: NDArray[np.uint8]
    payload_start: NDArray[np.int64]
    payload_len: NDArray[np.int32]
    topic_buffer: NDArray[np.uint8]
    topic_start: NDArray[np.int64]
    topic_len: NDArray[np.int32]
    retain: NDArray[np.uint8]

    def __len__(self) -> int:
        """Number of messages."""
        return len(self.payload_start)

    def topic(self, i: int) -> bytes:
        """Topic of message ``i`` (the slow path's accessor)."""
        start = int(self.topic_start[i])
        return self.topic_buffer[start : start + int(self.topic_len[i])].tobytes()

    def payload(self, i: int) -> bytes:
        """Payload of message ``i`` (the slow path's accessor)."""
        start = int(self.payload_start[i])
        return self.buffer[start : start + int(self.payload_len[i])].tobytes()


class Asking(Protocol):
    """What a decoder has to say besides readings: questions to devices, and a warning for the status.

    ``outgoing`` is called on the collector's thread, ``warning`` on any.
    """

    def outgoing(self, now_ms: int) -> list[tuple[str, bytes]]:
        """(topic, payload) that are due, for QoS 0 without retain; each is given out once."""
        ...

    def warning(self) -> str | None:
        """What people should know; None when all is well."""
        ...


class Decoder(Protocol):
    """Judges every message; never raises for what a peer sent."""

    def decode(self, messages: Messages, received_at: int, broker: str) -> IngestBatch:
        """Readings and rejects of all messages, in message order; owns all its memory (the buffer is reused)."""
        ...
