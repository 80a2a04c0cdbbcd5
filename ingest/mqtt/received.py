"""What one call of ``Connection.receive`` gives, and the columns it is gathered in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.messages import Messages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.mqtt.control import Effect
    from ingest.mqtt.spec import ProtocolError
    from lifeline.core.schema import Reason


@dataclass(frozen=True, slots=True)
class Refused:
    """A PUBLISH that never reaches the decoder; acknowledged in its turn like any other."""

    reason: Reason
    detail: str
    topic: bytes
    payload: bytes
    """The first ``REJECT_PAYLOAD_BYTES``."""


@dataclass(frozen=True, slots=True)
class Received:
    """What one call of ``receive`` found."""

    messages: Messages
    """Columns over the caller's buffer: valid until the caller changes it or calls ``receive`` again."""
    refused: tuple[Refused, ...]
    token: int
    """Give it to ``acknowledge`` once everything of this call is durable."""
    effects: tuple[Effect, ...]
    consumed: int
    """Bytes at the buffer's front that are done with; the caller moves the rest to the front."""
    more: bool
    """Call again before reading more: a column was full."""
    error: ProtocolError | None
    """The connection is closed: send what ``bytes_to_send`` still returns, then close the socket."""


class Columns:
    """The kernel's output, allocated once."""

    def __init__(self, rows: int, specials: int) -> None:
        self.topic_start = np.zeros(rows, np.int64)
        self.topic_len = np.zeros(rows, np.int32)
        self.payload_start = np.zeros(rows, np.int64)
        self.payload_len = np.zeros(rows, np.int32)
        self.packet_id = np.zeros(rows, np.uint16)
        self.qos = np.zeros(rows, np.uint8)
        self.retain = np.zeros(rows, np.uint8)
        self.special_kind = np.zeros(specials, np.uint8)
        self.special_at = np.zeros(specials, np.int64)
        self.special_body = np.zeros(specials, np.int64)
        self.special_end = np.zeros(specials, np.int64)
        self.special_row = np.zeros(specials, np.int64)

    def all(self) -> tuple[NDArray[np.generic], ...]:
        """In the order of the kernel's arguments."""
        rows = (self.topic_start, self.topic_len, self.payload_start, self.payload_len)
        rest = (self.packet_id, self.qos, self.retain, self.special_kind, self.special_at)
        return (*rows, *rest, self.special_body, self.special_end, self.special_row)


class Gathered:
    """What one ``receive`` gathers besides the columns."""

    def __init__(self, at: int) -> None:
        self.consumed = at
        self.rows = 0
        self.more = False
        self.refused: dict[int, Refused] = {}
        """By row."""
        self.fatal: Refused | None = None
        """The packet that ``error`` is about, if it was a PUBLISH."""
        self.aliased: list[tuple[int, bytes]] = []
        self.effects: list[tuple[int, Effect]] = []
        """With the number of rows before each."""
        self.error: ProtocolError | None = None

    def received(self, columns: Columns, buffer: NDArray[np.uint8], token: int) -> Received:
        """All of it as columns over ``buffer``: rows that are refused are told apart from messages."""
        topics = self._topics(columns, buffer)
        refused = {row: item for row, item in self.refused.items() if row < self.rows}
        rows: slice | NDArray[np.intp] = slice(self.rows)
        if refused:
            rows = np.delete(np.arange(self.rows), list(refused))
        payloads = columns.payload_start[rows], columns.payload_len[rows]
        messages = Messages(
            buffer, *payloads, topics, columns.topic_start[rows], columns.topic_len[rows], columns.retain[rows]
        )
        fatal = () if self.fatal is None else (self.fatal,)
        return Received(
            messages=messages,
            refused=(*refused.values(), *fatal),
            token=token,
            effects=tuple(effect for row, effect in self.effects if row <= self.rows),
            consumed=self.consumed,
            more=self.more,
            error=self.error,
        )

    def _topics(self, columns: Columns, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The buffer itself, or a copy with the topics behind aliases appended."""
        if not self.aliased:
            return buffer
        at = self.consumed
        aliased = [(row, topic) for row, topic in self.aliased if row < self.rows]
        for row, topic in aliased:
            columns.topic_start[row], columns.topic_len[row] = at, len(topic)
            at += len(topic)
        tail = np.frombuffer(b"".join(topic for _, topic in aliased), np.uint8)
        return np.concatenate((buffer[: self.consumed], tail))
