"""Readings as an encapsulated Arrow IPC message, and back: what ``pyarrow`` writes and reads, to the byte.

    message   ┌──────────────────────────┬───────┬───┬────┬───┬─ ─
              │ head: lengths, flatbuffer│ point │ 0 │ ts │ 0 │ …      columns at multiples of 8, zeros between
              └──────────────────────────┴───────┴───┴────┴───┴─ ─

Arrow takes 27 µs to write a message and 20 to read one, however little it holds, and several times that beside other
threads; a broker with a window of twenty messages makes hundreds of small ones a second. But two messages of so many
rows differ in the bytes of their columns only. So for up to ``SMALL_ROWS`` rows the head is learned from Arrow, once
for each number of rows, and columns are put behind it. In both directions, whatever this module does not recognise to
the byte takes the long way, through Arrow.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from lifeline.core.batch import Readings
from lifeline.core.schema import LOG_READINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGN: Final = 64
"""Everything in a segment starts at a multiple of it."""
SMALL_ROWS: Final = 4096
"""Beyond it the fixed cost is lost among 140 KiB of columns; and so many heads take 3 MiB at most."""

_TYPES: Final[tuple[np.dtype[Any], ...]] = tuple(np.dtype(field.type.to_pandas_dtype()) for field in LOG_READINGS)
_COLUMN_ALIGN: Final = 8
"""Arrow's for the buffers of a message."""


class _Layout(NamedTuple):
    """Where everything lies in a message of so many rows."""

    head: bytes
    known: pa.Buffer
    """The same, to compare with."""
    starts: tuple[int, ...]
    gaps: tuple[bytes, ...]
    """Zeros behind each column; behind the last one up to a multiple of ``ALIGN``."""
    size: int
    """Bytes of the message, without what pads it."""


def padded(size: int) -> int:
    """``size`` rounded up to the alignment."""
    return -(-size // ALIGN) * ALIGN


def encode(readings: Readings) -> tuple[tuple[memoryview, ...], int]:
    """A message with zeros up to a multiple of ``ALIGN`` behind it, in parts, and its own size.

    The values are copied once.

    Raises:
        pyarrow.ArrowException: columns have wrong types or different lengths.
    """
    rows = len(readings)
    columns = _columns(readings)
    layout = _layout(rows) if 0 < rows <= SMALL_ROWS else None
    if layout is None or any(
        column.dtype != dtype or column.shape != (rows,) for column, dtype in zip(columns, _TYPES, strict=True)
    ):
        return padded_parts(readings.to_arrow())
    parts = [layout.head]
    for column, gap in zip(columns, layout.gaps, strict=True):
        parts += (column.tobytes(), gap)
    return (memoryview(b"".join(parts)),), layout.size


def padded_parts(batch: pa.RecordBatch) -> tuple[tuple[memoryview, ...], int]:
    """The same of any record batch, by Arrow."""
    message = memoryview(batch.serialize()).cast("B")
    gap = padded(len(message)) - len(message)
    return ((message, memoryview(bytes(gap))) if gap else (message,)), len(message)


def decode(message: pa.Buffer, rows: int) -> Readings:
    """The readings of a message of ``rows`` rows: read-only columns in the memory of ``message``.

    Raises:
        pyarrow.ArrowException, OSError: it is no record batch of readings.
    """
    layout = _layout(rows) if 0 < rows <= SMALL_ROWS else None
    if layout is None or message.size != layout.size or not message.slice(0, layout.known.size).equals(layout.known):
        return Readings.from_arrow(pa.ipc.read_record_batch(message, LOG_READINGS))
    columns = [np.frombuffer(message, dtype, rows, start) for dtype, start in zip(_TYPES, layout.starts, strict=True)]
    for column in columns:
        column.flags.writeable = False
    return Readings(*columns)


def _columns(readings: Readings) -> tuple[NDArray[Any], ...]:
    one = readings
    return one.point, one.ts, one.received_at, one.value, one.seq, one.quality, one.flags


@cache
def _layout(rows: int) -> _Layout | None:
    """Learned from a message that Arrow makes; None if it is laid out otherwise than is written above."""
    sample = Readings(*(np.arange(1, rows + 1).astype(dtype) for dtype in _TYPES))
    message = sample.to_arrow().serialize().to_pybytes()
    sizes = [rows * dtype.itemsize for dtype in _TYPES]
    spaces = [-(-size // _COLUMN_ALIGN) * _COLUMN_ALIGN for size in sizes]
    head = message[: len(message) - sum(spaces)]
    starts = [len(head) + sum(spaces[:i]) for i in range(len(spaces))]
    gaps = [bytes(space - size) for space, size in zip(spaces, sizes, strict=True)]
    parts = [part for column, gap in zip(_columns(sample), gaps, strict=True) for part in (column.tobytes(), gap)]
    if b"".join((head, *parts)) != message:
        return None
    gaps[-1] += bytes(padded(len(message)) - len(message))
    return _Layout(head, pa.py_buffer(head), tuple(starts), tuple(gaps), len(message))
