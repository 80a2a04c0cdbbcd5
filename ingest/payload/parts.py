"""What a decoder makes of messages, as columns: accepted rows, and every object with its place and fate.

Kernel and slow path both give a ``Part``; parts of one batch are merged into message order, and the objects that did
not make it become the rejects table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ingest.payload.index import frozen
from ingest.payload.kernels.gather import gather
from lifeline.core import limits
from lifeline.core.batch import Readings
from lifeline.core.schema import REASONS, REJECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ingest.messages import Messages
    from ingest.payload.faults import Fault
    from ingest.payload.judge import Row

_REASONS = pa.array(REASONS)
KEPT = -1
"""``reason`` of an object that was accepted."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows and objects in message order.

    Rows: ``columns`` are point, ts, value, seq, quality, flags (types of ``Readings``), ``row_object`` int64 the row's
    object, ascending. Objects: ``message`` int64, ascending; ``start``, ``length`` int64 bytes in the messages' buffer;
    ``values`` int32; ``reason`` int8, ``KEPT`` or a ``Reason``; ``detail`` int64 index into ``details``, -1 for none.
    """

    columns: tuple[NDArray[Any], ...]
    row_object: NDArray[np.int64]
    message: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    values: NDArray[np.int32]
    reason: NDArray[np.int8]
    detail: NDArray[np.int64]
    details: list[str]

    def readings(self, received_at: int) -> Readings:
        """The rows as a batch received at one time."""
        point, ts, value, seq, quality, flags = self.columns
        return Readings(point, ts, np.full(len(point), received_at, np.int64), value, seq, quality, flags)


def merge(parts: Sequence[Part]) -> Part:
    """One part of all, in message order; within a message in the order of the parts."""
    if len(parts) == 1:
        return parts[0]
    objects = np.cumsum([0] + [len(part.message) for part in parts])
    texts = np.cumsum([0] + [len(part.details) for part in parts])
    message = np.concatenate([part.message for part in parts])
    row_object = np.concatenate([part.row_object + o for part, o in zip(parts, objects, strict=False)])
    detail = np.concatenate(
        [np.where(part.detail < 0, -1, part.detail + t) for part, t in zip(parts, texts, strict=False)]
    )
    order = np.argsort(message, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    row_object = rank[row_object]
    rows = np.argsort(row_object, kind="stable")

    def gathered(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    return Part(
        tuple(np.concatenate(column)[rows] for column in zip(*(part.columns for part in parts), strict=True)),
        row_object[rows],
        message[order],
        gathered("start"),
        gathered("length"),
        gathered("values"),
        gathered("reason"),
        detail[order],
        [text for part in parts for text in part.details],
    )


@dataclass(slots=True)
class Sheet:
    """Collects the slow path's judgements, object by object in message order, into a ``Part``."""

    rows: list[Row] = field(default_factory=list)
    row_object: list[int] = field(default_factory=list)
    objects: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def keep(self, message: int, start: int, length: int, rows: list[Row]) -> None:
        """An accepted object; ``start`` and ``length`` in the messages' buffer."""
        self.row_object += [len(self.objects)] * len(rows)
        self.rows += rows
        self.objects.append((message, start, length, len(rows), KEPT, -1))

    def reject(self, message: int, start: int, length: int, fault: Fault) -> None:
        """A rejected object or message."""
        self.objects.append((message, start, length, fault.values, int(fault.reason), len(self.details)))
        self.details.append(fault.detail)

    def part(self) -> Part:
        """The columns."""
        types = (np.int32, np.int64, np.float64, np.uint32, np.uint8, np.uint8)
        names = ("point", "ts", "value", "seq", "quality", "flags")
        message, start, length, values, reason, detail = np.array(self.objects, np.int64).reshape(-1, 6).T.copy()
        return Part(
            tuple(np.array([getattr(r, n) for r in self.rows], t) for n, t in zip(names, types, strict=True)),
            np.array(self.row_object, np.int64),
            message,
            start,
            length,
            values.astype(np.int32),
            reason.astype(np.int8),
            detail,
            self.details,
        )


def rejects(part: Part, messages: Messages, received_at: int, broker: str) -> pa.RecordBatch | None:
    """The rejected objects in the ``REJECTS`` schema, None when there are none. Copies all it needs."""
    if part.reason.max(initial=KEPT) == KEPT:
        return None
    chosen = np.flatnonzero(part.reason != KEPT)
    message = part.message[chosen]
    payload = _binary(messages.buffer, part.start[chosen], np.minimum(part.length[chosen], limits.REJECT_PAYLOAD_BYTES))
    cut = np.minimum(messages.topic_len[message].astype(np.int64), limits.TOPIC_BYTES_MAX)
    topic = _text(_binary(messages.topic_buffer, messages.topic_start[message], cut))
    count = len(chosen)
    columns = [
        _numbers(np.full(count, received_at, np.int64), REJECTS.field("received_at").type),
        pa.repeat(pa.scalar(broker), count),
        topic,
        payload,
        _REASONS.take(_numbers(part.reason[chosen], pa.int8())),
        pa.array(part.details, pa.string()).take(_numbers(part.detail[chosen], pa.int64())),
        _numbers(part.values[chosen], pa.int32()),
    ]
    return pa.record_batch(columns, schema=REJECTS)


def _numbers(array: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """A column over the array's own memory (``pa.array`` looks for pandas at each call, which takes 10 us)."""
    return pa.Array.from_buffers(kind, len(array), [None, pa.py_buffer(np.ascontiguousarray(array))])


def _binary(buffer: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int64]) -> pa.BinaryArray:
    """Slices as an Arrow binary array. At most 4 KiB each and from one receive buffer: far under 2 GiB."""
    offsets = np.empty(len(start) + 1, np.int32)
    data = gather(frozen(buffer), frozen(start), frozen(length), offsets)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(start), buffers)


def _text(binary: pa.BinaryArray) -> pa.StringArray:
    """The same as strings; bytes that are no UTF-8 become U+FFFD."""
    try:
        return binary.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([value.decode("utf-8", "replace") for value in binary.to_pylist()], pa.string())
