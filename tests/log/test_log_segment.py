"""The format: round trips, alignment, zero copy, and every single flipped bit of a frame."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import Readings
from lifeline.core.schema import LOG_READINGS
from lifeline.log import segment
from lifeline.log.scan import proof_of_loss, scan_segment
from lifeline.log.segment import ForeignFormatError, SegmentError, SegmentHeader
from lifeline.testing import sample_batch

SALT = b"pepper!!"


def frame_bytes(tag: int, rows: int, *, lsn: int = 1, synced: int = 0, rejects: int = 0, salt: bytes = SALT) -> bytes:
    batch = sample_batch(tag, rows, rejects=rejects)
    body = segment.encode_body(batch.readings, batch.rejects)
    return b"".join(segment.encode_frame(body, lsn=lsn, received_at=lsn, synced=synced, salt=salt))


def file_of(*frames: bytes, first_lsn: int = 1) -> memoryview:
    return memoryview(SegmentHeader(first_lsn, 0, SALT).encode() + b"".join(frames))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 40),
    rejects=st.integers(0, 5),
    lsn=st.integers(1, 2**64 - 1),
    received_at=st.integers(-(2**63), 2**63 - 1),
    data=st.data(),
)
def test_a_record_comes_back_as_it_was(
    rows: int, rejects: int, lsn: int, received_at: int, data: st.DataObject
) -> None:
    columns = []
    for field in LOG_READINGS:
        dtype = np.dtype(field.type.to_pandas_dtype())
        raw = data.draw(st.binary(min_size=rows * dtype.itemsize, max_size=rows * dtype.itemsize))
        columns.append(np.frombuffer(raw, dtype))
    readings = Readings(*columns)
    sent = sample_batch(1, 1, rejects=rejects).rejects
    body = segment.encode_body(readings, sent)
    raw = b"".join(segment.encode_frame(body, lsn=lsn, received_at=received_at, synced=lsn - 1, salt=SALT))
    frame = segment.decode_header(memoryview(raw), SALT)
    segment.check_frame(memoryview(raw), frame, SALT)
    record = segment.decode_record(pa.py_buffer(raw), 0, frame)

    assert (len(raw), len(raw) % 64) == (body.frame_bytes, 0)
    assert (record.lsn, record.received_at, len(record.readings)) == (lsn, received_at, rows)
    for field, column in zip(LOG_READINGS, columns, strict=True):
        assert getattr(record.readings, field.name).tobytes() == column.tobytes()
    assert record.rejects is None if sent is None else record.rejects.equals(sent)


def test_reading_copies_nothing() -> None:
    raw = pa.py_buffer(frame_bytes(3, 1000, rejects=2))
    record = segment.decode_record(raw, 0, segment.decode_header(memoryview(raw).cast("B"), SALT))

    for column in (getattr(record.readings, field.name) for field in LOG_READINGS):
        assert raw.address <= column.__array_interface__["data"][0] < raw.address + raw.size
        assert column.flags.aligned
        assert not column.flags.writeable


def test_every_flipped_bit_of_a_frame_is_detected() -> None:
    good = frame_bytes(5, 2, rejects=1)
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        view = memoryview(bytes(bad))
        with pytest.raises(SegmentError):
            segment.check_frame(view, segment.decode_header(view, SALT), SALT)


def test_every_flipped_bit_of_a_segment_header_is_detected() -> None:
    good = SegmentHeader(42, 7, SALT).encode()
    assert SegmentHeader.decode(memoryview(good)) == SegmentHeader(42, 7, SALT)
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SegmentError):
            SegmentHeader.decode(memoryview(bytes(bad)))


@pytest.mark.parametrize(("offset", "what"), [(8, "version 9"), (40, "columns")])
def test_a_foreign_format_is_named_as_such(offset: int, what: str) -> None:
    raw = bytearray(SegmentHeader(1, 0, SALT).encode())
    raw[offset] = 9
    raw[12:16] = bytes(4)
    struct.pack_into("<I", raw, 12, zlib.crc32(raw))

    with pytest.raises(ForeignFormatError, match=what):
        SegmentHeader.decode(memoryview(bytes(raw)))


def test_rejects_of_another_schema_are_refused() -> None:
    with pytest.raises(ValueError, match="REJECTS"):
        segment.encode_body(Readings.empty(), pa.record_batch({"a": [1]}))


def test_frames_with_wrong_lsn_or_a_clock_that_goes_back_are_damage() -> None:
    skipped = scan_segment(file_of(frame_bytes(1, 1), frame_bytes(2, 1, lsn=3)))
    body = segment.encode_body(sample_batch(2, 1).readings, None)
    early = b"".join(segment.encode_frame(body, lsn=2, received_at=-5, synced=1, salt=SALT))
    back = scan_segment(file_of(frame_bytes(1, 1), early))

    assert skipped.damage is not None
    assert skipped.damage.reason == "lsn 3 stands where 2 should"
    assert back.damage is not None
    assert back.damage.reason == "received_at goes back"


def test_only_a_frame_written_after_the_sync_proves_a_loss() -> None:
    first, second = frame_bytes(1, 1), bytearray(frame_bytes(2, 1, lsn=2, synced=1))
    second[100] ^= 1
    same_group = file_of(first, bytes(second), frame_bytes(3, 1, lsn=3, synced=1))
    later_group = file_of(first, bytes(second), frame_bytes(3, 1, lsn=3, synced=2))

    assert proof_of_loss(same_group, scan_segment(same_group)) is None
    assert proof_of_loss(later_group, scan_segment(later_group)) == 64 + len(first) + len(second)


def test_a_device_cannot_plant_a_frame_in_a_payload() -> None:
    """Bytes of a reject that look like a later frame, made without the salt, prove nothing."""
    planted = frame_bytes(9, 1, lsn=2, synced=1, salt=b"guessed!")
    known = frame_bytes(9, 1, lsn=2, synced=1)
    torn = frame_bytes(1, 1)[:-64]

    outcome = [
        proof_of_loss(view, scan_segment(view)) is None for view in (file_of(torn, planted), file_of(torn, known))
    ]

    assert outcome == [True, False]


def test_the_fingerprint_is_pinned() -> None:
    """A change of the columns makes old logs foreign: it needs a decision, not an accident."""
    assert segment.FINGERPRINT.hex() == "429e0c92b2552e9173e71ddda8b48866"


def test_frame_numbers_are_where_the_drawing_says() -> None:
    raw = frame_bytes(1, 3, lsn=258, synced=257, rejects=1)
    frame = segment.decode_header(memoryview(raw), SALT)

    assert raw[:4] == b"LREC"
    assert struct.unpack_from("<QqQIIII", raw, 8) == (258, 258, 257, 3, 1, frame.readings_bytes, frame.rejects_bytes)
