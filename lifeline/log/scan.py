"""What a segment's bytes hold, and what damage means. Pure: it gets the whole segment as one buffer.

A scan walks frames from the segment header until the bytes end or a frame is unsound. Then:

    proof  = a later sound frame header whose ``synced`` >= the lsn that should stand at the bad place
    proof       → a loss: the record had been durable. CorruptionError.
    no proof    → in the last segment: an interrupted write, cut. In any other segment: a loss (the next segment was
                  begun only after this one was durable).

Frames after the bad place *without* such a proof belong to the same un-synced group: a power cut may keep a later
page of one write and lose an earlier one, so finding them proves nothing.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lifeline.log.message import ALIGN
from lifeline.log.segment import (
    FRAME_HEADER,
    RECORD_MAGIC,
    SEAL_MAGIC,
    SEGMENT_HEADER,
    Frame,
    SegmentError,
    SegmentHeader,
    check_frame,
    decode_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Damage:
    """The first bad place of a segment."""

    offset: int
    lsn: int
    """Of the record that should stand there."""
    reason: str
    interrupted: bool
    """Certainly the prefix of a write that a dying process left (the file ends inside a sound frame), not flipped
    bits; what only *may* be interrupted is False."""


@dataclass(slots=True)
class Scan:
    """The sound frames of a segment from its beginning."""

    header: SegmentHeader
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    """Where each record begins; record i has lsn ``header.first_lsn + i``."""
    end: int = SEGMENT_HEADER.size
    """Past the last sound frame."""
    synced: int = 0
    """The last lsn known to be on disk by the frames seen."""
    received_at: int = 0
    """Of the last record."""
    sealed: bool = False
    """The last sound frame is a seal."""
    damage: Damage | None = None
    rows: int = 0
    rejects: int = 0

    @property
    def next_lsn(self) -> int:
        """The lsn after the last sound record."""
        return self.header.first_lsn + len(self.offsets)


def scan_segment(view: memoryview) -> Scan:
    """Check every frame of a segment.

    Raises:
        SegmentError: the segment header itself is bad.
        ForeignFormatError: written by another version.
    """
    header = SegmentHeader.decode(view)
    scan = Scan(header, synced=header.first_lsn - 1, received_at=header.received_at)
    while scan.end < len(view) and scan.damage is None:
        rest = view[scan.end :]
        try:
            frame = decode_header(rest, header.salt)
        except SegmentError as error:
            scan.damage = Damage(scan.end, scan.next_lsn, str(error), interrupted=len(rest) < FRAME_HEADER.size)
            break
        try:
            check_frame(rest, frame, header.salt)
            _take(scan, frame)
        except SegmentError as error:
            scan.damage = Damage(scan.end, scan.next_lsn, str(error), interrupted=len(rest) < frame.size)
    return scan


def _take(scan: Scan, frame: Frame) -> None:
    expected = scan.next_lsn - 1 if frame.is_seal else scan.next_lsn
    if frame.lsn != expected:
        raise SegmentError(f"lsn {frame.lsn} stands where {expected} should")
    if frame.received_at < scan.received_at:
        raise SegmentError("received_at goes back")
    if not frame.is_seal:
        scan.offsets.append(scan.end)
        scan.rows += frame.rows
        scan.rejects += frame.rejects
    scan.received_at = frame.received_at
    scan.sealed = frame.is_seal
    scan.synced = max(scan.synced, frame.synced)
    scan.end += frame.size


def proof_of_loss(view: memoryview, scan: Scan) -> int | None:
    """Offset of a later frame which proves that the record at ``scan.damage`` had been durable, or None."""
    if scan.damage is None:
        return None
    for offset in _frames_after(view, scan.damage.offset):
        try:
            frame = decode_header(view[offset:], scan.header.salt)
        except SegmentError:
            continue
        if frame.synced >= scan.damage.lsn:
            return offset
    return None


def _frames_after(view: memoryview, offset: int) -> Iterator[int]:
    start = offset + ALIGN
    blocks = (len(view) - start) // ALIGN
    if blocks <= 0:
        return
    words = np.frombuffer(view[start : start + blocks * ALIGN], dtype="<u4")[:: ALIGN // 4]
    magics = [int.from_bytes(magic, "little") for magic in (RECORD_MAGIC, SEAL_MAGIC)]
    for block in np.flatnonzero(np.isin(words, magics)):
        yield start + int(block) * ALIGN
