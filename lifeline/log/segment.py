"""The format of a log segment: bytes <-> records. Pure: no file, no clock, no randomness.

A segment is a file ``<first lsn, 20 digits>.log``. All integers are little endian, everything starts at a multiple of
64 bytes, so that Arrow reads columns in place.

    segment   ┌───────────────┬───────┬───────┬──────┬───────┬─ ─ ─
              │ segment header│ frame │ frame │ seal │ frame │
              └───────────────┴───────┴───────┴──────┴───────┴─ ─ ─

    segment   0        8        12     16         24            32     40                  56     64
    header    │LIFELINE│version │crc32 │first lsn │received_at  │salt  │schema fingerprint │zeros │

              ``received_at`` is that of the last record before this segment: the log's clock survives a trim.
              crc32 covers all other bytes of the header.

    frame     0     4      8     16            24      32     36       40        44       48     60            64
              │LREC │crc32 │lsn  │received_at  │synced │rows  │rejects │readings │rejects │zeros │header crc32 │
              │     │      │     │             │       │      │        │  bytes  │  bytes │      │             │
              ├─────┴──────┴─────┴─────────────┴───────┴──────┴────────┴─────────┴────────┴──────┴─────────────┤
              │ readings: an encapsulated Arrow IPC record batch (LOG_READINGS), zeros up to a multiple of 64  │
              ├────────────────────────────────────────────────────────────────────────────────────────────────┤
              │ rejects: likewise (REJECTS)                                                                    │
              └────────────────────────────────────────────────────────────────────────────────────────────────┘

    seal      a frame header with magic LEND and no body, written by a clean close: ``lsn`` and ``synced`` are those
              of the last record. It is no record and has no lsn of its own.

- ``crc32`` covers body (with its padding), then salt, then header bytes 8-64. The body comes first so that an
  appending thread can compute its part before the lsn is known.
- ``header crc32`` covers header bytes 0-4, 8-60 and the salt. A sound header makes the lengths trustworthy: a file
  that ends inside such a frame is an interrupted write, not damage.
- ``salt`` is random per segment and never leaves the machine: a device cannot plant bytes in a reject's payload that
  look like a frame.
- ``synced`` is the last lsn known to be on disk when the frame was written. So a later frame *proves* that the records
  before it had been durable: damage to them is a loss, to be reported. Without such a proof it is a write that a power
  cut interrupted, and its batch was never acknowledged (``scan`` decides).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.schema import LOG_READINGS, REJECTS
from lifeline.log import message
from lifeline.log.message import padded

if TYPE_CHECKING:
    from collections.abc import Sequence

SEGMENT_HEADER: Final = struct.Struct("<8sIIQq8s16s8x")
FRAME_HEADER: Final = struct.Struct("<4sIQqQIIII12xI")
SEGMENT_MAGIC: Final = b"LIFELINE"
RECORD_MAGIC: Final = b"LREC"
SEAL_MAGIC: Final = b"LEND"
VERSION: Final = 1
SALT_BYTES: Final = 8
RECEIVED_AT_MIN: Final = -(1 << 63)
"""The clock of a log that holds nothing yet."""

FINGERPRINT: Final = hashlib.blake2b(
    "\n".join(
        f"{field.name}:{field.type}:{field.nullable}" for schema in (LOG_READINGS, REJECTS) for field in schema
    ).encode(),
    digest_size=16,
).digest()
"""Identifies the columns of both schemas by name, type and nullability."""


class SegmentError(ValueError):
    """The bytes are not a sound segment header or frame; the message says why."""


class ForeignFormatError(ValueError):
    """A sound segment, but of another format version or with other columns."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What stands at the beginning of a segment."""

    first_lsn: int
    received_at: int
    salt: bytes

    def encode(self) -> bytes:
        """The 64 bytes."""
        parts = (SEGMENT_MAGIC, VERSION, 0, self.first_lsn, self.received_at, self.salt, FINGERPRINT)
        blank = SEGMENT_HEADER.pack(*parts)
        return blank[:12] + zlib.crc32(blank).to_bytes(4, "little") + blank[16:]

    @classmethod
    def decode(cls, view: memoryview) -> SegmentHeader:
        """Read the 64 bytes.

        Raises:
            SegmentError: too short, wrong magic or checksum.
            ForeignFormatError: written by another version or for other columns.
        """
        if len(view) < SEGMENT_HEADER.size:
            raise SegmentError(f"the segment header has {len(view)} bytes instead of {SEGMENT_HEADER.size}")
        raw = bytes(view[: SEGMENT_HEADER.size])
        magic, version, crc, first_lsn, received_at, salt, fingerprint = SEGMENT_HEADER.unpack(raw)
        if magic != SEGMENT_MAGIC:
            raise SegmentError("no segment header")
        if crc != zlib.crc32(raw[:12] + bytes(4) + raw[16:]):
            raise SegmentError("the segment header fails its checksum")
        if version != VERSION:
            raise ForeignFormatError(f"format version {version}, this program writes {VERSION}")
        if fingerprint != FINGERPRINT:
            raise ForeignFormatError("its columns differ from this program's")
        return cls(first_lsn, received_at, salt)


@dataclass(frozen=True, slots=True)
class Body:
    """One record's columns as bytes, before it has an lsn: ``chunks`` in file order with their padding."""

    rows: int
    rejects: int
    readings_bytes: int
    rejects_bytes: int
    chunks: tuple[memoryview, ...]
    crc: int
    frame_bytes: int = field(init=False)
    """Size of the whole frame."""

    def __post_init__(self) -> None:
        """Add it up, once."""
        size = FRAME_HEADER.size + padded(self.readings_bytes) + padded(self.rejects_bytes)
        object.__setattr__(self, "frame_bytes", size)


CLOCK_BODY: Final = Body(0, 0, 0, 0, (), 0)
"""No rows, no rejects."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's header."""

    magic: bytes
    crc: int
    lsn: int
    received_at: int
    synced: int
    rows: int
    rejects: int
    readings_bytes: int
    rejects_bytes: int

    @property
    def size(self) -> int:
        """Bytes of the whole frame."""
        return FRAME_HEADER.size + padded(self.readings_bytes) + padded(self.rejects_bytes)

    @property
    def is_seal(self) -> bool:
        """Whether it is a seal and no record."""
        return self.magic == SEAL_MAGIC


def encode_body(readings: Readings, rejects: pa.RecordBatch | None) -> Body:
    """Columns as Arrow IPC messages with their checksum; the values are copied once, here.

    Raises:
        ValueError: ``rejects`` is not in the ``REJECTS`` schema.
        pyarrow.ArrowException: columns of ``readings`` have wrong types or different lengths.
    """
    if rejects is not None and not rejects.schema.equals(REJECTS):
        raise ValueError(f"rejects are not in the REJECTS schema: {rejects.schema}")
    chunks, readings_bytes = message.encode(readings) if len(readings) else ((), 0)
    bad, rejects_bytes = message.padded_parts(rejects) if rejects is not None and rejects.num_rows else ((), 0)
    crc = 0
    for chunk in (*chunks, *bad):
        crc = zlib.crc32(chunk, crc)
    rows_bad = 0 if rejects is None else rejects.num_rows
    return Body(len(readings), rows_bad, readings_bytes, rejects_bytes, (*chunks, *bad), crc)


def decode_body(body: Body, lsn: int, received_at: int) -> LogRecord:
    """The record of a body that has not left memory: as ``decode_record`` gives it, columns read-only, zero-copy."""
    readings, rejects = Readings.empty(), None
    if body.readings_bytes:
        readings = message.decode(pa.py_buffer(body.chunks[0]).slice(0, body.readings_bytes), body.rows)
    if body.rejects_bytes:
        at = passed = 0
        while passed < padded(body.readings_bytes):
            passed += len(body.chunks[at])
            at += 1
        rejects = pa.ipc.read_record_batch(pa.py_buffer(body.chunks[at]), REJECTS)
    return LogRecord(lsn, received_at, readings, rejects)


def encode_frame(body: Body, *, lsn: int, received_at: int, synced: int, salt: bytes) -> Sequence[memoryview]:
    """A record's header and body, ready for a gathering write."""
    return memoryview(_header(RECORD_MAGIC, body, (lsn, received_at, synced), salt)), *body.chunks


def encode_seal(*, lsn: int, received_at: int, salt: bytes) -> bytes:
    """The mark of a clean close after record ``lsn``."""
    return _header(SEAL_MAGIC, CLOCK_BODY, (lsn, received_at, lsn), salt)


def _header(magic: bytes, body: Body, numbers: tuple[int, int, int], salt: bytes) -> bytes:
    lengths = (body.rows, body.rejects, body.readings_bytes, body.rejects_bytes)
    raw = FRAME_HEADER.pack(magic, 0, *numbers, *lengths, 0)
    raw = raw[:60] + _header_crc(raw, salt).to_bytes(4, "little")
    crc = zlib.crc32(raw[8:], zlib.crc32(salt, body.crc))
    return raw[:4] + crc.to_bytes(4, "little") + raw[8:]


def _header_crc(raw: bytes, salt: bytes) -> int:
    return zlib.crc32(salt, zlib.crc32(raw[8:60], zlib.crc32(raw[:4])))


def decode_header(view: memoryview, salt: bytes) -> Frame:
    """The frame header at the beginning of ``view``.

    Raises:
        SegmentError: wrong magic or header checksum, or fewer than 64 bytes.
    """
    if len(view) < FRAME_HEADER.size:
        raise SegmentError("the file ends inside a frame header")
    raw = bytes(view[: FRAME_HEADER.size])
    magic, crc, lsn, received_at, synced, rows, rejects, readings_bytes, rejects_bytes, header_crc = (
        FRAME_HEADER.unpack(raw)
    )
    if magic not in {RECORD_MAGIC, SEAL_MAGIC}:
        raise SegmentError("no frame begins here")
    if header_crc != _header_crc(raw, salt):
        raise SegmentError("the frame header fails its checksum")
    return Frame(magic, crc, lsn, received_at, synced, rows, rejects, readings_bytes, rejects_bytes)


def check_frame(view: memoryview, frame: Frame, salt: bytes) -> None:
    """Check the whole frame that begins at ``view``.

    Raises:
        SegmentError: the checksum differs, or the bytes end inside the frame.
    """
    if len(view) < frame.size:
        raise SegmentError(f"the file ends inside the frame: {len(view)} of {frame.size} bytes")
    body = zlib.crc32(view[FRAME_HEADER.size : frame.size])
    if frame.crc != zlib.crc32(view[8 : FRAME_HEADER.size], zlib.crc32(salt, body)):
        raise SegmentError("the record fails its checksum")


def decode_record(buffer: pa.Buffer, offset: int, frame: Frame) -> LogRecord:
    """The record whose (checked) frame begins at ``offset`` of ``buffer``: zero-copy, the columns live in ``buffer``.

    Raises:
        SegmentError: the body is no record batch of the expected columns and rows.
    """
    start = offset + FRAME_HEADER.size
    try:
        readings = Readings.empty()
        if frame.readings_bytes:
            readings = message.decode(buffer.slice(start, frame.readings_bytes), frame.rows)
        rejects = None
        if frame.rejects_bytes:
            bad = buffer.slice(start + padded(frame.readings_bytes), frame.rejects_bytes)
            rejects = pa.ipc.read_record_batch(bad, REJECTS)
    except (pa.ArrowException, OSError) as error:
        raise SegmentError(f"the body is no Arrow record batch: {error}") from error
    if (len(readings), 0 if rejects is None else rejects.num_rows) != (frame.rows, frame.rejects):
        raise SegmentError("the body has other row counts than its header")
    return LogRecord(frame.lsn, frame.received_at, readings, rejects)
