"""Small messages made by hand are Arrow's to the byte, in both directions; Arrow itself is the naive twin."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import Readings
from lifeline.core.schema import LOG_READINGS
from lifeline.log import message
from lifeline.log.message import SMALL_ROWS, decode, encode, padded

TYPES = [np.dtype(field.type.to_pandas_dtype()) for field in LOG_READINGS]
ROWS = [*range(1, 70), 255, 256, 257, 1000, 4095, SMALL_ROWS, SMALL_ROWS + 1]


def random_readings(rows: int, seed: int) -> Readings:
    """Any bits at all: NaN of every kind, negative times, flags that mean nothing."""
    draw = np.random.default_rng(seed)
    return Readings(*(np.frombuffer(draw.bytes(rows * dtype.itemsize), dtype) for dtype in TYPES))


def by_arrow(readings: Readings) -> bytes:
    return bytes(readings.to_arrow().serialize().to_pybytes())


def columns(readings: Readings) -> list[bytes]:
    return [getattr(readings, field.name).tobytes() for field in LOG_READINGS]


@pytest.mark.parametrize("rows", ROWS)
def test_it_is_what_arrow_writes(rows: int) -> None:
    readings = random_readings(rows, rows)
    parts, size = encode(readings)
    whole = b"".join(parts)

    assert whole[:size] == by_arrow(readings)
    assert (len(whole), whole[size:].strip(b"\0")) == (padded(size), b"")


@pytest.mark.parametrize("rows", ROWS)
def test_it_reads_what_arrow_writes(rows: int) -> None:
    readings = random_readings(rows, rows)
    buffer = pa.py_buffer(bytearray(by_arrow(readings)))  # writable memory; the columns must not be
    found = decode(buffer, rows)

    assert columns(found) == columns(readings)
    for column, dtype in zip((getattr(found, f.name) for f in LOG_READINGS), TYPES, strict=True):
        assert (column.dtype, column.flags.writeable, column.flags.aligned) == (dtype, False, True)
        assert buffer.address <= column.__array_interface__["data"][0] < buffer.address + buffer.size


def test_the_short_way_is_taken() -> None:
    """Else the tests above compare Arrow with itself."""
    assert all(message._layout(rows) is not None for rows in (1, 20, SMALL_ROWS))


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(1, 60), step=st.integers(-3, 3).filter(bool))
def test_columns_need_not_be_contiguous(rows: int, step: int) -> None:
    wide = random_readings(rows * abs(step), rows)
    readings = wide.take(slice(None, None, step))
    parts, size = encode(readings)

    assert b"".join(parts)[:size] == by_arrow(Readings(*map(np.ascontiguousarray, _all(readings))))


@pytest.mark.parametrize("place", range(len(TYPES)))
def test_wrong_columns_are_refused_as_arrow_does(place: int) -> None:
    good = list(_all(random_readings(20, 1)))
    short = [column if i != place else column[:-1] for i, column in enumerate(good)]
    other = [column if i != place else column.astype(np.complex128) for i, column in enumerate(good)]
    for wrong in (short, other):
        with pytest.raises((pa.ArrowException, ValueError)):
            encode(Readings(*wrong))


@settings(max_examples=200, deadline=None)
@given(rows=st.integers(1, 40), claimed=st.integers(0, 45), flip=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_another_message_than_expected_is_arrows_business(rows: int, claimed: int, flip: int, bit: int) -> None:
    """Whatever bytes come: what Arrow says of them, be it readings or an error."""
    raw = bytearray(by_arrow(random_readings(rows, rows)))
    raw[flip % len(raw)] ^= 1 << bit
    buffer = pa.py_buffer(bytes(raw))
    try:
        expected = columns(Readings.from_arrow(pa.ipc.read_record_batch(buffer, LOG_READINGS)))
    except (pa.ArrowException, OSError, ValueError) as error:
        with pytest.raises(type(error)):
            decode(buffer, claimed)
    else:
        assert columns(decode(buffer, claimed)) == expected


def _all(readings: Readings) -> list[np.ndarray]:
    return [getattr(readings, field.name) for field in LOG_READINGS]
