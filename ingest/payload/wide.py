"""The native payload, whole batches: runs the kernel over columns and the slow path over what the kernel left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.payload import faults, native
from ingest.payload.faults import Fault
from ingest.payload.index import frozen
from ingest.payload.judge import judge
from ingest.payload.kernels.native import decode_native, outputs
from ingest.payload.parts import Part, Sheet, merge
from lifeline.core.schema import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ingest.messages import Messages
    from ingest.payload.index import PointIndex
    from ingest.payload.judge import Bounds

CAPACITY_MIN = 4096
KEPT_MAX = 1 << 17
"""Rows that kept outputs are made for at most: 16 MiB, of which what was written to is resident."""


_NO_DETAIL = np.int64(-1)


def _room(wanted: int, kept: int) -> int:
    """A power of two that holds as much, so that outputs seldom grow."""
    return max(CAPACITY_MIN, 1 << (wanted - 1).bit_length(), kept)


class Scratch:
    """The kernel's outputs, kept from call to call.

    To allocate small ones takes as long as to decode, and of large ones each page would be made anew. One thread at a
    time. A part that was decoded with it lends its objects from it, until the next call.
    """

    def __init__(self) -> None:
        self._outputs: tuple[Any, ...] | None = None
        self._sizes = (0, 0, 0)

    def outputs(self, capacity: int, messages: int, largest: int) -> tuple[Any, ...]:
        """Uninitialised, at least so large."""
        if max(capacity, messages, largest) > KEPT_MAX:
            return outputs(capacity, messages, largest)
        kept = self._sizes
        if self._outputs is None or capacity > kept[0] or messages > kept[1] or largest > kept[2]:
            self._sizes = (_room(capacity, kept[0]), _room(messages, kept[1]), _room(largest, kept[2]))
            self._outputs = outputs(*self._sizes)
        return self._outputs


def decode(
    messages: Messages,
    select: NDArray[np.int64],
    index: PointIndex,
    bounds: Bounds,
    remedy: str,
    scratch: Scratch | None = None,
) -> Part:
    """Decode the native messages ``select`` (int64, ascending); ``remedy`` goes into details of unknown names."""
    parts = []
    slow: list[int] = []
    lengths = messages.payload_len[select]
    most = int(lengths.max(initial=0))
    # one row a message and 64 bytes a row at the usual; the kernel stops before it is full and is called again
    usual = len(select) + int(lengths.sum(dtype=np.int64)) // 48
    largest = min(most, bounds.payload_bytes_max) // 5 + 1
    capacity = max(CAPACITY_MIN, largest, usual)
    position = 0
    while position < len(select):
        sizes = (capacity, len(select) - position, largest)
        out = outputs(*sizes) if scratch is None or position else scratch.outputs(*sizes)
        position, rows, objects, rejects, left = decode_native(
            frozen(messages.buffer),
            frozen(messages.payload_start),
            frozen(messages.payload_len),
            frozen(messages.retain),
            frozen(select),
            position,
            bounds.received_at,
            bounds.ts_min,
            bounds.ts_max,
            bounds.payload_bytes_max,
            bounds.objects_max,
            *index.devices,
            *index.quantities,
            index.rows_int,
            index.rows_real,
            *out,
        )
        parts.append(_part(messages, index, bounds, remedy, out, rows, objects, rejects))
        slow += out[-1][:left].tolist()
    if slow:
        parts.append(decode_slowly(messages, sorted(slow), index, bounds, remedy))
    return merge(parts) if parts else Sheet().part()


def decode_slowly(messages: Messages, select: Iterable[int], index: PointIndex, bounds: Bounds, remedy: str) -> Part:
    """The same in Python, message by message."""
    sheet = Sheet()
    for message in select:
        start = int(messages.payload_start[message])
        size = int(messages.payload_len[message])
        # an oversized payload is not even copied: its length says enough
        payload = messages.payload(message) if size <= bounds.payload_bytes_max else b""
        found = native.parse(payload, bounds) if payload or not size else [native.oversized(size, bounds)]
        for item in found:
            at = start + item.start
            length = size - item.start if item.length is None else item.length
            if not isinstance(item, Fault):
                verdict = judge(item, index, bounds, remedy, retained=bool(messages.retain[message]))
                if not isinstance(verdict, Fault):
                    sheet.keep(message, at, length, verdict)
                    continue
                item = verdict  # noqa: PLW2901  # the object has become its fault
            sheet.reject(message, at, length, item)
    return sheet.part()


def _part(
    messages: Messages,
    index: PointIndex,
    bounds: Bounds,
    remedy: str,
    out: tuple[Any, ...],
    rows: int,
    objects: int,
    rejects: int,
) -> Part:
    """The used beginnings of the kernel's outputs, with words for the rejects.

    What becomes readings is copied, as outputs are larger than what is in them and readings are kept; the rest is
    looked at before the next batch is decoded.
    """
    point, ts, value, seq, quality, flags, row_object, message, start, length, values, reason, j_int, j_value = out[:14]
    detail = np.broadcast_to(_NO_DETAIL, objects)
    details: list[str] = []
    if rejects:
        detail = detail.copy()
        detail[j_int[:rejects, 0]] = np.arange(rejects)
        details = [
            _detail(messages, index, bounds, remedy, int(reason[numbers[0]]), numbers, number)
            for numbers, number in zip(j_int[:rejects].tolist(), j_value[:rejects].tolist(), strict=True)
        ]
    return Part(
        tuple([column[:rows].copy() for column in (point, ts, value, seq, quality, flags)]),
        row_object[:rows],
        message[:objects],
        start[:objects],
        length[:objects],
        values[:objects],
        reason[:objects],
        detail,
        details,
    )


def _detail(
    messages: Messages,
    index: PointIndex,
    bounds: Bounds,
    remedy: str,
    reason: int,
    numbers: list[int],
    value: float,
) -> str:
    """Words for one object that the kernel rejected: as ``judge`` says them."""
    _, id_start, id_length, key_start, key_length, ts, row = numbers
    if reason == Reason.future_timestamp:
        return faults.future_timestamp(ts, bounds.ts_max)
    if reason == Reason.too_old:
        return faults.too_old(ts, bounds.ts_min)
    quantity = messages.buffer[key_start : key_start + key_length].tobytes().decode()
    if reason == Reason.out_of_span:
        return faults.out_of_span(quantity, value, index.span(row))
    device = messages.buffer[id_start : id_start + id_length].tobytes().decode()
    if reason == Reason.unknown_quantity:
        return faults.unknown_quantity(device, quantity, remedy)
    return faults.unknown_device(device, remedy)
