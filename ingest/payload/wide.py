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


class Scratch:
    """The kernel's outputs for small batches, kept from call to call: to allocate them takes as long as to decode.

    One thread at a time; what it holds means nothing between two calls.
    """

    def __init__(self) -> None:
        self._outputs: tuple[Any, ...] | None = None

    def outputs(self, capacity: int, messages: int) -> tuple[Any, ...]:
        """Uninitialised, at least so large."""
        if capacity > CAPACITY_MIN or messages > CAPACITY_MIN:
            return outputs(capacity, messages)
        if self._outputs is None:
            self._outputs = outputs(CAPACITY_MIN, CAPACITY_MIN)
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
    space = outputs if scratch is None else scratch.outputs
    parts = []
    slow: list[int] = []
    lengths = messages.payload_len[select]
    most = int(lengths.max(initial=0))
    # one row a message and 64 bytes a row at the usual; the kernel stops before it is full and is called again
    usual = len(select) + int(lengths.sum(dtype=np.int64)) // 48
    capacity = max(CAPACITY_MIN, min(most, bounds.payload_bytes_max) // 5 + 1, usual)
    position = 0
    while position < len(select):
        out = space(capacity, len(select) - position)
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
    looked at before the next batch is decoded. Outputs that are used again at once are copied whole.
    """
    point, ts, value, seq, quality, flags, row_object, message, start, length, values, reason, j_int, j_value = out[:14]
    detail = np.full(objects, -1)
    own = len(point) > CAPACITY_MIN  # ``Scratch``

    def lent(column: NDArray[Any], count: int) -> NDArray[Any]:
        return column[:count] if own else column[:count].copy()

    details: list[str] = []
    if rejects:
        detail[j_int[:rejects, 0]] = np.arange(rejects)
        details = [
            _detail(messages, index, bounds, remedy, int(reason[numbers[0]]), numbers, number)
            for numbers, number in zip(j_int[:rejects].tolist(), j_value[:rejects].tolist(), strict=True)
        ]
    return Part(
        tuple([column[:rows].copy() for column in (point, ts, value, seq, quality, flags)]),
        lent(row_object, rows),
        lent(message, objects),
        lent(start, objects),
        lent(length, objects),
        lent(values, objects),
        lent(reason, objects),
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
